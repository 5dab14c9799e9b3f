"""MLflow: models, versions, aliases, tags, runs."""
