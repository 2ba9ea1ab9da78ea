"""How long a stored response is fresh, and how old it is (RFC 9111 section 4.2)."""

from __future__ import annotations

from aprp.core.http.caching.directives import Directives, seconds_of
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields, split_list
from aprp.core.http.validators import parse_date
from aprp.core.values import dataclass

HEURISTIC = frozenset((200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501))
"""The statuses that a cache may keep without being told to (RFC 9110 section 15.1)."""
VALID_FOR = frozenset((200, 203, 204, 206, 300, 301, 308, 410))
"""The statuses that the route's `valid` is for. An error such as 404 may end any time."""
_OF_THE_AGE = 10
"""The heuristic takes one part in so many of the time since Last-Modified."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A freshness lifetime in seconds, and whether the origin gave it."""

    seconds: int
    explicit: bool


UNKNOWN = Lifetime(0, explicit=False)


def lifetime(response: Response, policy: Policy) -> Lifetime:
    """Return the freshness lifetime of a response (section 4.2.1)."""
    directives, is_targeted = response.controlled(policy)
    said = _explicit(response, directives, is_targeted)
    if said is not None:
        return Lifetime(said, explicit=True)
    if policy.valid is not None and response.status in VALID_FOR:
        return Lifetime(policy.valid, explicit=False)
    if response.status in HEURISTIC or b"public" in directives:
        return _heuristic(response, policy)
    return UNKNOWN


def _explicit(response: Response, directives: Directives, is_targeted: bool) -> int | None:
    """Return the lifetime that the origin gave, if any; 0 if it can't be read."""
    if not is_targeted and (shared := directives.seconds(b"s-maxage")) is not None:
        return shared
    if (most := directives.seconds(b"max-age")) is not None:
        return most
    if is_targeted or b"expires" not in response.fields:
        return None
    expires = date_of(response.fields, b"expires")
    return 0 if expires is None else max(0, expires - generated_at(response))


def _heuristic(response: Response, policy: Policy) -> Lifetime:
    """Return a tenth of the time since Last-Modified (section 4.2.2)."""
    modified = date_of(response.fields, b"last-modified")
    if modified is None:
        return UNKNOWN
    since = generated_at(response) - modified
    return Lifetime(min(max(0, since // _OF_THE_AGE), policy.most_heuristic), explicit=False)


def generated_at(response: Response) -> int:
    """Return its Date, or when it was received if that can't be read."""
    date = date_of(response.fields, b"date")
    return int(response.received_at) if date is None else date


def date_of(fields: Fields, name: bytes) -> int | None:
    """Return the date in a field, in any case of letters (section 4.2).

    None if there is none, or it is invalid, or there are different ones.
    """
    values = set(fields.all(name))
    if len(values) != 1:
        return None
    return parse_date(_canonical(values.pop()))


def _canonical(value: bytes) -> bytes:
    """Return a date with its letters in the case of the grammar."""
    value = value.title()
    return value[:-3] + b"GMT" if value.endswith(b"Gmt") else value


def age(response: Response, now: float) -> int:
    """Return the current age in seconds (section 4.2.3).

    A clock that was set back doesn't make a response younger than it was when it was received.
    """
    apparent = max(0, int(response.received_at) - generated_at(response))
    delay = max(0.0, response.received_at - response.requested_at)
    corrected = said_age(response.fields) + delay
    resident = max(0.0, now - response.received_at)
    return int(max(float(apparent), corrected) + resident)


def said_age(fields: Fields) -> int:
    """Return the Age field (section 5.1): of several values the first; 0 for what isn't one."""
    value = fields.get(b"age")
    members = [] if value is None else split_list(value)
    return (seconds_of(members[0]) or 0) if members else 0
