"""The reverse proxy: one upstream, whose responses are checked, sliced and resumed.

GET and HEAD go by the plan of `aprp.core.http.answer_plan`; everything else is handed on as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IConsumer
from twisted.web.server import NOT_DONE_YET

from aprp.config import RequestBuffering, UnderscoreFields, UpstreamRoute
from aprp.core.http.answer_plan import ResponseSummary, decide
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.forwarding import (
    NONE,
    end_to_end,
    hops_left,
    passed_back,
    resolve_location,
    rewrite_location,
    with_range_in_path,
    without_underscores,
)
from aprp.core.http.heads import ResponseHead, declared_length
from aprp.core.http.plans import AskAgain, Part, Plan, Refuse, Relay, Whole
from aprp.core.http.ranges import Range
from aprp.core.http.targets import under
from aprp.core.http.upgrading import Offer
from aprp.core.recovery.resumption import FileVersion
from aprp.upstream.errors import SourceLied
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.options import without_query
from aprp.upstream.transfer.resumed_body import ResumedBody, Resumption, summary_of
from aprp.upstream.wall_clock import time
from aprp.web.handling import run_handler
from aprp.web.held_sink import Sink
from aprp.web.outgoing import Outgoing
from aprp.web.range_request import RangeRequest, read_range_request
from aprp.web.request import ProxyRequest
from aprp.web.responding import bytes_of, content_of, send
from aprp.web.routes import Capabilities, RouteResource
from aprp.web.sinks import sink_for
from aprp.web.tallies import RouteTally
from aprp.web.upgrade import ONLY_HERE, relay_upgraded, requested_upgrade

MOST_TRIES = 3
"""Requests for one plan: a range, another one after a 416, the whole."""


class ReverseProxy(RouteResource):
    """The leaf of an `upstream:` route."""

    def __init__(self, route: UpstreamRoute, agent: Agent, clock: Any, tally: RouteTally) -> None:
        super().__init__(route)
        url = route.upstream
        self.settings = route
        self.agent = agent
        self.clock = clock
        self.outgoing = Outgoing(route, tally.source(without_query(url)))
        self.where = str(self.outgoing.origin)
        self.base = url.path.encode("ascii")
        host = route.host or url.authority
        calls = (f"{url.scheme}://{each}" for each in (url.authority, host))
        self.origins = frozenset(each.lower().encode("ascii") for each in calls)
        streamed = route.request_buffering is RequestBuffering.OFF
        self.body_limits = replace(self.body_limits, streamed=streamed)
        self.keeps_underscores = route.underscore_fields is UnderscoreFields.PASS
        self.upgrades = tuple(each.encode("ascii") for each in route.upgrades)

    def render(self, request: ProxyRequest) -> int:
        if request.method == b"OPTIONS" and hops_left(request.fields) == 0:
            return Capabilities().render(request)
        run_handler(request, self.visit(request).serve())
        return NOT_DONE_YET

    def visit(self, request: ProxyRequest) -> Visit:
        """Return what serves the request."""
        return Visit(self, request)


class Visit:
    """One client request while it is forwarded to the upstream and answered."""

    def __init__(self, proxy: ReverseProxy, request: ProxyRequest) -> None:
        self._proxy = proxy
        self._request = request
        self._fields = without_underscores(end_to_end(request.fields), proxy.keeps_underscores)
        self._made: Sink | None = None
        self._range_request: RangeRequest | None = None
        request.upstream = proxy.where

    @property
    def _sink(self) -> Sink:
        """The consumer of the response's body, made when it is needed."""
        if self._made is None:
            proxy = self._proxy
            self._made = sink_for(self._request, proxy.clock, proxy.settings, proxy.bandwidth)
        return self._made

    async def serve(self) -> None:
        try:
            offer = requested_upgrade(self._request, self._proxy.upgrades)
            if offer is not None:
                await self._upgrade(offer)
            elif self._request.method in (b"GET", b"HEAD"):
                await self._serve_ranges()
            else:
                await self._pass_on(self._unranged())
        finally:
            if self._made is not None:
                self._made.close()
            name = self._proxy.outgoing.tally.name
            self._request.sources = ((name, self._fetched),)
        self._request.finish()

    @property
    def _fetched(self) -> int:
        """The bytes of the response that came from the upstream."""
        return self._request.sentLength

    async def _upgrade(self, offer: Offer) -> None:
        """Change to another protocol, if the upstream agrees."""
        proxy, request = self._proxy, self._request
        outgoing = self._unranged()
        fields = outgoing.fields.without(ONLY_HERE).adding(*offer.fields)
        exchange = await proxy.agent.open(outgoing._replace(fields=fields, upgrade=offer))
        try:
            if exchange.head.status != 101:
                await self._relay(exchange)
                return
            fields = self._incoming(exchange.head).adding(*offer.fields)
            idle = proxy.settings.upgrade_idle_timeout
            await relay_upgraded(request, exchange, fields, self._sink, proxy.clock, idle)
        finally:
            exchange.abort()

    def _unranged(self) -> SourceRequest:
        """Return the client's request as it goes on, with all of its fields."""
        path = under(self._proxy.prefix, self._request.target.path) or b""
        return self._proxy.outgoing.request(self._request, self._fields, path, self._interim)

    async def _pass_on(self, outgoing: SourceRequest) -> None:
        """Forward a request that is neither GET nor HEAD."""
        await self._relay(await self._proxy.agent.open(outgoing))

    def _read_range_request(self) -> RangeRequest:
        """Read which bytes are requested."""
        route = self._proxy.settings
        rest = under(self._proxy.prefix, self._request.target.path) or b""
        head = self._request.method == b"HEAD"
        one_file = not route.path.endswith("/")
        range_request = read_range_request(
            self._fields, head, rest, route.path_ranges, route.max_ranges, one_file
        )
        self._range_request = range_request
        self._request.range = range_request.text
        return range_request

    async def _serve_ranges(self) -> None:
        await self._forward(self._read_range_request())

    async def _forward(self, range_request: RangeRequest) -> None:
        """Ask the upstream, and send what it answers as the client wants it."""
        spec = range_request.asked.wanted
        for _ in range(MOST_TRIES):
            outgoing = self._proxy.outgoing.ranged(
                self._request, self._fields, range_request, spec, self._interim
            )
            exchange = await self._proxy.agent.open(outgoing)
            try:
                answer = self._answer(exchange)
                plan = decide(range_request.asked, spec, answer)
                if not isinstance(plan, AskAgain):
                    await self._carry_out(plan, answer, exchange, outgoing)
                    return
                spec = plan.spec
            finally:
                exchange.abort()
        raise SourceLied(self._proxy.where, "keeps answering with what wasn't asked for")

    async def _carry_out(
        self, plan: Plan, answer: ResponseSummary, exchange: Exchange, outgoing: SourceRequest
    ) -> None:
        if isinstance(plan, Refuse):
            raise SourceLied(self._proxy.where, f"gave {plan.reason}")
        if isinstance(plan, Relay) or (isinstance(plan, Whole) and plan.complete is None):
            await self._relay(exchange)
            return
        ranged = answer.content_range if answer.status == 206 else None
        complete = answer.length if ranged is None else ranged.complete
        carries = Range(0, complete or 0) if ranged is None else ranged.range
        assert carries is not None
        if isinstance(plan, Part | Whole) and bytes_of(plan) == carries and self._unpaced:
            body = exchange.take(carries.length)
            if body is not None:
                status, replaced, added = content_of(plan)
                fields = self._incoming(exchange.head, replaced, added)
                self._request.respond(status, fields, body)
                return
        proxy, resumption = self._proxy, None
        if complete is not None:
            version = FileVersion(answer.validators, complete)
            resumption = Resumption(proxy.agent, outgoing, version, proxy.settings.resume_for)
        stream = ResumedBody(proxy.clock, proxy.where, exchange, carries, resumption)
        try:
            await send(self._request, plan, self._incoming(exchange.head), stream, self._sink)
        finally:
            self._request.resumes = stream.resumes
            stream.abort()

    @property
    def _unpaced(self) -> bool:
        """Whether the client may have its response as fast as it takes it."""
        return self._proxy.settings.limit_rate is None and self._proxy.bandwidth is None

    def _answer(self, exchange: Exchange) -> ResponseSummary:
        return summary_of(exchange.head, time())

    async def _relay(self, exchange: Exchange, sink: IConsumer | None = None) -> None:
        """Relay the response as it is, except for what belongs to the connection."""
        head, fields = exchange.head, self._incoming(exchange.head)
        lengths, length = head.fields.all(b"content-length"), declared_length(head.fields)
        if head.status == 204:  # RFC 9110 section 8.6
            fields = fields.without((b"content-length",))
        elif len(lengths) > 1 or b"," in b"".join(lengths):
            fields = fields.without((b"content-length",))
            fields = fields.adding((b"Content-Length", b"%d" % (length or 0)))
        self._request.begin(head.status, fields, head.reason)
        if self._request.method != b"HEAD":
            await exchange.pump(sink or self._sink)

    def _incoming(
        self, head: ResponseHead, replaced: frozenset[bytes] = NONE, added: Pairs = ()
    ) -> Fields:
        """Return the fields of a response as the client gets them, with `added` in place of those
        that are called so."""
        fields = passed_back(head.fields, head.version, replaced, added)
        return self._relocated(fields) if b"location" in head.fields.by_name else fields

    def _relocated(self, fields: Fields) -> Fields:
        """Return a response's fields with its Location as the client must request it."""
        if b"location" not in fields:
            return fields
        return Fields(
            (name, self._location(value) if name.lower() == b"location" else value)
            for name, value in fields
        )

    def _location(self, value: bytes) -> bytes:
        """Return the URL as the client must request it, with its range in the path if it had
        one."""
        proxy, range_request = self._proxy, self._range_request
        if range_request is None or range_request.asked.path is None or range_request.text is None:
            return rewrite_location(value, proxy.origins, proxy.base, proxy.prefix) or value
        value = resolve_location(value, proxy.outgoing.stem + range_request.path)
        found = rewrite_location(value, proxy.origins, proxy.base, proxy.prefix)
        return value if found is None else with_range_in_path(found, range_request.text)

    def _interim(self, head: ResponseHead) -> None:
        """Relay a 1xx (RFC 9110 section 15.2), except 100, which aprp has sent itself."""
        if head.status != 100:
            self._request.interim(head.status, self._incoming(head), head.reason)
