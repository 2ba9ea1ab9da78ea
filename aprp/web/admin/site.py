"""The admin port: is it up, how do its sources do, what has it served.

GET and HEAD only.

``/healthz`` answers 200 from when the daemon serves until it begins to stop, 503 otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.metrics import CONTENT_TYPE, Metrics
from aprp.web.admin.reloads import ReloadOutcome
from aprp.web.admin.status import page_of, status_of
from aprp.web.quiet import QuietSite

IDLE_SECONDS = 60


@dataclass(slots=True)
class Health:
    """What the daemon is doing; the service sets it, ``/healthz`` tells it."""

    state: Literal["starting", "serving", "stopping"] = "starting"
    reload: ReloadOutcome | None = None
    """How the last reload ended; None: there was none yet."""


class _Page(Resource):
    """A body of one type that nobody should keep; anything below it is not found."""

    content_type = "text/plain; charset=utf-8"

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()

    def render(self, request: Request) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader("Allow", "GET, HEAD")
            return b""
        request.setHeader("Content-Type", self.content_type)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        request.setHeader(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"
        )
        return self.body(request)

    def body(self, request: Request) -> bytes:
        raise NotImplementedError


class _Index(_Page):
    content_type = "text/html; charset=utf-8"

    def __init__(self, health: Health, shared: SharedResources) -> None:
        super().__init__()
        self._health = health
        self._shared = shared

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self if path == b"" and not request.postpath else notFound()

    def body(self, request: Request) -> bytes:
        return page_of(status_of(self._shared, self._health.state))


class _Status(_Page):
    content_type = "application/json"

    def __init__(self, health: Health, shared: SharedResources) -> None:
        super().__init__()
        self._health = health
        self._shared = shared

    def body(self, request: Request) -> bytes:
        status = status_of(self._shared, self._health.state)
        reload = self._health.reload
        status["reload"] = None if reload is None else reload.json()
        return json.dumps(status, indent=1).encode() + b"\n"


class _Healthz(_Page):
    def __init__(self, health: Health) -> None:
        super().__init__()
        self._health = health

    def body(self, request: Request) -> bytes:
        if self._health.state != "serving":
            request.setResponseCode(503)
        return f"{self._health.state}\n".encode()


class _Metrics(_Page):
    content_type = CONTENT_TYPE

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def body(self, request: Request) -> bytes:
        return self._metrics.text()


def admin_resource(health: Health, metrics: Metrics, shared: SharedResources) -> Resource:
    """The tree of the admin port."""
    root = _Index(health, shared)
    root.putChild(b"status", _Status(health, shared))
    root.putChild(b"healthz", _Healthz(health))
    root.putChild(b"metrics", _Metrics(metrics))
    return root


def admin_site(
    health: Health, metrics: Metrics, shared: SharedResources, reactor: IReactorTime | None = None
) -> Site:
    """The admin port's factory."""
    options: dict[str, Any] = {} if reactor is None else {"reactor": reactor}
    return QuietSite(
        admin_resource(health, metrics, shared),
        timeout=IDLE_SECONDS,
        parsePOSTFormSubmission=False,
        **options,
    )
