"""The names of the faults to practise on: apart, so that a command line can name them without importing a world."""

SCENARIOS = ("latency", "errors", "crashloop", "drift")
