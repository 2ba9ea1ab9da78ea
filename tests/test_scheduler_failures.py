"""What a failure means, rule by rule."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.reasons import Reason, reason
from aprp.core.recovery.pauses import PAUSES
from aprp.core.scheduling.failures import PROGRESS, FailurePolicy
from aprp.core.scheduling.messages import End, Ended, Source
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.source_state import SourceState

BROKEN = Ended(1, End.BROKEN)


def told(reasons: tuple[tuple[str, Reason], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((source, str(why)) for source, why in reasons)


class FailuresCase(SynchronousTestCase):
    def setUp(self) -> None:
        ratings = Ratings()
        self.a, self.b = (SourceState(Source(n), ratings.of(n), i) for i, n in enumerate("ab"))
        self.failures = FailurePolicy([self.a, self.b], resume_for=30.0)


class ReserveTests(SynchronousTestCase):
    """Of four sources, two are used at the same time."""

    def setUp(self) -> None:
        ratings = Ratings()
        self.sources = [SourceState(Source(n), ratings.of(n), i) for i, n in enumerate("abcd")]
        self.failures = FailurePolicy(self.sources, 30.0, at_once=2)

    def used(self) -> str:
        return "".join(source.name for source in self.sources if not source.barred)

    def test_the_first_ones_are_used(self) -> None:
        self.assertEqual(self.used(), "ab")

    def test_one_that_is_left_out_is_replaced_for_good(self) -> None:
        a, _, c, _ = self.sources
        self.failures.blame(a, Ended(1, End.ABSENT), 0.0)
        self.assertEqual(self.used(), "bc")
        self.failures.ban(c, reason("lied"))
        self.assertEqual(self.used(), "bd")

    def test_one_that_fails_is_replaced_until_it_delivers(self) -> None:
        a, b, *_ = self.sources
        self.failures.blame(b, BROKEN, 0.0)
        self.assertEqual(self.used(), "abc")
        self.failures.blame(a, Ended(2, End.UNREACHABLE), 0.0)
        self.assertEqual(self.used(), "abcd")
        self.failures.delivered(b)
        self.assertEqual(self.used(), "abc")
        self.failures.delivered(a)
        self.assertEqual(self.used(), "ab")

    def test_one_out_of_service_is_replaced(self) -> None:
        self.failures.take_out({"a"})
        self.assertEqual(self.used(), "bc")

    def test_it_is_hopeless_only_once_the_reserve_has_failed(self) -> None:
        for number, source in enumerate(self.sources):
            self.assertFalse(self.failures.hopeless(0.0, in_flight=False))
            self.failures.blame(source, Ended(number, End.ABSENT), 0.0)
        self.assertTrue(self.failures.hopeless(0.0, in_flight=False))


class TroubleTests(FailuresCase):
    def test_at_once_then_after_pauses_that_grow(self) -> None:
        pauses = []
        for _ in range(8):
            self.failures.blame(self.a, BROKEN, 10.0)
            pauses.append(self.a.retry_at - 10.0)
        self.assertEqual(pauses, [*PAUSES, PAUSES[-1], PAUSES[-1]])

    def test_a_named_time_parks(self) -> None:
        self.failures.blame(self.a, Ended(1, End.REFUSED, retry_after=7.0), 10.0)
        self.assertEqual((self.a.parked, self.a.retry_at), (True, 17.0))
        self.assertEqual(self.a.rating.parking.until("", 10.0), 17.0)

    def test_a_liar_is_left_out_until_no_other_is_left(self) -> None:
        self.failures.blame(self.a, Ended(1, End.LIED), 0.0)
        self.assertEqual((self.a.barred, self.b.barred), (True, False))
        self.failures.blame(self.b, Ended(2, End.ABSENT), 0.0)
        self.assertEqual((self.a.barred, self.b.barred), (False, False))

    def test_left_without_a_failure(self) -> None:
        self.failures.leave_out("a", reason("was late"))
        self.assertEqual(
            (self.a.barred, self.a.failures, str(self.a.reason)), (True, 0, "was late")
        )

    def test_a_silent_one_is_asked_twice_before_it_is_left_alone(self) -> None:
        for pause in (0.0, 0.0, PAUSES[1]):
            self.failures.fell_silent(self.a, 1, 10.0)
            self.assertEqual(self.a.retry_at, 10.0 + pause)
        self.assertEqual(self.a.failures, 3)

    def test_hopeless_once_each_failed_twice(self) -> None:
        for source in (self.a, self.b, self.a):
            self.failures.blame(source, BROKEN, 0.0)
        self.assertFalse(self.failures.hopeless(0.0, in_flight=False))
        self.failures.blame(self.b, BROKEN, 0.0)
        self.assertTrue(self.failures.hopeless(0.0, in_flight=False))
        self.assertFalse(self.failures.hopeless(0.0, in_flight=True))

    def test_hopeless_though_one_that_was_left_out_delivers_what_was_in_flight(self) -> None:
        self.failures.answered()
        self.failures.blame(self.a, Ended(1, End.ABSENT), 0.0)
        self.failures.delivered(self.a)
        self.failures.blame(self.b, BROKEN, 0.0)
        self.assertIn(30.0, list(self.failures.wake(1.0)))
        self.assertFalse(self.failures.hopeless(29.0, in_flight=False))
        self.assertTrue(self.failures.hopeless(30.0, in_flight=False))

    def test_silence_that_was_not_waited_out_is_no_answer_after_a_while_only(self) -> None:
        for source in (self.a, self.b) * 3:
            self.failures.fell_silent(source, 1, 5.0)
        self.assertFalse(self.failures.hopeless(6.0, in_flight=False))
        self.assertIn(15.0, list(self.failures.wake(6.0)))
        self.assertTrue(self.failures.hopeless(15.0, in_flight=False))

    def test_silence_is_waited_out_even_if_nothing_is_to_be_resumed(self) -> None:
        failures = FailurePolicy([self.a, self.b], resume_for=0.0)
        for source in (self.a, self.b):
            failures.fell_silent(source, 1, 0.0)
        self.assertFalse(failures.hopeless(0.5, in_flight=True))
        for source in (self.a, self.b):
            self.assertFalse(failures.hopeless(1.0, in_flight=True))
            failures.blame(source, BROKEN, 1.0)
        self.assertTrue(failures.hopeless(1.0, in_flight=True))

    def test_silence_is_waited_out_though_another_source_has_failed_before(self) -> None:
        failures = FailurePolicy([self.a, self.b], resume_for=0.0)
        failures.answered()
        failures.blame(self.a, BROKEN, 0.0)
        failures.fell_silent(self.b, 1, 0.5)
        self.assertFalse(failures.hopeless(0.5, in_flight=True))
        self.assertIn(10.5, list(failures.wake(0.5)))
        self.assertTrue(failures.hopeless(10.5, in_flight=True))

    def test_silence_and_a_failure_are_not_two_failures(self) -> None:
        for source in (self.a, self.b):
            self.failures.fell_silent(source, 1, 0.0)
            self.failures.blame(source, BROKEN, 0.0)
        self.assertFalse(self.failures.hopeless(0.0, in_flight=False))
        for source in (self.a, self.b):
            self.failures.blame(source, BROKEN, 0.0)
        self.assertTrue(self.failures.hopeless(0.0, in_flight=False))

    def test_a_parked_source_is_waited_for_if_that_is_bearable(self) -> None:
        for seconds, hopeless in ((29.0, False), (31.0, True)):
            self.setUp()
            for _ in range(2):
                self.failures.blame(self.b, BROKEN, 0.0)
            self.failures.blame(self.a, Ended(1, End.REFUSED, retry_after=seconds), 0.0)
            self.assertIs(self.failures.hopeless(0.0, in_flight=False), hopeless)

    def test_after_a_good_head_only_time_counts(self) -> None:
        self.failures.answered()
        for source in (self.a, self.b) * 2:
            self.failures.blame(source, BROKEN, 5.0)
        self.assertFalse(self.failures.hopeless(34.9, in_flight=False))
        self.assertIn(35.0, list(self.failures.wake(6.0)))
        self.assertTrue(self.failures.hopeless(35.0, in_flight=True))

    def test_a_block_is_progress(self) -> None:
        self.failures.answered()
        for source in (self.a, self.b):
            self.failures.blame(source, BROKEN, 5.0)
        self.failures.gained(PROGRESS - 1, whole=False)
        self.assertTrue(self.failures.hopeless(35.0, in_flight=False))
        self.failures.gained(1, whole=False)
        self.assertFalse(self.failures.hopeless(35.0, in_flight=False))

    def test_no_hope_is_lost_while_one_never_failed(self) -> None:
        self.failures.blame(self.a, BROKEN, 0.0)
        self.assertFalse(self.failures.hopeless(99.0, in_flight=False))

    def test_what_another_transfer_was_told_is_kept_unless_all_were(self) -> None:
        self.a.rating.failed(0.0, parked=9.0)
        self.failures.remember(1.0)
        self.assertEqual((self.a.retry_at, self.b.retry_at), (9.0, 0.0))
        self.setUp()
        for source in (self.a, self.b):
            source.rating.failed(0.0, parked=9.0)
        self.failures.remember(1.0)
        self.assertEqual((self.a.retry_at, self.b.retry_at), (0.0, 0.0))

    def test_reasons_of_each(self) -> None:
        self.failures.blame(self.a, Ended(1, End.UNREACHABLE, reason("no route")), 0.0)
        self.failures.blame(self.b, Ended(1, End.ABSENT), 0.0)
        self.assertEqual(
            told(self.failures.reasons()), (("a", "no route"), ("b", "doesn't have this file"))
        )


class OutOfServiceTests(FailuresCase):
    def test_not_asked_while_another_is_in_service(self) -> None:
        self.failures.take_out({"a"})
        self.assertEqual((self.a.barred, self.b.barred), (True, False))
        self.failures.take_out({"a", "b"})
        self.assertEqual((self.a.barred, self.b.barred), (False, False))
        self.failures.take_out({"b"})
        self.assertEqual((self.a.barred, self.b.barred), (False, True))

    def test_no_hope_is_set_on_it(self) -> None:
        self.failures.take_out({"a"})
        for _ in range(2):
            self.failures.blame(self.b, BROKEN, 0.0)
        self.assertTrue(self.failures.hopeless(0.0, in_flight=False))
        self.assertEqual(told(self.failures.reasons())[0], ("a", "is out of service"))
        self.failures.take_out(set())
        self.assertFalse(self.failures.hopeless(0.0, in_flight=False))

    def test_a_liar_is_the_last_resort_of_those_in_service(self) -> None:
        self.failures.take_out({"a"})
        self.failures.blame(self.b, Ended(1, End.LIED), 0.0)
        self.assertEqual((self.a.barred, self.b.barred), (True, False))
        self.failures.take_out(set())
        self.assertEqual((self.a.barred, self.b.barred), (False, True))
