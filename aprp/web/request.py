"""One request of a client, and the calls that begin and end every response.

A response ends in one of two ways: `finish`, for a complete body, and `cut`, which closes the
connection so that the client can tell that the body is incomplete.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from aprp.core.http.client_address import UNKNOWN
from aprp.core.http.targets import Target
from aprp.upstream.wall_clock import time
from aprp.web.access_record import record_of
from aprp.web.clients import Release
from aprp.web.failures import Failure, Refusal, failure_of
from aprp.web.response import Response

if TYPE_CHECKING:
    from aprp.upstream.transfer.transfer import Transfer
    from aprp.web.from_cache import FromCache


class ProxyRequest(Response):
    """A request as the strict channel hands it on; `site` resources render it."""

    target: Target
    authority: bytes = b""
    """Host, or the authority of an absolute-form target; empty where HTTP/1.0 gave none."""

    route = "-"
    names_sources = False
    """Whether the client named the sources itself, so that responses may name them."""
    upstream: str | None = None
    resumes = 0
    duplicates = 0
    cache: str | None = None
    """What the cache did: hit, partial, miss, revalidated, stale, bypass; None without one."""
    cached = 0
    """Bytes of the body that weren't fetched for this request."""
    from_cache: FromCache | None = None
    """Which bytes those are, if the response is a stored one, or comes to be stored."""
    sources: tuple[tuple[str, int], ...] = ()
    """The bytes that came from each source, once the request has ended."""
    transfer: Transfer | None = None
    """The transfer that fetches the file, on routes with several sources."""
    longest_gap: float | None = None
    """The longest time, in seconds, for which the client had to wait for more of the body."""
    when_lost: Callable[[], object] | None = None
    """Called if the client leaves before its response has ended."""
    error: str | None = None
    range: bytes | None = None
    ended: str | None = None
    _in_process = False
    _client_host: str | None = None
    _release: Release | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.peer_host = str(getattr(self.client, "host", None) or UNKNOWN)
        """The address of the connection's peer."""

    def parseCookies(self) -> None:
        """Do nothing: cookies are for the upstream."""

    @property
    def version(self) -> bytes:
        """The version of HTTP that the client speaks, as Via has it."""
        return self.clientproto.removeprefix(b"HTTP/")

    @property
    def client_host(self) -> str:
        """The client's address: the peer's, or what a trusted proxy says."""
        if self._client_host is None:
            self._client_host = self.channel.site.clients.address(self.peer_host, self.fields)
        return self._client_host

    @property
    def forwarded_by_trusted(self) -> bool:
        """Whether the peer is a trusted proxy."""
        return bool(self.site.clients.believes(self.peer_host))

    def gotLength(self, length: int | None) -> None:
        """Prepare for a body. One that is spooled costs from now on, so the request counts; raises
        Refusal.
        """
        if length != 0:
            self._release = self.channel.site.clients.begins(self.client_host)
        super().gotLength(length)

    def discard(self) -> None:
        super().discard()
        self._count_no_more()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Begin to serve the request. Neither its target nor its body is read here."""
        self.method, self.uri, self.clientproto = command, path, version
        if self.content is not None:
            self.content.seek(0)
        self.process()

    def process(self) -> None:
        self._in_process = True
        self.site = self.channel.site
        self.site.in_flight.add(self)
        client = self.client_host  # which is known while the connection is there
        self.site.turns.take(partial(self._begin, client))

    def _begin(self, client: str) -> None:
        """Have the request served, unless its client left while it waited for its turn."""
        if self._disconnected:
            return
        try:
            if self._release is None:
                self._release = self.site.clients.begins(client)
            self.site.getResourceFor(self).render(self)
        except Refusal as refusal:
            self.fail(refusal)
        except Exception as error:
            self._log.failure(
                "internal error while rendering {uri}", uri=self.uri, transfer=self.id
            )
            self.fail(error)

    @property
    def body_length(self) -> int:
        """The number of body bytes that came with the request."""
        return self.spooled + (0 if self.inflow is None else self.inflow.received)

    @property
    def upgraded(self) -> bool:
        """Whether its connection has changed to another protocol."""
        return self.code == 101

    def answer(self, failure: Failure) -> None:
        """Send a whole response of aprp's own."""
        self.error = self.error or failure.kind
        if self._disconnected:
            return
        self.respond(failure.status, failure.head(), failure.body)
        self.finish()

    def fail(self, error: BaseException) -> None:
        """Answer with `error`, or cut the connection if another response has begun."""
        failure = failure_of(error, self.names_sources)
        self.error = failure.kind
        if self.startedWriting:
            self.cut()
        else:
            self.ended = "refused" if isinstance(error, Refusal) else "failed"
            self.answer(failure)

    def cut(self, stuck: bool = False) -> None:
        """Close the connection so that the client knows that its response is incomplete.

        A body with a length or in chunks lacks its end; one whose end is the close itself is ended
        by a reset instead of a FIN. A `stuck` client isn't waited for.
        """
        self.ended = self.ended or "cut"
        if self.channel is None or self.finished:
            return
        if stuck:
            self.transport.abortConnection()
        elif self.chunked or self._owed is not None or not self.startedWriting:
            self.channel.close()
        else:
            self.channel.reset()

    def connectionLost(self, reason: Any) -> None:
        self.ended = self.ended or "client left"
        super().connectionLost(reason)
        if self.when_lost is not None:
            self.when_lost()
        if self._in_process:
            self._record()
        self._count_no_more()

    def finish(self) -> None:
        if self._disconnected:
            return
        if self._owed:
            self._log.error(
                "the response to {uri} is shorter than its Content-Length",
                uri=self.uri,
                transfer=self.id,
            )
            self.cut()
            return
        self.ended = self.ended or "complete"
        self._record()  # before the next request on the connection is begun
        self.when_lost = None
        super().finish()

    def _record(self) -> None:
        self.site.in_flight.discard(self)
        self._count_no_more()
        self.site.observe(record_of(self, time()))

    def _count_no_more(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()
