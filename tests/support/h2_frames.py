"""Frames of HTTP/2 as a test writes them, right or wrong; fields are coded without a table."""

from __future__ import annotations

from collections.abc import Iterable

from aprp.core.http2.frames import Kind
from aprp.core.http2.writing import frame
from aprp.core.http2.writing import settings as settings

END, END_HEADERS, ACK, PADDED, PRIORITY = 0x1, 0x4, 0x1, 0x8, 0x20


def number(value: int, bits: int) -> bytes:
    """An integer with a prefix of so many bits (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    found, value = [most], value - most
    while value >= 128:
        found.append(value % 128 + 128)
        value //= 128
    return bytes((*found, value))


def block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Literal fields, never indexed (section 6.2.3)."""
    return b"".join(
        b"\x10" + number(len(name), 7) + name + number(len(value), 7) + value
        for name, value in pairs
    )


def headers(
    stream: int,
    pairs: Iterable[tuple[bytes, bytes]],
    end: bool = False,
    flags: int = END_HEADERS,
) -> bytes:
    """A HEADERS frame, whole unless `flags` say otherwise."""
    return frame(Kind.HEADERS, flags | (END if end else 0), stream, block(pairs))


def data(stream: int, body: bytes = b"", end: bool = False) -> bytes:
    """A DATA frame."""
    return frame(Kind.DATA, END if end else 0, stream, body)


SETTINGS_ACK = frame(Kind.SETTINGS, ACK, 0)


def ping(payload: bytes = b"12345678", ack: bool = False) -> bytes:
    """A PING."""
    return frame(Kind.PING, ACK if ack else 0, 0, payload)
