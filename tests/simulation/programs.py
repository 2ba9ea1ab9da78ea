"""Simulated programs that read files through the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from aprp.upstream.errors import SourceError
from tests.simulation.answers import Answer
from tests.simulation.clients import Asked, Told
from tests.simulation.clock import SimulatedClock
from tests.simulation.scenario import Ask, Client


class LibraryClient:
    """A program that reads through `open_transfer` on the daemon's own machine and reactor."""

    def __init__(
        self,
        number: int,
        spec: Client,
        clock: SimulatedClock,
        open_it: Callable[[Ask], Any],
        told: Told,
    ) -> None:
        self.spec = spec
        self.done = False
        self._number = number
        self._clock = clock
        self._open = open_it
        self._told = told
        clock.callLater(spec.start, self._begin)

    def _begin(self) -> None:
        Deferred.fromCoroutine(self._run()).addErrback(self._crashed)

    def _crashed(self, failure: Any) -> None:
        asked = Asked(self._number, -1, self.spec.asks[0], Answer("GET"))
        asked.error = f"the reader raised {failure.value!r}"
        self.done = True
        self._told(asked)

    async def _run(self) -> None:
        for number, ask in enumerate(self.spec.asks):
            if ask.wait:
                await deferLater(self._clock, ask.wait)
            answer = Answer("GET", framing="library")
            asked = Asked(self._number, number, ask, answer, began=self._clock.rightNow)
            reader = self._open(ask)
            try:
                await self._read(reader, ask, answer)
            except SourceError as error:
                answer.ended, answer.how = "cut", str(error)
                await self._read_again(reader, ask, asked)
            else:
                answer.ended = answer.ended or "whole"
            finally:
                reader.abort()
            if reader.range is not None or answer.ended == "whole":
                found = reader.range
                answer.status = 200
                answer.fields["start"] = str(found.start if found else 0)
                answer.fields["length"] = str(found.length if found else 0)
            answer.over = asked.over = self._clock.rightNow
            self._told(asked)
        self.done = True

    async def _read(self, reader: Any, ask: Ask, answer: Answer) -> None:
        async for piece in reader:
            before = answer.size
            answer.pieces.append(piece)
            answer.size += len(piece)
            answer.last = self._clock.rightNow
            if 0 <= ask.leave_at <= answer.size:
                answer.ended = "left"
                return
            if ask.pace:
                await deferLater(self._clock, len(piece) / ask.pace)
            if before <= ask.pause_at < answer.size:
                await deferLater(self._clock, ask.pause_for)

    async def _read_again(self, reader: Any, ask: Ask, asked: Asked) -> None:
        """A transfer that failed has to fail each time that it's read."""
        for _ in range(ask.again):
            try:
                piece = await reader.__anext__()
            except SourceError:
                continue
            except StopAsyncIteration:
                asked.error = "a transfer that failed ends cleanly when it's read again"
                return
            asked.error = f"a transfer that failed gives {len(piece)} bytes when it's read again"
            return
