"""All that `make bench` measures."""

import sys

from benchmarks.upstream import main

sys.exit(main())
