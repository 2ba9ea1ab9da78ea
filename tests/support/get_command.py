"""Answers as Python's own client reads them, and the parts of a multipart one."""

from __future__ import annotations

import http.client
import io
from dataclasses import dataclass


class _Sent:
    """What came, as http.client wants it."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def makefile(self, *_: object) -> io.BytesIO:
        return self._file


@dataclass(frozen=True, slots=True)
class Got:
    """One answer. `whole` is whether the body ended as its framing says."""

    status: int
    fields: http.client.HTTPMessage
    body: bytes
    whole: bool = True


def read_answers(data: bytes, *methods: str) -> list[Got]:
    """The answers that came over one connection, to requests of these methods."""
    sent = _Sent(data)
    file = sent.makefile()
    file.close = lambda: None  # type: ignore[method-assign]
    answers = []
    for method in methods:
        response = http.client.HTTPResponse(sent, method=method)  # type: ignore[arg-type]
        response.begin()
        try:
            body, whole = response.read(), True
        except http.client.IncompleteRead as broken:
            body, whole = broken.partial, False
        answers.append(Got(response.status, response.msg, body, whole))
    return answers


def parts_of(got: Got) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart/byteranges answer."""
    kind, _, boundary = got.fields["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges", kind
    first, *pieces, last = got.body.split(b"--" + boundary.encode())
    assert (first, last) == (b"", b"--\r\n"), (first, last)
    parts = []
    for piece in pieces:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.strip().split(b"\r\n"))
        parts.append((lines[b"Content-Range"].decode(), content[:-2]))
    return parts
