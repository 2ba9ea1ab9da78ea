"""Small responses of the admin port and the demonstration, sent at once or by a coroutine."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from aprp.core.http.fields import Fields

_log = Logger()


def fields_of(request: Request) -> Fields:
    """Return the fields of a request that Twisted's own parser read."""
    return Fields(
        (name, value)
        for name, values in request.requestHeaders.getAllRawHeaders()
        for value in values
    )


def answer(request: Request, status: int, content_type: str, body: bytes) -> bytes:
    """Set the head of a response that must not be cached, and return its body."""
    request.setResponseCode(status)
    request.setHeader("Content-Type", content_type)
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("X-Content-Type-Options", "nosniff")
    request.setHeader("Content-Length", str(len(body)))
    return b"" if request.method == b"HEAD" else body


def run_later(request: Request, work: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run the coroutine that answers a request; cancel it if the client leaves first."""
    running = Deferred.fromCoroutine(work)
    request.notifyFinish().addErrback(lambda _: running.cancel())

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("internal error while serving {uri}", failure, uri=request.uri)
            request.setResponseCode(500)
            request.finish()

    running.addErrback(failed)
