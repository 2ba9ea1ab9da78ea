"""The demonstration's mirrors on real sockets: killed as a machine dies, and revived."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool, readBody

from aprp.demo.files import file_of
from aprp.demo.mirrors import Mirrors
from aprp.demo.server import HOST, CannotRevive
from tests.support.eventually import eventually

TEN = file_of(b"0123456789", b"text/plain")
BIG = file_of(bytes(1_000_000), b"x/y")


class MirrorsTests(TestCase):
    def setUp(self) -> None:
        self.mirrors = Mirrors({"/ten": TEN, "/big": BIG}, (1e5, 1e5), reactor)
        self.first = self.mirrors.all[0]

    async def read(self, url: str) -> bytes:
        agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        response = await agent.request(b"GET", f"{url}/ten".encode())
        body: bytes = await readBody(response)
        return body

    def connect(self) -> socket.socket:
        client = socket.create_connection((HOST, self.first.port), 30)
        self.addCleanup(client.close)
        return client

    async def test_each_serves_on_a_port_of_its_own_until_stopped(self) -> None:
        self.assertEqual(len(set(self.mirrors.urls)), 2)
        self.mirrors.startService()
        for url in self.mirrors.urls:
            self.assertEqual(await self.read(url), TEN.content)
        await self.mirrors.stopService()
        for mirror in self.mirrors.all:
            self.assertFalse(mirror.alive)

    async def test_stopped_before_it_started(self) -> None:
        await self.mirrors.stopService()
        self.assertRaises(ConnectionRefusedError, self.connect)

    async def test_killing_resets_connections_and_closes_the_port(self) -> None:
        self.mirrors.startService()
        client = self.connect()
        client.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        await eventually(lambda: self.first.connections == 1)
        self.assertTrue(await deferToThread(client.recv, 10))
        await self.first.kill()
        self.assertRaises(ConnectionRefusedError, self.connect)

        def rest() -> None:
            while client.recv(1 << 16):
                pass

        with self.assertRaises(ConnectionResetError):
            await deferToThread(rest)
        self.assertEqual((self.first.alive, self.first.connections), (False, 0))
        await self.mirrors.stopService()

    async def test_revived_at_once_it_serves_on_the_same_port(self) -> None:
        self.mirrors.startService()
        await self.read(self.first.url)
        killed = self.first.kill()
        for change in (killed, self.first.revive(), self.first.revive()):
            await change
        self.assertTrue(self.first.alive)
        self.assertEqual(await self.read(self.first.url), TEN.content)
        await self.mirrors.stopService()

    async def test_a_port_that_another_has_taken_is_told_in_words(self) -> None:
        self.mirrors.startService()
        await self.first.kill()
        with socket.create_server((HOST, self.first.port)):
            with self.assertRaises(CannotRevive) as caught:
                await self.first.revive()
            self.assertIn(f"port {self.first.port} again: ", str(caught.exception))
            self.assertIn("in use", str(caught.exception))
        self.assertFalse(self.first.alive)
        await self.first.revive()
        self.assertEqual(await self.read(self.first.url), TEN.content)
        await self.mirrors.stopService()
