"""How workers agree on who asks the sources, and lend to each other, over real sockets."""

from __future__ import annotations

import os
from errno import EMFILE
from typing import Any
from unittest import mock

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from aprp.core.http.ranges import Range
from aprp.daemon.workers import fetches
from aprp.daemon.workers.common import Common
from aprp.daemon.workers.fetches import SharedFetches

reactor: Any = installed


class Borrower(Protocol):
    transport: Any

    def __init__(self) -> None:
        self.got = b""
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.done.callback(self.got)


class SharedFetchesTests(TestCase):
    def setUp(self) -> None:
        self.parent = Common.create(2)
        descriptors = list(self.parent.descriptors.values())
        boxes = list(zip(descriptors[3::2], descriptors[4::2], strict=True))
        for each in descriptors:
            self.addCleanup(os.close, each)
        self.common, other = (
            Common(descriptors[0], descriptors[1:3], own, boxes) for own in (0, 1)
        )
        self.one, self.two = (SharedFetches(each, reactor) for each in (self.common, other))
        self.addCleanup(reactor.removeAll)

    def turn(self, worker: SharedFetches, key: bytes = b"key") -> Deferred[None]:
        return Deferred.fromCoroutine(worker.turn(key))

    def test_what_one_invalidates_is_so_for_all(self) -> None:
        self.assertEqual(self.one.epoch(b"a"), self.two.epoch(b"a"))
        for each in (self.one, self.two):
            before, other = each.epoch(b"a"), each.epoch(b"b")
            each.end_epoch(b"a")
            self.assertEqual(self.one.epoch(b"a"), self.two.epoch(b"a"))
            self.assertNotEqual(each.epoch(b"a"), before)
            self.assertEqual(each.epoch(b"b"), other)

    async def test_one_asks_and_the_other_waits(self) -> None:
        self.assertTrue(self.turn(self.one).called)
        self.assertTrue(self.turn(self.two, b"another").called)
        waiting = [self.turn(self.two), self.turn(self.two)]
        self.assertFalse(waiting[0].called)
        self.one.end_turn(b"key")
        for each in waiting:
            await each
        self.assertTrue(self.turn(self.two).called)

    async def test_one_that_dies_or_is_slow_is_waited_for_no_longer(self) -> None:
        self.assertTrue(self.turn(self.one).called)
        waiting = self.turn(self.two)
        self.assertFalse(waiting.called)
        self.parent.forget(0)
        await waiting
        self.assertTrue(self.turn(self.one).called)
        with mock.patch.object(fetches, "PATIENCE", 0.01):
            waiting = self.turn(self.two)
            self.assertFalse(waiting.called)
            await waiting

    async def test_one_that_leaves_waits_no_longer(self) -> None:
        self.assertTrue(self.turn(self.one).called)
        waiting = self.turn(self.two)
        waiting.addErrback(lambda failure: failure.trap(Exception))
        waiting.cancel()
        self.assertTrue(waiting.called)

    async def test_what_is_claimed_is_the_others_to_lend(self) -> None:
        self.assertEqual(self.one.claim(7, 0, Range(0, 100)), [])
        self.assertEqual(self.two.claim(7, 99, Range(99, 200)), [0])
        self.assertEqual(self.two.claim(7, 100, Range(100, 200)), [])
        self.assertEqual((self.one.may_have(7, 150), self.two.may_have(7, 50)), ([1], [0]))
        self.one.note(7, None)
        self.assertEqual(self.two.may_have(7, 50), [])

    async def test_what_is_lent_arrives(self) -> None:
        asked = []

        def lend(number: int, wanted: Range, transport: Any, first: bool) -> Deferred[None] | None:
            asked.append((number, wanted, first))
            if number == 8:
                return None
            transport.write(b"y" + bytes(wanted.length))
            return Deferred(lambda _: None) if wanted.start else self.lent()

        self.two.lend_by(lend)
        for number, received in ((7, b"y" + bytes(300000)), (8, b"")):
            borrower = Borrower()
            self.assertTrue(self.one.borrow(1, number, Range(0, 300000), borrower))
            self.assertEqual(await borrower.done, received)
        self.assertEqual(asked, [(7, Range(0, 300000), False), (8, Range(0, 300000), False)])
        self.one.lend_by(lend)
        self.assertTrue(self.two.borrow(0, 8, Range(0, 1), borrower := Borrower()))
        self.assertEqual(await borrower.done, b"")
        self.assertEqual(asked[-1], (8, Range(0, 1), True))
        self.assertGreater(self.one.pulse(1), 1)
        await self.quiet()

    def lent(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        reactor.callLater(0, done.callback, None)
        return done

    async def quiet(self) -> None:
        """Wait until nothing is lent any more, and the pulse rests."""
        done: Deferred[None] = Deferred()
        reactor.callLater(2 * fetches.BEAT, done.callback, None)
        await done

    async def test_a_box_that_is_full_is_passed_over(self) -> None:
        reactor.removeAll()  # nobody reads
        with open(os.devnull) as nothing:
            while self.common.post(1, b"", nothing.fileno()):
                pass
        self.assertFalse(self.one.borrow(1, 7, Range(0, 1), Borrower()))

    async def test_where_no_descriptor_is_free_nothing_is_borrowed(self) -> None:
        for missing in ("socket.socketpair", "os.dup", "socket.fromfd"):
            with mock.patch(missing, side_effect=OSError(EMFILE, "Too many open files")):
                self.assertFalse(self.one.borrow(1, 7, Range(0, 1), Borrower()), missing)
        await self.quiet()
