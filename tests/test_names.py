"""Lookups by the system's resolver, held up by the test: bounds, deadlines, no shared fate."""

from __future__ import annotations

import socket
from threading import Condition
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from aprp.upstream.errors import ConnectFailed
from aprp.upstream.http.names import (
    FAILED_FOR,
    KNOWN_FOR,
    PER_STRANGER,
    STRANGERS,
    Addresses,
    SystemNames,
)
from tests.support.names import HeldUp

reactor: Any = _reactor


class Inline(Clock):
    """A reactor for whose threads a test waits: what they tell comes with the next `settle`."""

    def __init__(self) -> None:
        super().__init__()
        self._told: list[Any] = []
        self._changed = Condition()

    def callFromThread(self, told: Any, *arguments: Any) -> None:
        with self._changed:
            self._told.append((told, arguments))
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait for what one thread tells."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._told, 10)
            told, arguments = self._told.pop(0)
        told(*arguments)


class SystemNamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Inline()
        self.held = HeldUp()
        self.names = SystemNames(self.clock, self.held)
        self.addCleanup(self.held.let_go)

    def test_a_name_is_known_for_a_moment(self) -> None:
        first = self.names.lookup("a", 1)
        self.clock.settle()
        self.assertEqual(self.successResultOf(first), ("127.0.0.1",))
        self.assertEqual(self.successResultOf(self.names.lookup("a", 1, "x")), ("127.0.0.1",))
        self.clock.advance(KNOWN_FOR)
        again = self.names.lookup("a", 1)
        self.clock.settle()
        self.successResultOf(again)
        self.assertEqual(self.held.asked, ["a", "a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_who_wait_for_one_name_share_its_lookup(self) -> None:
        self.held.slow.add("a")
        waiting = [self.names.lookup("a", 1) for _ in range(3)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.held.let_go()
        self.clock.settle()
        self.assertEqual(self.successResultOf(waiting[1]), self.successResultOf(waiting[2]))
        self.assertEqual(self.held.asked, ["a"])

    def test_it_fails_at_its_deadline_and_what_comes_later_is_kept(self) -> None:
        self.held.slow.add("a")
        late = self.names.lookup("a", 1)
        self.clock.advance(1)
        failed = self.failureResultOf(late, ConnectFailed).value
        self.assertEqual((failed.kind, failed.timed_out), ("dns_timeout", True))
        self.assertEqual(str(failed), "a: the name was not looked up in time")
        self.held.let_go()
        self.clock.settle()
        self.assertEqual(self.successResultOf(self.names.lookup("a", 1)), ("127.0.0.1",))

    def test_strangers_are_bounded_one_by_one_and_together(self) -> None:
        slow = [f"slow{number}" for number in range(40)]
        self.held.slow.update(slow)
        for name in slow[:16]:
            self.names.lookup(name, 5, "x").addErrback(lambda _: None)
        other = self.names.lookup("quick", 5, "y")
        self.clock.settle()
        self.successResultOf(other)
        self.assertEqual(self.held.begun(PER_STRANGER + 1), PER_STRANGER + 1)
        for number, name in enumerate(slow):
            self.names.lookup(name, 5, f"z{number}").addErrback(lambda _: None)
        own = self.names.lookup("own", 5)
        self.clock.settle()
        self.successResultOf(own)
        self.assertEqual(self.held.begun(STRANGERS + 2), STRANGERS + 2)
        self.clock.advance(5)

    def test_those_who_left_give_no_slot_back(self) -> None:
        """A thread that hangs isn't replaced by another, however often a client comes again."""
        self.held.slow.update(f"slow{number}" for number in range(40))
        for number in range(40):
            left = self.names.lookup(f"slow{number}", 5, "x")
            left.cancel()
            self.failureResultOf(left, CancelledError)
        own = self.names.lookup("own", 5)
        self.clock.settle()
        self.successResultOf(own)
        self.assertEqual(self.held.begun(PER_STRANGER + 1), PER_STRANGER + 1)

    def test_why_there_is_no_address(self) -> None:
        for error, text in (
            (socket.gaierror(socket.EAI_NONAME, "x"), "a: the name has no address"),
            (socket.gaierror(socket.EAI_AGAIN, "try"), "a: the name can't be looked up: try"),
            (UnicodeError("bad"), "a: the name can't be looked up: bad"),
        ):

            def resolve(host: str, error: Exception = error) -> Addresses:
                raise error

            names = SystemNames(self.clock, resolve)
            for _ in range(2):  # the second is told what is known
                asked = names.lookup("a", 1)
                if not asked.called:
                    self.clock.settle()
                failed = self.failureResultOf(asked, ConnectFailed).value
                self.assertEqual((failed.kind, str(failed)), ("dns_error", text))
            self.clock.advance(FAILED_FOR)
            self.assertFalse(names.lookup("a", 1).addErrback(lambda _: None).called)
            self.clock.settle()


class RealNamesTests(TestCase):
    async def test_the_machines_own_names(self) -> None:
        """/etc/hosts is one of the places where the system looks."""
        self.assertIn("127.0.0.1", await SystemNames(reactor).lookup("localhost", 5))

    async def test_a_name_that_only_some_rules_allow(self) -> None:
        with self.assertRaises(ConnectFailed) as caught:
            await SystemNames(reactor).lookup("no_such_host.invalid", 5)
        self.assertIn(caught.exception.kind, ("dns_error", "dns_timeout"))

    async def test_the_reactors_own_threads_stay_free(self) -> None:
        held = HeldUp("slow")
        self.addCleanup(held.let_go)
        names = SystemNames(reactor, held)
        waiting: Deferred[Addresses] = names.lookup("slow", 30)
        waiting.addErrback(lambda _: None)
        await deferLater(reactor, 0)
        self.assertEqual(len(reactor.getThreadPool().working), 0)
        waiting.cancel()
