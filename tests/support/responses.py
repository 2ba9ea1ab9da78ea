"""A strict reader of the responses that a client receives, apart from the proxy's own.

It decides by RFC 9112 section 6.3 where each response ends, and whether a client could take it for
whole. What isn't a response at all is a failure of the test.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t -~\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


class TextFields:
    """Fields by name, in any case, as text."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._pairs = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in pairs]

    def get_all(self, name: str) -> list[str]:
        return [value for each, value in self._pairs if each == name.lower()]

    def get(self, name: str, default: str = "") -> str:
        """The first value of that name, or the default."""
        return next(iter(self.get_all(name)), default)

    def __getitem__(self, name: str) -> Any:
        """The first value of that name, None where there is none."""
        return next(iter(self.get_all(name)), None)

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))


@dataclass(frozen=True, slots=True)
class Response:
    """One response. `whole` is what its framing says; a body by close is whole after a FIN."""

    status: int
    pairs: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool
    framing: str

    @property
    def final(self) -> bool:
        return self.status >= 200

    @property
    def fields(self) -> TextFields:
        return TextFields(self.pairs)

    def all(self, name: bytes) -> list[bytes]:
        """Every value of that lower-case name."""
        return [value for each, value in self.pairs if each.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """The only value of that name, None where there is none."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


def read_responses(data: bytes, methods: Sequence[bytes], closed: str | None) -> list[Response]:
    """The responses in `data` to requests of these methods, the last perhaps not whole.

    `closed` says how the connection ended (fin or reset), None if it is open.
    """
    found: list[Response] = []
    at, waiting = 0, list(methods)
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return found
        status, fields = _head(data[at:end])
        at = end + 4
        if status < 200:
            found.append(Response(status, fields, b"", True, "none"))
            continue
        method = waiting.pop(0) if waiting else b"GET"
        response, at = _body(data, at, status, fields, method, closed)
        found.append(response)
        if not response.whole:
            return found
    return found


def parts_of(response: Response) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart/byteranges response."""
    kind, _, boundary = response.fields["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges", kind
    first, *pieces, last = response.body.split(b"--" + boundary.encode())
    assert (first, last) == (b"", b"--\r\n"), (first, last)
    parts = []
    for piece in pieces:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.strip().split(b"\r\n"))
        parts.append((lines[b"Content-Range"].decode(), content[:-2]))
    return parts


def _head(data: bytes) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
    first, *lines = data.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    assert status is not None, first
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        assert match is not None, line
        fields.append((match[1], match[2]))
    return int(status[1]), tuple(fields)


def _body(
    data: bytes,
    at: int,
    status: int,
    fields: tuple[tuple[bytes, bytes], ...],
    method: bytes,
    closed: str | None,
) -> tuple[Response, int]:
    named = {name.lower(): value for name, value in fields}
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    coding = named.get(b"transfer-encoding")
    assert len(lengths) + (coding is not None) < 2, fields
    if method == b"HEAD" or status in (204, 304):
        assert status != 204 or not lengths, fields
        return Response(status, fields, b"", True, "none"), at
    if coding is not None:
        assert coding == b"chunked", coding
        body, end = _chunks(data, at)
        return Response(status, fields, body, end is not None, "chunked"), end or len(data)
    if lengths:
        assert re.fullmatch(rb"[0-9]+", lengths[0]), lengths
        end = at + int(lengths[0])
        return Response(status, fields, data[at:end], len(data) >= end, "length"), end
    assert named.get(b"connection") == b"close", fields
    return Response(status, fields, data[at:], closed == "fin", "close"), len(data)


def _chunks(data: bytes, at: int) -> tuple[bytes, int | None]:
    body = b""
    while (match := _CHUNK.match(data, at)) is not None:
        size, at = int(match[1], 16), match.end()
        if size == 0:
            return body, at + 2 if data[at : at + 2] == b"\r\n" else None
        body += data[at : at + size]
        at += size + 2
        if at > len(data):
            return body, None
    return body, None
