"""How the sources of a transfer fail: what is logged, which are left out, and what is raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.logger import Logger

from aprp.core.reasons import Name, Reason, reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.pieces import Proof
from aprp.upstream.errors import SourceError, SourceLied, WrongBytes
from aprp.upstream.tally import CORRUPT, MISMATCH
from aprp.upstream.tally import MISSING as NONE
from aprp.upstream.transfer.options import FileLocation, without_query

if TYPE_CHECKING:
    from aprp.upstream.transfer.one_response import OneResponse
    from aprp.upstream.transfer.shared import SharedResources
    from aprp.upstream.transfer.source import TransferSource

MISSING = frozenset((404, 410))
"""Statuses of a source that hasn't the file."""


class TransferFailed(SourceError):
    """Raised when no source can continue.

    `causes` has (source, reason) for each, and `reasons` the same as text. `missing` tells that
    none has the file, `forbidden` that none gives it.
    """

    def __init__(
        self, causes: Sequence[tuple[str, Reason]], sources: Sequence[TransferSource]
    ) -> None:
        said = "; ".join(f"{source}: {why}" for source, why in causes)
        super().__init__("", "no source can serve this", Name(f": {said}"))
        self.causes = tuple(causes)
        self.reasons = tuple((source, str(why)) for source, why in causes)
        errors = [source.error for source in sources if source.error is not None]
        kinds = {error.kind for error in errors}
        if len(kinds) == 1:
            self.kind = kinds.pop()
        self.timed_out = bool(errors) and all(error.timed_out for error in errors)
        statuses = {why.status for _, why in causes}
        self.missing = bool(statuses) and statuses <= MISSING
        self.forbidden = statuses == {403}


class LengthUnknown(TransferFailed):
    """Raised when no source says how long the file is; `response` is one to relay as it is."""

    def __init__(self, response: OneResponse) -> None:
        causes = ((response.source.name, reason("doesn't say how long the file is")),)
        super().__init__(causes, (response.source,))
        self.response = response


class SourceFailures:
    """Logs the failures of one transfer's sources, and counts and warns of those left out.

    A source that hasn't the file is only warned of when another has it.
    """

    _log = Logger()

    def __init__(
        self, shared: SharedResources, locations: Sequence[FileLocation], transfer_id: str
    ) -> None:
        self._shared = shared
        self._files = {each.source.name: without_query(each.url) for each in locations}
        self._transfer_id = transfer_id
        self._left_out: dict[str, tuple[TransferSource, Reason]] = {}
        self._logged: set[tuple[str, str]] = set()

    def note(self, source: TransferSource, end: End, why: Reason, known: bool) -> None:
        """Log a failure; `known` says whether another source has shown the file."""
        if end in (End.LIED, End.ABSENT) and source.name not in self._left_out:
            self._left_out[source.name] = source, why
            if known or why.status not in MISSING:
                self._warn(source, why, known)
        elif why.status not in MISSING:
            self.log(source, why)

    def wrong_file(self, senders: Sequence[TransferSource], proof: Proof) -> TransferFailed:
        """Return the error for a whole file without its hash. A source that sent all of it is left
        out of further transfers.
        """
        why = reason("sent a file that doesn't have its hash", kind="http_protocol_error")
        if len(senders) > 1:
            why = reason("sent a part of a file that doesn't have its hash", kind=why.kind)
        for source in senders:
            source.error = WrongBytes.by(why, source.name)
            self.note(source, End.LIED, why, True)
            if len(senders) == 1:
                self._shared.liars.note(proof, source.url, why)
        return TransferFailed([(source.name, why) for source in senders], senders)

    def log(self, source: TransferSource, why: Reason) -> None:
        """Log a failure that leaves the source in use, once for each reason."""
        failure = source.name, str(why)
        if failure not in self._logged:
            self._logged.add(failure)
            self._log.info(
                "{source}: {reason}",
                source=source.name,
                reason=str(why),
                transfer=self._transfer_id,
            )

    def file_found(self) -> None:
        """Warn of the sources that haven't the file, now that one has it."""
        for source, why in self._left_out.values():
            if why.status in MISSING:
                self._warn(source, why, True)

    def _warn(self, source: TransferSource, why: Reason, known: bool) -> None:
        """Log a warning, once for each reason and file."""
        text = str(why.of(source.name))
        if isinstance(source.error, WrongBytes):
            text += f": {self._files[source.name]}"
            source.tally.differs(CORRUPT, text)
        elif not isinstance(source.error, SourceLied):  # which was counted where it was met
            source.tally.differs(NONE if why.status in MISSING else MISMATCH, text)
        of = self._files[source.name] if known else ""
        if self._shared.log_throttle.should_log(
            (source.name, of, str(why)), self._shared.clock.seconds()
        ):
            self._shared.note_left_out(source.name, str(why))
            self._log.warn(
                "left out: {reason}",
                source=source.name,
                reason=text,
                transfer=self._transfer_id,
            )
