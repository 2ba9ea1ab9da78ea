"""The ad-hoc proxy over real sockets: what it serves, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

from aprp.config import QueryRoute, Settings
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site
from tests.support.logged import Logged
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest, reactor
from tests.support.origin import Origin
from tests.support.replies import Received, Reply
from tests.support.responses import Response

LOOPBACK = (ip_network("127.0.0.0/8"),)


def redirecting(target: Callable[[], str]) -> Callable[[Received], Reply]:
    return lambda received: Reply(302, ((b"Location", target().encode()),))


class QueryCase(MirroredCase):
    def query(self, **options: Any) -> int:
        """A proxy with the route /proxy; gives its port."""
        told = {"allow": ("*",), "allow_addresses": LOOPBACK} | options
        route = QueryRoute(path="/proxy", query="host", **told)
        settings = Settings(listen=("tcp:0",), routes=(route,))
        self.agent = Agent(reactor)
        self.addCleanup(self.agent.close)
        ports: list[int] = []
        site = make_site(
            settings,
            self.agent,
            self.records.append,
            reactor,
            listening=lambda: [("0.0.0.0", port) for port in ports],
        )
        ports.append(self.listen(site))
        return ports[0]

    async def of(
        self, port: int, urls: Iterable[str], fields: dict[str, str] | None = None, **how: Any
    ) -> Response:
        return await self.ask(port, "/proxy?host=" + ",".join(urls), fields, **how)

    def refused(self, got: Response, status: int, kind: str, text: str) -> None:
        self.assertEqual(got.status, status, got.body)
        self.assertIn(f"error={kind}", got.fields["Proxy-Status"])
        self.assertIn(text, got.body.decode())


def films(origins: Iterable[Origin]) -> list[str]:
    return [origin.url + "/film.mp4" for origin in origins]


class ServingTests(QueryCase):
    async def test_the_whole_from_all_of_them(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(20e6, 20e6))
        got = await self.of(self.query(), films(origins))
        self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))
        self.assertTrue(all(origin.requests for origin in origins))

    async def test_every_way_to_name_them(self) -> None:
        one, two = films(await self.mirrors(honest, honest))
        port = self.query()
        for query in (
            f"host={one},{two}",
            f"host={one}&host={two}",
            f"host={quote(one, safe='')},{quote(two, safe='')}",
            f"host={quote(f'{one},{two}', safe='')}",
        ):
            got = await self.ask(port, f"/proxy?{query}", {"Range": "bytes=5-9"})
            self.assertEqual((got.status, got.body), (206, BYTES[5:10]), query)
            self.assertEqual(got.fields["Content-Range"], f"bytes 5-9/{SIZE}")

    async def test_head_and_suffix(self) -> None:
        urls = films(await self.mirrors(honest))
        port = self.query()
        got = await self.of(port, urls, method="HEAD")
        self.assertEqual((got.status, got.fields["Content-Length"]), (200, str(SIZE)))
        got = await self.of(port, urls, {"Range": "bytes=-5"})
        self.assertEqual((got.status, got.body), (206, BYTES[-5:]))

    async def test_a_name_without_an_address_is_left_out(self) -> None:
        urls = films(await self.mirrors(honest))
        got = await self.of(self.query(), ["http://nothing.invalid/film.mp4", *urls])
        self.assertEqual((got.status, got.body == BYTES), (200, True))

    async def test_a_name_is_connected_to_where_it_was_judged(self) -> None:
        (origin,) = await self.mirrors(honest)
        url = f"http://localhost:{origin.port}/film.mp4"
        got = await self.of(self.query(allow_addresses=(*LOOPBACK, ip_network("::1"))), [url])
        self.assertEqual((got.status, got.body == BYTES), (200, True))
        host = dict(origin.requests[0].fields)[b"Host"]
        self.assertEqual(host, b"localhost:%d" % origin.port)


class RefusalTests(QueryCase):
    async def test_what_is_refused_before_anything_is_asked(self) -> None:
        (origin,) = await self.mirrors(honest)
        port = self.query(allow=("*.example.org", "127.*"))
        for urls, status, kind, text in (
            ("", 400, "http_request_error", "name the sources"),
            ("film.mp4", 400, "http_request_error", "is not an absolute URL"),
            ("http://evil.net/x", 403, "destination_ip_prohibited", "evil.net isn't allowed"),
            ("http://127.1/x", 403, "http_request_error", "four decimal numbers"),
            ("http://u:p@a.example.org/", 403, "http_request_error", "user or password"),
            ("ftp://a.example.org/x", 403, "http_request_error", "only http and https"),
            ("http://127.0.0.1:22/x", 403, "destination_ip_prohibited", "port 22"),
            (f"{origin.url}/x,http://evil.net/x", 403, "destination_ip_prohibited", "evil.net"),
        ):
            self.refused(await self.of(port, [urls]), status, kind, text)
        self.assertEqual((origin.requests, self.agent.connections), ([], 0))

    async def test_other_methods(self) -> None:
        port = self.query()
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            for body in (b"", b"some"):
                got = await self.of(port, ["http://127.0.0.1/x"], method=method, body=body)
                self.assertEqual((got.status, got.fields["Allow"]), (405, "GET, HEAD"), method)

    async def test_paths_below(self) -> None:
        got = await self.ask(self.query(), "/proxy/film.mp4?host=http://127.0.0.1/x")
        self.assertEqual(got.status, 404)

    async def test_addresses(self) -> None:
        (origin,) = await self.mirrors(honest)
        port = self.query(allow_addresses=())
        for url, text in (
            (films([origin])[0], "127.0.0.1 may not be reached: it is loopback"),
            (f"http://localhost:{origin.port}/x", "may not be reached: it is loopback"),
            ("http://[::1]:8080/x", "::1 may not be reached: it is loopback"),
            ("http://[::ffff:7f00:1]:8080/x", "it is IPv4-mapped"),
            ("http://[64:ff9b::7f00:1]:8080/x", "it is translated by NAT64"),
            ("http://[2002:7f00:1::]:8080/x", "it is tunnelled by 6to4"),
            ("http://[fd00::1]/x", "it is unique-local"),
            ("http://169.254.169.254/latest/meta-data", "it is link-local"),
            ("http://10.0.0.1/x", "it is private"),
            ("http://0.0.0.0:8080/x", "it is unspecified"),
        ):
            got = await self.of(port, [quote(url, safe="")])
            self.refused(got, 403, "destination_ip_prohibited", text)
        self.assertEqual(origin.connections, 0)

    async def test_the_log_says_which_setting_allows_an_address(self) -> None:
        """And clients aren't told. Many refusals are logged once a minute."""
        logged = Logged(self)
        port = self.query(allow_addresses=())
        for _ in range(2):
            got = await self.of(port, ["http://localhost:8080/x"])
            self.assertNotIn("allow_addresses", got.body.decode() + got.fields["Proxy-Status"])
        (line,) = [line for line in logged.lines if "/proxy: 403" in line]
        self.assertRegex(line, "address (127.0.0.1|::1) .*, list its network in allow_addresses$")

    async def test_no_source_at_all(self) -> None:
        got = await self.of(self.query(), ["http://nothing.invalid/x"])
        self.refused(got, 502, "dns_error", "has no address")

    async def test_a_file_that_no_source_has(self) -> None:
        origins = await self.mirrors(lambda received: Reply(404))
        self.assertEqual((await self.of(self.query(), films(origins))).status, 404)


