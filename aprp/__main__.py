"""``python -m aprp`` is the command ``aprp``."""

import sys

from aprp.cli import main

if __name__ == "__main__":
    sys.exit(main())
