"""What workers count together: the board, the slots at a host, the limits of clients."""

from __future__ import annotations

import os
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.limits import ClientCounts, ClientLimits, Over
from aprp.core.scheduling.arbiter import Arbiter, Grant
from aprp.core.scheduling.messages import Source, Urgency
from aprp.core.sharing import board
from aprp.core.sharing.board import NONE, ROW_BYTES, Board, key_of
from aprp.core.sharing.slots import (
    PATIENCE,
    TENURE,
    Stake,
    Verdict,
    decide,
    has_room,
    order_of,
    since_of,
)
from aprp.daemon.workers.common import Common
from aprp.daemon.workers.slots import SharedSlots

HEAD, AHEAD = Urgency.HEAD, Urgency.AHEAD
HOST = "a.example"


class BoardTests(SynchronousTestCase):
    def test_rows(self) -> None:
        memory = memoryview(bytearray(2 * ROW_BYTES))
        one, two, parent = (Board(memory, own) for own in (0, 1, -1))
        key = key_of("requests", "192.0.2.1")
        one.note(key, 3)
        two.note(key, 4, 5)
        self.assertEqual(list(one.elsewhere(key)), [(1, (4, 5, 0, 0))])
        self.assertEqual(list(two.elsewhere(key)), [(0, (3, 0, 0, 0))])
        self.assertEqual(list(two.elsewhere(key_of("slots", "192.0.2.1"))), [])
        parent.clear(1)
        self.assertEqual(list(one.elsewhere(key)), [])
        one.note(key, 0)
        self.assertFalse(any(memory))

    @given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), max_size=200))
    def test_against_a_dictionary(self, changes: list[tuple[int, int]]) -> None:
        """With few cells, keys run into each other."""
        self.patch(board, "CELLS", 16)
        self.patch(board, "_FULL", 12)
        words = memoryview(bytearray(16 * 40)).cast("Q")
        row, naive = board.Row(words), dict[int, int]()
        for key, value in changes:
            if value or key in naive:
                if key in naive or len(naive) < 12:
                    naive[key] = value
                row.put(key, (value, 0, 0, 0))
            naive = {each: count for each, count in naive.items() if count}
            for each in range(1, 41):
                expected = (naive[each], 0, 0, 0) if each in naive else NONE
                self.assertEqual(row.get(each), expected)
        self.assertEqual(sum(1 for at in range(0, 80, 5) if words[at]), len(naive))


