"""Connections over which several requests go at once (HTTP/2), by origin."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from aprp.core.choices import Http2
from aprp.core.http2.counts import Http2Counts
from aprp.core.http2.sharing import carrier
from aprp.upstream.exchange import Origin

if TYPE_CHECKING:
    from aprp.upstream.http.h2_connection import SharedConnection

REMEMBERED = 4096
"""Origins of which it is known that they speak HTTP/2."""


class SharedConnections:
    """Those of all origins."""

    def __init__(self) -> None:
        self._origins: dict[Origin, dict[SharedConnection, None]] = {}
        self._known: OrderedDict[Origin, None] = OrderedDict()
        self._dialling: dict[Origin, list[Deferred[None]]] = {}

    def __bool__(self) -> bool:
        """Whether there are any, or any connection is being opened."""
        return bool(self._origins or self._dialling)

    def add(self, origin: Origin, connection: SharedConnection) -> None:
        """A connection is open."""
        self._origins.setdefault(origin, {})[connection] = None
        self._known[origin] = None
        self._known.move_to_end(origin)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def discard(self, origin: Origin, connection: SharedConnection) -> None:
        """A connection is gone."""
        there = self._origins.get(origin)
        if there is not None and there.pop(connection, 1) is None and not there:
            del self._origins[origin]

    def forget(self, origin: Origin) -> None:
        """The origin speaks HTTP/1.1 now."""
        self._known.pop(origin, None)

    def counts(self) -> Http2Counts:
        """Count the connections to all origins."""
        there = self._origins.values()
        return Http2Counts.of(each for connections in there for each in connections)

    def take(self, origin: Origin, lanes: int, idle_too: bool) -> SharedConnection | None:
        """Return the connection for a further request, None where one more is to be opened.

        `aprp.core.http2.sharing` decides. One that has been idle may have been closed by the
        source, which some requests can't risk.
        """
        usable = [each for each in self._origins.get(origin, ()) if each.room > 0]
        free = [each for each in usable if idle_too or each.busy]
        best = carrier([each.streams for each in free], lanes)
        return None if best is None else free[best]

    # Connections that are being opened to origins that are known to share them.

    def wait(self, origin: Origin) -> Deferred[None] | None:
        """Return what fires when the one that is being opened is there, or has failed."""
        waiting = self._dialling.get(origin)
        shares = origin.http2 is Http2.PRIOR_KNOWLEDGE or origin in self._known
        if waiting is None or not shares:
            return None
        done: Deferred[None] = Deferred()
        waiting.append(done)
        return done

    def begin(self, origin: Origin) -> bool:
        """One is being opened; return whether no other is."""
        if origin in self._dialling:
            return False
        self._dialling[origin] = []
        return True

    def end(self, origin: Origin) -> None:
        """It is open, or has failed."""
        for each in self._dialling.pop(origin, ()):
            if not each.called:
                each.callback(None)
