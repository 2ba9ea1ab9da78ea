"""The heads of answers over HTTP/1.1: bounded, and refused as early as can be."""

from __future__ import annotations

from aprp.core.http.heads import (
    MalformedMessage,
    ResponseHead,
    check_line_ends,
    parse_response_head,
)
from aprp.core.http.upgrading import Offer
from aprp.upstream.errors import HeadTooLarge

MAX_HEAD = 65536
MAX_FIELDS = 256
MAX_INTERIM = 16


class NotHttp(MalformedMessage):
    """Raised for bytes that don't begin like a response head."""


class Heads:
    """Parses the response heads of one connection. `where` names the source in errors."""

    def __init__(self, where: str) -> None:
        self.interims = 0
        """How many interim responses have come to the request."""
        self._where = where
        self._upgrade: Offer | None = None
        self._buffer = b""
        self._checked = 0

    @property
    def begun(self) -> bool:
        """Whether part of a head has arrived."""
        return bool(self._buffer)

    def expect(self, upgrade: Offer | None) -> None:
        """Begin with the heads of a request, which may have offered to switch protocols."""
        self._upgrade = upgrade
        self.interims = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def next(self) -> ResponseHead | None:
        """Return the next head, or None while it is incomplete.

        Raises MalformedMessage, also for a 101 that wasn't requested, or HeadTooLarge.
        """
        if not b"HTTP/1.".startswith(self._buffer[:7]):
            raise NotHttp("the answer isn't HTTP/1.x")
        end = self._buffer.find(b"\r\n\r\n", max(0, self._checked - 3))
        if max(end, 0 if end >= 0 else len(self._buffer)) > MAX_HEAD:
            raise HeadTooLarge(self._where, ": the head of its answer is too large")
        if end < 0:
            check_line_ends(self._buffer, self._checked)
            self._checked = len(self._buffer)
            return None
        head = parse_response_head(self._buffer[:end])
        self._buffer = self._buffer[end + 4 :]
        self._checked = 0
        if len(head.fields.pairs) > MAX_FIELDS:
            raise HeadTooLarge(self._where, ": its answer has too many fields")
        self._check_interim(head)
        return head

    def _check_interim(self, head: ResponseHead) -> None:
        if head.status == 101:
            if self._upgrade is None:
                raise MalformedMessage("it switches to a protocol that wasn't asked for")
            self._upgrade.check(head)
        elif head.status < 200:
            self.interims += 1
            if self.interims > MAX_INTERIM:
                raise MalformedMessage("interim answers without end")

    def rest(self) -> bytes:
        """Remove and return the bytes after the last head."""
        data, self._buffer, self._checked = self._buffer, b"", 0
        return data
