"""Types of network values: URLs, paths, hosts, networks, endpoints. Those of fields are apart."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from aprp.config.endpoints import check_endpoint, key_files, on_loopback
from aprp.config.faults import shown
from aprp.config.fields import TOKEN
from aprp.config.files import check_certificate, check_readable
from aprp.config.scalars import Scalar
from aprp.core.http.upgrading import NEVER
from aprp.core.http.urls import Url, parse_authority

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")
_QUERY_NAME = re.compile(r"[A-Za-z0-9._~-]+")
_GLOB = re.compile(r"[a-z0-9*_-]+(?:\.[a-z0-9*_-]+)*")


class HttpUrl(Scalar):
    """An absolute http or https URL."""

    types = (Url,)

    def __init__(self, query: bool, unix: bool = False) -> None:
        self.query = query
        self.unix = unix

    def read(self, text: str) -> Url:
        if text.startswith(("unix:", "http://unix:")):
            if not self.unix:
                raise ValueError("is a Unix socket, which only upstream: can be")
            return Url.parse_unix(text)
        return Url.parse(text)

    def bound(self, value: Url) -> None:
        if value.query is not None and not self.query:
            raise ValueError("has a query (?...), but it is a prefix; leave it out")
        value.refuse_dots()

    def json_schema(self) -> dict[str, Any]:
        rest = "([/?][^#]*)?" if self.query else "(/[^?#]*)?"
        url = rf"[Hh][Tt][Tt][Pp][Ss]?://[^/@?#]+{rest}"
        unix = r"(http://)?unix:/[^:?#]+(:/[^?#]*)?"
        return {"type": "string", "pattern": f"^({url}|{unix})$" if self.unix else f"^{url}$"}


class RoutePath(Scalar):
    """The path of a route: whole segments without escapes, so that it has only one spelling."""

    def bound(self, value: str) -> None:
        if not value.startswith("/"):
            raise ValueError("must begin with a slash, as /films/")
        if "?" in value or "#" in value:
            raise ValueError("is a path alone; leave out what begins with ? or #")
        if "%" in value:
            raise ValueError("can't have percent-encoding: a path must be written in one way only")
        segments = value[1:].removesuffix("/").split("/") if value != "/" else []
        for segment in segments:
            if segment in (".", ".."):
                raise ValueError("has a . or .. segment; write the resolved path")
            if not segment:
                raise ValueError("has two slashes in a row; write one")
            if not _SEGMENT.fullmatch(segment):
                raise ValueError(
                    f"has the segment {shown(segment)}; "
                    "use only letters, digits and -._~!$&'()*+,;=:@"
                )

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^/[^?#%]*$"}


class RequestPath(Scalar):
    """The path of a request as it is sent, with or without a query."""

    def bound(self, value: str) -> None:
        if not value.startswith("/"):
            raise ValueError("must begin with a slash, as /healthz")
        if re.search(r"[^!-~]|[#\\]", value):
            raise ValueError("must be a path, with a query or without: visible ASCII and no #")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^/[^#\\s]*$"}


class Authority(Scalar):
    """A host with or without a port, as in a Host field."""

    def bound(self, value: str) -> None:
        if re.search(r"[^!-~]|[/?#@\\]", value):
            raise ValueError("must be a host, or host:port, and nothing else")
        parse_authority(value, "http")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[^/?#@\\s]+$"}


class OriginName(Scalar):
    """The origin of a page (RFC 6454), as browsers send it; or ``*`` for any."""

    def bound(self, value: str) -> None:
        if value == "*":
            return
        if Url.parse(value).origin != value.lower():
            raise ValueError(
                f"{shown(value)} is not an origin; write https://host or https://host:port"
            )


class ProtocolName(Scalar):
    """A protocol of the Upgrade field (RFC 9110 §7.8), in lower case."""

    def read(self, text: str) -> str:
        return text.lower()

    def bound(self, value: str) -> None:
        name, slash, version = value.partition("/")
        if not TOKEN.fullmatch(name) or (slash and not TOKEN.fullmatch(version)):
            raise ValueError(f"{shown(value)} is not a protocol; write it as websocket")
        if name.encode() in NEVER:
            raise ValueError(
                f"{shown(value)} would carry requests past the proxy and can't be upgraded to"
            )


class QueryName(Scalar):
    """The name of a parameter in a query."""

    def bound(self, value: str) -> None:
        if not _QUERY_NAME.fullmatch(value):
            raise ValueError(
                f"{shown(value)} can't be the name of a parameter; "
                "letters, digits and -._~ can be used"
            )

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_QUERY_NAME.pattern}$"}


class HostGlob(Scalar):
    """A host, in lower case, in which ``*`` stands for any characters; or an IPv6 address."""

    def read(self, text: str) -> str:
        if "/" in text or "@" in text:
            raise ValueError(f"{shown(text)} is more than a host; write a host, as *.example.org")
        if ":" in text:
            return _ipv6_host(text)
        if not text.isascii():
            raise ValueError("isn't ASCII; write the host in its A-label form (xn--...)")
        glob = text.lower()
        if not _GLOB.fullmatch(glob):
            raise ValueError(
                f"{shown(text)} is not a host; letters, digits, hyphens and dots can be used, "
                "and * for any of them"
            )
        return glob


class NetworkBlock(Scalar):
    """A network or a single address: ``10.1.0.0/16``, ``fd00::/8``, ``192.0.2.7``."""

    types = (ipaddress.IPv4Network, ipaddress.IPv6Network)

    def read(self, text: str) -> Network:
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            pass
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f"{shown(text)} is not a network; write it as 10.1.0.0/16 or fd00::/8"
            ) from None
        raise ValueError(f"{shown(text)} has bits set after its prefix; did you mean {meant}?")


class Endpoint(Scalar):
    """A Twisted server endpoint string."""

    def bound(self, value: str) -> None:
        check_endpoint(value)
        files = key_files(value)
        if files is not None:
            for path in (files.certificate, files.key, *files.others):
                check_readable(path)
            check_certificate(files.certificate, files.key)


class PrivateEndpoint(Endpoint):
    """The same for a port that is for the operator: on loopback unless it names an interface."""

    def read(self, text: str) -> str:
        check_endpoint(text)
        return on_loopback(text)


def _ipv6_host(text: str) -> str:
    try:
        return ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]")).compressed
    except ValueError:
        raise ValueError(f"{shown(text)} has a port; write the host alone") from None
