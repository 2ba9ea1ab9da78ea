"""Decode the framing of HTTP/1.x bodies (RFC 9112 sections 6.3 and 7.1).

Feed received bytes to a decoder; it returns the body's bytes. Once it is `done`, `rest` has the
bytes after the body. Chunk sizes are hexadecimal digits only, extensions are dropped, trailers are
checked and dropped. Lines end in CRLF only and are bounded, so that a hostile sender costs little.
"""

from __future__ import annotations

import re
from typing import Protocol

from aprp.core.http.heads import Framing, MalformedMessage, check_line_ends, parse_fields

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_EXTENSION = (
    rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
)
_STRICT = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*")
_LENIENT = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
MAX_LINE = 4096
MAX_TRAILERS = 16384


class BodyTooLarge(Exception):
    """Raised when a body is, or is declared to be, larger than allowed."""


class Decoder(Protocol):
    """Remove the framing of a body."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Return the body bytes in `data`, in pieces; raise `MalformedMessage`."""
        ...


def decoder_for(framing: Framing) -> Decoder:
    """Return the decoder of a response's body. One for a body that ends with the connection is
    never `done`.
    """
    if framing.chunked:
        return ChunkedDecoder()
    return LengthDecoder(framing.length)


class LengthDecoder:
    """A body with a declared length, or up to the close if it is None."""

    def __init__(self, length: int | None) -> None:
        self.done = length == 0
        self.rest = b""
        self._left = length

    def feed(self, data: bytes) -> list[bytes]:
        if self._left is None:
            return [data]
        if len(data) > self._left:
            data, self.rest = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.done = self._left == 0
        return [data] if data else []

    def skip(self, count: int) -> None:
        """Take note of body bytes that went another way, no more than there are."""
        if self._left is not None:
            self._left -= count
            self.done = self._left == 0


class ChunkedDecoder:
    """The chunked coding. `strict` takes no spaces or extensions that the grammar doesn't have.

    Requests are read strictly; old servers are known to pad their sizes, which can't be misread.
    Raises `BodyTooLarge` as soon as the sizes add up to more than `most`.
    """

    def __init__(self, strict: bool = False, most: int | None = None) -> None:
        self.done = False
        self.rest = b""
        self._room = most
        self._size_line = _STRICT if strict else _LENIENT
        self._held = b""
        self._left = 0
        self._read = self._size

    def feed(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        held = self._held + data if self._held else data
        at = 0
        while not self.done:
            following = self._read(held, at, pieces)
            if following is None:
                break
            at = following
        self._held = b"" if self.done else held[at:]
        if self.done:
            self.rest = held[at:]
        return pieces

    def _size(self, held: bytes, at: int, pieces: list[bytes]) -> int | None:
        end = held.find(b"\r\n", at)
        if (len(held) if end < 0 else end) - at > MAX_LINE:
            raise MalformedMessage("a chunk size line is too long")
        if end < 0:
            check_line_ends(held[at:])
            return None
        match = self._size_line.fullmatch(held, at, end)
        if match is None:
            raise MalformedMessage("a chunk size is not a hexadecimal number")
        self._left = int(match[1], 16)
        if self._room is not None:
            self._room -= self._left
            if self._room < 0:
                raise BodyTooLarge
        self._read = self._data if self._left else self._trailers
        return end + 2

    def _data(self, held: bytes, at: int, pieces: list[bytes]) -> int | None:
        if at == len(held):
            return None
        piece = held[at : at + self._left]
        pieces.append(piece)
        self._left -= len(piece)
        if self._left == 0:
            self._read = self._end_of_data
        return at + len(piece)

    def _end_of_data(self, held: bytes, at: int, pieces: list[bytes]) -> int | None:
        end = held[at : at + 2]
        if not b"\r\n".startswith(end):
            raise MalformedMessage("a chunk is longer than its size")
        if len(end) < 2:
            return None
        self._read = self._size
        return at + 2

    def _trailers(self, held: bytes, at: int, pieces: list[bytes]) -> int | None:
        if held[at : at + 2] == b"\r\n":
            self.done = True
            return at + 2
        end = held.find(b"\r\n\r\n", at)
        if (len(held) if end < 0 else end) - at > MAX_TRAILERS:
            raise MalformedMessage("the trailers are too long")
        if end < 0:
            check_line_ends(held[at:])
            return None
        parse_fields(held[at:end].split(b"\r\n"))
        self.done = True
        return end + 4
