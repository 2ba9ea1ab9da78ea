"""``/events``: the snapshots that a page shows, as server-sent events (WHATWG HTML, 9.2).

All viewers get the same snapshot, made and serialised once; without viewers none is made. A viewer
whose connection is full misses snapshots. There are at most `MOST_VIEWERS`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

MOST_VIEWERS = 16
EVERY = 1.0
"""Seconds."""


@implementer(IPushProducer)
class _Viewer:
    """One connection to ``/events``."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._full = False
        request.registerProducer(self, True)

    def show(self, event: bytes) -> None:
        if not self._full:
            self._request.write(event)

    def end(self) -> None:
        self._request.unregisterProducer()
        self._request.finish()

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False

    def stopProducing(self) -> None:
        """Do nothing: `notifyFinish` reports the loss of the connection."""


class SnapshotMaker(Protocol):
    """Makes snapshots, at once or after asking others."""

    def make(self) -> bytes | Coroutine[Deferred[Any], Any, bytes]:
        """Return the state of everything as JSON, in one line."""
        ...


class Events(Resource):
    """The stream of snapshots, one in `every` seconds."""

    isLeaf = True

    def __init__(self, snapshots: SnapshotMaker, clock: Any, every: float = EVERY) -> None:
        super().__init__()
        self._every = every
        self._snapshots = snapshots
        self._viewers: set[_Viewer] = set()
        self._last = b""
        self._showing = LoopingCall(self._show)
        self._showing.clock = clock

    def render_GET(self, request: Request) -> bytes | int:
        if request.postpath:
            request.setResponseCode(404)
            return b""
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        if len(self._viewers) >= MOST_VIEWERS:
            request.setResponseCode(503)
            request.setHeader("Retry-After", "10")
            return b"too many pages show this at once; close one of them\n"
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        viewer = _Viewer(request)
        self._viewers.add(viewer)
        request.notifyFinish().addBoth(lambda _: self._left(viewer))
        if self._showing.running:
            viewer.show(self._last)
        else:
            self._showing.start(self._every)
        return NOT_DONE_YET

    def end(self) -> None:
        """End the stream of every viewer."""
        for viewer in tuple(self._viewers):
            viewer.end()

    def _left(self, viewer: _Viewer) -> None:
        self._viewers.discard(viewer)
        if not self._viewers and self._showing.running:
            self._showing.stop()

    def _show(self) -> Deferred[None] | None:
        made = self._snapshots.make()
        if isinstance(made, bytes):
            self._send(made)
            return None
        return Deferred.fromCoroutine(made).addCallback(self._send)

    def _send(self, snapshot: bytes) -> None:
        self._last = b"data: " + snapshot + b"\n\n"
        for viewer in tuple(self._viewers):
            viewer.show(self._last)
