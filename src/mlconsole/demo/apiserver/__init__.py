"""A small Kubernetes API server: the semantics that the console and kubectl rely on, in memory, on loopback."""
