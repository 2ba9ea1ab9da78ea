"""`sources:` routes through the cache.

A fresh file is answered from what is stored of it, without a request to any source. Otherwise a
transfer begins, as it would without a cache.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred

from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.config import SourcesRoute
from aprp.core.choices import Same
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.reuse import Use, request_directives
from aprp.core.http.caching.storing import cacheable_request
from aprp.core.http.plans import ranges_of
from aprp.upstream.transfer.failures import TransferFailed
from aprp.web.cached.finding import Finding
from aprp.web.cached.sources_supply import SourcesSupply
from aprp.web.cached.stored_facts import known_of_file, policy_of
from aprp.web.failures import Refusal, failure_of
from aprp.web.multi_source import FileVisit, MultiSource, plan_of, representation, serve
from aprp.web.responding import send
from aprp.web.routes import no_source


def key_prefix(label: str, route: SourcesRoute) -> bytes:
    """Return how the keys of a route begin, which the name of a file completes.

    What a file is found to be by its validators or digest stays true when the sources change. By
    its length alone, it is what these sources have.
    """
    lines = [label]
    if route.same is Same.LENGTH:
        places = sorted(str(each.url or each.path) for each in route.sources)
        lines.append("sources " + sha256("\n".join(places).encode()).hexdigest()[:16])
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


class CachedMultiSource(MultiSource):
    """The leaf of a `sources:` route whose files are cached."""

    answers_without_source = True

    def __init__(self, route: SourcesRoute, cache: Cache, *arguments: Any) -> None:
        super().__init__(route, *arguments)
        assert route.cache is not None
        self.cache = cache
        self.policy: Policy = policy_of(route.cache)
        self.pinned = route.cache.pin
        self.key_prefix = key_prefix(self.label, route)
        self.one_source = len(route.sources) == 1
        sparing = replace(self._options.scheduling, sparing=True)
        self._options = self._options._replace(scheduling=sparing)

    def serve(self, visit: FileVisit) -> Coroutine[Deferred[Any], Any, None]:
        request = visit.request
        if not cacheable_request(request.method, request.fields, False):
            if b"only-if-cached" in request_directives(request.fields):
                raise Refusal(504, "the request is not answered from the cache")
            if not self.has_source():
                raise no_source()
            request.cache = "bypass"
            return super().serve(visit)
        return CachedVisit(self, visit).serve()


class CachedVisit:
    """One request for a file that may be cached."""

    def __init__(self, route: CachedMultiSource, visit: FileVisit) -> None:
        self._route = route
        self._visit = visit
        self._supply = SourcesSupply(visit)
        self._finding = Finding(route, visit, self._supply)

    async def serve(self) -> None:
        """Answer the request."""
        visit = self._visit
        request = visit.request
        request.range = visit.range_request.text
        try:
            use = await self._finding.find()
            if self._supply.file is None:
                await self._pass_by()
                return
            await self._answer(self._supply.file, use)
        except TransferFailed as failed:
            if (failed.missing or failed.forbidden) and not request.startedWriting:
                failure = failure_of(failed, request.names_sources)
                raise Refusal(failure.status, failure.text, failure.kind) from None
            raise
        finally:
            visit.sink.close()
            self._finding.close()
        request.finish()

    async def _pass_by(self) -> None:
        """Answer without the cache: the file may not be kept."""
        visit, finding = self._visit, self._finding
        transfer, finding.begun = finding.begun, None
        visit.request.cache = "bypass"
        await serve(
            visit.request,
            visit.range_request,
            visit.name,
            transfer or visit.transfer(None),
            visit.same,
            visit.sink,
            finding.shown,
        )

    async def _answer(self, file: CachedFile, use: Use | None) -> None:
        visit, request = self._visit, self._visit.request
        known = known_of_file(file)
        status = self._finding.status
        asked = visit.range_request.asked
        plan, current = plan_of(asked, visit.name, known.facts, visit.same, self._route.one_source)
        fields = representation(known.facts.shown, current).without((b"age",))
        if use is not None:
            fields = fields.adding((b"Age", b"%d" % use.age))
        stored = all(file.has(each) for each in ranges_of(plan))
        if not stored and not asked.head and self._finding.failure is not None:
            raise self._finding.failure
        if not stored and not self._route.has_source():
            raise no_source()
        if status.forwarded is None and not stored:
            request.cache = "partial" if request.cache == "hit" else request.cache
            status = replace(status, forwarded="partial")
        fields = fields.adding((b"Cache-Status", bytes(status)))
        await send(request, plan, fields, self._supply, visit.sink)
