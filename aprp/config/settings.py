"""The settings, as frozen values with their defaults.

One class for each mapping of the file, and its fields are the file's keys. They are typed the
same whether a file or a program makes them: text is read, values of the right type are taken as
they are, and both are held to the same bounds. Sizes are bytes, times are seconds. The sentence
under a field is what an editor shows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from aprp.config.choices import (
    AccessFormat,
    Compare,
    Delay,
    Duplicate,
    Level,
    PathRanges,
    Redirects,
    RequestBuffering,
    Same,
    UnderscoreFields,
)
from aprp.config.endpoints import is_tls
from aprp.config.faults import nearest
from aprp.config.files import (
    CaFile,
    InputFile,
    OutputFile,
    PasswordFile,
    SocketFile,
    check_certificate,
)
from aprp.config.network import (
    Authority,
    Endpoint,
    FieldName,
    FieldValue,
    HostGlob,
    HttpUrl,
    Network,
    NetworkBlock,
    OriginName,
    ProtocolName,
    QueryName,
    RequestPath,
    ResponseFieldName,
    RoutePath,
)
from aprp.config.scalars import (
    EMPTY,
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


def _pairs(value: object) -> object:
    if value is None:
        raise ValueError(EMPTY)
    if isinstance(value, str | list):
        raise ValueError("must be a mapping of names and values, as {X-Token: abc}")
    return tuple(value.items()) if isinstance(value, Mapping) else value


Header = tuple[Annotated[str, FieldName()], Annotated[str, FieldValue()]]
Headers = Annotated[
    tuple[Header, ...],
    BeforeValidator(_pairs),
    WithJsonSchema({"type": "object", "additionalProperties": FieldValue().json_schema()}),
]


ResponseHeader = tuple[Annotated[str, ResponseFieldName()], Annotated[str, FieldValue()]]
ResponseHeaders = Annotated[
    tuple[ResponseHeader, ...],
    BeforeValidator(_pairs),
    WithJsonSchema({"type": "object", "additionalProperties": FieldValue().json_schema()}),
]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )


class LogSettings(_Model):
    """Logging: what to log, and where."""

    level: Annotated[Level, Choice(Level)] = Level.INFO
    """The lowest severity to log."""
    file: Annotated[Path, OutputFile()] | None = None
    """The log file; null: standard error."""
    access: Annotated[Path | str, OutputFile(dash=True)] | None = None
    """The access log file; "-": standard output; null: none."""
    access_format: Annotated[AccessFormat, Choice(AccessFormat)] = AccessFormat.COMBINED
    """The format of the access log."""
    max_size: Annotated[int, Size()] = 100 * MIB
    """The size at which a log file is rotated."""
    keep: Annotated[int, Count(0, 1000)] = 5
    """How many rotated files of each log to keep; 0: none."""
    request_id: Annotated[str, FieldName()] | None = None
    """A response field for the id of the request, such as X-Request-ID; null: none."""

    @field_validator("access")
    @classmethod
    def _not_the_log(cls, value: Path | str | None, info: ValidationInfo) -> Path | str | None:
        if value is not None and value == info.data.get("file"):
            raise ValueError("is the same file as log.file; name another")
        return value


class TlsSettings(_Model):
    """TLS to upstreams. Certificates are always verified."""

    ca: Annotated[Path, CaFile()] | None = None
    """A PEM file of CA certificates to trust; null: the system's."""


class SecureLinkSettings(_Model):
    """How the URLs of a route must be signed, with ?expires=UNIX&sig=SIGNATURE."""

    secret: Annotated[str, Secret()]
    """The signing key; at least 16 characters."""
    form: Annotated[SignatureForm, Choice(SignatureForm)] = SignatureForm.HMAC
    """hmac: HMAC-SHA-256 in sig=; md5: nginx's secure_link in md5=."""
    bound_to: Annotated[LinkBinding, Choice(LinkBinding)] = LinkBinding.NOTHING
    """address: a link works for one client address only; nothing: for everyone."""


class HealthSettings(_Model):
    """Active health checks of a route's sources."""

    path: Annotated[str, RequestPath()]
    """The path to request from each source's host; a status of 200 to 399 passes."""
    interval: Annotated[float, Duration(least=0.1)] = 10.0
    """The time between checks, and the timeout of a check."""
    fails: Annotated[int, Count(1, 1000)] = 3
    """How many failed checks in a row take a source out of service."""
    passes: Annotated[int, Count(1, 1000)] = 2
    """How many passed checks in a row put it back in service."""


