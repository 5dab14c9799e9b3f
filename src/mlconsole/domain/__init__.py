"""What the console knows and decides, as pure values and functions: no I/O, and no clock but the one passed in."""
