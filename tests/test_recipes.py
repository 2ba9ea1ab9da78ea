"""The recipes of docs/recipes.md: each configuration is right, and the one with nginx works."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from websockets.sync.client import connect
from websockets.sync.server import serve

from aprp.config import ConfigFaults, load
from tests.support.nginx import Nginx
from tests.support.patience import PATIENCE
from tests.support.running import ROOT, Running, get
from tests.test_websockets import echo

TEXT = (ROOT / "docs" / "recipes.md").read_text()


def blocks(kind: str, title: str = "") -> list[str]:
    """The examples of that kind, of the recipe with that title or of all."""
    part = TEXT[TEXT.index(f"## {title}") :] if title else TEXT
    part = part[: part.find("\n## ", 5)] if title else part
    return re.findall(rf"```{kind}\n(.*?)```", part, re.DOTALL)


class ConfigurationTests(SynchronousTestCase):
    def test_each_has_no_fault(self) -> None:
        path = Path(self.mktemp())
        examples = blocks("yaml")
        self.assertGreater(len(examples), 5)
        for example in examples:
            path.write_text(example)
            try:
                warnings = [each for each in load(path).warnings if "/srv/" not in each.message]
                self.assertEqual(warnings, [])
            except ConfigFaults as faults:
                said = [each for each in faults.faults if "letsencrypt" not in each.message]
                self.assertEqual(said, [], example)


class NginxTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.access = folder / "access.json"
        self.behind = Nginx(folder / "behind")
        self.addCleanup(self.behind.stop)
        server = serve(echo, "127.0.0.1", 0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(server.shutdown)
        socket = server.socket.getsockname()[1]
        (example,) = blocks("yaml", "Behind nginx")
        text = example.replace("tcp:8000", "tcp:0").replace("127.0.0.1:8096", self.behind.url[7:-1])
        config = folder / "aprp.yaml"
        config.write_text(
            f"log: {{access: {self.access}, access_format: json}}\n{text}"
            f"  - {{path: /socket/, upstream: 'http://127.0.0.1:{socket}/'}}\n"
        )
        self.daemon = Running(self, "--config", str(config))
        address = self.daemon.ready()
        in_http, in_server = blocks("nginx", "Behind nginx")
        self.front = Nginx(folder / "front", in_server.replace("127.0.0.1:8000", address), in_http)
        self.addCleanup(self.front.stop)

    def test_ranges_addresses_and_websocket(self) -> None:
        (self.behind.www / "film").write_bytes(bytes(range(256)) * 4096)
        address = self.front.url[7:-1]
        fields = {"Range": "bytes=1000-1099", "X-Forwarded-For": "192.0.2.7"}
        status, answered, body = get(address, "/film", fields)
        self.assertEqual((status, body), (206, (bytes(range(256)) * 5)[1000:1100]))
        self.assertEqual(answered["Content-Range"], "bytes 1000-1099/1048576")
        with connect(f"ws://{address}/socket/") as client:
            client.send("through both")
            self.assertEqual(client.recv(PATIENCE), "through both")
        self.daemon.stop()
        log = self.access.read_text()
        self.assertIn('"client":"192.0.2.7"', log)
        self.assertIn('"status":101', log)
