"""Decide which name lookups run and which wait, so that one client's slow names don't delay others.

A running lookup can't be stopped. It counts until it ends, even if nobody waits for it any more,
and against the client that wanted it first.
"""

from __future__ import annotations

from collections import Counter


class LookupQueue:
    """Run at most `total` lookups at once, and at most `each` for one asker. Lookups of the same
    name are one. `want`, `leave` and `ended` are the events; the first and the last return the
    names to look up now.

    Lookups of the same name are one. `want`, `leave` and `ended` are the events; the first and the
    last return the names whose lookup begins now.
    """

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._running: dict[str, str] = {}  # the name, and for whom
        self._waiting: dict[str, list[str]] = {}  # the name, and all who want it
        self._held: Counter[str] = Counter()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def want(self, name: str, asker: str) -> list[str]:
        """Add a caller that waits for the addresses of a name."""
        if name in self._running:
            return []
        self._waiting.setdefault(name, []).append(asker)
        return self._begin()

    def leave(self, name: str, asker: str) -> None:
        """Remove a caller that no longer waits."""
        askers = self._waiting.get(name, [])
        if asker in askers:
            askers.remove(asker)
            if not askers:
                del self._waiting[name]

    def ended(self, name: str) -> list[str]:
        """Remove a lookup that has its result."""
        self._held[self._running[name]] -= 1
        self._held += Counter()  # forgets those who hold none
        del self._running[name]
        return self._begin()

    def _begin(self) -> list[str]:
        begun = []
        for name, askers in list(self._waiting.items()):
            if len(self._running) >= self._total:
                break
            asker = next((each for each in askers if self._held[each] < self._each), None)
            if asker is not None:
                del self._waiting[name]
                self._running[name] = asker
                self._held[asker] += 1
                begun.append(name)
        return begun
