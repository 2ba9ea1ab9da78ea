"""A state with rated sources, for the tests of what decides on it."""

from __future__ import annotations

from aprp.core.scheduling.attempt_state import AttemptState
from aprp.core.scheduling.messages import MIB, Source
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import TransferState

LATENCY = 0.02


def state(size: int = 100 * MIB, window: int = 32 * MIB, **rates: float) -> TransferState:
    """A state of ``[0, size)`` whose sources deliver so many MB/s at 20 ms; 0: never measured."""
    ratings = Ratings()
    sources = []
    for order, (name, rate) in enumerate(rates.items()):
        source = SourceState(Source(name), ratings.of(name), order)
        if rate:
            source.rating.answered(LATENCY, None)
            source.rating.warm = 2
            for step in range(20):
                source.rating.came(int(rate * 1e4), 0.01, 1, step / 100)
        sources.append(source)
    made = TransferState(sources, 0, size)
    made.window = window
    made.edge = min(size, window)
    return made


def begun(on: TransferState, name: str, start: int, stop: int, now: float = 0.0) -> AttemptState:
    """An attempt whose response head has just come."""
    attempt = on.begin(on.sources[name], start, stop, now, warm=True)
    attempt.began = now
    return attempt
