"""The daemon that is measured, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
TWISTD = (
    sys.executable,
    "-c",
    "from twisted.scripts.twistd import run; run()",
    "-n",
    "--pidfile=",
)


def start_daemon(port: int, stack: ExitStack, *arguments: str) -> int:
    """Run `twistd aprp` with these arguments until the stack is closed.

    Return its process id once it accepts connections at `port` of loopback.
    """
    process = subprocess.Popen(
        [*TWISTD, "aprp", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    for _ in range(1000):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process.pid
        time.sleep(0.02)
    raise RuntimeError("aprp doesn't serve")
