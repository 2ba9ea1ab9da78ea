"""WebSocket over TLS: wss from clients to the daemon, and ws or wss from there to the server."""

from __future__ import annotations

import contextlib
import signal
import ssl
import threading
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from tests.support.patience import PATIENCE
from tests.test_clients import ClientCase
from tests.test_reverse_tls import LOOPBACK, Authority

ECHO = Subprotocol("echo")
BLOB = bytes(range(256)) * 16384


def echo(connection: ServerConnection) -> None:
    """Say everything again."""
    with contextlib.suppress(ConnectionClosed):
        for message in connection:
            connection.send(message)


class SecureTests(ClientCase):
    def configuration(self, text: str) -> str:
        """The daemon listens with TLS, in front of a server without and one with it."""
        self.authority = Authority("ours")
        self.authority.write(self.folder / "ca.pem")
        self.authority.write_server(self.folder, LOOPBACK)
        Authority("others").write(self.folder / "others.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        plain, secure = self.served(None), self.served(context)
        return (
            text.replace("tcp:0:", "tls:0:")
            + f"  - {{path: /ws/, upstream: 'http://127.0.0.1:{plain}/'}}\n"
            + f"  - {{path: /wss/, upstream: 'https://127.0.0.1:{secure}/', tls: {{ca: ca.pem}}}}\n"
            + f"  - {{path: /untrusted/, upstream: 'https://127.0.0.1:{secure}/', "
            "tls: {ca: others.pem}}\n"
            "certificates: [{certificate: server.pem, key: server.key}]\n"
            "stop_timeout: 500ms\n"
        )

    def served(self, context: ssl.SSLContext | None) -> int:
        """The port of a server that says everything again."""
        server: Server = serve(
            echo, "127.0.0.1", 0, subprotocols=[ECHO], max_size=None, ssl=context
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(server.shutdown)
        return int(server.socket.getsockname()[1])

    def connected(self, path: str) -> ClientConnection:
        client: ClientConnection = connect(
            self.url.replace("http:", "wss:") + path,
            subprotocols=[ECHO],
            max_size=None,
            compression=None,
            open_timeout=PATIENCE,
            ssl=ssl.create_default_context(cafile=str(self.folder / "ca.pem")),
        )
        return client

    def test_both_ways_to_the_server(self) -> None:
        for path in ("ws/chat", "wss/chat"):
            with self.connected(path) as client:
                self.assertEqual(client.subprotocol, "echo")
                for message in ("hello", "", b"\0" * 70000, BLOB):
                    client.send(message)
                    self.assertEqual(client.recv(PATIENCE), message, path)
                self.assertTrue(client.ping().wait(PATIENCE))
            self.assertEqual(client.close_code, 1000)
        lines = self.requests()
        self.assertEqual([line["status"] for line in lines], [101, 101])
        for line in lines:
            self.assertGreater(int(str(line["bytes_sent"])), len(BLOB))
            self.assertGreater(int(str(line["bytes_received"])), len(BLOB))

    def test_a_server_that_is_not_trusted(self) -> None:
        with self.assertRaises(InvalidStatus) as caught:
            self.connected("untrusted/chat")
        response = caught.exception.response
        self.assertEqual(response.status_code, 502)
        self.assertIn("tls_certificate_error", response.headers["Proxy-Status"])

    def test_stopping_cuts_it_at_last(self) -> None:
        with self.connected("wss/chat") as client:
            self.daemon.process.send_signal(signal.SIGTERM)
            self.daemon.told("STOPPING=1")
            client.send("still here")
            self.assertEqual(client.recv(PATIENCE), "still here")
            self.assertRaises(ConnectionClosed, client.recv, PATIENCE)
        self.daemon.ended()
        self.assertIn('"ended":"cut"', self.access.read_text())

    def test_chromium(self) -> None:
        page = (Path(__file__).parent / "support" / "socket_page.html").read_text()
        (self.nginx.www / "page.html").write_text(page.replace("/socket/", "/ws/"))
        url = self.url.replace("http:", "https:") + "page.html"
        result = self.browse(url, "--ignore-certificate-errors")
        self.assertEqual(result, "hello,true,echo,4000,true")

    def test_chromium_and_a_server_with_tls(self) -> None:
        """The server ends TLS without a close_notify, so what the page hears last may vary."""
        page = (Path(__file__).parent / "support" / "socket_page.html").read_text()
        (self.nginx.www / "page.html").write_text(page.replace("/socket/", "/wss/"))
        url = self.url.replace("http:", "https:") + "page.html"
        result = self.browse(url, "--ignore-certificate-errors")
        self.assertEqual(result.rpartition(",")[0], "hello,true,echo,4000")
