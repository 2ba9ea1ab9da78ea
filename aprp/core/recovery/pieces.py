"""Which pieces of a transfer are whole, verified or wrong, and who sent the wrong bytes.

Pure; it never holds the bytes themselves. The caller hashes each piece that becomes whole, and
reports the verdict:

- A right piece may be delivered, once those before it are.
- A wrong piece that one source sent proves that this source lies: it is a liar, and none of its
  bytes that aren't verified yet are kept.
- A wrong piece with bytes of several sources opens a case. It is requested again, from one source
  at a time, and the wrong copy is kept. Once a right copy is there, whoever sent bytes that differ
  from it is a liar. If a copy of one source is wrong, that source is.
- A wrong piece with bytes of a known liar accuses no one else: only the liar's bytes are dropped.
- There is one case at a time. Other wrong pieces are requested again like new ones.
- A case ends after `MOST_COPIES` wrong copies with bytes of several sources: all that sent bytes
  of the last one are taken for liars. So every case ends, and with it the transfer if all lie.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from functools import cached_property

from aprp.core.choices import Verify
from aprp.core.http.ranges import Range
from aprp.core.metalink import Hash, MetalinkFile, Pieces
from aprp.core.reasons import Reason, reason
from aprp.core.values import dataclass

MOST_COPIES = 6


@dataclass(frozen=True)
class Proof:
    """What a file of `size` bytes is verified by: its pieces, or the hash of the whole."""

    size: int
    pieces: Pieces | None = None
    whole: Hash | None = None

    @classmethod
    def of(cls, file: MetalinkFile, verify: Verify) -> Proof | None:
        """Return what a Metalink gives to verify a file by, or None if that isn't enough."""
        if verify is Verify.OFF or file.size is None:
            return None
        whole = file.checksum if verify is Verify.ALL else None
        return None if file.pieces is None and whole is None else cls(file.size, file.pieces, whole)

    @cached_property
    def identity(self) -> str:
        """A digest that no two proofs of different files share."""
        pieces = self.pieces
        said: tuple[object, ...] = (self.size, self.whole)
        if pieces is not None:
            said += (pieces.algorithm, pieces.length, *pieces.digests)
        return hashlib.sha256(repr(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes [start, stop) that a source sent."""

    source: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows from a verdict: bytes to drop and request again, and the sources that lied.

    With `keep_copy`, the wrong copy has to be kept until its case is closed.
    """

    lost: tuple[Range, ...] = ()
    liars: tuple[str, ...] = ()
    keep_copy: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A piece that has become whole. `round` tells its copies apart."""

    number: int
    held: Range
    round: int


class PieceLedger:
    """The pieces of one transfer, which begins at `start`, the edge of a piece."""

    def __init__(self, pieces: Pieces, size: int, start: int) -> None:
        self._pieces = pieces
        self._size = size
        self._sent: defaultdict[int, list[Sent]] = defaultdict(list)
        self._left: dict[int, int] = {}
        self._rounds: Counter[int] = Counter()
        self._verified: set[int] = set()
        self._copies = 0
        self.verified_to = start
        """The offset up to which all bytes are verified."""
        self.liars: set[str] = set()
        """The sources that are known to send wrong bytes."""
        self.case: int | None = None
        """The number of the piece whose wrong copy is to be compared with a right one."""
        self.accused: tuple[Sent, ...] = ()
        """Who sent which bytes of that copy."""

    def kept(self, source: str, start: int, stop: int) -> list[Whole]:
        """Note bytes of a source that were missing. Return the pieces that are whole now."""
        found = []
        for number in range(self._pieces.at(start), self._pieces.at(stop - 1) + 1):
            held = self._pieces.range_of(number, self._size)
            low, high = max(start, held.start), min(stop, held.stop)
            _add(self._sent[number], source, low, high)
            self._left[number] = left = self._left.get(number, held.length) - (high - low)
            if left == 0:
                found.append(Whole(number, held, self._rounds[number]))
        return found

    def forgot(self, start: int, stop: int) -> None:
        """Note bytes that were dropped."""
        for number in range(self._pieces.at(start), self._pieces.at(stop - 1) + 1):
            self._rounds[number] += 1
            self._verified.discard(number)
            kept = [
                part for each in self._sent.pop(number, ()) for part in _rest(each, start, stop)
            ]
            self._left.pop(number, None)
            if kept:
                self._sent[number] = kept
                held = self._pieces.range_of(number, self._size)
                size = sum(each.stop - each.start for each in kept)
                self._left[number] = held.length - size
        self.verified_to = min(self.verified_to, start)

    def is_current(self, whole: Whole) -> bool:
        """Return whether nothing of the piece was dropped since it became whole."""
        return self._rounds[whole.number] == whole.round

    def right(self, whole: Whole) -> None:
        """Note that a piece has its hash."""
        self._verified.add(whole.number)
        self._sent.pop(whole.number, None)
        self._left.pop(whole.number, None)
        while self.verified_to < self._size:
            number = self._pieces.at(self.verified_to)
            if number not in self._verified:
                break
            self._verified.remove(number)
            self.verified_to = self._pieces.range_of(number, self._size).stop

    def wrong(self, whole: Whole) -> Ruling:
        """Rule on a piece that doesn't have its hash."""
        sent = tuple(self._sent[whole.number])
        names = {each.source for each in sent}
        if names & self.liars:
            known = (Range(each.start, each.stop) for each in sent if each.source in self.liars)
            return Ruling(tuple(known))
        if len(names) == 1:
            return self._convict(names, whole.held)
        if self.case is None:
            self.case, self.accused, self._copies = whole.number, sent, 1
            return Ruling((whole.held,), keep_copy=True)
        if self.case == whole.number:
            self._copies += 1
            if self._copies > MOST_COPIES:
                self._close()
                return self._convict(names, whole.held)
        return Ruling((whole.held,))

    def compared(self, liars: Collection[str]) -> Ruling:
        """Close the case: these sources sent bytes that differ from those of the right piece.

        That piece has been noted as right before, and is kept, whoever sent it.
        """
        self._close()
        return self._convict(liars)

    def _close(self) -> None:
        self.case, self.accused = None, ()

    def _convict(self, names: Collection[str], held: Range | None = None) -> Ruling:
        """Return the ruling that drops a piece, and what the liars sent of others."""
        liars = tuple(sorted(set(names) - self.liars))
        self.liars.update(liars)
        lost = [] if held is None else [held]
        lost += [
            Range(each.start, each.stop)
            for sent in self._sent.values()
            for each in sent
            if each.source in liars and (held is None or not held.start <= each.start < held.stop)
        ]
        return Ruling(tuple(lost), liars)


def blame_for(whole: Whole) -> Reason:
    """Return the reason for which a source is left out."""
    held = whole.held
    text = f"sent wrong bytes in piece {whole.number + 1} (bytes {held.start}-{held.stop - 1})"
    return reason(text, kind="http_protocol_error")


def differing(
    accused: Iterable[Sent], at: int, wrong: bytes | memoryview, right: bytes | memoryview
) -> set[str]:
    """Return who sent bytes that differ from the right ones; both copies begin at offset `at`."""
    return {
        each.source
        for each in accused
        if wrong[each.start - at : each.stop - at] != right[each.start - at : each.stop - at]
    }


def _add(sent: list[Sent], source: str, start: int, stop: int) -> None:
    """Add some bytes, joined to those before them if the same source sent these."""
    for index, each in enumerate(sent):
        if each.stop == start and each.source == source:
            sent[index] = Sent(source, each.start, stop)
            return
    sent.append(Sent(source, start, stop))


def _rest(sent: Sent, start: int, stop: int) -> list[Sent]:
    """Return what is left of some bytes when those of [start, stop) are gone."""
    parts = ((sent.start, min(sent.stop, start)), (max(sent.start, stop), sent.stop))
    return [Sent(sent.source, low, high) for low, high in parts if low < high]
