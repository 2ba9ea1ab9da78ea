"""Simulated pipes and splice(2), for bodies that the kernel moves between simulated sockets."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping

from tests.simulation.sockets import SimulatedSocket

CAPACITY = 1 << 18


class SimulatedPipe:
    """A pipe, in place of `aprp.upstream.splice.pipes.Pipe`. Both of its ends are the pipe."""

    def __init__(self) -> None:
        self.data = b""
        self.into = self.out = self

    def grow(self) -> int:
        return CAPACITY

    def close(self) -> None:
        self.data = b""


class SimulatedSplices:
    """What `aprp.upstream.splice.piped` asks of `os`."""

    def __init__(self, sockets: Mapping[int, SimulatedSocket]) -> None:
        self._sockets = sockets

    def splice(
        self, source: int | SimulatedPipe, sink: int | SimulatedPipe, most: int, flags: int
    ) -> int:
        if isinstance(sink, SimulatedPipe):
            assert isinstance(source, int)
            room = CAPACITY - len(sink.data)
            if room <= 0:
                raise BlockingIOError(errno.EAGAIN, "the pipe is full")
            data = self._socket(source).recv(min(most, room))
            sink.data += data
            return len(data)
        assert isinstance(source, SimulatedPipe)
        sent = self._socket(sink).send(memoryview(source.data)[:most])
        source.data = source.data[sent:]
        return sent

    def read(self, pipe: SimulatedPipe, most: int) -> bytes:
        data, pipe.data = pipe.data[:most], pipe.data[most:]
        return data

    def _socket(self, number: int) -> SimulatedSocket:
        found = self._sockets.get(number)
        if found is None:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return found


def waiting_in(sockets: Mapping[int, SimulatedSocket]) -> Callable[[int], int]:
    """Return what tells how many bytes a socket has received that nobody has read."""

    def waiting(number: int) -> int:
        found = sockets.get(number)
        return 0 if found is None or found.end is None else found.end.unread_size

    return waiting
