"""Simulated origins over HTTP/2: the same replies and faults, one stream for each request.

What a reply does to its connection over HTTP/1.1 it does to its stream or, where that is worse for
others, to the connection that they share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpack import Decoder

from aprp.core.http2.frames import HEAD_SIZE, Code, Data, Kind, Other
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.writing import go_away, reset, window_update
from tests.simulation.network import End
from tests.simulation.replies import Reply, Sender
from tests.simulation.uploads import ASK
from tests.support.h2_frames import END, SETTINGS_ACK, data, ping, settings
from tests.support.h2_origin import head_frames

if TYPE_CHECKING:
    from tests.simulation.origins import SimulatedOrigin

WINDOW = 65535
HELD = 65536
"""Bytes that may wait for room on the connection."""
_INITIAL_WINDOW = 4


class Http2Connection:
    """One connection, taken over from `OriginConnection` with what has come."""

    def __init__(self, origin: SimulatedOrigin, end: End, came: bytes) -> None:
        self.origin = origin
        self.end = end
        self.window = WINDOW
        self.over = False
        self._initial = WINDOW
        self._frames = FrameReader(1 << 24, preface=True)
        self._decoder = Decoder()
        self._streams: dict[int, _Stream] = {}
        self._out = b""
        self._leaving = False
        end.watch = self._look
        self.write(settings())
        self._feed(came)

    @property
    def room(self) -> int:
        """Bytes that a stream may write now, as far as the connection goes."""
        return max(0, min(self.window, HELD - len(self._out)))

    def write(self, frames: bytes) -> None:
        self._out += frames
        self._flush()

    def _flush(self) -> None:
        while self._out and not self.over and self.end.room > 0:
            try:
                taken = self.end.send(self._out[: self.end.room])
            except BrokenPipeError:
                self.close(abort=True)
                return
            self._out = self._out[taken:]

    def _look(self) -> None:
        self._flush()
        while not self.over and self.end.readable:
            try:
                came = self.end.receive(1 << 20)
            except ConnectionResetError:
                self.close(abort=True)
                return
            if not came:
                self.close()
                return
            self._feed(came)
        for stream in list(self._streams.values()):
            stream.go_on()

    def _feed(self, came: bytes) -> None:
        for each in self._frames.feed(came):
            if isinstance(each, Data):
                self._data(each)
            elif isinstance(each, Other):
                self._other(each)

    def _data(self, each: Data) -> None:
        stream = self._streams.get(each.stream)
        if each.cost:
            self.write(window_update(0, each.cost))
        if stream is None:
            return
        if each.cost and not each.last:
            self.write(window_update(each.stream, each.cost))
        stream.body += each.data
        if each.last:
            stream.serve()

    def _other(self, each: Other) -> None:
        flags, payload = each.raw[4], each.raw[HEAD_SIZE:]
        if each.kind == Kind.HEADERS:
            pairs = self._decoder.decode(payload, raw=True)
            fields = {bytes(n).decode("latin-1"): bytes(v).decode("latin-1") for n, v in pairs}
            stream = self._streams[each.stream] = _Stream(self, each.stream, fields, self._initial)
            if fields[":method"] == "POST":
                self.origin.uploads[fields.get(ASK.lower(), "")] += 1
            if flags & END:
                stream.serve()
        elif each.kind == Kind.RST_STREAM:
            self.drop(each.stream)
        elif each.kind == Kind.SETTINGS and not flags:
            self._settled(payload)
            self.write(SETTINGS_ACK)
        elif each.kind == Kind.PING and not flags and self.origin.fault_of("lost") is None:
            self.write(ping(payload, ack=True))
        elif each.kind == Kind.WINDOW_UPDATE:
            increment = int.from_bytes(payload, "big")
            if each.stream == 0:
                self.window += increment
            elif each.stream in self._streams:
                self._streams[each.stream].window += increment

    def _settled(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2], "big") == _INITIAL_WINDOW:
                value = int.from_bytes(payload[at + 2 : at + 6], "big")
                for stream in self._streams.values():
                    stream.window += value - self._initial
                self._initial = value

    def leave(self, last: int) -> None:
        """Take no more requests: close once those under way are answered."""
        self.write(go_away(last, Code.NO_ERROR))
        self._leaving = True

    def drop(self, number: int) -> None:
        """The stream is over."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.stop()
        if self._leaving and not self._streams:
            self.finish()

    def finish(self) -> None:
        """Send nothing more, and read what still comes: a close would reset what was sent."""
        if self._out:
            self.origin.clock.callLater(0.01, self.finish)
        elif not self.over:
            self.end.finish()

    def close(self, abort: bool = False) -> None:
        if not self.over:
            self.over = True
            self.origin.open -= 1
            for stream in self._streams.values():
                stream.stop()
            self.end.close(abort)


