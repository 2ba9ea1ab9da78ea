"""WebSocket through a daemon, between real clients (a library's, Chromium) and a real server."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.support.patience import PATIENCE
from tests.test_clients import ClientCase

ECHO = Subprotocol("echo")
BLOB = bytes(range(256)) * 16384


def echo(connection: ServerConnection) -> None:
    """Say everything again."""
    with contextlib.suppress(ConnectionClosed):  # cut, as a test wants it
        for message in connection:
            connection.send(message)


class WebSocketTests(ClientCase):
    def more_routes(self) -> str:
        server = serve(echo, "127.0.0.1", 0, subprotocols=[ECHO], max_size=None)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(server.shutdown)
        port = server.socket.getsockname()[1]
        return (
            f"  - {{path: /socket/, upstream: 'http://127.0.0.1:{port}/'}}\n"
            f"  - {{path: /plain/, upstream: 'http://127.0.0.1:{port}/', upgrades: []}}\n"
            "stop_timeout: 500ms\n"
        )

    def connected(self, **options: Any) -> ClientConnection:
        """A client that talks to the server through the proxy."""
        client: ClientConnection = connect(
            self.where(), subprotocols=[ECHO], max_size=None, **options
        )
        return client

    def where(self, path: str = "socket/chat") -> str:
        return self.url.replace("http:", "ws:") + path

    def test_a_client(self) -> None:
        with connect(self.where(), subprotocols=[ECHO], max_size=None, compression=None) as client:
            self.assertEqual(client.subprotocol, "echo")
            for message in ("hello", "", b"\0" * 70000, BLOB):
                client.send(message)
                self.assertEqual(client.recv(PATIENCE), message)
            self.assertTrue(client.ping().wait(PATIENCE))
        self.assertEqual(client.close_code, 1000)
        (line,) = self.requests()
        self.assertEqual((line["status"], line["route"]), (101, "/socket/"))
        self.assertIn(line["ended"], ("complete", "client left"))
        for way in ("bytes_sent", "bytes_received"):
            self.assertGreater(int(str(line[way])), len(BLOB) + 70000)

    def test_where_no_upgrade_is_listed(self) -> None:
        with self.assertRaises(InvalidStatus) as caught:
            connect(self.where("plain/chat"))
        self.assertEqual(caught.exception.response.status_code, 426)

    def test_stopping_cuts_it_at_last(self) -> None:
        with self.connected() as client:
            self.daemon.process.send_signal(signal.SIGTERM)
            self.daemon.told("STOPPING=1")
            client.send("still here")
            self.assertEqual(client.recv(PATIENCE), "still here")
            self.assertRaises(ConnectionClosed, client.recv, PATIENCE)
        self.daemon.ended()
        self.assertIn('"status":101', self.access.read_text())
        self.assertIn('"ended":"cut"', self.access.read_text())

    def test_chromium(self) -> None:
        page = Path(__file__).parent / "support" / "socket_page.html"
        result = self.browse(self.publish("page.html", page.read_bytes()))
        self.assertEqual(result, "hello,true,echo,4000,true")
