"""How much the source may send on each stream of a connection, applied as it changes.

`aprp.core.http2.windows` decides; here its decisions become WINDOW_UPDATE frames.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from aprp.core.http2 import windows
from aprp.upstream.http.h2_stream import Stream
from aprp.upstream.http.h2_writer import Writer

HELD = 1 << 25
"""Bytes that the streams may have waiting for clients, roughly."""
_PART = 8
"""What comes before windows are looked at again, as a part of what may be in flight."""


class Allotment:
    """Lets the source send on the streams of one connection."""

    def __init__(self, clock: IReactorTime, streams: Mapping[int, Stream], writer: Writer) -> None:
        self._clock = clock
        self._streams = streams
        self._writer = writer
        self._flight = windows.InFlight()
        self._unallotted = 0
        self._call: IDelayedCall | None = None

    def round_trip(self, seconds: float) -> None:
        """Note how long an answer to us took."""
        self._flight.round_trip(seconds)

    def came(self, cost: int) -> None:
        """Note received bytes."""
        self._unallotted += cost
        if self._flight.came(cost, self._clock.seconds()):
            self._unallotted = self._flight.size

    def soon(self) -> None:
        """Let streams send more once all that happens now has happened."""
        if self._call is None:
            self._call = self._clock.callLater(0, self._now)

    def look(self) -> None:
        """Let streams send more, if there is reason to."""
        if self._call is not None or self._unallotted * _PART >= self._flight.size:
            self.close()
            self._now()

    def close(self) -> None:
        """Do no more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _now(self) -> None:
        self._call = None
        self._unallotted = 0
        share = max(windows.LEAST, min(self._flight.size, HELD // max(1, len(self._streams))))
        claims = [claim for each in self._streams.values() if (claim := each.claim(share))]
        granted = windows.allot(claims, self._flight.size)
        for number, more in granted.items():
            self._streams[number].credit.allow(more)
        self._writer.open_windows(granted)

    def idle(self) -> None:
        """No stream is left: measure again from the next byte on."""
        self._flight.idle()
