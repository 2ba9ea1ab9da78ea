"""The consumer of a response's body: the client, behind the limits of its route."""

from __future__ import annotations

from typing import Any

from aprp.config import RouteSettings
from aprp.core.rate_limit import RateLimit
from aprp.web.bandwidth import Bandwidth, SharedSink
from aprp.web.client_sink import ClientSink
from aprp.web.held_sink import Sink
from aprp.web.paced_sink import PacedSink
from aprp.web.request import ProxyRequest


def sink_for(
    request: ProxyRequest, clock: Any, route: RouteSettings, bandwidth: Bandwidth | None
) -> Sink:
    """Return the consumer of the body of a request's response."""
    sink: Sink = ClientSink(request, clock, route.send_timeout)
    if route.limit_rate is not None:
        limit = RateLimit(route.limit_rate, clock.seconds(), route.limit_rate_after)
        sink = PacedSink(sink, clock, limit)
    return sink if bandwidth is None else SharedSink(sink, bandwidth)
