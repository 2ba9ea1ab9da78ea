"""A strict reader of what a client receives, apart from the proxy's own.

It decides by RFC 9112 section 6.3 where each answer ends, and whether a client could take it for
whole. What isn't an answer at all is a failure of the test.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t -~\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer. `whole` is what its framing says; a body by close is whole after a FIN."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool
    framing: str

    @property
    def final(self) -> bool:
        return self.status >= 200

    def all(self, name: bytes) -> list[bytes]:
        """Every value of that lower-case name."""
        return [value for each, value in self.fields if each.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """The only value of that name, None where there is none."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


def parse_answers(data: bytes, methods: Sequence[bytes], closed: str | None) -> list[Seen]:
    """The answers in `data` to requests of these methods, the last perhaps not whole."""
    seen: list[Seen] = []
    at, waiting = 0, list(methods)
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return seen
        status, fields = _head(data[at:end])
        at = end + 4
        if status < 200:
            seen.append(Seen(status, fields, b"", True, "none"))
            continue
        method = waiting.pop(0) if waiting else b"GET"
        answer, at = _body(data, at, status, fields, method, closed)
        seen.append(answer)
        if not answer.whole:
            return seen
    return seen


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
) -> tuple[Seen, int]:
    named = {name.lower(): value for name, value in fields}
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    coding = named.get(b"transfer-encoding")
    assert len(lengths) + (coding is not None) < 2, fields
    if method == b"HEAD" or status in (204, 304):
        assert status != 204 or not lengths, fields
        return Seen(status, fields, b"", True, "none"), at
    if coding is not None:
        assert coding == b"chunked", coding
        body, end = _chunks(data, at)
        return Seen(status, fields, body, end is not None, "chunked"), end or len(data)
    if lengths:
        assert re.fullmatch(rb"[0-9]+", lengths[0]), lengths
        end = at + int(lengths[0])
        return Seen(status, fields, data[at:end], len(data) >= end, "length"), end
    assert named.get(b"connection") == b"close", fields
    return Seen(status, fields, data[at:], closed == "fin", "close"), len(data)


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
