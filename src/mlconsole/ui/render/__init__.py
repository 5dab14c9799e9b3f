"""Pure functions from what the engine said to rows and lines: one small file a pane, tested by tables."""
