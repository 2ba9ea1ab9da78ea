"""The log's files rotate and open anew; its lines keep to their level and can't be forged."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aprp.daemon.log_sinks import Losses, RotatingFile, StreamSink
from aprp.daemon.logging import LogWriter
from tests.support.logged import Logged


class RotatingFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "log"
        self.complaints: list[str] = []

    def make(self, max_size: int = 10, keep: int = 2) -> RotatingFile:
        file = RotatingFile(self.path, max_size, keep, complain=self.complaints.append)
        self.addCleanup(file.close)
        return file

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def test_appends_to_what_is_there(self) -> None:
        self.path.write_bytes(b"old\n")
        self.make().write(b"new\n")
        self.assertEqual(self.contents(), {"log": b"old\nnew\n"})

    def test_rotates_before_it_would_grow_over_its_size(self) -> None:
        file = self.make(max_size=10)
        for line in (b"1234\n", b"5678\n", b"9\n"):
            file.write(line)
        self.assertEqual(self.contents(), {"log": b"9\n", "log.1": b"1234\n5678\n"})

    def test_size_counts_what_was_there_before(self) -> None:
        self.path.write_bytes(b"12345678\n")
        self.make(max_size=10).write(b"ab\n")
        self.assertEqual(self.contents(), {"log": b"ab\n", "log.1": b"12345678\n"})

    def test_keeps_so_many_and_no_more(self) -> None:
        file = self.make(max_size=2, keep=2)
        for number in range(1, 6):
            file.write(b"%d\n" % number)
        self.assertEqual(self.contents(), {"log": b"5\n", "log.1": b"4\n", "log.2": b"3\n"})

    def test_keep_none(self) -> None:
        file = self.make(max_size=2, keep=0)
        file.write(b"1\n")
        file.write(b"2\n")
        self.assertEqual(self.contents(), {"log": b"2\n"})

    def test_a_line_longer_than_the_size_is_written_whole(self) -> None:
        file = self.make(max_size=2)
        file.write(b"a long line\n")
        file.write(b"x\n")
        self.assertEqual(self.contents(), {"log": b"x\n", "log.1": b"a long line\n"})

    def test_reopen_follows_a_rotation_from_outside(self) -> None:
        file = self.make(max_size=1000)
        file.write(b"before\n")
        self.path.rename(self.folder / "moved")
        file.write(b"still there\n")
        file.reopen()
        file.write(b"after\n")
        self.assertEqual(self.contents(), {"moved": b"before\nstill there\n", "log": b"after\n"})

    def test_reopen_that_fails_goes_on_as_before(self) -> None:
        file = self.make(max_size=1000)
        moved = self.folder / "moved"
        self.path.rename(moved)
        self.path.mkdir()
        file.reopen()
        file.write(b"kept\n")
        self.assertEqual(moved.read_bytes(), b"kept\n")
        self.assertEqual(len(self.complaints), 1)
        self.assertIn(str(self.path), self.complaints[0])

    def test_a_full_disk_is_told_once_and_fails_nobody(self) -> None:
        self.path = Path("/dev/full")
        file = self.make()
        file.write(b"x\n")
        file.write(b"x\n")
        self.assertEqual(len(self.complaints), 1)
        self.assertIn("/dev/full", self.complaints[0])

    def test_a_rotation_that_fails_loses_lines_not_the_daemon(self) -> None:
        file = self.make(max_size=2, keep=1)
        (self.folder / "log.1").mkdir()
        (self.folder / "log.1" / "in the way").touch()
        file.write(b"1\n")
        file.write(b"2\n")
        self.assertEqual(len(self.complaints), 1)

    def test_pipes_do_not_rotate(self) -> None:
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        file = self.make(max_size=2)
        file.write(b"one\n")
        file.write(b"two\n")
        self.assertEqual(os.read(reader, 100), b"one\ntwo\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["log"])

    def test_a_folder_that_is_missing_is_an_error_at_once(self) -> None:
        self.path = self.folder / "missing" / "log"
        self.assertRaises(FileNotFoundError, self.make)


class StalledReaderTests(SynchronousTestCase):
    """A pipe whose reader takes nothing: writing returns, and what has no room is dropped."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.losses = Losses("access log")
        self.logged = Logged(self)

    def stalled(self, sink: StreamSink | RotatingFile) -> int:
        """Write lines of 3000 bytes until some are lost; how many were not."""
        lines = 0
        while not self.losses.total:
            sink.write(b"%04d%s\n" % (lines, b"." * 2995))
            lines += 1
        for _ in range(4):
            sink.write(b"lost\n")
        self.assertEqual(self.losses.total, 5)
        return lines - 1

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += os.read(self.reader, count - len(data))
        return data

    def check(self, sink: StreamSink | RotatingFile) -> None:
        kept = self.stalled(sink)
        # The last line kept may be half in the pipe, and its rest come with the next one.
        before = self.read(min(kept * 3000, 3000 * (kept - 1)))
        self.assertEqual(len(before.splitlines()), kept - 1)
        sink.write(b"back\n")
        after = self.read(3000 + len(b"back\n"))
        self.assertEqual(after, b"%04d%s\nback\n" % (kept - 1, b"." * 2995))
        (said,) = [line for line in self.logged.lines if "dropped" in line]
        self.assertIn("5 lines of the access log were dropped", said)
        sink.write(b"more\n")
        self.assertEqual(self.losses.total, 5)

    def test_standard_output(self) -> None:
        with open(self.writer, "wb") as stream:
            self.check(StreamSink(stream, self.losses))

    def test_standard_output_that_is_somebody_elses(self) -> None:
        def refused(*_: object) -> int:
            raise PermissionError

        with open(self.writer, "wb") as stream:
            self.patch(os, "open", refused)
            self.check(StreamSink(stream, self.losses))

    def test_the_flags_of_a_stream_that_others_hold_stay(self) -> None:
        with open(self.writer, "wb") as stream:
            StreamSink(stream, self.losses).write(b"x\n")
            self.assertTrue(os.get_blocking(self.writer))

    def test_a_fifo(self) -> None:
        os.close(self.writer)
        path = Path(self.mktemp())
        os.mkfifo(path)
        sink = RotatingFile(path, 10**6, 1, self.losses)
        self.addCleanup(sink.close)
        os.close(self.reader)
        self.reader = os.open(path, os.O_RDONLY)
        self.check(sink)

    def test_a_line_larger_than_the_pipe_is_completed_later(self) -> None:
        with open(self.writer, "wb") as stream:
            sink = StreamSink(stream, self.losses)
            sink.write(b"x" * 200_000 + b"\n")
            sink.write(b"lost\n")
            received = b""
            while not received.endswith(b"end\n"):
                received += os.read(self.reader, 1 << 16)
                sink.write(b"end\n")
            self.assertEqual(received.splitlines()[0], b"x" * 200_000)
            self.assertNotIn(b"lost", received)


