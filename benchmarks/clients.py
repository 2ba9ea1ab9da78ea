"""Clients that cost little: a whole file by curl, many small ranges by wrk or a loop of our own."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time

CONNECTIONS = 16
RANGE = "bytes=4194304-4195327"
"""1 KiB, in the middle of the first few MiB."""


def whole_file(url: str) -> float:
    """Seconds that the file takes."""
    began = time.monotonic()
    subprocess.run(
        ["curl", "-sS", "--fail", "-o", "/dev/null", url], check=True, stdin=subprocess.DEVNULL
    )
    return time.monotonic() - began


def small_ranges(host: str, port: int, path: str, seconds: float) -> int:
    """How many ranges of 1 KiB were answered in that time, over kept connections."""
    if shutil.which("wrk") is None:
        return asyncio.run(_loop(host, port, path, seconds))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-H", f"Range: {RANGE}"]
    told = subprocess.run(
        [*command, f"http://{host}:{port}{path}"], check=True, capture_output=True, text=True
    ).stdout
    failed = re.search(r"Non-2xx.*|Socket errors.*", told)
    if failed is not None:
        raise RuntimeError(failed[0])
    found = re.search(r"(\d+) requests in", told)
    assert found is not None, told
    return int(found[1])


async def _loop(host: str, port: int, path: str, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nRange: {RANGE}\r\n\r\n".encode()

    async def ask() -> int:
        reader, writer = await asyncio.open_connection(host, port)
        answered = 0
        while time.monotonic() < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 206 "):
                raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
            await reader.readexactly(1024)
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(ask() for _ in range(CONNECTIONS))))
