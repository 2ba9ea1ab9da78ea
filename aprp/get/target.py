"""Targets of a download: a partial file, or a stream."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from twisted.internet.threads import deferToThread

from aprp.get.naming import CannotWrite, ReaderLeft
from aprp.get.partial import Partial


class Target(Protocol):
    """A target that takes bytes in order."""

    async def write(self, data: bytes) -> None:
        """Write the next bytes; wait for room. Raises CannotWrite or ReaderLeft."""
        ...

    async def save(self) -> None:
        """Save what was written so far."""
        ...

    def finish(self) -> None:
        """Finish a complete download."""
        ...

    def discard(self) -> None:
        """Discard what was written."""
        ...

    def close(self) -> None:
        """Close the target."""
        ...


class ToPartial:
    """A target that writes a partial file."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial

    async def write(self, data: bytes) -> None:
        self._partial.write(data)

    async def save(self) -> None:
        await deferToThread(self._partial.save)

    def finish(self) -> None:
        self._partial.finish()

    def discard(self) -> None:
        self._partial.discard()

    def close(self) -> None:
        self._partial.close()


class ToStream:
    """A target that writes to a pipe, a device or standard output (None), in a thread."""

    def __init__(self, path: Path | None) -> None:
        self._name = "standard output" if path is None else str(path)
        try:
            self._file = os.dup(1) if path is None else os.open(path, os.O_WRONLY)
        except OSError as error:
            raise CannotWrite(f"{self._name} can't be written: {error.strerror}") from None

    async def write(self, data: bytes) -> None:
        try:
            await deferToThread(self._write, data)
        except BrokenPipeError:
            raise ReaderLeft from None
        except OSError as error:
            raise CannotWrite(f"{self._name} can't be written: {error.strerror}") from None

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    async def save(self) -> None:
        """Do nothing: a stream can't be resumed."""

    def finish(self) -> None:
        self.close()

    def discard(self) -> None:
        self.close()

    def close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)
