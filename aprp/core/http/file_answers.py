"""What a directory on disk answers to a request for one of its files. Pure.

- A path names a file below the directory in one way only: a segment that is empty, `.` or `..`, or
  that decodes to one with a slash or a NUL in it, names nothing.
- Last-Modified is the file's time of modification, in whole seconds. There is no Date, since a
  file server's clock may differ: so the time counts as a strong validator once it is a minute old,
  which that of a file being written never is (RFC 9110 sections 6.6.1 and 8.8.2.2).
- There is no entity tag: nothing that the file system tells changes whenever the bytes do.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.heads import ResponseHead
from aprp.core.http.ranges import FromTo, Range, Spec, parse_range
from aprp.core.http.validators import CLOCKS_APART, IfRange, Validators, format_date

LATEST = 253402300799
"""The last second of the year 9999, after which a date can't be written."""

_TYPES = {
    b"aac": b"audio/aac",
    b"avi": b"video/x-msvideo",
    b"flac": b"audio/flac",
    b"html": b"text/html",
    b"jpeg": b"image/jpeg",
    b"jpg": b"image/jpeg",
    b"m3u8": b"application/vnd.apple.mpegurl",
    b"m4a": b"audio/mp4",
    b"m4s": b"video/iso.segment",
    b"m4v": b"video/mp4",
    b"mkv": b"video/x-matroska",
    b"mov": b"video/quicktime",
    b"mp3": b"audio/mpeg",
    b"mp4": b"video/mp4",
    b"mpd": b"application/dash+xml",
    b"oga": b"audio/ogg",
    b"ogg": b"audio/ogg",
    b"ogv": b"video/ogg",
    b"opus": b"audio/ogg",
    b"png": b"image/png",
    b"srt": b"application/x-subrip",
    b"ts": b"video/mp2t",
    b"txt": b"text/plain",
    b"vtt": b"text/vtt",
    b"wav": b"audio/wav",
    b"webm": b"video/webm",
    b"webp": b"image/webp",
}
_REASONS = {200: b"OK", 206: b"Partial Content", 404: b"Not Found", 416: b"Range Not Satisfiable"}


def file_path(target: bytes) -> bytes | None:
    """Return the path of a file, relative to the directory, that a target names; None: of none."""
    segments = [unquote_to_bytes(each) for each in target.partition(b"?")[0].split(b"/")[1:]]
    for segment in segments:
        if segment in (b"", b".", b"..") or b"/" in segment or b"\0" in segment:
            return None
    return b"/".join(segments) or None


def media_type(path: bytes) -> bytes | None:
    """Return the media type that the name of a file suggests, None if it suggests none."""
    return _TYPES.get(path.rpartition(b"/")[2].rpartition(b".")[2].lower())


def file_answer(
    request: Fields, path: bytes, size: int, modified: int, now: int
) -> tuple[ResponseHead, Range]:
    """Return the head of a response to GET or HEAD, and the bytes of the file that are its body.

    `size` is in bytes, `modified` and `now` are unix time.
    """
    shown = _date(modified)
    current = Validators(None, modified if shown else None, now - CLOCKS_APART)
    asked = _asked(request, current)
    whole = Range(0, size)
    held = whole if asked is None else asked.resolve(size)
    lines: Pairs = ((b"Accept-Ranges", b"bytes"), *shown)
    if held is None:
        lines += ((b"Content-Length", b"0"), (b"Content-Range", b"bytes */%d" % size))
        return _head(416, lines), Range(0, 0)
    lines += ((b"Content-Length", b"%d" % held.length),)
    if (kind := media_type(path)) is not None:
        lines += ((b"Content-Type", kind),)
    if asked is None:
        return _head(200, lines), whole
    return _head(206, (*lines, (b"Content-Range", held.content_range(size)))), held


def no_such_file() -> ResponseHead:
    """Return the head of the response where there is no such file."""
    return _head(404, ((b"Content-Length", b"0"),))


def _asked(request: Fields, current: Validators) -> Spec | None:
    """Return the range to send, None for the whole file."""
    specs = parse_range(request.get(b"range") or b"")
    if specs is None or len(specs) != 1:
        return None
    condition = request.get(b"if-range")
    if condition is not None and not IfRange.parse(condition).matches(current):
        return None
    only = specs[0]
    return None if only == FromTo(0) else only


def _date(modified: int) -> Pairs:
    if not 0 <= modified <= LATEST:
        return ()
    return ((b"Last-Modified", format_date(modified)),)


def _head(status: int, lines: Pairs) -> ResponseHead:
    return ResponseHead(1, status, _REASONS[status], Fields(lines))
