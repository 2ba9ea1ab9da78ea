"""`upstream:` routes with a cache: RFC 9111 between the client and the upstream.

A request is answered from the cache, or forwarded; what it brings is stored if it may be. Bytes are
fetched once for all who want them at the same time: the request that is forwarded first begins a
fetch, and the others read along. A request waits for another one at most once, and not where the
last response wasn't stored.

What is stored in parts has a strong validator. Other responses are stored whole, if they are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.config import UpstreamRoute
from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.caching.cache_status import CacheStatus
from aprp.core.http.caching.invalidating import invalidates, named_targets
from aprp.core.http.caching.keys import Realm
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.reuse import request_directives, usable
from aprp.core.http.caching.revalidating import same_as_head, updated
from aprp.core.http.caching.storing import cacheable_request
from aprp.core.http.fields import Fields
from aprp.core.http.plans import Plan, ranges_of
from aprp.core.http.ranges import Range
from aprp.core.http.upgrading import Offer
from aprp.upstream.errors import SourceError
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.http.agent import Agent
from aprp.upstream.wall_clock import time
from aprp.web.cached.asking import CachedAsking, Sending
from aprp.web.cached.entries import Entry, entries_of, entry_for, received
from aprp.web.cached.refresh import turn_of
from aprp.web.cached.route_cache import RouteCache
from aprp.web.cached.sending import Lookup
from aprp.web.failures import Refusal
from aprp.web.range_request import RangeRequest
from aprp.web.request import ProxyRequest
from aprp.web.reverse_proxy import ReverseProxy, Visit
from aprp.web.routes import no_source
from aprp.web.tallies import RouteTally


class CachedReverseProxy(ReverseProxy):
    """The leaf of an `upstream:` route whose responses are cached."""

    answers_without_source = True

    def __init__(
        self, route: UpstreamRoute, agent: Agent, clock: Any, tally: RouteTally, cache: Cache
    ) -> None:
        super().__init__(route, agent, clock, tally)
        assert route.cache is not None
        realm = Realm(self.label, f"{route.upstream.scheme}://{self.where}", self.outgoing.fixed)
        self.cached = RouteCache(cache, route.cache, realm, clock)

    def visit(self, request: ProxyRequest) -> Visit:
        return CachedVisit(self, self.cached, request)


class CachedVisit(CachedAsking):
    """One client request while it is answered from the cache, or forwarded."""

    async def _serve_ranges(self) -> None:
        wanted = self._read_range_request()
        outgoing = self._proxy.outgoing.ranged(
            self._request, self._fields, wanted, None, self._interim
        )
        why = cacheable_request(self._request.method, self._fields, outgoing.body is not None).why
        only_stored = b"only-if-cached" in request_directives(self._fields)
        if why is not None and not only_stored:
            self._need_source()
            self._request.cache = "bypass"
            self._status = CacheStatus("bypass", detail=why)
            await self._forward(wanted)
            return
        if why is not None:
            raise Refusal(504, f"the request is not answered from the cache: {why}")
        self._key = self._cached.key(outgoing.target, outgoing.fields)
        lookup = await self._look(outgoing)
        if not self._proxy.has_source():
            await self._without_source(lookup, outgoing)
        elif lookup.forwarded is None:
            await self._hit(lookup, outgoing)
        elif only_stored:
            raise Refusal(504, "the response is not in the cache")
        elif self._request.method == b"HEAD":
            await self._forward_head(lookup, wanted, outgoing)
        elif self._cached.alone(self._key):
            await (await self._ask(lookup, outgoing))()
        else:
            await self._take_turn(lookup, outgoing)

    def _need_source(self) -> None:
        """Raise Refusal if the upstream isn't in service."""
        if not self._proxy.has_source():
            raise no_source()

    async def _without_source(self, lookup: Lookup, outgoing: SourceRequest) -> None:
        """Send what is stored, though the upstream isn't in service; raise Refusal if that won't
        do.
        """
        if lookup.use is not None and lookup.use.fresh and lookup.is_stored:
            await self._hit(lookup, outgoing)
        elif lookup.stands_in:
            await self._stale(lookup, outgoing, None)
        else:
            raise no_source()

    async def _take_turn(self, lookup: Lookup, outgoing: SourceRequest) -> None:
        """Ask the upstream, or wait for another request that does, and look again."""
        turn = turn_of(self._key, lookup.hole)
        asking = partial(self._ask_in_turn, turn, lookup, outgoing)
        outcome = await self._cached.cache.turns.take(turn, asking)
        if outcome.own:
            await outcome.get()()
            return
        lookup = await self._look(outgoing)
        if lookup.forwarded is None:
            self._collapsed = True
            await self._hit(lookup, outgoing)
        else:
            await (await self._ask(lookup, outgoing))()

    async def _ask_in_turn(self, turn: bytes, lookup: Lookup, outgoing: SourceRequest) -> Sending:
        """Ask the upstream for what no other process has brought meanwhile."""
        cache = self._cached.cache
        try:
            if await cache.begin_turn(turn, self._key):
                known, lookup = lookup.entry is not None, await self._look(outgoing)
                if lookup.forwarded is None:
                    self._collapsed = not known
                    return partial(self._hit, lookup, outgoing)
            return await self._ask(lookup, outgoing)
        finally:
            cache.end_turn(turn, self._key)

    async def _look(self, outgoing: SourceRequest) -> Lookup:
        """Return what the cache has; what can't be fetched again is read before it is relied on."""
        lookup = self._judge(await self._cached.find(self._key), outgoing)
        entry = lookup.entry
        if entry is None or not entry.at_stake or self._request.method == b"HEAD":
            return lookup
        supply = self._supply_of(entry.file, outgoing)
        if await supply.hold():
            return lookup
        self._cached.cache.forget(entry.file)
        return Lookup("uri-miss")

    def _judge(self, files: Sequence[CachedFile], outgoing: SourceRequest) -> Lookup:
        """Return what may be done with what is stored."""
        entries = entries_of(files)
        entry = entry_for(entries, outgoing.fields)
        if entry is None:
            return Lookup("vary-miss" if entries else "uri-miss")
        use = usable(entry.response, self._fields, time(), self._cached.policy)
        if entry.file.doubted:
            use = replace(use, fresh=False, why="stale", while_revalidating=False, if_error=False)
        plan = self._plan(entry)
        hole = self._hole(entry, plan)
        if use.fresh or (use.while_revalidating and hole is None):
            return Lookup(None if hole is None else "partial", entry, use, plan, hole)
        return Lookup(use.why, entry, use, plan)

    def _hole(self, entry: Entry, plan: Plan) -> Range | None:
        """Return what has to be fetched before the first byte can be sent, if anything."""
        ranges = () if self._request.method == b"HEAD" else ranges_of(plan)
        if not ranges or entry.file.is_coming(ranges[0].start):
            return None
        return entry.file.hole(ranges[0])

    async def _forward_head(
        self, lookup: Lookup, wanted: RangeRequest, outgoing: SourceRequest
    ) -> None:
        """Forward a HEAD; what it shows updates what is stored (RFC 9111 section 4.3.5)."""
        self._request.cache = "bypass"
        self._status = CacheStatus(lookup.forwarded)
        if lookup.entry is not None and wanted.asked.path is None:
            self._shown = (lookup.entry, outgoing, time())
        try:
            await self._forward(wanted)
        except SourceError:
            if self._request.startedWriting or not lookup.stands_in:
                raise
            await self._stale(lookup, outgoing, None)

    def _answer(self, exchange: Exchange) -> ResponseSummary:
        shown, self._shown = self._shown, None
        if shown is not None and exchange.head.status == 200:
            entry, sent, asked_at = shown
            self._update(entry, sent, received(exchange.head, asked_at, time()))
        return super()._answer(exchange)

    def _update(self, entry: Entry, sent: SourceRequest, response: Response) -> None:
        """Update what is stored by the response to that HEAD, or have it revalidated.

        Of a field that Vary names from now on, the stored response has the value that the HEAD had.
        """
        stored = entry.response
        fresh = updated(stored, response, sent.fields, self._cached.policy)
        if not same_as_head(stored, entry.file.complete, response.fields):
            entry.file.doubted = True
            return
        fresh = replace(fresh, vary={**fresh.vary, **stored.vary})
        self._cached.update(entry.file, fresh, sent)

    async def _upgrade(self, offer: Offer) -> None:
        self._need_source()
        await super()._upgrade(offer)

    async def _pass_on(self, outgoing: SourceRequest) -> None:
        self._need_source()
        self._request.cache = "bypass"
        exchange = await self._proxy.agent.open(outgoing)
        try:
            if invalidates(outgoing.method, exchange.head.status):
                await self._invalidate(outgoing, exchange.head.fields)
            await self._relay(exchange)
        finally:
            exchange.abort()

    async def _invalidate(self, outgoing: SourceRequest, answer: Fields) -> None:
        """Forget what the request has changed (RFC 9111 section 4.4)."""
        scheme = outgoing.origin.scheme.encode()
        base = scheme + b"://" + (outgoing.fields.get(b"host") or b"")
        for target in {outgoing.target, *named_targets(base + outgoing.target, answer)}:
            await self._cached.invalidate(self._cached.key(target, outgoing.fields))
