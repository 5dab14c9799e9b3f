"""The embedded world: a small Kubernetes, model servers as processes, a registry with trained versions, live load."""
