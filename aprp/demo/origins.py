"""Mirrors on loopback that send at limited rates.

Each is a small HTTP server of its own on a free port. Its speed is a token bucket that all of
its connections share, as they would share a line.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from aprp.core.http.fields import Fields
from aprp.core.rate_limit import RateLimit
from aprp.demo.files import File, answer
from aprp.web.quiet import QuietSite

TICK = 0.02
"""Seconds between two pieces of a body."""


@implementer(IPushProducer)
class PacedBody:
    """Sends bytes to a request as fast as the limit allows and the client takes, then ends it."""

    def __init__(
        self,
        request: Request,
        body: memoryview,
        limit: RateLimit,
        reactor: Any,
        sent: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._request: Any = request
        self._sent = sent
        self._body = body
        self._limit = limit
        self._reactor = reactor
        self._call: Any = None
        request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        if self._call is None and self._request is not None:
            self._send()

    def pauseProducing(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def stopProducing(self) -> None:
        self.pauseProducing()
        self._request = None

    def _send(self) -> None:
        self._call = self._reactor.callLater(TICK, self._send)
        allowed = self._limit.take(len(self._body), self._reactor.seconds())
        piece, self._body = self._body[:allowed], self._body[allowed:]
        request = self._request
        if not self._body:
            self.stopProducing()
        if piece:
            request.write(bytes(piece))
        if not self._body and not request.finished:
            request.unregisterProducer()
            request.finish()
        self._sent(len(piece))


class Mirror(Resource):
    """The files of one mirror, by their whole path."""

    isLeaf = True

    def __init__(
        self,
        files: Mapping[str, File],
        rate: float,
        reactor: Any,
        sent: Callable[[int], None] = lambda count: None,
    ) -> None:
        super().__init__()
        self._files = files
        self._sent = sent
        self._reactor = reactor
        self._limit = RateLimit(rate, -inf)

    def render_GET(self, request: Request) -> bytes | int:
        file = self._files.get(request.path.decode("latin-1"))
        if file is None:
            request.setResponseCode(404)
            return b"not found\n"
        asked = Fields(
            (name, value)
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
        )
        found = answer(file, request.method, asked, int(time.time()))
        request.setResponseCode(found.status)
        for name, value in found.fields:
            request.setHeader(name, value)
        if found.status == 304:
            return b""
        request.setHeader("Content-Length", b"%d" % found.part.length)
        if request.method == b"HEAD" or not found.part.length:
            return b""
        body = memoryview(file.content)[found.part.start : found.part.stop]
        PacedBody(request, body, self._limit, self._reactor, self._sent)
        return NOT_DONE_YET


class _Server(QuietSite):
    """A site whose connections can be closed at once."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False)
        self._channels: list[Any] = []

    def buildProtocol(self, addr: object) -> Any:
        channel = super().buildProtocol(addr)
        self._channels.append(channel)
        return channel

    def end(self) -> None:
        """Reset every connection."""
        for channel in self._channels:
            transport = getattr(channel, "transport", None)
            if transport is not None:
                transport.abortConnection()


class Mirrors(Service):
    """Servers of the same files on loopback, one for each rate in bytes a second.

    Their ports are taken at once, so `urls` (without a slash at the end) are good before the
    service starts; connections wait until it does. Once all together have sent `fault_after`
    bytes, the first of them dies and `on_fault` is called. Raises OSError.
    """

    def __init__(
        self,
        files: Mapping[str, File],
        rates: Sequence[float],
        reactor: Any,
        fault_after: int | None = None,
        on_fault: Callable[[], None] = lambda: None,
    ) -> None:
        self._files = files
        self._reactor = reactor
        self._waiting = [(socket.create_server(("127.0.0.1", 0)), rate) for rate in rates]
        self._ports: list[IListeningPort] = []
        self._sites: list[_Server] = []
        self._fault_in = fault_after
        self._on_fault = on_fault
        self.urls = tuple(
            f"http://127.0.0.1:{listener.getsockname()[1]}" for listener, _ in self._waiting
        )

    def startService(self) -> None:
        super().startService()
        for listener, rate in self._waiting:
            site = _Server(Mirror(self._files, rate, self._reactor, self._sent))
            listener.setblocking(False)
            with listener:
                port = self._reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, site)
            self._ports.append(port)
            self._sites.append(site)
        self._waiting.clear()

    def _sent(self, count: int) -> None:
        if self._fault_in is None:
            return
        self._fault_in -= count
        if self._fault_in <= 0:
            self._fault_in = None
            maybeDeferred(self._ports[0].stopListening)
            self._sites[0].end()
            self._on_fault()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        for listener, _ in self._waiting:
            listener.close()
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])
