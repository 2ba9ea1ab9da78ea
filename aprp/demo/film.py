"""The clip at the bit rate of a film: padded as encoders do for a constant bit rate.

The clip in the package is small. Its mirrors serve it with a filler NAL unit (ISO/IEC 14496-10,
section 7.4.2.7) after each frame, so that all frames have the same length; the sample tables
(ISO/IEC 14496-12, sections 8.6 and 8.7) are changed to match. Decoders drop the filler, but players
have to fetch it. Only the clip is held in memory.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise

from aprp.core.values import dataclass

RATE = 1_000_000
"""Bytes a second that the film needs, sound included: 8 Mbit/s, the rate of a film in full HD."""
FRAMES = 24
"""Frames a second of the clip."""
SOUND = 6_000
"""Bytes a second of its sound."""
FRAME = (RATE - SOUND) // FRAMES
"""Bytes of each frame of the film."""

HEAD, PAD, END = b"\x0c", b"\xff", b"\x80"
"""How a filler NAL unit begins, goes on and ends."""
LEAST = 4 + len(HEAD) + len(END)
"""The shortest padding: a length in four bytes, and an empty unit."""


class Film:
    """A sequence of bytes of which only pieces are held; all others are `PAD`.

    `pieces` are (offset, bytes), in order and without overlap; the last one ends the film.
    """

    def __init__(self, pieces: list[tuple[int, bytes]]) -> None:
        self._starts = [start for start, _ in pieces]
        self._pieces = [piece for _, piece in pieces]

    def __len__(self) -> int:
        return self._starts[-1] + len(self._pieces[-1])

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(len(self))
        found = bytearray(PAD * max(0, stop - start))
        number = max(0, bisect_right(self._starts, start) - 1)
        while number < len(self._starts) and (at := self._starts[number]) < stop:
            held = self._pieces[number][max(0, start - at) : stop - at]
            to = max(0, at - start)
            found[to : to + len(held)] = held
            number += 1
        return bytes(found)


def film_of(clip: bytes, frame: int = FRAME) -> Film:
    """Return the film in which each frame of the clip, an MP4 file, has `frame` bytes.

    Longer frames stay as they are. The clip is one that `make clip` writes: its index before its
    media, H.264 with lengths of four bytes, one frame in each of the picture's chunks. Raises
    ValueError for another.
    """
    try:
        return _padded(clip, frame)
    except struct.error:
        raise ValueError(
            "the clip has an end before its index has; `make clip` writes one"
        ) from None


def _padded(clip: bytes, frame: int) -> Film:
    tracks = [_Track.of(clip, each) for each in _boxes(clip, _find(clip, b"moov"), b"trak")]
    media = _find(clip, b"mdat")
    picture = next((track for track in tracks if track.is_picture), None)
    if picture is None:
        raise ValueError("the clip has no picture")
    if len(picture.chunks) != len(picture.sizes):
        raise ValueError("the clip has chunks of several frames; `make clip` writes one in each")
    sizes = [frame if frame - size >= LEAST else size for size in picture.sizes]
    pads = {
        chunk + before: after - before
        for chunk, before, after in zip(picture.chunks, picture.sizes, sizes, strict=True)
        if after > before
    }
    moved = _moved(pads)
    head = bytearray(clip[: media.start + 8])
    struct.pack_into(">I", head, media.start, moved(len(clip)) - media.start)
    struct.pack_into(f">{len(sizes)}I", head, picture.sizes_at, *sizes)
    for track in tracks:
        chunks = map(moved, track.chunks)
        struct.pack_into(f">{len(track.chunks)}I", head, track.chunks_at, *chunks)
    return Film([(0, bytes(head)), *_pieces(clip, media.start + 8, pads, moved)])


def _moved(pads: dict[int, int]) -> Callable[[int], int]:
    """Where an offset of the clip is in the film; `pads` are bytes added, by their offsets."""
    ends = sorted(pads)
    added = list(accumulate((pads[end] for end in ends), initial=0))
    return lambda offset: offset + added[bisect_right(ends, offset)]


def _pieces(
    clip: bytes, start: int, pads: dict[int, int], moved: Callable[[int], int]
) -> Iterator[tuple[int, bytes]]:
    """The media from `start` on: the clip cut at its pads, with the two ends of each."""
    for low, high in pairwise([start, *sorted(pads), len(clip)]):
        before = END if low in pads else b""
        after = (pads[high] - 4).to_bytes(4, "big") + HEAD if high in pads else b""
        yield moved(low) - len(before), before + clip[low:high] + after


@dataclass(frozen=True, slots=True)
class _Box:
    """A box of an MP4 file at [start, stop)."""

    kind: bytes
    start: int
    stop: int


def _boxes(clip: bytes, parent: _Box, kind: bytes) -> Iterator[_Box]:
    """The boxes of one kind that lie in another, not any deeper."""
    start = parent.start + 8
    while start < parent.stop:
        length, found = struct.unpack_from(">I4s", clip, start)
        if length < 8:
            raise ValueError(f"the clip has a box without a length at offset {start}")
        if found == kind:
            yield _Box(found, start, start + length)
        start += length


def _find(clip: bytes, *kinds: bytes, parent: _Box | None = None) -> _Box:
    """The first box of the first kind, the first of the second kind in it, and so on."""
    found = parent or _Box(b"", -8, len(clip))
    for kind in kinds:
        box = next(_boxes(clip, found, kind), None)
        if box is None:
            raise ValueError(f"the clip has no {kind.decode()} box")
        found = box
    return found


@dataclass(frozen=True, slots=True)
class _Track:
    """The tables of one track, and where their entries begin in the file."""

    is_picture: bool
    sizes: tuple[int, ...]
    sizes_at: int
    chunks: tuple[int, ...]
    chunks_at: int

    @classmethod
    def of(cls, clip: bytes, box: _Box) -> _Track:
        media = _find(clip, b"mdia", parent=box)
        tables = _find(clip, b"minf", b"stbl", parent=media)
        handler = _find(clip, b"hdlr", parent=media).start + 16
        sizes_at = _find(clip, b"stsz", parent=tables).start + 20
        chunks_at = _find(clip, b"stco", parent=tables).start + 16
        return cls(
            clip[handler : handler + 4] == b"vide",
            _numbers(clip, sizes_at),
            sizes_at,
            _numbers(clip, chunks_at),
            chunks_at,
        )


def _numbers(clip: bytes, at: int) -> tuple[int, ...]:
    """The entries of a table that begin at an offset, their count just before them."""
    (count,) = struct.unpack_from(">I", clip, at - 4)
    return struct.unpack_from(f">{count}I", clip, at)
