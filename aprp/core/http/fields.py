"""Header fields as one immutable value, and the grammar that several fields share.

Names compare without case and keep the spelling they came with; the order of lines is kept
(RFC 9110 section 5.3). Values are bytes without surrounding white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""

VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
"""field-value with obs-text; RFC 9110 section 5.5 forbids CR, LF and NUL, and we take no other
control character but HTAB."""

Pairs = tuple[tuple[bytes, bytes], ...]


class Fields:
    """The field lines of one message, in order."""

    __slots__ = ("_known", "pairs")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.pairs: Pairs = tuple(pairs)
        self._known: dict[bytes, bytes] | None = None

    def _learn(self) -> dict[bytes, bytes]:
        """Find the last value of each lower-case name, when one is asked for."""
        known = self._known = {name.lower(): value for name, value in self.pairs}
        return known

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def __contains__(self, name: bytes) -> bool:
        """Whether a line of that lower-case name is there."""
        known = self._known
        return name in (self._learn() if known is None else known)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        return f"Fields({self.pairs!r})"

    def any_of(self, names: frozenset[bytes]) -> bool:
        """Whether a line of one of these lower-case names is there."""
        known = self._known
        return not names.isdisjoint(self._learn() if known is None else known)

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of that lower-case name, in order."""
        values = self._known
        if values is None:
            values = self._learn()
        if name not in values:
            return []
        if len(values) == len(self.pairs):
            return [values[name]]
        return [value for each, value in self.pairs if each.lower() == name]

    def only(self, name: bytes) -> bytes | None:
        """Return the value of that lower-case name, or None unless it has exactly one line."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None

    def get(self, name: bytes) -> bytes | None:
        """Return the combined value (RFC 9110 section 5.3) of that lower-case name, or None."""
        values = self._known
        if values is None:
            values = self._learn()
        value = values.get(name)
        if value is None or len(values) == len(self.pairs):
            return value
        return b", ".join(self.all(name))

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the members of a list-valued field in lower case, without empty ones."""
        value = self.get(name)
        return [] if value is None else [item.lower() for item in split_list(value)]

    def without(self, names: Iterable[bytes]) -> Fields:
        """Return the same lines without those that have one of these lower-case names."""
        gone = names if isinstance(names, frozenset) else frozenset(names)
        if not self.any_of(gone):
            return self
        return Fields([pair for pair in self.pairs if pair[0].lower() not in gone])

    def adding(self, *pairs: tuple[bytes, bytes]) -> Fields:
        """Return the same lines followed by these."""
        return Fields(self.pairs + pairs)


def split_list(value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list; a comma in a quoted string doesn't separate
    them.

    Empty members are dropped (RFC 9110 section 5.6.1.2).
    """
    if b"," not in value:
        item = value.strip(b" \t")
        return [item] if item else []
    if b'"' not in value:
        return [item for item in (part.strip(b" \t") for part in value.split(b",")) if item]
    members, start, quoted, escaped = [], 0, False, False
    for at, octet in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and octet == 0x5C:
            escaped = True
        elif octet == 0x22:
            quoted = not quoted
        elif octet == 0x2C and not quoted:
            members.append(value[start:at])
            start = at + 1
    members.append(value[start:])
    return [item for item in (part.strip(b" \t") for part in members) if item]
