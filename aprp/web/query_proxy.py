"""The ad-hoc proxy: a client names the sources itself, ``/proxy?host=URL,URL``.

So that it isn't an open proxy, only hosts that the route allows are requested, at public addresses
or listed ones. That applies to redirects as well. Names are resolved once per request. Requests to
the proxy's own ports are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.web.server import NOT_DONE_YET

from aprp.config import PathRanges, QueryRoute
from aprp.core.http.addresses import host_allowed
from aprp.core.http.targets import under
from aprp.core.http.urls import Url
from aprp.core.reasons import Name
from aprp.upstream.errors import SourceError
from aprp.upstream.exchange import Origin
from aprp.upstream.http.guard import AddressRefused, Guard, Listening, OwnListener
from aprp.upstream.http.trust import trust_of
from aprp.upstream.transfer.options import TransferOptions, locations
from aprp.upstream.transfer.route_options import options_of
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer
from aprp.web.failures import Refusal, failure_of
from aprp.web.handling import run_handler
from aprp.web.loops import own_via
from aprp.web.multi_source import refused_method, serve
from aprp.web.query_sources import read_sources
from aprp.web.range_request import read_range_request
from aprp.web.request import ProxyRequest
from aprp.web.routes import RouteResource
from aprp.web.sinks import sink_for
from aprp.web.tallies import RouteTally

REFUSED = {AddressRefused.kind: 403, OwnListener.kind: 508}
"""The statuses for what the client may not request, by the kind of the error."""


class QuerySources(RouteResource):
    """The leaf of a `query:` route."""

    def __init__(
        self,
        route: QueryRoute,
        shared: SharedResources,
        clock: Any,
        tally: RouteTally,
        listening: Listening,
    ) -> None:
        super().__init__(route)
        self._route = route
        self._shared = shared
        self._clock = clock
        options = options_of(route, trust_of(route.tls.ca))
        self._options = options._replace(tally_of=tally.source)
        self._tally = tally
        self._guard = Guard(shared.agent.names, route.allow_addresses, listening, "allow_addresses")

    def render(self, request: ProxyRequest) -> int:
        request.names_sources = True
        try:
            self._check(request)
            route = self._route
            urls = read_sources(request.target.query, route.query, route.allow)
        except Refusal as refusal:
            request.fail(refusal)
        else:
            run_handler(request, self._serve_or_refuse(request, urls))
        return NOT_DONE_YET

    def _check(self, request: ProxyRequest) -> None:
        if (refusal := refused_method(request)) is not None:
            raise refusal
        if under(self.prefix, request.target.path) not in (b"", b"/"):
            raise Refusal(404, f"there is nothing below {self.path}", "destination_not_found")

    async def _serve_or_refuse(self, request: ProxyRequest, urls: Sequence[Url]) -> None:
        """Serve a request. Raise Refusal if the client may not request this."""
        try:
            await self._serve(request, urls)
        except SourceError as error:
            status = REFUSED.get(error.kind)
            if status is None:
                raise
            self._tally.refused(error, status, request.id, self._clock.seconds())
            text = failure_of(error, by_name=True).text
            raise Refusal(status, text, error.kind) from None

    async def _serve(self, request: ProxyRequest, urls: Sequence[Url]) -> None:
        places = CheckedOrigins(
            self._guard, self._clock, self._route.allow, self._options, request.client_host
        )
        found = await places.judge(urls)
        route, head = self._route, request.method == b"HEAD"
        range_request = read_range_request(
            request.fields, head, b"", PathRanges.OFF, route.max_ranges
        )
        options = self._options._replace(
            reach=places.reach, marks=own_via(request), transfer_id=request.id
        )
        transfer = Transfer(self._shared, locations(found), options)
        sink = sink_for(request, self._clock, route, self.bandwidth)
        name = self.prefix + request.target.query
        await serve(request, range_request, name, transfer, options.same, sink)


class CheckedOrigins:
    """The origins that one request may reach. Each is checked when it is first needed, then
    remembered.
    """

    def __init__(
        self,
        guard: Guard,
        clock: Any,
        allow: Sequence[str],
        options: TransferOptions,
        client: str,
    ) -> None:
        self._guard = guard
        self._clock = clock
        self._allow = allow
        self._trust = options.trust
        self._seconds = options.timeouts.connect
        self._client = client
        self._waited: dict[tuple[str, str, int], float] = {}
        self._known: dict[tuple[str, str, int], Origin] = {}

    async def judge(self, urls: Sequence[Url]) -> list[Url]:
        """Return the sources that can be reached. Raise SourceError if one may not be, or if none
        can.
        """
        work = [Deferred.fromCoroutine(self._judge(url)) for url in urls]
        results: Sequence[tuple[bool, Any]] = await DeferredList(work, consumeErrors=True)
        errors = [None if good else result.value for good, result in results]
        for error in errors:
            if error is not None and not isinstance(error, SourceError):
                raise error
            if error is not None and error.kind in REFUSED:
                raise error
        found = [url for url, error in zip(urls, errors, strict=True) if error is None]
        if not found and errors[0] is not None:
            raise errors[0]
        return found

    async def _judge(self, url: Url) -> None:
        """Check one URL. The time for its name counts towards `connect_timeout`."""
        began = self._clock.seconds()
        await self.reach(url, url)
        self._waited[(url.scheme, url.host, url.port)] = self._clock.seconds() - began

    async def reach(self, url: Url, own: Url) -> Origin:
        """The origin of a source's URL, or of one that it redirects to."""
        place = (url.scheme, url.host, url.port)
        if place not in self._known:
            if not host_allowed(url.host, self._allow):
                raise _not_allowed(url.host, own.host)
            self._known[place] = await self._guard.origin(
                url, self._trust, self._seconds, self._client
            )
        return replace(self._known[place], waited=self._waited.pop(place, 0.0))


def _not_allowed(host: str, own: str) -> AddressRefused:
    """Return the error for a host that isn't allowed; the source's `own` is, if it redirects."""
    if host == own:
        return AddressRefused(f"the host {host}", "isn't allowed here")
    target = Name(host, "another host")
    return AddressRefused(own, "redirects to ", target, ", which isn't allowed here")
