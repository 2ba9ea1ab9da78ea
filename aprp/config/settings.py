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
    """What is written down, and where."""

    level: Annotated[Level, Choice(Level)] = Level.INFO
    """The least severity that is logged."""
    file: Annotated[Path, OutputFile()] | None = None
    """The log's file; null: standard error."""
    access: Annotated[Path | str, OutputFile(dash=True)] | None = None
    """The access log's file; "-": standard output; null: none."""
    access_format: Annotated[AccessFormat, Choice(AccessFormat)] = AccessFormat.COMBINED
    """How a line of the access log is written."""
    max_size: Annotated[int, Size()] = 100 * MIB
    """Each of the two files is rotated when it would grow over this."""
    keep: Annotated[int, Count(0, 1000)] = 5
    """How many rotated files are kept of each; 0: none."""
    request_id: Annotated[str, FieldName()] | None = None
    """The field in which each answer has the id of its request, as X-Request-ID; null: none."""

    @field_validator("access")
    @classmethod
    def _not_the_log(cls, value: Path | str | None, info: ValidationInfo) -> Path | str | None:
        if value is not None and value == info.data.get("file"):
            raise ValueError("is the same file as log.file; name another")
        return value


class TlsSettings(_Model):
    """How upstreams are believed over TLS. They are always verified."""

    ca: Annotated[Path, CaFile()] | None = None
    """A PEM file of the certificates to trust; null: the system's."""


class SecureLinkSettings(_Model):
    """How the URLs of a route have to be signed, with ?expires=UNIX&sig=SIGNATURE."""

    secret: Annotated[str, Secret()]
    """What the signatures are made with; at least 16 characters."""
    form: Annotated[SignatureForm, Choice(SignatureForm)] = SignatureForm.HMAC
    """hmac: HMAC-SHA-256 in sig=; md5: nginx's secure_link in md5=."""
    bound_to: Annotated[LinkBinding, Choice(LinkBinding)] = LinkBinding.NOTHING
    """address: a link works for one client's address alone; nothing: for everyone."""


class HealthSettings(_Model):
    """How the sources of a route are checked."""

    path: Annotated[str, RequestPath()]
    """What is requested of each source's host; 200 to 399 is a check that passes."""
    interval: Annotated[float, Duration(least=0.1)] = 10.0
    """The time from one check to the next, and the most that one may take."""
    fails: Annotated[int, Count(1, 1000)] = 3
    """How many checks in a row have to fail before a source is taken out."""
    passes: Annotated[int, Count(1, 1000)] = 2
    """How many checks in a row have to pass before it is taken back."""


class RouteSettings(_Model):
    """What all kinds of routes have."""

    path: Annotated[str, RoutePath()]
    """The URL prefix, in whole segments. The longest that matches is taken."""
    connect_timeout: Annotated[float, Duration()] = 5.0
    """How long a connection upstream may take, TLS included."""
    first_byte_timeout: Annotated[float, Duration()] = 10.0
    """How long an upstream may take to answer once it has the request."""
    between_bytes_timeout: Annotated[float, Duration()] = 10.0
    """How long an upstream may stay silent in the middle of an answer."""
    send_timeout: Annotated[float, Duration()] = 60.0
    """How long a client may take nothing of an answer, and send nothing of a request's body."""
    resume_for: Annotated[float, Duration(least=0.0)] = 30.0
    """How long a broken answer is asked for again without progress; 0s: not at all."""
    max_ranges: Annotated[int, Count(1, 1000)] = 16
    """A request for more ranges than this is answered with the whole file."""
    max_body: Annotated[int, Size()] = 64 * MIB
    """The largest request body that is taken."""
    host: Annotated[str, Authority()] | None = None
    """The Host field sent upstream; null: the upstream's own."""
    headers: Headers = ()
    """Fields added to each request upstream."""
    tls: TlsSettings = TlsSettings()
    """How upstreams are believed over TLS."""
    hosts: tuple[Annotated[str, HostGlob()], ...] = ()
    """The hosts that the route is for, * standing for anything; empty: any."""
    allow_clients: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """The networks that may use the route; empty: all."""
    basic_auth: Annotated[Path, PasswordFile()] | None = None
    """An htpasswd file with bcrypt hashes of those who may use the route; null: everyone."""
    secure_link: SecureLinkSettings | None = None
    """How the route's URLs have to be signed; null: not at all."""
    response_headers: ResponseHeaders = ()
    """Fields set on each response, in place of what the upstream says."""
    cors: tuple[Annotated[str, OriginName()], ...] = ()
    """Origins whose pages may read responses, as https://player.example; "*": all."""
    limit_rate: Annotated[int, Size(least=1024)] | None = None
    """Bytes a second that one answer is sent with, at most; null: no limit."""
    limit_rate_after: Annotated[int, Size(least=0)] = 0
    """Bytes of an answer that are sent before limit_rate holds."""
    redirects: Annotated[Redirects, Choice(Redirects)] = Redirects.SAME_HOST
    """Where a source's redirects may lead; upstream routes pass redirects on to the client."""


