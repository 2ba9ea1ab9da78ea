"""Ask the upstream for what the cache doesn't have, and store what comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from aprp.cache.cached_file import CachedFile
from aprp.core.cache.holes import blocks_of
from aprp.core.cache.meta import Meta
from aprp.core.http.answer_plan import ResponseSummary, decide
from aprp.core.http.caching.cache_status import CacheStatus
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.reuse import ERRORS, usable
from aprp.core.http.caching.revalidating import conditional, confirmed, updated
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.heads import ResponseHead
from aprp.core.http.plans import AskAgain, Plan, Relay, Whole, ranges_of
from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.http.validators import Validators
from aprp.core.recovery.resumption import Changed, FileVersion, continuation
from aprp.upstream.errors import SourceError, SourceLied
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.transfer.resumed_body import ResumedBody, with_conditions
from aprp.upstream.wall_clock import time
from aprp.web.cached.collecting_sink import CollectingSink
from aprp.web.cached.entries import (
    Entry,
    has,
    meta_for,
    received,
    sent_fields,
)
from aprp.web.cached.sending import CachedSending, Lookup
from aprp.web.cached.supply import UpstreamOrigin
from aprp.web.reverse_proxy import MOST_TRIES

MOST_COLLECTED = 8 * 1024 * 1024
"""Bytes of a response of unknown length that are kept in memory until its end, at most."""
MOST_WHOLE = 256 * 1024
"""Bytes of a response without a strong validator that is stored, whole or not at all."""
REPLACES = frozenset((200, 206, 404, 410))
"""The statuses by which a stale response turns out to be right no more."""

Sending = Callable[[], Awaitable[None]]


class CachedAsking(CachedSending):
    """The part of a cached visit that asks the upstream."""

    async def _ask(self, lookup: Lookup, outgoing: SourceRequest) -> Sending:
        """Ask the upstream, up to its response; return what sends a response to the client."""
        assert self._range_request is not None and lookup.forwarded is not None
        spec, conditions = self._wanted(lookup)
        for _ in range(MOST_TRIES):
            asked_at, self._epoch = time(), self._cached.cache.epoch(self._key)
            request = self._asking(outgoing, spec, conditions)
            try:
                exchange = await self._proxy.agent.open(request)
            except SourceError:
                if lookup.stands_in:
                    return partial(self._stale, lookup, outgoing, None)
                raise
            handed_on = False
            try:
                if lookup.stands_in and exchange.head.status in ERRORS:
                    return partial(self._stale, lookup, outgoing, exchange.head.status)
                response = received(exchange.head, asked_at, time())
                answer = self._answer(exchange)
                if lookup.entry is not None and conditions:
                    if exchange.head.status == 304:
                        self._status = CacheStatus(lookup.forwarded, 304)
                        entry = self._confirm(lookup.entry, response, outgoing)
                        if entry is not None:
                            cookies = response.fields.all(b"set-cookie")
                            return partial(self._validated, entry, cookies, outgoing)
                        conditions = ()
                        continue
                    sending = self._continued(lookup, answer, exchange, outgoing)
                    if sending is not None:
                        handed_on = True
                        return sending
                plan = decide(self._range_request.asked, spec, answer)
                if not isinstance(plan, AskAgain):
                    handed_on = True
                    self._status = CacheStatus(lookup.forwarded, exchange.head.status)
                    return self._received(lookup, plan, answer, exchange, response, outgoing)
                spec, conditions = plan.spec, ()
            finally:
                if not handed_on:
                    exchange.abort()
        raise SourceLied(self._proxy.where, "keeps answering with what wasn't asked for")

    def _wanted(self, lookup: Lookup) -> tuple[Spec | None, Pairs]:
        """Return the range to request, in whole blocks, and the conditions of the cache."""
        assert self._range_request is not None
        if lookup.hole is not None and lookup.entry is not None:
            strong = lookup.entry.file.meta.validators.strong()
            if strong is not None:
                return FromTo(lookup.hole.start, lookup.hole.stop), ((b"If-Range", strong),)
        spec = self._range_request.asked.wanted
        if spec is not None and not self._cached.alone(self._key):
            spec = blocks_of(spec)
        return spec, () if lookup.entry is None else conditional([lookup.entry.response])

    def _asking(
        self, outgoing: SourceRequest, spec: Spec | None, conditions: Pairs
    ) -> SourceRequest:
        """Return the request to send; conditions of the cache take the place of the client's."""
        assert self._range_request is not None
        if not conditions:
            return self._proxy.outgoing.ranged(
                self._request, self._fields, self._range_request, spec, self._interim
            )
        if spec is None:
            return with_conditions(outgoing, *conditions)
        ranged = (b"Range", spec.header())
        return with_conditions(outgoing._replace(method=b"GET"), ranged, *conditions)

    def _confirm(self, entry: Entry, response: Response, outgoing: SourceRequest) -> Entry | None:
        """Return the entry as a 304 updates it; None if the 304 isn't about it."""
        if confirmed([entry.response], response.fields) is None:
            return None
        fresh = updated(entry.response, response, outgoing.fields, self._cached.policy)
        self._supply_of(entry.file, outgoing)  # it can be sent even if it is forgotten now
        verdict = self._cached.update(entry.file, fresh, outgoing)
        self._status = replace(self._status, stored=bool(verdict), detail=verdict.why)
        return Entry(entry.file, fresh)

    def _continued(
        self, lookup: Lookup, answer: ResponseSummary, exchange: Exchange, outgoing: SourceRequest
    ) -> Sending | None:
        """Use a response that has the bytes that are missing of a fresh entry, if it does."""
        entry, hole = lookup.entry, lookup.hole
        if hole is None or entry is None:
            return None
        version = FileVersion(entry.file.meta.validators, entry.file.complete)
        try:
            carries = continuation(version, hole, answer)
        except Changed:
            return None
        if carries is None:
            return None
        stream = self._stream(entry.file, outgoing, exchange, carries)
        self._fetch(entry.file, hole, stream, outgoing)
        self._request.cache = "partial"
        assert lookup.use is not None and lookup.plan is not None
        self._status = CacheStatus("partial", exchange.head.status, ttl=lookup.use.ttl, stored=True)
        fields = sent_fields(entry.response, lookup.use)
        return partial(self._send_entry, entry, lookup.plan, fields, outgoing)

    def _received(
        self,
        lookup: Lookup,
        plan: Plan,
        answer: ResponseSummary,
        exchange: Exchange,
        response: Response,
        outgoing: SourceRequest,
    ) -> Sending:
        """Begin to store a response of the upstream, if it may be; return what sends it."""
        verdict = self._cached.storable(outgoing, response)
        if not verdict:
            if verdict.for_all:
                self._cached.went_alone(self._key)
                if response.status in REPLACES and lookup.stale is not None:
                    self._cached.cache.forget(lookup.stale.file)
            self._status = replace(self._status, detail=verdict.why)
            return partial(self._uncached, plan, answer, exchange, outgoing)
        complete = _complete(answer)
        if complete is None and _ends_for_sure(exchange.head) and plan in (Relay(), Whole(None)):
            self._note_stored(response)
            return partial(self._collect, exchange, response, outgoing)
        file = None
        if complete is not None:
            reason, policy = exchange.head.reason, self._cached.policy
            meta = meta_for(response, reason, complete, outgoing.fields, policy)
            file = self._file(meta, plan, answer)
        if file is None:
            return partial(self._uncached, plan, answer, exchange, outgoing)
        self._note_stored(response)
        self._begin(file, plan, answer, exchange, outgoing)
        fields = self._incoming(exchange.head)
        return partial(self._send_file, file, plan, fields, outgoing)

    def _file(self, meta: Meta, plan: Plan, answer: ResponseSummary) -> CachedFile | None:
        """Return the file for a response; None if it isn't stored.

        It is stored in parts under a strong validator, else whole if it is small.
        """
        assert meta.complete is not None
        in_parts = meta.status == 200 and meta.validators.strong() is not None
        if in_parts:
            stored = bool(ranges_of(plan)) or plan == Whole(0)
        else:
            stored = meta.complete <= MOST_WHOLE and plan in (Relay(), Whole(meta.complete))
        return self._cached.create(self._key, meta, self._epoch) if stored else None

    def _begin(
        self,
        file: CachedFile,
        plan: Plan,
        answer: ResponseSummary,
        exchange: Exchange,
        outgoing: SourceRequest,
    ) -> None:
        """Begin to fetch what the client wants first, from the response, unless it is there."""
        part = answer.content_range if answer.status == 206 else None
        carries = Range(0, file.complete) if part is None or part.range is None else part.range
        stream = self._stream(file, outgoing, exchange, carries)
        wanted = next(iter(ranges_of(plan)), Range(0, file.complete))
        if wanted.length and not has(file, Range(wanted.start, wanted.start + 1), coming=True):
            self._fetch(file, file.hole(wanted), stream, outgoing)
        else:
            stream.abort()

    def _note_stored(self, response: Response) -> None:
        use = usable(response, Fields(), time(), self._cached.policy)
        self._request.cache = "miss"
        self._status = replace(self._status, ttl=use.ttl, stored=True)

    def _fetch(
        self, file: CachedFile, hole: Range, stream: ResumedBody, outgoing: SourceRequest
    ) -> None:
        """Begin to fetch missing bytes, for this request and for all that want them, too."""
        supply = self._supply_of(file, outgoing)
        file.fetch(hole, UpstreamOrigin(stream, partial(self._doubt, file)), supply)

    async def _uncached(
        self, plan: Plan, answer: ResponseSummary, exchange: Exchange, outgoing: SourceRequest
    ) -> None:
        self._request.cache = "bypass"
        try:
            await self._carry_out(plan, answer, exchange, outgoing)
        finally:
            exchange.abort()

    async def _collect(
        self, exchange: Exchange, response: Response, outgoing: SourceRequest
    ) -> None:
        """Relay a response whose length isn't known, and store it once all of it has come."""
        strong = Validators.of(response.fields).strong() is not None
        kept = CollectingSink(self._sink, MOST_COLLECTED if strong else MOST_WHOLE)
        try:
            await self._relay(exchange, kept)
            self._keep(kept.body, exchange.head, response, outgoing)
        finally:
            kept.close()
            exchange.abort()

    def _keep(
        self,
        body: bytes | None,
        head: ResponseHead,
        response: Response,
        outgoing: SourceRequest,
    ) -> None:
        """Store a response that has come as a whole, unless its body was too long to be held."""
        if body is not None:
            policy = self._cached.policy
            meta = meta_for(response, head.reason, len(body), outgoing.fields, policy)
            self._cached.keep(self._key, meta, body, self._epoch)


def _ends_for_sure(head: ResponseHead) -> bool:
    """Whether a body of unknown length has an end that can't be mistaken: not just a close."""
    return head.major == 2 or b"transfer-encoding" in head.fields


def _complete(answer: ResponseSummary) -> int | None:
    """Return the complete length of the representation that a response shows."""
    if answer.status == 206:
        return None if answer.content_range is None else answer.content_range.complete
    return 0 if answer.status == 204 else answer.length
