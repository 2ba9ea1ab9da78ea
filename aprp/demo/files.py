"""The files that the demonstration's mirrors have, and the responses to requests for them.

Conditions come before ranges (RFC 9110 section 13.2.2). One range is answered with that part;
several are answered with the whole file, as section 14.2 allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from aprp.core.http.fields import Fields
from aprp.core.http.ranges import Range, parse_range
from aprp.core.http.validators import ETag, IfRange, Validators, format_date, precondition

MADE_AT = 1767225600
"""Last-Modified of the demonstration's files, in unix time: 1 January 2026, on every mirror."""

CLIP = "/films/clip.mp4"


@dataclass(frozen=True, slots=True)
class File:
    """One file, whole in memory."""

    content: bytes
    content_type: bytes

    def validators(self, now: int) -> Validators:
        """A strong tag made of the content, and a date that is the same on every mirror."""
        tag = sha256(self.content).hexdigest()[:16].encode()
        return Validators(ETag(tag), MADE_AT, now)


@dataclass(frozen=True, slots=True)
class FileResponse:
    """A response: of the file's content, `part` is the body."""

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
    """Return the files by path: the page, and the clip that it plays. They are part of the
    package.
    """
    here = files("aprp.demo")
    return {
        "/": File((here / "page.html").read_bytes(), b"text/html; charset=utf-8"),
        CLIP: File((here / "clip.mp4").read_bytes(), b"video/mp4"),
    }
