"""A relay that stands a round trip away: latency, where the kernel has none to give.

    python -m benchmarks.late HOST PORT SECONDS [NUMBER]

Prints where it is reached, as HOST:PORT. A connection takes so many seconds to be open, and what
clients send arrives as much later; what the server answers goes on at once. So a request takes one
round trip on an open connection, and two on a new one.

With a NUMBER, as root, clients reach it through a tunnel of their own (10.78.NUMBER.0/30), in which
the first packet of a connection is held up; without, it's at 127.0.0.1 and connecting takes
nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Sequence

PIECE = 1 << 18
MTU = 65000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_TCP, _SYN, _ACK = 6, 0x02, 0x10


class Tunnel:
    """A network of two addresses, both this machine's: what is sent to `there` arrives at `here`,
    as if from `there`. Swapping the two leaves every checksum right."""

    def __init__(self, number: int, seconds: float) -> None:
        self.here, self.there = f"10.78.{number}.1", f"10.78.{number}.2"
        self._seconds = seconds
        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        name = f"aprp{os.getpid() % 10000}t{number}"
        told = struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(self._file, _TUNSETIFF, told)
        for command in (
            ("addr", "add", f"{self.here}/30", "dev", name),
            ("link", "set", name, "mtu", str(MTU), "up"),
        ):
            subprocess.run(["ip", *command], check=True)
        asyncio.get_running_loop().add_reader(self._file, self._pass_on)

    def _pass_on(self) -> None:
        while True:
            try:
                packet = os.read(self._file, MTU)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:
                continue
            swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
            if _opens(packet):
                asyncio.get_running_loop().call_later(self._seconds, os.write, self._file, swapped)
            else:
                os.write(self._file, swapped)


def _opens(packet: bytes) -> bool:
    """Whether it is the first one of a TCP connection."""
    flags = packet[(packet[0] & 15) * 4 + 13] if packet[9] == _TCP else 0
    return flags & (_SYN | _ACK) == _SYN


async def main(arguments: Sequence[str]) -> None:
    host, port, seconds = arguments[0], int(arguments[1]), float(arguments[2])
    tunnel = Tunnel(int(arguments[3]), seconds) if len(arguments) > 3 else None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(host, port, limit=PIECE)
        later = asyncio.create_task(_late(reader, requests, seconds))
        try:
            while data := await answers.read(PIECE):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            later.cancel()
            requests.transport.abort()
            writer.close()

    here, there = (tunnel.here, tunnel.there) if tunnel else ("127.0.0.1", "127.0.0.1")
    server = await asyncio.start_server(serve, here, 0, limit=PIECE)
    print(f"{there}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await reader.read(PIECE):
            loop.call_later(seconds, writer.write, data)
    except OSError:
        pass
    writer.transport.abort()  # the client is gone


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
