"""Waiting for what has to become true, with a deadline and without a fixed sleep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from tests.support.patience import PATIENCE

reactor: Any = _reactor
_PAUSE = 0.002
_TURN = 0.01

T = TypeVar("T")


async def eventually(
    condition: Callable[[], object], what: object = "it", seconds: float = PATIENCE
) -> None:
    """Wait until the condition holds; fail, naming `what`, where it doesn't in time."""
    deadline = reactor.seconds() + seconds
    while not condition():
        assert reactor.seconds() < deadline, f"{what} didn't come true in {seconds} s"
        await deferLater(reactor, _PAUSE)


async def turns(seconds: float) -> None:
    """Wait for so long, in many turns of the reactor.

    On a busy machine one turn may take as long as all of them should, and what happens in this
    process needs turns rather than time.
    """
    for _ in range(math.ceil(seconds / _TURN)):
        await deferLater(reactor, _TURN)


async def still(value: Callable[[], T], seconds: float = 0.3) -> T:
    """Return the value once it hasn't changed for so long."""
    last = value()
    while True:
        await turns(seconds)
        if (now := value()) == last:
            return last
        last = now
