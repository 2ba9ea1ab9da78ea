"""Parts of files on their way to a socket by sendfile."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.splice.file_splice import AT_ONCE, FilePart, file_to
from tests.support.replies import Pattern

FILM = Pattern(3 * AT_ONCE)


class _Reactor:
    """Knows who wants to write."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)


class FileSpliceTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.client = socket.socketpair()
        for each in (ours, self.client):
            self.addCleanup(each.close)
            each.setblocking(False)
        file = tempfile.TemporaryFile()  # noqa: SIM115
        self.addCleanup(file.close)
        file.write(FILM[0 : 3 * AT_ONCE])
        file.flush()
        self.descriptor = file.fileno()
        self.reactor = _Reactor()
        self.transport: Any = Connection(ours, Protocol(), self.reactor)  # type: ignore[arg-type]
        self.transport.connected = 1
        self.in_memory = True
        self.told: list[str] = []
        self.count = 0

    # The owner

    def still_in_memory(self) -> bool:
        return self.in_memory

    def sent(self, count: int) -> None:
        self.count += count

    def receiver_full(self) -> None:
        self.told.append("full")

    def file_sent(self, was_full: bool) -> None:
        self.told.append("sent")

    def file_failed(self) -> None:
        self.told.append("failed")

    def send(self, *parts: tuple[int, int]) -> None:
        found = [FilePart(self.descriptor, start, stop - start) for start, stop in parts]
        splice = file_to(self.transport, found, self)
        assert splice is not None
        splice.begin()

    def receive(self) -> bytes:
        """Read all that comes, as the reactor would have it written."""
        found = b""
        while True:
            try:
                found += self.client.recv(1 << 20)
            except BlockingIOError:
                if self.transport not in self.reactor.writers:
                    return found
                self.transport.doWrite()

    def test_parts_are_sent_in_their_order(self) -> None:
        self.send((AT_ONCE, AT_ONCE + 5), (0, 70_000), (10, AT_ONCE + 300_000))
        wanted = FILM[AT_ONCE : AT_ONCE + 5] + FILM[0:70_000] + FILM[10 : AT_ONCE + 300_000]
        self.assertTrue(self.receive() == wanted)
        self.assertEqual((self.told, self.count), (["full", "sent"], len(wanted)))
        self.assertNotIn("doWrite", self.transport.__dict__)

    def test_what_was_written_before_comes_first(self) -> None:
        self.transport.write(b"before")
        self.send((0, 9))
        self.assertEqual(self.receive(), b"before" + FILM[0:9])

    def test_nothing_is_sent_that_may_have_left_memory(self) -> None:
        self.send((0, AT_ONCE), (AT_ONCE, 3 * AT_ONCE))
        self.client.recv(1 << 20)
        self.in_memory = False
        before = self.count
        self.transport.doWrite()
        self.assertEqual((self.told, self.count), (["full", "sent"], before))
        self.assertNotIn("doWrite", self.transport.__dict__)

    def test_a_file_that_became_shorter(self) -> None:
        self.send((0, 10), (3 * AT_ONCE, 3 * AT_ONCE + 1))
        self.receive()
        self.assertEqual((self.told, self.count), (["failed"], 10))

    def test_a_lost_connection(self) -> None:
        self.send((0, 3 * AT_ONCE))
        self.client.close()
        self.assertIsNot(self.transport.doWrite(), None)
        self.assertEqual(self.told, ["full"])
        self.assertEqual(os.fstat(self.descriptor).st_size, 3 * AT_ONCE)
