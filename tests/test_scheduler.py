"""The scheduler's rules, each on the smallest example."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.reasons import reason
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.messages import KIB, MIB, End, Source
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.scheduler import Scheduler
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.scheduler_world import World

A, B, C = Source("a"), Source("b"), Source("c")


def fetches(actions: list[m.Action]) -> list[m.Fetch]:
    return [action for action in actions if isinstance(action, m.Fetch)]


def rated(**rates: float) -> Ratings:
    """Ratings of sources by name, in MB/s, all at 20 ms."""
    ratings = Ratings()
    for name, rate in rates.items():
        ratings.of(name).answered(0.02, None)
        for step in range(50):
            ratings.of(name).came(int(rate * 1e4), 0.01, 1, step / 100)
        ratings.of(name).warm = 2
    return ratings


class OpeningTests(SynchronousTestCase):
    def test_every_source_is_wanted_at_once(self) -> None:
        world = World([A, B, C], length=100 * MIB)
        world.begin()
        self.assertEqual(set(world.wants), {"a", "b", "c"})

    def test_the_first_to_connect_gets_the_head(self) -> None:
        world = World([A, B], length=100 * MIB)
        world.begin()
        world.grant("b", ready=True, connect=0.01)
        world.grant("a", ready=True, connect=0.02)
        self.assertEqual([(a[0], a[1]) for a in world.attempts.values()], [("b", 0), ("a", MIB)])

    def test_a_small_range_opens_one_connection(self) -> None:
        world = World([A, B, C], start=10, stop=70_000, length=100 * MIB)
        world.begin()
        self.assertEqual(len(world.wants), 1)
        world.grant(next(iter(world.wants)))
        self.assertEqual([a[1:3] for a in world.attempts.values()], [[10, 70_000]])
        self.assertEqual(world.wants, {})

    def test_a_source_slow_to_connect_is_not_waited_for(self) -> None:
        world = World([A, B], stop=70_000, length=100 * MIB)
        world.begin()
        self.assertEqual(set(world.wants), {"a"})
        world.tick()
        self.assertEqual(set(world.wants), {"a", "b"})

    def test_the_first_response_tells_the_length(self) -> None:
        world = World([A], length=3 * MIB)
        world.begin()
        world.grant("a")
        self.assertIsNone(world.scheduler.stop)
        world.head(1)
        self.assertEqual((world.scheduler.stop, world.scheduler.length), (3 * MIB, 3 * MIB))

    def test_blocks_beyond_the_end_are_given_up_without_blame(self) -> None:
        world = World([A, B], length=MIB // 2)
        world.begin()
        world.grant("a")
        world.grant("b")
        world.head(2)  # 416
        self.assertEqual(world.scheduler.stop, MIB // 2)
        world.finish()
        self.assertTrue(world.done)

    def test_a_range_beyond_the_end_fails(self) -> None:
        world = World([A], start=5 * MIB, length=MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        self.assertIsNotNone(world.failed)

    def test_wrong_arguments(self) -> None:
        self.assertRaises(ValueError, Scheduler, [], 0, 1, Ratings())
        self.assertRaises(ValueError, Scheduler, [A, A], 0, 1, Ratings())
        self.assertRaises(ValueError, Scheduler, [A], 5, 5, Ratings())


class BlockTests(SynchronousTestCase):
    def test_edges_lie_on_multiples_from_the_start_of_the_file(self) -> None:
        world = World([A, B], start=1000, length=20 * MIB + 77)
        world.begin()
        world.finish()
        stops = [f.stop for _, _, acts in world.log for f in fetches(acts)]
        self.assertEqual([s for s in stops if s % EDGE and s != world.end], [])
        self.assertTrue(world.done)

    def test_the_next_request_goes_out_before_the_current_one_is_done(self) -> None:
        world = World([A], length=15 * MIB, ratings=rated(a=10), known=True)
        world.begin()
        world.grant("a")
        world.now = 0.02
        world.head(1)
        while "a" not in world.wants:
            world.now += 0.001
            world.bytes(1, 10_000)
        left = world.attempts[1][2] - world.attempts[1][1]
        self.assertTrue(0 < left <= 10e6 * 0.03)

    def test_a_slow_source_is_left_a_block_further_ahead(self) -> None:
        sources = [Source("slow"), Source("fast")]
        world = World(sources, length=100 * MIB, ratings=rated(slow=0.2, fast=20), known=True)
        world.begin()
        world.grant("slow")
        attempt = next(iter(world.attempts.values()))
        self.assertGreater(attempt[1], 0)
        self.assertEqual(attempt[2] - attempt[1], EDGE)

    def test_a_source_too_slow_for_what_is_left_takes_nothing(self) -> None:
        sources = [Source("slow"), Source("fast")]
        world = World(sources, length=MIB, ratings=rated(slow=0.1, fast=20), known=True)
        world.begin()
        self.assertEqual(set(world.wants), {"fast"})

    def test_nothing_is_asked_beyond_the_window(self) -> None:
        world = World([A, B], length=100 * MIB, settings=SchedulingSettings(window=2 * MIB))
        world.begin()
        for _ in range(200):
            for source in list(world.wants):
                world.grant(source)
            for number in list(world.attempts):
                if not world.attempts[number][3]:
                    world.head(number)
                else:
                    world.bytes(number, 50_000)
        self.assertLessEqual(world.scheduler.buffered, 2 * MIB)
        self.assertEqual(world.attempts, {})
        world.finish()
        self.assertTrue(world.done)


class RescueTests(SynchronousTestCase):
    def world(self) -> World:
        """The head's block is with a, which owes all of it; b is free and as fast."""
        world = World([A, B], length=100 * MIB, ratings=rated(a=4, b=4), known=True)
        world.begin()
        world.grant("a")
        world.now = 0.02
        world.head(1)
        return world

    def test_silence_gives_the_bytes_back(self) -> None:
        world = self.world()
        world.grant("b")
        world.head(2)
        for _ in range(8):
            world.now += 0.04
            if 2 in world.attempts:
                world.bytes(2, 160_000)
            for source in list(world.wants):
                world.grant(source)
        starts = [a[1] for a in world.attempts.values() if a[0] == "b"]
        self.assertIn(0, starts)
        self.assertNotIn(1, world.attempts)
        (again,) = [a[1] for a in world.attempts.values() if a[0] == "a"]
        self.assertGreaterEqual(again, MIB)  # where its bytes aren't missed until it wakes up

    def test_the_only_source_is_silent_in_one_answer_and_goes_on_in_another(self) -> None:
        world = World([A], length=100 * MIB, ratings=rated(a=4), known=True)
        world.begin()
        world.grant_all()
        world.now = 0.02
        silent, other = world.attempts
        world.head(silent)
        world.head(other)
        while not world.wants and world.now < 2:
            world.now += 0.01
            world.bytes(other, 4_000)
        self.assertLess(world.now, 1.1)

    def test_each_byte_is_kept_once_when_it_wakes_up(self) -> None:
        world = self.world()
        while world.wants.get("b") is not m.Urgency.HEAD:
            world.tick()
        world.bytes(1, 100_000)
        world.finish(steps=5000)
        self.assertTrue(world.done)

    def test_a_block_that_takes_too_long_is_cut_back(self) -> None:
        world = World([A, B], length=100 * MIB, known=True)
        world.begin()
        world.grant("a", ready=True, connect=0.02)
        world.grant("b", ready=True, connect=0.02)
        world.now = 0.02
        world.head(1)
        world.head(2)
        for _ in range(12):  # a: 0.3 MB/s
            world.now += 0.01
            world.bytes(1, 3_000)
        self.assertLess(world.scheduler._state.attempts[1].stop, MIB)

    def test_a_head_that_is_late_goes_to_who_has_it_sooner(self) -> None:
        world = World([A, B], length=2 * MIB, ratings=rated(a=4, b=20), known=True)
        world.begin()
        world.grant("b")
        world.grant("a")
        world.now = 0.02
        for number in list(world.attempts):
            world.head(number)
        world.finish()
        self.assertTrue(world.done)
        self.assertLess(world.now, 1)

    def test_a_short_range_on_its_way_is_left_alone(self) -> None:
        world = World([A, B], stop=EDGE, ratings=rated(a=4, b=4), known=True)
        world.begin()
        world.grant("a")
        world.now = 0.02
        plans: list[float] = []
        self.patch(world.scheduler._planner, "plan", plans.append)
        world.head(1)
        world.bytes(1, EDGE - 1)
        self.assertEqual(plans, [])
        world.bytes(1, 1)
        world.take(EDGE)
        self.assertTrue(world.done)

    def test_until_it_is_late(self) -> None:
        """A source that trickles is never silent."""
        world = World([A, B], stop=EDGE, ratings=rated(a=4, b=4), known=True)
        world.begin()
        world.grant("a")
        world.now = 0.02
        world.head(1)
        while not world.wants and world.now < 1:
            world.now += 0.02
            world.bytes(1, 100)
        self.assertEqual(set(world.wants), {"b"})


