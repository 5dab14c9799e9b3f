"""The node of the embedded world: it runs pods as real processes, and says how they are."""
