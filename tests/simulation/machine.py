"""The rest of the machine below a simulated process: its time of day, its threads, its ioctls.

These are the places where aprp leaves its reactor. Whoever adds another one adds it here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import pkgutil
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.http import HTTPFactory

import aprp
from aprp.config import Loaded
from aprp.daemon import reload
from aprp.upstream import wall_clock
from aprp.upstream.http import names, received
from aprp.upstream.metalink import directory, reading
from aprp.upstream.splice import piped, pipes
from aprp.upstream.transfer import hashing, sample, whole
from aprp.web import site, sockets
from aprp.web.admin import overview
from tests.simulation.clock import SimulatedClock
from tests.simulation.sockets import SimulatedSocket
from tests.simulation.splices import SimulatedPipe, SimulatedSplices, waiting_in

Addresses = Callable[[str], tuple[tuple[str, ...], float | None]]
"""A name's addresses, and the seconds until they are known; None: never."""
Load = Callable[[object], Loaded]
"""What reading the configuration file gives, or raises."""
READING = 0.05
"""Seconds that reading a file in a thread takes."""
HASHING = 0.002
"""Seconds that hashing and parsing in a thread take."""

_FLOORS = ("aprp.cache", "aprp.upstream", "aprp.web")


def load_all() -> None:
    """Import what the daemon imports only when it is needed.

    A module that were imported during a simulation would keep what is simulated for the next ones.
    """
    for module in pkgutil.walk_packages(aprp.__path__, "aprp."):
        if module.name.startswith(_FLOORS):
            importlib.import_module(module.name)


load_all()


@contextlib.contextmanager
def machine(
    clock: SimulatedClock,
    addresses: Addresses,
    load: Load,
    descriptors: Mapping[int, SimulatedSocket],
) -> Iterator[None]:
    """Have all that asks the system ask the simulation for as long as this holds."""

    class Thread:
        """A lookup in a thread of its own."""

        def __init__(self, target: Any, args: tuple[str], **_: Any) -> None:
            self._target = target
            self._host = args[0]

        def start(self) -> None:
            _, delay = addresses(self._host)
            if delay is not None:
                clock.callLater(delay, self._target, self._host)

    def resolve(host: str) -> tuple[str, ...]:
        found, _ = addresses(host)
        if not found:
            raise OSError(errno.ENOENT, f"no address of {host}")
        return found

    def in_thread(reactor: Any, pool: Any, function: Any, *args: Any) -> Deferred[Any]:
        return deferLater(clock, READING, function, *args)

    def soon(function: Any, *args: Any) -> Deferred[Any]:
        return deferLater(clock, HASHING, function, *args)

    # Timers of each second, of no consequence here, would be most of what is simulated.
    before = wall_clock.read_from(clock.seconds)
    try:
        with (
            mock.patch.object(names, "Thread", Thread),
            mock.patch.object(names, "_getaddrinfo", resolve),
            mock.patch.object(sockets, "fcntl", _Ioctls),
            mock.patch.object(pipes, "Pipe", SimulatedPipe),
            mock.patch.object(piped, "os", SimulatedSplices(descriptors)),
            mock.patch.object(piped, "WORTH_KEEPING", 4096),
            mock.patch.object(received, "WORTH_PIPING", 16384),
            mock.patch.object(piped, "_waiting", waiting_in(descriptors)),
            mock.patch.object(reload, "load", load),
            mock.patch.object(reload, "deferToThreadPool", in_thread),
            mock.patch.object(hashing, "deferToThread", soon),
            mock.patch.object(directory, "deferToThread", soon),
            mock.patch.object(reading, "deferToThread", soon),
            mock.patch.object(whole, "deferToThread", soon),
            mock.patch.object(sample, "pick", random.Random(3).sample),
            mock.patch.object(overview, "SAMPLE", 60.0),
            mock.patch.object(site, "allowed_by_group", int),
            mock.patch.object(HTTPFactory, "_updateLogDateTime", lambda _: None),
        ):
            yield
    finally:
        wall_clock.read_from(before)


class _Ioctls:
    """Those of simulated sockets."""

    @staticmethod
    def ioctl(handle: Any, request: int, argument: bytes) -> bytes:
        if isinstance(handle, SimulatedSocket):
            return struct.pack("i", handle.unacknowledged)
        return fcntl.ioctl(handle, request, argument)
