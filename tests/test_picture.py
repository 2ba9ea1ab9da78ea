"""The map of a transfer's blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.transfer.trail import MOST, Mark, Trail
from aprp.web.admin.picture import DELIVERED, IN_FLIGHT, NOTHING, TWICE, WAITING, Picture, Run
from aprp.web.admin.snapshot import LEAST_SHOWN, near

NUMBERS = {"a": 0, "b": 1}


def mark(source: str, start: int, stop: int, at: int, live: bool = False) -> Mark:
    made = Mark(source, start, stop)
    made.at, made.live = at, live
    return made


def draw(
    marks: list[Mark], numbers: dict[str, int], start: int, stop: int, position: int, count: int
) -> list[Run]:
    return Picture(marks, numbers, position).near(start, stop, count)


class DrawTests(SynchronousTestCase):
    def test_who_fetched_what_and_where_the_client_is(self) -> None:
        marks = [
            mark("a", 0, 40, 40),
            mark("b", 40, 60, 60),
            mark("a", 60, 80, 70, live=True),
        ]
        self.assertEqual(
            draw(marks, NUMBERS, 0, 100, 50, 100),
            [
                (40, DELIVERED, 0),
                (10, DELIVERED, 1),
                (10, WAITING, 1),
                (10, WAITING, 0),
                (10, IN_FLIGHT, 0),
                (20, NOTHING, -1),
            ],
        )

    def test_what_was_requested_twice(self) -> None:
        marks = [mark("a", 0, 40, 10, live=True), mark("b", 20, 40, 25, live=True)]
        self.assertEqual(
            draw(marks, NUMBERS, 0, 40, 0, 40),
            [
                (10, WAITING, 0),
                (10, IN_FLIGHT, 0),
                (5, WAITING + TWICE, 1),
                (15, IN_FLIGHT + TWICE, 1),
            ],
        )

    def test_what_was_given_up_is_not_in_flight(self) -> None:
        self.assertEqual(
            draw([mark("a", 0, 40, 10)], NUMBERS, 0, 40, 0, 40),
            [(10, WAITING, 0), (30, NOTHING, -1)],
        )

    def test_a_block_smaller_than_a_cell_shows(self) -> None:
        runs = draw([mark("b", 500, 501, 501)], NUMBERS, 0, 10**9, 0, 200)
        self.assertEqual(runs[0], (1, WAITING, 1))

    @given(
        st.lists(st.tuples(*[st.integers(0, 1000)] * 3, st.booleans()), max_size=20),
        st.integers(0, 1000),
        st.integers(0, 1000),
        st.integers(0, 1000),
    )
    def test_any_marks_fill_the_row(
        self, drawn: list[tuple[int, int, int, bool]], start: int, stop: int, position: int
    ) -> None:
        marks = []
        for one, other, far, live in drawn:
            low, high = sorted((one, other))
            marks.append(mark("a", low, high, min(high, low + far), live))
        runs = draw(marks, NUMBERS, start, stop, position, 50)
        self.assertEqual(sum(run[0] for run in runs), 50)
        whole = Picture(marks, NUMBERS, position).whole(start, stop, 50)
        self.assertEqual(sum(run[0] for run in whole), 50)

    def test_the_whole_in_a_few_cells(self) -> None:
        marks = [mark("ab"[at % 2], 100 * at, 100 * at + 100, 100 * at + 100) for at in range(60)]
        marks.append(mark("a", 6000, 8000, 6000, live=True))
        self.assertEqual(
            Picture(marks, NUMBERS, 300).whole(0, 10_000, 100),
            [
                (1, DELIVERED, 0),
                (1, DELIVERED, 1),
                (1, DELIVERED, 0),
                *[(1, WAITING, at % 2) for at in range(3, 60)],
                (20, IN_FLIGHT, 0),
                (20, NOTHING, -1),
            ],
        )


class NearTests(SynchronousTestCase):
    def test_what_is_shown_around_the_client(self) -> None:
        mib = 1 << 20
        for start, stop, position, edge in (
            (0, 100 * mib, 0, 0),
            (0, 100 * mib, 50 * mib, 58 * mib),
            (0, 100 * mib, 99 * mib, 100 * mib),
            (3, 1000, 500, 900),
            (7 * mib, 9 * mib, 8 * mib, 9 * mib),
        ):
            low, high = near(start, stop, position, edge)
            self.assertTrue(start <= low <= position <= high <= stop, (low, high))
            self.assertGreaterEqual(high, edge)
            self.assertLessEqual(high - low, 2 * max(LEAST_SHOWN, edge - position))


class TrailTests(SynchronousTestCase):
    def test_marks_follow_their_attempts(self) -> None:
        trail = Trail()
        trail.asked(1, Mark("a", 0, 100), ())
        trail.asked(2, Mark("b", 100, 200), (1, 2))
        trail.came(1, 60)
        trail.settle((2,))
        trail.came(1, 100)  # it is over
        self.assertEqual([(m.at, m.live) for m in trail.marks], [(60, False), (100, True)])

    def test_a_long_film_costs_no_more(self) -> None:
        trail = Trail()
        for number in range(3 * MOST):
            trail.asked(number, Mark("a", number, number + 1), (number,))
        self.assertEqual(len(trail.marks), MOST)
        self.assertLess(len(trail._open), 100)
