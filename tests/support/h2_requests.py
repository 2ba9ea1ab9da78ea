"""Requests of HTTP/1.1 as frames, so that its tables of requests serve here too."""

from __future__ import annotations

from tests.support.h2_frames import data, headers


def as_frames(raw: bytes, stream: int) -> bytes:
    """The first request in `raw`, and whatever follows its head as its body.

    Names are in lower case and values without the white space around them, as any front that
    translates has them; nothing else is mended. A Host becomes `:authority`; several stay fields.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    method, _, rest = line.partition(b" ")
    path = rest.rpartition(b" ")[0]
    fields = []
    for each in lines:
        name, colon, value = each.partition(b":")
        assert colon, f"not a field line: {each!r}"
        fields.append((name.lower(), value.strip(b" \t")))
    hosts = [value for name, value in fields if name == b"host"]
    pairs = [(b":method", method), (b":scheme", b"http"), (b":path", path)]
    if len(hosts) == 1:
        pairs.append((b":authority", hosts[0]))
        fields = [pair for pair in fields if pair[0] != b"host"]
    frames = headers(stream, [*pairs, *fields], end=not body)
    return frames + (data(stream, body, end=True) if body else b"")
