"""Which statuses of a source to retry."""

from __future__ import annotations

from aprp.core.http.fields import Fields
from aprp.core.http.ranges import number
from aprp.core.http.validators import parse_date

REDIRECTS = frozenset((301, 302, 303, 307, 308))
LONGEST_WAIT = 120.0
"""Seconds; a Retry-After of more counts as this, so that no source is left alone for long."""

_PASSING = frozenset((408, 421, 425, 429))


def is_passing(status: int) -> bool:
    """Return whether the next try may get another status."""
    return status >= 500 or status in _PASSING


def retry_after(fields: Fields, now: int) -> float | None:
    """Return the seconds that Retry-After names (RFC 9110 section 10.2.3), in either form.

    A date is read against the response's own Date, or against `now` where it has none.
    """
    value = fields.get(b"retry-after")
    if value is None:
        return None
    seconds = number(value)
    if seconds is None:
        date = parse_date(value)
        if date is None:
            return None
        made = parse_date(fields.get(b"date") or b"")
        seconds = max(0, date - (now if made is None else made))
    return min(float(seconds), LONGEST_WAIT)
