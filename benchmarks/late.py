"""A relay that holds up what clients send by so many seconds: latency, where the kernel has none.

    python -m benchmarks.late HOST PORT SECONDS

Prints its own port of 127.0.0.1. What the server answers goes on at once, so each request takes
that much longer to its first byte; connecting takes nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

PIECE = 1 << 18


async def main(arguments: Sequence[str]) -> None:
    host, port, seconds = arguments[0], int(arguments[1]), float(arguments[2])

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

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
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
