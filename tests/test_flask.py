"""The library in a WSGI application, under a real server."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet.threads import deferToThread

from tests.support.eventually import eventually
from tests.support.mirrored_case import BYTES, honest
from tests.support.replies import File, Pattern, Received, Reply
from tests.support.running import get
from tests.support.scripted import ScriptCase

LARGE = Pattern(256 * 1024 * 1024)


def large(received: Received) -> Reply:
    return File(LARGE).reply(received)


class FlaskTests(ScriptCase):
    async def application(self) -> str:
        """Where it listens."""
        sample = Path(__file__).parent / "support" / "flask_sample.py"
        process = self.start(sys.executable, str(sample))
        assert process.stdout is not None
        port = await deferToThread(process.stdout.readline)
        return f"127.0.0.1:{port.strip()}"

    async def test_a_whole_file(self) -> None:
        origins = await self.mirrors(honest, honest)
        where = await self.application()
        query = ",".join(origin.url + "/film.mp4" for origin in origins)
        status, _, body = await deferToThread(get, where, f"/proxy?host={query}")
        self.assertEqual((status, body == BYTES), (200, True))

    async def test_clients_that_leave_half_way_leave_nothing_behind(self) -> None:
        origins = await self.mirrors(large, large, rates=(20e6, 20e6))
        where = await self.application()
        query = ",".join(origin.url + "/film.mp4" for origin in origins)
        for _ in range(3):
            client = await self.client(int(where.rpartition(":")[2]))
            await client.send(f"GET /proxy?host={query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await client.until_received(10**6)
            client.transport.abortConnection()
            await client.ended()
        await eventually(lambda: not any(origin.open for origin in origins), "still fetching")
        sent = sum(origin.bytes_sent for origin in origins)
        self.assertTrue(sent < len(LARGE), sent)
        _, _, body = await deferToThread(get, where, "/going-on")
        self.assertEqual(body, b"0")
