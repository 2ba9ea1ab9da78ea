"""Which source sent which bytes of a file, to tell whose are wrong."""

from __future__ import annotations

from collections.abc import Iterator

from aprp.core.http.ranges import Range
from aprp.core.spans import Spans
from aprp.upstream.transfer.transfer import Transfer


class Senders:
    """The bytes that arrived in one transfer, by the names of their sources."""

    def __init__(self) -> None:
        self._spans: dict[str, Spans] = {}

    def watch(self, transfer: Transfer) -> None:
        """Note all that arrives in a transfer, besides what observes it already."""
        before = transfer.observe

        def came(source: str, attempt: int, offset: int, count: int, kept: int) -> None:
            self._spans.setdefault(source, Spans()).add(offset, offset + count)
            if before is not None:
                before(source, attempt, offset, count, kept)

        transfer.observe = came

    def of(self, held: Range) -> list[str]:
        """Return who sent any of these bytes."""
        return [name for name, spans in self._spans.items() if spans.count(held.start, held.stop)]

    def forget(self, stop: int) -> None:
        """Forget the bytes up to an offset."""
        for spans in self._spans.values():
            spans.remove(0, stop)

    def liars(self, held: Range, wrong: bytes, right: bytes) -> Iterator[str]:
        """Yield who sent wrong bytes, as far as no one else sent the same ones."""
        for name, spans in self._spans.items():
            alone = Spans(*spans.within(held.start, held.stop))
            for other, theirs in self._spans.items():
                if other != name:
                    for start, stop in theirs.within(held.start, held.stop):
                        alone.remove(start, stop)
            parts = ((start - held.start, stop - held.start) for start, stop in alone)
            if any(wrong[start:stop] != right[start:stop] for start, stop in parts):
                yield name