class FailureTests(SynchronousTestCase):
    def test_only_the_missing_suffix_is_asked_again_at_once(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        world.bytes(1, 100_000)
        world.over_with(1, End.BROKEN)
        self.assertEqual(world.wants, {"a": m.Urgency.HEAD})
        world.grant("a")
        self.assertEqual(next(iter(world.attempts.values()))[1], 100_000)

    def test_then_after_pauses_that_grow(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        pauses = []
        for number in range(1, 6):
            since = world.now
            world.over_with(number, End.BROKEN)
            while "a" not in world.wants:
                world.tick()
            pauses.append(round(world.now - since, 3))
            world.grant("a")
        self.assertEqual(pauses, [0, 0.25, 0.5, 1, 2])

    def test_a_failing_source_is_not_tried_at_the_head(self) -> None:
        world = World([A, B], length=100 * MIB, ratings=rated(a=5, b=5), known=True)
        world.begin()
        world.grant("a")
        world.over_with(1, End.BROKEN)
        world.grant("a")
        attempt = next(a for a in world.attempts.values() if a[0] == "a")
        self.assertGreaterEqual(attempt[1], MIB)

    def test_retry_after_parks_the_source(self) -> None:
        world = World([A], length=MIB)
        world.begin()
        world.grant("a")
        world.over_with(1, End.REFUSED, retry_after=7.0)
        self.assertEqual((world.wants, world.failed), ({}, None))
        world.tick()
        self.assertEqual((world.now, set(world.wants)), (7.0, {"a"}))

    def test_a_source_parked_by_another_transfer_is_left_alone(self) -> None:
        ratings = Ratings()
        ratings.of("a").failed(0.0, parked=9.0)
        world = World([A, B], length=8 * MIB, ratings=ratings)
        world.begin()
        self.assertEqual(set(world.wants), {"b"})
        alone = World([A], length=8 * MIB, ratings=ratings)
        alone.begin()
        self.assertEqual(set(alone.wants), {"a"})

    def test_one_that_lied_is_left_out(self) -> None:
        world = World([A, B], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.grant("b")
        world.over_with(1, End.LIED)
        world.now = 20.0
        world.send(m.TimePassed())
        self.assertNotIn("a", world.wants)

    def test_but_not_when_it_is_the_last(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        world.bytes(1, 100_000)
        world.over_with(1, End.LIED)
        world.tick()
        self.assertEqual(set(world.wants), {"a"})

    def test_before_the_first_response_all_failing_twice_is_the_end(self) -> None:
        world = World([A, B], length=MIB)
        world.begin()
        for _ in range(20):
            for source in list(world.wants):
                if source in world.wants:
                    world.grant(source)
            for number in list(world.attempts):
                world.over_with(number, End.UNREACHABLE, reason=reason("no route"))
            if world.over:
                break
            world.tick()
        assert world.failed is not None
        why = reason("no route")
        self.assertEqual(world.failed.reasons, (("a", why), ("b", why)))
        self.assertLess(world.now, 1)

    def test_after_it_only_when_nothing_came_for_long(self) -> None:
        world = World([A], length=8 * MIB, settings=SchedulingSettings(resume_for=30))
        world.begin()
        world.grant("a")
        world.head(1)
        world.bytes(1, 100_000)
        world.over_with(1, End.BROKEN)
        for _ in range(100):
            if "a" in world.wants:
                world.grant("a")
                world.over_with(max(world.numbers), End.UNREACHABLE)
            if world.over:
                break
            world.tick()
        self.assertIsNotNone(world.failed)
        self.assertTrue(25 < world.now <= 30)

    def test_a_stale_connection_is_no_fault(self) -> None:
        world = World([A], length=MIB)
        world.begin()
        for number in range(1, 6):
            world.grant("a", ready=True)
            world.over_with(number, End.STALE)
        self.assertEqual((world.failed, set(world.wants)), (None, {"a"}))

    def test_a_shorter_range_is_taken_and_the_rest_asked(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.head(1, stop=1000)
        world.bytes(1, 1000)
        world.grant("a")
        self.assertEqual(next(iter(world.attempts.values()))[1], 1000)


class ClientTests(SynchronousTestCase):
    def test_bytes_are_ready_as_they_come(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        world.bytes(1, 1234)
        self.assertEqual(world.scheduler.ready, 1234)

    def test_a_client_that_leaves_stops_everything(self) -> None:
        world = World([A, B], length=8 * MIB)
        world.begin()
        world.grant("a")
        actions = world.send(m.Stopped())
        self.assertEqual(actions, [m.Abandon(1), m.WithdrawWant("b")])
        self.assertEqual(world.send(m.Granted("b")), [m.ReleaseSlot("b")])
        self.assertIsNone(world.scheduler.next_deadline())

    def test_a_paused_client_lets_its_read_ahead_go(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        world.bytes(1, 900 * KIB)
        for _ in range(200):
            if world.now >= 30 or world.over:
                break
            for source in list(world.wants):
                world.grant(source)
            world.tick()
        self.assertEqual(world.scheduler.buffered, EDGE)
        self.assertEqual(world.attempts, {})
        world.finish()
        self.assertTrue(world.done)

    def test_a_narrow_window_stops_the_asking_and_fails_nothing(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        world.send(m.WindowChanged(256 * KIB))
        world.grant("a")
        self.assertLessEqual(world.scheduler.in_flight, 256 * KIB)
        world.finish()
        self.assertTrue(world.done)

    def test_taking_what_is_not_ready_is_an_error(self) -> None:
        world = World([A], length=8 * MIB)
        world.begin()
        self.assertRaises(ValueError, world.scheduler.handle, 0.0, m.ClientTook(1))


class EarlierEndTests(SynchronousTestCase):
    def test_nothing_beyond_the_new_end_is_requested(self) -> None:
        world = World([A, B], length=100 * MIB)
        world.begin()
        world.grant("a")
        world.grant("b")
        world.head(1)
        actions = world.send(m.EndChanged(MIB // 2))
        self.assertIn(m.Abandon(2), actions)
        self.assertEqual(fetches(actions), [])
        world.bytes(1, MIB // 2)
        world.take()
        self.assertTrue(world.over)

    def test_it_is_over_if_all_was_taken(self) -> None:
        world = World([A], length=100 * MIB)
        world.begin()
        world.grant("a")
        world.head(1)
        world.bytes(1, 1000)
        world.take()
        self.assertIn(m.Done(), world.send(m.EndChanged(1000)))
        self.assertTrue(world.over)

    def test_a_later_end_changes_nothing(self) -> None:
        world = World([A], stop=MIB, length=100 * MIB)
        world.begin()
        world.send(m.EndChanged(2 * MIB))
        self.assertEqual(world.scheduler.stop, MIB)
