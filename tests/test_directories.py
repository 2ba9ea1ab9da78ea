"""Directories on disk as sources of a route, by themselves and beside servers."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from unittest import mock

from aprp.config import Same
from aprp.core.http.fields import Fields
from aprp.core.http.urls import Url
from aprp.core.http.validators import parse_date
from aprp.upstream.exchange import Origin, SourceRequest, Timeouts
from aprp.upstream.tally import SourceTally
from aprp.upstream.transfer.collector import Collector
from tests.support.eventually import eventually
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest
from tests.support.replies import File, Pattern, Received, Reply, Stall, Step

MODIFIED = parse_date(b"Thu, 01 Jan 2026 00:00:00 GMT")
"""That of the files of honest origins."""


def difference(body: bytes) -> str | None:
    """How a body differs from the file; None where it doesn't."""
    if body == BYTES:
        return None
    pairs = enumerate(zip(body, BYTES, strict=False))
    first = next((at for at, (one, other) in pairs if one != other), None)
    return f"{len(body)} bytes of {SIZE}, the first wrong one at {first}"


class DirectoryCase(MirroredCase):
    def setUp(self) -> None:
        super().setUp()
        self.films = self.folder()

    def put(self, content: bytes = BYTES, name: str = "film.mp4") -> Path:
        """A file in the directory, modified when those of the mirrors were."""
        path = self.films / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert MODIFIED is not None
        os.utime(path, (MODIFIED, MODIFIED))
        return path

    def asked_of(self, source: str) -> int:
        """How many bytes of the last answer came from the source."""
        return dict(self.records[-1].sources).get(source, 0)

    @property
    def own(self) -> str:
        return f"{self.films}/"