class LoopTests(QueryCase):
    async def test_its_own_port(self) -> None:
        port = self.query()
        for host in ("127.0.0.1", "127.0.0.9"):
            got = await self.of(port, [f"http://{host}:{port}/proxy"])
            self.refused(got, 508, "proxy_loop_detected", "is this proxy itself")

    async def test_by_a_redirect(self) -> None:
        origins = await self.mirrors(redirecting(lambda: f"http://127.0.0.1:{port}/proxy"))
        port = self.query(redirects="public")
        got = await self.of(port, films(origins))
        self.refused(got, 508, "proxy_loop_detected", "is this proxy itself")

    async def test_by_way_of_another(self) -> None:
        """What another proxy passes on to us still has our name in its Via."""
        (origin,) = await self.mirrors(honest)
        port = self.query()
        await self.of(port, films([origin]), {"Via": "1.1 another"})
        fields = {name.lower(): value for name, value in origin.requests[0].fields}
        via = fields[b"via"].decode()
        self.assertTrue(via.startswith("1.1 another, 1.1 aprp-"), via)
        got = await self.of(port, films([origin]), {"Via": via + ", 1.1 one_more (a comment)"})
        self.refused(got, 508, "proxy_loop_detected", "came from this proxy itself")


class HeaderTests(QueryCase):
    """A secret of the configuration leaves only for hosts that the configuration names."""

    async def sent(self, **options: Any) -> list[tuple[bytes | None, bool]]:
        """The token that each of two sources got, and whether it got the Host of the settings."""
        origins = await self.mirrors(honest, honest)
        told = {"headers": (("X-Token", "secret"),), "host": "inner.example"} | options
        for url in films(origins):
            await self.of(self.query(**told), [url], {"Range": "bytes=5-9"})
        first = [origin.requests[0] for origin in origins]
        return [(each.get(b"x-token"), each.get(b"host") == b"inner.example") for each in first]

    async def test_to_no_host_unless_listed(self) -> None:
        self.assertEqual(await self.sent(), [(None, False), (None, False)])

    async def test_to_those_that_are_listed(self) -> None:
        sent = await self.sent(headers_to=("127.0.0.2",))
        self.assertEqual(sent, [(None, False), (b"secret", True)])


