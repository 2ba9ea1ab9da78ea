"""Read a Metalink's file from its mirrors; with piece hashes, only verified pieces come out.

- The mirrors are used some at a time, the best first. When these fail, the next ones take over.
- A wrong piece is requested again, whole, from one mirror after the other. The right one shows
  which bytes were wrong, and so who sent them: that mirror is named and left out. If two mirrors
  sent the same bytes, neither is blamed for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from aprp.core.http.ranges import FromTo, Range
from aprp.core.metalink import MetalinkFile, Pieces
from aprp.core.recovery.versions import Facts
from aprp.get.partial import Partial
from aprp.get.senders import Senders
from aprp.library.fetch_request import FetchRequest
from aprp.library.open_transfer import TransferReader
from aprp.upstream.errors import BodyBroken, SourceError
from aprp.upstream.transfer.failures import TransferFailed
from aprp.upstream.transfer.hashing import digests
from aprp.upstream.transfer.transfer import Transfer

AT_ONCE = 8
"""Mirrors that are used at the same time."""


class NotAsListed(SourceError):
    """Raised when the mirrors' file isn't the one that the Metalink describes."""


class CheckedReader:
    """An asynchronous iterator of the file's bytes from `start` on, which begins a piece.

    `watch` is called with each transfer before it begins, `say` with messages for the user.
    """

    def __init__(
        self,
        request: FetchRequest,
        file: MetalinkFile,
        start: int,
        reactor: Any,
        watch: Callable[[Transfer], None],
        say: Callable[[str], None],
    ) -> None:
        self._request = request
        self._file = file
        self._at = start
        self._reactor = reactor
        self._watch = watch
        self._say = say
        names = [location.source.name for location in request.locations]
        self._names, self._spare = names[:AT_ONCE], names[AT_ONCE:]
        self._reading: TransferReader | None = None
        self._senders = Senders()
        self._held = bytearray()
        self._facts = request.known

    @property
    def facts(self) -> Facts:
        """The facts about the file; known once the reader is entered."""
        assert self._facts is not None, "nothing is known before the reader is entered"
        return self._facts

    async def read(self) -> bytes:
        """Return the next bytes, empty at the end. Raise SourceError."""
        while True:
            if self._facts is not None and self._at >= self._facts.complete:
                return b""
            try:
                reading = await self._open()
                if self._file.pieces is not None:
                    return await self._next_piece(reading, self._file.pieces)
                data = await reading.read()
                self._at += len(data)
                return data
            except TransferFailed as error:
                self._use_spare(error)

    def close(self) -> None:
        """Stop at once. Calling it again does nothing."""
        reading, self._reading = self._reading, None
        self._held.clear()
        if reading is not None:
            reading.abort()

    async def __aenter__(self) -> Self:
        while self._facts is None:
            try:
                await self._open()
            except TransferFailed as error:
                self._use_spare(error)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    async def _open(self) -> TransferReader:
        """Return the current transfer, begun at the next byte if there is none."""
        if self._reading is None:
            self._reading = self._transfer(self._names, FromTo(self._at))
            self._senders = Senders()
            self._senders.watch(self._reading.transfer)
            await self._reading.begin()
            self._facts = self._reading.facts
            found, size = self._facts.complete, self._file.size
            if size is not None and found != size:
                raise NotAsListed(
                    "", f"the mirrors have a file of {found} bytes, the Metalink one of {size}"
                )
        return self._reading

    def _transfer(self, names: list[str], spec: FromTo) -> TransferReader:
        request = replace(self._request, only=frozenset(names))
        reading = TransferReader(request, spec, self._reactor)
        self._watch(reading.transfer)
        return reading

    def _use_spare(self, error: TransferFailed) -> None:
        """Continue with the next mirrors, or raise the error if there are none."""
        self.close()
        if not self._spare:
            raise error
        self._names, self._spare = self._spare[:AT_ONCE], self._spare[AT_ONCE:]
        self._say(f"{error}; trying {len(self._names)} more mirrors")

    async def _next_piece(self, reading: TransferReader, pieces: Pieces) -> bytes:
        number = pieces.at(self._at)
        held = pieces.range_of(number, self.facts.complete)
        while len(self._held) < held.length:
            data = await reading.read()
            if not data:
                raise BodyBroken("", f"the transfer ended before piece {number + 1} did")
            self._held += data
        piece = bytes(self._held[: held.length])
        del self._held[: held.length]
        if not await right(piece, pieces, number):
            piece = await self._replaced(piece, held, pieces, number)
        self._at = held.stop
        self._senders.forget(held.stop)
        return piece

    async def _replaced(self, wrong: bytes, held: Range, pieces: Pieces, number: int) -> bytes:
        """Return the right piece from a single mirror, and leave out who sent the wrong one."""
        suspects = self._senders.of(held)
        self.close()
        if len(suspects) == 1:
            self._leave_out(suspects[0], held, number)
            suspects = []
        others = [name for name in (*self._names, *self._spare) if name not in suspects]
        reasons = []
        for name in (*others, *suspects):
            try:
                piece = await self._alone(name, held)
            except SourceError as error:
                reasons.append(str(error))
                continue
            if not await right(piece, pieces, number):
                self._leave_out(name, held, number)
                continue
            for liar in list(self._senders.liars(held, wrong, piece)):
                self._leave_out(liar, held, number)
            self._refill()
            return piece
        said = f"no mirror sent piece {number + 1} (bytes {held.start}-{held.stop - 1}) as listed"
        raise NotAsListed("", "; ".join((said, *reasons)))

    async def _alone(self, name: str, held: Range) -> bytes:
        reading = self._transfer([name], FromTo(held.start, held.stop))
        parts = []
        try:
            while data := await reading.read():
                parts.append(data)
        finally:
            reading.abort()
        return b"".join(parts)

    def _leave_out(self, name: str, held: Range, number: int) -> None:
        if name not in self._names and name not in self._spare:
            return
        self._names = [each for each in self._names if each != name]
        self._spare = [each for each in self._spare if each != name]
        where = f"piece {number + 1} (bytes {held.start}-{held.stop - 1})"
        self._say(f"left out: {name} sent wrong bytes in {where}")

    def _refill(self) -> None:
        """Take as many spare mirrors into use as were left out."""
        count = AT_ONCE - len(self._names)
        self._names += self._spare[:count]
        self._spare = self._spare[count:]


async def right(data: bytes, pieces: Pieces, number: int) -> bool:
    """Return whether the piece has its digest; it is hashed in a thread."""
    (found,) = await digests(pieces, [[data]])
    return found == pieces.digests[number]


async def good_part(partial: Partial, file: MetalinkFile) -> int:
    """Return how many bytes of a partial file are whole pieces without a wrong one among them."""
    pieces, size = file.pieces, file.size
    assert pieces is not None and size is not None
    for number in range(pieces.whole_in(partial.written, size)):
        held = pieces.range_of(number, size)
        if not await right(partial.read(held.start, held.stop), pieces, number):
            return held.start
    whole = pieces.whole_in(partial.written, size)
    return pieces.range_of(whole - 1, size).stop if whole else 0
