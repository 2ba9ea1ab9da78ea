"""The last bytes of a file, requested before its length is known.

A source that answers 206 says by Content-Range how long the file is, so one request brings both the
facts and the bytes. They are held in memory: a source that breaks off or stalls costs nothing but
time, since another one is asked meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aprp.core.choices import Same
from aprp.core.http.ranges import Range, Spec, Suffix
from aprp.core.reasons import Reason, reason
from aprp.core.recovery.same_file import Rejected, StandsAlone, judge_alone
from aprp.core.recovery.versions import Facts, combinable, disagreement
from aprp.core.scheduling.blocks import EDGE
from aprp.core.values import dataclass
from aprp.upstream.errors import SourceError
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.requests import SourceAnswer
from aprp.upstream.wall_clock import time

if TYPE_CHECKING:
    from aprp.upstream.transfer.source import TransferSource

MOST = 3 * EDGE
"""Bytes of a suffix that one source sends by itself. A longer one is shared among the sources, as
soon as the length is known.
"""
ASK_OTHERWISE = frozenset((200, 206, 400, 405, 416, 501))
"""Statuses after which the source is asked for the head alone: it may not know suffixes."""


@dataclass(frozen=True, slots=True)
class HeldSuffix:
    """The last bytes of a file, from the offset `start` on, which `source` has sent."""

    source: TransferSource
    start: int
    data: bytes

    def part(self, wanted: Range) -> bytes | None:
        """Return these bytes, or None if they aren't all here."""
        start, stop = wanted.start - self.start, wanted.stop - self.start
        return self.data[start:stop] if start >= 0 and stop <= len(self.data) else None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a source has shown of a file: its facts and, if they were requested, its last bytes."""

    facts: Facts
    suffix: HeldSuffix | None = None


def at_once(spec: Spec | None) -> Suffix | None:
    """Return the range to request together with the facts: a short suffix, or None."""
    return spec if isinstance(spec, Suffix) and 0 < spec.length <= MOST else None


async def ask_suffix(
    source: TransferSource, suffix: Suffix, same: Same, known: Facts | None
) -> Shown | Reason | None:
    """Request the last bytes from a source. Return what it has shown, or why that is of no use.

    None: it has to be asked for the head. Raises SourceError. A response that can only be used by
    itself is held in reserve by the source.
    """
    answer = await source.get_alone(suffix)
    found = judge_alone(answer.summary(), answer.fields, suffix, same, int(time()))
    if isinstance(found, Rejected) or found.complete is None or found.body is None:
        discard(answer.exchange)
        if answer.status in ASK_OTHERWISE or not isinstance(found, Rejected):
            return None
        source.error = SourceError.by(found.reason, source.name)
        return found.reason
    facts = Facts(found.complete, found.shown)
    differs = source.another_size(facts.complete)
    if differs is None and (missing := disagreement(facts, known, same)) is not None:
        differs = reason(missing)
    if differs is not None:
        discard(answer.exchange)
        return differs
    if not combinable(facts, same):
        source.alone = True
        source.keep_spare(answer, found)
        return Shown(facts)
    source.requests.showed(answer.place, answer.summary().validators)
    return Shown(facts, await _held(source, answer, found))


async def _held(
    source: TransferSource, answer: SourceAnswer, found: StandsAlone
) -> HeldSuffix | None:
    """Receive the body; return None if it is too long, or breaks off."""
    exchange, body = answer.exchange, found.body
    assert body is not None
    if body.length > MOST:
        discard(exchange)
        return None
    sink = Collector(keep=body.length)
    try:
        moved = await exchange.pump(sink, body.length + 1)
    except SourceError as error:
        source.error = error
        return None
    finally:
        exchange.abort()
    return HeldSuffix(source, body.start, sink.data) if moved == body.length else None
