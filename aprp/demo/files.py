"""The files that the demonstration's mirrors have, and the responses to requests for them.

Conditions come before ranges (RFC 9110 section 13.2.2). One range is answered with that part;
several are answered with the whole file, as section 14.2 allows.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Protocol

from aprp.core.http.fields import Fields
from aprp.core.http.ranges import Range, parse_range
from aprp.core.http.validators import ETag, IfRange, Validators, format_date, precondition
from aprp.core.values import dataclass
from aprp.demo.film import FRAME, film_of

MADE_AT = 1767225600
"""Last-Modified of the demonstration's files, in unix time: 1 January 2026, on every mirror."""

CLIP = "/films/clip.mp4"


class Content(Protocol):
    """Bytes, or what can be read like them."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class File:
    """One file of the mirrors; `tag` is the opaque part of its entity tag."""

    content: Content
    content_type: bytes
    tag: bytes

    def validators(self, now: int) -> Validators:
        """Return a strong tag, and a date that is the same on every mirror."""
        return Validators(ETag(self.tag), MADE_AT, now)


def file_of(content: bytes, content_type: bytes) -> File:
    """Return a file whose tag is a hash of its content."""
    return File(content, content_type, tag_of(content))


def tag_of(*content: bytes) -> bytes:
    """Return a hash of these bytes, as a tag."""
    return sha256(b"".join(content)).hexdigest()[:16].encode()


@dataclass(frozen=True, slots=True)
class FileResponse:
    """A response; its body is the bytes `part` of the file."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    part: Range


def answer(file: File, method: bytes, asked: Fields, now: int) -> FileResponse:
    """Return the response to a GET or HEAD with these fields, at unix time `now`."""
    current, size = file.validators(now), len(file.content)
    always = (
        (b"ETag", bytes(current.etag or b"")),
        (b"Last-Modified", format_date(MADE_AT)),
        (b"Accept-Ranges", b"bytes"),
        (b"Cache-Control", b"no-store"),  # so that the film is fetched each time it is played
    )
    if (status := precondition(asked, current)) is not None:
        return FileResponse(status, always, Range(0, 0))
    typed = (*always, (b"Content-Type", file.content_type))
    specs = parse_range(asked.get(b"range") or b"") if method == b"GET" else None
    if_range = asked.get(b"if-range")
    if specs is None or len(specs) > 1:
        return FileResponse(200, typed, Range(0, size))
    if if_range is not None and not IfRange.parse(if_range).matches(current):
        return FileResponse(200, typed, Range(0, size))
    part = specs[0].resolve(size)
    if part is None:
        return FileResponse(416, (*always, (b"Content-Range", b"bytes */%d" % size)), Range(0, 0))
    return FileResponse(206, (*typed, (b"Content-Range", part.content_range(size))), part)


def demo_files() -> dict[str, File]:
    """Return the files by path: the film, made from the clip in the package."""
    clip = (files("aprp.demo") / "clip.mp4").read_bytes()
    return {CLIP: File(film_of(clip), b"video/mp4", tag_of(clip, b"%d" % FRAME))}
