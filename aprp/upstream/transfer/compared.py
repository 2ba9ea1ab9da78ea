"""Which copies of a file have been compared, so that not every transfer compares them again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from aprp.core.http.urls import Url
from aprp.core.http.validators import ETag
from aprp.core.recovery.versions import Facts

REMEMBERED = 4096
"""Pairs of copies, at most."""
SECONDS = 600.0
"""After which two copies are compared again, at other places."""

_Key = tuple[Url, Url, int, ETag | None, int | None]


class Compared:
    """Pairs of copies of which sampled blocks were equal."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._known: OrderedDict[_Key, float] = OrderedDict()

    def note(self, one: Url, other: Url, facts: Facts) -> None:
        """Note that two copies of the file were equal wherever they were compared."""
        key = _key(one, other, facts)
        self._known[key] = self._clock.seconds() + SECONDS
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def are_equal(self, one: Url, other: Url, facts: Facts) -> bool:
        """Return whether two copies were compared not long ago."""
        until = self._known.get(_key(one, other, facts), 0.0)
        return bool(self._clock.seconds() < until)


def _key(one: Url, other: Url, facts: Facts) -> _Key:
    first, second = sorted((one, other), key=str)
    return first, second, facts.complete, facts.validators.etag, facts.last_modified
