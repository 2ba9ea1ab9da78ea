"""A board with rated sources, for the tests of what decides on it."""

from __future__ import annotations

from aprp.core.board import Attempt, Board, Place
from aprp.core.messages import MIB, Source
from aprp.core.ratings import Ratings

LATENCY = 0.02


def board(size: int = 100 * MIB, window: int = 32 * MIB, **rates: float) -> Board:
    """A board of ``[0, size)`` whose sources deliver so many MB/s at 20 ms; 0: never measured."""
    ratings = Ratings()
    places = []
    for order, (name, rate) in enumerate(rates.items()):
        place = Place(Source(name), ratings.of(name), order)
        if rate:
            place.rating.answered(LATENCY, None)
            place.rating.warm = 2
            for step in range(20):
                place.rating.came(int(rate * 1e4), 0.01, 1, step / 100)
        places.append(place)
    made = Board(places, 0, size)
    made.window = window
    made.edge = min(size, window)
    return made


def begun(on: Board, name: str, start: int, stop: int, now: float = 0.0) -> Attempt:
    """An attempt whose response head has just come."""
    attempt = on.begin(on.places[name], start, stop, now, warm=True)
    attempt.began = now
    return attempt
