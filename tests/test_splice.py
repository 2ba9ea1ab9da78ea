"""Bodies that the kernel moves: the same bytes and the same ends as copied ones."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.splice import pipes as pipes_module
from aprp.upstream.splice.pipes import KEPT, LEAST, Pipes
from tests import test_resumption, test_reverse_wire
from tests.support.eventually import eventually
from tests.support.planes import Copied, Spliced
from tests.support.proxied_case import ProxyCase
from tests.support.replies import File, Pattern, Received, Reply, Reset, Section, Stall

SIZE = 1_500_000
CONTENT = Pattern(SIZE)
ALL = CONTENT[0:SIZE]
FILM = Pattern(12 << 20)
"""More than the buffers of two sockets."""
ASK = b"GET /file HTTP/1.1\r\nHost: proxy.example\r\n\r\n"


class PipesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.most = 100
        self.pipes = Pipes(lambda: self.most)
        self.addCleanup(self.pipes.close)

    def test_an_empty_pipe_is_used_again(self) -> None:
        pipe = self.pipes.take()
        assert pipe is not None
        self.pipes.give_back(pipe, empty=True)
        self.assertIs(self.pipes.take(), pipe)
        self.pipes.give_back(pipe, empty=True)

    def test_a_pipe_with_bytes_in_it_is_closed(self) -> None:
        pipe = self.pipes.take()
        assert pipe is not None
        os.write(pipe.into, b"of another client")
        self.pipes.give_back(pipe, empty=False)
        for descriptor in (pipe.into, pipe.out):
            self.assertRaises(OSError, os.fstat, descriptor)

    def test_there_are_no_more_than_there_may_be(self) -> None:
        self.most = 2
        pipes = [self.pipes.take() for _ in range(3)]
        self.assertEqual([each is None for each in pipes], [False, False, True])
        for each in pipes[:2]:
            assert each is not None
            self.pipes.give_back(each, empty=True)
        self.assertEqual(self.pipes.used, 0)

    def test_few_are_kept_open(self) -> None:
        taken = [self.pipes.take() for _ in range(KEPT + 2)]
        for each in taken:
            assert each is not None
            self.pipes.give_back(each, empty=True)
        closed = 0
        for each in taken:
            try:
                os.fstat(each.into)  # type: ignore[union-attr]
            except OSError:
                closed += 1
        self.assertEqual(closed, 2)

    def test_none_where_the_user_has_too_many_already(self) -> None:
        self.patch(pipes_module.Pipe, "grow", lambda pipe: LEAST - 1)
        self.assertIsNone(self.pipes.take())
        self.assertEqual(self.pipes.used, 0)

    def test_none_without_a_descriptor(self) -> None:
        def refuse(flags: int) -> Any:
            raise OSError(24, "Too many open files")

        self.patch(os, "pipe2", refuse)
        self.assertIsNone(self.pipes.take())

    def test_off(self) -> None:
        self.pipes.enabled = False
        self.assertIsNone(self.pipes.take())


class SpliceTests(ProxyCase):
    """An honest upstream with a large file."""

    async def start(self, content: Pattern = CONTENT, **route: Any) -> int:
        self.upstream, port = await self.serve(
            lambda received: File(content).reply(received), **route
        )
        return port

    def reluctant(self, port: int) -> socket.socket:
        """A client that has requested the file and reads nothing by itself."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.sendall(ASK)
        return client

    async def test_the_kernel_moves_a_large_body(self) -> None:
        port = await self.start()
        got = await self.ask(port, "/file")
        self.assertEqual(got.body, ALL)
        await self.recorded()
        record = self.records[0]
        self.assertEqual((record.bytes_sent, record.ended), (SIZE, "complete"))
        self.assertGreater(record.spliced, SIZE // 2)
        self.assertEqual(record.sources[0][1], SIZE)
        self.assertEqual(self.agent.pipes.used, 0)

    async def test_a_range_of_it(self) -> None:
        port = await self.start()
        got = await self.ask(port, "/file", {"Range": "bytes=1000-1000999"})
        self.assertEqual((got.status, got.body), (206, ALL[1000:1001000]))
        await self.recorded()
        self.assertGreater(self.records[0].spliced, 500_000)

    async def test_a_part_of_a_whole_answer(self) -> None:
        _, port = await self.serve(lambda _: Reply(body=(Section(CONTENT, 0, SIZE),)))
        got = await self.ask(port, "/file", {"Range": "bytes=1000-1000999"})
        self.assertEqual((got.status, got.body), (206, ALL[1000:1001000]))

    async def test_the_setting_has_it_copied(self) -> None:
        self.spliced = False
        port = await self.start()
        self.assertEqual((await self.ask(port, "/file")).body, ALL)
        await self.recorded()
        self.assertEqual(self.records[0].spliced, 0)

    async def test_a_paced_client_has_it_copied(self) -> None:
        port = await self.start(limit_rate=1 << 30)
        self.assertEqual((await self.ask(port, "/file")).body, ALL)
        await self.recorded()
        self.assertEqual(self.records[0].spliced, 0)

    async def test_without_a_pipe_it_is_copied(self) -> None:
        port = await self.start()
        self.agent.descriptors.limit = 0
        self.patch(self.agent.pipes, "_most", lambda: 0)
        self.assertEqual((await self.ask(port, "/file")).body, ALL)
        await self.recorded()
        self.assertEqual((self.records[0].spliced, self.records[0].bytes_sent), (0, SIZE))

    async def test_both_connections_serve_again(self) -> None:
        port = await self.start()
        client = await self.client(port)
        await client.send(ASK * 3)
        answers = await client.answers([b"GET"] * 3)
        self.assertEqual([each.body for each in answers], [ALL] * 3)
        self.assertEqual(self.upstream.connections, 1)

    async def test_a_connection_with_stray_bytes_after_a_body_does_not(self) -> None:
        def stray(received: Received) -> Any:
            whole = File(CONTENT).reply(received)
            return (*whole.steps(), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX")

        origin, port = await self.serve(stray)
        for _ in range(3):
            self.assertEqual((await self.ask(port, "/file")).body, ALL)
        self.assertEqual(origin.connections, 3)

    async def test_the_body_that_waits_in_the_pipe_is_not_lost_with_its_source(self) -> None:
        """A client that doesn't read, an upstream that dies, and a pipe between them."""
        broken = 8_000_000

        def answer(received: Received) -> Any:
            reply = File(FILM).reply(received)
            return reply if received.get(b"range") else reply.broken(broken, Reset())

        _, port = await self.serve(answer)
        slow = self.reluctant(port)
        await self.soon(lambda: self.agent.pipes.used)
        got = bytearray()
        await eventually(lambda: self.drained(slow, got, len(FILM)))
        head, _, body = bytes(got).partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        self.assertEqual(body, FILM[0 : len(FILM)])
        await self.recorded()
        self.assertEqual(self.records[0].ended, "complete")

    def drained(self, sock: socket.socket, got: bytearray, size: int) -> bool:
        """Whether so many bytes of body have come, when all that is there has been read."""
        try:
            while data := sock.recv(65536):
                got.extend(data)
        except BlockingIOError:
            pass
        return len(got) > size and len(got.partition(b"\r\n\r\n")[2]) == size

    async def test_a_client_that_leaves_with_a_full_pipe(self) -> None:
        port = await self.start(FILM)
        slow = self.reluctant(port)
        await self.soon(lambda: self.agent.pipes.used)
        slow.close()
        await self.recorded()
        await self.soon(lambda: self.agent.connections == 0)
        self.assertEqual((self.records[0].ended, self.agent.pipes.used), ("client left", 0))

    async def test_a_client_that_takes_nothing_is_cut(self) -> None:
        port = await self.start(FILM, send_timeout=0.5)
        self.reluctant(port)
        await self.recorded()
        record = self.records[0]
        self.assertEqual((record.ended, record.error), ("cut", "connection_write_timeout"))
        self.assertLess(record.bytes_sent, len(FILM))
        await self.soon(lambda: self.agent.connections == 0)
        self.assertEqual(self.agent.pipes.used, 0)

    async def test_a_source_that_falls_silent(self) -> None:
        def stalls(received: Received) -> Any:
            return File(CONTENT).reply(received).broken(1_000_000, Stall())

        _, port = await self.serve(stalls, between_bytes_timeout=0.3, resume_for=0.0)
        got = await self.ask(port, "/file")
        self.assertEqual(got.body, ALL[:1_000_000])
        await self.recorded()
        self.assertEqual(self.records[0].ended, "cut")


class SplicedResumeTests(Spliced, test_resumption.ResumeTest):
    pass


class CopiedResumeTests(Copied, test_resumption.ResumeTest):
    pass


class SplicedPressureTests(Spliced, test_reverse_wire.PressureTests):
    pass


class CopiedPressureTests(Copied, test_reverse_wire.PressureTests):
    pass
