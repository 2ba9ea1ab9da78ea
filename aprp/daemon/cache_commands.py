"""The commands of `aprp ctl cache`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aprp.web.admin.actions import CannotDo, Handler

if TYPE_CHECKING:
    from aprp.cache.store.disk_store import DiskStore
    from aprp.daemon.prefetching import Begun

NAMES = (
    "cache-list",
    "cache-purge",
    "cache-prefetch",
    "cache-pin",
    "cache-unpin",
    "cache-verify",
)
LEARN = "cache-learn"
"""The command for workers only."""
MOST_LISTED = 1000
AT_ONCE = 3.0
"""Seconds to wait for `cache-verify`, which goes on after that."""
NO_CACHE = "there is no cache; set cache: {path: ..., size: ...} in the configuration"
Json = dict[str, Any]
Prefetch = Callable[[str], Awaitable["Begun"]]


class CacheCommands:
    """The commands of a daemon, or of one of its workers; None: it has no cache."""

    def __init__(self, store: DiskStore | None, prefetch: Prefetch | None = None) -> None:
        self._store = store
        self._prefetch = prefetch

    def handlers(self) -> dict[str, Handler]:
        """Return the commands by name."""
        return {
            "cache-list": self.list,
            "cache-purge": self.purge,
            "cache-pin": lambda pattern: self._pin(pattern, True),
            "cache-unpin": lambda pattern: self._pin(pattern, False),
            "cache-prefetch": self.prefetch,
            "cache-verify": self.verify,
        }

    async def list(self, pattern: str = "*") -> Json:
        """List the stored files that a pattern names."""
        from aprp.core.cache.naming import shown

        store = self._opened()
        files = await _done(store.contents.listed(pattern, MOST_LISTED))
        return {
            "files": [
                {
                    "key": shown(file.key),
                    "length": file.complete,
                    "stored": file.stored,
                    "pinned": file.pinned,
                    "received": file.received_at,
                }
                for file in files
            ],
            "used": store.figures.used,
            "size": store.upkeep.size,
        }

    async def purge(self, pattern: str) -> Json:
        """Delete the stored files that a pattern names."""
        return {"purged": await _done(self._opened().contents.purge(pattern))}

    async def prefetch(self, url: str) -> Json:
        """Begin to fetch a URL of the daemon's clients, as for one of them."""
        store = self._opened()
        if not store.usable:
            raise CannotDo(f"the cache can't be used now: {store.why_unusable}")
        assert self._prefetch is not None
        begun = await self._prefetch(url)
        if begun.status != 200:
            raise CannotDo(f"{url} is answered with {begun.status or 'nothing'}")
        if begun.cache is None:
            raise CannotDo(f"{url} isn't kept: its route has no cache")
        if not begun.kept:
            raise CannotDo(f"{url} isn't kept; Cache-Status says: {begun.cache}")
        return {"url": url, "length": begun.length}

    async def verify(self) -> Json:
        """Read everything, and drop what isn't right."""
        store = self._opened()
        ended = await _done(store.contents.verify(AT_ONCE))
        found = store.contents.checked
        return {"blocks": found.blocks, "lost": found.lost, "ended": ended}

    async def _pin(self, pattern: str, pinned: bool) -> Json:
        count = await _done(self._opened().contents.pin(pattern, pinned))
        return {"changed": count, "pinned": pinned}

    def _opened(self) -> DiskStore:
        if self._store is None:
            raise CannotDo(NO_CACHE)
        return self._store


async def _done(working: Awaitable[Any]) -> Any:
    from aprp.cache.store.store import CacheTrouble

    try:
        return await working
    except CacheTrouble as error:
        raise CannotDo(f"the cache can't be used now: {error}") from None


async def learn(store: DiskStore | None) -> None:
    """Have a worker hear of what another has changed: `LEARN`."""
    if store is not None:
        await store.learn()


def of_workers(
    first: Callable[..., Awaitable[Any]], each: Callable[..., Awaitable[Any]]
) -> dict[str, Handler]:
    """Return the commands by name, for a daemon whose first worker carries them out.

    The others share its index, and learn from there what has changed; a purge waits for them.
    """

    def handler(command: str) -> Handler:
        return lambda *arguments: first(command, *arguments)

    async def purge(pattern: str) -> Any:
        result = await first("cache-purge", pattern)
        await each(LEARN)
        return result

    return {command: handler(command) for command in NAMES} | {"cache-purge": purge}
