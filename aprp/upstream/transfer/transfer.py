"""One file from several sources at once, as one ordered stream of bytes: the transfer.

For a program that wants the bytes
==================================

Once in a process, make an agent and what all transfers share (slots, ratings, memory)::

    agent = Agent(reactor)
    shared = SharedResources(agent, reactor, memory=512 * MIB)

Then for each file::

    options = TransferOptions(same=Same.LENGTH)
    transfer = Transfer(shared, locations([Url.parse(text), ...]), options)
    try:
        facts = await transfer.begin(FromTo(0))       # or FromTo(start, stop), Suffix(n), None
        await transfer.send(Range(0, facts.complete), consumer)
    finally:
        transfer.abort()

- `begin` starts to fetch the range and returns `Facts` (complete length, Last-Modified, media type,
  digests) as soon as the first good response head has come; no other request is made for them.
  Bytes that arrive meanwhile wait. With None it requests the facts alone, by HEAD. A range that
  begins beyond the end isn't a failure: the facts show it. A short suffix is received as a whole.
- `send` writes one range into an `IConsumer` in order. The transfer registers itself as a push
  producer and unregisters at the end. The consumer sets the pace: `pauseProducing` stops writing,
  and soon stops requests. If the range continues what `begin` fetches, nothing is requested twice;
  otherwise the range is requested. `send` can be called again for other ranges, one at a time.
- With `TransferOptions.proof`, only verified pieces are sent, and whole pieces are fetched. Of a
  file that has the hash of the whole alone, the last bytes are sent once it fits.
- A file of which no two responses may be combined (`aprp.core.recovery.versions`) is read from one
  source as one response. `prepare` opens it for all ranges that will be sent, in ascending order,
  and returns its facts, which may be those of a later version.
- All three raise `TransferFailed`, whose `reasons` has (source, why) for every source. It is a
  `LengthUnknown` if no source says how long the file is; its `response` may be relayed.
- `abort` stops everything at once, at any time. So does cancelling a wait for `begin` or `send`.
- `contributors`, `resumes`, `received` (bytes by source) and `wasted` (bytes that weren't needed)
  describe what has happened so far. For progress bars and pictures, set `observe` to a function
  called with (source, attempt, offset, count, kept) for all bytes that arrive, and `observe_asked`
  to one called with (source, attempt, start, stop) for each requested range.

The policies, the window and so on are in `TransferOptions.scheduling`, a
`aprp.core.scheduling.settings.SchedulingSettings`. When the program ends: `await agent.close()`.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IConsumer

from aprp.core.choices import Compare
from aprp.core.http.ranges import FromTo, Range, Spec, Suffix
from aprp.core.reasons import Reason, reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.pieces import Proof
from aprp.core.recovery.same_file import NOT_COMBINABLE
from aprp.core.recovery.versions import Facts, combinable
from aprp.upstream.errors import Exhausted
from aprp.upstream.transfer.attempt import Attempt
from aprp.upstream.transfer.driver import Driver
from aprp.upstream.transfer.failures import SourceFailures, TransferFailed
from aprp.upstream.transfer.inquiry import inquire
from aprp.upstream.transfer.options import FileLocation, TransferOptions
from aprp.upstream.transfer.progress import TransferProgress
from aprp.upstream.transfer.sample import Sample
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.single import SingleReader
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.transfer.suffix import HeldSuffix, Shown, at_once
from aprp.upstream.transfer.vouching import (
    SERVERS_ANSWER_WITHIN,
    Agreement,
    directories_may_answer,
    waiting_directories,
)
from aprp.upstream.transfer.waiting import FactsWait
from aprp.upstream.transfer.whole import whole_file

OTHERS_ANSWER_WITHIN = 1.0
"""Seconds that other sources have to respond, when a response can only be used by itself."""


class Transfer(TransferProgress):
    """One file from several sources, as an ordered stream of bytes; see the module."""

    def __init__(
        self,
        shared: SharedResources,
        sources: Sequence[FileLocation],
        options: TransferOptions,
        known: Facts | None = None,
    ) -> None:
        super().__init__([TransferSource(shared, each, options) for each in sources])
        self.facts = known
        self._shared = shared
        self._options = options
        self._sample: Sample | None = None
        if options.compare is Compare.SAMPLE:
            self._sample = Sample(shared.clock, shared.compared, options.samples)
        self._driver: Driver | None = None
        self._suffix: HeldSuffix | None = None
        self._read_whole = False  # whether sources that ignore ranges are read from the beginning
        self._wait = FactsWait(shared.clock, self._stop_waiting, self.abort)
        self._failures = SourceFailures(shared, sources, options.transfer_id)
        self._single = SingleReader(options.same, shared.clock)
        self._agreement = Agreement(shared.vouched)
        proof = options.proof
        self._pieces_of: Proof | None = proof if proof is not None and proof.pieces else None

    @property
    def identity(self) -> str | None:
        """What the file's verified pieces are known by, or None if it has none."""
        return None if self._pieces_of is None else self._pieces_of.identity

    @property
    def id(self) -> str:
        """The transfer's id in log lines."""
        return self._options.transfer_id

    @property
    def driver(self) -> Driver | None:
        """The driver that fetches the bytes now, for the admin page."""
        return self._driver

    @property
    def held(self) -> int:
        """The number of bytes in memory."""
        suffix = 0 if self._suffix is None else len(self._suffix.data)
        return suffix + (0 if self._driver is None else self._driver.held)

    def has(self, wanted: Range) -> bool:
        """Return whether all bytes of that range have been received by `begin`, as a suffix."""
        return self._suffix is not None and self._suffix.part(wanted) is not None

    async def begin(self, spec: Spec | None) -> Facts:
        if isinstance(spec, Suffix) and self._pieces_of is not None and spec.length > 0:
            spec = FromTo(max(0, self._pieces_of.size - spec.length))
        if spec is None or isinstance(spec, Suffix):
            return await self._inquire(spec)
        waiting = waiting_directories(self._in_service())
        await self._learn(spec, waiting)
        if self.facts is None and self._ignores_ranges:
            self._read_whole = True
            await self._learn(spec, waiting)
        if self.facts is None and directories_may_answer(self._in_service(), waiting):
            await self._learn(spec)
        if self.facts is not None:
            return self.facts
        if any(source.alone for source in self._sources):
            return await self._open_one(spec)
        if any(source.beyond for source in self._sources):
            return await self._inquire(spec)
        raise self._failed(None if self._driver is None else self._driver.failure)

    async def _learn(self, spec: FromTo, waiting: frozenset[str] = frozenset()) -> None:
        """Begin to fetch, until the facts are known or every source has failed.

        The sources named in `waiting` aren't asked before another has given the facts.
        """
        known = self._wait.begin()
        self._drive(spec.start, spec.stop, waiting)
        if waiting:
            self._wait.limit(SERVERS_ANSWER_WITHIN)
        self._answer_if_known()
        await known

    async def prepare(self, ranges: Sequence[Range]) -> Facts:
        facts = self.facts
        assert facts is not None, "begin comes first"
        if not ranges or combinable(facts, self._options.same):
            return facts
        if self._single.leads_to(Range(ranges[0].start, ranges[-1].stop)):
            return facts
        only = ranges[0]
        whole = len(ranges) > 1 or only == Range(0, facts.complete)
        return await self._open_one(None if whole else FromTo(only.start, only.stop))

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        if wanted.start >= wanted.stop:
            return
        proof = self._options.proof
        checked = None if self.facts is None else whole_file(proof, wanted, self.facts, sink)
        await self._send(wanted, checked or sink)
        if checked is not None and proof is not None and not await checked.finish():
            senders = [source for source in self._sources if self.received[source.name]]
            raise self._failures.wrong_file(senders, proof)

    async def _send(self, wanted: Range, sink: IConsumer) -> None:
        held = None if self._suffix is None else self._suffix.part(wanted)
        if held is not None:
            sink.write(held)
            return
        if await self._has_one_for(wanted):
            await self._single.send(wanted, sink, self.arrived)
            return
        driver = self._driver
        complete = wanted.stop if self.facts is None else self.facts.complete
        if driver is None or not driver.leads_to(wanted, complete):
            if driver is not None:
                driver.abort()
            driver = self._drive(wanted.start, wanted.stop)
        try:
            await driver.deliver(sink)
        except Exhausted as failure:
            if self._read_whole or not self._ignores_ranges:
                raise self._failed(failure) from None
            self._read_whole, self._driver = True, None
            await self._send(Range(driver.position, wanted.stop), sink)

    def abort(self) -> None:
        self._wait.limit(None)
        self._suffix = None
        self._single.abort()
        if self._driver is not None:
            self._driver.abort()
        for source in self._sources:
            source.close()

    async def _has_one_for(self, wanted: Range) -> bool:
        """Whether the range has to be sent from one response, which is opened if it isn't yet."""
        if self._single.leads_to(wanted):
            return True
        facts = self.facts
        if facts is None or combinable(facts, self._options.same):
            return False
        names = self.source_names
        if self._single.used:
            raise TransferFailed([(name, NOT_COMBINABLE) for name in names], self._sources)
        if not facts.same_version(await self.prepare((wanted,))):
            raise TransferFailed([(name, reason("has changed its file")) for name in names], ())
        return True

    async def _open_one(self, spec: Spec | None) -> Facts:
        self.facts = await self._single.open(self._in_service(), spec)
        return self.facts

    def _stop_waiting(self) -> None:
        if self.facts is None and self._driver is not None:
            self._driver.abort()

    def _drive(self, start: int, stop: int | None, waiting: frozenset[str] = frozenset()) -> Driver:
        self.trail.settle()
        driver = self._driver = Driver(
            self._shared, self._sources, self._options, start, stop, self, self._sample, waiting
        )
        driver.begin(self._answer_if_known)
        return driver

    def _answer_if_known(self) -> None:
        """Resume `begin` if the facts are known, or the driver has failed to get them."""
        if self.facts is not None or (self._driver is not None and self._driver.over):
            self._wait.end()

    @property
    def _ignores_ranges(self) -> bool:
        return any(source.ignores_ranges for source in self._sources)

    def _in_service(self) -> Sequence[TransferSource]:
        """Return the sources in service, or all of them if none is."""
        out = self._shared.in_service.out
        return [source for source in self._sources if source.name not in out] or self._sources

    async def _inquire(self, spec: Spec | None) -> Facts:
        proof = self._pieces_of
        shown = await inquire(
            self._shared.clock,
            self._in_service(),
            self._options.same,
            None if proof is None else Facts(proof.size),
            None if self._sample is not None else at_once(spec),
        )
        if isinstance(shown, Shown):
            self.facts, self._suffix = shown.facts, shown.suffix
            if shown.suffix is not None:
                self.arrived(shown.suffix.source, shown.suffix.start, len(shown.suffix.data))
            return shown.facts
        if any(source.alone for source in self._sources):
            return await self._open_one(spec)
        raise TransferFailed(shown, self._sources)

    def _failed(self, failure: Exception | None) -> Exception:
        if isinstance(failure, Exhausted):
            return TransferFailed(failure.reasons, self._sources)
        assert failure is not None
        return failure

    # Called by the driver.

    def learned(self, source: TransferSource, facts: Facts) -> None:
        self._agreement.accepted(source, facts)
        if self.facts is None:
            self.facts = facts
            for each in self._sources:
                each.drop_spare()
            self._failures.file_found()
            self._answer_if_known()

    def asked(self, attempt: Attempt) -> None:
        self.note_asked(attempt, () if self._driver is None else self._driver.running)

    def failed(self, source: TransferSource, end: End, why: Reason | None) -> None:
        why = why or reason("failed")
        if end is End.BEYOND:
            source.beyond = True
            return
        if end is End.BROKEN:
            self.resumes += 1
        if end is End.ABSENT and source.on_disk:
            source.no_longer_vouched()
        if source.alone and self.facts is None:
            self._failures.log(source, why)
            self._wait.limit(OTHERS_ANSWER_WITHIN)
        else:
            self._failures.note(source, end, why, self.facts is not None)
