"""The frames of HTTP/2 (RFC 9113 sections 4 and 6), as far as they aren't left to the library.

The library keeps the states of streams and decodes fields. What it does with DATA costs ten times
what the bytes cost, and it takes a GOAWAY for the end, so both are read here; so is what bounds the
memory that a sender may take. `FrameReader` hands out body bytes as they come, in pieces of frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65535
"""The window of each stream and of the connection, unless the receiver says otherwise."""
MAX_BLOCK = 65536
"""Bytes of one block of fields as it is sent, in HEADERS and CONTINUATION."""
MAX_CONTINUATIONS = 32
MAX_CONTROL = 16384
"""Bytes of a frame without fields or body."""
HEAD_SIZE = 9

_END, _END_HEADERS, _PADDED, _ACK = 0x1, 0x4, 0x8, 0x1


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
    """Bytes of a stream's body. `cost` is what the frame takes of the windows, told with the first
    piece of it; `last` tells that the body ends with this piece."""

    stream: int
    data: bytes
    cost: int
    last: bool


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


class FrameReader:
    """Takes received bytes apart. `max_frame` is what our settings allow a sender.

    With `preface` (a server) the client's connection preface comes first. The first frame has to
    be SETTINGS (section 3.4).
    """

    def __init__(self, max_frame: int, preface: bool = False) -> None:
        self._max_frame = max_frame
        self._preface = PREFACE if preface else b""
        self._begun = False
        self._held = b""
        self._stream = 0
        self._left = 0
        self._padding = 0
        self._last = False
        self._cost = 0
        self._block = 0  # the stream whose block of fields isn't complete
        self._block_size = 0
        self._continuations = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return what the bytes complete; raise Broken."""
        if self._held:
            data, self._held = self._held + data, b""
        found: list[Frame] = []
        at = self._after_preface(data)
        while at is not None and at < len(data):
            following = self._body(data, at, found) if self._left else self._head(data, at, found)
            if following is None:
                break
            at = following
        self._held = data if at is None else data[at:]
        return found

    def _after_preface(self, data: bytes) -> int | None:
        if not self._preface:
            return 0
        size = len(self._preface)
        if data[:size] != self._preface[: len(data)]:
            raise NotHttp2(Code.PROTOCOL_ERROR, "the connection preface is wrong")
        if len(data) < size:
            return None
        self._preface = b""
        return size

    def _head(self, data: bytes, at: int, found: list[Frame]) -> int | None:
        if len(data) - at < HEAD_SIZE:
            self._check_begin(data[at:])
            return None
        length, kind, flags = int.from_bytes(data[at : at + 3], "big"), data[at + 3], data[at + 4]
        stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF
        if not self._begun:
            self._check_begin(data[at : at + HEAD_SIZE])
            self._begun = True
        self._check(kind, flags, stream, length)
        start = at + HEAD_SIZE
        if kind == Kind.DATA:
            return self._begin_data(data, start, flags, stream, length, found)
        if len(data) < start + length:
            return None
        self._note_block(kind, flags, stream, length)
        if kind == Kind.GOAWAY:
            found.append(_go_away(data[start : start + length], stream))
        elif kind <= Kind.CONTINUATION:
            found.append(Other(kind, stream, data[at : start + length]))
        else:
            found.append(Other(kind, stream, b""))
        return start + length

    def _check_begin(self, head: bytes) -> None:
        """Find out as early as can be that the other side speaks something else."""
        if self._begun or len(head) < 4:
            return
        if head[3] != Kind.SETTINGS or (len(head) > 4 and head[4] & _ACK):
            raise NotHttp2(Code.PROTOCOL_ERROR, "it doesn't begin with SETTINGS")

    def _check(self, kind: int, flags: int, stream: int, length: int) -> None:
        if length > self._max_frame:
            raise Broken(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
        carries = kind in (Kind.DATA, Kind.HEADERS, Kind.CONTINUATION, Kind.PUSH_PROMISE)
        if not carries and length > MAX_CONTROL:
            raise Broken(Code.ENHANCE_YOUR_CALM, f"a frame of type {kind} with {length} bytes")
        if self._block and (kind != Kind.CONTINUATION or stream != self._block):
            raise Broken(Code.PROTOCOL_ERROR, "a frame within a block of fields")
        if kind == Kind.CONTINUATION and not self._block:
            raise Broken(Code.PROTOCOL_ERROR, "a CONTINUATION that continues nothing")
        if kind == Kind.SETTINGS and flags & _ACK and length:
            raise Broken(Code.FRAME_SIZE_ERROR, "an acknowledgement with settings in it")
        if kind == Kind.DATA and not stream:
            raise Broken(Code.PROTOCOL_ERROR, "DATA on stream 0")

    def _note_block(self, kind: int, flags: int, stream: int, length: int) -> None:
        """Bound a block of fields before it is complete (CONTINUATION floods)."""
        if kind == Kind.CONTINUATION:
            self._continuations += 1
        elif kind in (Kind.HEADERS, Kind.PUSH_PROMISE):
            self._continuations = self._block_size = 0
        else:
            return
        self._block_size += length
        if self._block_size > MAX_BLOCK or self._continuations > MAX_CONTINUATIONS:
            raise Broken(Code.ENHANCE_YOUR_CALM, "a block of fields without end")
        self._block = 0 if flags & _END_HEADERS else stream

    def _begin_data(
        self, data: bytes, at: int, flags: int, stream: int, length: int, found: list[Frame]
    ) -> int | None:
        self._padding = 0
        self._stream, self._cost, self._last = stream, length, bool(flags & _END)
        self._left = length
        if flags & _PADDED:
            if not length:
                raise Broken(Code.FRAME_SIZE_ERROR, "padding without its length")
            if len(data) == at:
                self._left = 0
                return None
            self._padding = data[at]
            self._left, at = length - 1, at + 1
            if self._padding > self._left:
                raise Broken(Code.PROTOCOL_ERROR, "more padding than there are bytes")
        if not self._left:
            found.append(Data(stream, b"", self._cost, self._last))
        return at

    def _body(self, data: bytes, at: int, found: list[Frame]) -> int:
        end = min(len(data), at + self._left)
        useful = max(at, min(end, at + self._left - self._padding))
        self._left -= end - at
        cost, self._cost = self._cost, 0
        found.append(Data(self._stream, data[at:useful], cost, self._last and not self._left))
        return end


def _go_away(payload: bytes, stream: int) -> GoAway:
    if stream:
        raise Broken(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
    if len(payload) < 8:
        raise Broken(Code.FRAME_SIZE_ERROR, "a GOAWAY that is too short")
    last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    return GoAway(last, int.from_bytes(payload[4:8], "big"))


def is_nothing_more(frame: Other) -> bool:
    """Return whether the frame is a WINDOW_UPDATE by nothing (section 6.9)."""
    increment = int.from_bytes(frame.raw[HEAD_SIZE:], "big") & 0x7FFFFFFF
    return frame.kind == Kind.WINDOW_UPDATE and len(frame.raw) == HEAD_SIZE + 4 and not increment


def together(frames: Iterable[Frame]) -> Iterator[list[Data] | GoAway | Other]:
    """Give the frames in order, adjacent pieces of one body together."""
    pieces: list[Data] = []
    for each in frames:
        if pieces and not (isinstance(each, Data) and each.stream == pieces[0].stream):
            yield pieces
            pieces = []
        if isinstance(each, Data):
            pieces.append(each)
        else:
            yield each
    if pieces:
        yield pieces
