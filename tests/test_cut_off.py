"""Responses that are cut when the daemon stops, and what goes on behind them."""

from __future__ import annotations

from tests.support.logged import Logged
from tests.support.mirrored_case import MirroredCase, honest


class CutOffTests(MirroredCase):
    async def test_no_source_is_blamed_for_it(self) -> None:
        """A client that doesn't close its connection keeps the response, but no transfer."""
        logged = Logged(self)
        origins = await self.mirrors(honest, honest, rates=(200_000, 200_000))
        client = await self.client(self.in_front_of(origins))
        await client.send(b"GET /film.mp4 HTTP/1.1\r\nHost: a\r\n\r\n")
        await self.soon(lambda: all(origin.requests for origin in origins))
        await self.site.cut_off()
        await self.agent.close()
        self.assertEqual([line for line in logged.lines if "closed the connection" in line], [])
