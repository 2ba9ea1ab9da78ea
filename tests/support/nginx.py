"""A real nginx on a free loopback port, with a folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from tests.support.patience import PATIENCE
from tests.support.programs import need

CONFIG = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    keepalive_requests 1000000;
    sendfile on;
    types {{ video/mp4 mp4; text/plain txt; text/html html; video/webm webm; }}
    {http}
    server {{
        listen 127.0.0.1:{port}{ssl};
        root {folder}/www;
        {server}
    }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port: int = holder.getsockname()[1]
        return port


class Nginx:
    """Serves `www` of the folder; `http` and `server` are added to those blocks, in which
    `{folder}` stands for the folder's path.

    It serves once made. `stop` it.
    """

    def __init__(
        self,
        folder: Path,
        server: str = "",
        http: str = "",
        ssl: bool = False,
        http2: bool = False,
        connections: int = 512,
        session: bool = False,
    ) -> None:
        program = need("nginx")
        self.folder = folder.absolute()
        self.www = self.folder / "www"
        self.www.mkdir(parents=True, exist_ok=True)
        (self.folder / "temp").mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http{'s' * ssl}://127.0.0.1:{self.port}/"
        config = self.folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                user="user root;" if os.geteuid() == 0 else "",
                folder=self.folder,
                port=self.port,
                connections=connections,
                ssl=" ssl" * ssl + " http2" * http2,
                http=http.replace("{folder}", str(self.folder)),
                server=server.replace("{folder}", str(self.folder)),
            )
        )
        log = self.folder / "error.log"
        with open(self.folder / "out", "wb") as out:
            self.process = subprocess.Popen(
                [program, "-c", str(config), "-e", str(log)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=session,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                ended = self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError((self.folder / "out").read_text()) from None
                time.sleep(0.01)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
