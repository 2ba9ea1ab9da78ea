"""Bodies of several mirrors that the kernel moves: the same bytes and ends as copied ones."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Compare, Duplicate
from aprp.upstream.splice import piped
from aprp.upstream.splice.piped import Piped, Use, receive
from aprp.upstream.splice.pipes import MOST_WAITING, Pipe, Pipes
from aprp.upstream.transfer.store import Store
from aprp.upstream.transfer.turns import Chunk
from tests import test_transfer
from tests.support.eventually import eventually
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest
from tests.support.planes import Spliced
from tests.support.replies import File, Pattern, Received, Reset, Stall

FILM = Pattern(24 << 20)
"""More than the buffers of all sockets."""
film = File(FILM).reply


class PipedTests(SynchronousTestCase):
    """A piece, and the pipe that it holds."""

    def setUp(self) -> None:
        self.pipes = Pipes(lambda: 200)
        self.addCleanup(self.pipes.close)
        self.near, self.far = socket.socketpair()
        for each in (self.near, self.far):
            self.addCleanup(each.close)
            each.setblocking(False)

    def receive(self, data: bytes, use: Use = Use.PASS) -> Piped | None:
        self.far.send(data)
        return receive(self.near.fileno(), 1 << 20, use, self.pipes)

    def piece(self, data: bytes) -> Piped:
        piece = self.receive(data)
        assert piece is not None
        return piece

    def test_it_is_read_as_often_as_needed(self) -> None:
        piece = self.piece(b"abcdef")
        self.assertEqual((len(piece), self.pipes.used), (6, 1))
        self.assertEqual((piece.read(), piece.read(), self.pipes.used), (b"abcdef", b"abcdef", 0))

    def test_one_that_is_dropped_closes_its_pipe(self) -> None:
        pipe: Any = None
        piece: Piped | None = self.piece(b"of another client")
        assert piece is not None
        pipe = piece._pipe
        del piece
        self.assertEqual(self.pipes.used, 0)
        for descriptor in (pipe.into, pipe.out):
            self.assertRaises(OSError, os.fstat, descriptor)

    def test_it_is_moved_as_far_as_there_is_room(self) -> None:
        content = bytes(100_000)
        piece = self.piece(content)
        one, other = socket.socketpair()
        for each in (one, other):
            self.addCleanup(each.close)
            each.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.assertRaises(BlockingIOError, piece.move_to, one.fileno())
        self.assertTrue(0 < len(piece) < 100_000)
        got = bytearray()
        while piece:
            got += other.recv(1 << 20)
            try:
                piece.move_to(one.fileno())
            except BlockingIOError:
                continue
        got += other.recv(1 << 20)
        self.assertEqual((bytes(got), self.pipes.used), (content, 0))

    def test_the_end_of_the_stream_is_empty(self) -> None:
        self.far.close()
        piece = receive(self.near.fileno(), 100, Use.PASS, self.pipes)
        self.assertEqual((piece is not None, len(piece or b""), self.pipes.used), (True, 0, 0))

    def test_nothing_received_yet(self) -> None:
        self.assertRaises(BlockingIOError, receive, self.near.fileno(), 100, Use.PASS, self.pipes)
        self.assertEqual(self.pipes.used, 0)

    def test_a_few_bytes_do_not_wait_in_a_pipe(self) -> None:
        self.assertIsNone(self.receive(b"few", Use.KEEP))
        self.patch(piped, "WORTH_KEEPING", 6)
        self.assertEqual(len(self.receive(b"few", Use.KEEP) or b""), 6)

    def test_pipes_are_left_for_bytes_on_their_way(self) -> None:
        self.patch(Pipe, "grow", lambda pipe: 1 << 20)
        held = [self.pipes.take(waiting=True) for _ in range(MOST_WAITING + 1)]
        self.assertEqual([each is None for each in held], [False] * MOST_WAITING + [True])
        held.append(self.pipes.take())
        self.assertIsNotNone(held[-1])
        for each in held:
            if each is not None:
                self.pipes.give_back(each, empty=True)

    def test_a_part_of_a_chunk(self) -> None:
        chunk = Chunk(None, 100, self.piece(b"0123456789"))  # type: ignore[arg-type]
        self.assertEqual((chunk.part(102, 104), chunk.part(107, 110)), (b"23", b"789"))

    def test_forgotten_in_the_middle(self) -> None:
        store = Store()
        store.write(10, self.piece(b"0123456789"))
        store.forget(13, 16)
        self.assertEqual((store.take(10), store.take(16), store.size), (b"012", b"6789", 0))
        store.write(0, self.piece(b"0123456789"))
        store.clear()
        self.assertEqual(self.pipes.used, 0)


class MirrorsTests(MirroredCase):
    """Honest mirrors with a large file."""

    async def front(self, **options: Any) -> int:
        self.origins = await self.mirrors(film, film, film)
        return self.in_front_of(self.origins, **options)

    def reluctant(self, port: int) -> socket.socket:
        """A client that has requested the file and reads nothing by itself."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.sendall(b"GET /f HTTP/1.1\r\nHost: proxy.example\r\n\r\n")
        return client

    async def test_the_kernel_moves_the_blocks(self) -> None:
        got = await self.ask(await self.front(), "/f")
        self.assertEqual(got.body, FILM[0 : len(FILM)])
        await self.recorded()
        record = self.records[0]
        self.assertEqual((record.bytes_sent, record.ended), (len(FILM), "complete"))
        self.assertGreater(record.spliced, 0)
        self.assertEqual(sum(count for _, count in record.sources), len(FILM) + record.duplicates)
        self.assertEqual(self.agent.pipes.used, 0)

    async def test_the_setting_has_them_copied(self) -> None:
        self.spliced = False
        self.assertEqual((await self.ask(await self.front(), "/f")).body, FILM[0 : len(FILM)])
        await self.recorded()
        self.assertEqual(self.records[0].spliced, 0)

    async def test_a_comparison_has_them_copied(self) -> None:
        port = await self.front(compare=Compare.SAMPLE)
        self.assertEqual((await self.ask(port, "/f")).body, FILM[0 : len(FILM)])
        await self.recorded()
        self.assertEqual(self.records[0].spliced, 0)

    async def test_a_paced_client_has_them_copied(self) -> None:
        port = await self.front(limit_rate=1 << 30)
        self.assertEqual((await self.ask(port, "/f")).body, FILM[0 : len(FILM)])
        await self.recorded()
        self.assertEqual(self.records[0].spliced, 0)

    async def test_connections_serve_again(self) -> None:
        """One mirror, so that no attempt is given up for a faster one."""
        origins = await self.mirrors(film)
        port = self.in_front_of(origins, connections=1, duplicate=Duplicate.OFF)
        for _ in range(3):
            self.assertEqual((await self.ask(port, "/f")).body, FILM[0 : len(FILM)])
        await self.recorded(3)
        self.assertGreater(min(each.spliced for each in self.records), 0)
        self.assertEqual(origins[0].connections, 1)

    async def test_blocks_wait_in_pipes_for_the_head(self) -> None:
        """The mirror that has the first block keeps the client waiting for it."""

        def late(received: Received) -> Any:
            start, _ = received.range or (0, None)
            reply = film(received)
            return reply if start else reply.broken(100_000, Stall())

        origins = await self.mirrors(late, film)
        port = self.in_front_of(origins, between_bytes_timeout=1.0)
        asked = Deferred.fromCoroutine(self.ask(port, "/f"))
        await self.soon(lambda: self.agent.pipes.used)
        self.assertEqual((await asked).body, FILM[0 : len(FILM)])
        await self.recorded()
        self.assertGreater(self.records[0].spliced, 0)
        self.assertEqual(self.agent.pipes.used, 0)

    async def test_what_waits_is_not_lost_with_its_sources(self) -> None:
        """A client that doesn't read, and mirrors that die, each in its first large body."""

        def dies(received: Received) -> Any:
            reply = film(received)
            return reply.broken(700_000, Reset()) if received.number == 1 else reply

        port = self.in_front_of(await self.mirrors(dies, dies))
        slow = self.reluctant(port)
        await self.soon(lambda: self.agent.pipes.used)
        got = bytearray()
        await eventually(lambda: self.drained(slow, got))
        self.assertEqual(bytes(got).partition(b"\r\n\r\n")[2], FILM[0 : len(FILM)])
        await self.recorded()
        self.assertEqual((self.records[0].ended, self.agent.pipes.used), ("complete", 0))

    def drained(self, sock: socket.socket, got: bytearray) -> bool:
        """Whether all of the body has come, when what is there has been read."""
        try:
            while data := sock.recv(65536):
                got.extend(data)
        except BlockingIOError:
            pass
        return len(got) > len(FILM) and len(got.partition(b"\r\n\r\n")[2]) == len(FILM)

    async def test_a_client_that_leaves_with_full_pipes(self) -> None:
        slow = self.reluctant(await self.front())
        await self.soon(lambda: self.agent.pipes.used > 1)
        slow.close()
        await self.recorded()
        await self.soon(lambda: self.agent.pipes.used == 0)
        self.assertEqual(self.records[0].ended, "client left")

    async def test_a_client_that_takes_nothing_is_cut(self) -> None:
        self.reluctant(await self.front(send_timeout=0.5))
        await self.recorded()
        record = self.records[0]
        self.assertEqual((record.ended, record.error), ("cut", "connection_write_timeout"))
        await self.soon(lambda: self.agent.pipes.used == 0)

    async def test_several_ranges(self) -> None:
        port = self.in_front_of(await self.mirrors(honest, honest))
        ranges = {"Range": "bytes=5-900000,1000000-2500000"}
        got = await self.ask(port, "/f", ranges)
        self.assertIn(BYTES[5:900001], got.body)
        self.assertIn(BYTES[1000000:2500001], got.body)
        await self.recorded()
        self.assertEqual(self.records[0].bytes_sent, len(got.body))
        self.assertLess(len(got.body), SIZE)


class SplicedMirrorsTests(Spliced, MirrorsTests):
    pass


class SplicedLeavingTests(Spliced, test_transfer.LeavingTests):
    pass
