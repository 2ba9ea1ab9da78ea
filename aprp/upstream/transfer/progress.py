"""What has happened so far in a transfer: counts, the trail of its requests, and observers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence

from aprp.upstream.transfer.attempt import Attempt
from aprp.upstream.transfer.source import TransferSource
from aprp.upstream.transfer.trail import Mark, Trail

Observer = Callable[[str, int, int, int, int], None]
AskedObserver = Callable[[str, int, int, int], None]


class TransferProgress:
    """The progress of one transfer. `received` has the bytes of each source, by its name."""

    def __init__(self, sources: Sequence[TransferSource]) -> None:
        self._sources = sources
        self.resumes = 0
        self.received: Counter[str] = Counter()
        self.wasted = 0
        self.observe: Observer | None = None
        self.observe_asked: AskedObserver | None = None
        self.trail = Trail()

    @property
    def one_source(self) -> bool:
        """Whether all bytes come from one source, so that its entity tag is the file's."""
        return len(self._sources) == 1

    @property
    def contributors(self) -> tuple[str, ...]:
        """The sources that bytes came from, in the order of the route."""
        return tuple(each.name for each in self._sources if self.received[each.name])

    @property
    def spoken(self) -> dict[str, str]:
        """The version of HTTP that each source spoke last, as far as it has answered."""
        return {
            each.name: spoken
            for each in self._sources
            if (spoken := each.requests.spoken) is not None
        }

    @property
    def source_names(self) -> list[str]:
        """The names of the sources, in the order of the route."""
        return [source.name for source in self._sources]

    def note_asked(self, attempt: Attempt, running: Container[int]) -> None:
        """Note a range that was requested, while the attempts `running` were under way."""
        name = attempt.source.name
        self.trail.asked(attempt.number, Mark(name, attempt.start, attempt.stop), running)
        if self.observe_asked is not None:
            self.observe_asked(name, attempt.number, attempt.start, attempt.stop)

    def arrived(self, source: TransferSource, at: int, count: int) -> None:
        """Note bytes of the single response."""
        self.received[source.name] += count
        if self.observe is not None:
            self.observe(source.name, 0, at, count, count)

    def came(self, attempt: Attempt, at: int, count: int, kept: int) -> None:
        """Note bytes of an attempt, of which `kept` were still missing."""
        self.received[attempt.source.name] += count
        self.wasted += count - kept
        self.trail.came(attempt.number, at + count)
        if self.observe is not None:
            self.observe(attempt.source.name, attempt.number, at, count, kept)
