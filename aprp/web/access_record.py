"""What is known of one finished request: what the access log and the metrics are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aprp.web.request import ProxyRequest

ENDINGS = ("complete", "client left", "cut", "refused", "failed")
"""How requests end. A record has one of them in `ended`."""

_SILENT = frozenset(
    ("connection_timeout", "http_response_timeout", "connection_read_timeout", "dns_timeout")
)
"""RFC 9209 types of errors that were a matter of time."""


class AccessRecord(NamedTuple):
    """The record of one request that has ended.

    Text stands as it was received (the writers of logs escape it). Sizes are bytes,
    ``started_at`` is unix time, ``seconds`` runs from the request's arrival to its end.
    """

    client: str
    method: str
    target: str
    version: str
    status: int  # 0: none was sent
    bytes_sent: int  # of the body
    started_at: float
    seconds: float
    host: str | None = None
    bytes_received: int = 0  # of the request's body, or after a 101
    range: str | None = None  # as asked, whether in the header or in the path
    route: str = "-"  # the path of the route, "-" where there was none
    upstream: str | None = None  # authority
    ended: str = "complete"  # one of ENDINGS
    error: str | None = None  # a Proxy-Status error type (RFC 9209 §2.3)
    resumes: int = 0  # times that a broken body was resumed
    duplicates: int = 0  # bytes that came from a source though they were there already
    referer: str | None = None
    user_agent: str | None = None
    id: str = "-"
    first_byte: float | None = None  # seconds until the answer began
    longest_gap: float | None = None  # seconds for which the client had to wait within the body
    sources: tuple[tuple[str, int], ...] = ()  # bytes that came from each
    spliced: int = 0  # bytes of the body that the kernel moved
    cache: str | None = None  # what the cache did, None without one
    cached: int = 0  # bytes of the body that weren't fetched for this request

    @property
    def ending(self) -> str:
        """Who ended the request and when, in two characters like HAProxy's termination state.

        Who: ``-`` nobody, it is complete; ``C`` the client, ``c`` its silence; ``S`` an upstream
        or source, ``s`` its silence; ``P`` the proxy's rules; ``K`` the proxy as it stopped; ``I``
        an internal error. When: ``R`` while the request was received, ``H`` before the head of the
        response was sent, ``D`` in the body, ``-`` at the end.
        """
        if self.ended == "complete":
            return "--"
        when = "D" if self.first_byte is not None else "H"
        if self.ended == "client left":
            return "C" + when
        if self.error == "connection_write_timeout":
            return "cD"
        if self.ended == "refused":
            return "cR" if self.status == 408 else "PR"
        when = "H" if self.ended == "failed" else when
        if self.error is None:
            return "K" + when
        if self.error == "proxy_internal_error":
            return "I" + when
        return ("s" if self.error in _SILENT else "S") + when


def record_of(request: ProxyRequest, now: float) -> AccessRecord:
    """Return the record of a request that ends now, in Unix time."""
    named = request.fields.by_name
    return AccessRecord(
        client=request.client_host,
        method=request.method.decode("latin-1"),
        target=request.uri.decode("latin-1"),
        version=request.clientproto.decode("latin-1"),
        status=request.code if request.startedWriting else 0,
        bytes_sent=request.sentLength,
        bytes_received=request.body_length,
        started_at=request.arrived,
        seconds=now - request.arrived,
        host=request.authority.decode("latin-1") if request.authority else None,
        range=request.range.decode("latin-1") if request.range else None,
        route=request.route,
        upstream=request.upstream,
        ended=request.ended or "complete",
        error=request.error,
        resumes=request.resumes,
        referer=_text(named.get(b"referer")),
        user_agent=_text(named.get(b"user-agent")),
        id=request.id,
        first_byte=request.first_byte,
        longest_gap=request.longest_gap,
        sources=request.sources,
        duplicates=request.duplicates,
        spliced=request.spliced,
        cache=request.cache,
        cached=request.cached,
    )


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value else None