class RedirectTests(QueryCase):
    async def redirected(self, target: str, **options: Any) -> Response:
        (origin,) = await self.mirrors(redirecting(lambda: target))
        return await self.of(self.query(**options), films([origin]))

    async def test_on_the_same_host(self) -> None:
        (one,) = await self.mirrors(
            lambda received: (
                honest(received)
                if received.target == b"/there"
                else redirecting(lambda: "/there")(received)
            )
        )
        got = await self.of(self.query(), films([one]))
        self.assertEqual((got.status, got.body == BYTES), (200, True))

    async def test_to_another_host_only_where_the_route_says_so(self) -> None:
        _, two = await self.mirrors(honest, honest)
        got = await self.redirected(two.url + "/film.mp4")
        self.assertEqual(got.status, 502)
        self.assertIn("`redirects: public` would follow", got.body.decode())
        self.assertNotIn(two.url, got.body.decode())
        got = await self.redirected(two.url + "/film.mp4", redirects="public")
        self.assertEqual((got.status, got.body == BYTES), (200, True))

    async def test_where_it_may_not_go(self) -> None:
        for target, text in (
            ("http://evil.net/x", "redirects to another host, which isn't allowed"),
            ("http://127.9.9.9:25/x", "port 25"),
            ("http://10.0.0.1/x", "isn't allowed"),
            ("http://[::1]:8080/x", "isn't allowed"),
        ):
            got = await self.redirected(target, redirects="public", allow=("127.*",))
            self.refused(got, 403, "destination_ip_prohibited", text)
            for told in (got.body.decode(), got.fields["Proxy-Status"]):
                self.assertIn("http://127.0.0.1:", told)
                for hidden in ("evil.net", "127.9.9.9", "10.0.0.1", "::1"):
                    self.assertNotIn(hidden, told)

    async def test_every_address_is_checked_at_each_hop(self) -> None:
        got = await self.redirected("http://10.0.0.1/x", redirects="public")
        self.refused(got, 403, "destination_ip_prohibited", "may not be reached: it is private")
        self.assertNotIn("10.0.0.1", got.body.decode())
