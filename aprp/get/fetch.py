"""Fetch a file from its sources, verify it, and write it to the target.

To resume a partial file, its recorded version is compared, and its last bytes are fetched again and
compared; a Metalink's pieces on disk are verified instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.rate_limit import RateLimit
from aprp.get.checksum import Check
from aprp.get.lengths import AnotherLength, with_length
from aprp.get.mirrors import with_duplicates
from aprp.get.naming import CannotWrite, ReaderLeft, is_stream
from aprp.get.on_disk import good_part, wrong_piece
from aprp.get.options import Misunderstood, Options
from aprp.get.partial import Partial, PartialVersion
from aprp.get.progress import Display
from aprp.get.tally import Tally
from aprp.get.target import Target, ToPartial, ToStream
from aprp.library.open_transfer import NotInFile, TransferReader
from aprp.upstream.metalink.signatures import BadSignature

OVERLAP = 65536
"""How many bytes of a partial file to fetch again and compare."""
SAVE_SECONDS = 4.0


class AnotherFile(Exception):
    """Raised when the partial file can't be resumed; the text says why."""


class WrongChecksum(Exception):
    """Raised when the checksum differs."""


@dataclass(slots=True)
class Outcome:
    """The result of a fetch so far. `here` is the number of bytes that existed before."""

    range: Range | None = None
    complete: int | None = None
    last_modified: int | None = None
    here: int = 0
    checksum: str | None = None


