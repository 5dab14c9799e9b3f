"""The controllers of the embedded world: level-triggered loops over the API server's store."""
