"""The ends of dropped responses leave room for the connections that are needed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.messages import Source
from aprp.upstream.transfer.remainders import Remainders

SOURCE = Source("a", "host", connections=3)


class Dropped:
    """A body whose end is being read."""

    def __init__(self, begun: bool = True) -> None:
        self.begun = begun
        self.ended = False
        self.was_cut = False

    def cut(self) -> None:
        self.was_cut = self.ended = True


class RemainderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.remainders = Remainders()

    def dropped(self, count: int, **how: Any) -> list[Dropped]:
        bodies = [Dropped(**how) for _ in range(count)]
        for body in bodies:
            self.remainders.add(SOURCE, body)  # type: ignore[arg-type]
        return bodies

    def cut_with(self, in_use: int, bodies: list[Dropped]) -> list[bool]:
        self.remainders.make_room(SOURCE, in_use)
        return [body.was_cut for body in bodies]

    def test_the_oldest_are_cut_where_there_would_be_too_many(self) -> None:
        bodies = self.dropped(2)
        self.assertEqual(self.cut_with(1, bodies), [False, False])
        self.assertEqual(self.cut_with(2, bodies), [True, False])
        self.assertEqual(self.cut_with(2, bodies), [True, False])
        self.assertEqual(self.cut_with(3, bodies), [True, True])

    def test_what_has_ended_takes_no_room(self) -> None:
        first, second = self.dropped(2)
        first.ended = True
        self.assertEqual(self.cut_with(2, [first, second]), [False, False])

    def test_other_hosts_have_room_of_their_own(self) -> None:
        bodies = self.dropped(1)
        self.remainders.make_room(Source("b", connections=1), 1)
        self.assertEqual(bodies[0].was_cut, False)

    def test_what_is_not_read_takes_no_room(self) -> None:
        bodies = self.dropped(2, begun=False)
        self.assertEqual(self.cut_with(3, bodies), [False, False])
