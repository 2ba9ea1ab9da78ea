"""What is removed from the store, so that no process uses it any longer.

Each key has an epoch, which ends when something under it is removed: what a process found in an
earlier one may be gone. A removal that the store couldn't do is remembered until it can.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from aprp.cache.peers import Peers
from aprp.cache.store.store import Store
from aprp.core.sharing.epochs import Epochs

UNREMOVED = 1 << 16
"""Keys that are remembered because the store couldn't remove what is under them."""


class Removals:
    """The removals from `store`, which the `peers` share."""

    def __init__(self, store: Store, peers: Peers | None) -> None:
        self._store = store
        self._peers = peers
        self._epochs = Epochs.alone()
        self._pending: dict[bytes, None] = {}

    def epoch(self, key: bytes) -> int:
        """Return a number that isn't the same once what is under a key was removed."""
        return self._epochs.of(key) if self._peers is None else self._peers.epoch(key)

    def ended_elsewhere(self, key: bytes, epoch: int) -> bool:
        """Return whether another process may have ended the epoch of a key."""
        return self._peers is not None and self._peers.epoch(key) != epoch

    def pending(self, key: bytes) -> bool:
        """Return whether what is under a key may still have to be removed."""
        return key in self._pending

    def remove(self, key: bytes) -> Deferred[int]:
        """Remove everything under a key; fires with the number of files.

        By the time this fires, no process uses what was there.
        """
        self._end(key)  # nothing is created from now on that was requested before
        self._pending[key] = None
        if len(self._pending) > UNREMOVED:
            del self._pending[next(iter(self._pending))]
        return self._store.remove(key).addCallback(self._removed, key)

    def _removed(self, count: int, key: bytes) -> int:
        self._pending.pop(key, None)
        self._end(key)  # what another process has found meanwhile may have been there still
        return count

    def _end(self, key: bytes) -> None:
        if self._peers is None:
            self._epochs.end(key)
        else:
            self._peers.end_epoch(key)
