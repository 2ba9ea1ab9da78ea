"""Sending what the cache has of an `upstream:` route, and what comes into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aprp.cache.cached_file import CachedFile
from aprp.core.cache.extents import BLOCK
from aprp.core.http.answer_plan import plan_for
from aprp.core.http.caching.cache_status import CacheStatus
from aprp.core.http.caching.freshness import generated_at
from aprp.core.http.caching.reuse import Use, usable
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.forwarding import NONE
from aprp.core.http.heads import ResponseHead
from aprp.core.http.plans import Part, Plan, Whole, ranges_of
from aprp.core.http.ranges import Range
from aprp.core.recovery.resumption import FileVersion
from aprp.core.values import dataclass
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.transfer.resumed_body import ResumedBody, Resumption
from aprp.upstream.wall_clock import time
from aprp.web.cached.entries import (
    Entry,
    sent_fields,
)
from aprp.web.cached.refresh import refresh_later
from aprp.web.cached.route_cache import RouteCache
from aprp.web.cached.supply import FileSupply
from aprp.web.request import ProxyRequest
from aprp.web.responding import bytes_of, head_of, send
from aprp.web.reverse_proxy import ReverseProxy, Visit


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache has for a request.

    `forwarded` says why the upstream has to be asked (RFC 9211 section 2.2), None if it needn't be.
    `plan` is the response that the entry makes, and `hole` the range to fetch before it can begin.
    """

    forwarded: str | None
    entry: Entry | None = None
    use: Use | None = None
    plan: Plan | None = None
    hole: Range | None = None

    @property
    def is_stored(self) -> bool:
        """Whether all bytes of the response are there."""
        if self.entry is None or self.plan is None:
            return False
        return all(self.entry.has(each) for each in ranges_of(self.plan))

    @property
    def stale(self) -> Entry | None:
        """The entry, if it isn't fresh by itself."""
        return self.entry if self.use is not None and self.use.ttl <= 0 else None

    @property
    def stands_in(self) -> bool:
        """Whether the entry may be sent in place of an error."""
        return self.use is not None and self.use.if_error and self.is_stored


