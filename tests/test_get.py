"""`aprp get` as people run it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twisted.internet.threads import deferToThread

from tests.support.eventually import eventually
from tests.support.mirrored_case import BYTES, SIZE, honest
from tests.support.origin import Origin
from tests.support.replies import File, Pattern, Received, Reply
from tests.support.scripted import ScriptCase

DIGEST = hashlib.sha256(BYTES).hexdigest()
MODIFIED = b"Thu, 01 Jan 2026 00:00:00 GMT"
LATER = b"Fri, 02 Jan 2026 00:00:00 GMT"


def dated(content: Any, date: bytes) -> Any:
    def answer(received: Received) -> Reply:
        reply = File(content).reply(received)
        return reply.lacking(b"Last-Modified").having((b"Last-Modified", date))

    return answer


def read_all(leader: int) -> str:
    """What is written to a terminal, until its last writer is gone."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := os.read(leader, 65536):
            data += piece
    os.close(leader)
    return data.decode()


class GetCase(ScriptCase):
    def setUp(self) -> None:
        super().setUp()
        self.here = self.folder()

    def command(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "aprp", "get", *arguments)

    async def get(self, *arguments: str, status: int = 0) -> tuple[str, str]:
        """What it wrote on standard output and error."""
        found, out, err = await self.ended(self.start(*self.command(*arguments), cwd=self.here))
        self.assertEqual(found, status, err)
        return out, err

    async def films(self, *answers: Any, **options: Any) -> list[str]:
        self.origins: list[Origin] = await self.mirrors(*answers, **options)
        return [origin.url + "/film.mp4" for origin in self.origins]

    def names(self) -> list[str]:
        return sorted(os.listdir(self.here))

    async def interrupted(self, urls: list[str], by: int, until: int) -> int:
        """Begin, and end it by a signal once so many bytes are written; the exit status."""
        process = self.start(*self.command(*urls), cwd=self.here)
        await eventually(
            lambda: sum(origin.bytes_sent for origin in self.origins) > until, "nothing came"
        )
        process.send_signal(by)
        status, _, err = await self.ended(process)
        if by != signal.SIGKILL:
            self.assertIn("interrupted; resume it with -c", err)
        return status


