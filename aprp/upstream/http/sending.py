"""Send a request: its head, and its body from a file or streamed from a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from aprp.upstream.exchange import Inflow, SourceRequest

Waiting = Callable[[bool], None]
"""Told whether it is the source that has to do something now: to take bytes, or to answer."""


def head_of(request: SourceRequest) -> bytes:
    """Return the request line and the fields as they are sent."""
    lines = [b"%s %s HTTP/1.1\r\n" % (request.method, request.target)]
    lines += [b"%s: %s\r\n" % pair for pair in request.fields.pairs]
    lines.append(b"\r\n" if request.body is None else b"Connection: close\r\n\r\n")
    return b"".join(lines)


def send_body(request: SourceRequest, transport: Any, waiting: Waiting) -> Deferred[None]:
    """Send the body. Fires when all was written; fails as a streamed body does."""
    if isinstance(request.body, Inflow):
        chunked = b"transfer-encoding" in request.fields
        return send_inflow(request.body, chunked, transport, waiting)
    assert request.body is not None
    return _send_file(request.body, transport, waiting)


def _send_file(file: IO[bytes], transport: Any, waiting: Waiting) -> Deferred[None]:
    """Send a file from its start; the response timeout begins again with each piece of it."""

    def sent(data: bytes) -> bytes:
        waiting(True)
        return data

    file.seek(0)
    sending: Deferred[Any] = FileSender().beginFileTransfer(file, transport, sent)
    return sending.addBoth(lambda _: None)


def send_inflow(inflow: Inflow, chunked: bool, transport: Any, waiting: Waiting) -> Deferred[None]:
    """Stream the body, chunked or as it is. Fires when all was written; fails as the body does."""
    return inflow.flow(_Outward(transport, chunked, waiting)).addCallback(
        lambda _: _end(transport, chunked, waiting)
    )


def _end(transport: Any, chunked: bool, waiting: Waiting) -> None:
    if chunked:
        transport.write(b"0\r\n\r\n")
    waiting(True)


@implementer(IConsumer, IPushProducer)
class _Outward:
    """Stands between a client's bytes and the connection to a source, which paces them."""

    def __init__(self, transport: Any, chunked: bool, waiting: Waiting) -> None:
        self._transport = transport
        self._chunked = chunked
        self._waiting = waiting
        self._producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        self._waiting(False)
        self._transport.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        self._transport.unregisterProducer()

    def write(self, data: bytes) -> None:
        if self._chunked:
            self._transport.writeSequence((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self._transport.write(data)

    def pauseProducing(self) -> None:
        self._waiting(True)
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._waiting(False)
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()
