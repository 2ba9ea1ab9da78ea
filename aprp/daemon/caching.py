"""The daemon's cache, from its settings. Nothing of it is imported if there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aprp.config import CacheSettings
from aprp.core.values import dataclass

if TYPE_CHECKING:
    from aprp.cache.cache import Cache
    from aprp.cache.peers import Peers
    from aprp.cache.store.disk_store import DiskStore
    from aprp.upstream.transfer.memory import MemoryBudget


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a process among the `count` workers of a daemon; `number` counts from 0."""

    number: int = 0
    count: int = 1


ALONE = Place()


def store_of(cache: Cache | None) -> DiskStore | None:
    """Return the store on disk of a cache."""
    if cache is None:
        return None
    from aprp.cache.store.disk_store import DiskStore

    assert isinstance(cache.store, DiskStore)
    return cache.store


def change_cache(cache: Cache | None, settings: CacheSettings | None) -> str | None:
    """Use new settings as far as possible; return what takes a restart."""
    store = store_of(cache)
    if store is not None and settings is not None and store.folder.path == str(settings.path):
        store.resize(settings.size)
        return None
    if store is None and settings is None:
        return None
    return "cache stays as it was until aprp is restarted, because its path was changed"


def open_cache(
    settings: CacheSettings | None,
    reactor: Any,
    place: Place = ALONE,
    peers: Callable[[], Peers | None] = lambda: None,
    budget: MemoryBudget | None = None,
) -> Cache | None:
    """Begin to open the cache, if the settings have one. `peers` returns the other workers.

    `budget` has the memory for what is fetched.

    It can be used at once. What goes wrong is logged, and nothing is kept then.
    """
    if settings is None:
        return None
    from aprp.cache.cache import Cache
    from aprp.cache.store.disk_store import DiskStore

    store = DiskStore(
        str(settings.path),
        settings.size,
        reactor,
        process=place.number,
        keeper=place.number == 0,
        shared=place.count > 1,
    )
    return Cache(store, reactor, peers(), budget)
