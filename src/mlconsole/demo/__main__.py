"""`python -m mlconsole.demo` is `mlconsole demo`."""

from __future__ import annotations

import sys

from mlconsole.demo.command import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
