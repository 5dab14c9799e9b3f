"""The arithmetic of drift: of histograms, of categories, of raw values; and what is said of many features at once.

`judging.judge` compares, `verdicts.table` sets what was found side by side: both take every feature at once. numpy is
imported where it is needed, and scipy only for the p-value of raw values: the engine judges histograms too, and would
pay 70 MiB and most of a second for it.
"""
