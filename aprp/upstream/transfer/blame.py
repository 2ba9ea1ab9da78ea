"""What becomes of sources that send wrong bytes, or can't be connected to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aprp.core.reasons import Reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.pieces import Proof
from aprp.upstream.errors import WrongBytes
from aprp.upstream.transfer.liars import Liars
from aprp.upstream.transfer.observer import TransferObserver
from aprp.upstream.transfer.source import TransferSource


class Blame:
    """Reports the faults of one transfer's sources to `watcher`, and remembers those that lied."""

    def __init__(
        self,
        sources: Mapping[str, TransferSource],
        proof: Proof | None,
        liars: Liars,
        watcher: TransferObserver,
    ) -> None:
        self._sources = sources
        self._proof = proof
        self._liars = liars
        self._watcher = watcher

    def known(self) -> Iterable[tuple[str, Reason]]:
        """Return which sources sent wrong bytes of this file before, and why they aren't used."""
        if self._proof is None:
            return ()
        urls = {name: source.url for name, source in self._sources.items()}
        return self._liars.among(self._proof, urls)

    def lied(self, name: str, why: Reason) -> None:
        """Note that a source sent a wrong piece."""
        source = self._sources[name]
        source.error = WrongBytes.by(why, name)
        if self._proof is not None:
            self._liars.note(self._proof, source.url, why)
        self._watcher.failed(source, End.LIED, why)

    def unreachable(self, source: TransferSource, why: Reason) -> None:
        """Note that a source can't be connected to."""
        self._watcher.failed(source, End.UNREACHABLE, why)
