"""Byte ranges: parsed, resolved against a complete length, printed (RFC 9110 section 14).

The wire's inclusive positions end here: a `Range` is half-open, [start, stop), in bytes. Numbers
are ASCII digits, any count of them; those past 2**63 - 1 are taken as that.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from aprp.core.http.fields import split_list
from aprp.core.values import dataclass

MAX = 2**63 - 1
_UNIT = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(.*)", re.DOTALL)
_ONE_RANGE = re.compile(rb"bytes=([0-9]*)-([0-9]*)")
_INT_RANGE = re.compile(rb"([0-9]*)-([0-9]*)")
_CONTENT_RANGE = re.compile(rb"bytes +(?:([0-9]+)-([0-9]+)/([0-9]+|\*)|\*/([0-9]+))", re.IGNORECASE)


class Range(NamedTuple):
    """The bytes [start, stop) of a representation; never empty when resolved from a spec."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, complete: int | None) -> bytes:
        """Return the Content-Range of these bytes (section 14.4); `*` for an unknown complete
        length.
        """
        size = b"*" if complete is None else b"%d" % complete
        return b"bytes %d-%d/%s" % (self.start, self.stop - 1, size)


class FromTo(NamedTuple):
    """An int-range: the bytes from `start` to `stop`, or to the end if it is None."""

    start: int
    stop: int | None = None

    def resolve(self, complete: int) -> Range | None:
        """Return the range of a file of `complete` bytes, or None if it can't be satisfied."""
        if self.start >= complete:
            return None
        stop = self.stop
        return Range(self.start, complete if stop is None or stop > complete else stop)

    def header(self) -> bytes:
        last = b"" if self.stop is None or self.stop > MAX else b"%d" % (self.stop - 1)
        return b"bytes=%d-%s" % (self.start, last)


@dataclass(frozen=True, slots=True)
class Suffix:
    """A suffix-range: the last `length` bytes."""

    length: int

    def resolve(self, complete: int) -> Range | None:
        if self.length == 0 or complete == 0:
            return None
        return Range(max(0, complete - self.length), complete)

    def header(self) -> bytes:
        return b"bytes=-%d" % self.length


Spec = FromTo | Suffix

NOTHING = Suffix(0)
"""What no file satisfies."""


def number(digits: bytes) -> int | None:
    """Return the value of ASCII digits; huge ones saturate at `MAX`. None for anything else."""
    if not digits.isdigit():
        return None
    return _value(digits)


def _value(digits: bytes) -> int:
    """Return the value of what is known to be ASCII digits."""
    if len(digits) < 19:
        return int(digits)
    significant = digits.lstrip(b"0")
    return MAX if len(significant) > 19 else min(int(significant or b"0"), MAX)


def parse_range(value: bytes) -> tuple[Spec, ...] | None:
    """Return the range-specs of a Range field value, in order.

    None if the field must be ignored: another unit than bytes, or a syntax error (section 14.2).
    """
    if (one := _ONE_RANGE.fullmatch(value)) is not None:
        spec = _spec_of(one[1], one[2])
        return None if spec is None else (spec,)
    match = _UNIT.fullmatch(value)
    if match is None or match[1].lower() != b"bytes":
        return None
    specs = tuple(_parse_spec(item) for item in split_list(match[2]))
    if not specs or None in specs:
        return None
    return tuple(spec for spec in specs if spec is not None)


def _parse_spec(item: bytes) -> Spec | None:
    match = _INT_RANGE.fullmatch(item)
    return None if match is None else _spec_of(match[1], match[2])


def _spec_of(first_pos: bytes, last_pos: bytes) -> Spec | None:
    """Return the spec of the digits on both sides of the hyphen; either may be empty."""
    if not first_pos:
        return Suffix(_value(last_pos)) if last_pos else None
    first = _value(first_pos)
    if not last_pos:
        return FromTo(first)
    last = _value(last_pos)
    return None if last < first else FromTo(first, last + 1)


class ContentRange(NamedTuple):
    """A Content-Range value: `range` is None in the form of a 416 (`bytes */length`)."""

    range: Range | None
    complete: int | None


def parse_content_range(value: bytes) -> ContentRange | None:
    """Parse a Content-Range; None if it isn't valid (section 14.4), as with a last-pos past the
    length.
    """
    match = _CONTENT_RANGE.fullmatch(value)
    if match is None:
        return None
    first_pos, last_pos, size, alone = match.groups()
    if alone is not None:
        return ContentRange(None, _value(alone))
    first, last = _value(first_pos), _value(last_pos)
    complete = None if size == b"*" else _value(size)
    if last < first or (complete is not None and last >= complete):
        return None
    return ContentRange(Range(first, last + 1), complete)


def in_one_pass(ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Return the same bytes in ascending order, each once: ranges that overlap become one.

    Section 15.3.7.2 lets a server coalesce and, where it must, reorder.
    """
    merged: list[Range] = []
    for each in sorted(ranges, key=lambda each: each.start):
        if merged and each.start < merged[-1].stop:
            merged[-1] = Range(merged[-1].start, max(merged[-1].stop, each.stop))
        else:
            merged.append(each)
    return tuple(merged)


def covers_too_much(ranges: Sequence[Range], complete: int) -> bool:
    """Whether ranges overlap and add up to more than the file (section 14.2, range bombs)."""
    if sum(each.length for each in ranges) <= complete:
        return False
    ordered = sorted(ranges, key=lambda each: each.start)
    return any(a.stop > b.start for a, b in itertools.pairwise(ordered))