class AloneTests(DirectoryCase):
    """A directory as the only source."""

    async def test_files(self) -> None:
        self.put()
        self.put(b"in it", "a b/c.txt")
        self.put(b"", "empty.mp4")
        port = self.in_front_of([self.films], path="/films/")
        got = await self.ask(port, "/films/film.mp4?token=1")
        self.assertEqual((got.status, difference(got.body)), (200, None))
        self.assertEqual(got.fields["Content-Type"], "video/mp4")
        self.assertEqual(got.fields["Last-Modified"], "Thu, 01 Jan 2026 00:00:00 GMT")
        self.assertNotIn("W/", got.fields["ETag"])
        self.assertEqual(self.records[-1].sources, ((self.own, SIZE),))
        self.assertEqual((await self.ask(port, "/films/a%20b/c.txt")).body, b"in it")
        got = await self.ask(port, "/films/empty.mp4")
        self.assertEqual((got.status, got.body), (200, b""))
        got = await self.ask(port, "/films/film.mp4", method="HEAD")
        self.assertEqual((got.status, got.fields["Content-Length"]), (200, str(SIZE)))

    async def test_ranges(self) -> None:
        self.put()
        port = self.in_front_of([self.films])
        for asked, start, stop in (
            ("bytes=0-99", 0, 100),
            ("bytes=1000000-2500000", 1000000, 2500001),
            ("bytes=-500", SIZE - 500, SIZE),
            (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ):
            got = await self.ask(port, "/film.mp4", {"Range": asked})
            self.assertEqual((got.status, got.body == BYTES[start:stop]), (206, True), asked)
        got = await self.ask(port, "/film.mp4", {"Range": f"bytes={SIZE}-"})
        self.assertEqual(got.status, 416)

    async def test_what_is_no_file_of_it(self) -> None:
        self.put(b"outside", "../secret.txt")
        (self.films / "sub").mkdir()
        os.mkfifo(self.films / "fifo")
        port = self.in_front_of([self.films], path="/films/")
        for path in (
            *("", "none.mp4", "sub", "sub/", "sub/none", "fifo", "..%2Fsecret.txt", "%00"),
            *("sub/%2e%2e/%2e%2e/secret.txt", "sub//../../secret.txt", "x" * 300, "film.mp4/x"),
        ):
            got = await self.ask(port, f"/films/{path}")
            self.assertIn(got.status, (400, 404), path)
            self.assertNotIn(b"outside", got.body)

    async def test_a_symbolic_link_is_followed(self) -> None:
        aside = self.folder() / "elsewhere.mp4"
        aside.write_bytes(BYTES)
        (self.films / "link.mp4").symlink_to(aside)
        (self.films / "loop.mp4").symlink_to("loop.mp4")
        port = self.in_front_of([self.films])
        self.assertEqual((await self.ask(port, "/link.mp4")).body, BYTES)
        self.assertEqual((await self.ask(port, "/loop.mp4")).status, 404)

    async def test_a_file_that_may_not_be_read(self) -> None:
        self.put()
        refused = mock.patch.object(
            os, "open", side_effect=PermissionError(13, "Permission denied")
        )
        with refused:
            got = await self.ask(self.in_front_of([self.films]), "/film.mp4")
        self.assertEqual(got.status, 403)
        self.assertIn("doesn't let aprp read the file", got.body.decode())
        self.assertNotIn(str(self.films), got.body.decode())

    async def test_a_file_that_was_just_written(self) -> None:
        """Its date may be that of another version: it is no strong validator yet."""
        self.put()
        os.utime(self.films / "film.mp4")
        got = await self.ask(self.in_front_of([self.films]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))
        self.assertTrue(got.fields["ETag"].startswith("W/"))

    async def test_a_file_that_changes_while_it_is_read(self) -> None:
        path = self.put()
        for change in (
            lambda: path.write_bytes(BYTES[::-1]),
            lambda: _append(path),
            lambda: os.truncate(path, 1_000_000),
        ):
            self.put()
            port = self.in_front_of([self.films], resume_for=0.0)
            with _before_read(2_000_000, change):
                got = await self.ask(port, "/film.mp4")
            self.assertEqual((got.status, got.whole), (200, False))
            self.assertEqual(got.body, BYTES[: len(got.body)])

    async def test_what_is_counted(self) -> None:
        self.put(BYTES[:1000])
        self.in_front_of([self.films])
        tally = SourceTally("films")
        origin = Origin.of(Url.of_directory(str(self.films)))
        fields = Fields(((b"Range", b"bytes=5-"),))
        request = SourceRequest(
            b"GET", origin, b"/film.mp4", fields, Timeouts(5.0, 5.0, 5.0), tally=tally
        )
        exchange = await self.agent.open(request)
        self.assertEqual(self.agent.in_use(), {self.own.rstrip("/"): 1})
        self.assertEqual(await exchange.pump(Collector(5)), 995)
        self.assertEqual((tally.requests, tally.received), (1, 995))
        self.assertEqual(tally.versions, {"disk": 1})

    async def test_nothing_stays_open(self) -> None:
        self.put()
        port = self.in_front_of([self.films])
        client = await self.client(port)
        await client.send(b"GET /film.mp4 HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(lambda: len(client.data) > 1000)
        client.transport.abortConnection()
        await eventually(lambda: not self.agent.connections)
        self.assertEqual(self.agent.in_use(), {})


class BesideServersTests(DirectoryCase):
    async def test_a_whole_copy_carries_its_part(self) -> None:
        self.put()
        origins = await self.mirrors(honest, rates=(2e6,))
        got = await self.ask(self.in_front_of([self.films, *origins]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))
        self.assertGreater(self.asked_of(self.own), SIZE // 2)

    async def test_a_copy_that_ends_early(self) -> None:
        """It answers first, and a server says what the file is all the same."""
        self.put(BYTES[:2_000_000])
        for same in (Same.MODIFIED, Same.LENGTH):
            origins = await self.mirrors(honest, rates=(8e6,), latency=0.2)
            port = self.in_front_of([self.films, *origins], same=same)
            for fields, wanted in (({}, BYTES), ({"Range": "bytes=1999000-"}, BYTES[1999000:])):
                got = await self.ask(port, "/film.mp4", fields)
                self.assertEqual((got.status // 100, got.body == wanted), (2, True), same)
                self.assertEqual(self.asked_of(self.own), 0)
            got = await self.ask(port, "/film.mp4", method="HEAD")
            self.assertEqual(got.fields["Content-Length"], str(SIZE))

    async def test_a_copy_of_another_version(self) -> None:
        self.put(BYTES[::-1])
        os.utime(self.films / "film.mp4", (1, 1))
        origins = await self.mirrors(honest)
        got = await self.ask(self.in_front_of([self.films, *origins]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_a_file_that_only_servers_have(self) -> None:
        origins = await self.mirrors(honest)
        got = await self.ask(self.in_front_of([self.films, *origins]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_a_directory_that_is_missing(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of([self.films / "none", *origins])
        got = await self.ask(port, "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_a_file_that_no_source_has(self) -> None:
        origins = await self.mirrors(lambda _: Reply(404))
        got = await self.ask(self.in_front_of([self.films, *origins]), "/film.mp4")
        self.assertEqual(got.status, 404)

    async def test_where_servers_fail_the_copy_speaks(self) -> None:
        self.put()
        origins = await self.mirrors(lambda _: Reply(404), lambda _: Reply(500))
        got = await self.ask(self.in_front_of([*origins, self.films]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_a_copy_that_a_server_vouched_for_waits_for_none(self) -> None:
        self.put()
        silent: list[Step] = [Stall()]
        answers: list[Any] = [honest]
        origins = await self.mirrors(lambda received: answers[0](received))
        port = self.in_front_of([self.films, *origins])
        self.assertEqual((await self.ask(port, "/film.mp4")).body, BYTES)
        answers[0] = lambda _: silent
        with mock.patch("aprp.upstream.transfer.transfer.SERVERS_ANSWER_WITHIN", 50.0):
            got = await self.ask(port, "/film.mp4", {"Range": "bytes=5-99999"})
        self.assertEqual(got.body, BYTES[5:100000])

    async def test_silent_servers_and_a_copy_that_none_vouched_for(self) -> None:
        self.put()
        silent: list[Step] = [Stall()]
        origins = await self.mirrors(lambda _: silent)
        with mock.patch("aprp.upstream.transfer.transfer.SERVERS_ANSWER_WITHIN", 0.2):
            got = await self.ask(self.in_front_of([self.films, *origins]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_a_copy_that_changed_since_a_server_vouched_for_it(self) -> None:
        self.put()
        origins = await self.mirrors(honest, rates=(8e6,), latency=0.1)
        port = self.in_front_of([self.films, *origins])
        self.assertEqual((await self.ask(port, "/film.mp4")).body, BYTES)
        self.put(BYTES[:1_000_000])
        for _ in range(2):
            self.assertEqual((await self.ask(port, "/film.mp4")).body, BYTES)

    async def test_a_server_that_shows_no_validator_is_read_alone(self) -> None:
        self.put(BYTES[:1_000_000])
        bare = File(Pattern(SIZE))

        def answer(received: Received) -> Reply:
            return bare.reply(received).lacking(b"etag", b"last-modified")

        origins = await self.mirrors(answer)
        got = await self.ask(self.in_front_of([self.films, *origins]), "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_a_copy_that_goes_while_it_is_read(self) -> None:
        for go in (
            lambda path: path.unlink(),
            lambda path: path.rename(path.with_suffix(".old")),
            lambda path: os.truncate(path, 10),
            lambda path: path.write_bytes(BYTES[::-1]),
        ):
            path = self.put()
            origins = await self.mirrors(honest, rates=(8e6,))
            port = self.in_front_of([self.films, *origins])
            with _before_read(1_500_000, lambda go=go, path=path: go(path)):
                got = await self.ask(port, "/film.mp4")
            self.assertEqual((got.status, difference(got.body)), (200, None))
            for origin in origins:
                await origin.stop()

    async def test_a_disk_that_fails(self) -> None:
        """A mirror has what it can't read."""

        def fail() -> None:
            raise OSError(5, "Input/output error")

        self.put()
        origins = await self.mirrors(honest, rates=(8e6,))
        port = self.in_front_of([self.films, *origins])
        with _before_read(1_000_000, fail, always=True):
            got = await self.ask(port, "/film.mp4")
        self.assertEqual((got.status, difference(got.body)), (200, None))

    async def test_its_threads_end_with_the_agent(self) -> None:
        others = set(threading.enumerate())
        self.put()
        port = self.in_front_of([self.films])
        self.assertEqual((await self.ask(port, "/film.mp4")).body, BYTES)
        await self.agent.close()
        await eventually(
            lambda: (
                not [each for each in set(threading.enumerate()) - others if each.name == "disk"]
            )
        )


class HangingTests(DirectoryCase):
    """A disk that doesn't answer, as a file server that is away."""

    def setUp(self) -> None:
        super().setUp()
        self.disk = threading.Event()
        self.addCleanup(self.disk.set)

    def hang(self, *_: object) -> None:
        self.disk.wait(50)

    async def test_the_film_goes_on_when_reads_hang(self) -> None:
        self.put()
        origins = await self.mirrors(honest, rates=(8e6,))
        port = self.in_front_of([self.films, *origins], between_bytes_timeout=0.5)
        with _before_read(1_000_000, self.hang):
            got = await self.ask(port, "/film.mp4")
            self.assertEqual((got.status, difference(got.body)), (200, None))
            self.disk.set()
            await eventually(lambda: not self.agent.in_use())

    async def test_the_film_goes_on_when_opening_hangs(self) -> None:
        self.put()
        origins = await self.mirrors(honest)
        port = self.in_front_of([self.films, *origins], first_byte_timeout=0.5)
        stuck = os.stat

        def stat(path: Any) -> Any:
            self.hang()
            return stuck(path)

        with mock.patch.object(os, "stat", stat):
            for _ in range(12):  # more than there are threads
                got = await self.ask(port, "/film.mp4", {"Range": "bytes=0-99999"})
                self.assertEqual((got.status, got.body), (206, BYTES[:100000]))
            self.disk.set()
            await eventually(lambda: not self.agent.in_use())
        descriptors = len(os.listdir("/proc/self/fd"))
        await eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)

    async def test_alone_it_times_out(self) -> None:
        self.put()
        port = self.in_front_of([self.films], between_bytes_timeout=0.2, resume_for=0.5)
        with _before_read(1_000_000, self.hang, always=True):
            got = await self.ask(port, "/film.mp4")
            self.assertEqual((got.status, got.whole), (200, False))
            self.disk.set()


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _before_read(at: int, act: Any, always: bool = False) -> Any:
    """Have something happen before a read that goes beyond that offset of a file: the first one,
    or each."""
    read, done = os.pread, threading.Event()

    def pread(descriptor: int, count: int, offset: int) -> bytes:
        if offset + count > at and not done.is_set():
            if not always:
                done.set()
            act()
        return read(descriptor, count, offset)

    return mock.patch.object(os, "pread", pread)
