"""Simulated clients: they ask, take what comes at their own pace, and leave when they like.

Each answer is handed to `told` once it is over, together with what was asked; what was wrong with
it is the oracle's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.answers import Answer, Malformed, Reader
from tests.simulation.besetting import BALANCER, hello
from tests.simulation.clock import SimulatedClock
from tests.simulation.network import End, Network
from tests.simulation.scenario import EPOCH, Ask, Client

PATIENCE = 400.0
"""Seconds that a client waits for the end of one answer."""
TAKEN = 65536


@dataclass
class Asked:
    """One request, and what became of it. `error` is what went wrong in reading it."""

    client: int
    number: int
    ask: Ask
    answer: Answer
    if_range: str = ""
    error: str = ""
    began: float = 0.0
    over: float = 0.0
    refused: bool = False
    """Whether there was no connection to be had."""
    after_stop: bool = False
    impatient: bool = False


Told = Callable[[Asked], None]


class HttpClient:
    """One connection at a time; what was asked on one that ended is asked no more."""

    def __init__(
        self,
        number: int,
        spec: Client,
        network: Network,
        where: tuple[str, int],
        write: Callable[[Asked], bytes],
        told: Told,
    ) -> None:
        self.spec = spec
        self.done = False
        self._number = number
        self._network = network
        self._clock: SimulatedClock = network.clock
        self._where = where
        self._write = write
        self._told = told
        self.address = number if spec.address < 0 else spec.address
        self.connections: list[tuple[float, float]] = []
        """From when to when it had each of its connections."""
        self._host = f"10.0.0.{self.address + 1}"
        self._from, self._hello = self._host, b""
        if spec.proxy:
            self._from, self._hello = BALANCER, hello(spec.proxy, self._host, where)
        self._since = 0.0
        self._next = 0
        self._waiting: list[Asked] = []
        self._end: End | None = None
        self._reader = Reader()
        self._to_send = b""
        self._paused = False
        self._patience: Any = None
        self._tags: dict[tuple[int, int], str] = {}
        self._trickling = False
        self._clock.callLater(spec.start, self._go_on)

    # Asking

    def _go_on(self) -> None:
        """Ask the next thing, or everything that is left."""
        if self._next >= len(self.spec.asks):
            if not self._waiting:
                self._finish()
            return
        wait = self.spec.asks[self._next].wait
        if wait:
            self._clock.callLater(wait, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        count = len(self.spec.asks) if self.spec.pipelined else self._next + 1
        asks = self.spec.asks[self._next : count]
        data = b""
        for ask in asks:
            held = self._tags.get((ask.route, ask.file), "")
            if_range = held if ask.if_range == "held" else ask.if_range
            method = ask.method if ask.upload < 0 else "POST"
            asked = Asked(self._number, self._next, ask, Answer(method), if_range)
            asked.began = asked.answer.began = asked.answer.last = self._clock.rightNow
            self._waiting.append(asked)
            self._next += 1
            data += self._write(asked)
        self._to_send += data
        self._patience = self._clock.callLater(PATIENCE * len(asks), self._gave_up)
        if self._end is None:
            self._connect()
        else:
            self._expect()
            self._send()

    def _connect(self) -> None:
        self._since = self._clock.rightNow
        self._to_send = self._hello + self._to_send
        self._network.connect(self._from, self._where, self._connected, self.spec.link)

    def _connected(self, end: End | None) -> None:
        if end is None:
            for asked in self._waiting:
                asked.refused = True
            self._lost("refused")
            return
        self._end = end
        self._reader = Reader()
        end.watch = self._look
        self._expect()
        self._send()

    def _expect(self) -> None:
        if self._reader.answer is None and self._waiting:
            self._reader.expect(self._waiting[0].answer)

    def _send(self) -> None:
        end = self._end
        if end is None or not self._to_send or self._trickling:
            return
        size = self.spec.trickle or len(self._to_send)
        try:
            taken = end.send(self._to_send[: min(size, max(0, end.room))])
        except BrokenPipeError:
            return
        self._to_send = self._to_send[taken:]
        if self.spec.trickle and self._to_send:
            self._trickling = True
            self._clock.callLater(0.05, self._trickled)

    def _trickled(self) -> None:
        self._trickling = False
        self._send()

    # Taking

    def _look(self) -> None:
        end = self._end
        if end is None:
            return
        self._send()
        while not self._paused and self._end is end and end.readable:
            ask = self._waiting[0].ask if self._waiting else None
            most = TAKEN
            if ask is not None and ask.pace:
                most = max(1, min(TAKEN, int(ask.pace / 10)))
            try:
                data = end.receive(most)
            except ConnectionResetError:
                self._lost("reset")
                return
            if not data:
                self._lost("fin")
                return
            self._take(data)
            if ask is not None and ask.pace and self._end is end:
                self._pause(len(data) / ask.pace)

    def _pause(self, seconds: float) -> None:
        if not self._paused:
            self._paused = True
            self._clock.callLater(seconds, self._resume)

    def _resume(self) -> None:
        self._paused = False
        self._look()

    def _take(self, data: bytes) -> None:
        if not self._waiting:
            self._fail_stray(data)
            return
        asked = self._waiting[0]
        before = asked.answer.size
        try:
            whole = self._reader.feed(data)
        except (Malformed, ValueError) as error:
            asked.error = f"malformed: {error}"
            self._close(abort=True)
            self._lost("malformed")
            return
        asked.answer.last = self._clock.rightNow
        if asked.answer.status and not asked.answer.headed:
            asked.answer.headed = self._clock.rightNow
        ask = asked.ask
        if 0 <= ask.leave_at <= asked.answer.size and asked.answer.status and not whole:
            self._leave(asked)
            return
        if before <= ask.pause_at < asked.answer.size:
            self._pause(ask.pause_for)
        if whole:
            self._answered(asked)

    def _answered(self, asked: Asked) -> None:
        self._waiting.pop(0)
        self._over(asked)
        if asked.answer.fields.get("connection") == "close" and self._waiting:
            return  # what else was asked is lost when the end comes
        if self._waiting:
            self._expect()
            self._take(b"")
        else:
            if self._reader.stray and not _came_first(asked.answer):
                asked.error = f"bytes after the answer: {self._reader.stray[:40]!r}"
            if self._patience is not None and self._patience.active():
                self._patience.cancel()
            if asked.ask.minor == 0 or asked.answer.fields.get("connection") == "close":
                self._close()
            self._clock.callLater(0, self._go_on)

    def _fail_stray(self, data: bytes) -> None:
        asked = Asked(self._number, -1, self.spec.asks[-1], Answer("GET"))
        asked.error = f"bytes that nothing asked for: {data[:40]!r}"
        self._close()
        self._told(asked)

    # Ends

    def _leave(self, asked: Asked) -> None:
        asked.answer.ended = "left"
        self._close(abort=asked.ask.leave == "rst")
        self._lost("left")

    def _gave_up(self) -> None:
        for asked in self._waiting:
            asked.impatient = True
        self._close(abort=True)
        self._lost("impatient")

    def _lost(self, how: str) -> None:
        self._reader.end(how)
        self._close()
        waiting, self._waiting = self._waiting, []
        self._to_send = b""
        for asked in waiting:
            if not asked.answer.ended:
                asked.answer.ended = "cut"
            asked.answer.how = how
            self._over(asked)
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        self._clock.callLater(0, self._go_on)

    def _close(self, abort: bool = False) -> None:
        end, self._end = self._end, None
        self._to_send = b""
        if end is not None:
            self.connections.append((self._since, self._clock.rightNow))
            end.close(abort)

    def _over(self, asked: Asked) -> None:
        asked.over = asked.answer.over = self._clock.rightNow
        tag = asked.answer.fields.get("etag", "")
        if tag and asked.answer.status in (200, 206):
            self._tags[(asked.ask.route, asked.ask.file)] = tag
        self._told(asked)

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            self._close()


def _came_first(answer: Answer) -> bool:
    """Whether it was sent before the request was read, so that it has a body even after HEAD."""
    return answer.status in (429, 503) and answer.fields.get("connection") == "close"


def text_of(asked: Asked) -> str:
    """For reports."""
    answer = asked.answer
    at = asked.began - EPOCH
    return (
        f"client {asked.client} ask {asked.number} at {at:.3f}: {answer.method} "
        f"/r{asked.ask.route}/f{asked.ask.file}{asked.ask.in_path} range={asked.ask.range or '-'} "
        f"if-range={asked.if_range or '-'} HTTP/1.{asked.ask.minor} -> {answer.status} "
        f"{answer.size} bytes, {answer.ended} {answer.how} after {asked.over - asked.began:.3f} s"
    )
