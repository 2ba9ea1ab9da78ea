"""A real daemon in a process of its own, started as its users start it."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=")

_numbers = itertools.count()


class Running:
    """`twistd -n aprp` with these arguments, in a folder of its own, ended with the test.

    `command` takes the place of that whole command line. What it writes is in the folder's `out`
    and `err`.
    """

    def __init__(
        self,
        case: SynchronousTestCase,
        *arguments: str,
        command: Sequence[str] = (*TWISTD, "aprp"),
        environ: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.folder = Path(case.mktemp())
        self.folder.mkdir(parents=True)
        name = f"aprp-test-{os.getpid()}-{next(_numbers)}"
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind("\0" + name)
        self._manager.settimeout(0.05)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        added = {"NOTIFY_SOCKET": "@" + name, "PYTHONPATH": path, **(environ or {})}
        with open(self.folder / "out", "wb") as out, open(self.folder / "err", "wb") as err:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=self.folder,
                env=os.environ | added,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=pass_fds,
            )
        self.admin: str | None = None
        """Host and port of the admin port, once it is ready and if it has one."""
        case.addCleanup(self._end)

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._manager.close()

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    def told(self, assignment: str) -> str:
        """The notification that has the assignment, once it came."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            over = self.process.poll() is not None  # after which nothing more is sent
            try:
                message = self._manager.recv(4096).decode()
            except TimeoutError:
                assert not over, self.out + self.err
            else:
                if assignment in message.split("\n"):
                    return message
        raise AssertionError(f"no {assignment}: {self.err}")

    def ready(self) -> str:
        """Host and port it serves on, once it does."""
        match = re.search(
            r"STATUS=serving on ([^\s,;]+)(?:.*; admin on (\S+))?", self.told("READY=1")
        )
        assert match is not None
        self.admin = match[2]
        return match[1]

    def wait_for(self, text: str, where: str = "err") -> str:
        """What is in the file of that name, once it has `text`."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            path = self.folder / where
            content = path.read_text() if path.exists() else ""
            if text in content:
                return content
            time.sleep(0.01)
        raise AssertionError(f"no {text!r} in {where}: {content}")

    def ended(self) -> int:
        """How it ended, once it has."""
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """End it as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()


def get(
    address: str,
    path: str,
    fields: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, fields and body of one request, on a connection of its own."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request(method, path, body, dict(fields or {}))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()
