"""Metalinks that are kept in memory: the latest of each, bounded in number and size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from aprp.core.http.caching.freshness import age, lifetime
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields, Pairs
from aprp.core.metalink import MetalinkFile
from aprp.core.values import dataclass

MOST = 256
MOST_BYTES = 64 << 20
"""Of the documents that are kept; what they say takes about as much memory."""
FRESH_FOR = 60
"""Seconds for which a response without any word on its freshness is used."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The files of a Metalink of `size` bytes, and the response that it came with."""

    files: tuple[MetalinkFile, ...]
    size: int
    response: Response

    def is_fresh(self, now: float) -> bool:
        """Return whether it may be used without asking again."""
        said = lifetime(self.response, Policy())
        seconds = said.seconds if said.explicit else max(said.seconds, FRESH_FOR)
        return age(self.response, now) < seconds

    @property
    def conditions(self) -> Pairs:
        """The fields of a request that asks for it only if it has changed."""
        fields = self.response.fields
        pairs = ((b"If-None-Match", b"etag"), (b"If-Modified-Since", b"last-modified"))
        found = tuple((name, fields.get(of)) for name, of in pairs)
        return tuple((name, value) for name, value in found if value is not None)

    def confirmed(self, response: Response) -> Kept:
        """Return it as a 304 updates it."""
        new = {name.lower() for name, _ in response.fields}
        fields = Fields(response.fields.pairs + self.response.fields.without(new).pairs)
        return replace(self, response=replace(response, status=200, fields=fields))


class KeptMetalinks:
    """The Metalinks by their place; those that were used least lately leave first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0

    def get(self, place: str) -> Kept | None:
        """Return the one of a place, or None."""
        found = self._kept.get(place)
        if found is not None:
            self._kept.move_to_end(place)
        return found

    def keep(self, place: str, kept: Kept) -> None:
        """Keep one, in place of the one before it."""
        self.forget(place)
        self._kept[place] = kept
        self._size += kept.size
        while len(self._kept) > MOST or (self._size > MOST_BYTES and len(self._kept) > 1):
            self._size -= self._kept.popitem(last=False)[1].size

    def forget(self, place: str) -> None:
        """Forget the one of a place."""
        before = self._kept.pop(place, None)
        if before is not None:
            self._size -= before.size
