"""Fetches a file into the cache by a request of the daemon to itself.

So it is stored under the rules that hold for clients, and found by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from aprp.config.endpoints import is_tls, is_unix
from aprp.core.http.caching.cache_status import CACHE
from aprp.core.http.urls import Url
from aprp.core.values import dataclass
from aprp.web.admin.actions import CannotDo

HEAD = 65536
"""The most bytes of a response's head."""
PATIENCE = 4.0
"""Seconds until a response has to begin."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The head of a response: its status, 0 for none; its length, if known; what the cache says of
    it (RFC 9211), None if its route has no cache.
    """

    status: int = 0
    length: int | None = None
    cache: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the response is in the cache, or will be."""
        return self.cache is not None and {"hit", "stored"} & set(self.cache.split("; ")) != set()


def own_address(
    endpoints: Iterable[str], bound: Iterable[tuple[str, int]]
) -> tuple[str, int] | None:
    """Return an address at which the daemon listens without TLS, or None."""
    plain = [not is_tls(each) for each in endpoints if not is_unix(each)]
    for (host, port), is_plain in zip(bound, plain, strict=False):
        if is_plain:
            return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
    return None


async def prefetch(reactor: Any, where: tuple[str, int], text: str) -> Begun:
    """Begin to fetch a URL of the daemon's clients.

    It goes on after that if the response is kept. Raise `CannotDo` if it doesn't begin.
    """
    try:
        url = Url.parse(text)
    except ValueError as error:
        raise CannotDo(f"{text!r} is not a URL as clients request it: {error}") from None
    factory = _Factory(url)
    reactor.connectTCP(*where, factory)
    try:
        return await factory.begun.addTimeout(PATIENCE, reactor)
    except TimeoutError:
        raise CannotDo(
            f"no response for {text} within {PATIENCE:g} s; it is still awaited"
        ) from None
    except ConnectError as error:
        raise CannotDo(f"the daemon can't be reached at {where[0]}:{where[1]}: {error}") from None


class _Factory(ClientFactory):
    noisy = False

    def __init__(self, url: Url) -> None:
        self.url = url
        self.begun: Deferred[Begun] = Deferred()

    def buildProtocol(self, addr: object) -> Protocol:
        return _Taking(self)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        if not self.begun.called:
            self.begun.errback(reason)


class _Taking(Protocol):
    """Requests the URL, and drops what comes."""

    def __init__(self, factory: _Factory) -> None:
        self._factory = factory
        self._head: bytes | None = b""

    def connectionMade(self) -> None:
        url = self._factory.url
        assert self.transport is not None
        self.transport.write(
            b"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: aprp-prefetch\r\nConnection: close\r\n\r\n"
            % (url.target.encode(), url.authority.encode())
        )

    def dataReceived(self, data: bytes) -> None:
        if self._head is None:
            return
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if end or len(head) > HEAD:
            self._head = None
            self._begin(_read(head))

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._head is not None:
            self._begin(Begun())

    def _begin(self, begun: Begun) -> None:
        if not begun.kept:
            assert self.transport is not None
            self.transport.loseConnection()
        if not self._factory.begun.called:
            self._factory.begun.callback(begun)


def _read(head: bytes) -> Begun:
    """Return what a response's head says."""
    first, *lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b":", 1) for line in lines if b":" in line)
    length = fields.get(b"content-length", b"").strip()
    said = fields.get(b"cache-status", b"").decode("latin-1").strip()
    own = said.rfind(f"{CACHE};")  # the last member; others are of caches behind this one
    return Begun(
        int(first.split(b" ")[1]),
        int(length) if length.isdigit() else None,
        said[own:] if own >= 0 else None,
    )
