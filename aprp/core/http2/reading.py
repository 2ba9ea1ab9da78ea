"""Received bytes taken apart into frames of HTTP/2 (RFC 9113 sections 4 and 6).

Most of a body comes in frames that are there as a whole, so these are read in a loop of their own.
What one call brings of one body comes out as one piece, in however many frames it came.
"""

from __future__ import annotations

from struct import Struct

from aprp.core.http2.frames import (
    HEAD_SIZE,
    PREFACE,
    Broken,
    Code,
    Data,
    Frame,
    GoAway,
    Kind,
    NotHttp2,
    Other,
)

MAX_BLOCK = 65536
"""Bytes of one block of fields as it is sent, in HEADERS and CONTINUATION."""
MAX_CONTINUATIONS = 32
MAX_CONTROL = 16384
"""Bytes of a frame without fields or body."""

_HEAD = Struct(">BHBBL")
_END, _END_HEADERS, _PADDED, _ACK = 0x1, 0x4, 0x8, 0x1


class _Body:
    """The frames of one body that one call has brought so far."""

    def __init__(self) -> None:
        self.stream = 0
        self._pieces: list[memoryview] = []
        self._cost = self._useless = 0
        self._last = False

    def add(
        self, found: list[Frame], stream: int, pieces: list[memoryview], cost: int, last: bool
    ) -> None:
        """Add what came of frames that cost so much of the windows."""
        if stream != self.stream or self._last:
            self.hand_on(found)
            self.stream = stream
        self._pieces += pieces
        self._cost += cost
        self._last = last

    def note_useless(self) -> None:
        """Count a frame that carries nothing."""
        self._useless += 1

    def hand_on(self, found: list[Frame]) -> None:
        """Another frame follows, or none for now."""
        if self.stream:
            data = b"".join(self._pieces)
            found.append(Data(self.stream, data, self._cost, self._last, self._useless))
            self._pieces.clear()
            self.stream = self._cost = self._useless = 0
            self._last = False


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
        self._body = _Body()
        self._stream = 0  # of the DATA frame that isn't complete
        self._left = 0
        self._padding = 0
        self._last = False
        self._block = 0  # the stream whose block of fields isn't complete
        self._block_size = 0
        self._continuations = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return what the bytes complete; raise Broken."""
        if self._held:
            data, self._held = self._held + data, b""
        found: list[Frame] = []
        view = memoryview(data)
        at = self._after_preface(data)
        while at is not None and at < len(data):
            if self._left:
                following: int | None = self._rest(view, at, found)
            else:
                at = self._whole(view, at, found)
                following = self._head(view, at, found)
            if following is None:
                break
            at = following
        self._held = data if at is None else data[at:]
        self._body.hand_on(found)
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

    def _whole(self, data: memoryview, at: int, found: list[Frame]) -> int:
        """Take DATA frames of one stream that are whole, not empty and without padding."""
        if not self._begun or self._block:
            return at
        size, most, unpack = len(data), self._max_frame, _HEAD.unpack_from
        pieces: list[memoryview] = []
        cost = stream = flags = 0
        while size - at >= HEAD_SIZE and not flags:
            high, low, kind, flags, number = unpack(data, at)
            length = high << 16 | low
            end = at + HEAD_SIZE + length
            plain = not kind and flags <= _END and 0 < number < 1 << 31 and 0 < length <= most
            if not plain or end > size or (stream and number != stream):
                flags = 0
                break
            pieces.append(data[at + HEAD_SIZE : end])
            cost, stream, at = cost + length, number, end
        if pieces:
            self._body.add(found, stream, pieces, cost, bool(flags))
        return at

    def _head(self, data: memoryview, at: int, found: list[Frame]) -> int | None:
        if len(data) - at < HEAD_SIZE:
            self._check_begin(bytes(data[at:]))
            return None
        head: tuple[int, int, int, int, int] = _HEAD.unpack_from(data, at)
        high, low, kind, flags, stream = head
        length, stream = high << 16 | low, stream & 0x7FFFFFFF
        if not self._begun:
            self._check_begin(bytes(data[at : at + HEAD_SIZE]))
            self._begun = True
        self._check(kind, flags, stream, length)
        start = at + HEAD_SIZE
        if kind == Kind.DATA:
            return self._begin_data(data, start, flags, stream, length, found)
        if len(data) < start + length:
            return None
        self._body.hand_on(found)
        self._note_block(kind, flags, stream, length)
        if kind == Kind.GOAWAY:
            found.append(_go_away(bytes(data[start : start + length]), stream))
        elif kind <= Kind.CONTINUATION:
            found.append(Other(kind, stream, bytes(data[at : start + length])))
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
        self, data: memoryview, at: int, flags: int, stream: int, length: int, found: list[Frame]
    ) -> int | None:
        left, padding = length, 0
        if flags & _PADDED:
            if not length:
                raise Broken(Code.FRAME_SIZE_ERROR, "padding without its length")
            if len(data) == at:
                return None
            padding = data[at]
            left, at = length - 1, at + 1
            if padding > left:
                raise Broken(Code.PROTOCOL_ERROR, "more padding than there are bytes")
        last = bool(flags & _END)
        self._stream, self._left, self._padding, self._last = stream, left, padding, last
        self._body.add(found, stream, [], length, last and not left)
        if left == padding and not last:
            self._body.note_useless()
        return at

    def _rest(self, data: memoryview, at: int, found: list[Frame]) -> int:
        """Take what came of a DATA frame."""
        end = min(len(data), at + self._left)
        useful = max(at, min(end, at + self._left - self._padding))
        self._left -= end - at
        pieces = [data[at:useful]] if useful > at else []
        self._body.add(found, self._stream, pieces, 0, self._last and not self._left)
        return end


def _go_away(payload: bytes, stream: int) -> GoAway:
    if stream:
        raise Broken(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
    if len(payload) < 8:
        raise Broken(Code.FRAME_SIZE_ERROR, "a GOAWAY that is too short")
    last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    return GoAway(last, int.from_bytes(payload[4:8], "big"))
