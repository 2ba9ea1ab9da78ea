"""What a request over HTTP/2 must look like (RFC 9113 section 8.3.1).

What breaks these rules is malformed: its stream is reset. What the request asks for is judged by
the rules of HTTP/1.1, once it has been read as such a request.
"""

from __future__ import annotations

from aprp.core.http.fields import TOKEN, Fields, Pairs
from aprp.core.http.heads import MalformedMessage
from aprp.core.http2.fields import split_pseudo
from aprp.core.values import dataclass

_USUAL = frozenset((b":method", b":scheme", b":path"))
_KNOWN = _USUAL | {b":authority"}
_SCHEMES = (b"http", b"https")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's method and target, and its fields, with a Host if it named an authority."""

    method: bytes
    target: bytes
    fields: Fields


def request_head(pairs: Pairs) -> RequestHead:
    """Return the head that a block of fields is; raise MalformedMessage."""
    pseudo, fields = split_pseudo(pairs)
    names = set(pseudo)
    method = pseudo.get(b":method", b"")
    if TOKEN.fullmatch(method) is None:
        raise MalformedMessage("the request's :method is missing or not a token")
    if not names <= _KNOWN:
        raise MalformedMessage("the request has an unknown pseudo-field")
    if method == b"CONNECT":
        if names != {b":method", b":authority"}:
            raise MalformedMessage("a CONNECT has :method and :authority alone")
        return RequestHead(method, pseudo[b":authority"], fields)
    if not names >= _USUAL:
        raise MalformedMessage("the request lacks :scheme or :path")
    if pseudo[b":scheme"] not in _SCHEMES:
        raise MalformedMessage("the request's :scheme isn't http or https")
    path = pseudo[b":path"]
    if not path.startswith(b"/") and not (path == b"*" and method == b"OPTIONS"):
        raise MalformedMessage("the request's :path isn't one")
    return RequestHead(method, path, _with_host(pseudo.get(b":authority"), fields))


def _with_host(authority: bytes | None, fields: Fields) -> Fields:
    """Cookies that came in several fields become one again (section 8.2.3)."""
    hosts = fields.all(b"host")
    if authority is not None:
        if any(host.lower() != authority.lower() for host in hosts) or len(hosts) > 1:
            raise MalformedMessage("the request's Host isn't its :authority")
        fields = Fields(((b"host", authority), *fields.without((b"host",))))
    cookies = fields.all(b"cookie")
    if len(cookies) > 1:
        fields = fields.without((b"cookie",)).adding((b"cookie", b"; ".join(cookies)))
    return fields


def is_no_http1(data: bytes) -> bool:
    """Return whether what a connection begins with can't be a request of HTTP/1, since its first
    line names no version: a wrong preface of HTTP/2 (section 3.4)."""
    line, ended, _ = data.partition(b"\r\n")
    return bool(line and ended) and b" HTTP/" not in line


def ends_without_body(fields: Fields, ended: bool) -> bool:
    """Return whether the request has no body; raise MalformedMessage if it should have one."""
    if ended and fields.get(b"content-length") not in (None, b"0"):
        raise MalformedMessage("the request ends before its body")
    return ended


class BodyLength:
    """Compares a body with what was said of it. A decoder, as `aprp.core.http.framing` has them."""

    def __init__(self, length: int | None, most: int) -> None:
        self.done = False
        self.rest = b""
        self.over = False
        """Whether it is larger than what is taken."""
        self._left = length
        self._room = most

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bytes; raise MalformedMessage if they are more than were announced."""
        self._room -= len(data)
        self.over = self._room < 0
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise MalformedMessage("the body is longer than its Content-Length")
        return [data] if data else []

    def end(self) -> None:
        """Note the end of the body; raise MalformedMessage if it is too early."""
        if self._left:
            raise MalformedMessage("the body is shorter than its Content-Length")
        self.done = True
