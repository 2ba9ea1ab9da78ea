"""Frames of HTTP/2 as they are sent past the library (RFC 9113 section 6)."""

from __future__ import annotations

from aprp.core.http2.frames import Kind

_END, _END_HEADERS = 0x1, 0x4


def data_head(stream: int, length: int) -> bytes:
    """Return what precedes so many bytes of a stream's body."""
    return length.to_bytes(3, "big") + b"\x00\x00" + stream.to_bytes(4, "big")


def frame(kind: Kind, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame as it is sent."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def window_update(stream: int, increment: int) -> bytes:
    """Return the frame that allows so many bytes more; stream 0 is the connection."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def go_away(last: int, code: int, text: str = "") -> bytes:
    """Return the GOAWAY after which streams above `last` aren't handled."""
    payload = (
        last.to_bytes(4, "big") + int(code).to_bytes(4, "big") + text.encode("ascii", "replace")
    )
    return frame(Kind.GOAWAY, 0, 0, payload)


def reset(stream: int, code: int) -> bytes:
    """Return the frame that ends a stream at once."""
    return frame(Kind.RST_STREAM, 0, stream, int(code).to_bytes(4, "big"))


def end_of(stream: int) -> bytes:
    """Return the empty DATA frame that ends a body."""
    return frame(Kind.DATA, _END, stream)


def trailers_of(stream: int) -> bytes:
    """Return the frame that ends a body with no trailers."""
    return frame(Kind.HEADERS, _END | _END_HEADERS, stream)


def settings(**values: int) -> bytes:
    """Return a SETTINGS frame; the names are those of the RFC in lower case."""
    return frame(
        Kind.SETTINGS,
        0,
        0,
        b"".join(
            _SETTINGS[name].to_bytes(2, "big") + value.to_bytes(4, "big")
            for name, value in values.items()
        ),
    )


_SETTINGS = {
    "header_table_size": 1,
    "enable_push": 2,
    "max_concurrent_streams": 3,
    "initial_window_size": 4,
    "max_frame_size": 5,
    "max_header_list_size": 6,
}
