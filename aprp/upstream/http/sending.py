"""Send the body of a request, from a file or streamed from a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from aprp.upstream.exchange import Inflow

Waiting = Callable[[bool], None]
"""Told whether it is the source that has to do something now: to take bytes, or to answer."""


def send_file(file: IO[bytes], transport: Any, waiting: Waiting) -> None:
    """Send a file from its start; the time for an answer begins again with each piece of it."""

    def sent(data: bytes) -> bytes:
        waiting(True)
        return data

    file.seek(0)
    FileSender().beginFileTransfer(file, transport, sent).addErrback(lambda _: None)


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
