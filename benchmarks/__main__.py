"""All that `make bench` measures: one upstream, several mirrors, memory, floods."""

import sys

from benchmarks import floods, memory, mirrors, upstream

failed = [upstream.main()]
print()
mirrors.main([])
print()
failed.append(memory.main([]))
print()
failed.append(floods.main([]))
sys.exit(any(failed))
