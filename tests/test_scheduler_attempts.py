"""What happens to attempts, rule by rule."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling import messages as m
from aprp.core.scheduling.assignment import Assignment
from aprp.core.scheduling.attempts import AttemptTracker
from aprp.core.scheduling.failures import FailurePolicy
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.policies.adaptive import Adaptive
from aprp.core.scheduling.policies.rescue import AdaptiveRescue
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.scheduler_states import state


class TrafficTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = state(2 * MIB, a=4, b=4)
        self.a, self.b = self.state.sources.values()
        settings = SchedulingSettings()
        failures = FailurePolicy([self.a, self.b], 30.0)
        self.tracker = AttemptTracker(
            self.state, Adaptive(settings), AdaptiveRescue(settings), failures, None
        )

    def begin(self, name: str, picked: Assignment) -> int:
        self.tracker.begin(self.state.sources[name], picked, 0.0, warm=True)
        return max(self.state.attempts)

    def answered(self, number: int, now: float = 0.02, length: int = 2 * MIB) -> None:
        attempt = self.state.attempts[number]
        self.tracker.head_came(m.HeadCame(number, attempt.start, attempt.wire_stop, length), now)

    def actions(self) -> list[m.Action]:
        actions, self.tracker.actions = self.tracker.actions, []
        return actions

    def beyond(self, number: int, length: int) -> None:
        self.tracker.ended(m.Ended(number, m.End.BEYOND, length=length), 0.03)

    def test_a_416_tells_the_end_until_a_head_tells_another(self) -> None:
        for length, end in ((MIB + 1, MIB + 1), (1000, 1000), (3 * MIB, 2 * MIB)):
            self.setUp()
            first, second = (
                self.begin("a", Assignment(0, MIB)),
                self.begin("b", Assignment(MIB, 2 * MIB)),
            )
            self.beyond(second, MIB // 2)
            self.assertEqual((self.state.stop, self.tracker.length), (MIB // 2, None))
            self.answered(first, length=length)
            self.assertEqual((self.state.stop, self.tracker.length), (end, length))
            self.assertEqual(self.state.missing.size, end)
            self.assertEqual((self.a.failures, self.b.failures), (0, 0))

    def test_a_416_for_what_the_file_has_is_a_failure(self) -> None:
        first, second = (
            self.begin("a", Assignment(0, MIB)),
            self.begin("b", Assignment(MIB, 2 * MIB)),
        )
        self.answered(first)
        self.beyond(second, MIB)
        self.assertEqual((self.state.stop, self.b.failures), (2 * MIB, 1))

    def test_a_silent_one_that_makes_room_for_the_next_is_a_failure(self) -> None:
        for failures in (0, 0, 1):
            number = self.begin("a", Assignment(0, MIB))
            self.assertEqual(self.a.failures, failures)
            self.state.doubt(self.state.attempts[number])
        self.assertEqual((len(self.a.attempts), self.a.silences), (2, 1))

    def test_one_that_takes_over_cuts_the_other_back(self) -> None:
        first = self.begin("a", Assignment(0, MIB))
        self.actions()
        second = self.begin("b", Assignment(MIB // 2, MIB, self.state.attempts[first]))
        self.assertEqual(
            self.actions(),
            [m.Fetch(second, "b", MIB // 2, MIB)],
        )

    def test_at_the_end_it_was_cut_back_to_it_is_abandoned(self) -> None:
        number = self.begin("a", Assignment(0, MIB))
        self.answered(number)
        self.tracker.cut(self.state.attempts[number], 1000, 0.0)
        self.actions()
        self.tracker.bytes_came(m.BytesCame(number, 1500), 0.03)
        self.assertEqual(self.actions(), [m.Keep(number, 0, 1000), m.Abandon(number)])

    def test_never_three_over_one_byte(self) -> None:
        numbers = [self.begin(name, Assignment(0, MIB)) for name in "ab"]
        self.state.doubt(self.state.attempts[numbers[1]])
        self.actions()
        self.begin("a", Assignment(0, 1000))
        self.assertEqual(self.actions()[0], m.Abandon(numbers[1]))

    def test_one_that_covers_what_came_elsewhere_is_cut_back(self) -> None:
        first, second = (self.begin(name, Assignment(0, 1000)) for name in "ab")
        for number in (first, second):
            self.answered(number)
        self.actions()
        self.tracker.bytes_came(m.BytesCame(second, 1000), 0.03)
        self.assertEqual(self.actions(), [m.Keep(second, 0, 1000), m.Abandon(first)])

    def test_a_sign_of_life_ends_the_doubt(self) -> None:
        number = self.begin("a", Assignment(0, MIB))
        self.answered(number)
        self.state.doubt(self.state.attempts[number])
        self.tracker.bytes_came(m.BytesCame(number, 10), 0.5)
        self.assertFalse(self.state.attempts[number].doubted)

    def test_silent_bytes_that_another_is_asked_for_are_not_waited_for(self) -> None:
        silent = self.begin("a", Assignment(0, MIB))
        self.state.doubt(self.state.attempts[silent])
        self.actions()
        self.begin("b", Assignment(1000, MIB))
        self.assertIn(silent, self.state.attempts)
        other = self.begin("b", Assignment(0, 1000))
        self.assertNotIn(silent, self.state.attempts)
        self.assertEqual(self.actions()[-2:], [m.Abandon(silent), m.Fetch(other, "b", 0, 1000)])
        self.assertEqual((self.a.failures, str(self.a.reason)), (1, "fell silent"))

    def test_unless_its_own_source_is_asked(self) -> None:
        silent = self.begin("a", Assignment(0, MIB))
        self.state.doubt(self.state.attempts[silent])
        self.begin("a", Assignment(0, 1000))
        self.assertIn(silent, self.state.attempts)

    def test_a_response_shorter_than_asked(self) -> None:
        number = self.begin("a", Assignment(0, MIB))
        self.tracker.head_came(m.HeadCame(number, 0, 1000, 2 * MIB), 0.02)
        self.assertEqual(self.state.attempts[number].stop, 1000)
        self.assertTrue(self.state.unrequested.holds(1000))

    def test_the_length_is_learned(self) -> None:
        number = self.begin("a", Assignment(0, MIB))
        self.answered(number, length=MIB)
        self.assertEqual((self.tracker.length, self.state.stop), (MIB, MIB))

    def test_a_stale_connection_is_no_fault(self) -> None:
        number = self.begin("a", Assignment(0, MIB))
        self.tracker.ended(m.Ended(number, m.End.STALE), 0.1)
        self.assertEqual((self.a.failures, self.a.rating.warm), (0, 0))
        self.assertEqual(self.state.unrequested.size, 2 * MIB)

    def test_a_broken_one_is(self) -> None:
        number = self.begin("a", Assignment(0, MIB))
        self.tracker.ended(m.Ended(number, m.End.BROKEN), 0.1)
        self.assertEqual(self.a.failures, 1)

    def test_a_byte_that_is_new_makes_good_for_it(self) -> None:
        self.a.failures = 3
        number = self.begin("a", Assignment(0, MIB))
        self.answered(number)
        self.tracker.bytes_came(m.BytesCame(number, 1), 0.03)
        self.assertEqual(self.a.failures, 0)

    def test_an_attempt_that_is_unknown_is_ignored(self) -> None:
        self.tracker.bytes_came(m.BytesCame(77, 1), 0.0)
        self.tracker.ended(m.Ended(77, m.End.BROKEN), 0.0)
        self.assertEqual(self.actions(), [])