class UpstreamRoute(RouteSettings):
    """A reverse proxy for one upstream."""

    upstream: Annotated[Url, HttpUrl(query=False, unix=True)]
    """The URL that takes the place of the route's path."""
    health: HealthSettings | None = None
    """How the upstream is checked; null: only by the requests that it serves."""
    path_ranges: Annotated[PathRanges, Choice(PathRanges)] = PathRanges.OFF
    """Whether /name/START/END asks for a range, and whether END is a position or a length."""
    first_byte_timeout: Annotated[float, Duration()] = 60.0
    """How long the upstream may take to answer once it has the request."""
    between_bytes_timeout: Annotated[float, Duration()] = 60.0
    """How long the upstream may stay silent in the middle of an answer."""
    request_buffering: Annotated[RequestBuffering, Choice(RequestBuffering)] = RequestBuffering.ON
    """off: the bodies of requests go to the upstream as they come, unless they are GET or HEAD."""
    upgrades: tuple[Annotated[str, ProtocolName()], ...] = ("websocket",)
    """The protocols that a connection may change to, where the upstream agrees; empty: none."""
    upgrade_idle_timeout: Annotated[float, Duration()] = 600.0
    """How long an upgraded connection may be silent in both directions."""
    underscore_fields: Annotated[UnderscoreFields, Choice(UnderscoreFields)] = UnderscoreFields.DROP
    """What becomes of fields of clients that have an underscore in their names."""


class TransferSettings(RouteSettings):
    """What the kinds of routes have that fetch one file from several sources."""

    same: Annotated[Same, Choice(Same)] = Same.MODIFIED
    """What makes two copies the same file: length and Last-Modified, length alone, or a digest."""
    compare: Annotated[Compare, Choice(Compare)] = Compare.OFF
    """sample: a further source is first asked for a few bytes that are held, to compare them."""
    block_size: Annotated[int, Size(64 * KIB, 8 * MIB)] = MIB
    """The bytes of one range request; a hint only where delay and duplicate are adaptive."""
    window: Annotated[int, Size()] = 32 * MIB
    """Bytes in flight or waiting, at most, for one client."""
    delay: Annotated[Delay, Choice(Delay)] = Delay.ADAPTIVE
    """How far ahead a slower source is given its block."""
    duplicate: Annotated[Duplicate, Choice(Duplicate)] = Duplicate.ADAPTIVE
    """When a late block is asked for a second time."""
    duplicate_threshold: Annotated[int, Count(0, 100_000)] = 20
    """For nibib and ibrc: their count must be over this."""

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
            raise ValueError("has Accept-Encoding, but sources are always asked for identity")
        return value


class SourceSettings(_Model):
    """One place that has the files of a route."""

    url: Annotated[Url, HttpUrl(query=True)]
    """The URL that takes the place of the route's path, or that of a single file."""
    connections: Annotated[int, Count(1, 1000)] = 4
    """Connections to this source at once, over the whole daemon."""
    static_delay: Annotated[int, Count(0, 100_000)] = 0
    """For delay: static, how many blocks ahead this source is given its own."""


