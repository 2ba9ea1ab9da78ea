"""The site: strict channels for clients in front of the tree of routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import Site

from aprp.config import ListenHttp2, QueryRoute, Settings, SourcesRoute, UpstreamRoute
from aprp.core.http.targets import Target
from aprp.core.http2.counts import Http2Counts
from aprp.core.http2.frames import PREFACE
from aprp.core.http2.requests import is_no_http1
from aprp.core.limits import ClientLimits, Others, memory_limit
from aprp.upstream.errors import SourceError
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.guard import Guard, Listening, nowhere
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.access_record import AccessRecord
from aprp.web.bandwidth import Bandwidths
from aprp.web.channel import StrictChannel
from aprp.web.clients import Clients
from aprp.web.closing import ClosingChannel
from aprp.web.h2_channel import H2Channel
from aprp.web.memory_watch import MemoryWatch, allowed_by_group, resident
from aprp.web.preloading import load_protocols
from aprp.web.request import ProxyRequest
from aprp.web.request_rules import BodyLimits, Limits
from aprp.web.reverse_proxy import ReverseProxy
from aprp.web.routes import RouteResource, RouteTree
from aprp.web.tallies import RouteTally, Tallies
from aprp.web.turns import Turns

if TYPE_CHECKING:
    from aprp.cache.cache import Cache


class ProxySite(Site):
    """Builds the channels: each begins with HTTP/1.1, and changes if its client chose HTTP/2."""

    noisy = False

    def __init__(
        self,
        tree: RouteTree,
        observe: Callable[[AccessRecord], None],
        reactor: Any,
        limits: Limits | None = None,
        clients: Clients | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        super().__init__(tree, reactor=reactor, parsePOSTFormSubmission=False)
        self.tallies = tallies or Tallies()
        """What is counted of each route."""
        self.id_field = tree.id_field
        """The response field that has the request's id."""
        self._observe = observe
        self.in_flight: set[ProxyRequest] = set()
        """The requests in flight."""
        self.channels: set[ClosingChannel | H2Channel] = set()
        """The connections of clients."""
        self.clients = clients or Clients()
        self.turns = Turns(reactor)
        self.stopping = False
        """Whether connections are closed after the response in flight."""
        self.accept: Callable[[bool], None] = lambda accepting: None
        """Called with False to stop accepting connections, and True to resume."""
        self._was_full = False
        self._emptied: Deferred[None] = Deferred(lambda done: done.callback(None))
        self.http2 = ListenHttp2.ON
        self._tree = tree
        self._limits = limits or Limits()
        self._reactor = reactor

    def buildProtocol(self, addr: object) -> Any:
        if self._full:
            return None
        channel: Any = StrictChannel()
        channel.site = self
        channel.reactor = self._reactor
        channel.limits = self._limits
        channel.callLater = self._reactor.callLater
        channel.timeOut = self._limits.idle_seconds
        return channel

    def getResourceFor(self, request: ProxyRequest) -> Resource:
        """Return the leaf of the request's route, by its path as it came."""
        return self._tree.getChildWithDefault(b"", request)

    def observe(self, record: AccessRecord) -> None:
        """Count and log a request that has ended."""
        self.tallies.observe(record)
        self._observe(record)

    def failed(self, request: ProxyRequest, error: SourceError, status: int) -> None:
        """Count and log a request that its upstream, or all of its sources, failed."""
        tally = self.tallies.of(request.route)
        tally.failed(error, status, request.id, self._reactor.seconds())

    def entered(self, channel: ClosingChannel | H2Channel) -> None:
        """A connection was made."""
        self.channels.add(channel)
        if self._full:
            self._was_full = True
            self.accept(False)

    @property
    def _full(self) -> bool:
        """Whether no more connections may be accepted for now."""
        descriptors = self.clients.descriptors
        return descriptors is not None and len(self.channels) >= descriptors.most_accepted

    def left(self, channel: ClosingChannel | H2Channel) -> None:
        """A connection has ended."""
        self.channels.discard(channel)
        if self._was_full and not self._full:
            self._was_full = False
            self.accept(True)
        if self.stopping and not self.channels and not self._emptied.called:
            self._emptied.callback(None)

    def drain(self) -> Deferred[None]:
        """Let the requests in flight end, and accept no others.

        Fires when no client is left, or when cancelled.
        """
        self.stopping = True
        for channel in tuple(self.channels):
            channel.take_no_more()
        if not self.channels and not self._emptied.called:
            self._emptied.callback(None)
        return self._emptied

    async def cut_off(self) -> None:
        """Cut every response in flight, with a reset where a FIN would complete it."""
        for request in tuple(self.in_flight):
            request.cut()
            if request.when_lost is not None:  # nothing more is fetched for it
                request.when_lost()
        for channel in tuple(self.channels):
            channel.reset_now()
        if self.clients.memory is not None:
            self.clients.memory.limit = 0
        await deferLater(self._reactor, 0)  # resets are carried out in the reactor's next turn

    def acceptableProtocols(self) -> list[bytes]:
        if self.http2 is ListenHttp2.OFF:
            return [b"http/1.1"]
        return [b"h2", b"http/1.1"]

    def speaks_http2(self, transport: Any, data: bytes) -> bool:
        """Return whether a connection that begins with `data` is one of HTTP/2."""
        if ISSLTransport.providedBy(transport):
            return bool(getattr(transport, "negotiatedProtocol", None) == b"h2")
        return self.http2 is ListenHttp2.CLEARTEXT and (
            data.startswith(PREFACE) or is_no_http1(data)
        )

    def may_speak_http2(self, transport: Any, data: bytes) -> bool:
        """Return whether that can't be told yet."""
        clear = not ISSLTransport.providedBy(transport)
        return clear and self.http2 is ListenHttp2.CLEARTEXT and PREFACE.startswith(data)

    @property
    def http2_counts(self) -> Http2Counts:
        """The connections of HTTP/2 among `channels`."""
        return Http2Counts.of(each for each in self.channels if isinstance(each, H2Channel))

    def change_routes(self, tree: RouteTree) -> None:
        """Serve the requests that begin from now on by these routes."""
        self.resource = self._tree = tree
        self.id_field = tree.id_field

    def change_clients(self, settings: Settings) -> None:
        """Hold clients that come from now on to the limits of these settings."""
        limits = settings.limits
        self.http2 = settings.listen_http2
        self.clients.proxies = settings.trusted_proxies
        self.clients.limits = ClientLimits(
            limits.connections, limits.connections_per_address, limits.requests_per_address
        )
        if self.clients.memory is not None:
            allowed = 0 if limits.memory >= 0 else allowed_by_group()
            self.clients.memory.limit = memory_limit(limits.memory, allowed)

    def body_limits(self, authority: bytes, target: Target) -> BodyLimits:
        """Return the limits of a request's body; raise `Refusal`."""
        return self._tree.body_limits(authority, target.path)


