"""Whether a server or a directory on disk decides which file a transfer delivers.

A copy on disk may be incomplete, and it responds sooner than any server. So:

- The facts about the file come from a server. A directory's file is compared with them, like that
  of any other source.
- They come from a directory only if the route has no server, if every server failed, or if none
  responded within `SERVERS_ANSWER_WITHIN`.
- A file in which a server and a directory agreed is vouched for: for `HOLDS_FOR`, other transfers
  may begin with the directory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aprp.core.http.urls import Url
from aprp.core.recovery.versions import Facts

if TYPE_CHECKING:
    from aprp.upstream.transfer.source import TransferSource

SERVERS_ANSWER_WITHIN = 5.0
"""Seconds that servers have to respond before a directory may decide what the file is."""
HOLDS_FOR = 600.0
"""Seconds for which a server vouches for a directory's file."""
REMEMBERED = 4096


class Vouched:
    """The files of directories that servers vouch for, over all transfers."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._facts: OrderedDict[Url, tuple[float, Facts]] = OrderedDict()

    def note(self, url: Url, facts: Facts) -> None:
        """Note that a server has the same file as a directory has at `url`."""
        self._facts[url] = (self._clock.seconds() + HOLDS_FOR, facts)
        self._facts.move_to_end(url)
        if len(self._facts) > REMEMBERED:
            self._facts.popitem(last=False)

    def facts_of(self, url: Url) -> Facts | None:
        """Return the facts that a server vouches for, or None."""
        until, facts = self._facts.get(url, (0.0, None))
        return facts if self._clock.seconds() < until else None

    def forget(self, url: Url) -> None:
        """Note that the directory has another file by now."""
        self._facts.pop(url, None)


class Agreement:
    """Finds out in one transfer which directories agree with a server."""

    def __init__(self, vouched: Vouched) -> None:
        self._vouched = vouched
        self._server = False
        self._shown: dict[Url, Facts] = {}

    def accepted(self, source: TransferSource, facts: Facts) -> None:
        """Note that a response of the source was accepted, with these facts."""
        if source.on_disk:
            self._shown[source.url] = facts
        else:
            self._server = True
        if self._server:
            for url, shown in self._shown.items():
                self._vouched.note(url, shown)
            self._shown.clear()


def waiting_directories(sources: Sequence[TransferSource]) -> frozenset[str]:
    """Return the names of the directories that have to wait until a server has responded."""
    if all(source.on_disk for source in sources):
        return frozenset()
    waiting = (each for each in sources if each.on_disk and each.vouched is None)
    return frozenset(source.name for source in waiting)


def directories_may_answer(sources: Sequence[TransferSource], waited: frozenset[str]) -> bool:
    """Return whether a directory may decide what the file is, after servers gave no facts.

    `waited` names the directories that waited. None may if a server has the file after all: one
    whose response can only be used by itself, or that says that the file ends before the range.
    """
    knowing = any(source.alone or source.beyond for source in sources)
    return not knowing and bool(waited or waiting_directories(sources))