class _Stream:
    """One request and its reply. To a `Sender` it is the end of a connection."""

    def __init__(
        self, connection: Http2Connection, number: int, fields: dict[str, str], window: int
    ) -> None:
        self.window = window
        self.body = b""
        self._connection = connection
        self._number = number
        self._fields = fields
        self._headed = False
        self._sender: Sender | None = None

    def serve(self) -> None:
        """The request is complete."""
        origin = self._connection.origin
        plain = {n: v for n, v in self._fields.items() if n[0] != ":"}
        method, target = self._fields[":method"], self._fields[":path"]
        if method == "POST" and origin.fault_of("early"):
            reply = Reply(503, [], b"early")
        else:
            reply = origin.answer(method, target, plain, self.body)
        if reply.length == "chunked":  # a body that its end ends can only be reset
            reply.length = "close"
            reply.end = "reset" if reply.end == "fin" and reply.raw is None else reply.end
        if origin.spec.think:
            reply.wait = origin.spec.think
        if self._spoilt(reply.frames):
            self._sender = Sender(self, origin.clock, reply, self._sent)  # type: ignore[arg-type]
            self.go_on()

    def _spoilt(self, kind: str) -> bool:
        """Do what only HTTP/2 can; return whether an answer follows. A request that is said not to
        have been handled may be sent again, whatever it is (RFC 9113, section 8.7)."""
        connection, number = self._connection, self._number
        if kind in ("refused", "left-out") and self._fields[":method"] == "POST":
            connection.origin.uploads[self._fields.get(ASK.lower(), "")] -= 1
        if kind == "refused":
            connection.write(reset(number, Code.REFUSED_STREAM))
            connection.drop(number)
        elif kind == "left-out":
            connection.leave(number - 2 if number > 1 else 0)
            connection.drop(number)
        elif kind == "goaway":
            connection.leave(number)
        elif kind == "shrink":
            connection.write(settings(max_concurrent_streams=1, initial_window_size=0))
        elif kind == "flood":
            connection.write(ping() * 2000)
        return kind not in ("refused", "left-out")

    def go_on(self) -> None:
        if self._sender is not None:
            self._sender.go_on()

    def stop(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    # Called by the sender.

    @property
    def room(self) -> int:
        if not self._headed:
            return 1 << 24
        return max(0, min(self.window, self._connection.room))

    @property
    def leaves_in(self) -> float:
        return self._connection.end.leaves_in

    def send(self, wire: bytes) -> int:
        """How many bytes were taken."""
        connection = self._connection
        if connection.over:
            raise BrokenPipeError(32, "Broken pipe")
        if self._headed:
            piece = wire[: min(self.room, 16384)]
            self.window -= len(piece)
            connection.window -= len(piece)
            connection.write(data(self._number, piece))
            return len(piece)
        if not wire.startswith(b"HTTP/1.1 ") or b"\r\n\r\n" not in wire:
            connection.write(wire)
            return len(wire)
        frames, rest = head_frames(self._number, wire)
        self._headed = True
        connection.write(frames)
        return len(wire) - len(rest)

    def _sent(self, how: str) -> None:
        """The reply is out; `how` is as for HTTP/1.1."""
        connection, number = self._connection, self._number
        if how == "nothing":
            return
        if not self._headed and how == "fin":
            connection.finish()
        elif (not self._headed and how == "reset") or (how == "reset" and number % 4 != 1):
            connection.close(abort=True)
        elif how == "reset":
            connection.write(reset(number, Code.INTERNAL_ERROR))
            connection.drop(number)
        else:
            connection.write(data(number, end=True))
            if not connection.origin.spec.keeps:
                connection.leave(number)
            connection.drop(number)
