"""Pieces in pipes, sent after what a transport was given before them."""

from __future__ import annotations

import socket

from aprp.upstream.splice.outlet import Outlet, outlet_to
from aprp.upstream.splice.piped import Piped, Use, receive
from aprp.upstream.splice.pipes import Pipes
from tests import test_borrowed
from tests.support.eventually import eventually

BYTES = bytes(range(256)) * 800


class OutletTests(test_borrowed.BorrowedCase):
    def setUp(self) -> None:
        self.pipes = Pipes(lambda: 100)
        self.addCleanup(self.pipes.close)
        self.full = 0
        self.ready = 0

    def receiver_full(self) -> None:
        self.full += 1

    def receiver_ready(self) -> None:
        self.ready += 1

    def piece(self, data: bytes) -> Piped:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            self.assertEqual(one.send(data), len(data))
            piece = receive(other.fileno(), 1 << 20, Use.PASS, self.pipes)
        assert piece is not None and len(piece) == len(data)
        return piece

    async def sides(self) -> tuple[test_borrowed.Side, test_borrowed.Side, Outlet]:
        """A sender with little room in its socket, a receiver that reads nothing yet."""
        one, other = await self.pair()
        one.wire.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        other.wire.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        other.wire.pauseProducing()
        outlet = outlet_to(one.transport, self)
        assert outlet is not None
        return one, other, outlet

    async def test_behind_bytes_that_were_written(self) -> None:
        one, other, outlet = await self.sides()
        one.wire.write(b"head")
        outlet.send(self.piece(BYTES))
        self.assertEqual((self.full, self.ready), (1, 0))
        await eventually(lambda: self.full > 1)  # the head is sent, and there's no more room
        other.wire.resumeProducing()
        await eventually(lambda: self.ready)
        self.assertEqual(self.pipes.used, 0)
        one.wire.write(b"tail")
        await eventually(lambda: other.data.endswith(b"tail"))
        self.assertEqual(other.data, b"head" + BYTES + b"tail")

    async def test_one_after_the_other(self) -> None:
        _, other, outlet = await self.sides()
        outlet.send(self.piece(BYTES))
        outlet.send(self.piece(b"second"))
        other.wire.resumeProducing()
        await eventually(lambda: other.data.endswith(b"second"))
        self.assertEqual((other.data, self.pipes.used), (BYTES + b"second", 0))

    async def test_an_end_copies_what_is_left(self) -> None:
        one, other, outlet = await self.sides()
        outlet.send(self.piece(BYTES))
        self.assertEqual(self.pipes.used, 1)
        outlet.end()
        self.assertEqual(self.pipes.used, 0)
        one.wire.write(b"after")
        other.wire.resumeProducing()
        await eventually(lambda: other.data.endswith(b"after"))
        self.assertEqual(other.data, BYTES + b"after")

    async def test_a_close_waits_for_it(self) -> None:
        one, other, outlet = await self.sides()
        outlet.send(self.piece(BYTES))
        one.wire.loseConnection()
        other.wire.resumeProducing()
        await other.lost
        self.assertEqual(other.data, BYTES)

    async def test_a_receiver_that_is_gone(self) -> None:
        one, other, outlet = await self.sides()
        outlet.send(self.piece(BYTES))
        other.wire.abortConnection()
        await one.lost
        outlet.end()
        self.assertEqual(self.pipes.used, 0)
