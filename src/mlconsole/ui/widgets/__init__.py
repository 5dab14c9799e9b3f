"""The generic widgets: lines of spans, and a table of them."""
