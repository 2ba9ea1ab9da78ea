"""What many shared fetches hold in memory, on a clock, against the setting `memory`."""

from __future__ import annotations

from aprp.cache.cache import Cache
from aprp.cache.cached_file import CachedFile
from aprp.core.cache.extents import BLOCK
from aprp.core.cache.pace import MOST_ROOM, room_in
from aprp.core.http.ranges import Range
from aprp.upstream.transfer.memory import MemoryBudget
from tests.support.cached_film import ClockedOrigin, Viewer
from tests.support.memory_store import MemoryStore
from tests.test_cache_reading import FILM, META, MIB, SIZE, ClockedCase

FILMS = 60


class MemoryCase(ClockedCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory = 16 * MIB
        self.budget = MemoryBudget(self.clock, self.memory)
        self.store = MemoryStore(self.clock, 0.01)
        self.cache = Cache(self.store, self.clock, budget=self.budget)
        self.origins: list[ClockedOrigin] = []
        self.rate = 8e6

    def origin(self) -> ClockedOrigin:
        origin = ClockedOrigin(FILM, self.clock, rate=self.rate)
        self.origins.append(origin)
        return origin

    def viewers(self, count: int, stop: int = SIZE, rate: float | None = 4e6) -> list[Viewer]:
        """Begin to view so many films."""
        viewers = []
        for number in range(count):
            file: CachedFile = self.cache.create(b"%d" % number, META)
            viewers.append(Viewer(file, self.clock, Range(0, stop), self.origin, rate))
        return viewers

    def most_held(self, seconds: float) -> int:
        """Return the most bytes in memory at any time meanwhile."""
        most = 0
        for _ in range(round(seconds * 200)):
            self.run_for(0.005)
            most = max(most, self.budget.held)
        return most


class MemoryTests(MemoryCase):
    def test_a_thousandth_of_the_memory_is_little_behind_and_ahead(self) -> None:
        self.assertIs(room_in(None), MOST_ROOM)
        self.assertIs(room_in(1 << 40), MOST_ROOM)
        for window in (0, 1, BLOCK, MIB, MOST_ROOM.most - 1):
            room = room_in(window)
            self.assertLessEqual(room.behind + room.slack + room.ahead, window)

    def test_many_films_at_once_stay_within_the_memory(self) -> None:
        viewers = self.viewers(FILMS, 3 * MIB)
        most = self.most_held(1.5)
        self.assert_served(*viewers)
        self.assertLess(most, self.memory + FILMS * BLOCK)
        self.run_for(6)
        self.assertEqual(self.budget.held, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_of_them_are_kept(self) -> None:
        viewers = self.viewers(FILMS, 3 * MIB)
        self.run_for(1.5)
        self.assert_served(*viewers)
        for files in self.store.files.values():
            self.assertEqual(files[0].present.total, 3 * MIB)
        self.assertEqual(sum(origin.sent for origin in self.origins), FILMS * 3 * MIB)

    def test_what_comes_in_large_pieces_stays_within_the_memory(self) -> None:
        self.rate = 200e6  # 1 MB at a time
        viewers = self.viewers(FILMS, 3 * MIB, rate=1e6)
        self.run_for(0.5)
        self.assertLess(self.budget.held, self.memory + FILMS * BLOCK)
        for each in viewers:
            self.assertLess(len(each.got), 1e6 * 0.5 + 2 * BLOCK)
        self.run_for(3)
        self.assert_served(*viewers)
        self.assertEqual(sum(origin.sent for origin in self.origins), FILMS * 3 * MIB)

    def test_few_films_hold_what_is_of_use(self) -> None:
        self.viewers(2)
        self.assertGreater(self.most_held(1), 2 * MIB)
