"""The settings of routes: what is served from where, and by which rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aprp.config.caching import RouteCache, RouteCacheSettings
from aprp.config.choices import (
    Compare,
    Delay,
    Duplicate,
    Http2,
    PathRanges,
    Redirects,
    RequestBuffering,
    Same,
    UnderscoreFields,
)
from aprp.config.faults import nearest
from aprp.config.fields import refuse_coding
from aprp.config.files import (
    CaFile,
    Directory,
    PasswordFile,
)
from aprp.config.metalink import LINKS, Metalink
from aprp.config.model import Headers, Model, ResponseHeaders
from aprp.config.network import (
    Authority,
    HostGlob,
    HttpUrl,
    Network,
    NetworkBlock,
    OriginName,
    ProtocolName,
    QueryName,
    RequestPath,
    RoutePath,
)
from aprp.config.scalars import (
    KIB,
    MIB,
    Choice,
    Count,
    Duration,
    Secret,
    Size,
)
from aprp.core.http.signed_urls import LinkBinding, SignatureForm
from aprp.core.http.urls import Url


class TlsSettings(Model):
    """TLS to upstreams. Certificates are always verified."""

    ca: Annotated[Path, CaFile()] | None = None
    """A PEM file of CA certificates to trust; null: the system's."""


class SecureLinkSettings(Model):
    """How the URLs of a route must be signed, with ?expires=UNIX&sig=SIGNATURE."""

    secret: Annotated[str, Secret()]
    """The signing key; at least 16 characters."""
    form: Annotated[SignatureForm, Choice(SignatureForm)] = SignatureForm.HMAC
    """hmac: HMAC-SHA-256 in sig=; md5: nginx's secure_link in md5=."""
    bound_to: Annotated[LinkBinding, Choice(LinkBinding)] = LinkBinding.NOTHING
    """address: a link works for one client address only; nothing: for everyone."""


class HealthSettings(Model):
    """Active health checks of a route's sources."""

    path: Annotated[str, RequestPath()]
    """The path to request from each source's host; a status of 200 to 399 passes."""
    interval: Annotated[float, Duration(least=0.1)] = 10.0
    """The time between checks, and the timeout of a check."""
    fails: Annotated[int, Count(1, 1000)] = 3
    """How many failed checks in a row take a source out of service."""
    passes: Annotated[int, Count(1, 1000)] = 2
    """How many passed checks in a row put it back in service."""


class RouteSettings(Model):
    """Settings common to all kinds of routes."""

    path: Annotated[str, RoutePath()]
    """The URL prefix, in whole segments. The longest match wins."""
    connect_timeout: Annotated[float, Duration()] = 5.0
    """How long connecting to an upstream may take, including name lookup and TLS."""
    first_byte_timeout: Annotated[float, Duration()] = 10.0
    """How long an upstream may take from the request to the first byte of its response."""
    between_bytes_timeout: Annotated[float, Duration()] = 10.0
    """How long an upstream may be silent in the middle of a response."""
    send_timeout: Annotated[float, Duration()] = 60.0
    """How long a client may accept nothing of a response, or send nothing of a request body."""
    resume_for: Annotated[float, Duration(least=0.0)] = 30.0
    """How long to retry a broken response without progress; 0s: don't retry."""
    max_ranges: Annotated[int, Count(1, 1000)] = 16
    """The most ranges in a request; a request for more gets the whole file."""
    max_body: Annotated[int, Size()] = 64 * MIB
    """The largest request body; a larger one gets 413."""
    host: Annotated[str, Authority()] | None = None
    """The Host field of requests to the upstream; null: the host of its URL."""
    headers: Headers = ()
    """Fields to add to each request to the upstream."""
    tls: TlsSettings = TlsSettings()
    """TLS to upstreams."""
    http2: Annotated[Http2, Choice(Http2)] = Http2.AUTO
    """auto: use HTTP/2 where TLS agrees on it; prior-knowledge: always, without TLS too."""
    hosts: tuple[Annotated[str, HostGlob()], ...] = ()
    """The hosts that the route serves, * matching any characters; empty: any host."""
    allow_clients: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """The networks that may use the route; empty: all."""
    basic_auth: Annotated[Path, PasswordFile()] | None = None
    """An htpasswd file with bcrypt hashes of the users of the route; null: everyone may use it."""
    secure_link: SecureLinkSettings | None = None
    """How the route's URLs must be signed; null: not at all."""
    response_headers: ResponseHeaders = ()
    """Fields to set on each response, replacing the upstream's."""
    cors: tuple[Annotated[str, OriginName()], ...] = ()
    """Origins whose pages may read responses, such as https://player.example; "*": all."""
    limit_rate: Annotated[int, Size(least=1024)] | None = None
    """The maximum rate of one response in bytes per second; null: no limit."""
    limit_rate_after: Annotated[int, Size(least=0)] = 0
    """How much of a response to send before limit_rate applies."""
    bandwidth: Annotated[int, Size(least=64 * KIB)] | None = None
    """The maximum rate of all responses together, in bytes per second; null: no limit."""
    cache: RouteCache = RouteCacheSettings()
    """off, on, or a mapping: what of the route to keep in the cache, if there is one."""
    redirects: Annotated[Redirects, Choice(Redirects)] = Redirects.SAME_HOST
    """Which redirects of a source to follow; upstream routes pass redirects on to the client."""


