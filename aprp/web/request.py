"""One request of a client, and the calls that begin and end every response.

A response ends in one of two ways: `finish`, for a complete body, and `cut`, which closes the
connection so that the client can tell that the body is incomplete.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.web.http import NO_BODY_CODES, toChunk

from aprp.core.http.client_address import UNKNOWN
from aprp.core.http.fields import Fields
from aprp.core.http.heads import declared_length
from aprp.core.http.targets import Target
from aprp.core.http.validators import format_date
from aprp.upstream.wall_clock import time
from aprp.web.access_record import record_of
from aprp.web.clients import Release
from aprp.web.failures import Failure, Refusal, failure_of, reason_phrase
from aprp.web.inflow import Inflow
from aprp.web.spooled_request import SpooledRequest

if TYPE_CHECKING:
    from aprp.upstream.transfer.transfer import Transfer


def _nothing() -> None:
    """Do nothing."""


_numbers = itertools.count(1)
_OURS = secrets.token_hex(3)


class ProxyRequest(SpooledRequest):
    """A request as the strict channel hands it on; `site` resources render it."""

    defaultContentType = None
    channel: Any
    site: Any
    transport: Any
    target: Target
    fields: Fields
    """The request's fields as received."""
    authority: bytes = b""
    """Host, or the authority of an absolute-form target; empty where HTTP/1.0 gave none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_process = False
        self._bodiless = False
        self._owed: int | None = None
        self._arrived = time()
        self._client_host: str | None = None
        self.response_fields: Callable[[Fields, Fields], Fields] = lambda request, fields: fields
        """Returns the fields of a response as the route sends them, from those of request and
        response.
        """
        self._release: Release | None = None
        self.inflow: Inflow | None = None
        """What the client is still sending: a streamed body, or the bytes after a 101."""
        self._number = next(_numbers)
        self.route = "-"
        self.names_sources = False
        """Whether the client named the sources itself, so that responses may name them."""
        self.upstream: str | None = None
        self.resumes = 0
        self.duplicates = 0
        self.spliced = 0
        """Bytes of the body that the kernel moved."""
        self.cache: str | None = None
        """What the cache did: hit, partial, miss, revalidated, stale, bypass; None without one."""
        self.cached = 0
        """Bytes of the body that weren't fetched for this request."""
        self.sources: tuple[tuple[str, int], ...] = ()
        """The bytes that came from each source, once the request has ended."""
        self.transfer: Transfer | None = None
        """The transfer that fetches the file, on routes with several sources."""
        self.first_byte: float | None = None
        self.longest_gap: float | None = None
        """The longest time, in seconds, for which the client had to wait for more of the body."""
        self.when_lost: Callable[[], object] = _nothing
        """Called if the client leaves before its response has ended."""
        self._whole = b""
        """The whole body, until it is sent with the head."""
        self.error: str | None = None
        self.range: bytes | None = None
        self.ended: str | None = None

    def parseCookies(self) -> None:
        """Do nothing: cookies are for the upstream."""

    @property
    def version(self) -> bytes:
        """The version of HTTP that the client speaks, as Via has it."""
        return self.clientproto.removeprefix(b"HTTP/")

    @property
    def minor(self) -> int:
        """The y of the client's HTTP/1.y."""
        return 0 if self.clientproto == b"HTTP/1.0" else 1

    @property
    def peer_host(self) -> str:
        """The address of the connection's peer."""
        return str(getattr(self.getClientAddress(), "host", None) or UNKNOWN)

    @property
    def id(self) -> str:
        """The request's id in logs and responses; no other process uses it."""
        return f"{_OURS}-{self._number:x}"

    @property
    def arrived(self) -> float:
        """The time at which it arrived, in Unix time."""
        return self._arrived

    @property
    def owed(self) -> int | None:
        """The number of body bytes still to be sent, or None if unknown."""
        return self._owed

    @property
    def client_host(self) -> str:
        """The client's address: the peer's, or what a trusted proxy says."""
        if self._client_host is None:
            self._client_host = self.channel.site.clients.address(self.peer_host, self.fields)
        return self._client_host

    @property
    def forwarded_by_trusted(self) -> bool:
        """Whether the peer is a trusted proxy."""
        return bool(self.site.clients.believes(self.peer_host))

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Begin to serve the request. Neither its target nor its body is read here."""
        self.method, self.uri, self.clientproto = command, path, version
        if self.content is not None:
            self.content.seek(0)
        self.process()

    def process(self) -> None:
        self._in_process = True
        self.site = self.channel.site
        self.site.in_flight.add(self)
        self.prepath, self.postpath = [], [self.target.path]
        try:
            self._release = self.site.clients.begins(self.client_host)
            self.site.getResourceFor(self).render(self)
        except Refusal as refusal:
            self.fail(refusal)
        except Exception as error:
            self._log.failure(
                "internal error while rendering {uri}", uri=self.uri, transfer=self.id
            )
            self.fail(error)

    @property
    def body_length(self) -> int:
        """The number of body bytes that came with the request."""
        return self.spooled + (0 if self.inflow is None else self.inflow.received)

    @property
    def upgraded(self) -> bool:
        """Whether its connection has changed to another protocol."""
        return self.code == 101

    def begin(self, status: int, fields: Fields, reason: bytes = b"") -> None:
        """Send the head of the response; the body's bytes follow by `write`.

        Without a `reason` the status has its usual phrase. What frames the body and keeps or
        closes the connection is added here (RFC 9112 sections 6 and 9).
        """
        self.code, self.startedWriting = status, 1
        fields = self.response_fields(self.fields, fields)
        self.first_byte = time() - self._arrived
        if self.channel is None:
            return
        self._bodiless = self.method == b"HEAD" or status in NO_BODY_CODES
        self._owed = None if self._bodiless else declared_length(fields)
        if b"date" not in fields:  # RFC 9110 section 6.6.1
            fields = fields.adding((b"Date", format_date(int(time()))))
        if self.site.id_field:
            fields = fields.adding((self.site.id_field, self.id.encode()))
        self._send_head(status, fields, reason)

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        """Send a response with a whole body, of the length that its fields say."""
        self._whole = body
        self.begin(status, fields)

    def _send_head(self, status: int, fields: Fields, reason: bytes) -> None:
        """Send the status line and the fields, with those that frame the body."""
        lines = [b"HTTP/1.1 %d %s" % (status, reason or reason_phrase(status).encode())]
        lines += [b"%s: %s" % pair for pair in fields.pairs]
        if self._owed is None and not self._bodiless:
            if self.minor == 0:
                self.channel.persistent = False
                self.channel.end_by_close()
            else:
                self.chunked = 1
                lines.append(b"Transfer-Encoding: chunked")
        if self.inflow is not None and self.inflow.unread:
            self.channel.persistent = False
        if not self.channel.persistent:
            lines.append(b"Connection: close")
        elif self.minor == 0:
            lines.append(b"Connection: keep-alive")
        whole, self._whole = self._whole, b""
        if len(whole) == self._owed:
            self.sentLength, self._owed = len(whole), 0
            self.channel.write(b"\r\n".join([*lines, b"", whole]))
        else:
            self.channel.write(b"\r\n".join([*lines, b"", b""]))
            self.write(whole)

    def write(self, data: bytes) -> None:
        """Send more of the body; never more than its Content-Length."""
        if self._disconnected or self._bodiless or self.finished or not data:
            return
        self.sentLength += len(data)
        if self.chunked:
            self.channel.writeSequence(toChunk(data))
        elif self._owed is None or len(data) <= self._owed:
            self._owed = None if self._owed is None else self._owed - len(data)
            self.channel.write(data)
        else:
            self._log.error(
                "the response to {uri} exceeds its Content-Length",
                uri=self.uri,
                transfer=self.id,
            )
            self.cut()

    def takes_unframed(self, n: int) -> bool:
        """Whether the next `n` bytes of the body go out as they are."""
        plain = not (self._disconnected or self._bodiless or self.finished or self.chunked)
        return plain and self._owed is not None and n <= self._owed

    def passed(self, n: int) -> None:
        """Count bytes of the body that the kernel moved to the client's connection."""
        self.sentLength += n
        self.spliced += n
        if self._owed is not None:
            self._owed -= n

    def interim(self, status: int, fields: Fields, reason: bytes) -> None:
        """Send a 1xx ahead of the answer (RFC 9110 section 15.2); HTTP/1.0 knows none.

        It has no length (section 8.6): one reader would take it for that of a body.
        """
        if self.channel is None or self.startedWriting or self.minor == 0:
            return
        lines = [b"HTTP/1.1 %d %s" % (status, reason or reason_phrase(status).encode())]
        kept = fields.without((b"content-length",))
        lines += [b"%s: %s" % pair for pair in kept.pairs]
        self.channel.write(b"\r\n".join([*lines, b"", b""]))

    def switch_protocols(self, fields: Fields) -> Inflow:
        """Send a 101 with these fields; return what the client sends from then on.

        What is written from then on goes out as it is.
        """
        if self.site.id_field:
            fields = fields.adding((self.site.id_field, self.id.encode()))
        self.interim(101, self.response_fields(self.fields, fields), b"")
        self.code, self.startedWriting = 101, 1
        self.first_byte = time() - self._arrived
        self.inflow = self.channel.switch_protocols()
        return self.inflow

    def answer(self, failure: Failure) -> None:
        """Send a whole response of aprp's own."""
        self.error = self.error or failure.kind
        if self._disconnected:
            return
        self.respond(failure.status, failure.head(), failure.body)
        self.finish()

    def fail(self, error: BaseException) -> None:
        """Answer with `error`, or cut the connection if another response has begun."""
        failure = failure_of(error, self.names_sources)
        self.error = failure.kind
        if self.startedWriting:
            self.cut()
        else:
            self.ended = "refused" if isinstance(error, Refusal) else "failed"
            self.answer(failure)

    def cut(self, stuck: bool = False) -> None:
        """Close the connection so that the client knows that its response is incomplete.

        A body with a length or in chunks lacks its end; one whose end is the close itself is ended
        by a reset instead of a FIN. A `stuck` client isn't waited for.
        """
        self.ended = self.ended or "cut"
        if self.channel is None or self.finished:
            return
        if stuck:
            self.transport.abortConnection()
        elif self.chunked or self._owed is not None or not self.startedWriting:
            self.channel.close()
        else:
            self.channel.reset()

    def connectionLost(self, reason: Any) -> None:
        self.ended = self.ended or "client left"
        super().connectionLost(reason)
        self.when_lost()
        if self._in_process:
            self._record()

    def finish(self) -> None:
        if self._disconnected:
            return
        if self._owed:
            self._log.error(
                "the response to {uri} is shorter than its Content-Length",
                uri=self.uri,
                transfer=self.id,
            )
            self.cut()
            return
        self.ended = self.ended or "complete"
        self._record()  # before the next request on the connection is begun
        self.when_lost = _nothing
        super().finish()

    def _record(self) -> None:
        self.site.in_flight.discard(self)
        release, self._release = self._release, None
        if release is not None:
            release()
        self.site.observe(record_of(self, time()))
