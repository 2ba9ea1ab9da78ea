"""The process of one worker: what it writes, and its exit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

MOST_BYTES = 1 << 20
"""The length of a line; a longer one is passed on in pieces."""


class WorkerProcess(ProcessProtocol):
    """Passes on whole lines of standard output and standard error; calls `ended` at its exit."""

    def __init__(
        self,
        write_out: Callable[[bytes], object],
        write_error: Callable[[bytes], object],
        ended: Callable[[Any], object],
    ) -> None:
        self._writers = {1: write_out, 2: write_error}
        self._rest = {1: b"", 2: b""}
        self._on_end = ended

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, rest = (self._rest[childFD] + data).split(b"\n")
        if len(rest) > MOST_BYTES:
            lines, rest = [*lines, rest], b""
        self._rest[childFD] = rest
        for line in lines:
            self._writers[childFD](line + b"\n")

    def processEnded(self, reason: Failure) -> None:
        for number, rest in self._rest.items():
            if rest:
                self._writers[number](rest + b"\n")
        self._on_end(reason.value)
