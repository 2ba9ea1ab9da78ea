"""Which file answers a request of a `sources:` route, and what it is now.

A fresh file is used as it is. Otherwise a transfer begins, whose first response shows what the file
is: either the stored version, which is fresh again, or a new one, which takes its place. The bytes
that the transfer brings are the first of a shared fetch. Requests for a file that isn't known yet
wait for the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aprp.cache.cached_file import CachedFile
from aprp.core.cache.extents import whole_blocks
from aprp.core.cache.holes import blocks_of
from aprp.core.http.caching.cache_status import CacheStatus
from aprp.core.http.caching.reuse import Use, request_directives, usable
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import Range, Spec
from aprp.core.recovery.versions import Facts
from aprp.upstream.transfer.failures import LengthUnknown, TransferFailed
from aprp.upstream.transfer.transfer import Transfer
from aprp.upstream.wall_clock import time
from aprp.web.cached.sources_supply import SourcesSupply
from aprp.web.cached.stored_facts import known_of_file, may_keep, meta_of, unchanged
from aprp.web.failures import Refusal
from aprp.web.multi_source import FileVisit, first_range
from aprp.web.routes import no_source

if TYPE_CHECKING:
    from aprp.web.cached.sources import CachedMultiSource


class Finding:
    """The search for one request. The file is used by `supply`."""

    _log = Logger()

    def __init__(self, route: CachedMultiSource, visit: FileVisit, supply: SourcesSupply) -> None:
        self.supply = supply
        self.status = CacheStatus()
        self.begun: Transfer | None = None
        """A transfer of a file that may not be kept."""
        self.shown: Facts | LengthUnknown | None = None
        """What that transfer has shown."""
        self.failure: TransferFailed | None = None
        """Why the sources could not revalidate the file, which stands in for their error."""
        self._route = route
        self._visit = visit
        self._key = route.key_prefix + visit.name

    async def find(self) -> Use | None:
        """Find the file, or begin a transfer; `supply.file` stays None if it may not be kept."""
        route, request = self._route, self._visit.request
        files = route.cache.at_hand(self._key)
        if files is None:
            files = await route.cache.find(self._key)
        if not route.has_source():
            return self._without_source(files)
        cached_only = b"only-if-cached" in request_directives(request.fields)
        if not files:
            if cached_only:
                raise Refusal(504, "the file is not in the cache")
            request.cache = "miss"
            return await self._revalidate(None, None)
        file = files[0]
        use = usable(known_of_file(file).response, request.fields, time(), route.policy)
        if use.fresh and not file.doubted:
            self.supply.use(file)
            request.cache = "hit"
            self.status = CacheStatus(ttl=use.ttl)
            return use
        if use.while_revalidating and not file.doubted:
            self.supply.use(file)
            request.cache = "stale"
            self.status = CacheStatus(ttl=use.ttl)
            self._revalidate_meanwhile(file)
            return use
        if cached_only:
            raise Refusal(504, "the file is in the cache, but has to be revalidated")
        request.cache = "revalidated"
        return await self._revalidate(file, use)

    def _without_source(self, files: Sequence[CachedFile]) -> Use:
        """Use the stored file, though no source is in service; raise Refusal if that won't do."""
        request = self._visit.request
        for file in files[:1]:
            known = known_of_file(file)
            use = usable(known.response, request.fields, time(), self._route.policy)
            if use.fresh or use.if_error:
                self.supply.use(file)
                request.cache = "hit" if use.fresh else "stale"
                detail = None if use.fresh else "stale-if-error"
                self.status = CacheStatus(ttl=use.ttl, detail=detail)
                return use
        raise no_source()

    async def _revalidate(self, stale: CachedFile | None, use: Use | None) -> Use | None:
        """Learn from the sources what the file is now; one request does it for all that wait."""
        why = "uri-miss" if use is None else use.why or "stale"
        if stale is not None:
            stale.use()
        try:
            spec = self._first(stale)
            outcome = await self._route.cache.turns.take(
                self._key, lambda: self._begin_in_turn(spec, stale)
            )
            file = outcome.get()
            self.status = CacheStatus(why, None, stored=True, collapsed=not outcome.own)
        except TransferFailed as failed:
            if stale is None or use is None or not use.if_error or _is_gone(failed):
                raise
            file, self.failure = stale, failed
            self._visit.request.cache = "stale"
            self.status = CacheStatus(ttl=use.ttl, detail="stale-if-error")
        finally:
            if stale is not None:
                stale.leave()
        if file is None:
            return None
        self.supply.use(file)
        if stale is not None and file is not stale:
            self._visit.request.cache = "miss"
        return usable(known_of_file(file).response, Fields(), time(), self._route.policy)

    def _first(self, stale: CachedFile | None) -> Spec | None:
        """Return the range to begin with: whole blocks, or the head alone if they are stored."""
        spec = first_range(self._visit.range_request.asked)
        if spec is None:
            return None
        if stale is not None:
            meant = spec.resolve(stale.complete)
            if meant is None or stale.stored_to(meant.start) is not None:
                return None
        return blocks_of(spec)

    async def _begin_in_turn(
        self, spec: Spec | None, stale: CachedFile | None
    ) -> CachedFile | None:
        """Begin a transfer, unless another process has brought or revalidated the file."""
        cache = self._route.cache
        try:
            if await cache.begin_turn(self._key, self._key):
                for file in await cache.find(self._key):
                    response, fields = known_of_file(file).response, self._visit.request.fields
                    use = usable(response, fields, time(), self._route.policy)
                    if use.fresh and not file.doubted:
                        return file
            return await self._begin(spec, stale)
        finally:
            cache.end_turn(self._key, self._key)

    async def _begin(self, spec: Spec | None, stale: CachedFile | None) -> CachedFile | None:
        """Begin a transfer; return the file, whose first bytes it may bring, or None."""
        visit, route = self._visit, self._route
        transfer = self.begun = visit.transfer(None)
        requested_at = time()
        try:
            facts = await transfer.begin(spec)
        except LengthUnknown as unknown:
            self.shown = unknown
            return None
        meta = meta_of(facts, requested_at, time(), route.policy)
        if not may_keep(facts, meta, visit.same, route.policy):
            self.shown = facts
            return None
        if stale is not None and unchanged(known_of_file(stale).facts, facts, visit.same):
            known = known_of_file(stale).facts
            validators = replace(meta.validators, date=known.validators.date)
            route.cache.refresh(stale, replace(meta, validators=validators))
            file = stale
        else:
            file = route.cache.create(self._key, meta, route.pinned)
        self.begun = None
        self._lend(file, transfer, spec)
        return file

    def _lend(self, file: CachedFile, transfer: Transfer, spec: Spec | None) -> None:
        """Let the transfer bring the first missing bytes."""
        begun = None if spec is None else _whole_blocks_of(spec, file.complete)
        if begun is None or (transfer.driver is None and not transfer.has(begun)):
            self.supply.spare = transfer
            return
        if file.stored_to(begun.start) is not None:
            transfer.abort()
            return
        hole = file.hole(begun)
        fetch = file.fetch(begun, self.supply.origin_of(transfer, file), self.supply)
        fetch.limit(hole.stop)

    def _revalidate_meanwhile(self, file: CachedFile) -> None:
        """Revalidate a file that is being sent."""
        other = Finding(self._route, self._visit, SourcesSupply(self._visit))

        async def revalidate() -> None:
            try:
                await self._route.cache.turns.take(
                    self._key, lambda: other._begin_in_turn(None, file)
                )
            finally:
                other.close()

        working = Deferred.fromCoroutine(revalidate())
        working.addErrback(lambda failure: failure.trap(TransferFailed) and None)
        working.addErrback(lambda failure: self._log.failure("can't revalidate", failure))

    def close(self) -> None:
        """End what was begun and isn't used."""
        if self.begun is not None:
            self.begun.abort()
        self.supply.close()


def _whole_blocks_of(spec: Spec, complete: int) -> Range | None:
    """Return the whole blocks of a range, which ends with a block; None if it isn't in the file."""
    meant = spec.resolve(complete)
    return None if meant is None else whole_blocks(meant.start, meant.stop, complete)


def _is_gone(failed: TransferFailed) -> bool:
    """Return whether the sources answered that there is no such file, or that it isn't for all."""
    return failed.missing or failed.forbidden
