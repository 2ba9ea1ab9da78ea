"""The daemon as a process: how it starts, says that it serves, logs, reloads and ends."""

from __future__ import annotations

import http.client
import re
import signal
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aprp.daemon.demonstration import FAULT_AFTER
from aprp.demo.files import CLIP, demo_files
from tests.support.patience import PATIENCE
from tests.support.running import TWISTD, Running, get

CONFIG = """\
listen: [{listen}]
admin: tcp:0:interface=127.0.0.1
log: {log}
routes:
  - path: /
    upstream: http://127.0.0.1:9/
"""


class DaemonCase(SynchronousTestCase):
    def config(self, log: str = "{}", listen: str = "tcp:0:interface=127.0.0.1") -> str:
        path = Path(self.mktemp()).absolute()
        path.write_text(CONFIG.format(log=log, listen=listen))
        return str(path)

    def taken_port(self) -> int:
        holder = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        port: int = holder.getsockname()[1]
        return port


class StartTests(DaemonCase):
    def test_faults_of_the_file_are_printed_and_nothing_starts(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_text("listen: [nonsense]\nroutes:\n  - path: x\n    upstream: ftp://h/\n")
        daemon = Running(self, "--config", str(path))
        self.assertEqual(daemon.ended(), 1)
        lines = daemon.err.splitlines()
        self.assertGreater(len(lines), 2)
        self.assertEqual([line for line in lines if not line.startswith(f"{path}:")], [])

    def test_a_file_that_is_missing(self) -> None:
        daemon = Running(self, "--config", "missing.yaml")
        self.assertEqual(daemon.ended(), 1)
        self.assertIn("missing.yaml", daemon.err)
        self.assertEqual(len(daemon.err.splitlines()), 1)

    def test_a_usage_error(self) -> None:
        daemon = Running(self, "--port", "80")
        self.assertEqual(daemon.ended(), 2)
        self.assertIn("--port goes with", daemon.err)
        self.assertEqual(len(daemon.err.splitlines()), 1)

    def test_a_port_that_is_taken(self) -> None:
        port = self.taken_port()
        daemon = Running(self, "--demo", "--port", str(port))
        self.assertEqual(daemon.ended(), 1)
        last = daemon.err.splitlines()[-1]
        self.assertIn(f"can't listen on tcp:{port}:", last)
        self.assertIn("Address already in use", last)
        self.assertIn("--port", last)
        self.assertNotIn("Traceback", daemon.out + daemon.err)

    def test_an_address_that_the_machine_does_not_have(self) -> None:
        daemon = Running(self, "--config", self.config(listen="tcp:0:interface=192.0.2.1"))
        self.assertEqual(daemon.ended(), 1)
        last = daemon.err.splitlines()[-1]
        self.assertIn("Cannot assign requested address; interface= is no address of this", last)
        self.assertNotIn("end the program that uses the port", last)

    def test_a_port_that_is_taken_is_told_on_standard_error_beside_a_log_file(self) -> None:
        listen = f"tcp:{self.taken_port()}:interface=127.0.0.1"
        log = Path(self.mktemp()).absolute()
        daemon = Running(self, "--config", self.config(f"{{file: {log}}}", listen))
        self.assertEqual(daemon.ended(), 1)
        self.assertTrue(daemon.err.startswith(f"aprp: can't listen on {listen}: "), daemon.err)
        self.assertEqual(len(daemon.err.splitlines()), 1)
        self.assertIn("can't listen", log.read_text())

    def test_a_log_that_cannot_be_opened(self) -> None:
        daemon = Running(self, "--config", self.config("{file: /missing/folder/log}"))
        self.assertEqual(daemon.ended(), 1)
        self.assertEqual(len(daemon.err.splitlines()), 1)
        self.assertIn("log.file: /missing/folder is not a folder; make it", daemon.err)

    def test_a_socket_that_was_not_passed(self) -> None:
        listen = "systemd:domain=INET:name=aprp"
        daemon = Running(self, "--config", self.config(listen=listen))
        self.assertEqual(daemon.ended(), 1)
        self.assertIn(f"aprp: can't listen on {listen}: ", daemon.err)
        self.assertIn("socket unit", daemon.err)


class LifeTests(DaemonCase):
    def test_ready_when_it_serves_and_stopping_when_it_ends(self) -> None:
        daemon = Running(self, "--config", self.config())
        host, _, port = daemon.ready().rpartition(":")
        socket.create_connection((host, int(port))).close()
        daemon.process.send_signal(signal.SIGTERM)
        daemon.told("STOPPING=1")
        self.assertIn(daemon.ended(), (0, -signal.SIGTERM))

    def test_a_socket_passed_by_the_service_manager(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        fd = listener.fileno()
        # What a service manager does: the socket as descriptor 3, and the pid of what it starts.
        shell = 'exec 3<&"$1"; shift; export LISTEN_PID=$$; exec "$@"'
        daemon = Running(
            self,
            "--config",
            self.config(listen="systemd:domain=INET:name=aprp"),
            command=("bash", "-c", shell, "bash", str(fd), *TWISTD, "aprp"),
            environ={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "aprp"},
            pass_fds=(fd,),
        )
        host, port = listener.getsockname()
        address = f"{host}:{port}"
        self.assertEqual(daemon.ready(), address)
        self.assertEqual(get(address, "/x")[0], 502)

    def test_the_admin_port_tells_of_health_and_of_what_was_served(self) -> None:
        daemon = Running(self, "--config", self.config())
        address = daemon.ready()
        assert daemon.admin is not None
        self.assertEqual(get(daemon.admin, "/healthz")[0], 200)
        self.assertEqual(get(address, "/x")[0], 502)
        metrics = get(daemon.admin, "/metrics")[2].decode()
        for line in (
            'aprp_requests_total{route="/",status="502"} 1.0',
            'aprp_upstream_errors_total{kind="connection_refused",route="/"} 1.0',
            'aprp_requests_in_flight{route="/"} 0.0',
        ):
            self.assertIn(line + "\n", metrics)
        self.assertIn(b'"state": "serving"', get(daemon.admin, "/status")[2])

    def test_no_line_comes_from_twisted_s_own_sites(self) -> None:
        listen = "haproxy:tcp:0:interface=127.0.0.1"
        daemon = Running(self, "--config", self.config(listen=listen))
        daemon.ready()
        assert daemon.admin is not None
        for path in ("/", "/status", "/metrics"):
            self.assertEqual(get(daemon.admin, path, method="HEAD")[0], 200)
        daemon.stop()
        for noise in ("log_legacy", "Site starting", "Starting factory", "eat it"):
            self.assertNotIn(noise, daemon.err)

    def test_standard_error_has_each_line_once(self) -> None:
        daemon = Running(self, "--config", self.config())
        daemon.ready()
        daemon.stop()
        self.assertEqual(daemon.out, "")
        self.assertEqual(daemon.err.count(" info aprp.daemon.daemon.Daemon: serving on "), 1)

    def test_a_log_file_has_all_lines_and_standard_error_none(self) -> None:
        path = Path(self.mktemp()).absolute()
        daemon = Running(self, "--config", self.config(f"{{file: {path}}}"))
        daemon.ready()
        daemon.stop()
        self.assertEqual((daemon.out, daemon.err), ("", ""))
        self.assertEqual(path.read_text().count("serving on "), 1)

    def test_levels(self) -> None:
        daemon = Running(self, "--config", self.config("{level: warn}"))
        daemon.ready()
        daemon.stop()
        self.assertEqual(daemon.err, "")

    def test_the_access_log_goes_where_it_is_told(self) -> None:
        path = Path(self.mktemp()).absolute()
        for log, where in (("{access: '-'}", None), (f"{{access: {path}}}", path)):
            daemon = Running(self, "--config", self.config(log))
            get(daemon.ready(), '/a"b')
            daemon.stop()
            lines = daemon.out if where is None else where.read_text()
            self.assertEqual(len(lines.splitlines()), 1)
            self.assertIn('"GET /a\\"b HTTP/1.1" 502 ', lines)

    def test_hang_up_opens_the_log_files_anew(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        log, access = folder / "log", folder / "access"
        daemon = Running(self, "--config", self.config(f"{{file: {log}, access: {access}}}"))
        address = daemon.ready()
        get(address, "/before")
        for path in (log, access):
            path.rename(path.with_suffix(".moved"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("log files reopened", str(log))
        get(address, "/after")
        daemon.stop()
        self.assertIn("/before", access.with_suffix(".moved").read_text())
        self.assertIn("/after", access.read_text())
        self.assertNotIn("/after", access.with_suffix(".moved").read_text())


class DemoTests(DaemonCase):
    def test_it_invites_and_plays(self) -> None:
        film = demo_files()[CLIP].content
        daemon = Running(self, "--demo", "--port", "0")
        address = daemon.ready()
        self.assertIn(f"Open http://{address}/ ", daemon.wait_for("Open ", "out"))
        status, fields, page = get(address, "/")
        self.assertEqual((status, fields["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"/films/clip.mp4", page)
        status, fields, part = get(address, "/films/clip.mp4", {"Range": "bytes=1000000-1019999"})
        self.assertEqual((status, fields["Content-Type"]), (206, "video/mp4"))
        self.assertEqual(fields["Content-Range"], f"bytes 1000000-1019999/{len(film)}")
        self.assertEqual(part, film[1_000_000:1_020_000])
        self.assertEqual(get(address, "/films/clip.mp4/1000/1999")[2], film[1000:2000])
        daemon.wait_for("/1000/1999", "out")
        self.assertEqual(len(daemon.out.splitlines()), 4)
        self.assertNotIn("GET", daemon.err)

    def test_its_page_needs_nothing_from_elsewhere(self) -> None:
        address = Running(self, "--demo", "--port", "0").ready()
        page = get(address, "/")[2].decode()
        needed = re.findall(r'(?:src|href)="([^"]*)"', page)
        self.assertGreater(len(needed), 5)
        for reference in needed:
            if reference not in ("data:,", CLIP):
                self.assertTrue(reference.startswith("/demo/"), reference)
                status, _, content = get(address, reference)
                self.assertEqual(status, 200, reference)
                self.assertNotIn(b"https://", content)
        self.assertNotIn("https://", page)
        self.assertIn("default-src 'none'", str(get(address, "/")[1]["Content-Security-Policy"]))

    def test_the_film_goes_on_when_the_fastest_mirror_dies(self) -> None:
        film, stop = demo_files()[CLIP].content, FAULT_AFTER + 2_000_000
        daemon = Running(self, "--demo-fault", "--port", "0")
        status, _, body = get(daemon.ready(), CLIP, {"Range": f"bytes=0-{stop - 1}"})
        self.assertEqual((status, body == film[:stop]), (206, True))
        daemon.wait_for("has died", "out")
        self.assertNotIn("Traceback", daemon.err)

    def test_a_client_still_being_served_at_the_end_is_cut(self) -> None:
        daemon = Running(self, "--demo", "--port", "0")
        host, _, port = daemon.ready().rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/films/clip.mp4")
        response = connection.getresponse()
        response.read(1000)
        daemon.stop()
        self.assertRaises((http.client.IncompleteRead, ConnectionResetError), response.read)
        self.assertIn(' "cut" ', daemon.out)
        self.assertNotIn("Traceback", daemon.err)

    def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_error(self) -> None:
        daemon = Running(self, "--demo", "--port", "0")
        address = daemon.ready()
        host, _, port = address.rpartition(":")
        for begun in (
            b"GET /",
            b"GET / HTTP/1.1\r\nHos",
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab",
        ):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(begun)
        get(address, "/")
        daemon.stop()
        self.assertEqual(len(daemon.out.splitlines()), 2)
        self.assertNotIn("Traceback", daemon.err)
