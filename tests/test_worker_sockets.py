"""The sockets that the parent of workers opens, and those that a worker is passed."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SkipTest, TestCase

from aprp.daemon.workers.sockets import SharedSockets

HOST = "127.0.0.1"


class SharedSocketTests(TestCase):
    def setUp(self) -> None:
        self.port = SharedSockets(reactor).listenTCP(0, Factory(), 5, HOST)

    async def test_closing_the_port_leaves_the_socket_to_the_others(self) -> None:
        other = socket.socket(fileno=socket.dup(self.port.fileno()))
        self.addCleanup(other.close)
        address = (HOST, self.port.getHost().port)
        await self.port.stopListening()
        client = socket.create_connection(address, 5)
        self.addCleanup(client.close)
        other.settimeout(5)
        accepted, peer = other.accept()
        accepted.close()
        self.assertEqual(peer, client.getsockname())

    async def test_the_last_one_to_close_it_refuses_clients(self) -> None:
        address = (HOST, self.port.getHost().port)
        await self.port.stopListening()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address, 5)

    async def test_a_port_in_use(self) -> None:
        taken = self.port.getHost().port
        error = self.assertRaises(
            CannotListenError, SharedSockets(reactor).listenTCP, taken, Factory(), 5, HOST
        )
        self.assertEqual((error.interface, error.port), (HOST, taken))
        await self.port.stopListening()


class Ipv6Tests(TestCase):
    async def test_ipv6(self) -> None:
        if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
            raise SkipTest("this machine has no IPv6")
        port = SharedSockets(reactor).listenTCP(0, Factory(), 5, "::1")
        self.assertEqual(port.getHost().host, "::1")
        await port.stopListening()
