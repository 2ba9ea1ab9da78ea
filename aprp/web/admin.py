"""The admin port: is it up, and what has it served. GET and HEAD only.

``/healthz`` answers 200 from when the daemon serves until it begins to stop, 503 otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

import aprp
from aprp.web.metrics import CONTENT_TYPE, Metrics
from aprp.web.quiet import QuietSite

IDLE_SECONDS = 60

INDEX = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>aprp {aprp.__version__}</title>
<h1>aprp {aprp.__version__}</h1>
<ul>
<li><a href="/healthz">/healthz</a>: 200 while it serves
<li><a href="/metrics">/metrics</a>: counts, for Prometheus
</ul>
</html>
"""


@dataclass(slots=True)
class Health:
    """What the daemon is doing; the service sets it, ``/healthz`` tells it."""

    state: Literal["starting", "serving", "stopping"] = "starting"


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
        return self.body(request)

    def body(self, request: Request) -> bytes:
        raise NotImplementedError


class _Index(_Page):
    content_type = "text/html; charset=utf-8"

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self if path == b"" and not request.postpath else notFound()

    def body(self, request: Request) -> bytes:
        return INDEX.encode()


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


def admin_resource(health: Health, metrics: Metrics) -> Resource:
    """The tree of the admin port."""
    root = _Index()
    root.putChild(b"healthz", _Healthz(health))
    root.putChild(b"metrics", _Metrics(metrics))
    return root


def admin_site(health: Health, metrics: Metrics, reactor: IReactorTime | None = None) -> Site:
    """The admin port's factory."""
    options: dict[str, Any] = {} if reactor is None else {"reactor": reactor}
    return QuietSite(
        admin_resource(health, metrics),
        timeout=IDLE_SECONDS,
        parsePOSTFormSubmission=False,
        **options,
    )
