"""An adapter of our agent to treq's agent interface, and treq with safe settings.

By default treq rewrites URLs, accepts gzip, follows redirects, shares cookies and buffers bodies.
Here the request goes to the adapter's target byte for byte, requests identity encoding and stores
no cookies; the other features are turned off in the call.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

from hyperlink import EncodedURL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from zope.interface import implementer

from aprp.core.http.fields import Fields
from aprp.core.http.urls import Url
from aprp.upstream.exchange import ALONE, Exchange, Origin, Sharing, SourceRequest, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.splice.piped import Piece, Use
from aprp.upstream.tally import UNCOUNTED, SourceTally

GATHER = 0.004
"""Seconds between two reads of a slow body."""


class _AnyUrl(EncodedURL):
    """The URL that treq is given in place of the adapter's own, which it would take apart."""

    def to_uri(self) -> EncodedURL:
        """Return itself: it is a URI already."""
        return self

    def to_text(self, with_password: bool = False) -> str:
        """Return what it was made from."""
        return _ANYWHERE


class _NoCookies(IndexableCookieJar):
    """A cookie jar that stays empty."""

    def add_cookie_header(self, request: Any) -> None:
        """Add nothing to a request."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep nothing of a response."""


_ANYWHERE = "http://localhost/"
_ANY_URL = _AnyUrl.from_text(_ANYWHERE)
_IDENTITY = (b"Accept-Encoding", b"identity")
_OWN = frozenset((b"host", b"accept-encoding"))
_NO_COOKIES = _NoCookies(policy=DefaultCookiePolicy(allowed_domains=[]))


@implementer(IConsumer)
class _Body:
    """Hands what is pumped to a protocol, as `IResponse.deliverBody` has it.

    A protocol with `piped_use` may get pieces in pipes.
    """

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._piped_use: Callable[[int], Use] | None = getattr(protocol, "piped_use", None)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._protocol.makeConnection(producer)

    def unregisterProducer(self) -> None:
        """Do nothing: `connectionLost` reports the end."""

    def write(self, data: Piece) -> None:
        self._protocol.dataReceived(data)

    def piped_use(self, n: int) -> Use:
        return Use.COPY if self._piped_use is None else self._piped_use(n)


@implementer(IResponse)
class SourceResponse:
    """An exchange as a response. `exchange` is what every body is taken from."""

    def __init__(self, exchange: Exchange) -> None:
        head = exchange.head
        self.version = (b"HTTP", head.major, head.minor)
        self.code = head.status
        self.phrase = head.reason
        self.headers = Headers()  # treq finds no cookies and no coding to act on
        self.length = UNKNOWN_LENGTH if exchange.length is None else exchange.length
        self.request: Any = None
        self.previousResponse: Any = None
        self.exchange = exchange

    def deliverBody(self, protocol: Protocol) -> None:
        def lost(result: Any) -> None:
            whole = not isinstance(result, Failure)
            protocol.connectionLost(Failure(ResponseDone()) if whole else result)

        self.exchange.pump(_Body(protocol)).addBoth(lost)

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response


@implementer(IAgent)
class SourceAgent:
    """Sends requests with certain fields for one URL to one origin.

    What treq says of the URL and of fields is not heeded.
    """

    def __init__(
        self,
        agent: Agent,
        origin: Origin,
        url: Url,
        fields: Fields,
        timeouts: Timeouts,
        host: str | None = None,
        tally: SourceTally = UNCOUNTED,
        sharing: Sharing = ALONE,
    ) -> None:
        self._sharing = sharing
        self._agent = agent
        self._origin = origin
        self._target = url.target.encode("ascii")
        host_field = (b"Host", (host or url.authority).encode("ascii"))
        own = [pair for pair in fields.pairs if pair[0].lower() not in _OWN]
        self._fields = Fields((host_field, _IDENTITY, *own))
        self._timeouts = timeouts
        self._tally = tally

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,
    ) -> Deferred[IResponse]:
        return Deferred.fromCoroutine(self._open(method))

    async def _open(self, method: bytes) -> IResponse:
        request = SourceRequest(
            method,
            self._origin,
            self._target,
            self._fields,
            self._timeouts,
            gather=GATHER,
            tally=self._tally,
            sharing=self._sharing,
        )
        return SourceResponse(await self._agent.open(request))


async def ask(face: SourceAgent, method: str) -> SourceResponse:
    """Make one request through treq; the body of the response waits in its exchange.

    Cancelling the coroutine's Deferred before it fires closes the connection.
    """
    client = HTTPClient(face, cookiejar=_NO_COOKIES)
    asked: Any = client.request(
        method, _ANY_URL, cookies=_NO_COOKIES, unbuffered=True, allow_redirects=False
    )
    response = await asked
    while not isinstance(response, SourceResponse):
        response = response.original  # what treq, and its decoder of gzip, wrap
    return response
