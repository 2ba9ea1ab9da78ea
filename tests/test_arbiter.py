"""Who gets the next connection."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.arbiter import Arbiter, Grant
from aprp.core.scheduling.messages import Source, Urgency

HEAD, AHEAD = Urgency.HEAD, Urgency.AHEAD
ONE = Source("a", connections=1)
TWO = Source("a", connections=2)


class ArbiterTests(SynchronousTestCase):
    def test_a_free_slot_is_granted_at_once(self) -> None:
        self.assertEqual(Arbiter().want(1, ONE, AHEAD), [Grant(1, "a")])

    def test_never_over_the_cap(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, ONE, AHEAD)
        self.assertEqual(arbiter.want(2, ONE, HEAD), [])
        self.assertEqual(arbiter.by_source(), {"a": 1})
        self.assertEqual(arbiter.release(1, "a"), [Grant(2, "a")])

    def test_starving_heads_come_first(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, ONE, AHEAD)
        arbiter.want(2, ONE, AHEAD)
        arbiter.want(3, ONE, HEAD)
        self.assertEqual(arbiter.release(1, "a"), [Grant(3, "a")])

    def test_wanting_again_raises_the_urgency_and_keeps_the_turn(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, ONE, AHEAD)
        for transfer in (2, 3):
            arbiter.want(transfer, ONE, AHEAD)
        arbiter.want(3, ONE, HEAD)
        arbiter.want(2, ONE, HEAD)
        self.assertEqual(arbiter.release(1, "a"), [Grant(2, "a")])

    def test_who_holds_fewest_comes_first(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, TWO, AHEAD)
        arbiter.want(2, TWO, AHEAD)
        arbiter.want(1, TWO, AHEAD)
        arbiter.want(3, TWO, AHEAD)
        self.assertEqual(arbiter.release(2, "a"), [Grant(3, "a")])

    def test_then_who_waited_longest(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, ONE, AHEAD)
        arbiter.want(2, ONE, AHEAD)
        arbiter.want(3, ONE, AHEAD)
        self.assertEqual(arbiter.release(1, "a"), [Grant(2, "a")])

    def test_sources_of_one_host_share_its_cap(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, Source("a", host="h", connections=1), AHEAD)
        self.assertEqual(arbiter.want(1, Source("b", host="h", connections=1), HEAD), [])
        self.assertEqual(arbiter.release(1, "a"), [Grant(1, "b")])

    def test_the_process_has_a_cap_too(self) -> None:
        arbiter = Arbiter(total=1)
        arbiter.want(1, Source("a"), AHEAD)
        self.assertEqual(arbiter.want(2, Source("b"), AHEAD), [])
        self.assertEqual(arbiter.release(1, "a"), [Grant(2, "b")])

    def test_who_withdraws_gets_nothing(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, ONE, AHEAD)
        arbiter.want(2, ONE, AHEAD)
        arbiter.withdraw(2, "a")
        self.assertEqual(arbiter.release(1, "a"), [])

    def test_who_leaves_gives_everything_back(self) -> None:
        arbiter = Arbiter()
        arbiter.want(1, TWO, AHEAD)
        arbiter.want(1, TWO, AHEAD)
        arbiter.want(1, TWO, AHEAD)
        arbiter.want(2, TWO, AHEAD)
        self.assertEqual(arbiter.leave(1), [Grant(2, "a")])
        self.assertEqual(arbiter.by_source(), {"a": 1})

    def test_releasing_what_is_not_held_is_an_error(self) -> None:
        self.assertRaises(ValueError, Arbiter().release, 1, "a")