def make_site(
    settings: Settings,
    agent: Agent,
    observe: Callable[[AccessRecord], None],
    reactor: Any,
    limits: Limits | None = None,
    listening: Listening = nowhere,
    shared: SharedResources | None = None,
    tallies: Tallies | None = None,
    bandwidths: Bandwidths | None = None,
    cache: Cache | None = None,
    others: Others | None = None,
    resident: Callable[[], int] = resident,
    quiet: bool = False,
) -> ProxySite:
    """Return the site that serves the routes of the settings.

    `listening` says which ports are its own; `shared` is what its transfers share, `tallies` what
    is counted and `bandwidths` what routes may send, if others look at them too; `others` are the
    processes that share the limits, and `resident` measures their memory; `quiet`:
    another one logs that it is short.
    """
    tallies = tallies or Tallies()
    shared = shared or SharedResources(agent, reactor, settings.memory)
    tree = make_tree(settings, shared, reactor, listening, tallies, bandwidths, cache)
    clients = Clients(others=others)
    site = ProxySite(tree, observe, reactor, limits, clients, tallies)
    site.clients.memory = MemoryWatch(reactor, resident, quiet=quiet)
    site.change_clients(settings)
    site.clients.descriptors = agent.descriptors
    agent.descriptors.clients = lambda: site.clients.connections
    return site


def make_tree(
    settings: Settings,
    shared: SharedResources,
    reactor: Any,
    listening: Listening = nowhere,
    tallies: Tallies | None = None,
    bandwidths: Bandwidths | None = None,
    cache: Cache | None = None,
) -> RouteTree:
    """The resources that serve the routes of the settings; arguments as for `make_site`."""
    tallies = tallies or Tallies()
    bandwidths = bandwidths or Bandwidths(reactor)
    routes: list[RouteResource] = []
    load_protocols(settings.routes)
    for route in settings.routes:
        tally = tallies.add(route)
        if isinstance(route, UpstreamRoute):
            routes.append(_reverse_proxy(route, cache, shared.agent, reactor, tally))
        else:
            routes.append(_of_sources(route, cache, shared, reactor, tally, listening))
        routes[-1].bandwidth = bandwidths.of(route)
    return RouteTree(routes, shared.in_service, settings.log.request_id)


def _of_sources(
    route: SourcesRoute | QueryRoute,
    cache: Cache | None,
    shared: SharedResources,
    reactor: Any,
    tally: RouteTally,
    listening: Listening,
) -> RouteResource:
    """Return the leaf of a `sources:` or `query:` route. Only those load what transfers need."""
    if isinstance(route, QueryRoute):
        from aprp.web.query_proxy import QuerySources

        return QuerySources(route, shared, reactor, tally, listening)
    if route.metalink is not None:
        from aprp.web.listed_sources import ListedSources

        return ListedSources(route, shared, reactor, tally, listening)
    guard = Guard(shared.agent.names, (), listening)
    if cache is None or route.cache is None:
        from aprp.web.multi_source import MultiSource

        return MultiSource(route, shared, reactor, guard, tally)
    from aprp.web.cached.sources import CachedMultiSource  # nothing of it is needed without a cache

    return CachedMultiSource(route, cache, shared, reactor, guard, tally)


def _reverse_proxy(
    route: UpstreamRoute, cache: Cache | None, agent: Agent, reactor: Any, tally: RouteTally
) -> ReverseProxy:
    """Return the leaf of an `upstream:` route."""
    if cache is None or route.cache is None:
        return ReverseProxy(route, agent, reactor, tally)
    from aprp.web.cached.upstream import CachedReverseProxy  # not needed without a cache

    return CachedReverseProxy(route, agent, reactor, tally, cache)
