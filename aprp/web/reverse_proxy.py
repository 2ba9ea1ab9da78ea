"""The reverse proxy: one upstream, whose responses are checked, sliced and resumed.

GET and HEAD go by the plan of `aprp.core.http.answer_plan`; everything else is handed on as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.web.server import NOT_DONE_YET

from aprp.config import RequestBuffering, UnderscoreFields, UpstreamRoute
from aprp.core.http.answer_plan import AskAgain, Plan, Refuse, Relay, ResponseSummary, Whole, decide
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.forwarding import (
    end_to_end,
    hops_left,
    resolve_location,
    rewrite_location,
    with_forwarded,
    with_own,
    with_range_in_path,
    with_via,
    without_underscores,
)
from aprp.core.http.heads import ResponseHead, declared_length
from aprp.core.http.ranges import Range, Spec
from aprp.core.http.targets import under
from aprp.core.http.upgrading import Offer
from aprp.core.recovery.resumption import FileVersion
from aprp.upstream.errors import SourceLied
from aprp.upstream.exchange import Exchange, Origin, SourceRequest, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.trust import trust_of
from aprp.upstream.transfer.options import without_query
from aprp.upstream.transfer.resumed_body import ResumedBody, Resumption, summary_of
from aprp.upstream.wall_clock import time
from aprp.web.handling import run_handler
from aprp.web.loops import with_own_via
from aprp.web.range_request import RangeRequest, read_range_request
from aprp.web.request import ProxyRequest
from aprp.web.responding import send
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
        self.tally = tally.source(without_query(route.upstream))
        url = route.upstream
        self.settings = route
        self.agent = agent
        self.clock = clock
        self.origin = Origin.of(url, trust_of(route.tls), route.http2)
        self.base = url.path.encode("ascii")
        self.stem = self.base.rstrip(b"/")
        self.host = (route.host or url.authority).encode("ascii")
        calls = (f"{url.scheme}://{each}" for each in (url.authority, route.host or url.authority))
        self.origins = frozenset(each.lower().encode("ascii") for each in calls)
        self.own = tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in route.headers)
        streamed = route.request_buffering is RequestBuffering.OFF
        self.body_limits = replace(self.body_limits, streamed=streamed)
        self.upgrades = tuple(each.encode("ascii") for each in route.upgrades)
        self.timeouts = Timeouts(
            route.connect_timeout, route.first_byte_timeout, route.between_bytes_timeout
        )

    def render(self, request: ProxyRequest) -> int:
        if request.method == b"OPTIONS" and hops_left(request.fields) == 0:
            return Capabilities().render(request)
        run_handler(request, Visit(self, request).serve())
        return NOT_DONE_YET


class Visit:
    """One client request while it is forwarded to the upstream and answered."""

    def __init__(self, proxy: ReverseProxy, request: ProxyRequest) -> None:
        self._proxy = proxy
        self._request = request
        keep = proxy.settings.underscore_fields is UnderscoreFields.PASS
        self._fields = without_underscores(end_to_end(request.fields), keep)
        self._sink = sink_for(request, proxy.clock, proxy.settings, proxy.bandwidth)
        self._range_request: RangeRequest | None = None
        request.upstream = str(proxy.origin)

    async def serve(self) -> None:
        try:
            offer = requested_upgrade(self._request, self._proxy.upgrades)
            if offer is not None:
                await self._upgrade(offer)
            elif self._request.method in (b"GET", b"HEAD"):
                await self._serve_ranges()
            else:
                path = under(self._proxy.prefix, self._request.target.path) or b""
                await self._relay(await self._proxy.agent.open(self._outgoing(path)))
        finally:
            self._sink.close()
            self._request.sources = ((self._proxy.tally.name, self._request.sentLength),)
        self._request.finish()

    async def _upgrade(self, offer: Offer) -> None:
        """Change to another protocol, if the upstream agrees."""
        proxy, request = self._proxy, self._request
        outgoing = self._outgoing(under(proxy.prefix, request.target.path) or b"")
        fields = outgoing.fields.without(ONLY_HERE).adding(*offer.fields)
        exchange = await proxy.agent.open(replace(outgoing, fields=fields, upgrade=offer))
        try:
            if exchange.head.status != 101:
                await self._relay(exchange)
                return
            fields = self._incoming(exchange.head).adding(*offer.fields)
            idle = proxy.settings.upgrade_idle_timeout
            await relay_upgraded(request, exchange, fields, self._sink, proxy.clock, idle)
        finally:
            exchange.abort()

    async def _serve_ranges(self) -> None:
        route = self._proxy.settings
        rest = under(self._proxy.prefix, self._request.target.path) or b""
        head = self._request.method == b"HEAD"
        one_file = not route.path.endswith("/")
        range_request = read_range_request(
            self._fields, head, rest, route.path_ranges, route.max_ranges, one_file
        )
        self._range_request = range_request
        self._request.range = range_request.text
        outgoing = self._outgoing(range_request.path)
        if range_request.asked.path is not None:
            outgoing = _uncoded(outgoing)
        spec = range_request.asked.wanted
        for _ in range(MOST_TRIES):
            exchange = await self._proxy.agent.open(_with_range(outgoing, spec, range_request))
            try:
                answer = self._answer(exchange)
                plan = decide(range_request.asked, spec, answer)
                if not isinstance(plan, AskAgain):
                    await self._carry_out(plan, answer, exchange, outgoing)
                    return
                spec = plan.spec
            finally:
                exchange.abort()
        raise SourceLied(str(self._proxy.origin), "keeps answering with what wasn't asked for")

    async def _carry_out(
        self, plan: Plan, answer: ResponseSummary, exchange: Exchange, outgoing: SourceRequest
    ) -> None:
        if isinstance(plan, Refuse):
            raise SourceLied(str(self._proxy.origin), f"gave {plan.reason}")
        if isinstance(plan, Relay) or plan == Whole(None):
            await self._relay(exchange)
            return
        ranged = answer.content_range if answer.status == 206 else None
        complete = answer.length if ranged is None else ranged.complete
        carries = Range(0, complete or 0) if ranged is None else ranged.range
        assert carries is not None
        proxy, resumption = self._proxy, None
        if complete is not None:
            version = FileVersion(answer.validators, complete)
            resumption = Resumption(proxy.agent, outgoing, version, proxy.settings.resume_for)
        stream = ResumedBody(proxy.clock, str(proxy.origin), exchange, carries, resumption)
        try:
            await send(self._request, plan, self._incoming(exchange.head), stream, self._sink)
        finally:
            self._request.resumes = stream.resumes
            stream.abort()

    def _answer(self, exchange: Exchange) -> ResponseSummary:
        return summary_of(exchange.head, time())

    async def _relay(self, exchange: Exchange) -> None:
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
            await exchange.pump(self._sink)

    def _outgoing(self, path: bytes) -> SourceRequest:
        """Return the request to the upstream; `path` is relative to the route."""
        request, proxy = self._request, self._proxy
        fields = self._fields.without((b"host", b"content-length", b"expect"))
        hops = hops_left(fields)
        if hops is not None and request.method == b"OPTIONS":
            fields = fields.without((b"max-forwards",))
            fields = fields.adding((b"Max-Forwards", b"%d" % max(0, hops - 1)))
        fields = with_own_via(fields, request)
        scheme = b"https" if request.isSecure() else b"http"
        fields = with_forwarded(
            fields,
            request.peer_host.encode("ascii"),
            scheme,
            request.authority,
            trusted=request.forwarded_by_trusted,
        )
        fields = fields.adding(*_framing_of(request))
        return SourceRequest(
            request.method,
            proxy.origin,
            (proxy.stem + path or b"/") + request.target.query,
            Fields(((b"Host", proxy.host), *with_own(fields, proxy.own))),
            proxy.timeouts,
            request.inflow or (request.content if request.body_length else None),
            self._interim,
            tally=proxy.tally,
        )

    def _incoming(self, head: ResponseHead) -> Fields:
        """Return the fields of a response as the client gets them."""
        fields = with_via(end_to_end(head.fields), head.version)
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
        value = resolve_location(value, proxy.stem + range_request.path)
        found = rewrite_location(value, proxy.origins, proxy.base, proxy.prefix)
        return value if found is None else with_range_in_path(found, range_request.text)

    def _interim(self, head: ResponseHead) -> None:
        """Relay a 1xx (RFC 9110 section 15.2), except 100, which aprp has sent itself."""
        if head.status != 100:
            self._request.interim(head.status, self._incoming(head), head.reason)


def _framing_of(request: ProxyRequest) -> Pairs:
    """The framing fields of a request's body: its length, or chunked if it is streamed."""
    length = request.fields.get(b"content-length")
    if request.inflow is not None and length is None:
        return ((b"Transfer-Encoding", b"chunked"),)
    if request.inflow is not None and length is not None:
        return ((b"Content-Length", b"%d" % int(length)),)
    if request.body_length or length is not None or b"transfer-encoding" in request.fields:
        return ((b"Content-Length", b"%d" % request.body_length),)
    return ()


def _uncoded(outgoing: SourceRequest) -> SourceRequest:
    """Return the same request without content coding: a range in the path is of the file itself."""
    fields = outgoing.fields.without((b"accept-encoding",))
    return replace(outgoing, fields=fields.adding((b"Accept-Encoding", b"identity")))


def _with_range(
    outgoing: SourceRequest, spec: Spec | None, range_request: RangeRequest
) -> SourceRequest:
    """Return the request with `spec`, and the client's If-Range if the range is the client's."""
    fields = outgoing.fields.without((b"range", b"if-range"))
    if spec is not None:
        fields = fields.adding((b"Range", spec.header()))
        if range_request.asked.path is None and range_request.if_range is not None:
            fields = fields.adding((b"If-Range", range_request.if_range))
    method = outgoing.method if spec is None else b"GET"
    return replace(outgoing, method=method, fields=fields)
