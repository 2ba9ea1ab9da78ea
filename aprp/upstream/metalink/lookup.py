"""Find what the Metalink of a file says: at a URL, in a directory, or where a source names it.

- A Metalink is kept while it is fresh (RFC 9111), and then confirmed or fetched again. If that
  fails or takes long, the one before is used.
- Requests for the same one at the same time share one fetch.
- With keys, one without a good signature (its name with .asc or .sig) is not used at all.
- It is parsed in a thread.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from aprp.config.metalink import LINKS, PATH, MetalinkSettings
from aprp.core.choices import Same
from aprp.core.duplicates import described_by, duplicates
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.file_answers import file_path
from aprp.core.http.urls import Url
from aprp.core.metalink import DIGITS, MOST_BYTES, BadMetalink, Hash, MetalinkFile, chosen
from aprp.core.reasons import Name
from aprp.core.recovery.versions import digests_of
from aprp.core.scheduling.messages import Source
from aprp.upstream.errors import SourceError
from aprp.upstream.metalink.kept import Kept, KeptMetalinks
from aprp.upstream.metalink.parsing import parse_listing
from aprp.upstream.metalink.signatures import MOST_BYTES as MOST_OF_SIGNATURE
from aprp.upstream.metalink.signatures import BadSignature, check_signature
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.options import FileLocation, TransferOptions, without_query
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.source import SourceAnswer, TransferSource
from aprp.upstream.wall_clock import time

PATIENCE = 2.0
"""Seconds that a refresh may take before the Metalink of before is used."""
SUFFIXES = (".meta4", ".metalink", ".torrent")
SIGNATURES = (".asc", ".sig")


class NoMetalink(SourceError):
    """Raised if what a Metalink says can't be known. `absent`: there is none for this file."""

    kind = "destination_unavailable"

    def __init__(self, text: str, absent: bool = False) -> None:
        super().__init__("", "the Metalink of the file can't be used", Name(f": {text}"))
        self.absent = absent


