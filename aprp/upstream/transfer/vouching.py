"""Who says what a file is, where some sources are servers and some are directories on disk.

A copy on disk may be incomplete, and it answers before any server does. So:

- a server says what the file is, and a directory is held to that like any further source;
- a directory speaks for itself only where no server can say it: each failed, or none did for
  `PATIENCE`; and where there is no server;
- what a server and a directory agreed on holds for a while, so that the directory needn't wait
  again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aprp.core.http.urls import Url
from aprp.core.recovery.versions import Facts

if TYPE_CHECKING:
    from aprp.upstream.transfer.source import TransferSource

PATIENCE = 5.0
"""Seconds that servers have to say what the file is."""
HOLDS_FOR = 600.0
"""Seconds after which a server is to vouch for a file of a directory again."""
REMEMBERED = 4096


class Vouched:
    """The files of directories that a server vouched for, over all transfers."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._facts: OrderedDict[Url, tuple[float, Facts]] = OrderedDict()

    def note(self, url: Url, facts: Facts) -> None:
        """A server has the same file as the one that a directory shows."""
        self._facts[url] = (self._clock.seconds() + HOLDS_FOR, facts)
        self._facts.move_to_end(url)
        if len(self._facts) > REMEMBERED:
            self._facts.popitem(last=False)

    def facts_of(self, url: Url) -> Facts | None:
        """Return what a server vouched for, if that still holds."""
        until, facts = self._facts.get(url, (0.0, None))
        return facts if self._clock.seconds() < until else None

    def forget(self, url: Url) -> None:
        """The directory shows something else by now."""
        self._facts.pop(url, None)


class Agreement:
    """Notes in one transfer which directories agree with a server."""

    def __init__(self, vouched: Vouched) -> None:
        self._vouched = vouched
        self._server = False
        self._shown: dict[Url, Facts] = {}

    def accepted(self, source: TransferSource, facts: Facts) -> None:
        """A response of the source was accepted."""
        if source.on_disk:
            self._shown[source.url] = facts
        else:
            self._server = True
        if self._server:
            for url, shown in self._shown.items():
                self._vouched.note(url, shown)
            self._shown.clear()


def those_to_wait(sources: Sequence[TransferSource]) -> frozenset[str]:
    """Return the names of the directories that wait for a server, of sources in service."""
    if all(source.on_disk for source in sources):
        return frozenset()
    waiting = (each for each in sources if each.on_disk and each.vouched is None)
    return frozenset(source.name for source in waiting)


def may_speak(sources: Sequence[TransferSource], waited: frozenset[str]) -> bool:
    """Return whether directories are to say what the file is, since no server did.

    `waited` are the directories that waited for them. A server whose response can only be used by
    itself, or that says that the file ends before the range, knows of it.
    """
    knowing = any(source.alone or source.beyond for source in sources)
    return not knowing and bool(waited or those_to_wait(sources))
