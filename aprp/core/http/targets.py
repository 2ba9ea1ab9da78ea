"""Request targets: their forms, ranges in the path, and paths that climb out of a prefix.

Paths are checked but never rewritten; they are forwarded to the upstream byte for byte.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from aprp.core.http.ranges import FromTo, number
from aprp.core.values import dataclass

_ORIGIN_FORM = re.compile(rb"(/[!\"$-~]*?)(\?[!\"$-~]*)?")
"""Visible ASCII less `#`; RFC 3986 allows fewer characters, players send these all the same."""
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]*)([/?][!\"$-~]*)?", re.IGNORECASE)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+(?::[0-9]*)?"
    rb"|\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\](?::[0-9]*)?"
)
_TWO_NUMBERS = re.compile(rb"(|.*[^/])/([0-9]+)/([0-9]*)", re.DOTALL)
_ONE_NUMBER = re.compile(rb"(|.*[^/])/([0-9]+)", re.DOTALL)
_SEPARATORS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (rb"/", rb"/|%2f", rb"/|\\|%5c", rb"/|\\|%2f|%5c")
)
"""What separates segments of a path, for one server or another."""
_ESCAPED_DOT = re.compile(rb"%2e", re.IGNORECASE)


class BadTarget(Exception):
    """A request target or Host that can't be served; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Path and query as they came; `query` begins with its question mark, or is empty.

    `authority` is that of an absolute-form target and stands in place of Host (RFC 9112 section
    3.2.2). The asterisk-form has the path `*`.
    """

    path: bytes
    query: bytes = b""
    authority: bytes | None = None


def parse_target(method: bytes, raw: bytes) -> Target:
    """Parse a request target; raise `BadTarget`. CONNECT's authority-form isn't served."""
    if raw == b"*" and method == b"OPTIONS":
        return Target(raw)
    authority = None
    if (absolute := _ABSOLUTE_FORM.fullmatch(raw)) is not None:
        authority = absolute[1]
        check_host(authority)
        if absolute[2] is None and method == b"OPTIONS":
            return Target(b"*", authority=authority)  # RFC 9112 section 3.2.4
        raw = absolute[2] or b"/"
        raw = raw if raw.startswith(b"/") else b"/" + raw
    match = _ORIGIN_FORM.fullmatch(raw)
    if match is None:
        raise BadTarget("the request target is not a path of visible ASCII without a fragment")
    if _BAD_ESCAPE.search(match[1]):
        raise BadTarget("a percent sign in the path is not followed by two hexadecimal digits")
    return Target(match[1], match[2] or b"", authority)


@lru_cache(maxsize=512)
def check_host(value: bytes) -> None:
    """Raise `BadTarget` unless the value is uri-host [":" port] (RFC 9110 section 7.2).

    Empty labels are refused, since servers differ on what two dots in a row mean.
    """
    twice = b".." in value and value[:2].lower() != b"[v"
    if twice or _HOST.fullmatch(value) is None:
        raise BadTarget("the host is empty or malformed")


def host_of(authority: bytes) -> str:
    """Return the host of a valid Host field, in lower case, without port and brackets."""
    host = authority.decode("latin-1").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def climbs(path: bytes) -> bool:
    """Whether dot segments lead above the path's own start, for any server that may resolve them.

    Escaped dots are dots. A path parameter (``..;x``) is no part of its segment, as for Tomcat.
    Escaped and backward slashes separate segments for some servers and not for others, so both
    readings count. Escapes are decoded once: ``%252e`` is a name with a percent sign in it.
    """
    if b".." not in _ESCAPED_DOT.sub(b".", path):
        return False
    return any(_climbs(separators.split(path)) for separators in _SEPARATORS)


def _climbs(segments: list[bytes]) -> bool:
    depth = 0
    for segment in segments:
        plain = _ESCAPED_DOT.sub(b".", segment.partition(b";")[0])
        if plain == b"..":
            depth -= 1
            if depth < 0:
                return True
        elif plain not in (b"", b"."):
            depth += 1
    return False


def under(prefix: bytes, path: bytes) -> bytes | None:
    """Return the rest of `path` after `prefix`, by whole segments; None if it isn't under it.

    The rest is empty or begins with a slash.
    """
    stem = prefix.rstrip(b"/")
    if path == stem or path.startswith(stem + b"/"):
        return path[len(stem) :]
    return None


PathMeaning = Literal["end", "length"]


@dataclass(frozen=True, slots=True)
class PathRange:
    """`/name/START/END` taken apart; `spec` is None where it can't be satisfied by any file."""

    name: bytes
    spec: FromTo | None


def split_path_range(path: bytes, meaning: PathMeaning, nameless: bool = False) -> PathRange | None:
    """Return the range at the end of `path`, or None if there is none.

    `end` reads the second number as the last position, `length` as a count of bytes. Only where
    it may be `nameless` can the range be all of the path.
    """
    last = path[path.rfind(b"/") + 1 :]
    if last and not last.isdigit():
        return None
    matches = (pattern.fullmatch(path) for pattern in (_TWO_NUMBERS, _ONE_NUMBER))
    match = next((found for found in matches if found and (found[1] or nameless)), None)
    if match is None:
        return None
    start = number(match[2])
    second = number(match[3]) if match.lastindex == 3 else None
    assert start is not None
    if second is None:
        return PathRange(match[1], FromTo(start))
    stop = second + 1 if meaning == "end" else start + second
    return PathRange(match[1], FromTo(start, stop) if stop > start else None)
