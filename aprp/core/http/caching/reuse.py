"""Whether a stored response may answer a request (RFC 9111 sections 4 and 5.2.1, RFC 5861)."""

from __future__ import annotations

from aprp.core.http.caching.directives import MOST_SECONDS, Directives, cache_control
from aprp.core.http.caching.freshness import age, lifetime
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields
from aprp.core.values import dataclass

ERRORS = frozenset((500, 502, 503, 504))
"""The statuses that stale-if-error is about (RFC 5861 section 4)."""
CLOCK_STEP = 1.0
"""Seconds by which a clock may be set back that is kept right."""


@dataclass(frozen=True, slots=True)
class Use:
    """What may be done with a stored response.

    `fresh`: send it. Otherwise it must be revalidated first, except that it may be sent at once
    `while_revalidating`, and `if_error` when the origin can't be reached or answers with one of
    `ERRORS`. `ttl` is the time left, negative for a stale response; `why` names what makes it
    unusable for this request (RFC 9211 section 2.2: `stale` or `request`).
    """

    fresh: bool
    ttl: int
    age: int
    why: str = ""
    while_revalidating: bool = False
    if_error: bool = False


def request_directives(request: Fields) -> Directives:
    """Return the directives of a request; `Pragma: no-cache` counts if it has no Cache-Control
    (section 5.4).
    """
    if b"cache-control" not in request and b"no-cache" in request.tokens(b"pragma"):
        return Directives({b"no-cache": None})
    return cache_control(request)


def usable(response: Response, request: Fields, now: float, policy: Policy) -> Use:
    """Return what may be done with the stored response that the request selects."""
    asked, said = request_directives(request), response.directives(policy)
    current = age(response, now)
    ttl = lifetime(response, policy).seconds - current
    if said.forbids(b"no-cache"):
        return Use(fresh=False, ttl=min(ttl, 0), age=current, why="stale")
    refused = _wants_fresher(asked, current, ttl)
    unknown = _from_the_future(response, now)
    if (ttl <= 0 or unknown) and _never_stale(response, said, policy):
        return Use(fresh=False, ttl=ttl, age=current, why="stale")
    if not (refused or unknown) and (ttl > 0 or -ttl <= _max_stale(asked)):
        return Use(fresh=True, ttl=ttl, age=current)
    return Use(
        fresh=False,
        ttl=ttl,
        age=current,
        why="request" if refused else "stale",
        while_revalidating=not (refused or unknown)
        and -ttl < (said.seconds(b"stale-while-revalidate") or 0),
        if_error=_serves_errors(asked, said, -ttl, policy),
    )


def _from_the_future(response: Response, now: float) -> bool:
    """Whether the clock was set back since it was received, so that its age is unknown."""
    return now < response.received_at - CLOCK_STEP


def _never_stale(response: Response, said: Directives, policy: Policy) -> bool:
    """Whether the origin forbids sending the response stale (section 4.2.4)."""
    if b"must-revalidate" in said or b"proxy-revalidate" in said:
        return True
    return b"s-maxage" in said and not response.controlled(policy)[1]


def _wants_fresher(asked: Directives, current: int, ttl: int) -> bool:
    """Whether the request wants another response than one of this age and time left."""
    most, least = asked.seconds(b"max-age"), asked.seconds(b"min-fresh")
    too_old = most is not None and current > most
    return b"no-cache" in asked or too_old or (least is not None and ttl < least)


def _max_stale(asked: Directives) -> int:
    """Return by how many seconds a response may be stale; -1: it has to be fresh.

    max-stale without an argument allows any staleness (section 5.2.1.2).
    """
    if b"max-stale" not in asked:
        return -1
    return MOST_SECONDS if asked.bare(b"max-stale") else asked.seconds(b"max-stale") or 0


def _serves_errors(asked: Directives, said: Directives, staleness: int, policy: Policy) -> bool:
    """Whether a response that is stale by so many seconds may stand in for an error."""
    windows = (said.seconds(b"stale-if-error"), asked.seconds(b"stale-if-error"))
    given = [each for each in windows if each is not None]
    return staleness <= (max(given) if given else policy.stale_if_error)
