"""A transfer's file read from one response at a time, where no two responses may be combined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IConsumer

from aprp.core.choices import Same
from aprp.core.http.ranges import Range, Spec
from aprp.core.recovery.versions import Facts
from aprp.upstream.errors import SourceError
from aprp.upstream.transfer.failures import LengthUnknown, TransferFailed
from aprp.upstream.transfer.one_response import Arrived, OneResponse, open_one
from aprp.upstream.transfer.source import TransferSource


class SingleReader:
    """The response that a file is read from, if one is open; `used` once bytes of it were sent."""

    def __init__(self, same: Same, clock: Any) -> None:
        self._same = same
        self._clock = clock
        self._one: OneResponse | None = None
        self.used = False

    def leads_to(self, wanted: Range) -> bool:
        """Return whether the bytes of that range are still to come from the response."""
        return self._one is not None and self._one.leads_to(wanted)

    async def open(self, sources: Sequence[TransferSource], spec: Spec | None) -> Facts:
        """Open a response that holds the range; None: the whole. Raises `TransferFailed`."""
        self.abort()
        ready = sorted(sources, key=lambda each: (each.on_disk, each.spare is None, not each.alone))
        found = await open_one(ready, spec, self._same, self._clock)
        if isinstance(found, list):
            raise TransferFailed(found, sources)
        self._one = found
        if found.facts is None:
            raise LengthUnknown(found)
        return found.facts

    async def send(self, wanted: Range, sink: IConsumer, arrived: Arrived) -> None:
        """Write a range into `sink`; raises `TransferFailed`."""
        one = self._one
        assert one is not None
        self.used = True
        try:
            await one.send(wanted, sink, arrived)
        except SourceError as error:
            one.source.error = error
            raise TransferFailed(((one.source.name, error.reason),), (one.source,)) from None

    def abort(self) -> None:
        """Stop at once."""
        if self._one is not None:
            self._one.abort()
