"""All that `make bench` measures: one upstream, several mirrors, memory."""

import sys

from benchmarks import memory, mirrors, upstream

reached = upstream.main()
print()
mirrors.main([])
print()
sys.exit(reached or memory.main([]))
