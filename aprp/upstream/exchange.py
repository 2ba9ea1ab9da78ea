"""The interface to sources: a request, and the exchange that answers it.

An exchange is a response whose head is there and whose body waits to be moved: `pump` moves its
next bytes into a consumer, with the consumer's back-pressure going all the way to the source's
socket; `abort` ends it at any byte. What lies below (HTTP/1.1, or a directory on disk)
doesn't show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import IO, Any, NamedTuple, Protocol, runtime_checkable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer

from aprp.core.choices import Http2
from aprp.core.http.fields import Fields
from aprp.core.http.heads import ResponseHead
from aprp.core.http.upgrading import Offer
from aprp.core.http.urls import Url
from aprp.core.http2.windows import Place
from aprp.core.values import dataclass
from aprp.upstream.tally import UNCOUNTED, SourceTally


@dataclass(frozen=True, slots=True)
class Origin:
    """The place to connect to. Connections are shared only between equal origins."""

    scheme: str
    host: str
    port: int
    trust: Any = None
    """Whose certificates are believed, for https (an IOpenSSLTrustRoot); None: the platform's."""
    addresses: tuple[str, ...] = ()
    """Where the host is to be reached, in order, and nowhere else; empty: where its name says."""
    waited: float = field(default=0.0, compare=False)
    """Seconds of the time to connect that finding the addresses took already."""

    http2: Http2 = Http2.AUTO
    """Whether HTTP/2 is spoken: where TLS agrees on it, never, or always."""
    socket: str | None = None
    """The Unix socket to connect to, in place of the host and port."""
    directory: str | None = None
    """The directory on disk to read, in place of the host and port."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = (self.scheme, self.host, self.port, self.addresses, self.socket, self.directory)
        object.__setattr__(self, "_hash", hash((where, self.trust, self.http2)))

    def __hash__(self) -> int:
        return self._hash  # each request looks for its connections by it

    @classmethod
    def of(cls, url: Url, trust: Any = None, http2: Http2 = Http2.AUTO) -> Origin:
        """Return the origin of a URL."""
        return cls(
            url.scheme,
            url.host,
            url.port,
            trust,
            http2=http2,
            socket=url.socket,
            directory=url.directory,
        )

    @property
    def may_share(self) -> bool:
        """Whether HTTP/2 may be spoken, so that requests share a connection."""
        if self.http2 is Http2.AUTO:
            return self.scheme == "https"
        return self.http2 is Http2.PRIOR_KNOWLEDGE

    @property
    def place(self) -> str:
        """What a limit of connections is counted by, as `Url.place` has it."""
        return Url(self.scheme, self.host, self.port, "/", directory=self.directory).place

    def __str__(self) -> str:
        if self.directory is not None:
            return f"{self.directory}/"
        if self.socket is not None:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to a connection; to the answer's head; between two pieces of its body."""

    connect: float
    first_byte: float
    between_bytes: float


@runtime_checkable
class Inflow(Protocol):
    """Bytes that a client is still sending."""

    def flow(self, sink: IConsumer) -> Deferred[None]:
        """Write them into `sink` as they come, paced by it; fires at their end.

        Fails with an exception that says what the client did wrong. Called once.
        """
        ...


@runtime_checkable
class SocketSink(Protocol):
    """A consumer that ends in a socket, into which the kernel may move bytes by itself."""

    def outlet(self, n: int) -> Any:
        """Return the transport that takes the next `n` bytes; None where they must be written."""
        ...

    def passed(self, n: int) -> None:
        """Count bytes that the outlet got."""
        ...

    def pauseProducing(self) -> None:
        """Take note that the outlet is full."""
        ...

    def resumeProducing(self) -> None:
        """Take note that the outlet has sent everything."""
        ...


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a request shares a connection with others over HTTP/2.

    `place` says where in a delivery the body belongs; None: it is one of its own. `room` are bytes
    of it that have a place to go whatever happens, so that they may be in flight; None: as many as
    a client that takes them has use for. Requests to the origin are spread over `lanes`
    connections.
    """

    place: Place | None = None
    room: int | None = None
    lanes: int = 1


ALONE = Sharing()
"""For a request that isn't part of a transfer."""


class SourceRequest(NamedTuple):
    """One request as it goes out. `target` and the fields' bytes are sent as they stand here.

    `body` is a file at its start, whose Content-Length is among the fields; or bytes that are
    still coming, sent with the Content-Length that is among the fields, or in chunks where
    Transfer-Encoding is.
    """

    method: bytes
    origin: Origin
    target: bytes
    fields: Fields
    timeouts: Timeouts
    body: IO[bytes] | Inflow | None = None
    interim: Callable[[ResponseHead], None] | None = None
    """Called with each 1xx response before the final one."""
    gather: float = 0.0
    """Seconds for which a body that comes in small pieces may be left to gather: each read of the
    socket costs about the same, whatever it brings. Its beginning and its end aren't held up."""
    upgrade: Offer | None = None
    """The protocol that the connection may change to. Its fields are among `fields`."""
    tally: SourceTally = UNCOUNTED
    """The tally that counts the request and its response."""
    sharing: Sharing = ALONE
    """How it shares a connection with other requests, where HTTP/2 is spoken."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm (RFC 9110 section 9.2.2)."""
        safe = self.method in (b"GET", b"HEAD", b"OPTIONS")
        return safe and self.body is None and self.upgrade is None


class Timings(NamedTuple):
    """The times of a request on the reactor's clock, in seconds: asked (the request was written),
    answered (the head came).
    """

    asked: float
    answered: float

    @property
    def latency(self) -> float:
        return self.answered - self.asked


class Exchange(Protocol):
    """A response being received.

    After a 101, whose protocol was offered, the body is all that the source sends from then on.
    """

    head: ResponseHead
    length: int | None
    """Of the body in bytes as framed, None when only its end will tell."""
    timings: Timings
    reused: bool
    """Whether the connection was open before the request was made."""
    connection: object | None
    """What exchanges on one connection have in common, where several may be; else None."""
    moved: int
    """Body bytes moved so far, over all pumps."""

    def pump(self, sink: IConsumer, n: int | None = None) -> Deferred[int]:
        """Move the next `n` body bytes, or all that is left, into `sink`.

        A `PipeSink` may get pieces in pipes; any other gets bytes.
        Gives the number moved: less than `n` only where the body ended as its framing says.
        Fails with `BodyBroken` or `SourceLied` after whatever came has been written. One pump at
        a time; cancelling it aborts the exchange.
        """
        ...

    def take(self, n: int) -> bytes | None:
        """Return the whole body at once; None if it isn't here yet, or isn't of `n` bytes."""
        ...

    def send_on(self, inflow: Inflow) -> Deferred[None]:
        """Send a client's bytes to the source after a 101. Fires like `Inflow.flow`."""
        ...

    def hang_up(self) -> None:
        """Close, after a 101, once the source has what was sent; receive nothing more."""
        ...

    def abort(self) -> None:
        """Stop at once; what is left of the body is never received. Harmless at the end."""
        ...