class UpstreamRoute(RouteSettings):
    """A reverse proxy for one upstream."""

    upstream: Annotated[Url, HttpUrl(query=False, unix=True)]
    """The URL that takes the place of the route's path."""
    health: HealthSettings | None = None
    """Active health checks of the upstream; null: none."""
    path_ranges: Annotated[PathRanges, Choice(PathRanges)] = PathRanges.OFF
    """Whether /name/START/END asks for a range, and whether END is a position or a length."""
    first_byte_timeout: Annotated[float, Duration()] = 60.0
    """How long the upstream may take from the request to the first byte of its response."""
    between_bytes_timeout: Annotated[float, Duration()] = 60.0
    """How long the upstream may be silent in the middle of a response."""
    request_buffering: Annotated[RequestBuffering, Choice(RequestBuffering)] = RequestBuffering.ON
    """off: stream request bodies to the upstream, except those of GET and HEAD."""
    upgrades: tuple[Annotated[str, ProtocolName()], ...] = ("websocket",)
    """The protocols that a connection may be upgraded to if the upstream agrees; empty: none."""
    upgrade_idle_timeout: Annotated[float, Duration()] = 600.0
    """How long an upgraded connection may be silent in both directions."""
    underscore_fields: Annotated[UnderscoreFields, Choice(UnderscoreFields)] = UnderscoreFields.DROP
    """What to do with request fields that have an underscore in their names."""


class TransferSettings(RouteSettings):
    """Settings of routes that fetch one file from several sources."""

    same: Annotated[Same, Choice(Same)] = Same.MODIFIED
    """How to recognise one file at two sources: length and Last-Modified, length, or digest."""
    compare: Annotated[Compare, Choice(Compare)] = Compare.OFF
    """sample: compare bytes of each further source before using it."""
    samples: Annotated[int, Count(0, 1000)] = 8
    """For compare: sample, how many blocks of 16 KiB at random places to compare."""
    block_size: Annotated[int, Size(64 * KIB, 8 * MIB)] = MIB
    """The size of one range request; only a hint if delay and duplicate are adaptive."""
    window: Annotated[int, Size()] = 32 * MIB
    """The maximum number of bytes in flight or waiting for one client."""
    delay: Annotated[Delay, Choice(Delay)] = Delay.ADAPTIVE
    """The algorithm that decides how far ahead slower sources work."""
    duplicate: Annotated[Duplicate, Choice(Duplicate)] = Duplicate.ADAPTIVE
    """The algorithm that decides when a late block is also requested from another source."""
    duplicate_threshold: Annotated[int, Count(0, 100_000)] = 20
    """For nibib and ibrc: how many later blocks may arrive before the next one's duplicate."""

    @field_validator("window")
    @classmethod
    def _holds_a_block(cls, value: int, info: ValidationInfo) -> int:
        block_size = info.data.get("block_size")
        if block_size is not None and value < block_size:
            raise ValueError(f"must be at least block_size, {Size().write(block_size)}")
        return value

    @field_validator("headers")
    @classmethod
    def _identity(cls, value: Headers) -> Headers:
        for name, _ in value:
            refuse_coding(name)
        return value


