"""The Docker Engine: whether it answers, and as what."""
