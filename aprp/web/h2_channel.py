"""HTTP/2 from clients (RFC 9113): one connection, whose streams are requests.

The library (h2) keeps the states of streams and codes fields; bodies, windows, GOAWAY and what a
client may cost are handled here and in `aprp.core.http2`. Twisted's own channel for HTTP/2 isn't
used; docs/dependencies.md says where it falls short.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from aprp.core.http.fields import Pairs
from aprp.core.http.heads import MalformedMessage
from aprp.core.http2.floods import Allowance
from aprp.core.http2.frames import PREFACE, Broken, Code, GoAway, Kind, Other
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.receiving import ReceiveWindow
from aprp.core.http2.writing import settings
from aprp.upstream.http.h2_body import OutgoingBody
from aprp.upstream.http.h2_link import Link
from aprp.upstream.http.h2_receiver import BLOCKS
from aprp.upstream.http.h2_writer import library
from aprp.upstream.watchdog import Watchdog
from aprp.web.clients import Release
from aprp.web.h2_stream import ClientStream
from aprp.web.request_rules import Limits

MAX_FRAME = 16384
WINDOW = 1 << 24
"""The window of the connection as a whole: each stream's holds its sender up."""
_ALL = 2**31 - 1


class H2Channel(Protocol):
    """One connection of a client. `release` is called at its end."""

    transport: Any

    def __init__(self, site: Any, reactor: Any, limits: Limits, release: Release | None) -> None:
        self.site = site
        self.reactor = reactor
        self.limits = limits
        self._release = release
        self._watchdog = Watchdog(reactor, self._expired)
        self._streams: dict[int, ClientStream] = {}
        self._served = 0
        self._highest = 0
        self._resets = Allowance(limits.resets, limits.resets / 10)
        self._closing = self._draining = self._drained = self._gone = False

    def connectionMade(self) -> None:
        self._tls = ISSLTransport.providedBy(self.transport)
        self._host, self._peer = self.transport.getHost(), self.transport.getPeer()
        self.site.entered(self)
        fields = self.limits.head + 32 * self.limits.fields
        h2 = library(False, MAX_FRAME, fields, 2 * fields)
        frames = FrameReader(MAX_FRAME, preface=True)
        self._link = Link(self, self.reactor, self.transport, h2, frames, WINDOW, self._sent)
        self._watchdog.expect(self.limits.idle_seconds)
        # how many streams there may be is checked here: one too many ends nothing else
        self._link.begin(settings(max_concurrent_streams=self.limits.streams))
        h2.receive_data(PREFACE)  # which is read here

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = self._closing = True
        self._link.close()
        self._watchdog.close()
        release, self._release = self._release, None
        if release is not None:
            release()
        self._lose_all(reason)
        self.site.left(self)

    def _lose_all(self, reason: Failure) -> None:
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.lost(reason)

    @property
    def streams(self) -> int:
        """The number of requests that are under way."""
        return len(self._streams)

    # What the site says

    def take_no_more(self) -> None:
        """Serve what was begun, and what the client sent before it hears of this."""
        if self._closing or self._draining:
            return
        self._draining = True
        self._link.writer.go_away(_ALL, Code.NO_ERROR)
        self._link.writer.ping(b"draining")
        self._watchdog.expect(self.limits.linger_seconds)

    def _drain(self) -> None:
        """The client knows: what it sends from now on is refused."""
        self._drained = True
        self._link.writer.go_away(self._highest, Code.NO_ERROR)
        self._watchdog.rest()
        if not self._streams:
            self._close()

    def reset_now(self) -> None:
        """Do nothing: a stream without its end shows that it is incomplete."""

    def _expired(self) -> None:
        if self._closing:
            self.transport.abortConnection()
        elif self._draining and not self._drained:
            self._drain()
        elif not self._streams:
            self._link.writer.go_away(self._highest, Code.NO_ERROR)
            self._close()

    def _close(self) -> None:
        """Close once everything was sent; a client that doesn't take it isn't waited for."""
        if self._closing:
            return
        self._closing = True
        self._link.writer.flush()
        self._link.bodies.close()
        self._lose_all(Failure(ConnectionLost("the connection is closed")))
        self._watchdog.expect(self.limits.linger_seconds)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # What streams say

    def getPeer(self) -> Any:
        return self._peer

    def getHost(self) -> Any:
        return self._host

    def isSecure(self) -> bool:
        return self._tls

    def send_head(self, stream: int, pairs: Pairs, ends: bool) -> None:
        """Send a block of fields."""
        if not self._closing:
            self._link.writer.head(stream, pairs, ends)

    def body(self, stream: int) -> OutgoingBody:
        """Return what the response's body is written to."""
        return self._link.bodies.open(stream)

    def allow(self, stream: int, count: int) -> None:
        """Let the client send more of a request's body."""
        self._link.writer.open_window(stream, count)

    def reset(self, stream: int, code: int) -> None:
        """Break a stream off."""
        if not self._closing:
            self._link.stop(stream, code)

    def over(self, stream: int) -> None:
        """A stream has ended."""
        self._link.bodies.drop(stream)
        if self._streams.pop(stream, None) is None or self._streams or self._closing:
            return
        if self._drained:
            self._close()
        elif not self._draining:
            self._watchdog.expect(self.limits.idle_seconds)

    def _sent(self, stream: int) -> None:
        if (found := self._streams.get(stream)) is not None:
            found.sent()

    # What comes in

    def dataReceived(self, data: bytes) -> None:
        self._link.incoming.came(data)

    @property
    def closing(self) -> bool:
        return self._closing

    def window_of(self, stream: int) -> ReceiveWindow | None:
        found = self._streams.get(stream)
        return None if found is None else found.credit

    def begun(self, stream: int) -> bool:
        return stream % 2 == 1 and stream <= self._highest

    def frame_came(self, frame: Other) -> None:
        if frame.kind not in BLOCKS and frame.kind != Kind.RST_STREAM:
            self._link.receiver.note_useless()
        if frame.kind == Kind.HEADERS and frame.stream in self._link.receiver.stopped:
            self._note_reset()

    def fields_came(self, stream: int, pairs: Pairs, ended: bool) -> None:
        self._highest = stream
        if self._drained or len(self._streams) >= self.limits.streams:
            self._note_reset()
            self.reset(stream, Code.REFUSED_STREAM)
            return
        self._begin(stream, pairs, ended)

    def malformed(self, stream: int, text: str) -> None:
        """A client that has us reset its streams costs as much as one that resets them."""
        self._note_reset()
        if (found := self._streams.get(stream)) is not None:
            found.malformed(text)

    def body_came(self, stream: int, data: bytes, cost: int, last: bool) -> None:
        try:
            self._streams[stream].data_came(data, cost)
        except MalformedMessage as malformed:
            self.malformed(stream, str(malformed))

    def stream_ended(self, stream: int) -> None:
        if (found := self._streams.get(stream)) is not None:
            try:
                found.ended()
            except MalformedMessage as malformed:
                self.malformed(stream, str(malformed))

    def stream_reset(self, stream: int, code: int) -> None:
        self._note_reset()
        if (found := self._streams.get(stream)) is not None:
            self.over(stream)
            found.lost(Failure(ConnectionLost("the client reset the stream")))

    def acknowledged(self, ping: bool) -> None:
        if ping and self._draining and not self._drained:
            self._drain()

    def went_away(self, away: GoAway) -> None:
        """Do nothing: a client that takes no pushes has no stream of ours to refuse."""
        self._link.receiver.note_useless()

    def broken(self, code: int, text: str) -> None:
        self._link.writer.go_away(self._highest, code, text)
        self._close()

    def received(self) -> None:
        self._link.writer.flush()

    def _note_reset(self) -> None:
        if not self._resets.spend(self.reactor.seconds()):
            raise Broken(Code.ENHANCE_YOUR_CALM, "too many streams that were reset")

    def _begin(self, number: int, pairs: Pairs, ended: bool) -> None:
        self._served += 1
        if not self._draining:
            self._watchdog.rest()
        stream = self._streams[number] = ClientStream(self, number)
        try:
            stream.begin(pairs, ended)
        except MalformedMessage as malformed:
            self.malformed(number, str(malformed))
        if self._served >= self.limits.requests or self.site.stopping:
            self.take_no_more()
