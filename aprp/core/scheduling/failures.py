"""What a failure means for the source and for the transfer.

Rules:
- a broken or refusing source may be asked again at once, then after pauses that grow;
- one that named a time (Retry-After) is parked until then, for the file that was requested
  (`aprp.core.recovery.parking`);
- one that lied or hasn't the file is left out, until no other is left;
- one that is out of service is left out as well, until no other is in service;
- one that sent wrong bytes of a piece is banned: it isn't used even if no other is left;
- only the first ``at_once`` sources are used; the next of the others, in their order, takes the
  place of one that is left out, or that fails until it delivers again;
- to find who sends wrong bytes, one source at a time is asked, the fastest first; when that fails
  or falls silent, it is the next one's turn;
- before the first good response head, a transfer fails when each source has failed twice, lied,
  doesn't have the file, or is parked for longer than ``resume_for``; an attempt abandoned for its
  silence counts as a failure only after ten seconds;
- after it, a transfer fails when it has made less than `PROGRESS` in ``resume_for`` seconds; where
  a source has only been silent, not before those ten seconds have passed either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from aprp.core.reasons import Reason, reason
from aprp.core.recovery.pauses import PAUSES, Patience, pause_after
from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.messages import End, Ended
from aprp.core.scheduling.source_state import SourceState

PROGRESS = EDGE
"""New bytes that count as progress of the transfer."""

_TRIES = 2

_UNANSWERED = 10.0
"""Seconds of silence, over all attempts, that count as no response."""

_REASONS = {
    End.BROKEN: reason("broke off its body"),
    End.UNREACHABLE: reason("didn't respond"),
    End.REFUSED: reason("refused"),
    End.ABSENT: reason("doesn't have this file"),
    End.LIED: reason("sent something other than was requested"),
    End.BEYOND: reason("says the file ends before the range"),
}
_OUT = reason("is out of service")


def _why(source: SourceState) -> Reason:
    return source.reason or (_OUT if source.out else _REASONS[End.UNREACHABLE])


def _only_silent(source: SourceState) -> bool:
    return 0 < source.failures == source.silences


class FailurePolicy:
    """The failures of one transfer.

    Args:
        sources: its sources.
        resume_for: seconds.
        at_once: how many sources to use at the same time; None: all.
    """

    def __init__(
        self, sources: Sequence[SourceState], resume_for: float, at_once: int | None = None
    ) -> None:
        self._sources = sources
        self._at_once = at_once
        self._patience = Patience(resume_for)
        self._silence = Patience(_UNANSWERED)
        self._waits = max(0.0, resume_for - _UNANSWERED)
        self._begun = False
        self._gained = 0
        self._single: SourceState | None = None
        self._bar()

    def remember(self, now: float) -> None:
        """Wait for sources that parked the file in another transfer, unless all of them did."""
        times = [source.rating.parking.until(source.spec.file, now) for source in self._sources]
        if all(until > now for until in times):
            return
        for source, until in zip(self._sources, times, strict=True):
            source.retry_at = max(source.retry_at, until)

    def blame(self, source: SourceState, ended: Ended, now: float, *, grace: int = 0) -> None:
        """Count a failed attempt of the source, and set when to use it again.

        The first failure is retried at once, and ``grace`` more.
        """
        source.failures += 1
        source.reason = ended.reason or _REASONS.get(ended.end)
        pause = pause_after(source.failures - grace)
        if ended.end in (End.LIED, End.ABSENT, End.BEYOND):
            source.left_out = True
            pause = max(pause, PAUSES[1])
        source.parked = ended.end is End.REFUSED and ended.retry_after is not None
        if source.parked:
            pause = max(pause, ended.retry_after or 0.0)
        source.retry_at = now + pause
        source.rating.failed(now, ended.retry_after or 0.0, source.spec.file)
        self._patience.failed(now, _UNANSWERED if grace else 0.0)
        if grace:
            self._silence.failed(now)
        self._bar()
        self.doubted(source, now)

    def fell_silent(self, source: SourceState, attempt: int, now: float) -> None:
        """Count an attempt that was abandoned for its silence.

        The second request is sent at once, too: the source may recover at any time, and a request
        that waits for that costs nothing.
        """
        source.silences += 1
        self.blame(source, Ended(attempt, End.BROKEN, reason("fell silent")), now, grace=1)

    def leave_out(self, name: str, why: Reason) -> None:
        """Send a source no more requests; what was requested from it may still arrive."""
        for source in self._sources:
            if source.name == name:
                source.left_out, source.reason = True, why
        self._bar()

    def ban(self, source: SourceState, why: Reason) -> None:
        """Never use the source again: it sent wrong bytes."""
        source.banned = source.left_out = True
        source.reason = why
        self._bar()

    def one_by_one(self, on: bool, now: float) -> None:
        """Ask one source at a time, or all of them again."""
        self._single = self._fastest(None, now) if on else None
        self._bar()

    def doubted(self, source: SourceState, now: float) -> None:
        """Give another source its turn, if it's this one's and it doesn't deliver."""
        if self._single is source:
            self._single = self._fastest(source, now)
            self._bar()

    def _fastest(self, last: SourceState | None, now: float = 0.0) -> SourceState | None:
        """Return the source to ask alone, any other than the last one if there is another."""
        return min(
            (source for source in self._sources if not source.excluded),
            key=lambda each: (
                each is last,
                max(each.retry_at, now),
                each.failures,
                -(each.rating.rate or 0.0),
            ),
            default=None,
        )

    def take_out(self, names: Collection[str]) -> None:
        """Take these sources, and no others, out of service."""
        for source in self._sources:
            source.out = source.name in names
        self._bar()

    def _bar(self) -> None:
        """Find which sources may not be used because others are left."""
        allowed = [source for source in self._sources if not source.banned]
        within = [source for source in allowed if not source.out]
        all_left_out = all(source.left_out for source in within or allowed)
        for source in self._sources:
            needless = source.banned or (source.left_out and not all_left_out)
            source.excluded = needless or (source.out and bool(within))
        self._hold_in_reserve()
        if self._single is not None and self._single.excluded:
            self._single = self._fastest(self._single)
        for source in self._sources:
            waits = self._single is not None and source is not self._single
            source.barred = source.excluded or waits

    def _hold_in_reserve(self) -> None:
        """Exclude those that come after enough sources without failures."""
        if self._at_once is None:
            return
        well = 0
        for source in self._sources:
            if not source.excluded:
                source.excluded = well >= self._at_once
                well += not source.failures

    def _in_use(self) -> list[SourceState]:
        """Return the sources that may be requested from, now or after a pause.

        One that was left out counts no longer, even if what was in flight from it arrives.
        """
        return [source for source in self._sources if not source.excluded]

    def answered(self) -> None:
        """Note that a response head was accepted."""
        self._begun = True

    def delivered(self, source: SourceState) -> None:
        """Note that the source delivered new bytes: it no longer counts as failing."""
        failed = source.failures > 0
        source.failures = source.silences = 0
        source.rating.delivered()
        if failed and self._at_once is not None:
            self._bar()

    def gained(self, count: int, whole: bool) -> None:
        """Note ``count`` new bytes; ``whole``: nothing is missing any longer."""
        self._gained += count
        if self._gained >= PROGRESS or whole:
            self.calm()

    def calm(self) -> None:
        """Note progress: the clock starts again with the next failure."""
        self._gained = 0
        self._patience.progressed()
        self._silence.progressed()

    def _end(self, sources: Sequence[SourceState]) -> float | None:
        """Return when these sources have had their time; None: nothing has failed."""
        end, silent = self._patience.end, self._silence.end
        if end is None or silent is None:
            return end
        return max(end, silent) if any(_only_silent(source) for source in sources) else end

    def hopeless(self, now: float, in_flight: bool) -> bool:
        """Whether the transfer should fail now."""
        sources = self._in_use()
        end = self._end(sources)
        if not sources:
            return True
        if end is None or any(not source.failures for source in sources):
            return False
        if now >= end:
            return True
        if in_flight:
            return False
        if self._begun:
            return all(source.retry_at > end for source in sources)
        return all(self._spent(source, now, end) for source in sources)

    def wake(self, now: float) -> Iterable[float]:
        """Return when the passing of time changes something about failures."""
        yield from (source.retry_at for source in self._sources if source.retry_at > now)
        sources = self._in_use()
        end = self._end(sources)
        if end is not None and all(source.failures for source in sources):
            yield end
            if not self._begun and end - self._waits > now:
                yield end - self._waits

    def reasons(self) -> tuple[tuple[str, Reason], ...]:
        """Return (source, reason) of each source."""
        return tuple((source.name, _why(source)) for source in self._sources)

    def _spent(self, source: SourceState, now: float, end: float) -> bool:
        """Whether another request to the source is pointless.

        Silences count as failures only once `_UNANSWERED` seconds have passed.
        """
        if source.parked:
            return source.retry_at > end
        failures = source.failures - (source.silences if now < end - self._waits else 0)
        return source.left_out or failures >= _TRIES
