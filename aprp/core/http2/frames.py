"""The frames of HTTP/2 (RFC 9113 sections 4 and 6), as far as they aren't left to the library.

The library keeps the states of streams and decodes fields. What it does with DATA costs ten times
what the bytes cost, and it takes a GOAWAY for the end, so both are read here; so is what bounds the
memory that a sender may take. `aprp.core.http2.reading` hands out body bytes as they come.
"""

from __future__ import annotations

from enum import IntEnum

from aprp.core.values import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65535
"""The window of each stream and of the connection, unless the receiver says otherwise."""
HEAD_SIZE = 9


class Kind(IntEnum):
    """Types of frames; others are to be ignored (section 4.1)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Broken(Exception):
    """Raised for what ends a connection (section 5.4.1); the text says what was wrong."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class NotHttp2(Broken):
    """Raised where the other side doesn't begin as HTTP/2 does."""


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream's body. `cost` is what the frames that began take of the windows; `last`
    tells that the body ends here, `useless` how many frames among them carried nothing."""

    stream: int
    data: bytes
    cost: int
    last: bool
    useless: int = 0


@dataclass(frozen=True, slots=True)
class GoAway:
    """Streams above `last` weren't and won't be handled."""

    last: int
    code: int


@dataclass(frozen=True, slots=True)
class Other:
    """Any other frame, as it came."""

    kind: int
    stream: int
    raw: bytes


Frame = Data | GoAway | Other


def is_nothing_more(frame: Other) -> bool:
    """Return whether the frame is a WINDOW_UPDATE by nothing (section 6.9)."""
    increment = int.from_bytes(frame.raw[HEAD_SIZE:], "big") & 0x7FFFFFFF
    return frame.kind == Kind.WINDOW_UPDATE and len(frame.raw) == HEAD_SIZE + 4 and not increment
