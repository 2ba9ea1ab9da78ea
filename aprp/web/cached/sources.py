"""`sources:` routes through the cache.

A fresh file is answered from what is stored of it, without a request to any source. Otherwise a
transfer begins, as it would without a cache. Its first response shows what the file is now: either
the stored version, which is fresh again, or a new one, which takes its place. The bytes that the
transfer brings are the first of a shared fetch. Requests for a file that isn't known yet wait for
the first of them.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger

from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.cache.origin import Origin
from aprp.cache.reader import Reader
from aprp.config import SourcesRoute
from aprp.core.cache.holes import blocks_of
from aprp.core.http.answer_plan import ranges_of
from aprp.core.http.caching.cache_status import CacheStatus
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.reuse import Use, request_directives, usable
from aprp.core.http.caching.storing import cacheable_request
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.recovery.versions import Facts
from aprp.upstream.transfer.failures import LengthUnknown, TransferFailed
from aprp.upstream.transfer.transfer import Transfer
from aprp.upstream.wall_clock import time
from aprp.web.cached.stored_facts import Known, known_of, may_keep, meta_of, policy_of, unchanged
from aprp.web.cached.transfer import TransferOrigin
from aprp.web.failures import Refusal, failure_of
from aprp.web.multi_source import (
    FileVisit,
    MultiSource,
    first_range,
    plan_of,
    representation,
    serve,
)
from aprp.web.responding import send


class CachedMultiSource(MultiSource):
    """The leaf of a `sources:` route whose files are cached."""

    def __init__(self, route: SourcesRoute, cache: Cache, *arguments: Any) -> None:
        super().__init__(route, *arguments)
        assert route.cache is not None
        self.cache = cache
        self.policy: Policy = policy_of(route.cache)
        self.pinned = route.cache.pin
        self.one_source = len(route.sources) == 1
        sparing = replace(self._options.scheduling, sparing=True)
        self._options = replace(self._options, scheduling=sparing)

    def serve(self, visit: FileVisit) -> Coroutine[Deferred[Any], Any, None]:
        request = visit.request
        if not cacheable_request(request.method, request.fields, False):
            request.cache = "bypass"
            return super().serve(visit)
        return CachedVisit(self, visit).serve()


class CachedVisit:
    """One request for a file that may be cached."""

    _log = Logger()

    def __init__(self, route: CachedMultiSource, visit: FileVisit) -> None:
        self._route = route
        self._visit = visit
        self._key = route.label.encode("utf-8", "surrogateescape") + b"\n" + visit.name
        self._file: CachedFile | None = None
        self._begun: Transfer | None = None
        self._facts: Deferred[Facts] | None = None
        self._transfers: list[Transfer] = []
        self._spare: Transfer | None = None
        self._cached = 0
        self._status = CacheStatus()

    async def serve(self) -> None:
        """Answer the request."""
        visit = self._visit
        request = visit.request
        request.range = visit.range_request.text
        try:
            use = await self._find()
            if self._file is None:
                await self._pass_by()
                return
            await self._answer(self._file, use)
        except TransferFailed as failed:
            if (failed.missing or failed.forbidden) and not request.startedWriting:
                failure = failure_of(failed, request.names_sources)
                raise Refusal(failure.status, failure.text, failure.kind) from None
            raise
        finally:
            visit.sink.close()
            self._end()
        request.finish()

    async def _pass_by(self) -> None:
        """Answer without the cache: the file may not be kept."""
        visit = self._visit
        transfer, begun = self._begun, self._facts
        self._begun = None
        visit.request.cache = "bypass"
        await serve(
            visit.request,
            visit.range_request,
            visit.name,
            transfer or visit.transfer(None),
            visit.same,
            visit.sink,
            begun,
        )

    def _end(self) -> None:
        request = self._visit.request
        if self._file is not None:
            self._file.leave()
            self._note(request)
        for transfer in (self._begun, self._spare):
            if transfer is not None:
                transfer.abort()

    def _note(self, request: Any) -> None:
        """Record what came from where."""
        names: dict[str, int] = {}
        for transfer in self._transfers:
            request.resumes += transfer.resumes
            request.duplicates += transfer.wasted
            for name, count in transfer.received.items():
                names[name] = names.get(name, 0) + count
        request.sources = tuple(names.items())
        request.upstream = ",".join(name for name, count in names.items() if count) or None
        request.cached = self._cached

    # Which file

    async def _find(self) -> Use | None:
        """Find the file, or begin a transfer; `_file` stays None if it may not be kept."""
        route, request = self._route, self._visit.request
        files = route.cache.at_hand(self._key)
        if files is None:
            files = await route.cache.find(self._key)
        cached_only = b"only-if-cached" in request_directives(request.fields)
        if not files:
            if cached_only:
                raise Refusal(504, "the file is not in the cache")
            request.cache = "miss"
            return await self._revalidate(None, None)
        file = files[0]
        use = usable(self._known(file).response, request.fields, time(), route.policy)
        if use.fresh and not file.doubted:
            self._use(file)
            request.cache = "hit"
            self._status = CacheStatus(ttl=use.ttl)
            return use
        if use.while_revalidating and not file.doubted:
            self._use(file)
            request.cache = "stale"
            self._status = CacheStatus(ttl=use.ttl)
            self._revalidate_meanwhile(file)
            return use
        if cached_only:
            raise Refusal(504, "the file is in the cache, but has to be revalidated")
        request.cache = "revalidated"
        return await self._revalidate(file, use)

    def _use(self, file: CachedFile) -> None:
        file.use()
        self._file = file

    def _known(self, file: CachedFile) -> Known:
        if file.derived is None:
            file.derived = known_of(file.meta)
        known: Known = file.derived
        return known

    async def _revalidate(self, stale: CachedFile | None, use: Use | None) -> Use | None:
        """Learn from the sources what the file is now; one request does it for all that wait."""
        why = "uri-miss" if use is None else use.why or "stale"
        if stale is not None:
            stale.use()
        try:
            spec = self._first(stale)
            outcome = await self._route.cache.turns.take(
                self._key, lambda: self._begin(spec, stale)
            )
            file = outcome.get()
            self._status = CacheStatus(why, None, stored=True, collapsed=not outcome.own)
        except TransferFailed as failed:
            if stale is None or use is None or not use.if_error or _is_gone(failed):
                raise
            file = stale
            self._visit.request.cache = "stale"
            self._status = CacheStatus(ttl=use.ttl, detail="stale-if-error")
        finally:
            if stale is not None:
                stale.leave()
        if file is None:
            return None
        self._use(file)
        if stale is not None and file is not stale:
            self._visit.request.cache = "miss"
        return usable(self._known(file).response, Fields(), time(), self._route.policy)

    def _first(self, stale: CachedFile | None) -> Spec | None:
        """Return the range to begin with: whole blocks, or the head alone if they are stored."""
        spec = first_range(self._visit.range_request.asked)
        if not isinstance(spec, FromTo):
            return spec
        if stale is not None and (
            spec.start >= stale.complete or stale.stored_to(spec.start) is not None
        ):
            return None
        return blocks_of(spec)

    async def _begin(self, spec: Spec | None, stale: CachedFile | None) -> CachedFile | None:
        """Begin a transfer; return the file, whose first bytes it may bring, or None."""
        visit, route = self._visit, self._route
        transfer = self._begun = visit.transfer(None)
        requested_at = time()
        try:
            facts = await transfer.begin(spec)
        except LengthUnknown as unknown:
            self._facts = fail(unknown)
            return None
        meta = meta_of(facts, requested_at, time(), route.policy)
        if not may_keep(facts, meta, visit.same, route.policy):
            self._facts = succeed(facts)
            return None
        if stale is not None and unchanged(self._known(stale).facts, facts, visit.same):
            known = self._known(stale).facts
            validators = replace(meta.validators, date=known.validators.date)
            route.cache.refresh(stale, replace(meta, validators=validators))
            file = stale
        else:
            file = route.cache.create(self._key, meta, route.pinned)
        self._begun = None
        self._lend(file, transfer, spec)
        return file

    def _lend(self, file: CachedFile, transfer: Transfer, spec: Spec | None) -> None:
        """Let the transfer bring the first missing bytes."""
        if not isinstance(spec, FromTo) or transfer.driver is None:
            self._spare = transfer
            return
        if spec.start >= file.complete or file.stored_to(spec.start) is not None:
            transfer.abort()
            return
        stop = file.complete if spec.stop is None else min(spec.stop, file.complete)
        begun = Range(spec.start, stop)
        hole = file.hole(begun)
        fetch = file.fetch(begun, self._origin_of(transfer, file), self)
        fetch.limit(hole.stop)
        self._visit.request.transfer = transfer

    def _revalidate_meanwhile(self, file: CachedFile) -> None:
        """Revalidate a file that is being sent."""
        other = CachedVisit(self._route, self._visit)

        async def revalidate() -> None:
            try:
                await self._route.cache.turns.take(self._key, lambda: other._begin(None, file))
            finally:
                other._drop()

        working = Deferred.fromCoroutine(revalidate())
        working.addErrback(lambda failure: failure.trap(TransferFailed) and None)
        working.addErrback(lambda failure: self._log.failure("can't revalidate", failure))

    def _drop(self) -> None:
        for transfer in (self._begun, self._spare):
            if transfer is not None:
                transfer.abort()

    # The response

    async def _answer(self, file: CachedFile, use: Use | None) -> None:
        visit, request = self._visit, self._visit.request
        known = self._known(file)
        asked = visit.range_request.asked
        plan, current = plan_of(asked, visit.name, known.facts, visit.same, self._route.one_source)
        fields = representation(known.facts.shown, current).without((b"age",))
        if use is not None:
            fields = fields.adding((b"Age", b"%d" % use.age))
        if self._status.forwarded is None and not all(file.has(each) for each in ranges_of(plan)):
            request.cache = "partial" if request.cache == "hit" else request.cache
            self._status = replace(self._status, forwarded="partial")
        fields = fields.adding((b"Cache-Status", bytes(self._status)))
        await send(request, plan, fields, self, visit.sink)

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        assert self._file is not None
        if wanted.length:
            await Reader(self._file, wanted, sink, self).begin()

    # Called by the reader

    def origin(self) -> Origin:
        assert self._file is not None
        transfer, self._spare = self._spare, None
        if transfer is None:
            transfer = self._visit.transfer(self._known(self._file).facts)
        self._visit.request.transfer = transfer
        return self._origin_of(transfer, self._file)

    def _origin_of(self, transfer: Transfer, file: CachedFile) -> Origin:
        self._transfers.append(transfer)
        return TransferOrigin(transfer, lambda: setattr(file, "doubted", True))

    def read(self, count: int) -> None:
        self._cached += count


def _is_gone(failed: TransferFailed) -> bool:
    """Return whether the sources answered that there is no such file, or that it isn't for all."""
    return failed.missing or failed.forbidden
