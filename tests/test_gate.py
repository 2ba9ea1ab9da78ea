"""Access to a route: networks, passwords, signed URLs, hosts; and the fields of its responses."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_network
from typing import Any

import bcrypt

from aprp.config import Settings, UpstreamRoute
from aprp.config.routes import SecureLinkSettings
from aprp.core.http.signed_urls import LinkRules, signature
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.upstream.wall_clock import time
from aprp.web.site import make_site
from tests.support.client import reactor
from tests.support.proxied_case import HELLO, ProxyCase, fixed
from tests.support.replies import Reply

SECRET = "a long random text"
PLAYER = "https://player.example"


def basic(user: str, password: str) -> dict[str, str]:
    told = b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {told}"}


class GateTests(ProxyCase):
    async def test_networks(self) -> None:
        _, port = await self.serve(fixed(HELLO), allow_clients=(ip_network("192.0.2.0/24"),))
        got = await self.ask(port, "/f")
        self.assertEqual(got.status, 403)
        self.assertIn(b"your address isn't allowed", got.body)
        _, port = await self.serve(fixed(HELLO), allow_clients=(ip_network("127.0.0.0/8"),))
        self.assertEqual((await self.ask(port, "/f")).body, b"hello")

    async def test_passwords(self) -> None:
        file = self.folder() / "users"
        file.write_bytes(b"# films\nann:" + bcrypt.hashpw(b"open", bcrypt.gensalt(4)) + b"\n")
        origin, port = await self.serve(fixed(HELLO), basic_auth=file)
        for fields in ({}, basic("ann", "shut"), basic("bob", "open"), basic("ann", "x" * 100)):
            got = await self.ask(port, "/f", fields)
            self.assertEqual(got.status, 401, fields)
            self.assertEqual(got.fields["WWW-Authenticate"], 'Basic realm="/", charset="UTF-8"')
        for _ in range(2):
            self.assertEqual((await self.ask(port, "/f", basic("ann", "open"))).body, b"hello")
        self.assertEqual([len(each.all(b"authorization")) for each in origin.requests], [0, 0])
        file.write_bytes(b"bob:" + bcrypt.hashpw(b"open", bcrypt.gensalt(4)) + b"\n")
        self.assertEqual((await self.ask(port, "/f", basic("ann", "open"))).status, 401)
        self.assertEqual((await self.ask(port, "/f", basic("bob", "open"))).body, b"hello")

    async def test_signed_urls(self) -> None:
        link = SecureLinkSettings(secret=SECRET)
        origin, port = await self.serve(fixed(HELLO), secure_link=link)
        rules = LinkRules(SECRET.encode())
        for seconds, status in ((60, 200), (-60, 410)):
            expires = b"%d" % (time() + seconds)
            made = (expires + b"&sig=" + signature(rules, b"/f", expires, "")).decode()
            got = await self.ask(port, f"/f?a=1&expires={made}")
            self.assertEqual(got.status, status)
            self.assertEqual((await self.ask(port, f"/g?expires={made}")).status, 403)
        self.assertEqual((await self.ask(port, "/f")).status, 403)
        self.assertEqual([each.target for each in origin.requests], [b"/f?a=1"])

    async def test_fields_of_responses(self) -> None:
        upstream = Reply(200, ((b"X-Frame-Options", b"ALLOW"), (b"X-Kept", b"yes")), (b"hello",))
        _, port = await self.serve(fixed(upstream), response_headers=(("X-Frame-Options", "DENY"),))
        got = await self.ask(port, "/f")
        self.assertEqual(got.fields.get_all("X-Frame-Options"), ["DENY"])
        self.assertEqual(got.fields["X-Kept"], "yes")

    async def test_pages_of_other_sites(self) -> None:
        origin, port = await self.serve(fixed(HELLO), cors=(PLAYER,))
        asked = {"Origin": PLAYER, "Access-Control-Request-Method": "GET"}
        got = await self.ask(port, "/f", asked, "OPTIONS")
        self.assertEqual((got.status, got.fields["Access-Control-Allow-Origin"]), (204, PLAYER))
        self.assertEqual(origin.requests, [])
        got = await self.ask(port, "/f", {"Origin": PLAYER})
        self.assertEqual(got.body, b"hello")
        self.assertIn("Content-Range", got.fields["Access-Control-Expose-Headers"])

    async def test_a_preflight_needs_no_password_and_a_refusal_can_be_read(self) -> None:
        file = self.folder() / "users"
        file.write_bytes(b"ann:" + bcrypt.hashpw(b"open", bcrypt.gensalt(4)))
        _, port = await self.serve(fixed(HELLO), cors=(PLAYER,), basic_auth=file)
        asked = {"Origin": PLAYER, "Access-Control-Request-Method": "GET"}
        self.assertEqual((await self.ask(port, "/f", asked, "OPTIONS")).status, 204)
        got = await self.ask(port, "/f", {"Origin": PLAYER})
        self.assertEqual((got.status, got.fields["Access-Control-Allow-Origin"]), (401, PLAYER))


class HostTests(ProxyCase):
    async def site(self, *routes: dict[str, Any]) -> int:
        made = []
        for route in routes:
            name = (route["hosts"] or ("any",))[0].encode()
            origin = await self.origin(fixed(Reply(200, (), (name,))))
            made.append(UpstreamRoute(upstream=Url.parse(origin.url), **route))
        agent = Agent(reactor)
        self.addCleanup(agent.close)
        settings = Settings(listen=("tcp:0",), routes=tuple(made))
        return self.listen(make_site(settings, agent, self.records.append, reactor))

    async def test_a_route_is_for_its_hosts(self) -> None:
        port = await self.site(
            {"path": "/", "hosts": ()},
            {"path": "/", "hosts": ("films.example",)},
            {"path": "/", "hosts": ("*.example.org",)},
        )
        for host, body in (
            ("films.example", b"films.example"),
            ("FILMS.example:8000", b"films.example"),
            ("a.example.org", b"*.example.org"),
            ("other.example", b"any"),
        ):
            self.assertEqual((await self.ask(port, "/f", {"Host": host})).body, body, host)

    async def test_no_route_for_a_host(self) -> None:
        port = await self.site({"path": "/", "hosts": ("films.example",)})
        self.assertEqual((await self.ask(port, "/f", {"Host": "other.example"})).status, 404)
        got = await self.ask(port, "/f", {"Host": "other.example"}, "POST", b"x")
        self.assertEqual(got.status, 404)
