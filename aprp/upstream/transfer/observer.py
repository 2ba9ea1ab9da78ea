"""The observer of a driver: what it calls as sources answer, deliver and fail."""

from __future__ import annotations

from typing import Protocol

from aprp.core.reasons import Reason
from aprp.core.recovery.ends import End
from aprp.core.recovery.versions import Facts
from aprp.upstream.transfer.attempt import Attempt
from aprp.upstream.transfer.source import TransferSource


class TransferObserver(Protocol):
    """Observes what sources do, for logs, counts and progress bars."""

    facts: Facts | None

    def learned(self, source: TransferSource, facts: Facts) -> None:
        """Note that a good response head arrived."""
        ...

    def asked(self, attempt: Attempt) -> None:
        """Note that a range was requested."""
        ...

    def came(self, attempt: Attempt, at: int, count: int, kept: int) -> None:
        """Note that bytes arrived at offset `at`; `kept` of them were still missing."""
        ...

    def failed(self, source: TransferSource, end: End, why: Reason | None) -> None:
        """Note that a source could not be connected to, or an attempt at it failed."""
        ...