class FileTests(GetCase):
    async def test_the_file_and_a_word_about_it(self) -> None:
        out, err = await self.get(*await self.films(honest, honest))
        self.assertEqual((self.names(), out), (["film.mp4"], ""))
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)
        self.assertIn("film.mp4: 3.0 MiB", err)

    async def test_where_it_goes(self) -> None:
        urls = await self.films(honest)
        (self.here / "sub").mkdir()
        await self.get(*urls, "--output-dir", "sub", "-o", "other")
        self.assertTrue((self.here / "sub" / "other").read_bytes() == BYTES)
        (self.here / "film.mp4").write_bytes(b"mine")
        _, err = await self.get(*urls, status=3)
        self.assertIn("film.mp4 already exists; resume it with -c, or name a file with -o", err)
        self.assertEqual((self.here / "film.mp4").read_bytes(), b"mine")
        await self.get(*urls, "-o", "film.mp4", "--range=-5")
        self.assertEqual((self.here / "film.mp4").read_bytes(), BYTES[-5:])

    async def test_a_name_that_is_too_long_for_a_file(self) -> None:
        _, err = await self.get("http://127.0.0.1:9/" + "n" * 300, status=3)
        self.assertIn("is longer than 240 bytes; name a shorter one with -o", err)
        self.assertNotIn("Traceback", err)

    async def test_standard_output(self) -> None:
        urls = await self.films(lambda received: File(b"0123456789").reply(received))
        out, _ = await self.get(*urls, "-o", "-", "--range", "2-5")
        self.assertEqual((out, self.names()), ("2345", []))

    async def test_a_pipe_that_is_closed(self) -> None:
        urls = await self.films(lambda received: File(Pattern(1 << 24)).reply(received))
        process = self.start(*self.command(*urls, "-o", "-"), cwd=self.here)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        status, _, err = await self.ended(process)
        self.assertEqual(status, 141)
        self.assertNotIn("aprp get:", err)

    async def test_devices_are_written_to(self) -> None:
        await self.get(*await self.films(honest), "-o", "/dev/null", "-q")
        self.assertTrue(Path("/dev/null").is_char_device())

    async def test_an_empty_file(self) -> None:
        await self.get(*await self.films(lambda received: File(b"").reply(received)))
        self.assertEqual((self.here / "film.mp4").read_bytes(), b"")

    async def test_checksums(self) -> None:
        urls = await self.films(honest)
        await self.get(*urls, "--checksum", f"sha-256={DIGEST}")
        _, err = await self.get(*urls, "-o", "two", "--checksum", f"sha-256={'0' * 64}", status=4)
        self.assertIn(f"its sha-256 is {DIGEST}, not 000", err)
        self.assertEqual(self.names(), ["film.mp4"])

    async def test_fields_that_are_sent(self) -> None:
        urls = await self.films(honest)
        await self.get(*urls, "--header", "X-Token: abc", "--header", "User-Agent: mine")
        for received in self.origins[0].requests:
            self.assertEqual(received.all(b"x-token"), [b"abc"])
            self.assertEqual(received.all(b"user-agent"), [b"mine"])

    async def test_a_limit(self) -> None:
        out, _ = await self.get(*await self.films(honest), "--limit-rate", "3MB", "--json")
        self.assertTrue(json.loads(out)["seconds"] >= 0.85, out)

    async def test_no_source(self) -> None:
        urls = await self.films(lambda received: Reply(404))
        _, err = await self.get(*urls, "http://127.0.0.1:1/film.mp4", status=1)
        self.assertIn(f"{self.origins[0].url}: answered 404", err)
        self.assertIn("127.0.0.1:1 refused the connection", err)
        self.assertEqual(self.names(), [])

    async def test_beyond_the_end(self) -> None:
        _, err = await self.get(*await self.films(honest), "--range", f"{SIZE}-", status=1)
        self.assertIn("none in the requested range", err)
        self.assertEqual(self.names(), [])

    async def test_a_redirect_is_followed_only_to_public_places(self) -> None:
        target = "http://127.0.0.9:8080/film.mp4"
        urls = await self.films(lambda received: Reply(302, ((b"Location", target.encode()),)))
        _, err = await self.get(*urls, status=1)
        self.assertIn("127.0.0.9 may not be reached: it is loopback", err)


