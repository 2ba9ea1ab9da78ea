"""Short answers of the admin port, at once or by a coroutine."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

_log = Logger()


def answer(request: Request, status: int, content_type: str, body: bytes) -> bytes:
    """Set the head of an answer that nobody should keep, and return its body."""
    request.setResponseCode(status)
    request.setHeader("Content-Type", content_type)
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("X-Content-Type-Options", "nosniff")
    request.setHeader("Content-Length", str(len(body)))
    return b"" if request.method == b"HEAD" else body


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
