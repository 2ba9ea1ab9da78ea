"""`aprp ctl`, and the control socket of a daemon in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import main
from aprp.ctl.text import text_of
from tests.support.config_case import ConfigCase
from tests.support.patience import PATIENCE
from tests.support.running import Running, get
from tests.support.threaded_origin import SIZE, ThreadedOrigin

CONFIG = """\
listen: ["tcp:0:interface=127.0.0.1"]
control: ctl.sock
stop_timeout: 30s
routes:
  - path: /two/
    window: 256KiB
    block_size: 64KiB
    sources: [{url: '%s'}, {url: '%s'}]
  - path: /one/
    upstream: %s
"""


class ControlCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.mkdtemp()  # the path of a socket has to be short
        self.addCleanup(shutil.rmtree, folder)
        self.path = Path(folder, "aprp.yaml")
        self.socket = Path(folder, "ctl.sock")

    def ctl(self, *words: str, where: str = "--config") -> tuple[int, str]:
        """Status and output of a command."""
        out = io.StringIO()
        place = str(self.path if where == "--config" else self.socket)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = main(["ctl", where, place, *words])
        return status, out.getvalue().rstrip("\n")


class DaemonControlTests(ControlCase):
    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = ThreadedOrigin(self, "a"), ThreadedOrigin(self, "b")
        self.path.write_text(CONFIG % (self.a.url, self.b.url, self.a.url))
        self.start()

    def start(self) -> None:
        self.daemon = Running(self, "--config", str(self.path))
        self.address = self.daemon.ready()

    def answer(self, *words: str) -> Any:
        """The result of a command that is carried out, as JSON."""
        status, text = self.ctl("--json", *words)
        self.assertEqual(status, 0, text)
        return json.loads(text)

    def film(self, path: str) -> http.client.HTTPResponse:
        host, _, port = self.address.rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", path)
        return client.getresponse()

    def test_what_is_shown(self) -> None:
        self.assertEqual(stat.S_IMODE(self.socket.stat().st_mode), 0o600)
        film = self.film("/one/held")
        status = self.answer("status")
        self.assertEqual((status["state"], status["requests"]), ("serving", 1))
        self.assertEqual(
            (status["pid"], status["addresses"]), (self.daemon.process.pid, [self.address])
        )
        (transfer,) = self.answer("transfers")
        self.assertEqual((transfer["target"], transfer["route"]), ("/one/held", "/one/"))
        sources = {each["source"]: each["routes"] for each in self.answer("sources")}
        self.assertEqual(sources, {self.a.url: ["/two/", "/one/"], self.b.url: ["/two/"]})
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.told("STOPPING=1")
        self.assertEqual(self.answer("status")["state"], "stopping")  # a drain can be watched
        self.a.go_on.set()
        film.read()
        self.daemon.ended()
        self.assertFalse(self.socket.exists())

    def test_a_film_goes_on_without_a_source_that_is_drained(self) -> None:
        film = self.film("/two/held")
        for origin in (self.a, self.b):
            self.assertTrue(origin.held.wait(PATIENCE))
        self.assertEqual(self.ctl("drain", f"127.0.0.1:{self.a.port}")[0], 0)
        asked = len(self.a.asked)
        for origin in (self.a, self.b):
            origin.go_on.set()
        self.assertEqual(film.read(), bytes(SIZE))
        self.assertEqual(get(self.address, "/two/other")[0], 200)
        self.assertNotIn("/other", self.a.asked)
        # those that were under way before may be read only now, one on each connection
        self.assertLess(len(self.a.asked), asked + 4)
        self.assertEqual(get(self.address, "/one/x")[0], 503)
        drained = self.answer("drain", self.a.url)
        self.assertEqual(drained["routes_without_source"], ["/one/"])
        self.assertIn("drained", self.ctl("sources")[1])
        self.assertEqual(self.ctl("resume", self.a.url), (0, f"{self.a.url} is in service"))
        self.assertEqual(get(self.address, "/one/x")[0], 200)
        for said in (
            f"{self.a.url} is out of service: drained; /one/ has no source in service",
            f"{self.a.url} is in service",
        ):
            self.assertIn(said + "\n", self.daemon.err)

    def test_a_source_that_is_dead_says_so(self) -> None:
        dead = "http://127.0.0.1:9/"
        film = self.film("/one/held")
        self.path.write_text(self.path.read_text() + f"  - {{path: /dead/, upstream: '{dead}'}}\n")
        self.answer("reload")
        self.assertEqual(get(self.address, "/dead/x")[0], 502)
        sources = {each["source"]: each for each in self.answer("sources")}
        self.assertEqual((sources[dead]["state"], sources[dead]["bytes_per_second"]), ("down", 0))
        self.assertEqual(
            (sources[self.a.url]["state"], sources[self.a.url]["connections"]), ("ok", 1)
        )
        self.assertIn("  down: 127.0.0.1:9 refused the connection  ", self.ctl("sources")[1])
        self.a.go_on.set()
        film.read()

    def test_reload_and_log_level(self) -> None:
        self.assertEqual(self.ctl("log-level", "warn")[0], 0)
        self.answer("drain", self.b.url)
        self.assertEqual(self.answer("reload")["ok"], True)
        self.assertEqual(self.answer("status")["out_of_service"], [self.b.url])
        self.daemon.wait_for(" reloaded; ")  # the file says info again
        self.path.write_text("listen: []\n")
        status, said = self.ctl("reload", where="--socket")
        self.assertEqual(status, 1)
        self.assertIn("the reload was refused, and nothing has changed:", said)
        self.assertIn(f"{self.path}:1:9: listen: needs at least one item", said)
        self.assertEqual(get(self.address, "/one/x")[0], 200)

    def test_an_invalid_configuration_is_not_in_the_way(self) -> None:
        """It is while the file has faults that one asks the daemon what it does."""
        valid = self.path.read_text()
        self.path.write_text(valid + "nonsense: 1\n")
        self.assertEqual(self.answer("status")["state"], "serving")
        status, said = self.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("the reload was refused, and nothing has changed:", said)
        self.path.write_text(valid + "]")
        status, said = self.ctl("status")
        self.assertEqual(status, 1)
        self.assertIn("the configuration has faults; name the socket", said)
        self.assertIn(f"{self.path}:", said)

    def test_what_cannot_be_done(self) -> None:
        for words, said in (
            (("drain", "127.0.0.1"), "may be http"),
            (("drain", "http://b/"), "no source is called 'http://b/'"),
            (("log-level", "loud"), "'loud' is not a log level; use debug, info, warn or error"),
        ):
            status, text = self.ctl(*words)
            self.assertEqual(status, 1)
            self.assertIn(said, text)
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answers:
            client.connect(str(self.socket))
            for line, said in (
                (b"nonsense\n", "write a request as one line of JSON"),
                (b'{"command": "dance"}\n', "'dance' is not a command; use status, "),
                (b'{"command": "drain"}\n', "drain doesn't take 0 arguments"),
            ):
                client.sendall(line)
                answer = json.loads(answers.readline())
                self.assertFalse(answer["ok"])
                self.assertIn(said, answer["error"])
        self.assertNotIn("Traceback", self.daemon.err)

    def test_a_daemon_that_was_killed_leaves_nothing_in_the_way(self) -> None:
        self.daemon.process.kill()
        self.daemon.ended()
        status, said = self.ctl("status")
        self.assertEqual(status, 1)
        self.assertIn("Connection refused; the daemon that had it is gone; start it", said)
        self.start()
        self.assertEqual(self.answer("status")["state"], "serving")

    def test_another_daemon_has_the_socket(self) -> None:
        other = Running(self, "--config", str(self.path))
        self.assertEqual(other.ended(), 1)
        self.assertIn(f"can't listen on unix:{self.socket}", other.err)
        self.assertIn("end the daemon that uses it, or name another with control:", other.err)
        self.assertEqual(self.answer("status")["state"], "serving")


class RuntimeDirectoryTests(ControlCase):
    def test_the_socket_is_in_the_directory_that_systemd_gives(self) -> None:
        origin = ThreadedOrigin(self)
        daemon = Running(
            self,
            *("--upstream", origin.url, "--port", "0"),
            environ={"RUNTIME_DIRECTORY": str(self.socket.parent)},
        )
        daemon.ready()
        self.assertIn("serving", self.ctl("status", where="--socket")[1])


class NoDaemonTests(ControlCase):
    def test_no_socket(self) -> None:
        status, said = self.ctl("status", where="--socket")
        self.assertEqual(status, 1)
        self.assertIn(f"can't reach the daemon at {self.socket}: No such file", said)
        self.assertIn("--socket", said)

    def test_a_configuration_with_faults(self) -> None:
        self.path.write_text("listen: []\n")
        status, said = self.ctl("status")
        self.assertEqual(status, 1)
        self.assertIn(f"{self.path}:1:9: listen: ", said)

    def test_something_else_listens_there(self) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.socket))
            other.listen()
            if os.fork() == 0:
                client, _ = other.accept()
                client.recv(100)
                client.sendall(b"220 smtp\n")
                os._exit(0)
            status, said = self.ctl("status", where="--socket")
            os.wait()
        self.assertEqual((status, "isn't the control socket" in said), (1, True))


class TextTests(SynchronousTestCase):
    def test_nothing_to_show(self) -> None:
        self.assertEqual(text_of("transfers", []), "no requests are being answered")

    def test_workers(self) -> None:
        status = {
            "version": "1",
            "pid": 4,
            "state": "serving",
            "addresses": ["127.0.0.1:8000"],
            "requests": 0,
            "clients": 0,
            "connections": 0,
            "memory": {"held": 0, "limit": 1},
            "out_of_service": [],
            "reload": None,
        }
        self.assertNotIn("workers", text_of("status", status))
        status |= {"workers": [{"state": "serving"}, {"state": "starting"}], "worker_restarts": 1}
        self.assertIn("workers: 1 of 2 serving; restarts: 1", text_of("status", status))


class SettingTests(ConfigCase):
    def test_the_path_of_a_socket(self) -> None:
        text = "listen: [tcp:0]\ncontrol: %s\nroutes: [{path: /, upstream: 'http://a/'}]\n"
        folder = self.folder.absolute()
        fault = self.fault(text % ("x" * 108))
        self.assertIn("2:10: control: is longer than the 107 bytes", fault)
        self.assertEqual(self.read(text % "/run/x.sock").settings.control, Path("/run/x.sock"))
        if len(os.fsencode(folder)) < 100:
            self.assertEqual(self.read(text % "c.s").settings.control, folder / "c.s")
