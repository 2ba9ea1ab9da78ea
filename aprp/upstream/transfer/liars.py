"""Sources that sent wrong bytes of a file, so that further transfers of it don't use them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from aprp.core.http.urls import Url
from aprp.core.reasons import Reason
from aprp.core.recovery.pieces import Proof

REMEMBERED = 4096
"""Pairs of a file and a source, at most."""
SECONDS = 3600.0
"""After which a source is tried again."""


class Liars:
    """The sources that sent wrong bytes, by the proof that showed it."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, Url], tuple[Reason, float]] = OrderedDict()

    def note(self, proof: Proof, url: Url, why: Reason) -> None:
        """Note that the file at the URL has wrong bytes."""
        key = (proof.identity, url)
        self._known[key] = why, self._clock.seconds() + SECONDS
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def among(self, proof: Proof, urls: Mapping[str, Url]) -> Iterable[tuple[str, Reason]]:
        """Return which of some sources aren't used for the file, and why; never all of them."""
        now = self._clock.seconds()
        known = {name: self._known.get((proof.identity, url)) for name, url in urls.items()}
        found = [(name, said[0]) for name, said in known.items() if said and now < said[1]]
        return found if len(found) < len(urls) else ()
