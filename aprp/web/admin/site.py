"""The admin port: is it up, how do its sources do, what has it served.

GET and HEAD only.

``/healthz`` answers 200 from when the daemon serves until it begins to stop, 503 otherwise;
``/readyz`` 503 also while a route has no source that is well.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from importlib.resources import files
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from aprp.web.admin.events import Events
from aprp.web.admin.metrics import CONTENT_TYPE, Metrics
from aprp.web.admin.overview import Overview
from aprp.web.admin.snapshot import Snapshots
from aprp.web.admin.status import status_of
from aprp.web.quiet import QuietSite

_log = Logger()
IDLE_SECONDS = 60
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    b"palette.css": "text/css; charset=utf-8",
    b"page.css": "text/css; charset=utf-8",
    b"page.js": "text/javascript; charset=utf-8",
    b"map.js": "text/javascript; charset=utf-8",
}


class _Page(Resource):
    """A body of one type that nobody should keep; anything below it is not found."""

    content_type = "text/plain; charset=utf-8"

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()

    def render(self, request: Request) -> bytes | int:
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader("Allow", "GET, HEAD")
            return b""
        request.setHeader("Content-Type", self.content_type)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        request.setHeader("Content-Security-Policy", POLICY)
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


def run_later(request: Request, work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Have a coroutine answer the request, unless whoever asked leaves before it has."""
    running = Deferred.fromCoroutine(work)
    request.notifyFinish().addErrback(lambda _: running.cancel())

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("answering {uri}", failure, uri=request.uri)
            request.setResponseCode(500)
            request.finish()

    running.addErrback(failed)


class Told(_Page):
    """A page whose body is made when it is asked for."""

    def __init__(
        self, content_type: str, make: Callable[[Request], bytes | Awaitable[bytes]]
    ) -> None:
        super().__init__()
        self.content_type = content_type
        self._make = make

    def body(self, request: Request) -> bytes | Awaitable[bytes]:
        return self._make(request)


class _File(_Page):
    """A file of the page, as it is in the package."""

    def __init__(self, name: str, content_type: str) -> None:
        super().__init__()
        self.content_type = content_type
        self._content = files("aprp.web.admin").joinpath("page", name).read_bytes()

    def body(self, request: Request) -> bytes:
        return self._content


class _Index(_File):
    def __init__(self) -> None:
        super().__init__("index.html", "text/html; charset=utf-8")

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


def admin_resource(overview: Overview, metrics: Metrics) -> Resource:
    """The tree of the admin port."""
    return tree_of(
        {
            b"events": Events(Snapshots(overview), overview.shared.clock),
            b"status": _Status(overview),
            b"healthz": _Healthz(overview),
            b"readyz": _Readyz(overview),
            b"metrics": _Metrics(metrics),
        }
    )


def tree_of(pages: Mapping[bytes, Resource]) -> Resource:
    """The page at the root, its files, and these beside it."""
    root, page = _Index(), Resource()
    for name, content_type in FILES.items():
        page.putChild(name, _File(name.decode("ascii"), content_type))
    root.putChild(b"page", page)
    for name, each in pages.items():
        root.putChild(name, each)
    return root


def admin_site(overview: Overview, metrics: Metrics, reactor: IReactorTime | None = None) -> Site:
    """The admin port's factory."""
    return site_of(admin_resource(overview, metrics), reactor)


def site_of(tree: Resource, reactor: IReactorTime | None = None) -> Site:
    """The factory for a tree."""
    options: dict[str, Any] = {} if reactor is None else {"reactor": reactor}
    return QuietSite(
        tree,
        timeout=IDLE_SECONDS,
        parsePOSTFormSubmission=False,
        **options,
    )
