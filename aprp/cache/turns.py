"""Requests for the same thing at the same time: one does the work, and the others learn of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred

from aprp.core.values import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of the work: a value, or an error. `own`: this request did it."""

    value: T | None
    error: Exception | None
    own: bool

    def get(self) -> T:
        """Return the value; raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Turns:
    """The work that is under way, by key."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[Any]]] = {}

    async def take(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> Outcome[T]:
        """Do the work, or wait for another request that does it.

        If that one is cancelled, the next does it. Whoever waits can be cancelled.
        """
        while (others := self._waiting.get(key)) is not None:
            turn: Deferred[Outcome[T] | None] = Deferred()
            others.append(turn)
            try:
                outcome = await turn
            finally:
                if turn in others:
                    others.remove(turn)
            if outcome is not None:
                return outcome
        return await self._work(key, work)

    async def _work(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> Outcome[T]:
        waiting = self._waiting[key] = []
        outcome: Outcome[T] | None = None
        try:
            outcome = Outcome(await work(), None, own=True)
        except CancelledError:
            raise
        except Exception as error:
            outcome = Outcome(None, error, own=True)
        finally:
            del self._waiting[key]
            told = None if outcome is None else Outcome(outcome.value, outcome.error, own=False)
            for turn in tuple(waiting):
                if not turn.called:
                    turn.callback(told)
        return outcome
