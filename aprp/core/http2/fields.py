"""Fields over HTTP/2: what a request is sent as, and what a response must look like (section 8).

The rules are those of HTTP/1.1 (`aprp.core.http.heads`) and the ones that are HTTP/2's own: lower
case, no fields of a connection, pseudo-fields first and once. What breaks them is malformed, which
concerns its stream alone (section 8.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aprp.core.http.fields import TOKEN, VALUE, Fields, Pairs
from aprp.core.http.heads import MalformedMessage, ResponseHead

CONNECTION_SPECIFIC = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Section 8.2.2."""
_STATUS = re.compile(rb"[1-5][0-9]{2}")
_UPPER = re.compile(rb"[A-Z]")
OVERHEAD = 32
"""Bytes that each field counts for beside its name and value (section 6.5.2)."""


def size_of(pairs: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the size of a list of fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it."""
    return sum(len(name) + len(value) + OVERHEAD for name, value in pairs)


def request_fields(method: bytes, scheme: str, target: bytes, fields: Fields) -> Pairs:
    """Return a request's fields as they are sent; Host becomes `:authority` (section 8.3.1)."""
    pseudo = [
        (b":method", method),
        (b":scheme", scheme.encode("ascii")),
        (b":authority", fields.get(b"host") or b""),
        (b":path", target),
    ]
    return (*pseudo, *_own(fields, CONNECTION_SPECIFIC | {b"host"}))


def response_fields(status: int, fields: Fields) -> Pairs:
    """Return a response's fields as they are sent."""
    return ((b":status", b"%d" % status), *_own(fields, CONNECTION_SPECIFIC))


def _own(fields: Fields, without: frozenset[bytes]) -> Pairs:
    lowered = ((name.lower(), value) for name, value in fields)
    return tuple(
        (name, value)
        for name, value in lowered
        if name not in without and (name != b"te" or value.lower() == b"trailers")
    )


def response_head(pairs: Pairs) -> ResponseHead:
    """Return the head that a block of fields is; raise MalformedMessage."""
    pseudo, fields = split_pseudo(pairs)
    if list(pseudo) != [b":status"]:
        raise MalformedMessage("the response's pseudo-fields aren't :status alone")
    status = pseudo[b":status"]
    if _STATUS.fullmatch(status) is None or status == b"101":
        raise MalformedMessage("the status isn't one of HTTP/2")
    return ResponseHead(0, int(status), b"", fields, major=2)


def check_trailers(pairs: Pairs) -> None:
    """Raise MalformedMessage for what can't be trailers (section 8.1)."""
    if split_pseudo(pairs)[0]:
        raise MalformedMessage("a pseudo-field is among the trailers")


def split_pseudo(pairs: Pairs) -> tuple[dict[bytes, bytes], Fields]:
    """Return the pseudo-fields and the others, each checked; raise MalformedMessage."""
    pseudo: dict[bytes, bytes] = {}
    fields: list[tuple[bytes, bytes]] = []
    for name, value in pairs:
        if name[:1] == b":":
            if fields:
                raise MalformedMessage("a pseudo-field follows a field")
            if name in pseudo:
                raise MalformedMessage("a pseudo-field is there twice")
            check_value(value)
            pseudo[name] = value
        else:
            check_field(name, value)
            fields.append((name, value))
    return pseudo, Fields(fields)


def check_field(name: bytes, value: bytes) -> None:
    """Raise MalformedMessage for a field that can't be sent over HTTP/2 (section 8.2)."""
    if TOKEN.fullmatch(name) is None:
        raise MalformedMessage("a field name is not a token")
    if _UPPER.search(name):
        raise MalformedMessage("a field name has upper case letters")
    if name in CONNECTION_SPECIFIC or (name == b"te" and value.lower() != b"trailers"):
        raise MalformedMessage("a field belongs to connections of HTTP/1.1")
    check_value(value)


def check_value(value: bytes) -> None:
    """Raise MalformedMessage for a value with control characters or white space around it."""
    if VALUE.fullmatch(value) is None:
        raise MalformedMessage("a field value holds a control character")
    if value[:1] in (b" ", b"\t") or value[-1:] in (b" ", b"\t"):
        raise MalformedMessage("a field value has white space around it")