class RouteSettings(_Model):
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
    """sample: compare the first bytes of each further source before using it."""
    block_size: Annotated[int, Size(64 * KIB, 8 * MIB)] = MIB
    """The size of one range request; only a hint if delay and duplicate are adaptive."""
    window: Annotated[int, Size()] = 32 * MIB
    """The maximum number of bytes in flight or waiting for one client."""
    delay: Annotated[Delay, Choice(Delay)] = Delay.ADAPTIVE
    """The algorithm that decides how far ahead slower sources work."""
    duplicate: Annotated[Duplicate, Choice(Duplicate)] = Duplicate.ADAPTIVE
    """The algorithm that decides when a late block is also requested from another source."""
    duplicate_threshold: Annotated[int, Count(0, 100_000)] = 20
    """For nibib and ibrc: the count that must be exceeded."""

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
        if any(name.lower() == "accept-encoding" for name, _ in value):
            raise ValueError(
                "has Accept-Encoding, but sources are always requested to send identity; "
                "leave it out"
            )
        return value


class SourceSettings(_Model):
    """A server that has the files of a route."""

    url: Annotated[Url, HttpUrl(query=True)]
    """The URL that replaces the route's path, or the URL of a single file."""
    connections: Annotated[int, Count(1, 1000)] = 4
    """The maximum number of connections to this source, over the whole daemon."""
    static_delay: Annotated[int, Count(0, 100_000)] = 0
    """With delay: static, how many blocks ahead this source works."""


class SourcesRoute(TransferSettings):
    """Several mirrors of the same files, used at the same time."""

    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)]
    """The mirrors."""
    health: HealthSettings | None = None
    """Active health checks of the sources; null: none."""
    path_ranges: Annotated[PathRanges, Choice(PathRanges)] = PathRanges.OFF
    """Whether /name/START/END asks for a range, and whether END is a position or a length."""


class QueryRoute(TransferSettings):
    """Sources that the client names: /proxy?host=URL,URL,..."""

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
    """Return the first key in KINDS that a route has or seems to mean, else ``upstream``."""
    if isinstance(route, Mapping):
        meant = (nearest(str(key), KINDS) for key in route)
        return next((key for key in route if key in KINDS), next(filter(None, meant), "upstream"))
    return next((key for key, kind in KINDS.items() if isinstance(route, kind)), None)


Route = Annotated[
    Annotated[UpstreamRoute, Tag("upstream")]
    | Annotated[SourcesRoute, Tag("sources")]
    | Annotated[QueryRoute, Tag("query")],
    Discriminator(kind_of),
]


class CertificateSettings(_Model):
    """A certificate for `tls:` endpoints; the names in it decide which clients get it."""

    certificate: Annotated[Path, InputFile()]
    """A PEM file with the certificate and its chain."""
    key: Annotated[Path, InputFile()] | None = None
    """A PEM file with its private key; null: the key is in the certificate's file."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        check_certificate(self.certificate, self.key)
        return self


class LimitSettings(_Model):
    """Limits on clients' connections and requests; 0: none. Loopback has no limit per address."""

    connections: Annotated[int, Count(0, 1_000_000)] = 10_000
    """Connections of all clients together."""
    connections_per_address: Annotated[int, Count(0, 1_000_000)] = 64
    """Connections from one address, or from one /64 of IPv6."""
    requests_per_address: Annotated[int, Count(0, 1_000_000)] = 32
    """Requests in flight from one address, or from one /64 of IPv6."""


class Settings(_Model):
    """The whole configuration of one daemon."""

    listen: Annotated[tuple[Annotated[str, Endpoint()], ...], Field(min_length=1)]
    """The endpoints that clients connect to, as Twisted endpoint strings."""
    certificates: tuple[CertificateSettings, ...] = ()
    """Certificates for `tls:` endpoints; clients that request no other name get the first."""
    admin: Annotated[str, Endpoint()] | None = None
    """The endpoint string of the admin port (status page, /metrics, /healthz); null: none."""
    control: Annotated[Path, SocketFile()] | None = None
    """The unix socket for aprp ctl; null: ctl.sock in systemd's runtime directory, if any."""
    log: LogSettings = LogSettings()
    """The log and the access log."""
    memory: Annotated[int, Size(least=64 * KIB)] = 512 * MIB
    """The maximum number of bytes waiting for clients. When it runs short, windows shrink."""
    stop_timeout: Annotated[float, Duration(least=0.0)] = 30.0
    """How long responses in flight may take to finish when the daemon stops; 0s: no time."""
    trusted_proxies: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """Networks of proxies in front of aprp whose X-Forwarded-For is trusted."""
    limits: LimitSettings = LimitSettings()
    """Limits on clients' connections and requests."""
    routes: Annotated[tuple[Route, ...], Field(min_length=1)]
    """Which paths to serve from where."""

    @model_validator(mode="after")
    def _has_certificates(self) -> Self:
        for where in (*self.listen, self.admin or ""):
            if is_tls(where) and not self.certificates:
                raise ValueError(f"{where} needs certificates: with a certificate and its key")
        return self
