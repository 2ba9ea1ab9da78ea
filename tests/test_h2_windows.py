"""Who may send how much over a shared connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http2.floods import Allowance
from aprp.core.http2.windows import FIRST, LEAST, MOST, Claim, InFlight, Place, allot

KIB, MIB = 1024, 1 << 20


def claim(stream: int, delivery: str, offset: int, credit: int, room: int) -> Claim:
    return Claim(stream, Place(delivery, offset), credit, room)


class AllotTests(SynchronousTestCase):
    def test_the_head_block_gets_what_is_in_flight(self) -> None:
        head = claim(5, "film", 0, LEAST, 4 * MIB)
        ahead = claim(3, "film", 4 * MIB, LEAST, 4 * MIB)
        self.assertEqual(allot([ahead, head], MIB), {5: MIB - LEAST})

    def test_what_the_head_has_no_use_for_goes_to_the_next(self) -> None:
        head = Claim(3, Place("film", 0), 100 * KIB, 100 * KIB, final=True)
        ahead = claim(5, "film", MIB, LEAST, 4 * MIB)
        self.assertEqual(allot([head, ahead], MIB), {5: MIB - 100 * KIB - LEAST})

    def test_deliveries_share(self) -> None:
        claims = [claim(n, f"film {n}", 0, 0, 4 * MIB) for n in (1, 3, 5, 7)]
        self.assertEqual(allot(claims, MIB), dict.fromkeys((1, 3, 5, 7), MIB // 4))

    def test_a_stream_ahead_that_holds_everything_cannot_starve_the_head(self) -> None:
        ahead = claim(1, "film", 8 * MIB, MIB, MIB)
        head = claim(3, "film", 0, 0, 4 * MIB)
        self.assertEqual(allot([ahead, head], MIB), {3: MIB})

    def test_many_heads_always_have_a_little(self) -> None:
        claims = [claim(n, f"{n}", 0, 0, MIB) for n in range(1, 201, 2)]
        self.assertEqual(set(allot(claims, MIB).values()), {LEAST})

    def test_no_frame_for_a_trifle(self) -> None:
        self.assertEqual(allot([claim(1, "film", 0, MIB - 1000, MIB)], MIB), {})

    def test_the_last_of_a_body_is_allowed_at_once(self) -> None:
        last = Claim(1, Place("film", 0), 99_000, 100_000, final=True)
        self.assertEqual(allot([last], MIB), {1: 1000})

    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.integers(0, 9),
                st.integers(0, 2 * MIB),
                st.integers(0, 8 * MIB),
            ),
            max_size=12,
        ),
        st.sampled_from([FIRST, 4 * MIB, MOST]),
    )
    def test_never_more_than_there_is_room_for(
        self, given_claims: list[tuple[str, int, int, int]], in_flight: int
    ) -> None:
        claims = {
            number: claim(number, delivery, offset, credit, room)
            for number, (delivery, offset, credit, room) in enumerate(given_claims)
        }
        granted = allot(claims.values(), in_flight)
        for number, more in granted.items():
            self.assertGreater(more, 0)
            self.assertLessEqual(claims[number].credit + more, claims[number].room)
        heads = len({each.place.delivery for each in claims.values()})
        before = sum(each.credit for each in claims.values())
        most = max(in_flight, before) + in_flight + heads * LEAST
        self.assertLessEqual(before + sum(granted.values()), most)
        for delivery in {each.place.delivery for each in claims.values()}:
            own = [each for each in claims.values() if each.place.delivery == delivery]
            first = min(own, key=lambda each: each.place.offset)
            has = first.credit + granted.get(first.stream, 0)
            if first.room:
                self.assertGreater(has, 0, "a head block that nothing can come of")


class InFlightTests(SynchronousTestCase):
    def test_it_grows_while_the_path_holds_more(self) -> None:
        flight, now = InFlight(), 0.0
        flight.round_trip(0.1)
        rate = 40e6
        for _ in range(4000):
            now += 65536 / min(rate, flight.size / 0.1)
            flight.came(65536, now)
        self.assertGreaterEqual(flight.size, rate * 0.1)
        self.assertLessEqual(flight.size, 8 * rate * 0.1)

    def test_it_stays_on_a_short_path(self) -> None:
        flight, now = InFlight(), 0.0
        flight.round_trip(0.0005)
        for _ in range(4000):
            now += 65536 / 100e6
            flight.came(65536, now)
        self.assertEqual(flight.size, FIRST)

    def test_it_is_bounded(self) -> None:
        flight, now = InFlight(), 0.0
        flight.round_trip(10.0)
        for _ in range(4000):
            now += 0.001
            flight.came(MIB, now)
        self.assertEqual(flight.size, MOST)

    def test_silence_between_answers_is_not_measured(self) -> None:
        flight = InFlight()
        flight.round_trip(0.1)
        flight.came(FIRST - 1, 0.0)
        flight.idle()
        self.assertFalse(flight.came(2, 0.001))


class AllowanceTests(SynchronousTestCase):
    def test_a_burst_and_a_rate(self) -> None:
        allowance = Allowance(10, 2.0)
        self.assertTrue(all(allowance.spend(0.0) for _ in range(10)))
        self.assertFalse(allowance.spend(0.0))
        self.assertTrue(allowance.spend(1.0))
        self.assertFalse(allowance.spend(1.0))
