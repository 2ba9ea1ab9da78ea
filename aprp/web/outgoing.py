"""The requests that a reverse proxy makes of its upstream: target, fields and body."""

from __future__ import annotations

from collections.abc import Callable

from aprp.config import UpstreamRoute
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.forwarding import claims, forwarded, with_fewer_hops, with_own
from aprp.core.http.heads import ResponseHead
from aprp.core.http.ranges import Spec
from aprp.upstream.exchange import Origin, SourceRequest, Timeouts
from aprp.upstream.http.trust import trust_of
from aprp.upstream.tally import SourceTally
from aprp.web.loops import own_via
from aprp.web.range_request import RangeRequest
from aprp.web.request import ProxyRequest

_REPLACED = frozenset((b"host", b"content-length", b"expect", b"via"))
RANGED = frozenset((b"range", b"if-range"))
"""Fields that say which bytes are meant."""
_CODINGS = frozenset((b"accept-encoding",))
_RANGED_UNCODED = RANGED | _CODINGS
_UNCODED = (b"Accept-Encoding", b"identity")
_ALL: frozenset[bytes] = frozenset()
_LEFT_OUT = {
    (trusted, more): _REPLACED | claims(trusted=trusted) | more
    for trusted in (False, True)
    for more in (_ALL, RANGED, _RANGED_UNCODED)
}
"""The fields that aren't passed on, by whether the client is a trusted proxy, and what else the
request leaves out."""

Interim = Callable[[ResponseHead], None]


class Outgoing:
    """Makes requests of a route's upstream."""

    def __init__(self, route: UpstreamRoute, tally: SourceTally) -> None:
        url = route.upstream
        self.origin = Origin.of(url, trust_of(route.tls.ca), route.http2)
        self.tally = tally
        self.stem = url.path.encode("ascii").rstrip(b"/")
        self._host = (route.host or url.authority).encode("ascii")
        self._own = tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in route.headers)
        self.fixed = ((b"Host", self._host), *self._own)
        """The fields that the route gives each request."""
        self._own_uncoded = Fields(self._own).without(_CODINGS).pairs
        self._timeouts = Timeouts(
            route.connect_timeout, route.first_byte_timeout, route.between_bytes_timeout
        )

    def ranged(
        self,
        request: ProxyRequest,
        fields: Fields,
        wanted: RangeRequest,
        spec: Spec | None,
        interim: Interim,
    ) -> SourceRequest:
        """Return the request for `spec` of a file, or for the whole of it if that is None.

        The client's If-Range goes with it if the range is the client's. A range in the path is one
        of the file itself, not of a coding of it.
        """
        added: Pairs = ()
        own, left_out = self._own, RANGED
        if wanted.asked.path is not None:
            left_out, added = _RANGED_UNCODED, (_UNCODED,)
            own = self._own_uncoded
        method = request.method
        if spec is not None:
            method, added = b"GET", (*added, (b"Range", spec.header()))
            if wanted.asked.path is None and wanted.if_range is not None:
                added = (*added, (b"If-Range", wanted.if_range))
        return self._request(request, method, wanted.path, fields, left_out, own, added, interim)

    def request(
        self, request: ProxyRequest, fields: Fields, path: bytes, interim: Interim
    ) -> SourceRequest:
        """Return the client's request as it goes on, with those of its fields.

        `path` is relative to the route.
        """
        return self._request(request, request.method, path, fields, _ALL, self._own, (), interim)

    def _request(
        self,
        request: ProxyRequest,
        method: bytes,
        path: bytes,
        fields: Fields,
        left_out: frozenset[bytes],
        own: Pairs,
        added: Pairs,
        interim: Interim,
    ) -> SourceRequest:
        trusted = request.forwarded_by_trusted
        peer = request.peer_host.encode("ascii")
        scheme = b"https" if request.isSecure() else b"http"
        lines = (
            *fields.without(_LEFT_OUT[trusted, left_out]).pairs,
            *own_via(request),
            *forwarded(fields, peer, scheme, request.authority, trusted=trusted),
            *_framing_of(request),
        )
        if request.method == b"OPTIONS":
            lines = with_fewer_hops(Fields(lines)).pairs
        if own:
            lines = with_own(Fields(lines), own).pairs
        return SourceRequest(
            method,
            self.origin,
            (self.stem + path or b"/") + request.target.query,
            Fields(((b"Host", self._host), *lines, *added)),
            self._timeouts,
            request.inflow or (request.content if request.body_length else None),
            interim,
            tally=self.tally,
        )


def _framing_of(request: ProxyRequest) -> Pairs:
    """The framing fields of a request's body: its length, or chunked if it is streamed."""
    length = request.fields.by_name.get(b"content-length")
    if request.inflow is not None and length is None:
        return ((b"Transfer-Encoding", b"chunked"),)
    if request.inflow is not None and length is not None:
        return ((b"Content-Length", b"%d" % int(length)),)
    if request.body_length or length is not None or b"transfer-encoding" in request.fields.by_name:
        return ((b"Content-Length", b"%d" % request.body_length),)
    return ()
