"""Upstreams on Unix sockets."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Settings, UpstreamRoute
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site
from tests.support.client import Client, get, reactor
from tests.support.proxied_case import Listening, factory_of
from tests.support.two_ends import TwoEndsCase


class UrlTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, socket, path in (
            ("unix:/run/x.sock:/path/", "/run/x.sock", "/path/"),
            ("http://unix:/run/x.sock:/path/", "/run/x.sock", "/path/"),
            ("unix:/run/x.sock", "/run/x.sock", "/"),
            ("unix:/run/x.sock:/a:b", "/run/x.sock", "/a:b"),
        ):
            url = Url.parse_unix(text)
            self.assertEqual((url.socket, url.path, url.authority), (socket, path, "localhost"))
            self.assertEqual(str(url), f"unix:{socket}:{path}")

    def test_faults(self) -> None:
        for text, said in (
            ("unix:x.sock:/", "absolute path"),
            ("unix::/path/", "absolute path"),
            ("unix:/run/:/path/", "absolute path"),
            ("unix:/run/x.sock:path", "isn't a path"),
            ("unix:/run/x.sock:/path?q", "query"),
            ("unix:/" + "x" * 107, "108 characters"),
            ("unix:/run/x y", "percent-encode"),
        ):
            with self.assertRaisesRegex(ValueError, said):
                Url.parse_unix(text)

    def test_only_an_upstream_may_be_one(self) -> None:
        with self.assertRaisesRegex(ValueError, "only upstream: can be"):
            Settings.model_validate(
                {"listen": ["tcp:0"], "routes": [{"path": "/", "sources": [{"url": "unix:/x:/"}]}]}
            )


class UnixTests(TwoEndsCase):
    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()  # a short name, as the kernel wants it
        self.addCleanup(folder.cleanup)
        self.socket = os.path.join(folder.name, "s")

    def in_front(self, **route: Any) -> int:
        upstream = f"unix:{self.socket}:/base/"
        one = UpstreamRoute.model_validate({"path": "/films/", "upstream": upstream, **route})
        self.agent = Agent(reactor)
        self.addCleanup(self.agent.close)
        settings = Settings(listen=("tcp:0",), routes=(one,))
        site = make_site(settings, self.agent, self.records.append, reactor)
        return self._until_the_end(Listening(site)).port

    def listen_there(self) -> None:
        def accepted() -> Client:
            self.upstreams.append(Client())
            return self.upstreams[-1]

        port = reactor.listenUNIX(self.socket, factory_of(accepted))
        self.addCleanup(port.stopListening)

    async def test_requests_and_kept_connections(self) -> None:
        self.listen_there()
        port = self.in_front()
        client, upstream = await self.asked(port, get(b"/films/a?b"))
        for number in range(2):
            self.assertTrue(
                upstream.data.startswith(b"GET /base/a?b HTTP/1.1\r\nHost: localhost\r\n")
            )
            await upstream.send(
                b"HTTP/1.1 302 Found\r\nLocation: http://localhost/base/c\r\n"
                b"Content-Length: 2\r\n\r\nhi"
            )
            seen = (await client.answers([b"GET"] * (number + 1)))[-1]
            self.assertEqual((seen.body, seen.get(b"location")), (b"hi", b"/films/c"))
            upstream.forget()
            await client.send(get(b"/films/a?b"))
            await upstream.until(lambda: b"\r\n\r\n" in upstream.data)
        self.assertEqual(len(self.upstreams), 1)
        self.assertEqual(self.records[0].upstream, f"unix:{self.socket}")

    async def test_host(self) -> None:
        self.listen_there()
        _, upstream = await self.asked(self.in_front(host="media.example"), get(b"/films/"))
        self.assertIn(b"\r\nHost: media.example\r\n", upstream.data)

    async def test_failures_do_not_name_the_socket(self) -> None:
        port = self.in_front()
        seen = await self.answer_to(port, get(b"/films/"))
        self.assertEqual(seen.status, 502)
        self.assertIn(b"the upstream: there is no such socket", seen.body)
        self.listen_there()
        Path(self.socket).unlink()
        Path(self.socket).touch()
        seen = await self.answer_to(port, get(b"/films/"))
        self.assertEqual(seen.status, 502)
        self.assertNotIn(self.socket.encode(), seen.body + repr(seen.pairs).encode())

    async def test_timeouts(self) -> None:
        self.listen_there()
        port = self.in_front(
            first_byte_timeout="200ms", between_bytes_timeout="200ms", resume_for="0s"
        )
        client, _ = await self.asked(port, get(b"/films/"))
        (seen,) = await client.answers([b"GET"])
        self.assertEqual(seen.status, 504)
        client, upstream = await self.asked(port, get(b"/films/"))
        await upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await client.ended()
        await self.recorded(2)
        self.assertEqual(self.records[-1].error, "connection_read_timeout")
