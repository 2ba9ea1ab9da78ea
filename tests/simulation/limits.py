"""Whether clients are turned away, and slowed down, just as the limits say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.simulation.answers import Answer
from tests.simulation.clients import Asked
from tests.simulation.operator import Era
from tests.simulation.scenario import EPOCH, Limits, Route, Scenario

LINGERING = 80.0
"""Seconds that the daemon may take to notice that a client has left: `send_timeout` and more."""
BURST = 256 << 10
"""Bytes that may be ahead of `limit_rate`: what is written at once, and buffers on the way."""


LOOKS = 0.3
"""Seconds after which the daemon must have seen that memory is short, or no longer is."""
_SHORT = "short of memory"


def turned_away(answer: Answer) -> bool:
    """Whether this is what clients over a limit get."""
    told = answer.fields.get("proxy-status", "")
    if answer.status == 429:
        return "http_request_denied" in told
    return answer.status == 503 and ("connection_limit_reached" in told or _SHORT in told)


def judge(asked: Asked, eras: Sequence[Era], clients: Sequence[Any]) -> str | None:
    """Why it was wrong to turn the client away."""
    if not asked.answer.fields.get("retry-after", "").isdigit():
        return "who is turned away isn't told when to come again"
    if _SHORT in asked.answer.fields["proxy-status"]:
        if any(_may_be_short(asked, era.scenario) for era in eras):
            return None
        return "a client is turned away though there is memory"
    if any(_may_be_over(asked, era.scenario.limits, clients) for era in eras):
        return None
    return "a client is turned away that is within all limits"


def _may_be_over(asked: Asked, limits: Limits, clients: Sequence[Any]) -> bool:
    """Whether so many may have been there as the daemon sees it."""
    mine = clients[asked.client].address
    near = {client: _connections(client, asked) for client in clients if hasattr(client, "address")}
    of_address = sum(
        count * _at_once(client) for client, count in near.items() if client.address == mine
    )
    if asked.answer.status == 503:
        return 0 < limits.connections < sum(near.values())
    most = (limits.connections_per_address, limits.requests_per_address)
    return any(0 < limit < of_address for limit in most)


def _may_be_short(asked: Asked, scenario: Scenario) -> bool:
    """Whether memory may have been short as the daemon sees it, which looks now and then."""
    return scenario.limits.memory > 0 and any(
        EPOCH + each.since <= asked.over and asked.began <= EPOCH + each.until + LOOKS
        for each in scenario.shortages
    )


def in_spite(asked: Asked, scenario: Scenario) -> str | None:
    """Why a request should not have been served."""
    answer = asked.answer
    if scenario.limits.memory and answer.status in (200, 206):
        headed = answer.headed or asked.over
        for each in scenario.shortages:
            if EPOCH + each.since + LOOKS < asked.began and headed < EPOCH + each.until:
                return "a request is served while memory is short"
    return None


def _connections(client: Any, asked: Asked) -> int:
    """How many connections a client may have had at that time."""
    return sum(
        since <= asked.over and until >= asked.began - LINGERING
        for since, until in client.connections
    )


def _at_once(client: Any) -> int:
    """How many requests it may have under way on one connection."""
    return len(client.spec.asks) if client.spec.http2 else 1


def too_fast(asked: Asked, route: Route) -> str | None:
    """Why the rate of an answer is over its limit."""
    answer, seconds = asked.answer, asked.over - asked.began
    if answer.framing in ("", "library", "none"):
        return None
    for rate, free in ((route.limit_rate, route.limit_rate_after), (route.bandwidth, 0)):
        if rate and answer.size > free + BURST + rate * seconds:
            return f"{answer.size} bytes come where {rate} a second are allowed"
    return None
