"""A simulated client that speaks HTTP/2: its requests are streams of one connection.

A client that takes its time opens the windows of its streams as slowly; the connection's own holds
up nobody.
"""

from __future__ import annotations

from typing import Any

from hpack import Decoder

from aprp.core.http2.frames import (
    HEAD_SIZE,
    PREFACE,
    Code,
    Data,
    GoAway,
    Kind,
    Other,
)
from aprp.core.http2.reading import FrameReader
from aprp.core.http2.writing import reset, window_update
from tests.simulation.answers import Answer, Reader
from tests.simulation.clients import PATIENCE, Asked, HttpClient
from tests.simulation.network import End
from tests.support.h2_frames import END, SETTINGS_ACK, ping, settings
from tests.support.h2_requests import as_frames

_WHOLE = 1 << 30


class Http2Client(HttpClient):
    """As `HttpClient`, but for how requests are sent and answers read."""

    _streams: dict[int, Asked]
    _stream = 1
    _away = False
    _begun = False
    _turned_away = False
    """Whether it is refused before the daemon knows that it speaks HTTP/2."""

    def _ask(self) -> None:
        count = len(self.spec.asks) if self.spec.pipelined else self._next + 1
        asks = self.spec.asks[self._next : count]
        if self._end is not None and (self._away or self._turned_away or self._stream > 1 << 20):
            self._close()
        if self._end is None:
            self._streams = {}
            self._stream, self._away = 1, False
            self._frames = FrameReader(1 << 24)
            self._decoder = Decoder()
            self._to_send = PREFACE + settings() + window_update(0, _WHOLE)
        for ask in asks:
            held = self._tags.get((ask.route, ask.file), "")
            asked = Asked(self._number, self._next, ask, Answer(ask.method))
            asked.if_range = held if ask.if_range == "held" else ask.if_range
            asked.began = asked.answer.began = asked.answer.last = self._clock.rightNow
            self._waiting.append(asked)
            self._next += 1
            self._streams[self._stream] = asked
            self._to_send += as_frames(self._write(asked), self._stream)
            self._stream += 2
        self._patience = self._clock.callLater(PATIENCE * len(asks), self._gave_up)
        if self._end is None:
            self._connect()
        else:
            self._send()

    def _connected(self, end: End | None) -> None:
        if end is None:
            for asked in self._waiting:
                asked.refused = True
            self._lost("refused")
            return
        self._end = end
        self._begun = self._turned_away = False
        self._reader = Reader()
        self._expect()
        end.watch = self._look
        self._send()

    def _look(self) -> None:
        end = self._end
        self._send()
        while end is not None and self._end is end and end.readable:
            try:
                came = end.receive(1 << 20)
            except ConnectionResetError:
                self._lost("reset")
                return
            if not came:
                self._lost("fin")
                return
            if self._turned_away or (not self._begun and came[:1] == b"H"):
                self._turned_away = True
                self._take(came)
                continue
            self._begun = True
            for each in self._frames.feed(came):
                if self._end is end:
                    self._frame(each)
            self._send()

    def _frame(self, each: Any) -> None:
        if isinstance(each, Data):
            asked = self._streams.get(each.stream)
            if asked is not None:
                self._came(each, asked)
        elif isinstance(each, GoAway):
            self._away = True
            for number, asked in list(self._streams.items()):
                if number > each.last:
                    self._ended(number, asked, "cut", "goaway")
        elif isinstance(each, Other):
            self._other(each, each.raw[4], each.raw[HEAD_SIZE:])

    def _other(self, each: Other, flags: int, payload: bytes) -> None:
        asked = self._streams.get(each.stream)
        if each.kind == Kind.HEADERS:
            fields = self._decoder.decode(payload, raw=True)
            if asked is not None:
                self._head(asked, [(bytes(n).decode(), bytes(v).decode()) for n, v in fields])
                if flags & END:
                    self._finished(each.stream, asked)
        elif each.kind == Kind.RST_STREAM and asked is not None:
            if int.from_bytes(payload, "big") != Code.NO_ERROR or not asked.answer.ended:
                self._ended(each.stream, asked, "cut", "reset")
        elif each.kind == Kind.SETTINGS and not flags:
            self._to_send += SETTINGS_ACK
        elif each.kind == Kind.PING and not flags:
            self._to_send += ping(payload, ack=True)

    def _head(self, asked: Asked, pairs: list[tuple[str, str]]) -> None:
        answer = asked.answer
        status = int(dict(pairs)[":status"])
        if status < 200:
            return
        if answer.status:
            asked.error = "malformed: a second head"
            return
        answer.status = status
        answer.headed = answer.last = self._clock.rightNow
        for name, value in pairs[1:]:
            if name in ("connection", "transfer-encoding") or name != name.lower():
                asked.error = f"malformed: the field {name}"
            if name in answer.fields and name in ("content-length", "etag"):
                asked.error = f"malformed: {name} twice"
            answer.fields[name] = value
        if answer.method == "HEAD" or status in (204, 304):
            answer.framing = "none"
        else:
            answer.framing = "length" if "content-length" in answer.fields else "close"

    def _came(self, each: Data, asked: Asked) -> None:
        answer, ask = asked.answer, asked.ask
        before = answer.size
        if each.data:
            answer.pieces.append(each.data)
            answer.size += len(each.data)
        answer.last = self._clock.rightNow
        if not answer.status or answer.framing == "none":
            asked.error = asked.error or "malformed: DATA where there is no body"
        if each.last:
            self._finished(each.stream, asked)
            return
        if 0 <= ask.leave_at <= answer.size:
            self._leave_stream(each.stream, asked)
            return
        wait = each.cost / ask.pace if ask.pace else 0.0
        if before <= ask.pause_at < answer.size:
            wait += ask.pause_for
        if wait:
            self._clock.callLater(wait, self._open, self._end, each.stream, each.cost)
        else:
            self._open(self._end, each.stream, each.cost)

    def _open(self, end: End | None, stream: int, count: int) -> None:
        if end is self._end and stream in self._streams and count:
            self._to_send += window_update(stream, count)
            self._send()

    def _leave_stream(self, number: int, asked: Asked) -> None:
        if asked.ask.leave == "rst":
            asked.answer.ended = "left"
            self._close(abort=True)
            self._lost("left")
            return
        self._to_send += reset(number, Code.CANCEL)
        self._ended(number, asked, "left", "")

    def _finished(self, number: int, asked: Asked) -> None:
        answer = asked.answer
        if answer.framing == "length" and answer.size != int(answer.fields["content-length"]):
            asked.error = asked.error or f"malformed: it ended after {answer.size} bytes"
        self._ended(number, asked, "whole", "")

    def _ended(self, number: int, asked: Asked, how: str, by: str) -> None:
        del self._streams[number]
        self._waiting.remove(asked)
        asked.answer.ended, asked.answer.how = how, by
        self._over(asked)
        if not self._waiting:
            if self._patience is not None and self._patience.active():
                self._patience.cancel()
            self._clock.callLater(0, self._go_on)

    def _lost(self, how: str) -> None:
        self._streams = {}
        super()._lost(how)

    def _finish(self) -> None:
        self._send()
        super()._finish()
