"""What an operator sees of the cache and does with it."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace

from twisted.internet.defer import Deferred

from aprp.cache.store.store import CacheTrouble
from aprp.core.cache.eviction import Queue
from aprp.core.cache.extents import BLOCK
from tests.support.faulty_disk import MIB, StoreCase, ThreadedClock, body_of, meta_for
from tests.support.nginx import Nginx
from tests.support.patience import PATIENCE
from tests.support.running import Running, get
from tests.test_ctl import ControlCase

CONFIG = """\
listen: ["tcp:0:interface=127.0.0.1"]
admin: "tcp:0:interface=127.0.0.1"
control: ctl.sock
workers: {workers}
{cache}
routes:
  - path: /films/
    cache: {{valid: 1h}}
    sources: [{{url: "{url}"}}]
  - path: /one/
    upstream: {url}
  - path: /live/
    upstream: {url}
    cache: off
  - path: /private/
    upstream: {url}private/
"""


class ContentsTests(StoreCase):
    async def test_files_are_listed_newest_first(self) -> None:
        store = self.store()
        for number in range(4):
            meta = replace(meta_for(MIB * number), received_at=5.0 * number)
            file = await store.create(b"/films/\n%d.mp4" % number, meta, pinned=number == 2)
            await self.fill(file, body_of(number, MIB * number))
            file.close()
        found = await store.contents.listed("*", 3)
        self.assertEqual(
            [(each.key[-5:], each.complete, each.pinned, each.received_at) for each in found],
            [
                (b"3.mp4", 3 * MIB, False, 15.0),
                (b"2.mp4", 2 * MIB, True, 10.0),
                (b"1.mp4", MIB, False, 5.0),
            ],
        )
        self.assertGreaterEqual(found[0].stored, 3 * MIB)
        (one,) = await store.contents.listed("1.mp4", 10)
        self.assertEqual(one.key, b"/films/\n1.mp4")

    async def test_purging(self) -> None:
        store = self.store()
        files = [await self.film(store, b"/%d" % n, body_of(n, BLOCK)) for n in range(3)]
        self.assertEqual(await store.contents.purge("/1"), 1)
        self.assertEqual([file.doomed for file in files], [False, True, False])
        for file in files:
            file.close()
        self.assertEqual(await store.contents.purge("*"), 2)
        self.assertEqual(await store.contents.listed("*", 10), [])
        await store.close()
        self.assertEqual(self.data_files(), [])

    async def test_pinning(self) -> None:
        store = self.store()
        for number in range(2):
            (await self.film(store, b"/%d" % number, body_of(number, MIB))).close()
        await store.upkeep.now()
        for pinned, pattern, held in ((True, "/0", 1), (True, "*", 2), (False, "*", 0)):
            await store.contents.pin(pattern, pinned)
            found = await store.run(lambda index: index.chunks.bytes_in())
            self.assertEqual(found[Queue.PINNED] // MIB, held)
        self.assertEqual(await store.contents.pin("/none", True), 0)

    async def test_verifying(self) -> None:
        clock = ThreadedClock()
        store = self.store(clock=clock)
        bodies = [body_of(number, MIB + 5) for number in range(3)]
        files = [await self.film(store, b"/%d" % n, body) for n, body in enumerate(bodies)]
        self.assertTrue(await store.contents.verify(5.0))
        checked = store.contents.checked
        self.assertEqual((checked.blocks, checked.lost), (51, 0))
        await files[2].write(0, bytes(BLOCK))
        path = store.folder.chunk(files[0].id, 0)
        for at in (0, 3 * BLOCK, MIB + 4):
            descriptor = os.open(path, os.O_WRONLY)
            os.pwrite(descriptor, b"!?", at)
            os.close(descriptor)
        os.unlink(store.folder.chunk(files[1].id, 0))
        self.assertTrue(await store.contents.verify(5.0))
        checked = store.contents.checked
        self.assertEqual((checked.blocks, checked.lost), (51, 3 + 17))
        self.assertFalse(files[0].present.covers(0, 1))
        self.assertEqual(
            await self.content(files[0], BLOCK, 3 * BLOCK), bodies[0][BLOCK : 3 * BLOCK]
        )
        self.assertEqual(files[1].present.total, 0)
        self.assertTrue(await store.contents.verify(5.0))
        self.assertEqual(store.contents.checked.lost, 0)
        self.disk.slow = {"read"}
        early = Deferred.fromCoroutine(store.contents.verify(2.0))
        waiting = Deferred.fromCoroutine(store.contents.verify(5.0))
        for file in files:
            file.close()
        await store.upkeep.now()
        clock.advance(4.9)
        self.assertFalse(await early)
        self.disk.slow = set()
        self.disk.gate.set()
        self.assertTrue(await waiting)

    async def test_a_cache_that_cannot_be_used(self) -> None:
        self.disk.fails["mkdir"] = 13
        store = self.store(clock=ThreadedClock())
        await store.opened
        for failing in (store.contents.listed("*", 1), store.contents.purge("*")):
            with self.assertRaises(CacheTrouble) as raised:
                await failing
            self.assertIn("can't be used: ", str(raised.exception))
        self.assertIn("can't be used: ", store.why_unusable)


class CommandTests(ControlCase):
    def start(self, workers: int = 1, cache: str = "cache: {path: cache, size: 64MiB}") -> Running:
        folder = self.path.parent
        (folder / "nginx").mkdir()
        private = "location /private/ { alias {folder}/www/; add_header Cache-Control private; }"
        self.nginx = Nginx(folder / "nginx", private)
        self.addCleanup(self.nginx.stop)
        (self.nginx.www / "a.mp4").write_bytes(body_of(1, MIB))
        url = f"http://127.0.0.1:{self.nginx.port}/"
        self.path.write_text(CONFIG.format(workers=workers, cache=cache, url=url))
        daemon = Running(self, "--config", str(self.path))
        self.address = daemon.ready()
        return daemon

    def metric(self, daemon: Running, name: str) -> float:
        text = get(str(daemon.admin), "/metrics")[2].decode()
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", text)
        assert found is not None, f"{name} is not in\n{text}"
        return float(found[1])

    def test_one_process(self) -> None:
        self._commands(1)

    def test_several_workers(self) -> None:
        self._commands(2)

    def _commands(self, workers: int) -> None:
        daemon = self.start(workers)
        self._wait_until_usable(daemon)
        for name in ('requests_total{result="hit",route="/films/"}', "errors_total"):
            self.assertEqual(self.metric(daemon, f"aprp_cache_{name}"), 0)
        self.assertIn("no such files", self.ctl("cache", "list")[1], daemon.err)
        for _ in range(2):
            self.assertEqual(get(self.address, "/films/a.mp4")[2], body_of(1, MIB))
        self._wait_until_stored()
        status, said = self.ctl("--json", "cache", "list", "/films/*")
        self.assertEqual(status, 0, said)
        (film,) = json.loads(said)["files"]
        self.assertEqual((film["length"], film["pinned"]), (MIB, False))
        self.assertEqual(self.ctl("cache", "pin", "a.mp4"), (0, "1 file pinned"))
        self.assertEqual(self.ctl("cache", "pin", "a.mp4"), (0, "0 files pinned"))
        self.assertEqual(self.ctl("cache", "unpin", "none"), (0, "0 files unpinned"))
        self.assertIn("pinned", self.ctl("cache", "list")[1])
        self.assertEqual(self.ctl("cache", "verify"), (0, "16 blocks read, 0 of them lost"))
        hits = 'aprp_cache_requests_total{result="hit",route="/films/"}'
        self.assertGreaterEqual(self.metric(daemon, hits), 2 - workers)
        self.assertGreaterEqual(self.metric(daemon, "aprp_cache_written_bytes_total"), MIB)
        self.assertEqual(self.metric(daemon, "aprp_cache_size_bytes"), 64 * MIB)
        self.assertLess(self.metric(daemon, "aprp_cache_used_bytes"), 8 * MIB)
        self.assertEqual(self.metric(daemon, "aprp_cache_usable"), 1)
        shown = json.loads(get(str(daemon.admin), "/status")[2])["cache"]
        self.assertEqual((shown["usable"], shown["size"]), (True, 64 * MIB))
        self.assertGreaterEqual(shown["hits"], 2 - workers)
        self.assertEqual(self.ctl("cache", "purge", "*"), (0, "1 file deleted"))
        self.assertIn("no such files", self.ctl("cache", "list")[1])
        url = f"http://{self.address}/films/a.mp4"
        status, said = self.ctl("cache", "prefetch", url)
        self.assertEqual((status, said[:9]), (0, "fetching "), said)
        self.assertIn(", 1.0 MB;", said)
        self._wait_until_stored()
        self.assertIn("answered with 404", self.ctl("cache", "prefetch", f"{url}x")[1])
        self.assertIn("is not a URL", self.ctl("cache", "prefetch", "a.mp4")[1])
        for path, why in (
            ("live", "isn't kept: its route has no cache"),
            (
                "private",
                "isn't kept; Cache-Status says: aprp; fwd=uri-miss; fwd-status=200;",
            ),
        ):
            status, said = self.ctl("cache", "prefetch", f"http://{self.address}/{path}/a.mp4")
            self.assertEqual(status, 1)
            self.assertIn(why, said)
        daemon.stop()

    def _wait_until_usable(self, daemon: Running) -> None:
        """Wait until every worker has opened the folder: before that it serves without it."""
        deadline = time.monotonic() + PATIENCE
        while self.metric(daemon, "aprp_cache_usable") < 1:
            self.assertLess(time.monotonic(), deadline, daemon.err)
            time.sleep(0.05)

    def _wait_until_stored(self) -> None:
        """Wait until all of the film is on disk: clients don't."""
        deadline = time.monotonic() + PATIENCE
        while "1.0 MB  1.0 MB" not in (said := self.ctl("cache", "list")[1]):
            self.assertLess(time.monotonic(), deadline, said)
            time.sleep(0.05)

    def test_without_a_cache(self) -> None:
        daemon = self.start(cache="")
        status, said = self.ctl("cache", "list")
        self.assertEqual(status, 1)
        self.assertIn("there is no cache; set cache:", said)
        self.assertIsNone(json.loads(get(str(daemon.admin), "/status")[2])["cache"])
        self.assertNotIn(b"aprp_cache_", get(str(daemon.admin), "/metrics")[2])
