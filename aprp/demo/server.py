"""A server on a loopback port that can be killed, as if its machine died, and revived."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource

from aprp.web.quiet import QuietSite

HOST = "127.0.0.1"


class CannotRevive(Exception):
    """Raised when the port is in use; the text is for the page."""


class _Channel(HTTPChannel):
    """A connection that its site can reset."""

    site: Any

    def connectionMade(self) -> None:
        self.site.channels.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.channels.discard(self)
        super().connectionLost(reason)


class _Site(QuietSite):
    """A site whose connections can be reset."""

    def __init__(self, resource: Resource, reactor: Any) -> None:
        super().__init__(resource, reactor=reactor, parsePOSTFormSubmission=False)
        self.protocol: Any = _Channel
        self.channels: set[Any] = set()

    def reset(self) -> None:
        for channel in tuple(self.channels):
            channel.transport.abortConnection()


class Server:
    """Serves a resource. The port is bound at once; connections wait until `start`.

    Raises OSError if no port is free.
    """

    def __init__(self, resource: Resource, reactor: Any) -> None:
        self._reactor = reactor
        self._site = _Site(resource, reactor)
        self._waiting: socket.socket | None = socket.create_server((HOST, 0))
        self._open: IListeningPort | None = None
        self._changes = DeferredLock()
        self.port: int = self._waiting.getsockname()[1]

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether it listens."""
        return self._open is not None

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return len(self._site.channels)

    def start(self) -> None:
        """Accept connections, those that have waited first."""
        assert self._waiting is not None
        with self._waiting as listener:
            listener.setblocking(False)
            self._open = self._reactor.adoptStreamPort(
                listener.fileno(), socket.AF_INET, self._site
            )
        self._waiting = None

    async def kill(self) -> None:
        """Close the port and reset every connection."""
        await self._changes.run(lambda: Deferred.fromCoroutine(self._kill()))

    async def revive(self) -> None:
        """Listen on the same port again, if it doesn't. Raises `CannotRevive`."""
        await self._changes.run(maybeDeferred, self._revive)

    async def _kill(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
        port, self._open = self._open, None
        if port is not None:
            closed = maybeDeferred(port.stopListening)
            self._site.reset()
            await closed

    def _revive(self) -> None:
        if self._open is not None:
            return
        try:
            self._open = self._reactor.listenTCP(self.port, self._site, interface=HOST)
        except CannotListenError as error:
            raise CannotRevive(
                f"can't listen on port {self.port} again: {error.socketError.strerror}; "
                "end the program that uses it, or restart the demo"
            ) from None