class Fetch:
    """A download of one file; `path` None is standard output."""

    def __init__(
        self, options: Options, path: Path | None, tally: Tally, display: Display, reactor: Any
    ) -> None:
        self.outcome = Outcome()
        self.options = options
        self.path = path
        self._tally = tally
        self._display = display
        self._reactor = reactor
        self.kept = False
        """Whether a partial file is left that can be resumed."""
        self._check = Check(options.checksum)
        self._limit = RateLimit(options.limit_rate, reactor.seconds())

    async def run(self) -> None:
        """Download it. Raise CannotWrite, ReaderLeft, AnotherFile, WrongChecksum or SourceError."""
        path, pieces = self.path, self.options.pieces
        if self.options.signature is not None and (path is None or is_stream(path)):
            raise CannotWrite(
                "a signature in a Metalink is verified at the end of the file, so it can't be "
                "written to a pipe; name a file with -o"
            )
        if pieces is not None and self.options.fetch_request.proof is None:
            try:
                self._use(await with_length(self.options, pieces, self._reactor))
            except AnotherLength as error:
                raise WrongChecksum(f"{self._title()}: {error}") from None
        if path is None or is_stream(path):
            await self._begin(ToStream(path), None)
            return
        partial = Partial(path, self.options.go_on)
        if self.options.go_on and partial.version is None and path.exists():
            partial.discard()
            await self._compare(path)
            return
        try:
            await self._begin(ToPartial(partial), partial)
        finally:
            if partial.version is None:
                partial.discard()
            else:
                self.kept = partial.part.exists()
                partial.close()

    async def _compare(self, path: Path) -> None:
        """Check whether an existing file without a record is already complete."""
        async with self._reading(FromTo(0)) as reading:
            complete = reading.facts.complete
        found = path.stat().st_size
        if self.options.spec is not None or found != complete:
            raise AnotherFile(
                f"{path} has {found} bytes, the file there {complete}, and no record says how "
                "they belong together; download it again without -c"
            )
        self.outcome.range, self.outcome.complete = Range(0, complete), complete
        self.outcome.here = found
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                self._check.update(piece)
        self._judge()
        await self._compare_pieces(path)
        await self._check_signature(path, None)
        self._display.say(f"{path} is already complete")

    async def _compare_pieces(self, path: Path) -> None:
        """Verify the pieces of an existing file."""
        pieces = self.options.pieces
        if pieces is None or self._check.expected is not None:
            return
        number = await wrong_piece(path, pieces)
        if number is not None:
            raise AnotherFile(
                f"{path} isn't the file of the checksums: piece {number + 1} differs; "
                "download it again without -c"
            )

    def _reading(self, spec: Spec) -> TransferReader:
        """Return what reads the file from its sources."""
        reading = TransferReader(self.options.fetch_request, spec, self._reactor)
        self._tally.watch(reading.transfer)
        return reading

    async def _with_duplicates(self, spec: Spec) -> TransferReader:
        """Return what reads the file, from the mirrors that its only source names as well."""
        reading = self._reading(spec)
        verified = self.options.listed is not None or self.options.pieces is not None
        if verified or len(self.options.urls) > 1:
            return reading
        try:
            await reading.begin()
            options = with_duplicates(self.options, reading.facts)
        except BaseException:
            reading.abort()
            raise
        if options is None:
            return reading
        reading.abort()
        self._use(options)
        return self._reading(spec)

    def _use(self, options: Options) -> None:
        """Use other options, maybe with mirrors that the only source named."""
        more = options.urls[len(self.options.urls) :]
        self.options, self._check = options, Check(options.checksum)
        self._tally.use([location.source.name for location in options.fetch_request.locations])
        if more:
            self._display.say(f"{options.urls[0]} names mirrors: {', '.join(map(str, more))}")

    async def _begin(self, target: Target, partial: Partial | None) -> None:
        before = None if partial is None else partial.version
        proof = self.options.fetch_request.proof
        verified = proof is not None and self.options.spec is None
        if partial is not None and verified:
            assert proof is not None and proof.pieces is not None
            partial.keep(await good_part(partial, proof.pieces, proof.size))
        here = 0 if partial is None else partial.written
        again = 0 if verified else min(here, OVERLAP)
        spec: Spec = self.options.spec or FromTo(0)
        if before is not None:
            spec = FromTo(before.start + here - again, before.stop)
        try:
            async with await self._with_duplicates(spec) as reading:
                version = self._know(reading, before)
                if partial is not None:
                    partial.begin(version)
                    for piece in partial.pieces():
                        self._check.update(piece)
                length = version.stop - version.start
                self._display.begin(self._title(), length, here)
                known = b"" if partial is None else partial.read(here - again, here)
                await self._move(reading, target, known, version.start + here)
        except NotInFile as error:
            if before is not None:
                raise AnotherFile(f"the file is shorter now: {error}") from None
            raise
        self._judge(target)
        if partial is not None:
            await self._check_signature(partial.part, target)
        target.finish()

    def _know(self, reading: TransferReader, before: PartialVersion | None) -> PartialVersion:
        facts = reading.facts
        wanted = (self.options.spec or FromTo(0)).resolve(facts.complete) or Range(0, 0)
        version = PartialVersion(facts.complete, facts.last_modified, wanted.start, wanted.stop)
        if before is not None and (reason := before.difference(version)) is not None:
            raise AnotherFile(f"{self._title()} can't be resumed: {reason}")
        outcome = self.outcome
        outcome.range, outcome.complete = wanted, facts.complete
        outcome.last_modified = facts.last_modified
        return version

    async def _move(self, reading: TransferReader, target: Target, known: bytes, at: int) -> None:
        """Copy from the sources to the target; the first bytes must equal `known`, up to `at`."""
        self.outcome.here = at - (self.outcome.range or Range(0, 0)).start
        saving: list[Deferred[None]] = []

        def save() -> Deferred[None]:
            saving[:] = [Deferred.fromCoroutine(target.save())]
            return saving[0]

        showing, keeping = LoopingCall(self._display.show), LoopingCall(save)
        showing.clock = keeping.clock = self._reactor
        showing.start(self._display.seconds, now=False)
        kept = keeping.start(SAVE_SECONDS, now=False)
        try:
            async for piece in reading:
                new = piece
                if known:
                    same = min(len(known), len(piece))
                    if piece[:same] != known[:same]:
                        raise AnotherFile(
                            f"{self._title()} can't be resumed: its last bytes differ from "
                            "those of the file that is there now"
                        )
                    known, new = known[same:], piece[same:]
                if new:
                    at += len(new)
                    self._check.update(new)
                    await target.write(new)
                    self._tally.took(len(new), at)
                    await self._wait(len(new))
                if kept.called:
                    await kept
        finally:
            showing.stop()
            if keeping.running:
                keeping.stop()
            for each in saving:
                await each
            await target.save()

    async def _wait(self, count: int) -> None:
        seconds = self._limit.wait(count, self._reactor.seconds())
        if seconds > 0:
            await deferLater(self._reactor, seconds)

    def _judge(self, target: Target | None = None) -> None:
        self.outcome.checksum = self._check.found
        if not self._check.wrong:
            return
        if target is not None:
            target.discard()
        assert self._check.expected is not None
        name = self._check.expected.algorithm
        said = f"its {name} is {self._check.found}, not {self._check.expected.digest}"
        senders = [source for source, count in self._tally.written.items() if count]
        came = f"; its bytes came from {', '.join(senders)}" if senders else ""
        raise WrongChecksum(f"{self._title()}: {said}{came}")

    async def _check_signature(self, path: Path, target: Target | None) -> None:
        """Raise WrongChecksum, and discard the target, if the file isn't what was signed."""
        if self.options.signature is None:
            return
        try:
            await self.options.signature.check(path)
        except BadSignature as error:
            if target is not None:
                target.discard()
            raise WrongChecksum(f"{self._title()}: its signature isn't good: {error}") from None

    @property
    def name(self) -> str:
        """The path that is written, or what standard output is called."""
        return str(self.path or "standard output")

    def _title(self) -> str:
        return "standard output" if self.path is None else self.path.name


def reason_of(error: BaseException) -> tuple[int, str]:
    """Return the exit status and the message for the error that ended a fetch."""
    status = 1
    kinds = (
        (Misunderstood, 2),
        (CannotWrite, 3),
        (WrongChecksum, 4),
        (AnotherFile, 5),
        (ReaderLeft, 141),
    )
    for kind, number in kinds:
        if isinstance(error, kind):
            status = number
    return status, str(error)
