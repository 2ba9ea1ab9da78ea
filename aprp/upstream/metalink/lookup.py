"""Find what the Metalink of a file says: at a URL, in a directory, or where a source names it.

- A Metalink is kept while it is fresh (RFC 9111), and then confirmed or fetched again. If that
  fails or takes long, the one before is used.
- Requests for the same one at the same time share one fetch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger

from aprp.config.metalink import LINKS, PATH, MetalinkSettings
from aprp.core.http.urls import Url
from aprp.core.metalink import MetalinkFile, chosen
from aprp.upstream.errors import SourceError
from aprp.upstream.metalink.directory import MetalinkDirectory
from aprp.upstream.metalink.errors import NoMetalink
from aprp.upstream.metalink.kept import Kept, KeptMetalinks
from aprp.upstream.metalink.remote import RemoteMetalinks
from aprp.upstream.transfer.options import TransferOptions
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.wall_clock import time

PATIENCE = 2.0
"""Seconds that a refresh may take before the Metalink of before is used."""


class Metalinks:
    """The Metalinks of one route. `options` are those of the requests for them."""

    _log = Logger()

    def __init__(
        self, settings: MetalinkSettings, shared: SharedResources, options: TransferOptions
    ) -> None:
        self._at = settings.at
        self._clock = shared.clock
        self._remote = RemoteMetalinks(shared, options, settings.keys)
        self._directory = MetalinkDirectory(Path(settings.at), settings.keys)
        self._kept = KeptMetalinks()
        self._fetching: dict[str, list[Deferred[None]]] = {}

    async def file_at(self, path: str, first: Url | None) -> MetalinkFile:
        """Return the file at a path below the route; `first` is where the first source has it.

        Raise NoMetalink, or the SourceError that a request met.
        """
        if self._at == LINKS:
            assert first is not None
            files = await self._kept_or(str(first), lambda _: self._remote.linked(first))
        elif "://" in self._at:
            url = self._url(path)
            files = await self._kept_or(str(url), lambda kept: self._remote.fetched(url, url, kept))
        else:
            files = await self._directory.files(path)
        file = chosen(files, unquote(path))
        if file is None:
            raise NoMetalink("the Metalink doesn't list this file", absent=True)
        return file

    def doubt(self, path: str, first: Url | None) -> None:
        """Fetch the Metalink again the next time: what it says didn't hold."""
        if self._at == LINKS:
            self._kept.forget(str(first))
        elif "://" in self._at:
            self._kept.forget(str(self._url(path)))

    def _url(self, path: str) -> Url:
        return Url.parse(self._at.replace(PATH, path.lstrip("/")))

    async def _kept_or(
        self, place: str, fetch: Callable[[Kept | None], Awaitable[Kept]]
    ) -> tuple[MetalinkFile, ...]:
        """Return the files of a Metalink that is kept, if it is fresh or can't be refreshed."""
        kept = self._kept.get(place)
        if kept is not None and kept.is_fresh(time()):
            return kept.files
        waiting: Deferred[None] = Deferred()
        if place not in self._fetching:
            self._fetching[place] = []
            Deferred.fromCoroutine(self._refresh(place, kept, fetch))
        if place in self._fetching:
            self._fetching[place].append(waiting)
            if kept is not None:
                waiting.addTimeout(PATIENCE, self._clock)
            try:
                await waiting
            except (SourceError, DeferredTimeout) as error:
                if kept is None or (isinstance(error, NoMetalink) and error.absent):
                    raise
        found = self._kept.get(place) or kept
        if found is None:
            raise NoMetalink("the Metalink can't be read")
        return found.files

    async def _refresh(
        self, place: str, kept: Kept | None, fetch: Callable[[Kept | None], Awaitable[Kept]]
    ) -> None:
        """Fetch a Metalink, and tell all that wait for it."""
        error: Exception | None = None
        try:
            self._kept.keep(place, await fetch(kept))
        except Exception as caught:
            error = caught
            if not isinstance(caught, SourceError):
                self._log.failure("internal error while fetching {place}", place=place)
                error = NoMetalink("the Metalink can't be read")
            gone = isinstance(caught, NoMetalink) and caught.absent
            if gone:
                self._kept.forget(place)
            if kept is not None and not gone:
                self._log.warn(
                    "{place}: {reason}; the Metalink of before is used",
                    place=place,
                    reason=str(error),
                )
        for waiting in self._fetching.pop(place):
            if not waiting.called:
                if error is None:
                    waiting.callback(None)
                else:
                    waiting.errback(error)