class SourcesRoute(TransferSettings):
    """The same files on several mirrors, fetched from all of them at once."""

    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)]
    """The mirrors."""
    health: HealthSettings | None = None
    """How the sources are checked; null: only by the requests that they serve."""
    path_ranges: Annotated[PathRanges, Choice(PathRanges)] = PathRanges.OFF
    """Whether /name/START/END asks for a range, and whether END is a position or a length."""


class QueryRoute(TransferSettings):
    """Sources that the client names: /proxy?host=URL,URL,..."""

    query: Annotated[str, QueryName()]
    """The query parameter that lists the URLs."""
    allow: tuple[Annotated[str, HostGlob()], ...] = ()
    """The hosts that may be named, * standing for anything; what isn't listed is refused."""
    allow_addresses: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """Networks that may be reached though they are private."""
    headers_to: tuple[Annotated[str, HostGlob()], ...] = ()
    """The hosts that headers: and host: are sent to, * standing for anything; others get none."""


KINDS: dict[str, type[RouteSettings]] = {
    "upstream": UpstreamRoute,
    "sources": SourcesRoute,
    "query": QueryRoute,
}
"""The key that makes a route what it is, and what it then is."""


def kind_of(route: Any) -> str | None:
    """The key in KINDS that a route has first, or seems to mean; ``upstream`` failing both."""
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
    """A certificate for `tls:` listeners; the names in it say which clients get it."""

    certificate: Annotated[Path, InputFile()]
    """A PEM file of the certificate, and of the chain behind it."""
    key: Annotated[Path, InputFile()] | None = None
    """A PEM file of its private key; null: it is in the certificate's file."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        check_certificate(self.certificate, self.key)
        return self


class LimitSettings(_Model):
    """How much clients may have open at once; 0: no limit. Loopback isn't counted by address."""

    connections: Annotated[int, Count(0, 1_000_000)] = 10_000
    """Connections of all clients together."""
    connections_per_address: Annotated[int, Count(0, 1_000_000)] = 64
    """Connections from one address, or from one /64 of IPv6."""
    requests_per_address: Annotated[int, Count(0, 1_000_000)] = 32
    """Requests from one address, or from one /64 of IPv6, that are being answered."""


class Settings(_Model):
    """The whole configuration of one daemon."""

    listen: Annotated[tuple[Annotated[str, Endpoint()], ...], Field(min_length=1)]
    """Twisted endpoint strings to listen on for clients."""
    certificates: tuple[CertificateSettings, ...] = ()
    """Certificates for `tls:` listeners; the first is for clients that name no other."""
    admin: Annotated[str, Endpoint()] | None = None
    """An endpoint string for the status page, /metrics and /healthz; null: no admin port."""
    control: Annotated[Path, SocketFile()] | None = None
    """The unix socket for aprp ctl; null: ctl.sock in systemd's runtime directory, if any."""
    log: LogSettings = LogSettings()
    """The log and the access log."""
    memory: Annotated[int, Size(least=64 * KIB)] = 512 * MIB
    """Bytes waiting for clients, over all transfers. When it is short, windows narrow."""
    stop_timeout: Annotated[float, Duration(least=0.0)] = 30.0
    """How long answers may go on once the daemon was told to stop; 0s: they are cut."""
    trusted_proxies: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """Networks of proxies in front whose X-Forwarded-For is believed and passed on."""
    limits: LimitSettings = LimitSettings()
    """How much clients may have open at once."""
    routes: Annotated[tuple[Route, ...], Field(min_length=1)]
    """Which paths are served from where."""

    @model_validator(mode="after")
    def _has_certificates(self) -> Self:
        for where in (*self.listen, self.admin or ""):
            if is_tls(where) and not self.certificates:
                raise ValueError(f"{where} needs certificates: with a certificate and its key")
        return self
