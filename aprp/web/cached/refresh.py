"""Revalidation in the background, while a stale response is being sent (RFC 5861 section 3)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aprp.core.http.caching.reuse import ERRORS
from aprp.core.http.caching.revalidating import conditional, confirmed, updated
from aprp.core.http.ranges import FromTo, Range
from aprp.upstream.errors import SourceError
from aprp.upstream.exchange import Exchange, SourceRequest
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.resumed_body import with_conditions
from aprp.upstream.wall_clock import time
from aprp.web.cached.entries import Entry, meta_for, received
from aprp.web.cached.route_cache import RouteCache

MOST = 256 * 1024
"""Bytes of a new version that are fetched in the background; of a longer one, only the first."""

_log = Logger()


def turn_of(key: bytes, hole: Range | None = None) -> bytes:
    """Return what names the turn of a request to the upstream for a key, or for a hole in it."""
    return b"%b\n%d" % (key, -1 if hole is None else hole.start)


def refresh_later(
    agent: Agent, cached: RouteCache, key: bytes, entry: Entry, outgoing: SourceRequest
) -> None:
    """Revalidate an entry, unless that is under way. `outgoing` is a request that it answers, a GET
    or a HEAD.
    """
    if key in cached.refreshing:
        return
    cached.refreshing.add(key)
    work = Deferred.fromCoroutine(_refresh(agent, cached, key, entry, outgoing))
    work.addErrback(_failed)
    work.addBoth(lambda _: cached.refreshing.discard(key))


def _failed(failure: Any) -> None:
    if failure.check(SourceError) is None:
        _log.failure("a response could not be revalidated in the background", failure)


async def _refresh(
    agent: Agent, cached: RouteCache, key: bytes, entry: Entry, outgoing: SourceRequest
) -> None:
    """Revalidate an entry, unless another process has done so."""
    cache, turn = cached.cache, turn_of(key)
    try:
        again = await cache.begin_turn(turn, key)
        if not again or entry.file.derived is entry.response:
            await _ask(agent, cached, key, entry, outgoing)
    finally:
        cache.end_turn(turn, key)


async def _ask(
    agent: Agent, cached: RouteCache, key: bytes, entry: Entry, outgoing: SourceRequest
) -> None:
    conditions = conditional([entry.response])
    if entry.file.complete > MOST:
        conditions = ((b"Range", FromTo(0, 1).header()), *conditions)
    asked_at, epoch = time(), cached.cache.epoch(key)
    outgoing = with_conditions(outgoing._replace(method=b"GET"), *conditions)
    exchange = await agent.open(outgoing)
    try:
        await _take(cached, key, entry, outgoing, exchange, asked_at, epoch)
    finally:
        exchange.abort()


async def _take(
    cached: RouteCache,
    key: bytes,
    entry: Entry,
    outgoing: SourceRequest,
    exchange: Exchange,
    asked_at: float,
    epoch: int,
) -> None:
    """Update the entry, replace it, or forget it, by what the upstream answered."""
    status, policy = exchange.head.status, cached.policy
    response = received(exchange.head, asked_at, time())
    if status == 304:
        if confirmed([entry.response], response.fields) is not None:
            fresh = updated(entry.response, response, outgoing.fields, policy)
            cached.update(entry.file, fresh, outgoing)
        else:
            cached.cache.forget(entry.file)
        return
    if status in ERRORS or status == 206:
        if status == 206:
            cached.cache.forget(entry.file)
        return
    sink = Collector(keep=MOST + 1)
    if not cached.storable(outgoing, response) or exchange.length is None:
        cached.cache.forget(entry.file)
        return
    moved = await exchange.pump(sink, MOST + 1)
    if moved == exchange.length:
        meta = meta_for(response, exchange.head.reason, moved, outgoing.fields, policy)
        cached.keep(key, meta, sink.data, epoch)
    else:
        cached.cache.forget(entry.file)