class Stream(FileIO):
    """A file in the place of a stream, with what was written to it."""

    def getvalue(self) -> bytes:
        return Path(os.fsdecode(self.name)).read_bytes()


class LogWriterTests(SynchronousTestCase):
    def stream(self) -> Stream:
        stream = Stream(self.mktemp(), "w+b")
        self.addCleanup(stream.close)
        return stream

    def logged(self, level: str = "info") -> tuple[Logger, Stream]:
        out = self.stream()
        writer = LogWriter(StreamSink(out), level)
        return Logger("aprp.test", observer=LogPublisher(writer)), out

    def test_a_line(self) -> None:
        log, out = self.logged()
        log.warn("{what} is {state}", what="it", state="slow")
        self.assertRegex(
            out.getvalue(),
            rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} warn aprp\.test: it is slow\n$",
        )

    def test_levels(self) -> None:
        levels = [LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical]
        for least, expected in (("debug", 5), ("info", 4), ("warn", 3), ("error", 2)):
            log, out = self.logged(least)
            for level in levels:
                log.emit(level, "said")
            self.assertEqual(out.getvalue().count(b"said"), expected, least)

    def test_an_event_without_level_counts_as_info(self) -> None:
        out = self.stream()
        LogWriter(StreamSink(out), "info")({"log_format": "bare"})
        LogWriter(StreamSink(out), "warn")({"log_format": "bare"})
        self.assertEqual(out.getvalue(), b"- info -: bare\n")

    def test_a_traceback_is_one_event(self) -> None:
        log, out = self.logged()
        log.failure("it broke", Failure(ValueError("why")))
        first, *rest = out.getvalue().splitlines()
        self.assertTrue(first.endswith(b"it broke"))
        self.assertIn(b"ValueError: why", rest[-1])
        self.assertEqual([line for line in rest if not line.startswith(b"\t")], [])

    def test_text_from_outside_cannot_forge_a_line(self) -> None:
        log, out = self.logged()
        log.info("{target}", target="a\n2026-01-01T00:00:00+0000 error x: y\x1b[2J\udcff")
        self.assertEqual(len([x for x in out.getvalue().splitlines() if x[:1] != b"\t"]), 1)
        self.assertIn(rb"\x1b[2J", out.getvalue())

    def test_a_closed_stream_is_no_error(self) -> None:
        log, out = self.logged()
        out.close()
        log.info("to nobody")
