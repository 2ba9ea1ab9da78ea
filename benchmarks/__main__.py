"""All that `make bench` measures, one part after the other; a part that fails stops no other."""

import sys

from benchmarks import floods, http2, memory, mirrors, pieces, proxies, upstream, watching

PARTS = (
    upstream.main,
    lambda: proxies.main([]),
    lambda: mirrors.main([]),
    lambda: memory.main([]),
    lambda: pieces.main([]),
    lambda: floods.main([]),
    lambda: http2.main(["load"]),
    lambda: http2.main(["mirrors"]),
    lambda: watching.main([]),
)

failed = False
for part in PARTS:
    failed = bool(part()) or failed
    print()
sys.exit(failed)
