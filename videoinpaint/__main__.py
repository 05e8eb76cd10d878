"""``python -m videoinpaint`` is the command line."""

import sys

from videoinpaint.cli import main

if __name__ == "__main__":
    sys.exit(main())
