"""URLs as values: what a request needs to know of where it goes. A directory on disk is one too.

Rules kept here:

- Path and query stay byte for byte as they were written (``%2F`` stays ``%2F``). Only scheme and
  host are put in lower case, and an empty path is ``/`` (RFC 9110 §4.2.3).
- Userinfo and fragments are refused, and so is any character that could end a request line.
- A host means one thing to everyone: a registered name in ASCII, a dotted IPv4 address of four
  decimal numbers, or an IPv6 address in brackets. Forms that only some resolvers read as an
  address (``127.1``, ``0x7f000001``, ``2130706433``, ``0177.0.0.1``) are refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Self

from aprp.core.values import dataclass

DEFAULT_PORTS = {"http": 80, "https": 443}
MOST_OF_SOCKET = 107
"""Characters of a Unix socket's path that the kernel takes."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FORBIDDEN = re.compile(r'[^!-~]|["<>\\]')
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_PORT = re.compile(r"0*([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Url:
    """One http or https URL, or a file below a directory on disk.

    ``host`` is in lower case and without brackets, ``port`` is always given, ``path`` begins with
    a slash, ``query`` is None where there is no question mark. With a ``directory``, scheme and
    host are empty, and ``path`` is relative to it.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str | None = None
    socket: str | None = None
    """The Unix socket at which the host is reached, in place of its port."""
    directory: str | None = None
    """The directory on disk in place of the host."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the URL in the text. Raise ValueError with a sentence if it isn't one."""
        _refuse_characters(text)
        found = _SCHEME.match(text)
        if found is None:
            raise ValueError("is not an absolute URL; write it as http://host/path")
        scheme = found[1].lower()
        if scheme not in DEFAULT_PORTS:
            raise ValueError(f"has the scheme {scheme}, but only http and https are spoken")
        rest = text[found.end() :]
        if "#" in rest:
            raise ValueError("has a fragment (#...), which is never sent; leave it out")
        before_query, question, query = rest.partition("?")
        authority, slash, path = before_query.partition("/")
        if "@" in authority:
            raise ValueError("has a user or password before the host; leave them out")
        host, port = parse_authority(authority, scheme)
        if scheme == "https" and "_" in host:
            raise ValueError(
                "has a host with an underscore, for which no certificate can be verified; "
                "use a name without one"
            )
        return cls(scheme, host, port, slash + path or "/", query if question else None)

    @classmethod
    def parse_unix(cls, text: str) -> Self:
        """Return the URL for ``unix:/run/x.sock:/path/``; nginx's form begins with http://.

        Without a path it is /. The host is localhost, as with nginx. Raises ValueError.
        """
        _refuse_characters(text)
        socket, colon, path = text.removeprefix("http://").removeprefix("unix:").partition(":")
        if not socket.startswith("/") or socket.endswith("/"):
            raise ValueError(
                "names no socket; write it as unix:/run/x.sock:/path/, with its absolute path"
            )
        if len(socket) > MOST_OF_SOCKET:
            raise ValueError(
                f"has a socket of {len(socket)} characters; {MOST_OF_SOCKET} are possible"
            )
        if colon and not path.startswith("/"):
            raise ValueError("has something behind the socket that isn't a path; begin it with /")
        if "?" in text or "#" in text:
            raise ValueError("has a query or a fragment, but it is a prefix; leave it out")
        return cls("http", "localhost", DEFAULT_PORTS["http"], path or "/", socket=socket)

    @classmethod
    def of_directory(cls, directory: str) -> Self:
        """That of a directory on disk, by its absolute path; it prints with a slash at its end."""
        return cls("", "", 0, "/", directory=directory.rstrip("/"))

    @property
    def authority(self) -> str:
        """The value of a Host field (RFC 9110 §7.2): the port only where it isn't the default.

        Empty for a directory.
        """
        if self.directory is not None:
            return ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority, as ``http://host:port`` without a slash at the end.

        With a socket, ``unix:/run/x.sock:``; that of a directory is its path.
        """
        if self.directory is not None:
            return self.directory
        if self.socket is not None:
            return f"unix:{self.socket}:"
        return f"{self.scheme}://{self.authority}"

    @property
    def place(self) -> str:
        """What a limit of connections is counted by: the authority, or the directory."""
        return self.authority or self.origin

    @property
    def target(self) -> str:
        """The request target in origin form (RFC 9112 §3.2.1): path and query."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        return self.origin + self.target

    def refuse_dots(self) -> None:
        """Raise ValueError if the path has a . or .. segment, percent-encoded or not."""
        plain = self.path.replace("%2e", ".").replace("%2E", ".")
        if any(segment in (".", "..") for segment in plain.split("/")):
            raise ValueError("has a . or .. segment in its path; write the resolved path")


def parse_authority(text: str, scheme: str) -> tuple[str, int]:
    """Host (lower case, no brackets) and port of ``host``, ``host:port`` or ``[address]:port``."""
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise ValueError("has a bracket in its host that isn't closed before the port")
        return _ipv6(inside), _port(after[1:], scheme)
    host, _, port = text.partition(":")
    if ":" in port:
        raise ValueError("has an IPv6 address without brackets; write it as [::1]")
    return parse_host(host), _port(port, scheme)


def parse_host(text: str) -> str:
    """A registered name or a dotted IPv4 address, in lower case."""
    if not text:
        raise ValueError("has no host")
    if not text.isascii():
        raise ValueError("has a host that isn't ASCII; write it in its A-label form (xn--...)")
    if _ENDS_IN_NUMBER.fullmatch(text):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(
                f"has the host {text[:40]}, which some read as an IPv4 address; "
                "write four decimal numbers, as 192.0.2.1"
            ) from None
    if text.endswith("."):
        raise ValueError("has a dot at the end of its host; leave it out")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(
            "has a host that isn't a name: letters, digits and hyphens, "
            "63 at most between dots, 253 in all"
        )
    return text.lower()


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError("has a zone (%...) in its IPv6 address; leave it out")
    try:
        return ipaddress.IPv6Address(text).compressed
    except ValueError:
        raise ValueError("has brackets around something that isn't an IPv6 address") from None


def _port(text: str, scheme: str) -> int:
    if not text:
        return DEFAULT_PORTS[scheme]
    found = _PORT.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= 65535:
        raise ValueError("has a port that isn't a number from 1 to 65535")
    return int(found[1])


def _refuse_characters(text: str) -> None:
    if not text:
        raise ValueError("is empty")
    found = _FORBIDDEN.search(text)
    if found is not None:
        character = found[0]
        if not character.isascii():
            raise ValueError(
                f"has the character {character!a}, which isn't ASCII; write a host in its A-label "
                "form (xn--...) and percent-encode the rest (%C3%A9)"
            )
        raise ValueError(
            f"has the character {character!a}; percent-encode it (%{ord(character):02X})"
        )
    if _BAD_PERCENT.search(text):
        raise ValueError("has a % that isn't followed by two hexadecimal digits; write it as %25")
