"""What Retry-After parks: the file there, and the source only when several files say so."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.recovery.parking import SEVERAL, Parking
from tests.support.mirrored_case import BYTES, MirroredCase, honest
from tests.support.replies import Received, Reply, status

PART = {"Range": "bytes=0-99"}


class ParkingTests(SynchronousTestCase):
    def test_one_file_is_parked_and_no_other(self) -> None:
        parking = Parking()
        parking.park("/a", 10.0, 60.0)
        self.assertEqual((parking.until("/a", 20.0), parking.until("/b", 20.0)), (70.0, 0.0))

    def test_several_files_park_the_source_until_fewer_are_left(self) -> None:
        parking = Parking()
        for number in range(SEVERAL):
            self.assertEqual(parking.until("/other", 0.0), 0.0)
            parking.park(f"/{number}", 0.0, 10.0 + number)
        self.assertEqual(parking.until("/other", 0.0), 10.0)
        self.assertEqual(parking.until("/other", 10.0), 0.0)
        self.assertEqual(parking.until("/2", 10.0), 12.0)

    def test_one_file_that_says_so_often_is_one(self) -> None:
        parking = Parking()
        for now in range(10):
            parking.park("/a", float(now), 60.0)
        self.assertEqual(parking.whole_until(10.0), 0.0)


class RetryAfterTests(MirroredCase):
    def busy_for(self, *paths: bytes) -> object:
        def answer(received: Received) -> Reply:
            if received.target in paths:
                return status(503, (b"Retry-After", b"86400"))
            return honest(received)

        return answer

    async def test_one_path_leaves_the_mirror_to_the_others(self) -> None:
        origins = await self.mirrors(self.busy_for(b"/a"), honest)  # type: ignore[arg-type]
        port = self.in_front_of(origins)
        for path in ("/a", "/a", "/b", "/c"):
            got = await self.ask(port, path, PART)
            self.assertEqual((got.status, got.body), (206, BYTES[:100]))
        targets = [received.target for received in origins[0].requests]
        self.assertEqual(targets.count(b"/a"), 1, "it asked to be left alone")
        self.assertTrue({b"/b", b"/c"} & set(targets), targets)

    async def test_several_paths_park_the_mirror(self) -> None:
        paths = (b"/a", b"/b", b"/c")
        origins = await self.mirrors(self.busy_for(*paths), honest)  # type: ignore[arg-type]
        port = self.in_front_of(origins)
        for path in ("/a", "/b", "/c", "/d"):
            got = await self.ask(port, path, PART)
            self.assertEqual((got.status, got.body), (206, BYTES[:100]))
        self.assertNotIn(b"/d", [received.target for received in origins[0].requests])
