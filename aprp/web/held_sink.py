"""The base of the sinks that pause the producer of a body for a limit of the route."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from aprp.web.client_sink import ClientSink


@implementer(IConsumer, IPushProducer)
class HeldSink:
    """Passes a body on to `sink`. The producer is paused while the client is full, or it is held.

    A subclass decides in `write` and `registerProducer` whether to hold the producer.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._producer: Any = None
        self._full = False
        self._held = False

    def close(self) -> None:
        """Stop: nothing more will be written."""
        self._sink.close()

    def write(self, data: bytes) -> None:
        self._sink.write(data)

    def unsent_at_most(self, count: int | None) -> None:
        """Have the kernel hold little for the client."""
        self._sink.unsent_at_most(count)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._full = producer, False
        self._sink.registerProducer(self, True)
        if self._held:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None
        self._sink.unregisterProducer()

    def pauseProducing(self) -> None:
        self._full = True
        self._pause()

    def resumeProducing(self) -> None:
        self._full = False
        self._resume()

    def stopProducing(self) -> None:
        self._sink.stopProducing()

    def _hold(self) -> None:
        if not self._held:
            self._held = True
            self._pause()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._resume()

    def _pause(self) -> None:
        if self._producer is not None:
            self._producer.pauseProducing()

    def _resume(self) -> None:
        if self._producer is not None and not self._full and not self._held:
            self._producer.resumeProducing()


Sink = ClientSink | HeldSink
"""The consumer of the body of an answer."""
