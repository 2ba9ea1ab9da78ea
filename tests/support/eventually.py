"""Waiting for what has to become true, with a deadline and without a fixed sleep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from tests.support.patience import PATIENCE

reactor: Any = _reactor
_PAUSE = 0.002


async def eventually(
    condition: Callable[[], object], what: object = "it", seconds: float = PATIENCE
) -> None:
    """Wait until the condition holds; fail, naming `what`, where it doesn't in time."""
    deadline = reactor.seconds() + seconds
    while not condition():
        assert reactor.seconds() < deadline, f"{what} didn't come true in {seconds} s"
        await deferLater(reactor, _PAUSE)
