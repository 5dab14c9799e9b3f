"""The executor: a small process that carries out one operation and outlives every console (design, section 4)."""
