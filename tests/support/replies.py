"""What an upstream of the tests sends: steps over the wire, replies, files, and their faults."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

PIECE = 16384
"""Bytes written at once."""

Pairs = tuple[tuple[bytes, bytes], ...]


class Content(Protocol):
    """A file's bytes: `bytes`, or a `Pattern` where they would be too many to hold."""

    def __len__(self) -> int: ...
    def __getitem__(self, where: slice, /) -> bytes: ...


class Pattern:
    """`size` bytes that differ at every offset, made when they are asked for."""

    _BLOCK = 65536

    def __init__(self, size: int, seed: int = 1) -> None:
        self._size = size
        self._tile = random.Random(seed).randbytes(self._BLOCK) * 2

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> bytes:
        start, stop, _ = where.indices(self._size)
        if stop <= start:
            return b""
        blocks = range(start // self._BLOCK, (stop - 1) // self._BLOCK + 1)
        first = blocks.start * self._BLOCK
        return b"".join(map(self._block, blocks))[start - first : stop - first]

    def _block(self, index: int) -> bytes:
        turn = index * 40503 % self._BLOCK
        return index.to_bytes(8, "big") + self._tile[turn + 8 : turn + self._BLOCK]


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Send nothing ever again, and stay open."""


@dataclass(frozen=True, slots=True)
class Close:
    """Send what was written, then FIN."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RST at once; the other side may lose what was on its way."""


@dataclass(frozen=True, slots=True)
class Section:
    """The bytes [start, stop) of a content, read while they are sent."""

    content: Content
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


End = Close | Reset | Stall
Step = bytes | Section | Wait | End


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. `number` counts from 1 over the origin, `on` its connections."""

    method: bytes
    target: bytes
    version: bytes
    fields: Pairs
    body: bytes
    raw: bytes
    number: int
    on: int
    trailers: bytes = b""

    def all(self, name: bytes) -> list[bytes]:
        """Every value of that lower-case name."""
        return [value for each, value in self.fields if each.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """The only value of that lower-case name; None where there is none."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None

    @property
    def range(self) -> tuple[int, int | None] | None:
        """`bytes=first-[last]` as half-open [start, stop)."""
        match = re.fullmatch(rb"bytes=(\d+)-(\d*)", self.get(b"range") or b"")
        return None if match is None else (int(match[1]), int(match[2]) + 1 if match[2] else None)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response. `body` are its steps, `framing` is `length`, `chunked`, `close` or `none`.

    `none` adds no field that frames: whatever `fields` say is all that there is.
    """

    status: int = 200
    fields: Pairs = ()
    body: tuple[Step, ...] = ()
    framing: str = "length"
    version: bytes = b"HTTP/1.1"
    reason: bytes = b"Whatever"
    head_only: bool = False

    def having(self, *fields: tuple[bytes, bytes]) -> Reply:
        """The same with these fields in place of their namesakes."""
        names = {name.lower() for name, _ in fields}
        kept = tuple(pair for pair in self.fields if pair[0].lower() not in names)
        return replace(self, fields=kept + fields)

    def lacking(self, *names: bytes) -> Reply:
        """The same without fields of these lower-case names."""
        return replace(self, fields=tuple(p for p in self.fields if p[0].lower() not in names))

    def broken(self, at: int, by: End) -> Reply:
        """The same, ended by `by` after `at` bytes of the body."""
        kept: list[Step] = []
        left = at
        for step in self.body:
            if isinstance(step, (bytes, Section)):
                kept.append(_first(step, left))
                left -= len(step)
                if left <= 0:
                    break
            else:
                kept.append(step)
        return replace(self, body=(*kept, by), fields=self._framed(), framing=self._bare())

    def trickled(self, size: int, seconds: float, most: int = 1000) -> Reply:
        """The same, each step's body sent `size` bytes at a time with pauses between them.

        After `most` pieces of a step its rest is sent at once: preparing millions would keep the
        other origins of the test's process waiting.
        """
        body: list[Step] = []
        for step in self.body:
            if not isinstance(step, (bytes, Section)):
                body.append(step)
                continue
            for piece in islice(pieces(step, size), most):
                body += [piece, Wait(seconds)]
            body += islice(pieces(step, size * most), 1, None)
        return replace(self, body=tuple(body))

    @property
    def length(self) -> int:
        """Bytes of the body as they would be sent in full."""
        return sum(len(step) for step in self.body if isinstance(step, (bytes, Section)))

    def without_coding(self) -> Reply:
        """The same without the chunked coding: its body ends where the answer does."""
        return replace(self, framing="none")

    def _framed(self) -> Pairs:
        if self.framing == "length":
            return (*self.fields, (b"Content-Length", b"%d" % self.length))
        return self.fields

    def _bare(self) -> str:
        return "none" if self.framing == "length" else self.framing

    def steps(self) -> list[Step]:
        """What goes over the wire."""
        fields = self._framed()
        if self.framing == "chunked":
            fields = (*fields, (b"Transfer-Encoding", b"chunked"))
        lines = [b"%s %d %s" % (self.version, self.status, self.reason)]
        lines += [name + b": " + value for name, value in fields]
        steps: list[Step] = [b"\r\n".join([*lines, b"", b""])]
        if not self.head_only:
            for step in self.body:
                if self.framing == "chunked" and isinstance(step, (bytes, Section)):
                    for piece in pieces(step, PIECE):
                        steps += [b"%x\r\n" % len(piece), piece, b"\r\n"]
                else:
                    steps.append(step)
            if self.framing == "chunked":
                steps.append(b"0\r\n\r\n")
        if self.framing == "close":
            steps.append(Close())
        return steps


def status(code: int, *fields: tuple[bytes, bytes], body: bytes = b"") -> Reply:
    """A reply of that status: 429 or 503 with Retry-After, a redirect with Location, ..."""
    return Reply(code, fields, (body,) if body else ())


@dataclass(frozen=True, slots=True)
class File:
    """One file, served honestly: HEAD, single ranges, If-Range, If-Match. Several ranges get the
    whole, `ranges=False` ignores Range.
    """

    content: Content
    etag: bytes | None = b'"v1"'
    last_modified: bytes | None = b"Thu, 01 Jan 2026 00:00:00 GMT"
    date: bytes | None = b"Fri, 02 Jan 2026 00:00:00 GMT"
    media_type: bytes = b"video/mp4"
    ranges: bool = True
    framing: str = "length"

    def reply(self, received: Received) -> Reply:
        """RFC 9110 sections 13 and 14, as far as single ranges go."""
        fields = [(b"Content-Type", self.media_type)]
        for name, value in (
            (b"ETag", self.etag),
            (b"Last-Modified", self.last_modified),
            (b"Date", self.date),
        ):
            if value is not None:
                fields.append((name, value))
        whole = Reply(
            200,
            (*fields, (b"Accept-Ranges", b"bytes" if self.ranges else b"none")),
            (Section(self.content, 0, len(self.content)),),
            self.framing,
            head_only=received.method == b"HEAD",
        )
        if (wanted := received.get(b"if-match")) is not None and wanted not in (b"*", self.etag):
            return status(412)
        current = (self.etag, self.last_modified)
        unchanged = received.get(b"if-range") in (None, *current)
        if received.method != b"GET" or not self.ranges or not unchanged:
            return whole
        return self._part(received.get(b"range"), whole)

    def _part(self, asked: bytes | None, whole: Reply) -> Reply:
        match = re.fullmatch(rb"bytes=(\d*)-(\d*)", asked or b"")
        if match is None or match[0] == b"bytes=-":
            return whole
        size = len(self.content)
        if not match[1]:
            start, stop = max(0, size - int(match[2])), size
        else:
            start, stop = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
        if start >= size or not size:
            return status(416, (b"Content-Range", b"bytes */%d" % size))
        return replace(
            whole,
            status=206,
            fields=(*whole.fields, (b"Content-Range", b"bytes %d-%d/%d" % (start, stop - 1, size))),
            body=(Section(self.content, start, stop),),
        )


def _first(step: bytes | Section, n: int) -> bytes | Section:
    if isinstance(step, Section):
        return replace(step, stop=min(step.stop, step.start + n))
    return step[:n]


def pieces(step: bytes | Section, size: int) -> Iterable[bytes | Section]:
    """The same bytes, `size` at a time."""
    for at in range(0, len(step), size):
        if isinstance(step, Section):
            start = step.start + at
            yield replace(step, start=start, stop=min(step.stop, start + size))
        else:
            yield step[at : at + size]
