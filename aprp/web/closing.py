"""Close client connections: cleanly, after a refusal, or so that the client detects a cut.

A refused request gets its status after the responses to earlier requests. Nothing of it is
forwarded, and the connection closes after a moment in which the client can read the response.
Clients that don't read aren't waited for. The sections are those of RFC 9112 unless another is
named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IPullProducer,
    IReadWriteDescriptor,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from aprp.core.http.validators import format_date
from aprp.upstream.wall_clock import time
from aprp.upstream.watchdog import Watchdog
from aprp.web.access_record import AccessRecord
from aprp.web.clients import Release
from aprp.web.failures import Failure as OwnAnswer
from aprp.web.failures import Refusal, failure_of, reason_phrase
from aprp.web.request_rules import BodyLimits, Limits
from aprp.web.sockets import by_proxy_protocol, reset_on_close


class ClosingChannel(HTTPChannel):
    """The end of a connection. Its factory sets `site`, `reactor` and `limits`.

    `_raw_line` is the request line that came last, `_body_limits` those of its body, if known,
    and `_served` counts the requests that came.
    """

    site: Any
    transport: Any
    timeOut: Any
    reactor: Any
    limits: Limits
    _watchdog: Watchdog
    _raw_line: bytes = b""
    _body_limits: BodyLimits | None = None
    _served = 0
    _closing = False
    _ends_by_close = False
    _draining = False
    _release: Release | None = None
    _is_announced = False

    def connectionMade(self) -> None:
        self._watchdog = Watchdog(self.reactor, self._too_slow)
        self._idle = Watchdog(self.reactor, self.timeoutConnection)
        self.site.entered(self)
        super().connectionMade()
        self._is_announced = by_proxy_protocol(self.transport)
        self._count(None if self._is_announced else self._peer_host())

    def _peer_host(self) -> str:
        return str(getattr(self.getPeer(), "host", ""))

    def _count(self, peer: str | None) -> None:
        """Count the connection, or turn it away; `peer` is None until it is announced."""
        release, self._release = self._release, None
        if release is not None:
            release()
        try:
            self._release = self.site.clients.connected(peer)
        except Refusal as refusal:
            self._turn_away(refusal)

    def _first_data_came(self) -> None:
        """Count the connection by the address that the PROXY protocol gave."""
        if self._is_announced:
            self._is_announced = False
            self._count(self._peer_host())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        self._watchdog.close()
        release, self._release = self._release, None
        if release is not None:
            release()
        super().connectionLost(reason)
        self._idle.close()
        self.site.left(self)

    def setTimeout(self, period: float | None) -> float | None:
        """Time the silence between requests: as Twisted's, but without a new timer for each."""
        before: float | None = self.timeOut
        self.timeOut = period
        if period is None:
            self._idle.rest()
        else:
            self._idle.expect(period)
        return before

    def resetTimeout(self) -> None:
        if self.timeOut is not None:
            self._idle.expect(self.timeOut)

    def become(self, successor: Any, data: bytes) -> None:
        """Hand the connection, on which `data` came, to another protocol."""
        network: Any = self._networkProducer
        network.unregisterProducer()
        self._idle.close()
        self._watchdog.close()
        self._release, self._closing = None, True
        transport: Any = self.transport
        tls = ISSLTransport.providedBy(transport)
        setattr(transport, "wrappedProtocol" if tls else "protocol", successor)
        successor.makeConnection(transport)
        self.site.left(self)
        successor.dataReceived(data)

    def _too_slow(self) -> None:
        if self._closing:
            self.transport.abortConnection()
        else:
            self.refuse(Refusal(408, "the request timed out"))

    def refuse(self, refusal: Refusal) -> None:
        """Respond, stop reading, and close once the client has had time to read the response."""
        if self._closing:
            return
        failure = failure_of(refusal)
        is_head = self._raw_line.startswith(b"HEAD ")
        self._write_failure(failure, is_head)
        self._observe(failure.status, 0 if is_head else len(failure.body), failure.kind)
        for request in self.requests:
            request.discard()
        self.requests.clear()
        self.close()

    def _turn_away(self, refusal: Refusal) -> None:
        """Refuse a connection before any request; it is counted, not logged."""
        self._write_failure(failure_of(refusal), False)
        self.close()

    def _write_failure(self, failure: OwnAnswer, is_head: bool) -> None:
        head = [b"HTTP/1.1 %d %s\r\n" % (failure.status, reason_phrase(failure.status).encode())]
        head += [b"%s: %s\r\n" % pair for pair in failure.head().pairs]
        date = format_date(int(time()))  # RFC 9110 section 6.6.1
        head.append(b"Date: %s\r\nConnection: close\r\n\r\n" % date)
        self.transport.writeSequence([*head, b"" if is_head else failure.body])

    def take_no_more(self) -> None:
        """Close as soon as no request is left; one that has begun is still answered.

        The first request of a connection that was only just accepted is waited for, for a moment:
        its client can't tell a close from a refusal.
        """
        if self._closing:
            return
        if self.persistent and not self.requests and not self._served:
            self.setTimeout(self.limits.linger_seconds)
            return
        self.persistent = False
        if not self.requests:
            self.loseConnection()

    def timeoutConnection(self) -> None:
        """Close a connection that idles between requests. Nothing is logged, and a client that
        doesn't close isn't waited for.
        """
        self.loseConnection()
        self._watchdog.expect(self.limits.linger_seconds)

    def end_by_close(self) -> None:
        """Begin a body that ends with the connection.

        Until all of it was handed to the kernel, anything that closes the connection resets it,
        the end of the process included.
        """
        self._ends_by_close = True
        reset_on_close(self.transport, True)

    def loseConnection(self) -> None:
        """Close once everything was sent; a client that doesn't take it isn't waited for."""
        self._closing = True
        self._watchdog.expect(self.limits.idle_seconds)
        if self._ends_by_close:
            self._when_written(self._end_in_order)
        else:
            super().loseConnection()

    def _end_in_order(self) -> None:
        """Let the close be a FIN. Over TLS it is close_notify that says so, behind all bytes."""
        self._ends_by_close = False
        reset_on_close(self.transport, False)
        super().loseConnection()

    def reset_now(self) -> None:
        """Reset the connection if a FIN would complete the body on it."""
        if self._ends_by_close:
            self.transport.abortConnection()

    def close(self, seconds: float | None = None) -> None:
        """Take no more, send what was written, and close in order; abort if that takes long.

        Only our half is closed at first: bytes that are still under way to a closed socket would
        reset it, and the client might lose the answer (section 9.6).
        """
        self._closing = True
        self.setTimeout(None)
        self.setRawMode()
        self._dataBuffer.clear()
        network: Any = self._networkProducer
        network.unregisterProducer()
        network.resumeProducing()
        self._watchdog.expect(seconds or self.limits.linger_seconds)
        tcp = ITCPTransport.providedBy(self.transport)
        if tcp and not ISSLTransport.providedBy(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def reset(self) -> None:
        """Stop reading, send what was written, then reset: for a body that a FIN would complete."""
        self._closing = True
        self.setTimeout(None)
        self.setRawMode()
        self._watchdog.expect(self.limits.linger_seconds)
        self._when_written(self.transport.abortConnection)

    def _when_written(self, then: Callable[[], object]) -> None:
        """Call `then` when the kernel has everything; at once where that can't be known (TLS)."""
        if self._draining:
            return
        network: Any = self._networkProducer
        network.unregisterProducer()
        if not IReadWriteDescriptor.providedBy(self.transport):
            then()
        else:
            self._draining = True
            network.registerProducer(_Drained(then), False)
            network.startWriting()

    def _observe(self, status: int, sent: int, kind: str) -> None:
        method, _, rest = self._raw_line.decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        now = time()
        self.site.observe(
            AccessRecord(
                client=str(getattr(self.getPeer(), "host", "unknown")),
                method=method,
                target=target,
                version=version,
                status=status,
                bytes_sent=sent,
                started_at=now,
                seconds=0.0,
                ended="refused",
                route="-" if self._body_limits is None else self._body_limits.route,
                error=kind,
            )
        )


@implementer(IPullProducer)
class _Drained:
    """Calls `then` when a transport has written everything: it asks for more then."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then
        self._registered = False

    def resumeProducing(self) -> None:
        if self._registered:
            self._then()
        self._registered = True  # the first time is the registration itself

    def stopProducing(self) -> None:
        """The connection is gone already."""