class DecideTests(SynchronousTestCase):
    def test_order(self) -> None:
        orders = [
            order_of(HEAD, 0, 2e9),
            order_of(HEAD, 1, 1e9),
            order_of(HEAD, 5000, 1e9),
            order_of(AHEAD, 0, 1e9),
            order_of(AHEAD, 0, 1e9 + 1),
        ]
        self.assertEqual(orders, sorted(orders))
        self.assertTrue(orders[0] > 0 and orders[-1] < 2**64)
        self.assertAlmostEqual(since_of(orders[-1]), 1e9 + 1, 2)

    def test_verdicts(self) -> None:
        mine, sooner, later = (order_of(AHEAD, 0, at) for at in (20, 10, 30))
        urgent = order_of(HEAD, 9, 40)
        for own, others, verdict in (
            (Stake(), [], Verdict.TAKE),
            (Stake(1), [Stake(1)], Verdict.FULL),
            (Stake(1), [Stake(0, 1)], Verdict.SPARED),
            (Stake(0, 1), [Stake(1)], Verdict.TAKE),
            (Stake(), [Stake(1, 0, sooner, 2)], Verdict.YIELD),
            (Stake(), [Stake(1, 0, urgent, 2)], Verdict.YIELD),
            (Stake(), [Stake(1, 0, later, 2)], Verdict.TAKE),
            (Stake(), [Stake(1, 0, sooner, 1)], Verdict.TAKE),  # it can't use it
        ):
            self.assertIs(decide(own, others, 2, mine), verdict, (own, others))

    def test_a_worker_keeps_what_it_has_for_a_while(self) -> None:
        mine, sooner = (order_of(AHEAD, 0, at) for at in (20, 10))
        urgent = order_of(HEAD, 0, 40)
        own, equal = Stake(1, 1), Stake(1, 0, sooner, 3)
        self.assertIs(decide(own, [equal], 3, mine, keeps=True), Verdict.TAKE)
        for other in (Stake(0, 0, sooner, 3), Stake(1, 0, urgent, 3)):
            self.assertIs(decide(own, [other], 3, mine, keeps=True), Verdict.YIELD)

    def test_impatience(self) -> None:
        order = order_of(AHEAD, 0, 20)
        for other in (Stake(1, 1), Stake(1, 0, order - 1, 2)):
            self.assertIs(decide(Stake(), [other], 2, order, impatient=True), Verdict.TAKE)
        self.assertIs(decide(Stake(), [Stake(2)], 2, order, impatient=True), Verdict.FULL)

    @given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 20))
    def test_room_over_all_hosts(self, takers: list[int], most: int) -> None:
        """Whoever comes, the most are never exceeded, and each worker gets its part of half."""
        used = [0] * 4
        for taker in takers:
            others = [each for number, each in enumerate(used) if number != taker]
            used[taker] += has_room(used[taker], others, most)
        self.assertLessEqual(sum(used), most)
        for each in range(4):
            wanted = min(takers.count(each), most // 8)
            self.assertGreaterEqual(used[each], wanted)


class FakeWorker:
    """A worker's arbiter; `heard` has what it was granted, `closed` what it closed."""

    def __init__(self, common: Common, clock: Clock) -> None:
        self.heard: list[Any] = []
        self.closed: list[str] = []
        self.common = common
        self.slots = SharedSlots(common, clock, self.closed.append, self._review, most=8)
        self.arbiter = Arbiter(ledger=self.slots)

    def _review(self) -> None:
        self.hear(self.arbiter.review())

    def hear(self, grants: list[Grant]) -> None:
        self.heard += [grant.transfer for grant in grants]

    def want(
        self, transfer: int, urgency: Urgency = AHEAD, most: int = 2, host: str = HOST
    ) -> None:
        self.hear(self.arbiter.want(transfer, Source("s", host, most), urgency))

    def release(self, transfer: int) -> None:
        self.hear(self.arbiter.release(transfer, "s"))


class SlotsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        parent = Common.create(2)
        descriptors = list(parent.descriptors.values())
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        self.parent, self.bells = parent, descriptors[1:3]
        commons = [Common(descriptors[0], self.bells, own) for own in (0, 1)]
        self.one, self.two = (FakeWorker(common, self.clock) for common in commons)

    def run_bells(self, *workers: FakeWorker) -> None:
        """Let time pass in the turns of a reactor, until no bell rings in these workers."""
        for _ in range(9):
            self.clock.advance(0)
            for worker in workers or (self.one, self.two):
                bell = self.bells[(self.one, self.two).index(worker)]
                try:
                    os.eventfd_read(bell)
                except BlockingIOError:
                    continue
                worker.slots.rung()

    def test_both_together_have_as_many_as_allowed(self) -> None:
        for transfer in (1, 2):
            self.one.want(transfer)
        self.two.want(3)
        self.run_bells()
        self.assertEqual((self.one.heard, self.two.heard), ([1, 2], []))
        self.one.release(2)
        self.run_bells()
        self.assertEqual(self.two.heard, [3])
        self.assertEqual(self.one.closed, [HOST])  # the connection that it no longer has a slot for

    def test_a_spare_slot_is_given_with_its_connection(self) -> None:
        for transfer in (1, 2):
            self.one.want(transfer)
        for transfer in (1, 2):
            self.one.release(transfer)
        self.run_bells()
        self.assertEqual(self.one.closed, [])
        self.two.want(3)
        self.assertEqual(self.two.heard, [])
        self.run_bells()
        self.assertEqual((self.two.heard, self.one.closed), ([3], [HOST]))

    def test_heads_come_first_over_all_workers(self) -> None:
        self.one.want(1, most=1)
        self.one.want(2, most=1)
        self.clock.advance(1)
        self.two.want(3, HEAD, most=1)
        self.one.release(1)
        self.run_bells()
        self.assertEqual((self.one.heard, self.two.heard), ([1], [3]))
        self.two.release(3)
        self.run_bells()
        self.assertEqual(self.one.heard, [1, 2])

    def test_a_worker_keeps_its_connection_for_a_while(self) -> None:
        self.one.want(1, most=1)
        self.two.want(2, most=1)
        self.clock.advance(TENURE / 2)
        self.one.want(3, most=1)
        self.one.release(1)
        self.run_bells()
        self.assertEqual(self.one.heard, [1, 3])
        self.clock.advance(TENURE)
        self.one.want(4, most=1)
        self.one.release(3)
        self.run_bells()
        self.assertEqual((self.one.heard, self.two.heard), ([1, 3], [2]))

    def test_what_is_withdrawn_holds_nobody_up(self) -> None:
        self.one.want(1, most=1)
        self.two.want(2, HEAD, most=1)
        self.one.want(3, most=1)
        self.two.arbiter.withdraw(2, "s")
        self.one.release(1)
        self.run_bells()
        self.assertEqual(self.one.heard, [1, 3])

    def test_a_worker_that_died_has_nothing(self) -> None:
        for transfer in (1, 2):
            self.one.want(transfer)
        self.two.want(3)
        self.parent.forget(0)
        self.run_bells(self.two)
        self.assertEqual(self.two.heard, [3])

    def test_a_worker_that_does_not_react_is_passed_over(self) -> None:
        self.one.want(1, most=1)
        self.two.want(2, HEAD, most=1)
        self.one.want(3, most=1)
        self.one.release(1)
        self.run_bells(self.one)
        self.assertEqual(self.one.heard, [1])
        self.clock.advance(PATIENCE)
        self.assertEqual(self.one.heard, [1, 3])
        self.one.want(4, most=1)
        self.one.release(3)  # without waiting again
        self.assertEqual(self.one.heard, [1, 3, 4])

    def test_a_worker_that_reacts_late_gets_what_is_free_next(self) -> None:
        self.one.want(1, most=1)
        self.two.want(2, HEAD, most=1)
        self.one.want(3, most=1)
        self.one.release(1)
        self.run_bells(self.one)
        self.clock.advance(PATIENCE)
        self.assertEqual((self.one.heard, self.two.heard), ([1, 3], []))
        self.run_bells()  # too late: its slot is in use
        self.one.release(3)
        self.run_bells()
        self.assertEqual(self.two.heard, [2])

    def test_a_worker_that_was_passed_over_is_rung_when_a_slot_is_free(self) -> None:
        self.one.want(1, most=1)
        self.two.want(2, HEAD, most=1)
        self.one.want(3, most=1)
        self.one.release(1)
        self.clock.advance(PATIENCE)
        self.assertEqual(self.one.heard, [1, 3])
        os.eventfd_read(self.bells[1])
        self.one.release(3)
        self.assertEqual(os.eventfd_read(self.bells[1]), 1)

    def test_a_worker_that_took_its_slot_in_time_is_not_passed_over(self) -> None:
        for transfer in (1, 2, 5):
            self.one.want(transfer)
        for transfer in (3, 4):
            self.two.want(transfer, HEAD)
        self.one.release(1)
        self.run_bells()
        self.clock.advance(PATIENCE)
        self.assertEqual((self.one.heard, self.two.heard), ([1, 2], [3]))
        self.one.release(2)
        self.run_bells()
        self.assertEqual((self.one.heard, self.two.heard), ([1, 2], [3, 4]))

    def test_different_limits_at_one_host(self) -> None:
        self.one.want(1)
        self.one.want(2)
        self.two.want(3, most=2)
        self.two.want(4, most=4)
        self.assertEqual(self.two.heard, [4])
        self.one.release(1)
        self.one.release(2)
        self.run_bells()
        self.assertEqual(self.two.heard, [4, 3])

    def test_as_many_at_all_hosts_as_allowed(self) -> None:
        for transfer in range(8):
            self.one.want(transfer, host=f"{transfer}.example")
        self.assertEqual(self.one.heard, list(range(6)))  # 2 of 8 are sure for the other
        for transfer in range(10, 13):
            self.two.want(transfer, host=f"{transfer}.example")
        self.assertEqual(self.two.heard, [10, 11])
        self.one.release(0)
        self.assertEqual(self.one.heard[6:], [6])
        self.parent.forget(0)
        self.run_bells(self.two)
        self.clock.advance(PATIENCE)
        self.assertEqual(self.two.heard, [10, 11, 12])

    def test_the_lock_of_a_process_that_stopped_is_passed_over(self) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            with Common(self.parent.descriptors[4], (), 0):
                os.write(writer, b"x")
                time.sleep(60)
            os._exit(0)
        try:
            os.read(reader, 1)
            began = time.monotonic()
            for transfer in (1, 2):
                self.two.want(transfer)
            self.assertEqual(self.two.heard, [1, 2])
            self.assertLess(time.monotonic() - began, 10)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
        with self.one.common:
            self.assertFalse(self.one.common._stuck)

    def test_limits_of_clients(self) -> None:
        limits = ClientLimits(3, 2, 1)
        one, two = (ClientCounts(worker.common) for worker in (self.one, self.two))
        self.assertIsNone(one.opened("a", limits))
        self.assertIsNone(two.opened("a", limits))
        self.assertIs(one.opened("a", limits), Over.CONNECTIONS_PER_ADDRESS)
        self.assertIsNone(one.opened(None, limits))
        self.assertIs(two.opened("b", limits), Over.CONNECTIONS)
        self.assertIsNone(one.began("a", limits))
        self.assertIs(two.began("a", limits), Over.REQUESTS_PER_ADDRESS)
        one.ended("a")
        self.assertIsNone(two.began("a", limits))
        one.closed("a")
        self.assertIsNone(two.opened("a", limits))
        self.assertIs(two.opened("b", ClientLimits(9, 9, 9), most=2), Over.CONNECTIONS)
        self.parent.forget(1)
        self.assertIsNone(one.opened("a", limits))
        self.assertIsNone(one.began("a", limits))
