"""Which pieces are right, who lied, and that a scheduler with pieces comes to an end."""

from __future__ import annotations

import random
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Delay, Duplicate
from aprp.core.http.ranges import Range
from aprp.core.metalink import Hash, Pieces
from aprp.core.reasons import reason
from aprp.core.recovery.pieces import (
    MOST_COPIES,
    PieceLedger,
    Proof,
    Ruling,
    Sent,
    Whole,
    blame_for,
    differing,
)
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.planner import Planner
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.piece_world import PieceWorld
from tests.test_scheduler_machine import Machine

TEN = Pieces("sha-256", 10, ("a", "b", "c"))


class LedgerTests(SynchronousTestCase):
    def ledger(self) -> PieceLedger:
        """The ledger of a file of 25 bytes in pieces of 10."""
        return PieceLedger(TEN, 25, 0)

    def test_a_piece_is_whole_when_all_its_bytes_came(self) -> None:
        ledger = self.ledger()
        self.assertEqual(ledger.kept("a", 0, 4), [])
        self.assertEqual(
            ledger.kept("b", 6, 25), [Whole(1, Range(10, 20), 0), Whole(2, Range(20, 25), 0)]
        )
        self.assertEqual(ledger.kept("a", 4, 6), [Whole(0, Range(0, 10), 0)])

    def test_only_what_follows_right_pieces_may_go(self) -> None:
        ledger = self.ledger()
        first, second, third = ledger.kept("a", 0, 25)
        for whole, stop in ((second, 0), (third, 0), (first, 25)):
            ledger.right(whole)
            self.assertEqual(ledger.verified_to, stop)

    def test_the_only_sender_of_a_wrong_piece_lied(self) -> None:
        ledger = self.ledger()
        ledger.kept("a", 10, 14)
        (whole,) = ledger.kept("a", 0, 10)
        self.assertEqual(ledger.wrong(whole), Ruling((Range(0, 10), Range(10, 14)), ("a",)))
        self.assertEqual(ledger.liars, {"a"})
        self.assertEqual(
            str(blame_for(whole).of("http://a")),
            "http://a sent wrong bytes in piece 1 (bytes 0-9)",
        )

    def test_several_senders_are_told_apart_by_a_right_copy(self) -> None:
        ledger = self.ledger()
        ledger.kept("a", 0, 4)
        (whole,) = ledger.kept("b", 4, 10)
        self.assertEqual(ledger.wrong(whole), Ruling((Range(0, 10),), keep_copy=True))
        ledger.forgot(0, 10)
        self.assertFalse(ledger.is_current(whole))
        ledger.kept("b", 10, 12)
        (again,) = ledger.kept("a", 0, 10)
        self.assertEqual(ledger.accused, (Sent("a", 0, 4), Sent("b", 4, 10)))
        liars = differing(ledger.accused, 0, b"0123x56789", b"0123456789")
        ledger.right(again)
        self.assertEqual(ledger.compared(liars), Ruling((Range(10, 12),), ("b",)))
        self.assertEqual((ledger.case, ledger.verified_to), (None, 10))

    def test_a_right_copy_is_kept_whoever_sent_it(self) -> None:
        ledger = self.ledger()
        ledger.kept("a", 0, 4)
        (whole,) = ledger.kept("b", 4, 10)
        ledger.wrong(whole)
        ledger.forgot(0, 10)
        (again,) = ledger.kept("b", 0, 10)
        ledger.right(again)
        self.assertEqual(ledger.compared({"b"}), Ruling((), ("b",)))
        self.assertEqual(ledger.verified_to, 10)

    def test_a_known_liar_takes_the_blame(self) -> None:
        ledger = self.ledger()
        (whole,) = ledger.kept("a", 0, 10)
        ledger.wrong(whole)
        ledger.kept("a", 12, 14)
        ledger.kept("b", 10, 12)
        (mixed,) = ledger.kept("b", 14, 20)
        self.assertEqual(ledger.wrong(mixed), Ruling((Range(12, 14),)))

    def test_another_wrong_piece_during_a_case_is_only_requested_again(self) -> None:
        ledger = self.ledger()
        ledger.kept("a", 0, 5)
        first, *_ = ledger.kept("b", 5, 15)
        ledger.wrong(first)
        (second,) = ledger.kept("a", 15, 20)
        self.assertEqual(ledger.wrong(second), Ruling((Range(10, 20),)))

    def test_a_case_ends(self) -> None:
        """Nobody sends a copy alone, and no copy is right."""
        ledger = self.ledger()
        for count in range(MOST_COPIES + 1):
            ledger.kept("a", 0, 5)
            (whole,) = ledger.kept("b", 5, 10)
            ruling = ledger.wrong(whole)
            self.assertEqual(ruling.liars, () if count < MOST_COPIES else ("a", "b"))
            ledger.forgot(0, 10)
        self.assertIsNone(ledger.case)

    def test_dropped_bytes_are_verified_again(self) -> None:
        ledger = self.ledger()
        for whole in ledger.kept("a", 0, 25):
            ledger.right(whole)
        ledger.forgot(10, 25)
        self.assertEqual(ledger.verified_to, 10)
        whole, *_ = ledger.kept("b", 10, 25)
        self.assertEqual(whole, Whole(1, Range(10, 20), 1))

    def test_proofs_are_told_apart(self) -> None:
        digest = Hash("sha-256", "0" * 64)
        proofs = [
            Proof(25, TEN),
            Proof(24, TEN),
            Proof(25, Pieces("sha-256", 10, ("a", "b", "d"))),
            Proof(25, TEN, digest),
            Proof(25, None, digest),
        ]
        self.assertEqual(len({each.identity for each in proofs}), len(proofs))
        self.assertEqual(Proof(25, TEN).identity, Proof(25, TEN).identity)


