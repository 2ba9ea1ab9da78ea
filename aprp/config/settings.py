"""The settings of the daemon, as frozen values with their defaults.

One class for each mapping of the file, and its fields are the file's keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aprp.config.caching import CacheSettings
from aprp.config.choices import (
    AccessFormat,
    DataPlane,
    Level,
    ListenHttp2,
)
from aprp.config.endpoints import is_tls, is_unix
from aprp.config.fields import FieldName
from aprp.config.files import (
    InputFile,
    OutputFile,
    PasswordFile,
    SocketFile,
    check_certificate,
)
from aprp.config.model import Model
from aprp.config.network import (
    Endpoint,
    HostGlob,
    Network,
    NetworkBlock,
    PrivateEndpoint,
)
from aprp.config.routes import Route
from aprp.config.scalars import (
    AUTO,
    KIB,
    MIB,
    Choice,
    Count,
    CountOrAuto,
    Duration,
    Size,
    SizeOrAuto,
)

BESIDE_MEMORY = 128 * MIB
"""The least that a process is allowed beside the bytes that wait for clients."""


class LogSettings(Model):
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


class CertificateSettings(Model):
    """A certificate for `tls:` endpoints; the names in it decide which clients get it."""

    certificate: Annotated[Path, InputFile()]
    """A PEM file with the certificate and its chain."""
    key: Annotated[Path, InputFile()] | None = None
    """A PEM file with its private key; null: the key is in the certificate's file."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        check_certificate(self.certificate, self.key)
        return self


class LimitSettings(Model):
    """Limits on clients' connections and requests; 0: none. Loopback has no limit per address."""

    connections: Annotated[int, Count(0, 1_000_000)] = 10_000
    """Connections of all clients together."""
    connections_per_address: Annotated[int, Count(0, 1_000_000)] = 64
    """Connections from one address, or from one /64 of IPv6."""
    requests_per_address: Annotated[int, Count(0, 1_000_000)] = 32
    """Requests in flight from one address, or from one /64 of IPv6."""
    memory: Annotated[int, SizeOrAuto(least=0)] = AUTO
    """Memory of the process, above which new requests are refused; auto: 4/5 of what its control
    group may use, if that is limited."""


class AdminSettings(Model):
    """The admin port. An endpoint string alone stands for `listen`."""

    listen: Annotated[str, PrivateEndpoint()]
    """The endpoint string of the admin port; on loopback unless it names an interface."""
    basic_auth: Annotated[Path, PasswordFile()] | None = None
    """An htpasswd file with bcrypt hashes of those who may use the port; null: everyone may."""
    hosts: tuple[Annotated[str, HostGlob()], ...] = ()
    """Names by which the port may be requested, beside addresses and localhost."""


def _as_mapping(value: object) -> object:
    if isinstance(value, list):
        raise ValueError("must be an endpoint string, as tcp:8001, or a mapping with listen:")
    return {"listen": value} if isinstance(value, str) else value


def _or_text(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"type": "string"})


Admin = Annotated[
    AdminSettings | None, BeforeValidator(_as_mapping), Field(json_schema_extra=_or_text)
]


class Settings(Model):
    """The whole configuration of one daemon."""

    listen: Annotated[tuple[Annotated[str, Endpoint()], ...], Field(min_length=1)]
    """The endpoints that clients connect to, as Twisted endpoint strings."""
    certificates: tuple[CertificateSettings, ...] = ()
    """Certificates for `tls:` endpoints; clients that request no other name get the first."""
    listen_http2: Annotated[ListenHttp2, Choice(ListenHttp2)] = ListenHttp2.ON
    """on: offer HTTP/2 on `tls:` endpoints; cleartext: also take it without TLS, by prior
    knowledge."""
    admin: Admin = None
    """The admin port (status page, /metrics, /healthz): its endpoint string, or a mapping; null:
    none."""
    control: Annotated[Path, SocketFile()] | None = None
    """The unix socket for aprp ctl; null: ctl.sock in systemd's runtime directory, if any."""
    log: LogSettings = LogSettings()
    """The log and the access log."""
    memory: Annotated[int, Size(least=64 * KIB)] = 512 * MIB
    """The maximum number of bytes waiting for clients. When it runs short, windows shrink."""
    cache: CacheSettings | None = None
    """The cache on disk; null: none."""
    data_plane: Annotated[DataPlane, Choice(DataPlane)] = DataPlane.AUTO
    """How body bytes travel: auto, moved by the kernel where it can; copy, always copied."""
    stop_timeout: Annotated[float, Duration(least=0.0)] = 30.0
    """How long responses in flight may take to finish when the daemon stops; 0s: no time."""
    workers: Annotated[int, CountOrAuto(1, 256)] = 1
    """How many processes serve clients; auto: one per core."""
    trusted_proxies: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """Networks of proxies in front of aprp whose X-Forwarded-For, or Forwarded, is trusted."""
    limits: LimitSettings = LimitSettings()
    """Limits on clients' connections and requests."""
    routes: Annotated[tuple[Route, ...], Field(min_length=1)]
    """Which paths to serve from where."""

    @model_validator(mode="after")
    def _can_be_shared(self) -> Self:
        for where in self.listen:
            if self.workers != 1 and is_unix(where):
                raise ValueError(f"{where} can't be shared by workers; use tcp: or workers: 1")
        return self

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        least = self.memory + max(1, self.workers) * BESIDE_MEMORY
        if 0 < self.limits.memory < least:
            size = Size()
            raise ValueError(
                f"limits.memory is {size.write(self.limits.memory)}, but the bytes that wait for "
                f"clients may take {size.write(self.memory)} (memory:), and each process needs "
                f"{size.write(BESIDE_MEMORY)} beside; raise it to at least {size.write(least)}, or "
                "lower memory"
            )
        return self

    @model_validator(mode="after")
    def _has_certificates(self) -> Self:
        admin = "" if self.admin is None else self.admin.listen
        for where in (*self.listen, admin):
            if is_tls(where) and not self.certificates:
                raise ValueError(f"{where} needs certificates: with a certificate and its key")
        return self
