"""Fetch Metalinks from URLs, and from what the Link fields of a source name.

With keys, one without a good signature beside it (its URL with .asc or .sig) is not used at all.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aprp.core.choices import Same
from aprp.core.duplicates import described_by, duplicates
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.urls import Url
from aprp.core.metalink import DIGITS, MOST_BYTES, Hash, MetalinkFile
from aprp.core.recovery.versions import digests_of
from aprp.core.scheduling.messages import Source
from aprp.upstream.errors import SourceError
from aprp.upstream.metalink.errors import NoMetalink
from aprp.upstream.metalink.kept import Kept
from aprp.upstream.metalink.reading import content, parsed
from aprp.upstream.metalink.signatures import MOST_BYTES as MOST_OF_SIGNATURE
from aprp.upstream.metalink.signatures import (
    SUFFIXES,
    UNSIGNED,
    BadSignature,
    check_signature,
    not_signed,
)
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.options import FileLocation, TransferOptions, without_query
from aprp.upstream.transfer.requests import SourceAnswer
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.wall_clock import time


class RemoteMetalinks:
    """Fetches the Metalinks of one route. `options` are those of the requests for them."""

    def __init__(
        self, shared: SharedResources, options: TransferOptions, keys: Path | None
    ) -> None:
        self._shared = shared
        self._options = options._replace(same=Same.DIGEST)  # which has sources give digests
        self._keys = keys

    async def fetched(self, url: Url, home: Url, kept: Kept | None) -> Kept:
        """Fetch the Metalink at a URL that `home`, which the operator named, led to.

        `kept` is the one of before, if there is one. Raise NoMetalink.
        """
        began = time()
        answer = await self._get(url, home, () if kept is None else kept.conditions)
        response = Response(answer.status, answer.fields, began, time())
        if answer.status == 304 and kept is not None:
            discard(answer.exchange)
            return kept.confirmed(response)
        data = await content(answer, str(url), MOST_BYTES)
        if self._keys is not None:
            await self._check(data, url, home, self._keys)
        return Kept(await parsed(data, str(url)), len(data), response)

    async def linked(self, first: Url) -> Kept:
        """Return what the response of the first source names: a Metalink, or mirrors.

        Raise NoMetalink, or the SourceError that the request met.
        """
        began = time()
        answer = await self._source(first, self._options).head()
        discard(answer.exchange)
        fields = answer.fields
        if answer.status != 200:
            raise NoMetalink(f"{first} answered {answer.status}", answer.status in (404, 410))
        links = fields.all(b"link")
        url = described_by(links, first)
        if url is not None:
            with contextlib.suppress(NoMetalink):
                return await self.fetched(url, first, None)
        if self._keys is not None:
            raise NoMetalink(f"{first} names no Metalink with a good signature")
        mirrors = duplicates(links, first)
        response = Response(200, fields, began, time())
        file = MetalinkFile("", mirrors, answer.summary().length, tuple(_hashes(fields)))
        return Kept((file,), sum(map(len, links)), response)

    async def _check(self, data: bytes, url: Url, home: Url, keys: Path) -> None:
        """Raise NoMetalink unless a signature beside the document is of one of the keys."""
        why = UNSIGNED
        for suffix in SUFFIXES:
            place = replace(url, path=url.path + suffix)
            answer = await self._get(place, home, ())
            if answer.status in (404, 410):
                discard(answer.exchange)
                continue
            try:
                signature = await content(answer, str(place), MOST_OF_SIGNATURE)
                await check_signature(data, signature, keys)
                return
            except BadSignature as error:
                why = str(error)
        raise NoMetalink(not_signed(str(url), why))

    async def _get(self, url: Url, home: Url, conditions: Pairs) -> SourceAnswer:
        options = self._options
        if options.reach is not None:
            reach = options.reach
            options = options._replace(reach=lambda target, _: reach(target, home))
        if url.origin != home.origin:
            options = options._replace(headers=(), host=None)
        options = options._replace(headers=(*options.headers, *conditions))
        try:
            return await self._source(url, options).get_alone(None)
        except SourceError as error:
            raise NoMetalink(f"{without_query(url)}: {error}") from None

    def _source(self, url: Url, options: TransferOptions) -> TransferSource:
        place = FileLocation(Source(without_query(url), url.place), url)
        return TransferSource(self._shared, place, options)


def _hashes(fields: Fields) -> Iterator[Hash]:
    """Yield the digests of the whole file that a response gives."""
    for name, value in sorted(digests_of(fields)):
        algorithm = name.decode("latin-1")
        with contextlib.suppress(binascii.Error, ValueError):
            digest = base64.b64decode(value, validate=True).hex()
            if len(digest) == DIGITS.get(algorithm):
                yield Hash(algorithm, digest)
