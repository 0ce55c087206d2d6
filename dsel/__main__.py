"""Run `python -m dsel`."""

import sys

from dsel.cli import main

if __name__ == "__main__":
    sys.exit(main())
