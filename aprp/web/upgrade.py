"""Relay upgraded connections: what a client and an upstream send each other after a 101.

The bytes are passed on as they are, each side paced by the other. The connection ends when either
side closes it, when nothing has come from both for the route's `upgrade_idle_timeout`, or when the
daemon has stopped for long enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from aprp.core.http.fields import Fields
from aprp.core.http.upgrading import BadUpgrade, Offer, offer_of
from aprp.upstream.exchange import Exchange
from aprp.upstream.watchdog import Watchdog
from aprp.web.failures import Refusal
from aprp.web.request import ProxyRequest

ONLY_HERE = frozenset((b"range", b"if-range"))
"""Fields that aren't passed on with an upgrade, whose response isn't sliced."""


def requested_upgrade(request: ProxyRequest, protocols: tuple[bytes, ...]) -> Offer | None:
    """Return the upgrade that the client requests, among those protocols; raise Refusal.

    The client's connection isn't used for other requests afterwards, whatever the response is: a
    client that expects a 101 may have sent bytes of the new protocol already.
    """
    try:
        offer = offer_of(request.method, request.minor, request.fields, protocols)
    except BadUpgrade as bad:
        request.channel.persistent = False
        raise Refusal(400, str(bad)) from None
    if offer is None:
        return None
    request.channel.persistent = False
    if request.body_length or b"transfer-encoding" in request.fields:
        raise Refusal(400, "a request for an upgrade can't have a body")
    return offer


async def relay_upgraded(
    request: ProxyRequest,
    exchange: Exchange,
    fields: Fields,
    sink: IConsumer,
    clock: Any,
    idle_timeout: float,
) -> None:
    """Send the 101 with those fields, and pass bytes both ways until the upstream ends.

    Raises SourceError where it breaks off. Cancelled when the client leaves.
    """

    def idle() -> None:
        request.error = "connection_read_timeout"
        request.cut()

    watchdog = Watchdog(clock, idle)

    def moved() -> None:
        watchdog.expect(idle_timeout)

    inflow = request.switch_protocols(fields)
    inflow.moved = moved
    moved()
    try:
        sent = exchange.send_on(inflow)
        sent.addCallbacks(lambda _: exchange.hang_up(), lambda _: None)
        await exchange.pump(_Noted(sink, moved))
    finally:
        watchdog.close()
        request.longest_gap = None  # silence is no sign of a slow source here


@implementer(IConsumer)
class _Noted:
    """A consumer that calls `moved` for all bytes."""

    def __init__(self, sink: IConsumer, moved: Callable[[], None]) -> None:
        self._sink = sink
        self._moved = moved

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sink.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sink.unregisterProducer()

    def write(self, data: bytes) -> None:
        self._moved()
        self._sink.write(data)
