"""Listen on an endpoint string, or say plainly why that fails."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.config.endpoints import is_tls, with_backlog, without_tls
from aprp.daemon.certificates import Certificates
from aprp.daemon.proxy_protocol import use_for_endpoints

BACKLOG = 4096
"""Connections that the kernel may keep until they are accepted; it has a limit of its own."""
ACCEPTS = 8
"""Connections that a port accepts in one turn of the reactor. Twisted accepts more the more there
are, while nothing else is served."""

_ADVICE = {
    errno.EADDRNOTAVAIL: (
        "interface= is no address of this machine; name one that `ip address` lists, "
        "or leave interface= out to listen on all"
    ),
    errno.EACCES: (
        "a port under 1024 needs the socket unit, a unix socket a folder that this user may write"
    ),
}
"""What to do about errors other than a port that is in use."""


class CannotServe(Exception):
    """Raised when the daemon can't start or reload; the text says why, and what to do."""


class Listener(Service):
    """Listens while it runs. Making it and starting it raise `CannotServe`.

    An endpoint that fails later (those of Twisted itself never do) ends the reactor.
    """

    _log = Logger()

    def __init__(
        self,
        where: str,
        factory: IProtocolFactory,
        reactor: Any,
        advice: str,
        certificates: Certificates,
    ) -> None:
        self._factory = certificates.wrap(factory) if is_tls(where) else factory
        self._reactor = reactor
        self._advice = advice
        self._port: Deferred[IListeningPort | None] | None = None
        self.where = where
        """The endpoint string."""
        self.address = where
        """Where it listens: host and port once they are known."""
        self.bound: tuple[str, int] | None = None
        """The same for programs; None for what isn't TCP."""
        self.socket: tuple[int, int] | None = None
        """Descriptor and address family, while it listens."""
        with self._plainly():
            use_for_endpoints()
            endpoint = without_tls(with_backlog(where, BACKLOG))
            self._endpoint = serverFromString(reactor, endpoint)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        if self._port is not None:
            return
        failed: list[Failure] = []
        self._port = self._endpoint.listen(self._factory)
        self._port.addCallbacks(self._listening, failed.append)
        if failed:
            with self._plainly():
                failed[0].raiseException()
        self._port.addErrback(self._failed_late)

    def startService(self) -> None:
        super().startService()
        if self._port is None:
            self.privilegedStartService()

    async def open(self) -> None:
        """Listen while the daemon runs already; raises `CannotServe`."""
        with self._plainly():
            self._port = succeed(self._listening(await self._endpoint.listen(self._factory)))

    def _listening(self, port: IListeningPort) -> IListeningPort:
        host, open_port = port.getHost(), cast(Any, port)
        if hasattr(open_port, "fileno"):
            self.socket = (open_port.fileno(), open_port.addressFamily)
        if hasattr(open_port, "numberAccepts"):
            _accept_few(open_port)
        if isinstance(host, IPv4Address):
            self.address = f"{host.host}:{host.port}"
            self.bound = (host.host, host.port)
        elif isinstance(host, IPv6Address):
            self.address = f"[{host.host}]:{host.port}"
            self.bound = (host.host, host.port)
        return port

    def accept(self, accepting: bool) -> None:
        """Stop accepting connections, which then wait in the kernel's queue, or resume."""
        if self._port is not None:
            self._port.addCallback(_accept, accepting)

    def _failed_late(self, failure: Failure) -> None:
        if self.running:
            self._log.critical(
                "can't listen on {where}: {why}", where=self.where, why=failure.value
            )
            self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Fires when nothing is accepted any more."""
        super().stopService()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        port.cancel()
        return port.addCallback(_close)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            message = f"can't listen on {self.where}: {self._reason(error)}"
            raise CannotServe(message) from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, LookupError) and self.where.startswith("systemd:"):
            return "this process was given no such socket; start it through its socket unit"
        if isinstance(error, CannotListenError):
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            return self._with_advice(str(reason), error.socketError)
        if isinstance(error, OSError) and error.strerror:
            return self._with_advice(error.strerror, error)
        return str(error) or type(error).__name__

    def _with_advice(self, reason: str, error: object) -> str:
        return f"{reason}; {_ADVICE.get(getattr(error, 'errno', 0), self._advice)}"


def _accept_few(port: Any) -> None:
    """Bound how many connections the port accepts each time that it is read."""
    read = port.doRead

    def do_read() -> None:
        port.numberAccepts = min(port.numberAccepts, ACCEPTS)
        read()

    port.doRead = do_read


def _accept(port: Any, accepting: bool) -> Any:
    if port is not None and hasattr(port, "stopReading"):
        port.startReading() if accepting else port.stopReading()
    return port


def _close(port: Any) -> Deferred[None]:
    return succeed(None) if port is None else maybeDeferred(port.stopListening)
