"""The world of one Scheduler whose file has pieces, and sources of which some send wrong bytes.

It does what `aprp.upstream.transfer.verifier` does, without bytes: a source sends wrong ones at
the offsets that `wrong` has for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from aprp.core.metalink import Pieces
from aprp.core.recovery.pieces import PieceLedger, Ruling, Sent, Whole, blame_for
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.scheduler_world import World


class PieceWorld(World):
    """One transfer of all of a file of pieces."""

    def __init__(
        self,
        sources: list[m.Source],
        length: int,
        piece: int,
        wrong: Mapping[str, Collection[int]],
        settings: SchedulingSettings,
    ) -> None:
        super().__init__(sources, 0, None, length, settings, known=True)
        self.make = lambda: Scheduler(sources, 0, length, Ratings(), settings, length, piece)
        self.scheduler = self.make()
        self.wrong = wrong
        self.piece = piece
        pieces = Pieces("sha-256", piece, tuple(map(str, range(-(-length // piece)))))
        self.ledger = PieceLedger(pieces, length, 0)
        self.waiting: deque[Whole] = deque()
        self.sent: list[Sent] = []
        self.judged_wrong: set[str] = set()  # sources of the wrong bytes in copies that were hashed
        self.window = self.most = max(settings.window, piece + EDGE)

    def _keep(self, event: m.Event, keep: m.Keep) -> None:
        super()._keep(event, keep)
        source = self.source_of[keep.attempt]
        self.sent.append(Sent(source, keep.start, keep.stop))
        self.waiting += self.ledger.kept(source, keep.start, keep.stop)

    def _forget(self, start: int, stop: int) -> None:
        super()._forget(start, stop)
        assert start >= self.given
        self.ledger.forgot(start, stop)
        self.sent = [
            Sent(each.source, low, high)
            for each in self.sent
            for low, high in (
                (each.start, min(each.stop, start)),
                (max(each.start, stop), each.stop),
            )
            if low < high
        ]

    def lied(self, sent: Collection[Sent]) -> set[str]:
        return {
            each.source
            for each in sent
            for at in self.wrong.get(each.source, ())
            if each.start <= at < each.stop
        }

    def judge(self) -> None:
        """Take the verdict on the piece that has waited longest."""
        while self.waiting and not self.over:
            whole = self.waiting.popleft()
            if not self.ledger.is_current(whole):
                continue
            lied = self.lied(self._copy(whole))
            if not lied:
                self._right(whole)
                return
            self.judged_wrong |= lied
            ruling = self.ledger.wrong(whole)
            if ruling.keep_copy:
                self.send(m.OneByOne(True))
            self._apply(ruling, whole)
            return

    def _copy(self, whole: Whole) -> list[Sent]:
        held = whole.held
        copy = [each for each in self.sent if each.start < held.stop and held.start < each.stop]
        copy = [
            Sent(each.source, max(each.start, held.start), min(each.stop, held.stop))
            for each in copy
        ]
        assert sum(each.stop - each.start for each in copy) == held.length, "it isn't whole"
        return copy

    def _right(self, whole: Whole) -> None:
        decides = self.ledger.case == whole.number
        self.ledger.right(whole)
        if decides:
            liars = self.lied(self.ledger.accused)
            assert liars, "the copy that was wrong is right"
            self._apply(self.ledger.compared(liars), whole)
        if not self.over:
            self.send(m.Verified(self.ledger.verified_to))

    def _apply(self, ruling: Ruling, whole: Whole) -> None:
        for liar in ruling.liars:
            assert self.wrong.get(liar), "an honest source is blamed"
            self.blamed.add(liar)
            if not self.over:
                self.send(m.Banned(liar, blame_for(whole)))
                assert all(each[0] != liar for each in self.attempts.values())
        for lost in ruling.lost:
            if not self.over:
                self.send(m.Lost(lost.start, lost.stop))
        if self.ledger.case is None and not self.over:
            self.send(m.OneByOne(False))

    def _fetched(self, fetch: m.Fetch) -> None:
        assert fetch.source not in self.ledger.liars, "a liar is asked again"
        super()._fetched(fetch)

    def resize(self, window: int) -> None:
        self.window = max(window, self.piece + EDGE)
        self.most = max(self.most, self.window)
        self.send(m.WindowChanged(window))

    def take(self, count: int | None = None) -> None:
        ready = self.scheduler.deliverable - self.given
        count = ready if count is None else min(count, ready)
        if not count:
            return
        part = (
            Sent(each.source, each.start, min(each.stop, self.given + count)) for each in self.sent
        )
        out = [
            Sent(each.source, max(each.start, self.given), each.stop)
            for each in part
            if each.stop > self.given and each.start < each.stop
        ]
        assert not self.lied(out), "a wrong byte is delivered"
        self._deliver(count)

    def _deliver(self, count: int) -> None:
        self.given += count
        for low, high in list(self.held.items()):
            if high <= self.given:
                del self.held[low]
        self.send(m.ClientTook(count))

    def finish(self, steps: int = 3000, chunk: int = 64 * m.KIB) -> None:
        for _ in range(steps):
            if self.over:
                return
            before: Any = len(self.log)
            self.judge()
            for source in list(self.wants):
                if source in self.wants and not self.over:
                    self.grant(source, ready=True)
            for number in list(self.attempts):
                if number in self.attempts and not self.over:
                    if not self.attempts[number][3]:
                        self.head(number)
                    else:
                        self.now += 0.001
                        self.bytes(number, chunk)
            if not self.over:
                self.take()
            if not self.over and len(self.log) == before and not self.waiting:
                assert self.scheduler.next_deadline() is not None, "nothing will ever happen"
                self.tick()
        raise AssertionError(f"no end after {steps} steps: {self.scheduler.ready} of {self.end}")
