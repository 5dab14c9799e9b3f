"""Planning: what is read, what each kind of operation does of it, and what speaks for and against it."""
