"""Cache directives: Cache-Control (RFC 9111 section 5.2) and targeted fields (RFC 9213).

Cache-Control is parsed leniently where that restricts reuse and strictly where it would allow it:
`no-store=1` is obeyed as `no-store`, while a `max-age` that isn't a number of seconds makes a
response stale (section 4.2.1). Of repeated directives, the first counts; of `no-cache` and
`private`, all of them do. A quoted string without an end hides no directive that restricts reuse.

A targeted field, such as CDN-Cache-Control, is a Dictionary (RFC 8941 section 3.2); if it isn't a
valid one, it is ignored as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from aprp.core.http.fields import TOKEN, Fields, split_list
from aprp.core.http.ranges import number
from aprp.core.values import dataclass

MOST_SECONDS = 2**31
"""Longer times count as this (section 1.2.2)."""

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_WITH_SECONDS = frozenset(
    (
        b"max-age",
        b"s-maxage",
        b"max-stale",
        b"min-fresh",
        b"stale-while-revalidate",
        b"stale-if-error",
    )
)

_OF_FIELDS = frozenset((b"no-cache", b"private"))
_RESTRICTING = _OF_FIELDS | {b"no-store", b"must-revalidate", b"proxy-revalidate"}
_CLOSED = re.compile(rb'[^"]*(?:"(?:[^"\\]|\\.)*"[^"]*)*', re.DOTALL)
"""A member whose quoted strings have an end."""

_KEY = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_INTEGER = re.compile(rb"-?[0-9]{1,15}(?![0-9.])")
_BARE_ITEM = re.compile(
    rb"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9])"
    rb"|-?[0-9]{1,15}(?![0-9.])"
    rb'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"
    rb"|:[A-Za-z0-9+/=]*:"
    rb"|\?[01]"
)


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one message: names in lower case, arguments as they were sent, unquoted.

    An argument is None if there is none.
    """

    _arguments: Mapping[bytes, bytes | None] = field(default_factory=dict)

    def __contains__(self, name: bytes) -> bool:
        return name in self._arguments

    def __bool__(self) -> bool:
        return bool(self._arguments)

    def seconds(self, name: bytes) -> int | None:
        """Return the argument of a directive in seconds; None if the directive is absent.

        0 if the argument isn't a number of seconds.
        """
        if name not in self._arguments:
            return None
        return seconds_of(self._arguments[name] or b"") or 0

    def bare(self, name: bytes) -> bool:
        """Whether the directive is there, without an argument."""
        return self._arguments.get(name, b"") is None

    def names(self, name: bytes) -> frozenset[bytes] | None:
        """Return the field names that a directive is limited to, in lower case.

        None if the directive isn't limited: it is absent, has no argument, or the argument isn't a
        list of field names, and then the directive is about the whole response.
        """
        argument = self._arguments.get(name)
        if argument is None:
            return None
        listed = split_list(argument)
        if not listed or any(TOKEN.fullmatch(each) is None for each in listed):
            return None
        return frozenset(each.lower() for each in listed)

    def forbids(self, name: bytes) -> bool:
        """Whether `no-cache` or `private` is there and is about the whole response."""
        return name in self._arguments and self.names(name) is None


NONE = Directives()


def seconds_of(digits: bytes) -> int | None:
    """Return delta-seconds (section 1.2.2), `MOST_SECONDS` for more; None if it isn't a number."""
    value = number(digits)
    return None if value is None else min(value, MOST_SECONDS)


def cache_control(fields: Fields) -> Directives:
    """Return the directives of the Cache-Control of a message."""
    value = fields.get(b"cache-control")
    if value is None:
        return NONE
    found: dict[bytes, bytes | None] = {}
    members = split_list(value)
    for member in members:
        _add(found, member)
    if members and _CLOSED.fullmatch(members[-1]) is None:
        for member in members[-1].split(b","):
            _add(found, member.strip(b' \t"'), _RESTRICTING)
    return Directives(found)


def _add(
    found: dict[bytes, bytes | None], member: bytes, among: frozenset[bytes] | None = None
) -> None:
    """Add a member of Cache-Control to what was found so far, if its name is `among` these."""
    name, equals, argument = member.partition(b"=")
    token = TOKEN.match(name)
    if token is None:
        return
    known = token[0].lower()
    if among is not None and known not in among:
        return
    well_formed = token.end() == len(name)
    given = _unquoted(argument) if well_formed else b""
    new = given if equals or not well_formed else None
    before = found.setdefault(known, new)
    if known in _OF_FIELDS and before != new:
        found[known] = before + b", " + new if before and new else None


def _unquoted(argument: bytes) -> bytes:
    """Return the text of a token or quoted-string; anything else as it stands."""
    quoted = _QUOTED.fullmatch(argument)
    return argument if quoted is None else _ESCAPE.sub(rb"\1", quoted[1])


def targeted(fields: Fields, name: bytes) -> Directives | None:
    """Return the directives of a targeted field; None if it is absent, empty or invalid."""
    value = fields.get(name)
    members = None if value is None else _parse_dictionary(value.strip(b" "))
    if not members:
        return None
    found: dict[bytes, bytes | None] = {}
    for key, item in members.items():
        if key in _WITH_SECONDS:
            if _INTEGER.fullmatch(item) is None:
                return None
            found[key] = item
        elif item != b"?0":
            found[key] = _unquoted(item) if item.startswith(b'"') else None
    return Directives(found)


def _parse_dictionary(value: bytes) -> dict[bytes, bytes] | None:
    """Parse an RFC 8941 Dictionary whose members are items; None if it isn't one.

    Of repeated keys, the last counts. Parameters are checked and dropped. Inner lists have no
    meaning for a cache directive and make the field invalid.
    """
    members: dict[bytes, bytes] = {}
    at = 0
    while at < len(value):
        key = _KEY.match(value, at)
        if key is None:
            return None
        at, item = _item(value, key.end())
        if at < 0:
            return None
        members.pop(key[0], None)
        members[key[0]] = item
        separator = re.compile(rb"[ \t]*,[ \t]*(?=.)", re.DOTALL).match(value, at)
        if separator is None:
            return members if not value[at:].strip(b" \t") else None
        at = separator.end()
    return members


def _item(value: bytes, at: int) -> tuple[int, bytes]:
    """Parse `=item` and its parameters; return where they end, or -1, and the item."""
    item = b"?1"
    if value[at : at + 1] == b"=":
        found = _BARE_ITEM.match(value, at + 1)
        if found is None:
            return -1, b""
        at, item = found.end(), found[0]
    while value[at : at + 1] == b";":
        start = at + 1
        while value[start : start + 1] == b" ":
            start += 1
        key = _KEY.match(value, start)
        if key is None:
            return -1, b""
        at = key.end()
        if value[at : at + 1] == b"=":
            found = _BARE_ITEM.match(value, at + 1)
            if found is None:
                return -1, b""
            at = found.end()
    return at, item
