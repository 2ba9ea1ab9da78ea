"""The store's threads, and what a failure in one of them means.

A disk that doesn't answer in time is left alone for a while, and so is an index that can't be used:
until then everything fails at once, so that nobody waits.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.cache.store.figures import Figures
from aprp.cache.store.store import CacheTrouble
from aprp.upstream.files.threads import DiskThreads

ANSWER = 5.0
"""Seconds that the disk may take for a job before it counts as hanging."""
REST = 10.0
"""Seconds to leave a disk alone that failed or hangs."""
_SAY_AGAIN = 300.0
_READERS = 4


class Threads(Protocol):
    """What `DiskThreads` does."""

    def run(
        self, job: Callable[[], Any], unwanted: Callable[[Any], object] | None = None
    ) -> Deferred[Any]: ...

    def close(self) -> None: ...


MakeThreads = Callable[[Any, int], Threads]


class StoreThreads:
    """One thread for the index, one that writes, and a few that read."""

    _log = Logger()

    def __init__(self, reactor: Any, figures: Figures, make: MakeThreads = DiskThreads) -> None:
        self._reactor = reactor
        self._figures = figures
        self._index = make(reactor, 1)
        self._write = make(reactor, 1)
        self._read = make(reactor, _READERS)
        self._resting_until = 0.0
        self._said: dict[str, float] = {}
        self.trouble = "it isn't open yet"
        """What went wrong last."""
        self.on_broken: Callable[[], object] = lambda: None
        """Called when the index can't be used any more, or the directory has vanished."""

    @property
    def resting(self) -> bool:
        """Whether the disk is left alone for now."""
        return bool(0 < self._resting_until - self._reactor.seconds() <= REST)

    def index(self, job: Callable[[], Any], wait: float | None = ANSWER) -> Deferred[Any]:
        """Run a job in the index's thread; None: however long it takes."""
        return self._run(self._index, job, None, wait)

    def write(self, job: Callable[[], Any]) -> Deferred[Any]:
        """Run a job in the thread that changes data files. It may take as long as it likes."""
        return self._run(self._write, job, None, None)

    def read(self, job: Callable[[], Any], unwanted: Callable[[Any], object]) -> Deferred[Any]:
        """Run a job that reads; a result that comes too late is passed to `unwanted`."""
        return self._run(self._read, job, unwanted, ANSWER)

    def later(self, job: Callable[[], Any]) -> None:
        """Run a job whose result nobody waits for, where reading goes on."""
        self._read.run(job).addErrback(lambda _: None)

    def close(self) -> None:
        for threads in (self._index, self._write, self._read):
            threads.close()

    def rest(self) -> None:
        """Leave the disk alone for a while."""
        self._resting_until = self._reactor.seconds() + REST

    def _run(
        self,
        threads: Threads,
        job: Callable[[], Any],
        unwanted: Callable[[Any], object] | None,
        wait: float | None,
    ) -> Deferred[Any]:
        done = threads.run(job, unwanted)
        if wait is not None:
            done.addTimeout(wait, self._reactor, self._late)
        return done.addErrback(self._failed)

    def _late(self, result: Any, seconds: float) -> Any:
        if isinstance(result, Failure) and result.check(CancelledError):
            self.rest()
            return Failure(TimeoutError(f"the disk did not answer within {seconds:g} s"))
        return result

    def _failed(self, failure: Failure) -> Failure:
        error = failure.value
        if not isinstance(error, sqlite3.Error | OSError):
            return failure
        return Failure(self.failed(error))

    def failed(self, error: sqlite3.Error | OSError) -> CacheTrouble:
        """Log what went wrong, and do what has to be done about it."""
        trouble = CacheTrouble(_said_of(error))
        self.say(str(trouble), _kind_of(error))
        if isinstance(error, OSError):
            broken = error.errno in (errno.ENOENT, errno.ENOTDIR)
        else:
            broken = isinstance(error, sqlite3.DatabaseError) and not _is_full(error)
        if broken:
            self.on_broken()
        return trouble

    def say(self, said: str, kind: str | None = None) -> None:
        """Log a trouble, each kind not more often than every few minutes."""
        self._figures.troubles += 1
        self.trouble = said
        now = self._reactor.seconds()
        if not 0 <= now - self._said.get(kind or said, -_SAY_AGAIN) < _SAY_AGAIN:
            self._said[kind or said] = now
            self._log.error("cache: {said}", said=said)


def _said_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full, so nothing more is kept for now; make room on it, or lower size:"
    if isinstance(error, sqlite3.Error):
        return f"the index can't be used: {error}"
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f" ({error.filename})"
        return f"the disk failed: {error.strerror}{place}; it is used again after a while"
    return str(error)


def _kind_of(error: BaseException) -> str | None:
    """Return what errors have in common that are logged once, whatever file they were met at."""
    number = error.errno if isinstance(error, OSError) else None
    return None if number is None else f"errno {number}"


def _is_full(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
