"""The admin port: health, state and metrics of the daemon, and the page.

GET and HEAD only, but for the actions of the page, which are POST (`aprp.web.admin.actions`).

``/healthz`` responds with 200 while the daemon serves, and with 503 before and while it stops.
``/readyz`` also responds with 503 while no source of some route is up.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from aprp.web.admin.actions import Handler, actions
from aprp.web.admin.answering import answer, run_later
from aprp.web.admin.events import Events
from aprp.web.admin.gate import AdminGate, SmallRequest
from aprp.web.admin.metrics import CONTENT_TYPE, Metrics
from aprp.web.admin.overview import Overview
from aprp.web.admin.snapshot import Snapshots
from aprp.web.admin.status import status_of
from aprp.web.quiet import QuietSite

IDLE_SECONDS = 60
PACKAGE = "aprp.web.admin"
"""The package that has the files of the page."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    b"palette.css": "text/css; charset=utf-8",
    b"page.css": "text/css; charset=utf-8",
    b"parts.js": "text/javascript; charset=utf-8",
    b"page.js": "text/javascript; charset=utf-8",
    b"map.js": "text/javascript; charset=utf-8",
    b"control.js": "text/javascript; charset=utf-8",
}


class _Page(Resource):
    """A page of one media type that must not be cached; anything below its path is a 404."""

    content_type = "text/plain; charset=utf-8"
    policy = POLICY

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()

    def render(self, request: Request) -> bytes | int:
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return answer(request, 405, "text/plain; charset=utf-8", b"use GET\n")
        request.setHeader("Content-Type", self.content_type)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        request.setHeader("Content-Security-Policy", self.policy)
        body = self.body(request)
        if isinstance(body, bytes):
            return self._whole(request, body)
        run_later(request, self._later(request, body))
        return NOT_DONE_YET

    def _whole(self, request: Request, body: bytes) -> bytes:
        if request.method == b"HEAD":
            request.setHeader("Content-Length", str(len(body)))
            return b""
        return body

    async def _later(self, request: Request, body: Awaitable[bytes]) -> None:
        request.write(self._whole(request, await body))
        request.finish()

    def body(self, request: Request) -> bytes | Awaitable[bytes]:
        raise NotImplementedError


class ComputedPage(_Page):
    """A page whose body is computed when it is requested."""

    def __init__(
        self, content_type: str, make: Callable[[Request], bytes | Awaitable[bytes]]
    ) -> None:
        super().__init__()
        self.content_type = content_type
        self._make = make

    def body(self, request: Request) -> bytes | Awaitable[bytes]:
        return self._make(request)


class PageFile(_Page):
    """A file of a page, from the folder `page` of its package."""

    def __init__(self, package: str, name: str, content_type: str, policy: str = POLICY) -> None:
        super().__init__()
        self.content_type = content_type
        self.policy = policy
        self._content = files(package).joinpath("page", name).read_bytes()

    def body(self, request: Request) -> bytes:
        return self._content


class Index(PageFile):
    """The page itself, at the root."""

    def __init__(self, package: str, policy: str = POLICY) -> None:
        super().__init__(package, "index.html", "text/html; charset=utf-8", policy)

    def getChild(self, path: bytes, request: Request) -> IResource:
        return self if path == b"" and not request.postpath else notFound()


class _Status(_Page):
    content_type = "application/json"

    def __init__(self, overview: Overview) -> None:
        super().__init__()
        self._overview = overview

    def body(self, request: Request) -> bytes:
        return json.dumps(status_of(self._overview), indent=1).encode() + b"\n"


class _Healthz(_Page):
    def __init__(self, overview: Overview) -> None:
        super().__init__()
        self._overview = overview

    def body(self, request: Request) -> bytes:
        state = self._overview.health.state
        if state != "serving":
            request.setResponseCode(503)
        return f"{state}\n".encode()


class _Readyz(_Page):
    def __init__(self, overview: Overview) -> None:
        super().__init__()
        self._overview = overview

    def body(self, request: Request) -> bytes:
        reasons = self._overview.not_ready()
        if reasons:
            request.setResponseCode(503)
        return "".join(f"{reason}\n" for reason in reasons or ["ready"]).encode()


class _Metrics(_Page):
    content_type = CONTENT_TYPE

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def body(self, request: Request) -> bytes:
        return self._metrics.text()


def admin_tree(overview: Overview, metrics: Metrics, handlers: Mapping[str, Handler]) -> Resource:
    """Return the tree of the admin port; `handlers` are the commands of `aprp ctl`."""
    return tree_of(
        {
            b"events": Events(Snapshots(overview), overview.shared.clock),
            b"status": _Status(overview),
            b"healthz": _Healthz(overview),
            b"readyz": _Readyz(overview),
            b"metrics": _Metrics(metrics),
        },
        handlers,
    )


def tree_of(pages: Mapping[bytes, Resource], handlers: Mapping[str, Handler]) -> Resource:
    """Return a tree of the page at its root, its files, these other pages, and the actions."""
    root, page = Index(PACKAGE), Resource()
    for name, content_type in FILES.items():
        page.putChild(name, PageFile(PACKAGE, name.decode("ascii"), content_type))
    root.putChild(b"page", page)
    for path, each in (dict(pages) | actions(handlers)).items():
        root.putChild(path, each)
    return root


def site_of(gate: AdminGate, reactor: IReactorTime | None = None) -> Site:
    """Return the factory of the admin port."""
    options: dict[str, Any] = {} if reactor is None else {"reactor": reactor}
    return QuietSite(
        gate,
        requestFactory=SmallRequest,
        timeout=IDLE_SECONDS,
        parsePOSTFormSubmission=False,
        **options,
    )
