"""`python -m mlconsole`."""

import sys

from mlconsole.cli import main

sys.exit(main())
