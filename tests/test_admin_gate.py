"""Who may use the admin port, and what it does for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bcrypt
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.actions import CannotDo
from aprp.web.admin.gate import MOST_BODY, AdminRules
from aprp.web.admin.overview import Health, Overview
from aprp.web.tallies import Tallies
from tests.support.admin_port import NOTHING, admin_site, ask
from tests.support.running import Running, get
from tests.support.threaded_origin import ThreadedOrigin
from tests.test_gate import basic

JSON = {"Content-Type": "application/json"}
PATHS = ("/", "/page/page.js", "/events", "/status", "/metrics", "/healthz", "/drain", "/nothing")


class RulesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        shared = SharedResources(Agent(self.clock), self.clock, 1_000_000)
        overview = Overview(Health("serving"), Tallies(()), shared, list, lambda: 0)
        self.overview = overview

    def ask(
        self,
        path: str,
        method: str = "GET",
        fields: dict[str, str] | None = None,
        body: bytes = b"",
        names: tuple[str, ...] = (),
        handlers: Any = NOTHING,
    ) -> tuple[int, dict[str, str], bytes]:
        site = admin_site(self.overview, self.clock, AdminRules(names), handlers)
        return ask(site, path, method, fields, body)


class RulesTests(RulesCase):
    def test_a_foreign_name_is_refused_everywhere(self) -> None:
        for path in PATHS:
            status, fields, body = self.ask(path, fields={"Host": "evil.example:8001"})
            self.assertEqual(status, 421, path)
            self.assertIn(b"add the name of the Host field to hosts: under admin:", body)
            self.assertEqual(fields["content-type"], "text/plain; charset=utf-8")
            self.assertNotIn("access-control-allow-origin", fields)

    def test_own_names(self) -> None:
        for host in ("localhost:8001", "[::1]:8001", "192.0.2.7", "aprp.lan:8001"):
            self.assertEqual(self.ask("/status", fields={"Host": host}, names=("*.lan",))[0], 200)

    def test_more_than_one_name(self) -> None:
        host = {"Host": "localhost", "host": "evil.example"}
        self.assertEqual(self.ask("/status", fields=host)[0], 400)

    def test_a_page_of_another_site_does_nothing(self) -> None:
        called: list[Any] = []
        for extra in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        ):
            for action in NOTHING:
                status, _, body = self.ask(
                    f"/{action}",
                    "POST",
                    JSON | extra,
                    b'{"source": "x"}',
                    handlers=dict.fromkeys(NOTHING, called.append),
                )
                self.assertEqual(status, 403)
                self.assertIn(b"only the admin page may", body)
        self.assertEqual(called, [])
        for path in ("/", "/events", "/metrics"):
            self.assertEqual(self.ask(path, fields={"Sec-Fetch-Site": "cross-site"})[0], 403)
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        self.assertEqual(self.ask("/", fields=link)[0], 200)

    def test_head_of_a_refusal(self) -> None:
        status, fields, body = self.ask("/", "HEAD", {"Host": "evil.example"})
        self.assertEqual((status, body), (421, b""))
        self.assertGreater(int(fields["content-length"]), 0)


class ActionTests(RulesCase):
    def test_commands_and_their_arguments(self) -> None:
        own = JSON | {"Origin": "http://127.0.0.1:8001", "Sec-Fetch-Site": "same-origin"}
        for fields in (JSON, own, {"Content-Type": "application/json; charset=utf-8"}):
            for path, sent, done in (
                ("/drain", {"source": "http://a/"}, ["http://a/"]),
                ("/resume", {"source": "http://a/"}, ["http://a/"]),
                ("/reload", {}, []),
            ):
                status, told, body = self.ask(path, "POST", fields, json.dumps(sent).encode())
                self.assertEqual((status, told["content-type"]), (200, "application/json"))
                self.assertEqual(json.loads(body), {"done": done})

    def test_nothing_but_a_post_changes_anything(self) -> None:
        called: list[Any] = []
        for action in NOTHING:
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
                status, fields, _ = self.ask(
                    f"/{action}?source=x", method, handlers=dict.fromkeys(NOTHING, called.append)
                )
                self.assertEqual((status, fields["allow"]), (405, "post"))
        self.assertEqual(called, [])

    def test_what_a_form_can_send_is_refused(self) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            sent = {"Content-Type": kind}
            self.assertEqual(self.ask("/drain", "POST", sent, b'{"source": "x"}')[0], 415)
        self.assertEqual(self.ask("/drain", "POST", {}, b'{"source": "x"}')[0], 415)

    def test_bodies_that_say_nothing(self) -> None:
        for body in (
            b"",
            b"x",
            b"{}",
            b"[]",
            b'{"source": 1}',
            b'{"source": "x", "y": 1}',
            b"\xff",
            b"[" * 4000,
        ):
            status, _, told = self.ask("/drain", "POST", JSON, body)
            self.assertEqual(status, 400, body)
            self.assertIn('such as {"source": "..."}', json.loads(told)["error"])

    def test_a_large_body_is_not_kept(self) -> None:
        body = b" " * (MOST_BODY + 1)
        self.assertEqual(self.ask("/drain", "POST", JSON, body)[0], 413)

    def test_what_cannot_be_done(self) -> None:
        def drain(source: str) -> None:
            raise CannotDo(f"no source is called {source!r}")

        status, _, body = self.ask(
            "/drain", "POST", JSON, b'{"source": "x"}', handlers={**NOTHING, "drain": drain}
        )
        self.assertEqual((status, json.loads(body)), (409, {"error": "no source is called 'x'"}))

    def test_a_fault_of_ours(self) -> None:
        def drain(source: str) -> None:
            raise KeyError(source)

        handlers = {**NOTHING, "drain": drain}
        status, _, _ = self.ask("/drain", "POST", JSON, b'{"source": "x"}', handlers=handlers)
        self.assertEqual(status, 500)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


CONFIG = """\
listen: [tcp:0:interface=127.0.0.1]
admin: {{listen: tcp:0, {admin}}}
routes:
  - {{path: /, upstream: '{url}'}}
