"""Response heads of HTTP/1.x and how a response's body is framed (RFC 9112).

Strict where leniency would let two readers see two messages: only CRLF ends a line, no line
folding, no white space before a colon, no control characters, one meaning of the length.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from aprp.core.http.fields import TOKEN, VALUE, Fields
from aprp.core.http.ranges import MAX, number

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_FIELD_LINE = re.compile(rb"(%s):(%s)" % (TOKEN.pattern, VALUE.pattern))
KNOWN, MOST_KNOWN = 256, 1024
"""Shorter lines, in bytes, are remembered once parsed: so many of them."""
_STRAY = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n")


class MalformedMessage(Exception):
    """Raised for a message that isn't HTTP/1.x or is ambiguous; the text says why."""


class ResponseHead(NamedTuple):
    """Status line and fields. `minor` is the y of HTTP/1.y, 1 for what is later (RFC 9110 section
    2.5).
    """

    minor: int
    status: int
    reason: bytes
    fields: Fields
    major: int = 1
    """The x of HTTP/x.y; `minor` is 0 for HTTP/2."""

    @property
    def version(self) -> bytes:
        """The version as Via has it: 1.0, 1.1 or 2.0."""
        return b"%d.%d" % (self.major, self.minor)

    @property
    def protocol(self) -> str:
        """The version for people: HTTP/1.0, HTTP/1.1 or HTTP/2."""
        return "HTTP/2" if self.major == 2 else f"HTTP/1.{self.minor}"

    @property
    def keeps_alive(self) -> bool:
        """Whether the sender means to keep the connection (section 9.3)."""
        if b"connection" not in self.fields.by_name:
            return self.minor == 1
        options = self.fields.tokens(b"connection")
        return b"close" not in options and (self.minor == 1 or b"keep-alive" in options)


class Framing(NamedTuple):
    """How a body ends: after `length` bytes, with the last chunk, or with the connection."""

    length: int | None = None
    chunked: bool = False

    @property
    def by_close(self) -> bool:
        return self.length is None and not self.chunked


def parse_fields(lines: list[bytes]) -> Fields:
    """Parse field lines without their CRLF; raise `MalformedMessage` (RFC 9112 section 5)."""
    return Fields([_lines[each] for each in lines])


class _Lines(dict[bytes, tuple[bytes, bytes]]):
    """Field lines as they are parsed: most come again with the next message of the same peer."""

    def __missing__(self, line: bytes) -> tuple[bytes, bytes]:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise MalformedMessage(_fault_of(line))
        parsed = match[1], match[2].strip(b" \t")
        if len(line) < KNOWN:
            if len(self) == MOST_KNOWN:
                self.clear()
            self[line] = parsed
        return parsed


_lines = _Lines()


def _fault_of(line: bytes) -> str:
    name, colon, _ = line.partition(b":")
    if not colon:
        return "a field line has no colon"
    if TOKEN.fullmatch(name) is not None:
        return "a field value holds a control character"
    if line[:1] in (b" ", b"\t"):
        return "a field line is folded (obs-fold)"
    return "a field name is not a token"


def parse_response_head(head: bytes) -> ResponseHead:
    """Parse a head without the empty line that ends it; raise `MalformedMessage`."""
    first, *lines = head.split(b"\r\n")
    return ResponseHead(*_parse_status_line(first), parse_fields(lines))


@lru_cache(maxsize=16)
def _parse_status_line(line: bytes) -> tuple[int, int, bytes]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MalformedMessage("the status line is not one of HTTP/1.x")
    return min(int(match[1]), 1), int(match[2]), match[3] or b""


def check_line_ends(data: bytes, checked: int = 0) -> None:
    """Raise `MalformedMessage` for a bare CR or LF (section 2.2).

    Checked while a head is incomplete: a sender that ends lines otherwise never sends the end that
    is waited for. The first `checked` bytes were found valid before, up to a CR at their end.
    """
    if _STRAY.search(data, max(0, checked - 1)):
        raise MalformedMessage("a bare CR or LF isn't allowed")


def response_framing(head: ResponseHead, method: bytes) -> Framing:
    """Return how a response's body is framed (RFC 9112 section 6.3). Raise `MalformedMessage` if
    its length is ambiguous.
    """
    fields = head.fields
    codings, length = [], _content_length(fields)
    if b"transfer-encoding" in fields.by_name:
        codings = fields.tokens(b"transfer-encoding")
        if length is not None:
            raise MalformedMessage("the request has both Content-Length and Transfer-Encoding")
        if codings != [b"chunked"]:
            raise MalformedMessage("Transfer-Encoding is not just chunked")
        if head.version == b"1.0":
            raise MalformedMessage("Transfer-Encoding in an HTTP/1.0 response")
    if method == b"HEAD" or head.status in (204, 304):
        return Framing(0)
    if codings:
        return Framing(chunked=True)
    return Framing(length)


def ends_surely(head: ResponseHead, method: bytes) -> bool:
    """Return whether no body can follow that must not be there (RFC 9112 section 6.3)."""
    if head.status in (204, 304):
        return b"transfer-encoding" not in head.fields and not declared_length(head.fields)
    return method != b"HEAD"


def declared_length(fields: Fields) -> int | None:
    """Return the declared Content-Length, for a HEAD too; None if there is none or it is
    malformed.
    """
    try:
        return _content_length(fields)
    except MalformedMessage:
        return None


def _content_length(fields: Fields) -> int | None:
    """Return Content-Length; repeated equal values are one (RFC 9110 section 8.6)."""
    value = fields.by_name.get(b"content-length")
    if value is None:
        return None
    if len(value) < 19 and value.isdigit():
        return int(value)
    numbers = {number(item.strip(b" \t")) for item in value.split(b",")}
    length = numbers.pop()
    if numbers or length is None or length == MAX:
        raise MalformedMessage("Content-Length isn't a single number")
    return length
