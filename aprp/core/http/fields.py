"""Header fields as one immutable value, and the grammar that several fields share.

Names compare without case and keep the spelling they came with; the order of lines is kept
(RFC 9110 section 5.3). Values are bytes without surrounding white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""

VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
"""field-value with obs-text; RFC 9110 section 5.5 forbids CR, LF and NUL, and we take no other
control character but HTAB."""

_NO_NAMES: frozenset[bytes] = frozenset()
Pairs = tuple[tuple[bytes, bytes], ...]


class Fields:
    """The field lines of one message, in order.

    `by_name` has the combined value (RFC 9110 section 5.3) of each lower-case name, in the order
    of their first lines; `repeated` are the names that have several. Both are made when they are
    first asked for.
    """

    __slots__ = ("by_name", "pairs", "repeated")

    by_name: dict[bytes, bytes]
    repeated: frozenset[bytes]

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.pairs: Pairs = tuple(pairs)

    def __getattr__(self, name: str) -> Any:
        if name not in ("by_name", "repeated"):
            raise AttributeError(name)
        self.by_name = {name.lower(): value for name, value in self.pairs}
        self.repeated = _NO_NAMES
        if len(self.by_name) < len(self.pairs):
            self._combine()
        return self.by_name if name == "by_name" else self.repeated

    def _combine(self) -> None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in self.pairs:
            values.setdefault(name.lower(), []).append(value)
        self.by_name = {name: b", ".join(each) for name, each in values.items()}
        self.repeated = frozenset(name for name, each in values.items() if len(each) > 1)

    def _values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.pairs if each.lower() == name]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def __contains__(self, name: bytes) -> bool:
        """Whether a line of that lower-case name is there."""
        return name in self.by_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        return f"Fields({self.pairs!r})"

    def any_of(self, names: frozenset[bytes]) -> bool:
        """Whether a line of one of these lower-case names is there."""
        return not names.isdisjoint(self.by_name)

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of that lower-case name, in order."""
        value = self.by_name.get(name)
        if value is None:
            return []
        return self._values(name) if name in self.repeated else [value]

    def only(self, name: bytes) -> bytes | None:
        """Return the value of that lower-case name, or None unless it has exactly one line."""
        value = self.by_name.get(name)
        return None if name in self.repeated else value

    def get(self, name: bytes) -> bytes | None:
        """Return the combined value of that lower-case name, or None."""
        return self.by_name.get(name)

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the members of a list-valued field in lower case, without empty ones."""
        value = self.by_name.get(name)
        return [] if value is None else [item.lower() for item in split_list(value)]

    def without(self, names: Iterable[bytes]) -> Fields:
        """Return the same lines without those that have one of these lower-case names."""
        gone = names if isinstance(names, frozenset) else frozenset(names)
        return self if gone.isdisjoint(self.by_name) else self.replacing(gone)

    def adding(self, *pairs: tuple[bytes, bytes]) -> Fields:
        """Return the same lines followed by these."""
        return Fields(self.pairs + pairs)

    def replacing(self, names: frozenset[bytes], *pairs: tuple[bytes, bytes]) -> Fields:
        """Return the same lines without those of these lower-case names, followed by `pairs`."""
        lower: Iterable[bytes] = self.by_name
        if self.repeated:
            lower = [name.lower() for name, _ in self.pairs]
        kept = [pair for name, pair in zip(lower, self.pairs, strict=True) if name not in names]
        return Fields((*kept, *pairs))


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