class CachedSending(Visit):
    """The part of a cached visit that sends responses."""

    def __init__(self, proxy: ReverseProxy, cached: RouteCache, request: ProxyRequest) -> None:
        super().__init__(proxy, request)
        self._cached = cached
        self._status = CacheStatus("method")
        self._key = b""
        self._epoch = 0
        """The epoch of the key in which the upstream was asked."""
        self._supply: FileSupply | None = None
        self._collapsed = False
        self._shown: tuple[Entry, SourceRequest, float] | None = None
        """What the response to that HEAD, sent at that time, is about."""

    async def serve(self) -> None:
        try:
            await super().serve()
        finally:
            self._leave_file()

    def _leave_file(self) -> None:
        supply, self._supply = self._supply, None
        if supply is not None:
            supply.close()

    @property
    def _fetched(self) -> int:
        return max(0, self._request.sentLength - self._request.cached)

    async def _hit(self, lookup: Lookup, outgoing: SourceRequest) -> None:
        """Send what is stored; what is missing of it is fetched on the way."""
        entry, use, plan = lookup.entry, lookup.use, lookup.plan
        assert entry is not None and use is not None and plan is not None
        if not use.fresh:
            refresh_later(self._proxy.agent, self._cached, self._key, entry, outgoing)
        self._request.cache = "hit" if use.fresh else "stale"
        forwarded = "uri-miss" if self._collapsed else None
        self._status = CacheStatus(forwarded, ttl=use.ttl, collapsed=self._collapsed)
        await self._send_entry(entry, plan, sent_fields(entry.response, use), outgoing)

    async def _stale(self, lookup: Lookup, outgoing: SourceRequest, status: int | None) -> None:
        """Send a stale response in place of an error."""
        entry, use, plan = lookup.entry, lookup.use, lookup.plan
        assert entry is not None and use is not None and plan is not None
        self._request.cache = "stale"
        self._status = CacheStatus(lookup.forwarded, status, ttl=use.ttl, detail="stale-if-error")
        await self._send_entry(entry, plan, sent_fields(entry.response, use), outgoing)

    async def _validated(
        self, entry: Entry, cookies: Sequence[bytes], outgoing: SourceRequest
    ) -> None:
        """Send a response that the upstream has just confirmed, with the cookies that it set."""
        self._request.cache = "revalidated"
        use = usable(entry.response, Fields(), time(), self._cached.policy)
        self._status = replace(self._status, ttl=use.ttl)
        fields = sent_fields(entry.response, use, validated=True)
        fields = fields.adding(*((b"Set-Cookie", each) for each in cookies))
        await self._send_entry(entry, self._plan(entry), fields, outgoing)

    def _plan(self, entry: Entry) -> Plan:
        """Return the response that an entry makes.

        Without a Last-Modified, If-Modified-Since is compared with Date (section 4.3.2).
        """
        assert self._range_request is not None
        if entry.response.status != 200:
            return Whole(entry.file.complete)
        asked, validators = self._range_request.asked, entry.file.meta.validators
        if validators.last_modified is None and b"if-modified-since" in asked.fields:
            validators = replace(validators, last_modified=generated_at(entry.response))
        return plan_for(asked, entry.file.complete, validators)

    async def _send_entry(
        self, entry: Entry, plan: Plan, fields: Fields, outgoing: SourceRequest
    ) -> None:
        fields = self._marked(self._relocated(fields))
        await self._send_file(entry.file, plan, fields, outgoing)

    async def _send_file(
        self, file: CachedFile, plan: Plan, fields: Fields, outgoing: SourceRequest
    ) -> None:
        """Send a response whose bytes are in the cache, or come into it."""
        supply = self._supply_of(file, outgoing)
        try:
            if file.meta.status == 200:
                if self._sent_at_once(supply, plan, fields):
                    return
                await send(self._request, plan, fields, supply, self._sink)
                return
            fields = fields.without((b"content-length",))
            if file.meta.status != 204:  # RFC 9110 section 8.6
                fields = fields.adding((b"Content-Length", b"%d" % file.complete))
            self._request.begin(file.meta.status, fields, file.meta.reason)
            if file.complete and self._request.method != b"HEAD":
                await supply.send(Range(0, file.complete), self._sink)
        finally:
            self._request.cached = supply.taken.count

    def _sent_at_once(self, supply: FileSupply, plan: Plan, fields: Fields) -> bool:
        """Send a short response in one piece, if its bytes are in memory; return whether it was."""
        if not isinstance(plan, Part | Whole) or not self._unpaced:
            return False
        wanted = bytes_of(plan)
        if self._request.method == b"HEAD" or not 0 < wanted.length <= BLOCK:
            return False
        body = supply.at_hand(wanted)
        if body is not None:
            self._request.respond(*head_of(plan, fields), bytes(body))
        return body is not None

    def _supply_of(self, file: CachedFile, outgoing: SourceRequest) -> FileSupply:
        """Return what supplies this request with bytes of a file; the same for each call."""
        if self._supply is None or self._supply.file is not file:
            self._leave_file()
            stream = partial(self._stream, file, outgoing)
            self._supply = FileSupply(file, stream, partial(self._doubt, file))
            self._request.from_cache = self._supply.taken
        return self._supply

    def _stream(
        self,
        file: CachedFile,
        outgoing: SourceRequest,
        exchange: Exchange | None = None,
        carries: Range = Range(0, 0),  # noqa: B008
    ) -> ResumedBody:
        """Return the bytes of a file's version, from an exchange that has some of them, if any."""
        proxy, resumption = self._proxy, None
        if file.meta.validators.strong() is not None:
            version = FileVersion(file.meta.validators, file.complete)
            resumption = Resumption(proxy.agent, outgoing, version, proxy.settings.resume_for)
        return ResumedBody(proxy.clock, proxy.where, exchange, carries, resumption)

    def _doubt(self, file: CachedFile) -> None:
        """Revalidate the file before it is used again: the upstream seems to have another."""
        file.doubted = True

    def _incoming(
        self, head: ResponseHead, replaced: frozenset[bytes] = NONE, added: Pairs = ()
    ) -> Fields:
        return self._marked(super()._incoming(head, replaced, added))

    def _marked(self, fields: Fields) -> Fields:
        return fields.adding((b"Cache-Status", bytes(self._status)))
