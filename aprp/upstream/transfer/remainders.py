"""The ends of responses that nobody needs, while they are read to reuse their connections.

Their slots have been given back already. Where a new connection would be one more than the host may
have, the oldest of them are cut off.
"""

from __future__ import annotations

from collections import defaultdict

from aprp.core.scheduling.messages import Source
from aprp.upstream.transfer.body import Body


class Remainders:
    """Those of all transfers, by host."""

    def __init__(self) -> None:
        self._bodies: defaultdict[str, list[Body]] = defaultdict(list)

    def add(self, source: Source, body: Body) -> None:
        """Take note of a body of the source that was dropped, if its end is being read."""
        if body.begun and not body.ended:
            self._bodies[source.counted_by].append(body)

    def make_room(self, source: Source, in_use: int) -> None:
        """Cut off what is too much beside that many connections in use at the source's host."""
        there = [body for body in self._bodies.pop(source.counted_by, ()) if not body.ended]
        over = max(0, in_use + len(there) - source.connections)
        for body in there[:over]:
            body.cut()
        if there[over:]:
            self._bodies[source.counted_by] = there[over:]
