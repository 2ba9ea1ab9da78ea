"""The rules for requests: what one must look like, and what it may cost.

The sections are those of RFC 9112 unless another is named. Each rule is a function of the head;
what it refuses it raises as a `Refusal`. `aprp.web.channel` applies them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aprp.core.http.fields import TOKEN, Fields
from aprp.core.http.ranges import number
from aprp.core.http.targets import BadTarget, Target, check_host, parse_target
from aprp.core.values import dataclass
from aprp.web.failures import Refusal

_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
ALLOWED = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one connection may cost. Sizes in bytes, times in seconds."""

    line: int = 16384
    head: int = 65536
    fields: int = 128
    head_seconds: float = 30.0
    body_seconds: float = 60.0
    """For each `body_progress` bytes of a request's body; never less than the route's own."""
    body_progress: int = 1024
    idle_seconds: float = 75.0
    linger_seconds: float = 3.0
    requests: int = 10_000
    streams: int = 128
    """Requests at once on one connection of HTTP/2."""
    resets: int = 200
    """Requests that a client may give up at once over HTTP/2; over time a tenth a second."""
    pipelined: int = 16384
    """Of later requests, held while one is answered."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits of a request's body: at most `most` bytes, and never `seconds` without any."""

    most: int
    seconds: float
    streamed: bool = False
    """Whether the body is streamed to the upstream."""
    route: str = "-"
    """The path of the route that they are from."""


@dataclass(frozen=True, slots=True)
class RequestLine:
    """`version` is one of those spoken here: what is later than HTTP/1.1 is read as that.

    `raw` is the target as it came.
    """

    method: bytes
    target: Target
    version: bytes
    raw: bytes


def whole_head(data: bytes, limits: Limits) -> list[bytes] | None:
    """Return the lines of a head if `data` is one and nothing else; None if it may not be.

    What is over a limit or doesn't have its lines end with CRLF is left to those who look closely.
    """
    if len(data) > min(limits.line, limits.head) or data.find(b"\r\n\r\n") + 4 != len(data):
        return None
    lines = data[:-4].split(b"\r\n")
    ends = len(lines) + 1
    if data.count(b"\n") != ends or data.count(b"\r") != ends or ends > limits.fields + 2:
        return None
    return lines if lines[0] else None


@lru_cache(maxsize=512)
def parse_request_line(line: bytes) -> RequestLine:
    """Parse a request line by section 3, without its CRLF; raises `Refusal`."""
    parts = line.split(b" ")
    if len(parts) != 3 or TOKEN.fullmatch(parts[0]) is None:
        raise Refusal(400, "the request line isn't METHOD TARGET VERSION")
    method, target, version = parts
    spoken = _VERSION.fullmatch(version)
    if spoken is None:
        raise Refusal(400, "the request line doesn't end with an HTTP version")
    if spoken[1] != b"1":
        raise Refusal(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    if spoken[2] != b"0":
        version = b"HTTP/1.1"  # RFC 9110 section 2.5
    if method in (b"CONNECT", b"TRACE"):
        text = f"{method.decode()} isn't supported by this proxy"
        raise Refusal(405, text, "http_request_denied", ((b"Allow", ALLOWED),))
    try:
        return RequestLine(method, parse_target(method, target), version, target)
    except BadTarget as bad:
        raise Refusal(400, str(bad)) from None


def check_host_field(line: RequestLine, fields: Fields) -> bytes:
    """Return the requested authority. Raise `Refusal` (section 3.2)."""
    host = fields.only(b"host")
    if host is None:
        if b"host" in fields.by_name:
            raise Refusal(400, "the request has more than one Host field")
        if line.version == b"HTTP/1.1":
            raise Refusal(400, "HTTP/1.1 requires a Host field")
        return line.target.authority or b""
    try:
        check_host(host)
    except BadTarget as bad:
        raise Refusal(400, str(bad)) from None
    return line.target.authority or host


def body_length(line: RequestLine, fields: Fields) -> int | None:
    """Return the body's length by Content-Length, None if chunked; raise `Refusal` (section 6)."""
    if _FRAMING.isdisjoint(fields.by_name):
        return 0
    lengths = fields.all(b"content-length")
    if b"transfer-encoding" in fields:
        if lengths:
            raise Refusal(400, "the request has both Content-Length and Transfer-Encoding")
        if line.version == b"HTTP/1.0":
            raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding")
        codings = fields.all(b"transfer-encoding")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            named = fields.tokens(b"transfer-encoding")
            unknown = len(codings) == 1 and named and named != [b"chunked"]
            status = 501 if unknown and b"chunked" not in named[:-1] else 400
            raise Refusal(status, "the only supported transfer coding is chunked, once")
        return None
    length = number(lengths[0])
    if len(lengths) > 1 or length is None:
        raise Refusal(400, "Content-Length isn't a single number")
    return length


def wants_continue(line: RequestLine, fields: Fields) -> bool:
    """RFC 9110 section 10.1.1; raises `Refusal` for expectations that can't be met."""
    if b"expect" not in fields.by_name or line.version == b"HTTP/1.0":
        return False
    expected = fields.tokens(b"expect")
    if not expected:
        return False
    if expected != [b"100-continue"]:
        raise Refusal(417, "the only supported expectation is 100-continue")
    return True
