"""Entity tags, HTTP dates, preconditions and If-Range (RFC 9110 sections 5.6.7, 8.8 and 13).

Dates are whole seconds since the epoch, UTC.
"""

from __future__ import annotations

import calendar
import datetime
import re
from functools import lru_cache

from aprp.core.http.fields import Fields
from aprp.core.values import dataclass

CLOCKS_APART = 60
"""Seconds that a source's clock may differ from ours."""

PRECONDITIONS = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)
"""Fields that can end a GET or HEAD with 304 or 412."""

_ETAG = re.compile(rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAYS = b"Mon Tue Wed Thu Fri Sat Sun".split()
_TIME = rb"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_IMF = re.compile(rb"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) " + _TIME + rb" GMT")
_RFC850 = re.compile(rb"[A-Z][a-z]+day, ([0-9]{2})-([A-Z][a-z]{2})-([0-9]{2}) " + _TIME + rb" GMT")
_ASCTIME = re.compile(rb"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([0-9 ][0-9]) " + _TIME + rb" ([0-9]{4})")


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag: the bytes between the quotes, and whether `W/` stood before them."""

    opaque: bytes
    weak: bool = False

    def __bytes__(self) -> bytes:
        return (b'W/"' if self.weak else b'"') + self.opaque + b'"'

    def same_strongly(self, other: ETag | None) -> bool:
        """Section 8.8.3.2, strong comparison."""
        return other is not None and not (self.weak or other.weak) and self.opaque == other.opaque

    def same_weakly(self, other: ETag | None) -> bool:
        """Section 8.8.3.2, weak comparison."""
        return other is not None and self.opaque == other.opaque


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of one version of a representation.

    `date` is when the answer was made; a Last-Modified is a strong validator only when it lies
    at least a second before it (section 8.8.2.2).
    """

    etag: ETag | None = None
    last_modified: int | None = None
    date: int | None = None

    @classmethod
    def of(cls, fields: Fields) -> Validators:
        """Return the validators of a response; malformed ones count as absent."""
        only = fields.only
        return _validators(only(b"etag"), only(b"last-modified"), only(b"date"))

    @property
    def modified_is_strong(self) -> bool:
        """Whether Last-Modified may be used as a strong validator."""
        if self.last_modified is None or self.date is None:
            return False
        return self.last_modified < self.date

    def strong(self) -> bytes | None:
        """Return the strong validator that If-Range can carry, or None if there is none."""
        if self.etag is not None and not self.etag.weak:
            return bytes(self.etag)
        if self.etag is None and self.modified_is_strong and self.last_modified is not None:
            return format_date(self.last_modified)
        return None


@lru_cache(maxsize=64)
def _validators(etag: bytes | None, modified: bytes | None, date: bytes | None) -> Validators:
    return Validators(
        None if etag is None else parse_etag(etag),
        None if modified is None else parse_date(modified),
        None if date is None else parse_date(date),
    )


def _date_of(fields: Fields, name: bytes) -> int | None:
    value = fields.only(name)
    return None if value is None else parse_date(value)


@lru_cache(maxsize=64)
def parse_etag(value: bytes) -> ETag | None:
    """Parse an entity tag; None if it isn't one."""
    match = _ETAG.fullmatch(value)
    return None if match is None else ETag(match[2], match[1] is not None)


@lru_cache(maxsize=64)
def parse_date(value: bytes) -> int | None:
    """Parse an HTTP-date in any of its three forms (section 5.6.7); None if it is none of them."""
    if match := _IMF.fullmatch(value):
        day, month, year, *clock = match.groups()
    elif match := _RFC850.fullmatch(value):
        day, month, year, *clock = match.groups()
        year = (b"19" if int(year) >= 70 else b"20") + year
    elif match := _ASCTIME.fullmatch(value):
        month, day, *clock, year = match.groups()
    else:
        return None
    hour, minute, second = map(int, clock)
    if month not in _MONTHS or hour > 23 or minute > 59 or second > 60:
        return None
    month_number = _MONTHS.index(month) + 1
    days = calendar.monthrange(int(year), month_number)[1] if int(year) else 0
    if not 1 <= int(day) <= days:
        return None
    return calendar.timegm((int(year), month_number, int(day), hour, minute, second))


@lru_cache(maxsize=64)
def format_date(seconds: int) -> bytes:
    """The IMF-fixdate of that second."""
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[when.weekday()],
        when.day,
        _MONTHS[when.month - 1],
        when.year,
        when.hour,
        when.minute,
        when.second,
    )


def _any_matches(value: bytes, etag: ETag | None, strongly: bool) -> bool:
    if value == b"*":
        return True
    if etag is None:
        return False
    tags = (ETag(match[2], match[1] is not None) for match in _ETAG.finditer(value))
    return any(tag.same_strongly(etag) if strongly else tag.same_weakly(etag) for tag in tags)


def is_conditional(request: Fields) -> bool:
    """Whether a precondition field is there."""
    return not PRECONDITIONS.isdisjoint(request.by_name)


def precondition(request: Fields, current: Validators) -> int | None:
    """304 or 412 where the preconditions of a GET or HEAD end it, else None.

    The order is that of section 13.2.2; a date that can't be parsed is ignored.
    """
    if PRECONDITIONS.isdisjoint(request.by_name):
        return None
    if (if_match := request.get(b"if-match")) is not None:
        if not _any_matches(if_match, current.etag, strongly=True):
            return 412
    elif (since := _date_of(request, b"if-unmodified-since")) is not None and (
        current.last_modified is not None and current.last_modified > since
    ):
        return 412
    if (if_none_match := request.get(b"if-none-match")) is not None:
        if _any_matches(if_none_match, current.etag, strongly=False):
            return 304
    elif (since := _date_of(request, b"if-modified-since")) is not None and (
        current.last_modified is not None and current.last_modified <= since
    ):
        return 304
    return None


@dataclass(frozen=True, slots=True)
class IfRange:
    """A parsed If-Range: at most one of the two is set; with neither it matches nothing."""

    etag: ETag | None = None
    modified: int | None = None

    @classmethod
    def parse(cls, value: bytes) -> IfRange:
        etag = parse_etag(value)
        return cls(etag, None if etag is not None else parse_date(value))

    @property
    def hopeless(self) -> bool:
        """Whether no version can match: a weak tag, or nothing that can be read."""
        return self.modified is None and (self.etag is None or self.etag.weak)

    def matches(self, current: Validators) -> bool:
        """Section 13.1.5: an exact strong tag, or an exact date that is a strong validator."""
        if self.etag is not None:
            return self.etag.same_strongly(current.etag)
        return (
            self.modified is not None
            and self.modified == current.last_modified
            and current.modified_is_strong
        )
