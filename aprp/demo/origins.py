"""The resource of a mirror: its files, at the speed of its line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from aprp.core.http.ranges import Range
from aprp.demo.files import Content, File, answer
from aprp.demo.line import Line
from aprp.web.admin.answering import fields_of

TICK = 0.02
"""Seconds between two pieces of a body."""


@implementer(IPushProducer)
class PacedBody:
    """Sends a part of a file to a request as fast as the line allows and the client takes it."""

    def __init__(
        self, request: Request, content: Content, part: Range, line: Line, reactor: Any
    ) -> None:
        self._request: Any = request
        self._content = content
        self._at = part.start
        self._stop = part.stop
        self._line = line
        self._reactor = reactor
        self._call: Any = None
        request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        if self._call is None and self._request is not None:
            self._send()

    def pauseProducing(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def stopProducing(self) -> None:
        self.pauseProducing()
        self._request = None

    def _send(self) -> None:
        self._call = self._reactor.callLater(TICK, self._send)
        allowed = self._line.take(self._stop - self._at)
        piece = self._content[self._at : self._at + allowed]
        self._at += allowed
        request, whole = self._request, self._at == self._stop
        if whole:
            self.stopProducing()
        if piece:
            request.write(piece)
        if whole and not request.finished:
            request.unregisterProducer()
            request.finish()
        self._line.sent(allowed)


class Origin(Resource):
    """The files of one mirror, by their whole path."""

    isLeaf = True

    def __init__(self, files: Mapping[str, File], line: Line, reactor: Any) -> None:
        super().__init__()
        self._files = files
        self._line = line
        self._reactor = reactor

    def render_GET(self, request: Request) -> bytes | int:
        file = self._files.get(request.path.decode("latin-1"))
        if file is None:
            request.setResponseCode(404)
            return b"not found\n"
        found = answer(file, request.method, fields_of(request), int(time.time()))
        request.setResponseCode(found.status)
        for name, value in found.fields:
            request.setHeader(name, value)
        if found.status == 304:
            return b""
        request.setHeader("Content-Length", b"%d" % found.part.length)
        if request.method == b"HEAD" or not found.part.length:
            return b""
        PacedBody(request, file.content, found.part, self._line, self._reactor)
        return NOT_DONE_YET
