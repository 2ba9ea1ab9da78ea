"""The leaf of a `sources:` route with a Metalink, which names mirrors and hashes of each file.

The route's own sources come before the mirrors. A mirror is only connected to at public addresses
or those that the route allows, and gets none of the route's own fields. A file without a Metalink
is served from the route's sources, unless its Metalink would have to be signed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from aprp.config import SourcesRoute
from aprp.core.http.urls import Url
from aprp.core.metalink import MetalinkFile
from aprp.core.recovery.pieces import Proof
from aprp.core.scheduling.messages import Source
from aprp.upstream.exchange import Origin
from aprp.upstream.http.guard import Guard, Listening, Reach, nowhere, own_host_or
from aprp.upstream.http.trust import trust_of
from aprp.upstream.metalink.errors import NoMetalink
from aprp.upstream.metalink.lookup import Metalinks
from aprp.upstream.transfer.failures import TransferFailed
from aprp.upstream.transfer.options import (
    FileLocation,
    TransferOptions,
    names_by_origin,
    without_query,
)
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.failures import Refusal
from aprp.web.multi_source import MultiSource, locations_of
from aprp.web.range_request import RangeRequest
from aprp.web.request import ProxyRequest
from aprp.web.tallies import RouteTally

CONNECTIONS = 4
"""To one mirror."""
RESERVE = 2
"""The mirrors of a transfer, as a multiple of those that are used at the same time. Each one in
reserve costs a little whenever the transfer is planned."""


class ListedSources(MultiSource):
    """A route whose files are listed by Metalinks."""

    _log = Logger()

    def __init__(
        self,
        route: SourcesRoute,
        shared: SharedResources,
        clock: Any,
        tally: RouteTally | None = None,
        listening: Listening = nowhere,
    ) -> None:
        super().__init__(route, shared, clock, Guard(shared.agent.names, (), listening), tally)
        assert route.metalink is not None
        self._settings = settings = route.metalink
        self._listed = Guard(
            shared.agent.names, settings.allow_addresses, listening, "metalink.allow_addresses"
        )
        trust = trust_of(route.tls.ca)
        reach = own_host_or(self._listed, trust, route.connect_timeout)
        self._metalinks = Metalinks(settings, shared, self._options._replace(reach=reach))
        own = [source.location.host for source in route.sources]
        if "://" in settings.at:
            own.append(Url.parse(settings.at.replace("{path}", "")).host)
        self._headers_to = tuple(own)
        self.sources = []  # the mirrors may serve what the route's own sources don't

    async def _respond(self, request: ProxyRequest, range_request: RangeRequest) -> None:
        own = locations_of(self._places, range_request.path, request.target.query)
        path = range_request.path.decode("ascii")
        first = own[0].url if own else None
        try:
            file = await self._metalinks.file_at(path, first)
        except NoMetalink as error:
            self._refuse(error, bool(own))
            await self._send(request, range_request, own, self._options)
            return
        proof = Proof.of(file, self._settings.verify)
        options = self._options if proof is None else self._options.with_proof(proof)
        places = own + self._mirrors(file, proof, own)
        if not places:
            raise NoMetalink("the Metalink names no mirror")
        reach = _reach(options, own, self._listed, self._route.connect_timeout)
        at_once = len(own) + self._settings.most_mirrors
        scheduling = replace(options.scheduling, at_once=at_once)
        options = options._replace(reach=reach, headers_to=self._headers_to, scheduling=scheduling)
        try:
            await self._send(request, range_request, places, options)
        except TransferFailed:
            self._metalinks.doubt(path, first)
            raise

    def _refuse(self, error: NoMetalink, has_sources: bool) -> None:
        """Raise why a file isn't served, unless it may be served without a Metalink."""
        if not error.absent:
            self._log.warn("{route}: {reason}", route=self.label, reason=str(error))
            raise error
        if not has_sources:
            raise Refusal(404, "no Metalink lists this file", "destination_not_found") from None
        if self._settings.keys is not None:
            raise Refusal(404, "no signed Metalink lists this file", "destination_not_found")

    def _mirrors(
        self, file: MetalinkFile, proof: Proof | None, own: tuple[FileLocation, ...]
    ) -> tuple[FileLocation, ...]:
        """Return the best mirrors, in their order, without those that are known to lie.

        More than are used at the same time: the others are in reserve.
        """
        used = {each.url for each in own}
        urls = [each.url for each in file.ordered(self._settings.locations) if each.url not in used]
        urls = list(dict.fromkeys(urls))
        if proof is not None:
            lied = {name for name, _ in self._shared.liars.among(proof, {str(u): u for u in urls})}
            urls = [url for url in urls if str(url) not in lied]
        urls = urls[: RESERVE * self._settings.most_mirrors]
        taken = {each.source.name for each in own}
        names = [
            without_query(url) if name in taken else name
            for name, url in zip(names_by_origin(urls), urls, strict=True)
        ]
        return tuple(
            FileLocation(Source(name, url.place, CONNECTIONS), url)
            for name, url in zip(names, urls, strict=True)
        )


def _reach(
    options: TransferOptions, own: tuple[FileLocation, ...], listed: Guard, seconds: float
) -> Reach:
    """Reach the route's own sources as they are; check the addresses of all other places."""
    assert options.reach is not None
    mine, plain = {each.url.origin for each in own}, options.reach
    known: dict[str, Origin] = {}

    async def reach(url: Url, source: Url) -> Origin:
        if source.origin in mine:
            return await plain(url, source)
        if url.origin not in known:
            known[url.origin] = await listed.origin(url, options.trust, seconds, source.host)
        return known[url.origin]

    return reach
