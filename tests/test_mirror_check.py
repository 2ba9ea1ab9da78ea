"""`aprp mirror check` as operators run it."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor

from aprp.config import load_text
from aprp.library.arguments import fetch_request
from aprp.mirror.command import report
from aprp.mirror.examine import examine
from aprp.mirror.findings import judged
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from tests.support.mirrored_case import BYTES, FILM, SIZE, honest
from tests.support.replies import File, Received, Reply, status
from tests.support.scripted import ScriptCase

reactor: Any = _reactor
OLDER = b"Wed, 31 Dec 2025 00:00:00 GMT"
DIGEST = base64.b64encode(hashlib.sha256(BYTES).digest())


def serving(content: Any = FILM, *fields: tuple[bytes, bytes], **file: Any) -> Any:
    def answer(received: Received) -> Reply:
        return File(content, **file).reply(received).having(*fields)

    return answer


class CheckCase(ScriptCase):
    async def check(self, *arguments: str, status: int) -> str:
        """What the command prints on standard output, or on standard error if it refuses to run."""
        command = (sys.executable, "-m", "aprp", "mirror", "check", *arguments)
        found, out, err = await self.ended(self.start(*command))
        self.assertEqual(found, status, out + err)
        self.assertNotIn("Traceback", err)
        return out or err

    async def compared(self, *answers: Any, same: bool, samples: int = 8, ends: str = "") -> str:
        """What it prints about mirrors with these answers, run in this process."""
        self.origins = await self.mirrors(*answers)
        urls = [f"{origin.url}/pub/film.mp4{ends}" for origin in self.origins]
        agent = Agent(reactor)
        self.addCleanup(agent.close)
        request = fetch_request(urls, same="digest", redirects="public")
        pick = random.Random(1).sample
        findings = await examine(SharedResources(agent, reactor), request, samples, pick)
        verdict, out = judged(findings), io.StringIO()
        self.assertIs(verdict.same, same)
        report(findings, verdict, out)
        return out.getvalue()

    def route_in(self, out: str) -> Any:
        """The route that it prints, which has no faults."""
        yaml = "listen: [tcp:0]\n" + out[out.index("routes:\n") :]
        (route,) = load_text(yaml, Path("aprp.yaml")).settings.routes
        return route


class SameTests(CheckCase):
    async def test_mirrors_that_agree(self) -> None:
        out = await self.compared(honest, honest, same=True)
        self.assertIn("The same file: all 2 mirrors agree.", out)
        self.assertIn(f"The length is {SIZE} bytes, and 8 blocks of 16 KiB", out)
        self.assertIn("`same: modified` would hold: use it.", out)
        self.assertIn("`same: digest` wouldn't hold: mirror 1 gives no digest", out)
        self.assertIn("2026-01-01 00:00:00", out)
        route = self.route_in(out)
        self.assertEqual((route.path, route.same), ("/pub/", "modified"))
        urls = [str(source.url) for source in route.sources]
        self.assertEqual(urls, [f"{origin.url}/pub/" for origin in self.origins])

    async def test_all_are_asked_for_the_same_blocks(self) -> None:
        await self.compared(honest, honest, same=True, samples=30)
        asked = [
            {each.range for each in origin.requests if each.range != (0, SIZE)}
            for origin in self.origins
        ]
        self.assertEqual(asked[0], asked[1])
        self.assertEqual(len(asked[0]), 30)
        self.assertIn((SIZE // 16384 * 16384, SIZE), asked[0])

    async def test_every_block(self) -> None:
        out = await self.compared(honest, honest, same=True, samples=4096)
        self.assertIn("and every byte is equal.", out)

    async def test_digests_are_asked_for_and_outweigh_dates(self) -> None:
        given = (b"Repr-Digest", b"sha-256=:" + DIGEST + b":")
        dated = serving(FILM, given, last_modified=OLDER, etag=b'"b"')
        out = await self.compared(serving(FILM, given), dated, same=True)
        self.assertIn("sha-256 " + hashlib.sha256(BYTES).hexdigest()[:8], out)
        self.assertIn("`same: digest` would hold: use it.", out)
        self.assertIn("`same: modified` wouldn't hold: mirror 2 has another file", out)
        self.assertEqual(self.route_in(out).same, "digest")
        wanted = {each.get(b"want-repr-digest") for each in self.origins[0].requests}
        self.assertEqual(wanted, {b"sha-256=10, sha-512=3"})

    async def test_dates_that_differ(self) -> None:
        out = await self.compared(honest, serving(etag=None, last_modified=OLDER), same=True)
        self.assertIn("`same: length` would hold: use it.", out)
        route = self.route_in(out)
        self.assertEqual((route.same, route.compare), ("length", "sample"))

    async def test_files_at_other_names_and_queries(self) -> None:
        out = await self.compared(honest, same=True, ends="?key=a%20b")
        self.assertIn(f"There is one mirror: its file has {SIZE} bytes.", out)
        route = self.route_in(out)
        self.assertEqual(route.path, "/film.mp4")
        self.assertEqual(str(route.sources[0].url), f"{self.origins[0].url}/pub/film.mp4?key=a%20b")

    async def test_an_empty_file(self) -> None:
        empty = serving(b"")
        out = await self.compared(empty, empty, same=True)
        self.assertIn("The length is 0 bytes, and every byte is equal.", out)

    async def test_a_mirror_that_ignores_ranges(self) -> None:
        out = await self.compared(honest, serving(ranges=False), same=True)
        self.assertIn("mirror 2 ignores ranges; only its beginning was compared.", out)


class DifferentTests(CheckCase):
    async def test_one_flipped_bit_in_a_compared_block(self) -> None:
        at = SIZE - 7
        flipped = BYTES[:at] + bytes((BYTES[at] ^ 1,)) + BYTES[at + 1 :]
        out = await self.compared(honest, serving(flipped), honest, same=False)
        self.assertIn(f"mirror 2: differs from mirror 1 first at byte {at}", out)
        self.assertIn("Beware: `same: modified` would combine mirror 2", out)
        self.assertEqual(len(self.route_in(out).sources), 2)

    async def test_a_flipped_bit_in_mid_file_when_all_is_compared(self) -> None:
        at = SIZE // 2
        flipped = BYTES[:at] + bytes((BYTES[at] ^ 128,)) + BYTES[at + 1 :]
        out = await self.compared(honest, serving(flipped), same=False, samples=4096)
        self.assertIn(f"mirror 2: differs from mirror 1 first at byte {at}", out)

    async def test_lengths(self) -> None:
        out = await self.compared(honest, serving(BYTES + b"padded"), same=False)
        self.assertIn(f"mirror 2: has {SIZE + 6} bytes, mirror 1 has {SIZE}", out)

    async def test_a_mirror_without_the_file(self) -> None:
        out = await self.compared(honest, lambda _: status(404), honest, same=False)
        self.assertIn("answered 404", out)
        self.assertIn("Not all mirrors could be compared; mirrors 1 and 3 agree.", out)
        self.assertEqual(len(self.route_in(out).sources), 2)

    async def test_a_mirror_that_changes_its_file_meanwhile(self) -> None:
        def changing(received: Received) -> Reply:
            return File(FILM, etag=b'"%d"' % min(received.number, 4)).reply(received)

        out = await self.compared(honest, changing, same=False)
        self.assertIn("has changed its file: the ETag was", out)

    async def test_as_a_command(self) -> None:
        self.origins = await self.mirrors(honest, serving(BYTES[:-1]))
        out = await self.check(*(origin.url + "/f" for origin in self.origins), status=1)
        self.assertIn("Different files.", out)

    async def test_nobody_answers(self) -> None:
        out = await self.check("http://127.0.0.1:9/film.mp4", status=1)
        self.assertIn("No mirror could be compared.", out)
        self.assertIn("refused the connection", out)
        self.assertNotIn("routes:", out)


class UsageTests(CheckCase):
    async def test_what_is_refused(self) -> None:
        err = await self.check("nothing", status=2)
        self.assertIn("aprp mirror check: nothing is not an absolute URL", err)
        err = await self.check("--samples", "1", "http://127.0.0.1:9/", status=2)
        self.assertIn("--samples must be a whole number from 2 to 4096", err)
