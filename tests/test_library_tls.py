"""The library over TLS: verified unless told otherwise, in a child too."""

from __future__ import annotations

from pathlib import Path

from tests.support.nginx import Nginx
from tests.support.scripted import ScriptCase
from tests.test_reverse_tls import LOOPBACK, SERVER, Authority

FILM = bytes(range(256)) * 4096
SCRIPT = """
import os, sys
from aprp import Downloader, TransferFailed
url, ca = sys.argv[1:]

def get(verify):
    try:
        print(len(b"".join(Downloader([url], verify=verify))), flush=True)
    except TransferFailed as error:
        print(error, flush=True)

for verify in (True, ca, False):
    get(verify)
if not os.fork():
    get(ca)
    os._exit(0)
os.wait()
"""


class TlsTests(ScriptCase):
    async def test_who_is_believed(self) -> None:
        folder = self.folder()
        authority = Authority("ours")
        authority.write_server(folder, LOOPBACK)
        ca: Path = authority.write(folder / "ca.pem")
        nginx = Nginx(folder, SERVER, ssl=True)
        self.addCleanup(nginx.stop)
        (nginx.www / "f").write_bytes(FILM)
        out = await self.script(SCRIPT, nginx.url + "f", str(ca))
        system, *others = out.splitlines()
        self.assertIn("the certificate isn't trusted", system)
        self.assertEqual(others, [str(len(FILM))] * 3)
