"""Chunked transfer coding, decoded (RFC 9112 section 7.1).

Sizes are hexadecimal digits and nothing else, extensions are dropped, trailers are read and
dropped; lines end in CRLF only and are bounded, so that a hostile sender costs little.
"""

from __future__ import annotations

import re

from aprp.core.head import MalformedMessage, parse_fields

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
MAX_LINE = 4096
MAX_TRAILERS = 16384


class ChunkedDecoder:
    """Feed it what came; it gives back the body's bytes. `rest` is what follows the body."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._held = b""
        self._left = 0
        self._read = self._size

    def feed(self, data: bytes) -> list[bytes]:
        """The body bytes in `data`, in pieces; raises `MalformedMessage`."""
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
        line, following = self._line(held, at, MAX_LINE)
        if following is None:
            return None
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise MalformedMessage("a chunk size is not a hexadecimal number")
        self._left = int(match[1], 16)
        self._read = self._data if self._left else self._trailers
        return following

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
        if end < 0:
            if len(held) - at > MAX_TRAILERS:
                raise MalformedMessage("the trailers are too long")
            return None
        parse_fields(held[at:end].split(b"\r\n"))
        self.done = True
        return end + 4

    @staticmethod
    def _line(held: bytes, at: int, limit: int) -> tuple[bytes, int | None]:
        end = held.find(b"\r\n", at)
        if end < 0:
            if len(held) - at > limit:
                raise MalformedMessage("a chunk size line is too long")
            return b"", None
        return held[at:end], end + 2
