"""The connections of simulated origins: requests are read and answered in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aprp.core.http2.frames import PREFACE
from tests.simulation.http2 import Http2Connection
from tests.simulation.network import End
from tests.simulation.replies import Reply, Sender
from tests.simulation.uploads import ASK, Incoming

if TYPE_CHECKING:
    from tests.simulation.origins import SimulatedOrigin


class OriginConnection:
    """One connection: requests are read and answered in order."""

    def __init__(self, origin: SimulatedOrigin, end: End) -> None:
        self._origin = origin
        self._end = end
        self._held = b""
        self._sender: Sender | None = None
        self._incoming: Incoming | None = None
        self._posted: tuple[str, dict[str, str]] = ("", {})
        self._over = False
        self._undecided = True  # whether it is HTTP/2
        end.watch = self._look

    def _look(self) -> None:
        end = self._end
        if self._sender is not None:
            self._sender.go_on()
        while not self._over and end.readable:
            try:
                data = end.receive(1 << 20)
            except ConnectionResetError:
                self._end_it(abort=True)
                return
            if not data:
                if self._sender is None:
                    self._end_it()
                break
            self._held += data
        if self._undecided and self._held:
            if PREFACE.startswith(self._held) and len(self._held) < len(PREFACE):
                return
            self._undecided = False
            if self._held.startswith(PREFACE):
                self._over = True
                Http2Connection(self._origin, self._end, self._held)
                return
        self._next()

    def _next(self) -> None:
        if self._incoming is not None:
            self._receive(*self._posted)
        while (
            self._incoming is None
            and self._sender is None
            and not self._over
            and b"\r\n\r\n" in self._held
        ):
            head, _, self._held = self._held.partition(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = line.split(" ")
            fields = {}
            for each in lines:
                name, _, value = each.partition(":")
                fields[name.lower()] = value.strip()
            if method == "POST":
                self._origin.uploads[fields.get(ASK.lower(), "")] += 1
                if self._origin.fault_of("early"):
                    self._send(Reply(503, [], b"early", keeps=False))
                    return
                self._incoming = Incoming(fields)
                self._receive(target, fields)
            else:
                self._send(self._origin.answer(method, target, fields))

    @property
    def _is_free(self) -> bool:
        return self._incoming is None and self._sender is None and not self._over

    def _receive(self, target: str, fields: dict[str, str]) -> None:
        """Read the body of a request, as far as it is there."""
        assert self._incoming is not None
        self._posted = target, fields
        done, self._held = self._incoming.feed(self._held)
        if done:
            body, self._incoming = self._incoming.body, None
            self._send(self._origin.answer("POST", target, fields, body))

    def _send(self, reply: Reply) -> None:
        if self._origin.spec.think:
            reply.wait = self._origin.spec.think
        self._sender = Sender(self._end, self._origin.clock, reply, self._sent)
        self._sender.go_on()

    def _sent(self, how: str) -> None:
        """An answer is out; `how` says what comes next: keep, fin, reset or nothing."""
        if how == "keep":
            self._sender = None
            if self._end.fin:
                self._end_it()
            else:
                self._origin.clock.callLater(0, self._next)
        elif how != "nothing":
            self._end_it(abort=how == "reset")

    def _end_it(self, abort: bool = False) -> None:
        if not self._over:
            self._over = True
            self._origin.open -= 1
            if self._sender is not None:
                self._sender.stop()
            self._end.close(abort)
