"""The commands of the shell, one small file each: `parser(common)` says what it takes, `run(args)` does it.

A command's module is imported when it was asked for, so it may import what it needs at its top.
"""
