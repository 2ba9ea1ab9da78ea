"""The tree of resources: one leaf for each route, found by the longest matching path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aprp.config import Route, UpstreamRoute
from aprp.core.http.addresses import host_allowed
from aprp.core.http.fields import Fields
from aprp.core.http.targets import climbs, host_of, under
from aprp.core.scheduling.in_service import InService
from aprp.upstream.transfer.route_options import names_of
from aprp.web.bandwidth import Bandwidth
from aprp.web.failures import Refusal
from aprp.web.gate import Gate, Gated
from aprp.web.loops import refuse_loop
from aprp.web.request import ProxyRequest
from aprp.web.request_rules import ALLOWED, BodyLimits
from aprp.web.tallies import label_of

UNUSED_BODY = 65536
"""Bytes of a body that is read and dropped, so that the connection can be reused."""
OPTIONS_BODY = BodyLimits(most=UNUSED_BODY, seconds=60.0)
"""The limits for an OPTIONS request to the proxy itself, whose body is dropped."""

KNOWN = 128
"""Paths whose routes are remembered: a player requests the same one again and again."""

RETRY_AFTER = 10
"""Seconds in the Retry-After of a route that has no source in service."""


class RouteResource(Resource):
    """A leaf for everything under the path of its route."""

    isLeaf = True
    answers_without_source = False
    """Whether it is asked though no source is in service, because it may not need one."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self.path = route.path
        self.label = label_of(route)
        """What logs and counts call the route."""
        self.prefix = route.path.encode("ascii")
        self.hosts = route.hosts
        self.sources = names_of(route)
        self.gate = Gate(route)
        self.has_source: Callable[[], bool] = lambda: True
        """Whether any of its sources is in service."""
        self.bandwidth: Bandwidth | None = None
        """The limit that its responses share, or None."""
        most = route.max_body if isinstance(route, UpstreamRoute) else UNUSED_BODY
        self.body_limits = BodyLimits(most, route.send_timeout, route=self.label)

    def serves(self, authority: bytes) -> bool:
        """Whether the route is for requests to that host."""
        return not self.hosts or host_allowed(host_of(authority), self.hosts)


class Refused(Resource):
    """Responds to every request with the same refusal."""

    isLeaf = True

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self._refusal = refusal

    def render(self, request: ProxyRequest) -> int:
        request.fail(self._refusal)
        return NOT_DONE_YET


class RouteTree(Resource):
    """The root resource: finds the route by the path's raw bytes."""

    def __init__(
        self,
        routes: Sequence[RouteResource],
        in_service: InService | None = None,
        id_field: str | None = None,
    ) -> None:
        super().__init__()
        self._in_service = in_service or InService()
        self.id_field = id_field.encode("ascii") if id_field else None
        """The response field that has the request's id."""
        self._routes = sorted(routes, key=lambda route: (-len(route.prefix), not route.hosts))
        for route in routes:
            route.has_source = partial(self._serves, route)
        self.find: Callable[[bytes, bytes], RouteResource] = lru_cache(KNOWN)(self._find)
        """Returns the route for a host and a path. Raises `Refusal` as `_find` does."""

    def _find(self, authority: bytes, path: bytes) -> RouteResource:
        """Return the route for the host with the longest prefix of `path`, by whole segments.

        Raises `Refusal` if there is none, or if the path may climb out of the route.
        """
        for route in self._routes:
            rest = under(route.prefix, path)
            if rest is not None and route.serves(authority):
                if climbs(rest):
                    raise Refusal(400, "the path climbs out of its route")
                return route
        raise Refusal(404, "no route matches this path", "destination_not_found")

    def body_limits(self, authority: bytes, path: bytes) -> BodyLimits:
        """Return the limits of a request's body at `path`; raise `Refusal`."""
        return OPTIONS_BODY if path == b"*" else self.find(authority, path).body_limits

    def getChildWithDefault(self, name: bytes, request: ProxyRequest) -> Resource:
        path = request.target.path
        if path == b"*":
            return Capabilities()
        try:
            route = self.find(request.authority, path)
            request.route = route.label
            refuse_loop(request)
        except Refusal as refusal:
            return Refused(refusal)
        served = route.answers_without_source or route.has_source()
        leaf = route if served else Refused(no_source())
        return leaf if route.gate.open else Gated(route.gate, leaf)

    def _serves(self, route: RouteResource) -> bool:
        """Whether any of the route's sources is in service."""
        out = self._in_service.out
        return not out or not route.sources or any(name not in out for name in route.sources)


def no_source() -> Refusal:
    """Return the refusal of a request when no source of the route is in service (RFC 9209 section
    2.3.5).
    """
    retry = ((b"Retry-After", b"%d" % RETRY_AFTER),)
    return Refusal(503, "no source of this route is in service", "destination_unavailable", retry)


class Capabilities(Resource):
    """Responds to OPTIONS requests to the proxy itself (RFC 9110 section 9.3.7)."""

    isLeaf = True

    def render(self, request: ProxyRequest) -> int:
        request.begin(204, Fields(((b"Allow", ALLOWED),)))
        request.finish()
        return NOT_DONE_YET