class PieceMachine(Machine):
    """Everything that may happen to a transfer, while some sources send wrong bytes."""

    world: PieceWorld

    @initialize(
        count=st.integers(1, 4),
        length=st.integers(1, 6 * m.MIB),
        piece=st.sampled_from([10_000, 65_536, 300_000, m.MIB, 3 * m.MIB]),
        wrong=st.lists(st.lists(st.integers(0, 6 * m.MIB), max_size=5), min_size=4, max_size=4),
        window=st.sampled_from([256 * m.KIB, 1_000_000, 4 * m.MIB, 32 * m.MIB]),
        delay=st.one_of(st.just(Delay.ADAPTIVE), st.sampled_from(Delay)),
        duplicate=st.one_of(st.just(Duplicate.ADAPTIVE), st.sampled_from(Duplicate)),
    )
    def begin(
        self,
        count: int,
        length: int,
        piece: int,
        wrong: list[list[int]],
        window: int,
        delay: Delay,
        duplicate: Duplicate,
    ) -> None:
        names = "abcd"[:count]
        self.world = PieceWorld(
            [m.Source(name, static_delay=i) for i, name in enumerate(names)],
            length,
            piece,
            {
                name: [at for at in found if at < length]
                for name, found in zip(names, wrong, strict=False)
            },
            SchedulingSettings(
                window=window, delay=delay, duplicate=duplicate, duplicate_threshold=2
            ),
        )
        self.world.begin()

    @precondition(lambda self: self.world.waiting and not self.world.over)
    @rule()
    def judge(self) -> None:
        self.world.judge()

    @precondition(lambda self: False)
    @rule()
    def another_version_ends_before(self) -> None:
        """The length is known."""


class MachineTests(SynchronousTestCase):
    def test_promises_hold_whatever_happens(self) -> None:
        run_state_machine_as_test(
            PieceMachine,
            settings=settings(
                max_examples=60,
                stateful_step_count=50,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def test_an_honest_source_is_enough(self) -> None:
        for delay in Delay:
            for window in (256 * m.KIB, 8 * m.MIB):
                world = PieceWorld(
                    [m.Source(name) for name in "abcd"],
                    6 * m.MIB,
                    300_000,
                    {
                        "a": [5, 2 * m.MIB],
                        "b": [100_000, 4 * m.MIB],
                        "c": range(0, 6 * m.MIB, 50_000),
                    },
                    SchedulingSettings(window=window, delay=delay),
                )
                world.begin()
                world.finish()
                self.assertTrue(world.done)
                self.assertNotIn("d", world.ledger.liars)

    def test_who_sent_the_wrong_bytes_of_a_piece_is_always_found(self) -> None:
        for seed in range(60):
            chance = random.Random(seed)
            size = 3 * m.MIB
            world = PieceWorld(
                [m.Source(name) for name in "abcd"[: chance.randrange(2, 5)]],
                size,
                chance.choice((65_536, 100_000, 300_000, m.MIB)),
                {"a": [chance.randrange(size)]},
                SchedulingSettings(window=chance.choice((256 * m.KIB, m.MIB, 32 * m.MIB))),
            )
            world.begin()
            world.finish(chunk=chance.choice((16, 64, 256)) * m.KIB)
            self.assertTrue(world.done)
            self.assertEqual(world.ledger.liars, world.judged_wrong, seed)

    def test_a_verified_piece_waits_for_the_next_plan(self) -> None:
        world = PieceWorld([m.Source("a")], 4 * m.MIB, 100_000, {}, SchedulingSettings())
        world.begin()
        world.grant("a", ready=True)
        (number,) = world.attempts
        world.head(number)
        world.now += 1
        world.bytes(number, 300_000)
        with mock.patch.object(Planner, "plan") as plan:
            while world.waiting:
                world.judge()
        self.assertEqual(world.scheduler.deliverable, 300_000)
        plan.assert_not_called()

    def test_all_lie(self) -> None:
        world = PieceWorld(
            [m.Source(name) for name in "ab"],
            m.MIB,
            300_000,
            {"a": [400_000], "b": [500_000]},
            SchedulingSettings(),
        )
        world.begin()
        world.finish()
        assert world.failed is not None
        why = reason(
            "sent wrong bytes in piece 2 (bytes 300000-599999)", kind="http_protocol_error"
        )
        self.assertEqual(world.failed.reasons, (("a", why), ("b", why)))
        self.assertEqual(world.given, 300_000)
