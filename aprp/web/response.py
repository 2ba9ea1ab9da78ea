"""The response to one request, as it is written over HTTP/1.x: head, framing, body.

A body never has more bytes than its Content-Length says; that it has no fewer is seen to at its
end, in `aprp.web.request`.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Any

from twisted.web.http import NO_BODY_CODES, toChunk

from aprp.core.http.fields import Fields
from aprp.core.http.heads import declared_length
from aprp.core.http.validators import format_date
from aprp.upstream.wall_clock import time
from aprp.web.failures import reason_phrase
from aprp.web.inflow import Inflow
from aprp.web.spooled_request import SpooledRequest

_numbers = itertools.count(1)
_OURS = secrets.token_hex(3)


class Response(SpooledRequest):
    """A request, as far as its response is written."""

    defaultContentType = None
    channel: Any
    site: Any
    transport: Any
    fields: Fields
    """The request's fields as received."""

    inflow: Inflow | None = None
    """What the client is still sending: a streamed body, or the bytes after a 101."""
    spliced = 0
    """Bytes of the body that the kernel moved."""
    first_byte: float | None = None
    response_fields: Callable[[Fields, Fields], Fields] | None = None
    """Returns the fields of a response as the route sends them, from those of request and
    response; None: as they are.
    """
    _bodiless = False
    _owed: int | None = None
    _whole = b""
    """The whole body, until it is sent with the head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arrived = time()
        """The time at which it arrived, in Unix time."""
        self._number = next(_numbers)

    @property
    def id(self) -> str:
        """The request's id in logs and responses; no other process uses it."""
        return f"{_OURS}-{self._number:x}"

    @property
    def owed(self) -> int | None:
        """The number of body bytes still to be sent, or None if unknown."""
        return self._owed

    @property
    def minor(self) -> int:
        """The y of the client's HTTP/1.y."""
        return 0 if self.clientproto == b"HTTP/1.0" else 1

    def begin(self, status: int, fields: Fields, reason: bytes = b"") -> None:
        """Send the head of the response; the body's bytes follow by `write`.

        Without a `reason` the status has its usual phrase. What frames the body and keeps or
        closes the connection is added here (RFC 9112 sections 6 and 9).
        """
        self.code, self.startedWriting = status, 1
        fields = self._as_sent(fields)
        self.first_byte = time() - self.arrived
        if self.channel is None:
            return
        self._bodiless = self.method == b"HEAD" or status in NO_BODY_CODES
        self._owed = None if self._bodiless else declared_length(fields)
        if b"date" not in fields.by_name:  # RFC 9110 section 6.6.1
            fields = fields.adding((b"Date", format_date(int(time()))))
        if self.site.id_field:
            fields = fields.adding((self.site.id_field, self.id.encode()))
        self._send_head(status, fields, reason)

    def _as_sent(self, fields: Fields) -> Fields:
        """Return the fields of the response as the route sends them."""
        if self.response_fields is None:
            return fields
        return self.response_fields(self.fields, fields)

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
        self.interim(101, self._as_sent(fields), b"")
        self.code, self.startedWriting = 101, 1
        self.first_byte = time() - self.arrived
        self.inflow = self.channel.switch_protocols()
        return self.inflow

    def cut(self, stuck: bool = False) -> None:
        """Close the connection so that the client knows that its response is incomplete."""
        raise NotImplementedError
