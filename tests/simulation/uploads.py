"""Bodies of requests: what clients send, and how origins read it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.simulation.content import content
from tests.simulation.scenario import Ask, Route, Scenario, Version

if TYPE_CHECKING:
    from tests.simulation.clients import Asked
    from tests.simulation.origins import SimulatedOrigin

ASK = "X-Ask"
"""A field that names the request that a client made."""


def uploaded(size: int) -> bytes:
    """Return a body of so many bytes."""
    return content(Version(size, 0, 0, ""))


def receipt(data: bytes) -> bytes:
    """Return what an origin answers to a body."""
    return hashlib.sha256(data).hexdigest().encode()


def judge(
    asked: Asked, scenario: Scenario, origins: Sequence[SimulatedOrigin], stopped: float | None
) -> str | None:
    """Why the answer to a request with a body is wrong."""
    ask, answer = asked.ask, asked.answer
    route = scenario.routes[ask.route]
    if route.kind != "upstream":
        return None if answer.status in (0, 404, 405) else f"a POST is answered {answer.status}"
    if ask.upload > route.max_body and answer.status in (200, 206):
        return "a body over the limit is let through"
    if answer.status == 413 and ask.upload <= route.max_body:
        return "a body within the limit is refused"
    if answer.status == 200 and answer.ended == "whole" and answer.body != receipt_of(ask):
        return "another body than the client's came to the upstream"
    expected = _expected(asked, scenario, route, origins[route.origins[0]], stopped)
    if expected and (answer.status != 200 or answer.ended != "whole"):
        return "a body isn't passed on, though the upstream was well"
    return None


def _expected(
    asked: Asked, scenario: Scenario, route: Route, origin: SimulatedOrigin, stopped: float | None
) -> bool:
    """Whether the upstream must have got it, and its answer the client."""
    spec, ask, client = origin.spec, asked.ask, scenario.clients[asked.client]
    if ask.upload > route.max_body or client.trickle or client.pipelined or ask.leave_at >= 0:
        return False
    if (stopped is not None and asked.over > stopped - 1) or scenario.operations:
        return False
    if scenario.names or any(each.origin == origin.index for each in scenario.faults):
        return False
    return 3 * spec.link.latency + spec.think < route.connect_timeout / 2


def receipt_of(ask: Ask) -> bytes:
    """Return what an origin answers to the body of that request."""
    return receipt(uploaded(ask.upload))


def sent_twice(origins: Sequence[SimulatedOrigin]) -> list[str]:
    """Requests that aren't idempotent and came more than once."""
    return [
        f"request {name} is sent {count} times to origin {origin.index}"
        for origin in origins
        for name, count in origin.uploads.items()
        if count > 1
    ]


class Incoming:
    """The body of a request, read by its fields."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._chunked = fields.get("transfer-encoding") == "chunked"
        self._left = 0 if self._chunked else int(fields.get("content-length", 0))
        self._data = bytearray()
        self._ending = False

    @property
    def body(self) -> bytes:
        return bytes(self._data)

    def feed(self, held: bytes) -> tuple[bool, bytes]:
        """Whether all of it has come, and what of `held` isn't used yet."""
        while True:
            taken = held[: self._left]
            self._data += taken
            self._left -= len(taken)
            held = held[len(taken) :]
            if self._left or not self._chunked:
                return not self._left, held
            line, end, rest = held.partition(b"\r\n")
            if not end:
                return False, held
            held = rest
            if self._ending:
                return True, held
            if line:  # it is empty behind a chunk
                self._left = int(line, 16)
                self._ending = not self._left
