"""What a small answer costs in Python, without sockets: calls, and CPU time.

    python -m benchmarks.small [--seconds 5]

Eight clients ask an `upstream:` route for 1 KiB ranges, over connections in memory that are kept.
The calls are those of functions in Python and in C, as a profiler counts them; they are the same
in each run, whatever else the machine does. The time is the least of many batches.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from zope.interface import implementer

from aprp.config import PathRanges, Settings, UpstreamRoute
from aprp.core.http.ranges import FromTo, parse_range
from aprp.core.http.urls import Url
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site

LENGTH = 1024
FILE = 1 << 26
CLIENTS = 8
PLAYER = IPv4Address("TCP", "192.0.2.5", 40000)
PROXY = IPv4Address("TCP", "192.0.2.1", 8000)
ASKED = (
    b"GET /film.mp4 HTTP/1.1\r\nHost: media.example\r\nUser-Agent: player/1.0\r\nAccept: */*\r\n"
    b"Range: bytes=%d-%d\r\n\r\n"
)
ANSWERED = (
    b"HTTP/1.1 206 Partial Content\r\nServer: origin\r\nDate: Sun, 02 Nov 2025 12:00:00 GMT\r\n"
    b'Content-Type: video/mp4\r\nContent-Length: %d\r\nETag: "69074a00-4000000"\r\n'
    b"Last-Modified: Sun, 02 Nov 2025 10:00:00 GMT\r\nConnection: keep-alive\r\n"
    b"Content-Range: bytes %d-%d/%d\r\n\r\n"
)
BODY = b"x" * LENGTH


@implementer(ITCPTransport)
class Line:
    """A connection in memory: what is written to it waits in `written`."""

    connected = True
    disconnecting = False
    bufferSize = 0

    def __init__(self, protocol: Any) -> None:
        self.written: list[bytes] = []
        self.protocol = protocol
        protocol.makeConnection(self)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def getPeer(self) -> IPv4Address:
        return PLAYER

    def getHost(self) -> IPv4Address:
        return PROXY

    def __getattr__(self, name: str) -> Any:
        """Take every other call as done."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_: None


class Reactor(Clock):
    """Connects to an upstream in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.upstream: list[Line] = []

    def connectTCP(self, host: str, port: int, factory: Any, *_: Any, **__: Any) -> Any:
        self.upstream.append(Line(factory.buildProtocol(PROXY)))
        return self


class Small:
    """Clients, the proxy and its upstream."""

    def __init__(self) -> None:
        self._reactor = Reactor()
        url = Url.parse("http://192.0.2.9/")
        route = UpstreamRoute(path="/", upstream=url, path_ranges=PathRanges.END)
        settings = Settings(listen=("tcp:0",), routes=(route,))
        agent = Agent(self._reactor)
        self._site = make_site(settings, agent, lambda record: None, self._reactor)
        self._clients = [Line(self._site.buildProtocol(PLAYER)) for _ in range(CLIENTS)]
        self._start = 0

    def batch(self) -> int:
        """Have each client served once; return how many there are."""
        for client in self._clients:
            self._start = (self._start + 7919 * LENGTH) % (FILE - LENGTH)
            asked = ASKED % (self._start, self._start + LENGTH - 1)
            client.protocol.dataReceived(asked)
        while not all(client.written for client in self._clients):
            for line in self._reactor.upstream:
                if line.written:
                    self._answer(line)
            self._reactor.advance(0)  # the next turn, in which further requests begin
        for client in self._clients:
            answer = client.written.pop()
            assert answer.startswith(b"HTTP/1.1 206 ") and answer.endswith(BODY), answer
        return len(self._clients)

    def _answer(self, line: Line) -> None:
        """Answer the request that an upstream got."""
        request = line.written.pop()
        value = request.partition(b"\r\nRange: ")[2].partition(b"\r\n")[0]
        (spec,) = parse_range(value) or ()
        assert isinstance(spec, FromTo) and spec.stop is not None
        head = ANSWERED % (LENGTH, spec.start, spec.stop - 1, FILE)
        line.protocol.dataReceived(head + BODY)


def calls_per_request() -> float:
    """Return the calls of functions that a request takes, with those of its client here."""
    small, count = Small(), 0
    small.batch()

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        served = sum(small.batch() for _ in range(4))
    finally:
        sys.setprofile(None)
    return count / served


def seconds_per_request(seconds: float) -> float:
    """Return the least CPU time that requests took, on the mean of some batches."""
    small, best, until = Small(), float("inf"), time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.process_time()
        served = sum(small.batch() for _ in range(30))
        best = min(best, (time.process_time() - began) / served)
    return best


def main() -> None:
    """Print what a request costs."""
    parser = argparse.ArgumentParser(prog="benchmarks.small", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure the time")
    seconds = parser.parse_args().seconds
    print(f"{calls_per_request():.0f} calls, {seconds_per_request(seconds) * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
