"""The simulated network: links with latency, rate and segments, and ends as kernels have them.

An `End` is one end of a connection, with the behaviour of a Linux socket that the daemon's promises
depend on: a bounded buffer between the two, FIN behind what was written, RST past it, RST for who
closes with bytes unread or sends to a closed end, and bytes that can still be read after an RST.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.clock import SimulatedClock

BUFFER = 131072
"""Bytes on their way or unread, for each direction of a connection."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Link:
    """Both directions of a connection. The first `small` segments are cut to `crumb` bytes."""

    latency: float = 0.01
    rate: float = 4e6
    segment: int = 65536
    small: int = 0
    crumb: int = 64


class End:
    """One end. `watch` is called after whatever changes what can be read or written."""

    __slots__ = (
        "_free_at",
        "_network",
        "closed",
        "connected",
        "fin",
        "link",
        "local",
        "on_its_way",
        "peer",
        "received",
        "remote",
        "reset",
        "sent",
        "sent_fin",
        "unread",
        "unread_size",
        "watch",
    )

    def __init__(self, network: Network, link: Link, local: Address, remote: Address) -> None:
        self._network = network
        self._free_at = 0.0
        self.link = link
        self.local = local
        self.remote = remote
        self.peer: End = self
        self.unread: deque[bytes] = deque()
        self.unread_size = 0
        self.on_its_way = 0
        self.connected = True
        self.fin = False
        self.reset = False
        self.closed = False
        self.sent_fin = False
        self.sent = 0
        self.received = 0
        self.watch: Callable[[], None] = _idle

    # Writing

    @property
    def room(self) -> int:
        return BUFFER - self.on_its_way - self.peer.unread_size

    @property
    def leaves_in(self) -> float:
        """Seconds until all that was written is on its way."""
        return max(0.0, self._free_at - self._network.clock.rightNow)

    @property
    def writable(self) -> bool:
        return self.reset or self.sent_fin or self.room > 0

    def send(self, data: bytes) -> int:
        """How many bytes were taken; BrokenPipeError where the connection is gone."""
        if self.reset or self.sent_fin or self.closed:
            raise BrokenPipeError(32, "Broken pipe")
        taken = data[: self.room]
        link, clock = self.link, self._network.clock
        at, now = 0, clock.rightNow
        self._free_at = max(self._free_at, now)
        while at < len(taken):
            size = min(link.segment, max(1460, int(link.rate / 25)))
            if link.small * link.crumb > self.sent:
                size = link.crumb
            piece = taken[at : at + size]
            at += len(piece)
            self.sent += len(piece)
            self._free_at += len(piece) / link.rate
            self.on_its_way += len(piece)
            clock.callLater(self._free_at + link.latency - now, self._arrive, piece)
        return len(taken)

    def finish(self) -> None:
        """FIN behind what was written."""
        if not (self.sent_fin or self.reset or self.closed):
            self.sent_fin = True
            now = self._network.clock.rightNow
            self._free_at = max(self._free_at, now)
            self._network.clock.callLater(self._free_at + self.link.latency - now, self._fin_comes)

    def close(self, abort: bool = False) -> None:
        """As close(2) does; `abort` as with SO_LINGER of no time."""
        if self.closed:
            return
        if abort or self.unread_size:
            self._send_reset()
        else:
            self.finish()
        self.closed = True
        self.unread.clear()
        self.unread_size = 0
        self._network.ends.discard(self)
        self.watch = _idle

    def _send_reset(self) -> None:
        if not self.reset:
            self._network.clock.callLater(self.link.latency, self.peer._reset_comes)
            self.sent_fin = True

    def _arrive(self, data: bytes) -> None:
        peer = self.peer
        self.on_its_way -= len(data)
        if peer.reset or self.reset:
            return
        if peer.closed:
            peer._send_reset()
            return
        peer.unread.append(data)
        peer.unread_size += len(data)
        peer.received += len(data)
        peer.watch()

    def _fin_comes(self) -> None:
        peer = self.peer
        if not (peer.closed or peer.reset or self.reset):
            peer.fin = True
            peer.watch()

    def _reset_comes(self) -> None:
        self.reset = True
        self.watch()

    # Reading

    @property
    def readable(self) -> bool:
        return bool(self.unread) or self.fin or self.reset

    def receive(self, most: int) -> bytes:
        """Empty at the end; BlockingIOError where there is nothing, ConnectionResetError."""
        if self.unread:
            data = self.unread.popleft()
            if len(data) < most and self.unread:
                pieces, size = [data], len(data)
                while self.unread and size + len(self.unread[0]) <= most:
                    pieces.append(self.unread.popleft())
                    size += len(pieces[-1])
                data = b"".join(pieces)
            elif len(data) > most:
                self.unread.appendleft(data[most:])
                data = data[:most]
            full = self.peer.room <= 0
            self.unread_size -= len(data)
            if full and self.peer.room > 0:
                self._network.clock.callLater(self.link.latency, _woken, self.peer)
            return data
        if self.reset:
            raise ConnectionResetError(104, "Connection reset by peer")
        if self.fin:
            return b""
        raise BlockingIOError(11, "Resource temporarily unavailable")


def _idle() -> None:
    """Nobody looks."""


def _woken(end: End) -> None:
    end.watch()


class Network:
    """Who listens where, by which links they are reached, and which ends are open.

    `rule` gives what happens to a connection to an address: a `Link`, None to refuse it, or "lost"
    for silence.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.ends: set[End] = set()
        self.listeners: dict[Address, Callable[[End], None]] = {}
        self.link_to: Callable[[Address, str], Link | str | None] = lambda where, source: Link()
        self._ports: dict[str, int] = {}

    def listen(self, where: Address, accept: Callable[[End], None]) -> None:
        self.listeners[where] = accept

    def connect(
        self, source: str, where: Address, made: Callable[[End | None], None], link: Any = None
    ) -> None:
        """`made` is called with the near end, with None where it's refused, or never."""
        how = link if link is not None else self.link_to(where, source)
        if how == "lost":
            return
        if how is None or where not in self.listeners:
            latency = how.latency if isinstance(how, Link) else 0.01
            self.clock.callLater(2 * latency, made, None)
            return
        assert isinstance(how, Link)
        self.clock.callLater(how.latency, self._syn, source, where, made, how)

    def _syn(
        self, source: str, where: Address, made: Callable[[End | None], None], link: Link
    ) -> None:
        accept = self.listeners.get(where)
        if accept is None:
            self.clock.callLater(link.latency, made, None)
            return
        port = self._ports[source] = self._ports.get(source, 40000) + 1
        near = End(self, link, (source, port), where)
        far = End(self, link, where, (source, port))
        near.peer, far.peer = far, near
        self.ends |= {near, far}
        accept(far)
        self.clock.callLater(link.latency, made, near)
