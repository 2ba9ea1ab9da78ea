"""Both ends of what the proxy passes on in the hands of a test: a client and an upstream."""

from __future__ import annotations

from typing import Any

from tests.support.client import Client
from tests.support.proxied_case import ProxyCase, factory_of


class TwoEndsCase(ProxyCase):
    """`upstreams` are the connections that came to the upstream."""

    def setUp(self) -> None:
        super().setUp()
        self.upstreams: list[Client] = []

    def in_front(self, **route: Any) -> int:
        """The port of a proxy whose upstream does what the test does."""

        def accepted() -> Client:
            self.upstreams.append(Client())
            return self.upstreams[-1]

        port = self.listen(factory_of(accepted))
        return self.proxy(f"http://127.0.0.1:{port}", **route)

    async def asked(self, port: int, request: bytes) -> tuple[Client, Client]:
        """A client, and the upstream's end of the connection on which its request arrived."""
        count = len(self.upstreams)
        client = await self.client(port)
        await client.send(request)
        await self.soon(lambda: len(self.upstreams) > count)
        upstream = self.upstreams[-1]
        await upstream.until(lambda: b"\r\n\r\n" in upstream.data)
        return client, upstream
