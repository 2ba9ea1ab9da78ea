"""Switching protocols on a connection (RFC 9110 section 7.8), and WebSocket's handshake (RFC 6455).

An upgrade is offered to an upstream only for a protocol that the route lists, and believed only
where the upstream accepts exactly what was offered: a 101 that proves nothing would open a way for
bytes that nobody has checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection

from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.heads import MalformedMessage, ResponseHead
from aprp.core.values import dataclass

WEBSOCKET = b"websocket"
NEVER = frozenset((b"h2", b"h2c", b"http", b"tls"))
"""Protocols, less their versions, that would carry other requests past the proxy."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class BadUpgrade(Exception):
    """A request for an upgrade that can't be meant; the text says why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The protocol that a client wants to change to, as it wrote it, and its WebSocket key."""

    protocol: bytes
    key: bytes | None = None

    @property
    def fields(self) -> Pairs:
        """The fields of a request or a 101 that name this protocol."""
        return ((b"Connection", b"Upgrade"), (b"Upgrade", self.protocol))

    def check(self, head: ResponseHead) -> None:
        """Raise MalformedMessage where a 101 doesn't accept this offer."""
        accepted = head.fields.tokens(b"upgrade")
        if head.minor == 0 or b"upgrade" not in head.fields.tokens(b"connection"):
            raise MalformedMessage("its 101 lacks Connection: Upgrade")
        if accepted != [self.protocol.lower()]:
            raise MalformedMessage("it switches to a protocol that wasn't asked for")
        if self.key is not None:
            proofs = head.fields.all(b"sec-websocket-accept")
            if proofs != [accept_of(self.key)]:
                raise MalformedMessage("its 101 has the wrong Sec-WebSocket-Accept")


def offer_of(
    method: bytes, minor: int, fields: Fields, protocols: Collection[bytes]
) -> Offer | None:
    """Return what the client offers of these lower-case protocols; None where it offers none.

    Raises BadUpgrade for a WebSocket handshake without the one key that it needs. HTTP/1.0 knows
    no upgrades, and only a GET may ask for one here.
    """
    if b"upgrade" not in fields.by_name or method != b"GET" or minor == 0:
        return None
    if b"upgrade" not in fields.tokens(b"connection"):
        return None
    wanted = [each for each in fields.tokens(b"upgrade") if each in protocols]
    if not wanted:
        return None
    protocol = wanted[0]
    return Offer(protocol, _key_of(fields) if protocol == WEBSOCKET else None)


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that belongs to a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def _key_of(fields: Fields) -> bytes:
    keys = fields.all(b"sec-websocket-key")
    try:
        if len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16:
            return keys[0]
    except binascii.Error:
        pass
    raise BadUpgrade("a WebSocket handshake has one Sec-WebSocket-Key of 16 bytes in base64")
