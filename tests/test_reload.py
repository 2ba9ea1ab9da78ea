"""SIGHUP: a changed configuration takes the place of the running one, whole or not at all."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import ConfigFaults, load
from aprp.upstream.http.trust import trust_of
from tests.support.patience import PATIENCE
from tests.support.running import Running, get
from tests.support.threaded_origin import SIZE, ThreadedOrigin
from tests.test_reverse_tls import Authority

CONFIG = """\
listen: [{listen}]
admin: {admin}
stop_timeout: 5s
log: {log}
routes:
{routes}
"""
PORT = "tcp:0:interface=127.0.0.1"


class ReloadCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    def write(
        self, routes: str, listen: str = PORT, admin: str = PORT, log: str = "{level: info}"
    ) -> None:
        self.path.write_text(CONFIG.format(routes=routes, listen=listen, admin=admin, log=log))

    def start(self, *routes: str, **more: str) -> str:
        self.write("\n".join(routes), **more)
        self.daemon = Running(self, "--config", str(self.path))
        return self.daemon.ready()

    def reload(self) -> str:
        """What the service manager was told at the end of a reload."""
        self.daemon.process.send_signal(signal.SIGHUP)
        begun = self.daemon.told("RELOADING=1")
        self.assertRegex(begun, r"\nMONOTONIC_USEC=\d+")
        return self.daemon.told("READY=1")

    def metric(self, name: str) -> float:
        text = get(self.admin, "/metrics")[2].decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1])

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(self.admin, "/status")[2])
        return found

    @property
    def admin(self) -> str:
        assert self.daemon.admin is not None
        return self.daemon.admin

    def kept_open(self, address: str) -> http.client.HTTPConnection:
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        holders = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(holder.getsockname()[1]) for holder in holders]


def upstream(path: str, origin: ThreadedOrigin) -> str:
    return f"  - {{path: {path}, upstream: '{origin.url}'}}"


def mirrored(path: str, *origins: ThreadedOrigin) -> str:
    urls = ", ".join(f"{{url: '{origin.url}', connections: 1}}" for origin in origins)
    return f"  - {{path: {path}, sources: [{urls}]}}"


def asked(connection: http.client.HTTPConnection, path: str) -> tuple[int, str | None]:
    """Status, and which origin it came from."""
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response.status, response.headers["Origin-Name"]


class GoodReloadTests(ReloadCase):
    def test_what_stays_is_kept_and_what_changed_is_swapped(self) -> None:
        one, two = ThreadedOrigin(self, "one"), ThreadedOrigin(self, "two")
        address = self.start(upstream("/a/", one), mirrored("/m/", one))
        client, film = self.kept_open(address), self.kept_open(address)
        film.request("GET", "/a/held")
        answer = film.getresponse()
        self.assertTrue(one.held.wait(PATIENCE))
        self.assertEqual(asked(client, "/a/x"), (200, "one"))
        self.assertEqual(asked(client, "/m/x")[0], 200)
        connections = one.connections
        rated = [each["source"] for each in self.status()["sources"]]

        routes = [upstream("/b/", two), upstream("/c/", one), mirrored("/m/", one)]
        self.write("\n".join(routes), log="{level: debug}")
        self.assertIn(f"STATUS=serving on {address}; admin on {self.admin}", self.reload())

        self.assertEqual(asked(client, "/a/x")[0], 404)  # on the connection from before
        self.assertEqual(asked(client, "/b/x"), (200, "two"))
        self.assertEqual(asked(client, "/c/x"), (200, "one"))
        self.assertEqual(asked(client, "/m/x")[0], 200)
        self.assertEqual(one.connections, connections)  # those that were kept served again
        one.go_on.set()
        self.assertEqual(len(answer.read()), SIZE)  # its route is gone, and it ends
        status = self.status()
        self.assertEqual([each["source"] for each in status["sources"]], rated)
        self.assertTrue(status["reload"]["ok"])
        self.assertEqual(self.metric("aprp_config_last_reload_successful"), 1.0)

    def test_ports_come_and_go(self) -> None:
        origin = ThreadedOrigin(self)
        first, second, admin = free_ports(3)
        fixed = f"'tcp:{first}:interface=127.0.0.1'"
        self.start(upstream("/", origin), listen=f"{fixed}, {PORT}")
        moved = f"{fixed}, 'tcp:{second}:interface=127.0.0.1'"
        self.write(upstream("/", origin), listen=moved, admin=f"tcp:{admin}:interface=127.0.0.1")
        client = self.kept_open(f"127.0.0.1:{first}")
        self.assertEqual(asked(client, "/x")[0], 200)
        told = self.reload()
        self.assertIn(
            f"serving on 127.0.0.1:{first}, 127.0.0.1:{second}; admin on 127.0.0.1:{admin}", told
        )
        self.assertEqual(asked(client, "/x")[0], 200)
        self.assertEqual(get(f"127.0.0.1:{second}", "/x")[0], 200)
        self.assertEqual(get(f"127.0.0.1:{admin}", "/healthz")[0], 200)
        self.assertRaises(OSError, get, self.admin, "/healthz")
        self.assertIn(self.daemon.stop(), (0, -signal.SIGTERM))
        self.assertNotIn("Traceback", self.daemon.err)

    def test_the_logs_are_those_of_the_new_file(self) -> None:
        origin = ThreadedOrigin(self)
        address = self.start(upstream("/", origin))
        access = Path(self.mktemp()).absolute()
        self.write(upstream("/", origin), log=f"{{level: warn, access: {access}}}")
        self.reload()
        get(address, "/seen")
        self.write(upstream("/", origin))
        self.reload()
        self.assertIn("/seen", access.read_text())
        self.assertEqual(self.daemon.err.count(" reloaded; "), 1)  # only the one that was logged


class RefusedReloadTests(ReloadCase):
    def check_unchanged(self, address: str, told: str, why: str) -> None:
        self.assertIn("STATUS=reload refused", told)
        self.assertIn(why, told)
        self.assertIn(f"serving on {address}; admin on {self.admin}", told)
        self.assertEqual(get(address, "/a/x")[0], 200)
        self.assertEqual(get(address, "/b/x")[0], 404)
        reload = self.status()["reload"]
        self.assertFalse(reload["ok"])
        self.assertIn(why, reload["message"])
        self.assertEqual(self.metric("aprp_config_last_reload_successful"), 0.0)
        self.daemon.wait_for(f"error aprp.daemon.reload.Reloader: reload refused: {why}")

    def test_a_file_with_faults(self) -> None:
        origin = ThreadedOrigin(self)
        address = self.start(upstream("/a/", origin))
        self.write(
            upstream("/b/", origin) + "\n  - {path: /c/, upstrem: 'http://a/'}\nmemroy: 1MiB"
        )
        refused = self.assertRaises(ConfigFaults, load, self.path)
        faults = str(refused).split("\n")
        self.assertGreater(len(faults), 1)
        self.check_unchanged(address, self.reload(), faults[0])
        self.assertEqual(self.status()["reload"]["message"].split("\n"), faults)

    def test_a_port_or_a_log_that_cannot_be_had(self) -> None:
        origin = ThreadedOrigin(self)
        address = self.start(upstream("/a/", origin))
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = f"tcp:{holder.getsockname()[1]}:interface=127.0.0.1"
            (other,) = free_ports(1)
            self.write(
                upstream("/b/", origin),
                listen=f"{PORT}, 'tcp:{other}:interface=127.0.0.1', '{taken}'",
            )
            self.check_unchanged(address, self.reload(), f"can't listen on {taken}: ")
            self.assertRaises(OSError, get, f"127.0.0.1:{other}", "/a/x")
            self.write(upstream("/b/", origin), admin=taken)
            self.check_unchanged(address, self.reload(), f"can't listen on {taken}: ")
        self.write(upstream("/b/", origin), log="{file: /missing/folder/log}")
        said = f"{self.path}:4:13: log.file: /missing/folder is not a folder"
        self.check_unchanged(address, self.reload(), said)
        self.write(upstream("/b/", origin))
        self.assertIn("STATUS=serving on", self.reload())
        self.assertEqual(get(address, "/b/x")[0], 200)

    def test_without_a_file_the_logs_are_opened_anew_and_nothing_else(self) -> None:
        origin = ThreadedOrigin(self)
        self.daemon = Running(self, "--upstream", origin.url, "--port", "0")
        address = self.daemon.ready()
        self.assertIn(f"STATUS=serving on {address}", self.reload())
        self.daemon.wait_for("there is no file to reload")
        self.assertEqual(get(address, "/x")[0], 200)


class TrustTests(SynchronousTestCase):
    def test_the_same_certificates_are_one_trust(self) -> None:
        """So that connections to an origin with `tls: {ca: ...}` outlast a reload."""
        ca = Authority("a").write(Path(self.mktemp()))
        self.assertIs(trust_of(ca), trust_of(ca))
