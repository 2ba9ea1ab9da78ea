"""Run the handler of a request: start it, cancel it when the client leaves, report its failure."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.upstream.errors import SourceError
from aprp.web.failures import Refusal, failure_of
from aprp.web.request import ProxyRequest

_log = Logger()


def run_handler(request: ProxyRequest, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
    """Run the coroutine that answers a request; cancel it if the client leaves first."""
    work = Deferred.fromCoroutine(coroutine)
    request.when_lost = work.cancel
    work.addErrback(lambda failure: _failed(request, failure))


def _failed(request: ProxyRequest, failure: Failure) -> None:
    """Answer with the error, unless the client has left."""
    error = failure.value
    if isinstance(error, CancelledError):
        return
    if not isinstance(error, (SourceError, Refusal)):
        _log.failure(
            "internal error while serving {uri}", failure, uri=request.uri, transfer=request.id
        )
    assert error is not None
    if request.channel is None:
        return
    if isinstance(error, SourceError):
        request.site.failed(request, error, failure_of(error).status)
    request.fail(error)
