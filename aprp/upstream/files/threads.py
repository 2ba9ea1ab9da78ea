"""Threads that wait for a disk, so that the reactor never does.

A read of a file can't be interrupted: if a file server hangs, so does the thread that reads. So
each directory has a few threads of its own, outside the reactor's pool. The result of a job can be
abandoned at any time, and a hanging thread holds up only its own directory. The threads don't keep
the process from exiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

THREADS = 8
"""The maximum for one directory."""

Job = Callable[[], Any]


class DiskThreads:
    """The threads of one directory. They are started when they are first needed."""

    def __init__(self, reactor: Any, most: int = THREADS) -> None:
        self._reactor = reactor
        self._most = most
        self._threads = 0
        self._running = 0
        self._waiting: deque[_Waiting] = deque()
        self._handed: SimpleQueue[_Waiting | None] = SimpleQueue()

    def run(self, job: Job, unwanted: Callable[[Any], object] | None = None) -> Deferred[Any]:
        """Run a job in a thread; fires with what it returns, or fails with what it raises.

        It can be cancelled at any time: a job that hasn't begun isn't run, and the result of one
        that has is passed to `unwanted`, also in a thread.
        """
        waiting = _Waiting(job, unwanted, self._leave)
        self._waiting.append(waiting)
        self._begin()
        return waiting.done

    def close(self) -> None:
        """End the threads when they have nothing left to do. `run` starts new ones."""
        for _ in range(self._threads):
            self._handed.put(None)
        self._threads = 0

    def _leave(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _begin(self) -> None:
        while self._waiting and self._running < self._most:
            if self._running >= self._threads and not self._start():
                return
            self._running += 1
            self._handed.put(self._waiting.popleft())

    def _start(self) -> bool:
        """Start one more thread, if the system has one; if not, and none runs, fail the job."""
        thread = Thread(target=self._work, args=(self._handed,), name="disk", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._running:
                self._reactor.callLater(0, self._waiting.popleft().ended, OSError(str(error)))
            return False
        self._threads += 1
        return True

    def _work(self, handed: SimpleQueue[_Waiting | None]) -> None:
        """Run jobs; this is the body of each thread."""
        while (waiting := handed.get()) is not None:
            result: Any
            try:
                result = waiting.job()
            except BaseException:
                result = Failure()
            with suppress(RuntimeError):  # the reactor may be gone by now
                self._reactor.callFromThread(self._ended, waiting, result)

    def _ended(self, waiting: _Waiting, result: Any) -> None:
        self._running -= 1
        unwanted = waiting.unwanted
        if not waiting.done.called:
            waiting.done.callback(result)
        elif unwanted is not None and not isinstance(result, Failure):
            self.run(lambda: unwanted(result)).addErrback(lambda _: None)
        self._begin()


class _Waiting:
    """A job, and the Deferred of its result."""

    def __init__(
        self,
        job: Job,
        unwanted: Callable[[Any], object] | None,
        leave: Callable[[_Waiting], None],
    ) -> None:
        self.job = job
        self.unwanted = unwanted
        self.done: Deferred[Any] = Deferred(lambda _: leave(self))

    def ended(self, result: Any) -> None:
        if not self.done.called:
            self.done.callback(Failure(result))