class Metalinks:
    """The Metalinks of one route. `options` are those of the requests for them."""

    _log = Logger()

    def __init__(
        self, settings: MetalinkSettings, shared: SharedResources, options: TransferOptions
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._options = replace(options, same=Same.DIGEST)  # which has sources give digests
        self._kept = KeptMetalinks()
        self._fetching: dict[str, list[Deferred[None]]] = {}

    async def file_at(self, path: str, first: Url | None) -> MetalinkFile:
        """Return the file at a path below the route; `first` is where the first source has it.

        Raise NoMetalink, or the SourceError that a request met.
        """
        at = self._settings.at
        if at == LINKS:
            assert first is not None
            files = await self._kept_or(str(first), lambda kept: self._linked(first, kept))
        elif "://" in at:
            url = Url.parse(at.replace(PATH, path.lstrip("/")))
            files = await self._kept_or(str(url), lambda kept: self._fetched(url, url, kept))
        else:
            files = await self._on_disk(path)
        file = chosen(files, unquote(path))
        if file is None:
            raise NoMetalink("the Metalink doesn't list this file", absent=True)
        return file

    def doubt(self, path: str, first: Url | None) -> None:
        """Fetch the Metalink again the next time: what it says didn't hold."""
        at = self._settings.at
        if at == LINKS:
            self._kept.forget(str(first))
        elif "://" in at:
            self._kept.forget(str(Url.parse(at.replace(PATH, path.lstrip("/")))))

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
                waiting.addTimeout(PATIENCE, self._shared.clock)
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

    # A URL

    async def _fetched(self, url: Url, home: Url, kept: Kept | None) -> Kept:
        """Fetch the Metalink at a URL that `home`, which the operator named, led to."""
        began = time()
        answer = await self._get(url, home, () if kept is None else kept.conditions)
        response = Response(answer.status, answer.fields, began, time())
        if answer.status == 304 and kept is not None:
            discard(answer.exchange)
            return kept.confirmed(response)
        data = await _content(answer, str(url), MOST_BYTES)
        if self._settings.keys is not None:
            await self._check(data, url, home, self._settings.keys)
        return Kept(await _parsed(data, str(url)), len(data), response)

    async def _check(self, data: bytes, url: Url, home: Url, keys: Path) -> None:
        why = "it has no signature"
        for suffix in SIGNATURES:
            place = replace(url, path=url.path + suffix)
            answer = await self._get(place, home, ())
            if answer.status in (404, 410):
                discard(answer.exchange)
                continue
            try:
                signature = await _content(answer, str(place), MOST_OF_SIGNATURE)
                await check_signature(data, signature, keys)
                return
            except BadSignature as error:
                why = str(error)
        raise NoMetalink(f"{url}: the signature isn't good: {why}")

    async def _get(self, url: Url, home: Url, conditions: Pairs) -> SourceAnswer:
        options = self._options
        if options.reach is not None:
            reach = options.reach
            options = replace(options, reach=lambda target, _: reach(target, home))
        if url.origin != home.origin:
            options = replace(options, headers=(), host=None)
        options = replace(options, headers=(*options.headers, *conditions))
        name = without_query(url)
        source = TransferSource(self._shared, FileLocation(Source(name, url.place), url), options)
        try:
            return await source.get_alone(None)
        except SourceError as error:
            raise NoMetalink(f"{name}: {error}") from None

    # The Link fields of a source

    async def _linked(self, first: Url, kept: Kept | None) -> Kept:
        """Return what the response of the first source names: a Metalink, or mirrors."""
        began = time()
        source = TransferSource(
            self._shared,
            FileLocation(Source(without_query(first), first.place), first),
            self._options,
        )
        answer = await source.head()
        discard(answer.exchange)
        fields = answer.fields
        if answer.status != 200:
            raise NoMetalink(f"{first} answered {answer.status}", answer.status in (404, 410))
        links = fields.all(b"link")
        url = described_by(links, first)
        if url is not None:
            with contextlib.suppress(NoMetalink):
                return await self._fetched(url, first, None)
        if self._settings.keys is not None:
            raise NoMetalink(f"{first} names no Metalink with a good signature")
        mirrors = duplicates(links, first)
        response = Response(200, fields, began, time())
        file = MetalinkFile("", mirrors, answer.summary().length, tuple(_hashes(fields)))
        return Kept((file,), sum(map(len, links)), response)

    # A directory

    async def _on_disk(self, path: str) -> tuple[MetalinkFile, ...]:
        name = file_path(b"/" + path.lstrip("/").encode("ascii"))
        if name is None:
            raise NoMetalink("the path names no file", absent=True)
        folder = Path(self._settings.at)
        for suffix in SUFFIXES:
            place = folder / (name.decode("utf-8", "surrogateescape") + suffix)
            kept = self._kept.get(str(place))
            stamp = await deferToThread(_stamp, place)
            if stamp is None:
                continue
            if kept is None or kept.response.fields.get(b"etag") != stamp:
                kept = await self._read(place, stamp)
                self._kept.keep(str(place), kept)
            return kept.files
        raise NoMetalink("there is no Metalink of this file", absent=True)

    async def _read(self, place: Path, stamp: bytes) -> Kept:
        try:
            data, signatures = await deferToThread(_files, place)
        except OSError as error:
            raise NoMetalink(f"{place} can't be read: {error.strerror}") from None
        if self._settings.keys is not None:
            why = "it has no signature"
            for signature in signatures:
                try:
                    await check_signature(data, signature, self._settings.keys)
                    break
                except BadSignature as error:
                    why = str(error)
            else:
                raise NoMetalink(f"{place}: the signature isn't good: {why}")
        response = Response(200, Fields(((b"ETag", stamp),)), time(), time())
        return Kept(await _parsed(data, str(place)), len(data), response)


async def _content(answer: SourceAnswer, name: str, most: int) -> bytes:
    """Return the body of a 200; raise NoMetalink."""
    exchange = answer.exchange
    if answer.status != 200:
        discard(exchange)
        raise NoMetalink(f"{name} answered {answer.status}", answer.status in (404, 410))
    if answer.fields.get(b"content-encoding") not in (None, b"identity"):
        discard(exchange)
        raise NoMetalink(f"{name} is coded, though identity was asked for")
    collector = Collector(most + 1)
    if exchange.length is not None and exchange.length <= most:
        await exchange.pump(collector)
    else:
        await exchange.pump(collector, most + 1)
        exchange.abort()
    data = collector.data
    if len(data) > most:
        raise NoMetalink(f"{name} has more than {most} bytes, the most that are read")
    return data


async def _parsed(data: bytes, name: str) -> tuple[MetalinkFile, ...]:
    try:
        found: tuple[MetalinkFile, ...] = await deferToThread(parse_listing, data, name)
    except BadMetalink as error:
        raise NoMetalink(str(error)) from None
    return found


def _hashes(fields: Fields) -> list[Hash]:
    """Return the digests of the whole file that a response gives."""
    found = []
    for name, value in sorted(digests_of(fields)):
        algorithm = name.decode("latin-1")
        with contextlib.suppress(binascii.Error, ValueError):
            digest = base64.b64decode(value, validate=True).hex()
            if len(digest) == DIGITS.get(algorithm):
                found.append(Hash(algorithm, digest))
    return found


def _stamp(place: Path) -> bytes | None:
    """Return what changes with a file's content, or None if there is no such file."""
    try:
        found = place.stat()
    except OSError:
        return None
    return b'"%d-%d-%d"' % (found.st_mtime_ns, found.st_size, found.st_ino)


def _files(place: Path) -> tuple[bytes, list[bytes]]:
    """Return a Metalink, and its signatures."""
    with place.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    beside = (place.with_name(place.name + suffix) for suffix in SIGNATURES)
    return data, [each.read_bytes()[:MOST_OF_SIGNATURE] for each in beside if each.exists()]
