"""Whose turn it is among answers that share a limit, and what each process gets of one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.fair_share import RESERVED, Demand, FairShare, divide
from aprp.core.rate_limit import BURST


def serve(share: FairShare, chunks: dict[str, int], seconds: float) -> dict[str, int]:
    """Return what each gets that always has a chunk of that size to write."""
    got, now = dict.fromkeys(chunks, 0), 0.0
    for who in chunks:
        share.wait(who)
    while (pause := share.pause(now)) is not None and (now := now + pause) < seconds:
        turn = share.next(now)
        if turn is not None:
            who = str(turn)
            share.wrote(who, chunks[who], now)
            got[who] += chunks[who]
            share.wait(who)
    return got


class FairShareTests(SynchronousTestCase):
    def test_equal_parts_whatever_the_size_of_a_chunk(self) -> None:
        got = serve(FairShare(1000, 0.0), {"a": 10, "b": 70, "c": 1}, 300.0)
        self.assertTrue(all(abs(each - 100_000) <= 100 for each in got.values()), got)

    @given(st.lists(st.integers(1, 500), min_size=1, max_size=8), st.integers(10, 5000))
    def test_never_more_than_the_limit_and_one_chunk(self, sizes: list[int], rate: int) -> None:
        chunks = {str(number): size for number, size in enumerate(sizes)}
        total = sum(serve(FairShare(rate, 0.0), chunks, 20.0).values())
        self.assertLessEqual(total, rate * (20 + BURST) + max(sizes))
        self.assertGreaterEqual(total, rate * (20 - BURST) - max(sizes))

    def test_one_that_comes_later_has_its_turn_first_and_no_more_than_its_part(self) -> None:
        share = FairShare(1000, 0.0)
        serve(share, {"a": 10, "b": 10}, 60.0)
        share.wait("c")
        turns = []
        for tick in range(6000, 6900, 1):
            who = share.next(tick / 100)
            if who is not None:
                turns.append(who)
                share.wrote(who, 10, tick / 100)
                share.wait(who)
        self.assertEqual(sorted(turns[:3]), ["a", "b", "c"])
        self.assertTrue(abs(turns.count("c") / len(turns) - 1 / 3) < 0.01)

    def test_a_turn_that_is_not_used_costs_nothing(self) -> None:
        share = FairShare(1000, 0.0)
        share.wait("a")
        share.wait("b")
        self.assertEqual({share.next(0.0), share.next(0.0)}, {"a", "b"})
        self.assertTrue(share.is_free(0.0))

    def test_one_that_left_has_no_turn(self) -> None:
        share = FairShare(1000, 0.0)
        share.wrote("a", 100, 0.0)
        for who in ("a", "b", "c"):
            share.wait(who)
        share.leave("b")
        share.done("a")
        self.assertIsNone(share.next(0.05))
        self.assertEqual((share.next(0.1), share.next(0.1)), ("c", None))
        self.assertIsNone(share.pause(0.1))

    def test_no_limit(self) -> None:
        share = FairShare(None, 0.0)
        share.wrote("a", 1 << 40, 0.0)
        self.assertTrue(share.is_free(0.0))


DEMANDS = st.lists(
    st.builds(Demand, st.integers(0, 10**9), st.integers(0, 1000), st.booleans()),
    min_size=1,
    max_size=16,
)


class DivideTests(SynchronousTestCase):
    @given(st.integers(65536, 10**10), DEMANDS)
    def test_parts_add_up(self, limit: int, demands: list[Demand]) -> None:
        parts = divide(limit, demands)
        self.assertLessEqual(sum(parts), limit)
        self.assertGreaterEqual(sum(parts), limit - 3 * len(parts))
        self.assertGreaterEqual(min(parts), int(limit * RESERVED) // len(parts))

    def test_equal_parts_for_each_answer(self) -> None:
        one, two = divide(1_000_000, [Demand(0, 1, True), Demand(0, 9, True)])
        self.assertEqual((one, two), (120_000, 880_000))

    def test_what_one_does_not_need_goes_to_the_other(self) -> None:
        one, two = divide(1_000_000, [Demand(100_000, 5, False), Demand(0, 1, True)])
        self.assertEqual((one, two), (125_000, 875_000))

    def test_nobody_needs_more(self) -> None:
        self.assertEqual(divide(1000, [Demand(0, 0, False)] * 2), [500, 500])

    def test_nobody(self) -> None:
        self.assertEqual(divide(1000, []), [])
