"""An origin's reply: its head and body, what is to go wrong with it, and how it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from tests.simulation.clock import SimulatedClock
from tests.simulation.network import End

PIECE = 65536


@dataclass
class Reply:
    """`length` is declared, chunked or close; `end` what comes after the body: keep, fin, reset or
    nothing. At the offset `break_at` of the body, `pause` seconds go by, or it ends there."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    length: str = "declared"
    keeps: bool = True
    dated: bool = True
    bodiless: bool = False
    declared: int | None = None
    raw: bytes | None = None
    """What is sent in place of it all."""
    interims: int = 0
    wait: float = 0.0
    break_at: int | None = None
    pause: float | None = None
    """Seconds at `break_at`, after which it goes on; None: it ends there by `end`."""
    end: str = "keep"
    frames: str = ""
    """What is done to it over HTTP/2 alone; see `tests.simulation.http2`."""

    def head(self, now: float) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        if self.dated:
            lines.append("Date: " + formatdate(int(now), usegmt=True))
        if self.status != 304:
            if self.length == "declared" or self.bodiless:
                length = len(self.body) if self.declared is None else self.declared
                lines.append(f"Content-Length: {length}")
            elif self.length == "chunked":
                lines.append("Transfer-Encoding: chunked")
        if not self.keeps or self.length == "close":
            lines.append("Connection: close")
        return ("\r\n".join([*lines, "", ""])).encode("latin-1")

    def framed(self) -> bytes:
        if self.status == 304 or self.bodiless:
            return b""
        if self.length != "chunked":
            return self.body
        pieces = []
        for at in range(0, len(self.body), PIECE):
            piece = self.body[at : at + PIECE]
            pieces += [b"%x\r\n" % len(piece), piece, b"\r\n"]
        return b"".join([*pieces, b"0\r\n\r\n"])


@dataclass
class Sender:
    """Sends a reply as there is room for it, and says by `sent` how the connection goes on."""

    end: End
    clock: SimulatedClock
    reply: Reply
    sent: Callable[[str], None]
    _data: bytes = b""
    _at: int = 0
    _break: int = -1
    _begun: bool = False
    _waiting: bool = False
    _stopped: bool = False
    _calls: list[Any] = field(default_factory=list)

    def go_on(self) -> None:
        """There may be room, or a wait may be over."""
        if self._stopped or self._waiting:
            return
        if not self._begun:
            self._begun = True
            if self.reply.wait:
                self._wait(self.reply.wait)
                return
        if not self._data:
            self._make()
        self._send()

    def _make(self) -> None:
        reply = self.reply
        if reply.raw is not None:
            self._data = reply.raw
            if not self._data:
                self._finish()
            return
        head = b"HTTP/1.1 103 Early Hints\r\n\r\n" * reply.interims
        head += reply.head(self.clock.rightNow)
        self._data = head + reply.framed()
        if reply.break_at is not None:
            self._break = min(len(head) + reply.break_at, len(self._data))

    def _send(self) -> None:
        while not self._stopped:
            until = len(self._data) if self._break < 0 else self._break
            if self._at >= until:
                break
            room = self.end.room
            if room <= 0:
                return
            try:
                taken = self.end.send(self._data[self._at : min(until, self._at + room)])
            except BrokenPipeError:
                self._stop_with("reset")
                return
            self._at += taken
        if not self._stopped and not self._waiting:
            self._reached()

    def _reached(self) -> None:
        if self._break >= 0:
            self._break = -1
            if self.reply.pause is None:
                self._waiting = True  # a reset would overtake what hasn't left yet
                call = self.clock.callLater(self.end.leaves_in, self._stop_with, self.reply.end)
                self._calls.append(call)
            else:
                self._wait(self.reply.pause)
        else:
            self._finish()

    def _wait(self, seconds: float) -> None:
        self._waiting = True
        self._calls.append(self.clock.callLater(seconds, self._waited))

    def _waited(self) -> None:
        self._waiting = False
        self.go_on()

    def _finish(self) -> None:
        reply = self.reply
        closes = not reply.keeps or reply.length == "close"
        self._stop_with("fin" if closes and reply.end == "keep" else reply.end)

    def _stop_with(self, how: str) -> None:
        if not self._stopped:
            self._stopped = True
            self.sent(how)

    def stop(self) -> None:
        self._stopped = True
        for call in self._calls:
            if call.active():
                call.cancel()
