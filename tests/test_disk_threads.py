"""Threads that wait for a disk: who gets one, and what a hanging disk can hold up."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from aprp.upstream.files.threads import DiskThreads
from tests.support.eventually import eventually
from tests.support.patience import HANG

reactor: Any = _reactor


class ThreadTests(TestCase):
    timeout = HANG

    def setUp(self) -> None:
        self.threads = DiskThreads(reactor, most=2)
        self.addCleanup(self.threads.close)
        self.disk = threading.Event()
        self.addCleanup(self.disk.set)
        self.begun: list[str] = []

    def hang(self, name: str) -> str:
        self.begun.append(name)
        self.disk.wait(30)
        return name

    async def test_results_and_errors(self) -> None:
        self.assertEqual(await self.threads.run(lambda: 7), 7)
        with self.assertRaisesRegex(OSError, "broken"):
            await self.threads.run(lambda: _raise(OSError("broken")))
        name = await self.threads.run(lambda: threading.current_thread().name)
        self.assertEqual(name, "disk")

    async def test_no_more_threads_than_allowed(self) -> None:
        work = [self.threads.run(partial(self.hang, name)) for name in "abc"]
        await eventually(lambda: len(self.begun) == 2)
        self.assertEqual(self.begun, ["a", "b"])
        self.disk.set()
        self.assertEqual([await each for each in work], ["a", "b", "c"])

    async def test_what_waits_may_leave_and_never_begins(self) -> None:
        work = [self.threads.run(partial(self.hang, name)) for name in "abcd"]
        for name in (2, 0):
            work[name].cancel()
            await self.assertFailure(work[name], CancelledError)
        self.disk.set()
        self.assertEqual([await work[1], await work[3]], ["b", "d"])
        self.assertNotIn("c", self.begun)

    async def test_a_result_that_nobody_wants_any_more_is_let_go(self) -> None:
        left: list[str] = []
        work = self.threads.run(lambda: self.hang("a"), left.append)
        await eventually(lambda: self.begun)
        work.cancel()
        await self.assertFailure(work, CancelledError)
        self.disk.set()
        await eventually(lambda: left == ["a"])

    async def test_threads_end_and_begin_again(self) -> None:
        thread = await self.threads.run(threading.current_thread)
        self.threads.close()
        await eventually(lambda: not thread.is_alive())
        self.assertEqual(await self.threads.run(lambda: 1), 1)

    async def test_without_a_thread_the_job_fails(self) -> None:
        self.patch(threading.Thread, "start", lambda _: _raise(RuntimeError("no thread is left")))
        with self.assertRaisesRegex(OSError, "no thread is left"):
            await self.threads.run(lambda: 1)


def _raise(error: Exception) -> Any:
    raise error
