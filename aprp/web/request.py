"""One request of a client, and the calls by which every answer is begun and ended.

Ending is one of two: `finish`, for a body that is whole, and `cut`, which closes so that the
client can tell that it isn't.
"""

from __future__ import annotations

import socket
import struct
from time import time
from typing import Any

from twisted.web.http import NO_BODY_CODES, datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from aprp.core.fields import Fields
from aprp.core.targets import Target
from aprp.web.failures import Failure, Refusal, failure_of, reason_phrase
from aprp.web.record import AccessRecord


class ProxyRequest(Request):
    """A request as the strict channel hands it on; `site` resources render it."""

    defaultContentType = None
    channel: Any
    site: Any
    transport: Any
    target: Target
    fields: Fields
    """The request's fields as they came."""
    authority: bytes = b""
    """Host, or the authority of an absolute-form target; empty where HTTP/1.0 gave none."""
    body_limit = 0
    """The most bytes of body that are taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = 0
        self._arrived = time()
        self.route = "-"
        self.upstream: str | None = None
        self.resumes = 0
        self.error: str | None = None
        self.range: bytes | None = None
        self.ended: str | None = None

    def parseCookies(self) -> None:
        """Cookies are the upstream's affair."""

    @property
    def minor(self) -> int:
        """The y of the client's HTTP/1.y."""
        return 0 if self.clientproto == b"HTTP/1.0" else 1

    @property
    def client_host(self) -> str:
        return str(getattr(self.getClientAddress(), "host", None) or "unknown")

    def process(self) -> None:
        self.site = self.channel.site
        self.site.in_flight.add(self)
        self.prepath, self.postpath = [], [self.target.path]
        try:
            self.site.getResourceFor(self).render(self)
        except Exception as error:
            self._log.failure("rendering {uri}", uri=self.uri)
            self.fail(error)

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self.body_limit:
            self.channel.refuse(too_large(self.body_limit))
        else:
            super().handleContentChunk(data)

    @property
    def body_length(self) -> int:
        """Bytes of body that came with the request."""
        return self._received

    def begin(self, status: int, fields: Fields, reason: bytes = b"") -> None:
        """Send the head of the answer; the body's bytes follow by `write`.

        Without a `reason` the status has its usual phrase.
        """
        headers = self.responseHeaders = Headers()
        for name, value in fields.pairs:
            headers.addRawHeader(name, value)
        if b"date" not in fields:
            headers.setRawHeaders(b"Date", [datetimeToString()])
        self.setResponseCode(status, reason or reason_phrase(status).encode())
        self._keep_or_close(status, b"content-length" in fields)
        self.write(b"")

    def _keep_or_close(self, status: int, has_length: bool) -> None:
        channel = self.channel
        if channel is None:
            return
        bodiless = self.method == b"HEAD" or status in NO_BODY_CODES
        if self.minor == 0 and not (has_length or bodiless):
            channel.persistent = False
        if not channel.persistent:
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        elif self.minor == 0:
            self.responseHeaders.setRawHeaders(b"Connection", [b"keep-alive"])

    def answer(self, failure: Failure) -> None:
        """The whole of an answer that aprp makes itself."""
        self.error = self.error or failure.kind
        self.begin(failure.status, failure.head())
        self.write(failure.body)
        self.finish()

    def fail(self, error: BaseException) -> None:
        """End with the answer for `error`, or with a cut where another has begun already."""
        failure = failure_of(error)
        self.error = failure.kind
        if self.startedWriting:
            self.cut()
        else:
            self.ended = "refused" if isinstance(error, Refusal) else "failed"
            self.answer(failure)

    def cut(self) -> None:
        """Close the connection so that the client knows its answer isn't whole.

        A body with a length or in chunks lacks its end; one whose end is the close itself is ended
        by a reset instead of a FIN.
        """
        self.ended = self.ended or "cut"
        transport = self.transport
        if transport is None:
            return
        framed = self.chunked or self.responseHeaders.hasHeader(b"content-length")
        handle = getattr(transport, "getHandle", lambda: None)()
        if not framed and isinstance(handle, socket.socket):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:
        self.ended = self.ended or "client left"
        super().connectionLost(reason)
        if self.site is not None:  # else the client left before its request had come
            self._record()

    def finish(self) -> None:
        super().finish()
        self.ended = self.ended or "complete"
        self._record()

    def _record(self) -> None:
        record = AccessRecord(
            client=self.client_host,
            method=self.method.decode("latin-1"),
            target=self.uri.decode("latin-1"),
            version=self.clientproto.decode("latin-1"),
            status=self.code if self.startedWriting else 0,
            bytes_sent=self.sentLength,
            started_at=self._arrived,
            seconds=time() - self._arrived,
            host=_text(self.authority),
            range=_text(self.range),
            route=self.route,
            upstream=self.upstream,
            ended=self.ended or "complete",
            error=self.error,
            resumes=self.resumes,
            referer=_text(self.fields.get(b"referer")),
            user_agent=_text(self.fields.get(b"user-agent")),
        )
        self.site.in_flight.discard(self)
        self.site.observe(record)


def too_large(limit: int) -> Refusal:
    """For a request body over the limit, in bytes."""
    return Refusal(413, f"the request's body is over the {limit} bytes taken here")


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value else None
