"""`workers: 2`: processes that share the sockets, seen as one daemon."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.patience import PATIENCE
from tests.support.running import TWISTD, Running, get
from tests.support.threaded_origin import SIZE, ThreadedOrigin
from tests.test_draining import PASSING

CONFIG = """\
listen: ["{listen}"]
admin: tcp:0:interface=127.0.0.1
control: ctl.sock
workers: 2
stop_timeout: 30s
log: {{access: access.log}}
routes:
"""
PORT = "tcp:0:interface=127.0.0.1"


class WorkersCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.mkdtemp()  # the path of a socket has to be short
        self.addCleanup(shutil.rmtree, folder)
        self.path = Path(folder, "aprp.yaml")
        self.origin = ThreadedOrigin(self)

    def write(self, *routes: str, listen: str = PORT) -> None:
        self.path.write_text(CONFIG.format(listen=listen) + "\n".join(routes) + "\n")

    def start(self, *routes: str) -> str:
        self.write(*(routes or (upstream("/", self.origin),)))
        self.daemon = Running(self, "--config", str(self.path))
        return self.daemon.ready()

    @property
    def admin(self) -> str:
        assert self.daemon.admin is not None
        return self.daemon.admin

    def status(self) -> Any:
        return json.loads(get(self.admin, "/status")[2])

    def pids(self) -> list[int]:
        return [worker["pid"] for worker in self.status()["workers"]]

    def metric(self, name: str) -> float:
        text = get(self.admin, "/metrics")[2].decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1])

    def eventually(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.daemon.err
            time.sleep(0.01)

    def by(self, worker: int, do: Callable[[], Any]) -> Any:
        """What it gives while only this of the two workers runs."""
        other = self.pids()[1 - worker]
        os.kill(other, signal.SIGSTOP)
        try:
            return do()
        finally:
            os.kill(other, signal.SIGCONT)

    def film(
        self, address: str, path: str = "/held", fields: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """An answer that has begun, and ends when the origin may go on."""
        host, _, port = address.rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", path, headers=dict(fields or {}))
        return client.getresponse()


def upstream(path: str, origin: ThreadedOrigin) -> str:
    return f"  - {{path: {path}, upstream: '{origin.url}'}}"


def mirrored(path: str, *origins: ThreadedOrigin) -> str:
    urls = ", ".join(f"{{url: '{origin.url}', connections: 2}}" for origin in origins)
    return f"  - {{path: {path}, sources: [{urls}]}}"


class TwoWorkersTests(WorkersCase):
    def test_bandwidth_holds_over_both(self) -> None:
        """Downloads of one size, started together: at 1 MiB/s, 3 MiB take 3 s less the bursts."""
        route = upstream("/", self.origin)[:-1] + ", bandwidth: 1MiB}"
        host, _, port = self.start(route).rpartition(":")
        began = time.monotonic()
        clients = [http.client.HTTPConnection(host, int(port), timeout=PATIENCE) for _ in range(3)]
        for client in clients:
            self.addCleanup(client.close)
            client.request("GET", "/x")
        sizes = [len(client.getresponse().read()) for client in clients]
        self.assertEqual(sizes, [SIZE] * 3)
        self.assertGreater(time.monotonic() - began, 2.0)

    def test_both_serve_and_one_place_counts(self) -> None:
        address = self.start(upstream("/", self.origin), mirrored("/m/", self.origin))
        for worker in (0, 1):
            for path in ("/x", "/m/x"):
                status, _, body = self.by(worker, partial(get, address, path))
                self.assertEqual((status, len(body)), (200, SIZE))
        self.assertEqual(self.metric('aprp_requests_total{route="/",status="200"}'), 2.0)
        self.assertEqual(self.metric('aprp_requests_total{route="/m/",status="200"}'), 2.0)
        self.assertEqual(self.metric('aprp_sent_bytes_total{route="/"}'), 2.0 * SIZE)
        self.assertEqual(self.metric('aprp_request_seconds_bucket{le="+Inf",route="/"}'), 2.0)
        self.assertEqual(self.metric("aprp_memory_limit_bytes"), 512.0 * 2**20)
        self.assertEqual(self.metric("aprp_workers"), 2.0)
        for worker in self.status()["workers"]:
            self.assertEqual((worker["state"], worker["requests"]), ("serving", 0))
            self.assertGreater(worker["memory"], 10_000_000)
            self.assertGreater(worker["seconds"], 0)
        routes = {route["path"]: route for route in self.status()["routes"]}
        self.assertEqual(routes["/"]["requests"], 2)
        self.assertEqual(routes["/m/"]["sources"][0]["share"], 1.0)
        self.assertEqual(get(self.admin, "/readyz")[::2], (200, b"ready\n"))
        access = self.path.with_name("access.log")
        self.eventually(lambda: access.read_text().count("GET /m/x ") == 2)
        self.assertEqual(access.read_text().count("GET /x "), 2)
        self.daemon.stop()
        self.assertNotIn("Traceback", self.daemon.err)

    def test_a_worker_that_dies_is_replaced(self) -> None:
        address = self.start()
        first, second = self.pids()
        film = self.by(1, lambda: self.film(address))
        self.assertEqual(self.metric('aprp_requests_in_flight{route="/"}'), 1.0)
        self.by(0, lambda: get(address, "/x"))
        self.assertEqual(self.metric('aprp_requests_total{route="/",status="200"}'), 1.0)
        os.kill(first, signal.SIGKILL)
        self.daemon.wait_for(f"worker 1 (pid {first}) was killed by SIGKILL")
        self.assertEqual(get(address, "/y")[0], 200)  # the other one is there
        self.eventually(lambda: self.metric("aprp_workers") == 2.0)
        self.assertEqual(self.metric("aprp_worker_restarts_total"), 1.0)
        self.assertGreaterEqual(self.metric('aprp_requests_total{route="/",status="200"}'), 2.0)
        third, *others = self.pids()
        self.assertNotEqual(third, first)
        self.assertEqual(others, [second])
        self.assertEqual(self.by(0, lambda: get(address, "/z"))[0], 200)
        self.origin.go_on.set()
        self.assertEqual(len(film.read()), SIZE)

    def test_the_stop_lets_answers_of_all_end(self) -> None:
        address = self.start()
        films = [self.by(worker, lambda: self.film(address)) for worker in (0, 1)]
        pids = self.pids()
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.told("STOPPING=1")
        for pid in pids:  # as a service manager does that signals all processes
            os.kill(pid, signal.SIGTERM)
        self.eventually(lambda: refused(address))
        self.assertEqual(get(self.admin, "/healthz")[::2], (503, b"stopping\n"))
        self.assertEqual(self.status()["requests"], 2)
        self.origin.go_on.set()
        self.assertEqual([len(film.read()) for film in films], [SIZE, SIZE])
        self.daemon.ended()
        self.assertFalse([pid for pid in pids if Path(f"/proc/{pid}").exists()])
        self.assertNotIn("Traceback", self.daemon.err)

    def test_a_second_signal_cuts(self) -> None:
        address = self.start()
        film = self.film(address)
        self.daemon.process.send_signal(signal.SIGTERM)
        self.eventually(lambda: refused(address))
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertRaises((http.client.IncompleteRead, OSError), film.read)
        self.daemon.ended()

    def test_workers_end_with_their_parent(self) -> None:
        self.start()
        pids = self.pids()
        self.daemon.process.kill()
        self.daemon.ended()
        self.eventually(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])


class SocketActivationTests(WorkersCase):
    def test_a_passed_socket_is_shared(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(listener.close)
        self.write(upstream("/", self.origin), listen="systemd:domain=INET:name=aprp")
        self.daemon = Running(
            self,
            "--config",
            str(self.path),
            command=("bash", "-c", PASSING, "bash", str(listener.fileno()), *TWISTD, "aprp"),
            environ={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "aprp"},
            pass_fds=(listener.fileno(),),
        )
        host, port = listener.getsockname()
        address = self.daemon.ready()
        self.assertEqual(address, f"{host}:{port}")
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(address, "/x"))[0], 200)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertIn(f"STATUS=serving on {address}; 2 workers", self.daemon.told("READY=1"))
        self.assertEqual(self.page()["routes"][0]["requests"], 2)
        self.daemon.stop()
        with socket.create_connection((host, port), PATIENCE):
            pass  # it is still there for the next process
        self.assertNotIn("Traceback", self.daemon.err)

    def page(self) -> Any:
        """What the page shows first."""
        host, _, port = self.admin.rpartition(":")
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", "/events")
        return json.loads(client.getresponse().readline().removeprefix(b"data: "))


class ReloadTests(WorkersCase):
    def reload(self) -> str:
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.told("RELOADING=1")
        return self.daemon.told("READY=1")

    def test_good_and_bad(self) -> None:
        address = self.start()
        pids = self.pids()
        self.write(upstream("/new/", self.origin))
        self.assertIn("STATUS=serving on", self.reload())
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(address, "/new/x"))[0], 200)
            self.assertEqual(self.by(worker, lambda: get(address, "/x"))[0], 404)
        self.write("  - {path: /, upstrem: x}")
        told = self.reload()
        self.assertIn("reload refused", told)
        self.assertFalse(self.status()["reload"]["ok"])
        self.assertEqual(self.metric("aprp_config_last_reload_successful"), 0.0)
        self.assertEqual(get(address, "/new/x")[0], 200)
        os.kill(pids[0], signal.SIGKILL)  # its successor has the good file's settings too
        self.daemon.wait_for("was killed by SIGKILL")
        self.eventually(lambda: self.metric("aprp_workers") == 2.0)
        self.assertEqual(self.by(0, lambda: get(address, "/new/x"))[0], 200)
        self.assertEqual(self.pids()[1], pids[1])

    def test_ports_come_and_go(self) -> None:
        before = self.start()
        film = self.film(before)
        self.write(upstream("/", self.origin), listen="tcp:0:interface=127.0.0.2")
        told = self.reload()
        found = re.search(r"serving on (\S+?);", told)
        assert found is not None
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(found[1], "/x"))[0], 200)
        self.eventually(lambda: refused(before))
        self.origin.go_on.set()
        self.assertEqual(len(film.read()), SIZE)


class OneWorkerTests(SynchronousTestCase):
    def test_nothing_of_workers_is_there(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / "aprp.yaml"
        path.write_text('listen: ["tcp:0"]\nroutes: [{path: /, upstream: "http://127.0.0.1:9/"}]\n')
        program = (
            "import sys\n"
            "from aprp.daemon.daemon import Daemon\n"
            "from aprp.daemon.options import Options\n"
            "from aprp.daemon.service import makeService\n"
            "options = Options()\n"
            f"options.parseOptions(['--config', {str(path)!r}])\n"
            "assert type(makeService(options)) is Daemon\n"
            "assert not [name for name in sys.modules if 'workers' in name]\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


def refused(address: str) -> bool:
    try:
        get(address, "/")
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
