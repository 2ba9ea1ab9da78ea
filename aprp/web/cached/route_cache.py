"""What one `upstream:` route keeps in the cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.config import RouteCacheSettings
from aprp.core.cache.meta import Meta
from aprp.core.http.caching.keys import Realm, key_of
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.storing import Verdict, storable
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import Range
from aprp.upstream.exchange import SourceRequest
from aprp.web.cached.entries import refreshed
from aprp.web.cached.supply import HeldOrigin

MOST_VARIANTS = 32
"""Variants that are kept under one key; the oldest go first."""
INDEX_TIMEOUT = 2.0
"""Seconds after which a request no longer waits for the index of the cache."""
NOT_SHARED_FOR = 10.0
"""Seconds for which requests don't wait for each other after a response that wasn't stored."""
REMEMBERED = 4096
"""Keys about which something is remembered."""


class RouteCache:
    """The part of `cache` that belongs to one route."""

    _log = Logger()

    def __init__(
        self, cache: Cache, settings: RouteCacheSettings, realm: Realm, clock: Any
    ) -> None:
        self.cache = cache
        self.policy = Policy(
            valid=None if settings.valid is None else int(settings.valid),
            targeted=tuple(name.lower().encode("ascii") for name in settings.targeted),
        )
        self.refreshing: set[bytes] = set()
        """The keys whose responses are being revalidated in the background."""
        self._pinned = settings.pin
        self._realm = realm
        self._clock = clock
        self._alone: OrderedDict[bytes, float] = OrderedDict()

    def key(self, target: bytes, sent: Fields) -> bytes:
        """Return the key of a resource; `sent` are the fields that the upstream gets."""
        scheme = sent.get(b"x-forwarded-proto") or b""
        host = sent.get(b"x-forwarded-host") or b""
        return key_of(self._realm, target, scheme, host, sent.by_name.get(b"forwarded", b""))

    def storable(self, outgoing: SourceRequest, response: Response) -> Verdict:
        """Return whether the response to a request may be stored. The fields that the route gives
        each request don't count, since they are in the key.
        """
        theirs = outgoing.fields.without(name.lower() for name, _ in self._realm.own)
        return storable(outgoing.method, theirs, response, self.policy)

    def update(self, file: CachedFile, fresh: Response, outgoing: SourceRequest) -> Verdict:
        """Make `fresh` what is stored of a file beside its bytes, by the response to a request.

        If it may no longer be stored, forget the file, or leave it as it is if that holds for this
        request alone. Return whether it was updated.
        """
        verdict = self.storable(outgoing._replace(method=b"GET"), fresh)
        if verdict:
            self.cache.refresh(file, refreshed(file.meta, fresh))
        elif verdict.for_all:
            self.cache.forget(file)
        return verdict

    async def find(self, key: bytes) -> Sequence[CachedFile]:
        """Return the variants under a key; none if the index doesn't answer in time."""
        found = self.cache.at_hand(key)
        if found is not None:
            return found
        try:
            return await self._soon(Deferred.fromCoroutine(self.cache.find(key))) or ()
        except TimeoutError:
            self._log.warn(
                "the cache's index did not answer within {seconds} s", seconds=INDEX_TIMEOUT
            )
            return ()

    def create(self, key: bytes, meta: Meta, epoch: int) -> CachedFile | None:
        """Begin to keep a response, or keep more of one that is there already.

        None if an unsafe request has invalidated it since the `epoch` in which it was requested.
        """
        if self.cache.epoch(key) != epoch:
            return None
        known = self.cache.at_hand(key) or ()
        for file in known:
            if file.meta.vary == meta.vary and _one_version(file.meta, meta):
                self.cache.refresh(file, meta)
                return file
        for file in tuple(known)[MOST_VARIANTS - 1 :]:
            self.cache.forget(file)
        return self.cache.create(key, meta, self._pinned)

    def keep(self, key: bytes, meta: Meta, body: bytes, epoch: int) -> None:
        """Keep a response whose body is in memory, and that was requested in that epoch."""
        file = self.create(key, meta, epoch)
        if file is not None and body and file.stored_to(0) is None and not file.fetches:
            file.fetch(Range(0, len(body)), HeldOrigin(body))

    async def invalidate(self, key: bytes) -> None:
        """Forget what is under a key, and what is being received for it."""
        try:
            await self._soon(self.cache.remove(key))
        except Exception:
            self._log.failure("the cache could not forget what is invalid")

    def alone(self, key: bytes) -> bool:
        """Whether the last response wasn't stored, so that no request may wait for another."""
        until = self._alone.get(key)
        return until is not None and until > float(self._clock.seconds())

    def went_alone(self, key: bytes) -> None:
        """Take note that a response wasn't stored."""
        _remember(self._alone, key, self._clock.seconds() + NOT_SHARED_FOR)

    def _soon(self, waiting: Deferred[Any]) -> Deferred[Any]:
        return waiting.addTimeout(INDEX_TIMEOUT, self._clock)


def _one_version(one: Meta, other: Meta) -> bool:
    """Whether bytes of both may be combined (RFC 9110 section 15.3.7.3)."""
    strong = one.validators.strong()
    same = strong is not None and bool(strong == other.validators.strong())
    return same and one.complete == other.complete and one.status == other.status


def _remember(kept: OrderedDict[bytes, float], key: bytes, value: float) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
