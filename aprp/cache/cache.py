"""The cache of one process: the files that its requests share, over the store of the machine.

A file stays open for a while after its last use, so that the next request for it needs neither the
index nor a thread. When the store fails, requests still share what they fetch.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aprp.cache.cached_file import CachedFile, Shared
from aprp.cache.lending import lend
from aprp.cache.peers import Peers
from aprp.cache.store.store import CacheTrouble, Store
from aprp.cache.turns import Turns
from aprp.core.cache.meta import Meta
from aprp.core.http.ranges import Range

OPEN = 512
"""Files that stay open though nobody uses them."""


@dataclass(slots=True)
class _Known:
    """The variants under one key, newest first."""

    files: list[CachedFile] = field(default_factory=list)


class Cache:
    """The files of one `store`; `clock` is the reactor's. `peers` are the others that share it."""

    _log = Logger()

    def __init__(self, store: Store, clock: Any, peers: Peers | None = None) -> None:
        self.turns = Turns()
        """Requests to origins that several requests of clients wait for."""
        self.store = store
        self._shared = Shared(clock, peers)
        self._peers = peers
        if peers is not None:
            peers.lend_by(self._lend)
        self._known: dict[bytes, _Known] = {}
        self._keys: dict[CachedFile, bytes] = {}
        self._idle: OrderedDict[CachedFile, None] = OrderedDict()
        self._used: set[CachedFile] = set()
        self._numbers: dict[int, CachedFile] = {}
        self._creating: dict[bytes, list[bytes]] = {}
        """The turns that end when a file has been created, by its key."""
        self._closing = False

    async def find(self, key: bytes) -> list[CachedFile]:
        """Return the variants under a key, newest first. Whoever uses one says so by `use`."""
        known = self._known.get(key)
        if known is None:
            await self.turns.take((self, key), lambda: self._load(key))
            known = self._known.get(key, _Known())
        for file in tuple(known.files):
            if file.troubled or (file.stored is not None and file.stored.doomed):
                self._drop(file)
        return list(known.files)

    def at_hand(self, key: bytes) -> list[CachedFile] | None:
        """Return what `find` would if that is known without waiting, else None."""
        known = self._known.get(key)
        if known is None or not known.files:
            return None
        for file in known.files:
            if file.troubled or (file.stored is not None and file.stored.doomed):
                return None
        return known.files

    def create(self, key: bytes, meta: Meta, pinned: bool = False) -> CachedFile:
        """Begin a new version, which takes the place of the variant with the same `vary`.

        It can be used at once, and is stored as soon as the store has created it.
        """
        for file in tuple(self._known.get(key, _Known()).files):
            if file.meta.vary == meta.vary:
                self._drop(file)
        file = self._new(meta)
        self._known.setdefault(key, _Known()).files.insert(0, file)
        self._keys[file] = key
        file.use()
        turns = self._creating[key] = []
        numbered = partial(self._number, file)
        creating = self.store.create(key, meta, pinned, numbered)
        creating.addCallbacks(file.open, file.trouble)
        creating.addErrback(lambda failure: self._log.failure("the cache has a fault", failure))
        creating.addBoth(lambda _: self._created(key, turns))
        creating.addBoth(lambda _: file.leave())
        return file

    def refresh(self, file: CachedFile, meta: Meta) -> None:
        """Replace what is known of a file beside its bytes, since it was found unchanged."""
        file.meta = meta
        if file.stored is not None and not file.troubled:
            file.stored.update(meta).addErrback(file.trouble)

    def forget(self, file: CachedFile) -> None:
        """Find a file no more, and have it deleted; its users may finish it."""
        if file in self._keys:
            if file.stored is not None:
                file.stored.doom()
            self._drop(file)

    def remove(self, key: bytes) -> Deferred[int]:
        """Forget everything under a key; fires with the number of files."""
        for file in tuple(self._known.get(key, _Known()).files):
            self._drop(file)
        self._known.pop(key, None)
        return self.store.remove(key)

    async def begin_turn(self, turn: bytes) -> bool:
        """Begin a turn to ask the sources; wait before for another process that has it.

        Return whether others may have brought it since this process has looked: it can be found
        now. Whoever begins a turn ends it.
        """
        if self._peers is None:
            return False
        await self._peers.turn(turn)
        return True

    def end_turn(self, turn: bytes, key: bytes) -> None:
        """End a turn, as soon as the others find what it has brought under `key`."""
        if key in self._creating:
            self._creating[key].append(turn)
        else:
            self._end_turn(turn)

    def _end_turn(self, turn: bytes) -> None:
        if self._peers is not None:
            self._peers.end_turn(turn)

    def _lend(self, number: int, wanted: Range, sink: Any) -> Deferred[None] | None:
        """Lend bytes of a stored file to another process."""
        file = self._numbers.get(number)
        return None if file is None else lend(file, wanted, sink)

    def close(self) -> Deferred[None]:
        """End all fetches, and close the store."""
        self._closing = True
        for file in tuple(self._used):
            file.stop()
        for file in tuple(self._idle):
            self._close(file)
        return self.store.close()

    async def _load(self, key: bytes) -> None:
        """Open what the store has under a key."""
        try:
            found = await self.store.find(key)
        except CacheTrouble:
            found = ()
        if key in self._known:  # a file was created meanwhile
            for stored in found:
                stored.close()
            return
        files = []
        for stored in found:
            if stored.meta.complete is None:
                stored.close()
                continue
            file = self._new(stored.meta)
            self._number(file, stored.id)
            file.open(stored)
            self._keys[file] = key
            self._idle[file] = None
            files.append(file)
        if files:
            self._known[key] = _Known(files)
        self._trim()

    def _new(self, meta: Meta) -> CachedFile:
        return CachedFile(meta, self._shared, self._changed)

    def _number(self, file: CachedFile, number: int) -> None:
        """Take note of a file's number before another process can ask for it."""
        self._numbers[number] = file
        file.announce(number)

    def _created(self, key: bytes, turns: list[bytes]) -> None:
        """End the turns that have waited for it: the other processes find the file now."""
        if self._creating.get(key) is turns:
            del self._creating[key]
        for turn in turns:
            self._end_turn(turn)

    def _drop(self, file: CachedFile) -> None:
        """Find the file no more; its users may finish it."""
        key = self._keys.pop(file)
        known = self._known[key]
        known.files.remove(file)
        if not known.files:
            del self._known[key]
        if not file.in_use:
            self._close(file)

    def _changed(self, file: CachedFile) -> None:
        """Take note that a file is used, or isn't used any more."""
        if file.in_use:
            self._idle.pop(file, None)
            self._used.add(file)
            return
        self._used.discard(file)
        if file in self._keys and not self._closing:
            self._idle[file] = None
            self._trim()
        else:
            self._close(file)

    def _trim(self) -> None:
        while len(self._idle) > OPEN:
            file = next(iter(self._idle))
            self._drop(file)

    def _close(self, file: CachedFile) -> None:
        self._idle.pop(file, None)
        stored, file.stored = file.stored, None
        file.close()
        if file.number is not None and self._numbers.get(file.number) is file:
            del self._numbers[file.number]
        if stored is not None:
            stored.close()
