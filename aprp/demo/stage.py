"""The server of the demonstration's page, of what that shows, and of its controls.

The page is behind aprp, like any upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource

from aprp.demo.controls import Controls
from aprp.demo.files import CLIP
from aprp.demo.line import MOST
from aprp.demo.mirrors import Mirror
from aprp.demo.server import Server
from aprp.web.admin import site as admin
from aprp.web.admin.events import Events
from aprp.web.admin.overview import Overview
from aprp.web.admin.snapshot import Snapshots, to_line

EVERY = 0.25
"""Seconds between two snapshots."""
NAMES = ("A", "B", "C")
POLICY = f"{admin.POLICY}; media-src 'self'"
CSS, SCRIPT = (f"text/{kind}; charset=utf-8" for kind in ("css", "javascript"))
OWN = {"page.css": CSS, "mirrors.js": SCRIPT, "film.js": SCRIPT, "page.js": SCRIPT}
SHARED = {"palette.css": CSS, "map.js": SCRIPT, "parts.js": SCRIPT}
"""Files that are also those of the admin page."""


class StateSource(Protocol):
    """Gives the state of the daemon, as JSON values."""

    def state(self) -> dict[str, Any]: ...


class DemoSnapshots:
    """Makes snapshots of the daemon with its mirrors, and of the requests for the film."""

    def __init__(self, snapshots: StateSource, mirrors: Sequence[Mirror]) -> None:
        self._snapshots = snapshots
        self._mirrors = mirrors

    def make(self) -> bytes:
        """Return JSON in one line."""
        state = self._snapshots.state()
        state["running"] = [each for each in state["running"] if each["target"].startswith(CLIP)]
        state["mirrors"] = [
            {
                "name": name,
                "port": mirror.port,
                "alive": mirror.alive,
                "rate": round(mirror.line.rate),
                "most": MOST,
                "connections": mirror.connections,
            }
            for name, mirror in zip(NAMES, self._mirrors, strict=True)
        ]
        return to_line(state)


class Stage(Service):
    """Serves the page on a port of its own. Connections wait until the service starts."""

    def __init__(self, mirrors: Sequence[Mirror], reactor: Any) -> None:
        self._root = admin.Index("aprp.demo", POLICY)
        self._mirrors = mirrors
        self._reactor = reactor
        self._server = Server(self._root, reactor)
        self.url = self._server.url

    def show(self, overview: Overview) -> None:
        """Show this daemon on the page. Call it before the service starts."""
        below = Resource()
        for package, names in (("aprp.demo", OWN), (admin.PACKAGE, SHARED)):
            for name, content_type in names.items():
                below.putChild(name.encode(), admin.PageFile(package, name, content_type, POLICY))
        snapshots = DemoSnapshots(Snapshots(overview), self._mirrors)
        below.putChild(b"events", Events(snapshots, self._reactor, EVERY))
        below.putChild(b"mirrors", Controls(self._mirrors))
        self._root.putChild(b"demo", below)

    def startService(self) -> None:
        super().startService()
        self._server.start()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        return Deferred.fromCoroutine(self._server.kill())
