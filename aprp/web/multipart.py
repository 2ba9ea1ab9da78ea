"""multipart/byteranges: the frame around several ranges (RFC 9110 section 14.6)."""

from __future__ import annotations

from collections.abc import Iterator

from aprp.core.http.ranges import Range
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Multipart:
    """The ranges of one answer and what stands between them; lengths are known beforehand."""

    ranges: tuple[Range, ...]
    complete: int
    media_type: bytes | None
    boundary: bytes

    @property
    def content_type(self) -> bytes:
        return b"multipart/byteranges; boundary=" + self.boundary

    @property
    def length(self) -> int:
        """The length of the whole body, in bytes."""
        frame = sum(len(self._before(index)) for index in range(len(self.ranges)))
        return frame + sum(each.length for each in self.ranges) + len(self.end)

    @property
    def end(self) -> bytes:
        return b"\r\n--" + self.boundary + b"--\r\n"

    def parts(self) -> Iterator[tuple[bytes, Range]]:
        """Yield each range with the bytes that introduce it."""
        for index, each in enumerate(self.ranges):
            yield self._before(index), each

    def _before(self, index: int) -> bytes:
        lines = [b"" if index == 0 else b"\r\n", b"--", self.boundary, b"\r\n"]
        if self.media_type is not None:
            lines += [b"Content-Type: ", self.media_type, b"\r\n"]
        lines += [b"Content-Range: ", self.ranges[index].content_range(self.complete)]
        return b"".join([*lines, b"\r\n\r\n"])
