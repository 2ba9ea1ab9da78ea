"""The cache of one process: the files that its requests share, over the store of the machine.

A file stays open for a while after its last use, so that the next request for it needs neither the
index nor a thread. When the store fails, requests still share what they fetch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aprp.cache.cached_file import CachedFile, Shared
from aprp.cache.changes import Changes
from aprp.cache.lending import lend
from aprp.cache.peers import Peers
from aprp.cache.removals import Removals
from aprp.cache.store.store import CacheTrouble, Store, StoredFile
from aprp.cache.turns import Turns
from aprp.core.cache.meta import Meta
from aprp.core.http.ranges import Range
from aprp.upstream.transfer.memory import MemoryBudget

OPEN = 512
"""Files that stay open though nobody uses them."""


@dataclass(slots=True)
class _Known:
    """The variants under one key, newest first, as they were in an epoch."""

    epoch: int
    files: list[CachedFile] = field(default_factory=list)


class Cache:
    """The files of one `store`; `clock` is the reactor's. `peers` are the others that share it, and
    `budget` has the memory for what is fetched.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        clock: Any,
        peers: Peers | None = None,
        budget: MemoryBudget | None = None,
    ) -> None:
        self.turns = Turns()
        """Requests to origins that several requests of clients wait for."""
        self.store = store
        self._shared = Shared(clock, peers, budget)
        self._peers = peers
        if peers is not None:
            peers.lend_by(self._lend)
        self._removals = Removals(store, peers)
        self._known: dict[bytes, _Known] = {}
        self._keys: dict[CachedFile, bytes] = {}
        self._idle: OrderedDict[CachedFile, None] = OrderedDict()
        self._used: set[CachedFile] = set()
        self._numbers: dict[int, CachedFile] = {}
        self._changes = Changes(self._end_turn)
        self._closing = False

    async def find(self, key: bytes) -> list[CachedFile]:
        """Return the variants under a key, newest first. Whoever uses one says so by `use`."""
        await self._look_again(key)
        if key not in self._known:
            await self.turns.take((self, key), lambda: self._load(key))
            await self._look_again(key)
        for file in self._files(key):
            if file.troubled or (file.stored is not None and file.stored.doomed):
                self._drop(file)
        return list(self._files(key))

    def at_hand(self, key: bytes) -> list[CachedFile] | None:
        """Return what `find` would if that is known without waiting, else None."""
        known = self._known.get(key)
        if known is None or not known.files or self._removals.ended_elsewhere(key, known.epoch):
            return None
        for file in known.files:
            if file.troubled or (file.stored is not None and file.stored.doomed):
                return None
        return known.files

    def epoch(self, key: bytes) -> int:
        """Return a number that isn't the same once what is under a key was invalidated."""
        return self._removals.epoch(key)

    def create(self, key: bytes, meta: Meta, pinned: bool = False) -> CachedFile:
        """Begin a new version, which takes the place of the variant with the same `vary`.

        It can be used at once, and is stored as soon as the store has created it, unless the
        epoch of the key ends before that.
        """
        for file in self._files(key):
            if file.meta.vary == meta.vary:
                self._drop(file)
        file, epoch = self._new(meta), self.epoch(key)
        self._known.setdefault(key, _Known(epoch)).files.insert(0, file)
        self._keys[file] = key
        file.use()
        self._changes.begin(key)
        numbered = partial(self._number, file)
        creating = self.store.create(key, meta, pinned, numbered)
        creating.addCallbacks(file.open, file.trouble)
        creating.addErrback(lambda failure: self._log.failure("the cache has a fault", failure))
        creating.addBoth(lambda _: self._changes.done(key))
        creating.addBoth(lambda _: file.leave())
        creating.addBoth(lambda _: None if self.epoch(key) == epoch else self.remove(key))
        creating.addErrback(lambda failure: failure.trap(CacheTrouble) and None)
        return file

    def refresh(self, file: CachedFile, meta: Meta) -> None:
        """Replace what is known of a file beside its bytes, since it was found unchanged."""
        file.meta = meta
        key = self._keys.get(file)
        if file.stored is not None and not file.troubled and key is not None:
            self._changes.begin(key)
            updating = file.stored.update(meta).addErrback(file.trouble)
            updating.addBoth(lambda _: self._changes.done(key))

    def forget(self, file: CachedFile) -> None:
        """Find a file no more, and have it deleted; its users may finish it."""
        if file in self._keys:
            if file.stored is not None:
                file.stored.doom()
            self._drop(file)

    def remove(self, key: bytes) -> Deferred[int]:
        """Forget everything under a key, in all processes; fires with the number of files.

        What is received now for the key isn't kept, and by the time this fires no process uses
        what was there.
        """
        for file in self._files(key):
            self._drop(file)
        self._known.pop(key, None)
        return self._removals.remove(key)

    async def begin_turn(self, turn: bytes, key: bytes) -> bool:
        """Begin a turn to ask the sources; wait before for another process that has it.

        Return whether to look again: what others have brought under `key` can be found now. Whoever
        begins a turn ends it.
        """
        if self._peers is None:
            return False
        await self._peers.turn(turn)
        if key in self._known:
            await self._learn(key)
        return True

    def end_turn(self, turn: bytes, key: bytes) -> None:
        """End a turn, as soon as the others find what it has brought under `key`."""
        self._changes.end_turn(turn, key)

    def _end_turn(self, turn: bytes) -> None:
        if self._peers is not None:
            self._peers.end_turn(turn)

    def _lend(self, number: int, wanted: Range, sink: Any, first: bool) -> Deferred[None] | None:
        """Lend bytes of a stored file to another process."""
        file = self._numbers.get(number)
        return None if file is None else lend(file, wanted, sink, first)

    def close(self) -> Deferred[None]:
        """End all fetches, and close the store."""
        self._closing = True
        for file in tuple(self._used):
            file.stop()
        for file in tuple(self._idle):
            self._close(file)
        return self.store.close()

    def _files(self, key: bytes) -> tuple[CachedFile, ...]:
        known = self._known.get(key)
        return () if known is None else tuple(known.files)

    async def _look_again(self, key: bytes) -> None:
        """Drop the files that another process has removed from the store, if it may have."""
        known = self._known.get(key)
        if known is None or not self._removals.ended_elsewhere(key, known.epoch):
            return
        epoch, files = self.epoch(key), tuple(known.files)
        found = await self._stored(key)
        numbers = {stored.id for stored in found}
        for file in files:
            if file in self._keys and (file.stored is None or file.stored.id not in numbers):
                self._drop(file)
        for stored in found:
            stored.close()
        known.epoch = epoch

    async def _stored(self, key: bytes) -> Sequence[StoredFile]:
        try:
            if self._removals.pending(key):
                await self.remove(key)
            return await self.store.find(key)
        except CacheTrouble:
            return ()

    async def _load(self, key: bytes) -> None:
        """Open what the store has under a key."""
        epoch = self.epoch(key)
        found = await self._stored(key)
        if key in self._known:  # a file was created meanwhile
            for stored in found:
                stored.close()
            return
        self._open(key, found, epoch)

    async def _learn(self, key: bytes) -> None:
        """Learn what others have stored or revalidated under a key whose files are known."""
        unknown, epoch = [], self.epoch(key)
        for stored in await self._stored(key):
            file = self._numbers.get(stored.id)
            if file is None:
                unknown.append(stored)
                continue
            if stored.meta.received_at > file.meta.received_at:
                file.meta = stored.meta
            stored.close()
        self._open(key, unknown, epoch)

    def _open(self, key: bytes, found: Sequence[StoredFile], epoch: int) -> None:
        """Take in files that the store had in an epoch."""
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
            known = self._known.setdefault(key, _Known(epoch)).files
            known += files
            known.sort(key=lambda file: file.meta.received_at, reverse=True)
        self._trim()

    def _new(self, meta: Meta) -> CachedFile:
        return CachedFile(meta, self._shared, self._changed)

    def _number(self, file: CachedFile, number: int) -> None:
        """Take note of a file's number before another process can ask for it."""
        self._numbers[number] = file
        file.announce(number)

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
