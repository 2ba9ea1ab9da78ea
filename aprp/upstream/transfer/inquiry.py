"""What the file is, asked of the sources by HEAD: one after the other until one says it.

The next source is asked when one failed, or was silent for a while; the first good answer counts.
A source that doesn't answer HEAD is asked for the first byte. If the last bytes are wanted, they
are requested instead of the head, and show what the file is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from aprp.core.choices import Same
from aprp.core.http.ranges import Range, Suffix
from aprp.core.reasons import Reason, reason
from aprp.core.recovery.same_file import Rejected, facts_of, judge, refusal
from aprp.core.recovery.versions import Facts, combinable, disagreement
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.transfer.suffix import Shown, ask_suffix
from aprp.upstream.wall_clock import time

SILENCE = 1.0
"""Seconds after which another source gets the same request."""
NO_HEAD = frozenset((400, 403, 405, 501))
"""Statuses by which a source may mean that it doesn't serve HEAD."""

Reasons = list[tuple[str, Reason]]


async def inquire(
    clock: Any,
    sources: Sequence[TransferSource],
    same: Same,
    known: Facts | None = None,
    suffix: Suffix | None = None,
) -> Shown | Reasons:
    """Return the facts, and the bytes of `suffix` if a source has sent them; or why each source has
    none to tell.

    Directories are asked after servers. What a source says must agree with what is `known`.
    """
    reasons: Reasons = []
    for on_disk in (False, True):
        asked = [source for source in sources if source.on_disk is on_disk]
        if not asked:
            continue
        found = await _Inquiry(clock, asked, same, known, suffix).begin()
        if isinstance(found, Shown):
            return found
        reasons += found
        if any(source.alone for source in asked):
            break
    return reasons


class _Inquiry:
    def __init__(
        self,
        clock: Any,
        sources: Sequence[TransferSource],
        same: Same,
        known: Facts | None,
        suffix: Suffix | None,
    ) -> None:
        self._clock = clock
        self._known = known
        self._suffix = suffix
        self._same = same
        self._left = list(sources)
        self._names = [source.name for source in sources]
        self._asked: list[Deferred[None]] = []
        self._waiting = 0
        self._stopped = False
        self._reasons: dict[str, Reason] = {}
        self._timer: IDelayedCall | None = None
        self._done: Deferred[Shown | Reasons] = Deferred(lambda _: self._stop())

    def begin(self) -> Deferred[Shown | Reasons]:
        self._next()
        return self._done

    def _next(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if not self._left:
            return
        source = self._left.pop(0)
        if self._left:
            self._timer = self._clock.callLater(SILENCE, self._next)
        self._waiting += 1
        work = Deferred.fromCoroutine(self._ask(source))
        self._asked.append(work)
        work.addErrback(lambda failure: self._failed(source, failure))

    async def _ask(self, source: TransferSource) -> None:
        found = await self._shown_by(source)
        if isinstance(found, Shown):
            self._end(found)
        else:
            self._no_facts(source, found)

    async def _shown_by(self, source: TransferSource) -> Shown | Reason:
        if self._suffix is not None:
            shown = await ask_suffix(source, self._suffix, self._same, self._known)
            if shown is not None:
                return shown
        facts = await ask_facts(source, self._same, self._known)
        if isinstance(facts, Reason):
            return facts
        return source.another_size(facts.complete) or Shown(facts)

    def _failed(self, source: TransferSource, failure: Failure) -> None:
        if failure.check(CancelledError) and self._stopped:
            return
        error = failure.value
        if isinstance(error, SourceError):
            source.error = error
        self._no_facts(source, error.reason if isinstance(error, SourceError) else OWN_FAULT)

    def _no_facts(self, source: TransferSource, why: Reason) -> None:
        self._waiting -= 1
        self._reasons[source.name] = why
        if self._done.called:
            return
        if self._left:
            self._next()
        elif not self._waiting:
            self._end([(name, self._reasons[name]) for name in self._names])

    def _end(self, result: Shown | Reasons) -> None:
        if not self._done.called:
            self._done.callback(result)
            self._stop()

    def _stop(self) -> None:
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for work in self._asked:
            work.cancel()


async def ask_facts(
    source: TransferSource, same: Same, known: Facts | None = None
) -> Facts | Reason:
    """Return what one source says of the file, or why that is of no use."""
    head = await source.head()
    answer, fields = head.summary(), head.fields
    discard(head.exchange)
    if answer.status == 200 and answer.length is not None and not fields.get(b"content-encoding"):
        facts = facts_of(answer, fields, answer.length)
        if (missing := disagreement(facts, known, same)) is not None:
            return reason(missing)
        source.requests.showed(head.place, answer.validators)
        source.alone = not combinable(facts, same)
        return facts
    if answer.status == 200 or answer.status in NO_HEAD:
        return await _ask_first_byte(source, same, known)
    bad = refusal(answer.status, fields, int(time()))
    source.error = SourceError.by(bad.reason, source.name)
    return bad.reason


async def _ask_first_byte(
    source: TransferSource, same: Same, known: Facts | None
) -> Facts | Reason:
    asked = Range(0, 1)
    got = await source.get(asked)
    answer, fields = got.summary(), got.fields
    discard(got.exchange)
    verdict = judge(
        answer, fields, asked, same, known, source.requests.version_at(got.place), int(time())
    )
    if not isinstance(verdict, Rejected):
        source.requests.showed(got.place, verdict.version)
        return verdict.facts
    if verdict.length == 0:
        return facts_of(answer, fields, 0)
    source.alone = verdict.alone
    source.error = SourceError.by(verdict.reason, source.name)
    return verdict.reason