class SourceSettings(Model):
    """A server or a directory that has the files of a route; one of `url` and `path`."""

    url: Annotated[Url, HttpUrl(query=True)] | None = None
    """The URL that replaces the route's path, or the URL of a single file."""
    path: Annotated[Path, Directory()] | None = None
    """A directory on disk that replaces the route's path."""
    connections: Annotated[int, Count(1, 1000)] = 4
    """The maximum number of requests to this source at once, over the whole daemon. Each has a
    connection of its own, or over HTTP/2 a stream of a shared one."""
    static_delay: Annotated[int, Count(0, 100_000)] = 0
    """With delay: static, how many blocks ahead this source works."""
    http2: Annotated[Http2, Choice(Http2)] | None = None
    """Whether to speak HTTP/2 to this source; null: as the route says."""

    @property
    def location(self) -> Url:
        """Where the files are."""
        return self.url or Url.of_directory(str(self.path))

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.url is None) == (self.path is None):
            given = "none of them" if self.url is None else "both"
            raise ValueError(f"a source has exactly one of url: and path:; this one has {given}")
        return self


class SourcesRoute(TransferSettings):
    """Several mirrors of the same files, used at the same time."""

    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)] = ()
    """The mirrors."""
    metalink: Metalink = None
    """Where the Metalink of a file is, with its mirrors and hashes: a URL, a directory, or a
    mapping; null: none."""
    health: HealthSettings | None = None
    """Active health checks of the sources; null: none."""
    path_ranges: Annotated[PathRanges, Choice(PathRanges)] = PathRanges.OFF
    """Whether /name/START/END asks for a range, and whether END is a position or a length."""

    @model_validator(mode="after")
    def _from_somewhere(self) -> Self:
        if not self.sources and self.metalink is None:
            raise ValueError("has neither sources: nor metalink:; name the mirrors, or a Metalink")
        if self.metalink is not None and self.metalink.at == LINKS and not self.sources:
            raise ValueError(f"needs sources: for metalink: {LINKS}, the first of which names it")
        return self


class QueryRoute(TransferSettings):
    """Sources that the client names: /proxy?host=URL,URL,..."""

    cache: RouteCache = None
    """off, on, or a mapping: what of the route to keep in the cache, if there is one."""
    query: Annotated[str, QueryName()]
    """The query parameter that lists the URLs."""
    allow: tuple[Annotated[str, HostGlob()], ...] = ()
    """The hosts that clients may name, * matching any characters; others are refused."""
    allow_addresses: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """Private networks to allow."""
    headers_to: tuple[Annotated[str, HostGlob()], ...] = ()
    """The hosts to send headers: and host: to, * matching any characters; others get neither."""


KINDS: dict[str, type[RouteSettings]] = {
    "upstream": UpstreamRoute,
    "sources": SourcesRoute,
    "query": QueryRoute,
}
"""The key that decides a route's kind, and the model of that kind."""


def kind_of(route: Any) -> str | None:
    """Return the first key in KINDS that a route has or seems to mean, else ``upstream``.

    One with ``metalink`` alone is a ``sources`` route.
    """
    if isinstance(route, Mapping):
        if "metalink" in route and not any(key in route for key in KINDS):
            return "sources"
        meant = (nearest(str(key), KINDS) for key in route)
        return next((key for key in route if key in KINDS), next(filter(None, meant), "upstream"))
    return next((key for key, kind in KINDS.items() if isinstance(route, kind)), None)


Route = Annotated[
    Annotated[UpstreamRoute, Tag("upstream")]
    | Annotated[SourcesRoute, Tag("sources")]
    | Annotated[QueryRoute, Tag("query")],
    Discriminator(kind_of),
]