"""


class DaemonTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.origin = ThreadedOrigin(self)
        self.path = Path(self.mktemp()).absolute()
        self.write("")

    def write(self, admin: str) -> None:
        self.path.write_text(CONFIG.format(admin=admin, url=self.origin.url))

    def start(self) -> str:
        self.daemon = Running(self, "--config", str(self.path))
        address = self.daemon.ready()
        assert self.daemon.admin is not None
        self.admin = self.daemon.admin
        return address

    def post(self, path: str, fields: dict[str, str], **sent: str) -> tuple[int, Any]:
        status, _, body = get(self.admin, path, JSON | fields, "POST", json.dumps(sent).encode())
        return status, body if status in (401, 403) else json.loads(body)

    def test_a_source_is_drained_and_brought_back(self) -> None:
        address = self.start()
        self.assertEqual(self.admin.partition(":")[0], "127.0.0.1")  # though no interface is named
        status, told = self.post("/drain", {}, source=self.origin.url)
        self.assertEqual((status, told["out_of_service"]), (200, "drained"))
        self.assertEqual(told["routes_without_source"], ["/"])
        self.assertEqual(get(address, "/x")[0], 503)
        (route,) = json.loads(get(self.admin, "/status")[2])["routes"]
        (source,) = route["sources"]
        self.assertEqual((source["state"], source["out_of_service"]), ("out", "drained"))
        self.assertEqual(self.post("/resume", {}, source=self.origin.url)[0], 200)
        self.assertEqual(get(address, "/x")[0], 200)
        self.assertEqual(self.post("/drain", {}, source="http://b/")[0], 409)

    def test_a_password_that_a_reload_asks_for(self) -> None:
        self.start()
        users = self.path.with_name(self.path.name + ".users")
        users.write_bytes(b"ann:" + bcrypt.hashpw(b"open", bcrypt.gensalt(4)) + b"\n")
        self.write(f"basic_auth: {users}")
        self.assertEqual(self.post("/reload", {})[0], 200)
        for fields in ({}, basic("ann", "shut")):
            for path in ("/", "/events", "/status", "/metrics", "/page/page.js", "/nothing"):
                status, told, _ = get(self.admin, path, fields)
                self.assertEqual(
                    (status, told["WWW-Authenticate"]), (401, 'Basic realm="aprp", charset="UTF-8"')
                )
            self.assertEqual(self.post("/drain", fields, source=self.origin.url)[0], 401)
        ann = basic("ann", "open")
        self.assertEqual([get(self.admin, p, ann)[0] for p in ("/", "/status")], [200, 200])
        self.assertEqual([get(self.admin, p)[0] for p in ("/healthz", "/readyz")], [200, 200])
        evil = ann | {"Origin": "http://evil.example"}
        self.assertEqual(self.post("/drain", evil, source=self.origin.url)[0], 403)
        self.assertEqual(self.post("/drain", ann, source=self.origin.url)[0], 200)
        self.write("hosts: [aprp.lan]")
        self.assertEqual(self.post("/reload", ann)[0], 200)
        self.assertEqual(get(self.admin, "/status", {"Host": "aprp.lan:8001"})[0], 200)
        self.assertEqual(get(self.admin, "/status", {"Host": "films.lan:8001"})[0], 421)
        self.write("basic_auth: /nonexistent")
        status, told = self.post("/reload", {})
        self.assertEqual(status, 409)
        self.assertIn("/nonexistent can't be read: No such file", told["error"])
        self.assertNotIn("Traceback", self.daemon.err)