class GoingOnTests(GetCase):
    async def test_after_an_interruption(self) -> None:
        urls = await self.films(honest, rates=(2e6,))
        self.assertEqual(await self.interrupted(urls, signal.SIGINT, 10**6), 130)
        self.assertEqual(self.names(), ["film.mp4.aprp-part", "film.mp4.aprp-part.json"])
        self.assertEqual((self.here / self.names()[0]).stat().st_size, SIZE)
        self.assertEqual(await self.interrupted([*urls, "-c"], signal.SIGTERM, 2 * 10**6), 143)
        self.origins[0].rate = None
        before = self.origins[0].bytes_sent
        out, _ = await self.get(*urls, "-c", "--json", "--checksum", f"sha-256={DIGEST}")
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)
        self.assertEqual(self.names(), ["film.mp4"])
        summary = json.loads(out)
        self.assertTrue(summary["here_before"] > 100_000, summary)
        self.assertEqual(summary["here_before"] + summary["fetched"], SIZE)
        self.assertTrue(self.origins[0].bytes_sent - before < SIZE)

    async def test_after_a_kill(self) -> None:
        urls = await self.films(honest, rates=(2e6,))
        await self.interrupted(urls, signal.SIGKILL, 10**6)
        self.origins[0].rate = None
        await self.get(*urls, "-c", "--checksum", f"sha-256={DIGEST}")
        self.assertEqual(self.names(), ["film.mp4"])

    async def test_another_version_is_not_gone_on_with(self) -> None:
        other = Pattern(SIZE, seed=2)
        urls = await self.films(dated(BYTES, MODIFIED), rates=(2e6,))
        await self.interrupted(urls, signal.SIGINT, 10**6)
        part = (self.here / "film.mp4.aprp-part").read_bytes()
        for answer, text in (
            (dated(BYTES, LATER), "its Last-Modified is another now"),
            (dated(BYTES + b"more", MODIFIED), f"it was {SIZE} bytes long and is {SIZE + 4} now"),
            (dated(BYTES[:10], MODIFIED), "the file is shorter now"),
            (dated(other, MODIFIED), "its last bytes differ"),
        ):
            self.origins[0].answer, self.origins[0].rate = answer, None
            _, err = await self.get(*urls, "-c", status=5)
            self.assertIn(text, err)
            self.assertEqual(len(self.names()), 2)
            self.assertTrue((self.here / "film.mp4.aprp-part").read_bytes() == part)
        await self.get(*urls)
        self.assertTrue((self.here / "film.mp4").read_bytes() == other[0:SIZE])

    async def test_another_range_is_not_gone_on_with(self) -> None:
        urls = await self.films(honest, rates=(2e6,))
        await self.interrupted([*urls, "--range", "1000-"], signal.SIGINT, 10**6)
        self.origins[0].rate = None
        _, err = await self.get(*urls, "-c", status=5)
        self.assertIn("another range of it was asked for", err)
        await self.get(*urls, "-c", "--range", "1000-")
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES[1000:])

    async def test_what_is_complete_already(self) -> None:
        urls = await self.films(honest)
        await self.get(*urls)
        _, err = await self.get(*urls, "-c", "--checksum", f"sha-256={DIGEST}")
        self.assertIn("is already complete", err)
        await self.get(*urls, "-c", "--checksum", f"sha-256={'0' * 64}", status=4)
        (self.here / "film.mp4").write_bytes(BYTES[:-1])
        _, err = await self.get(*urls, "-c", status=5)
        self.assertIn(f"film.mp4 has {SIZE - 1} bytes, the file there {SIZE}", err)

    async def test_nothing_to_go_on_with(self) -> None:
        await self.get(*await self.films(honest), "-c")
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)

    async def test_two_at_once(self) -> None:
        urls = await self.films(honest, rates=(2e5,))
        process = self.start(*self.command(*urls), cwd=self.here)
        await eventually(lambda: self.origins[0].bytes_sent > 10**5, "nothing came")
        _, err = await self.get(*urls, status=3)
        self.assertIn("film.mp4.aprp-part is being written by another process", err)
        self.origins[0].rate = None
        self.assertEqual((await self.ended(process))[0], 0)


class TellingTests(GetCase):
    async def test_the_summary(self) -> None:
        urls = await self.films(honest, honest)
        out, _ = await self.get(*urls, "--json", "-q")
        told = json.loads(out)
        self.assertEqual((told["complete"], told["range"]), (SIZE, [0, SIZE]))
        self.assertEqual(told["fetched"], SIZE)
        self.assertEqual([each["url"] for each in told["sources"]], urls)
        self.assertEqual(sum(each["bytes"] for each in told["sources"]), SIZE)
        self.assertEqual((told["exit"], told["error"]), (0, None))
        out, _ = await self.get("http://127.0.0.1:1/x", "--json", "-q", status=1)
        told = json.loads(out)
        self.assertEqual(told["exit"], 1)
        self.assertIn("refused the connection", told["error"])

    async def test_the_picture(self) -> None:
        urls = await self.films(honest, honest)
        await self.get(*urls, "--plot", "p.svg")
        picture = ElementTree.fromstring((self.here / "p.svg").read_text())
        lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertTrue(len(lines) > 2)
        texts = [each.text or "" for each in picture.iter("{http://www.w3.org/2000/svg}text")]
        self.assertTrue(any(text.startswith(self.origins[1].url) for text in texts), texts)

    async def test_bars_on_a_terminal(self) -> None:
        urls = await self.films(honest, honest, rates=(3e6, 1e6))
        leader, follower = pty.openpty()
        path = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm"}
        process = subprocess.Popen(self.command(*urls), cwd=self.here, env=path, stderr=follower)
        os.close(follower)
        shown = await deferToThread(read_all, leader)
        self.assertEqual(await deferToThread(process.wait), 0, shown)
        for text in ("film.mp4", "127.0.0.1:", "127.0.0.2:", "MiB/s", "100%"):
            self.assertIn(text, shown)

    async def test_quiet(self) -> None:
        self.assertEqual(await self.get(*await self.films(honest), "-q"), ("", ""))
