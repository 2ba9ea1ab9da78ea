"""Check the syntax of Twisted's server endpoint strings without creating an endpoint.

Creating one may have side effects (``systemd:`` takes over a socket, ``ssl:`` reads a key), so the
strings are only parsed, by the rules of twisted.internet.endpoints: arguments are separated by
colons, named ones are ``name=value``, and a backslash escapes a colon, an equals sign or a
backslash.
"""

from __future__ import annotations

import re
from pathlib import Path

from aprp.config.faults import listed, nearest, shown
from aprp.core.http.addresses import parse_address
from aprp.core.values import dataclass

_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """The arguments in positional order, and the required one."""

    arguments: tuple[str, ...]
    needed: str | None = None


_KINDS = {
    "tcp": _Kind(("port", "interface", "backlog"), "port"),
    "tcp6": _Kind(("port", "backlog", "interface"), "port"),
    "tls": _Kind(("port", "interface", "backlog"), "port"),
    "tls6": _Kind(("port", "backlog", "interface"), "port"),
    "ssl": _Kind(
        (
            "port",
            "privateKey",
            "certKey",
            "sslmethod",
            "interface",
            "backlog",
            "extraCertChain",
            "dhParameters",
        ),
        "port",
    ),
    "unix": _Kind(("address", "mode", "backlog", "lockfile"), "address"),
    "systemd": _Kind(("domain", "index", "name")),
}
_EXAMPLES = {
    "tcp": "tcp:8000:interface=127.0.0.1",
    "tcp6": r"tcp6:8000:interface=\:\:1",
    "tls": "tls:8443:interface=127.0.0.1",
    "tls6": r"tls6:8443:interface=\:\:1",
    "ssl": "ssl:8443:privateKey=/etc/aprp/key.pem:certKey=/etc/aprp/cert.pem",
    "unix": "unix:/run/aprp/aprp.sock",
    "systemd": "systemd:domain=INET:name=aprp",
}
_TCP = ("tcp", "tcp6", "tls", "tls6", "ssl")
_DOMAINS = ("INET", "INET6", "UNIX")


def check_endpoint(text: str) -> None:
    """Raise ValueError, with advice, unless the text is a server endpoint string."""
    name, colon, rest = text.partition(":")
    if name == "haproxy":
        check_endpoint(rest)
        return
    if name not in _KINDS:
        _check_foreign(text, name, bool(colon))
        return
    given = _arguments(text, name, _split(rest) if colon else [])
    if name == "systemd":
        _check_systemd(given)
    if name == "unix":
        _check_unix(given)
    for what, most in (("port", 65535), ("backlog", 2**31 - 1), ("index", 1023)):
        if what in given:
            _check_number(given[what], what, most)


def same_socket(one: str, other: str) -> bool:
    """Return whether the two can't be listened on at once. Port 0 is a new port each time.

    An interface that means all addresses occupies the port on each of them.
    """
    here, there = _bound(one), _bound(other)
    if here is None or there is None:
        return one == other
    (address, port), (other_address, other_port) = here, there
    if port != other_port or port == 0:
        return False
    return (
        address == other_address
        or _takes(address, other_address, _takes_ipv4())
        or _takes(other_address, address, _takes_ipv4())
    )


def _bound(text: str) -> tuple[str, int] | None:
    """Return the address in canonical form and the port of a string that has both."""
    try:
        found = listens_at(text)
    except ValueError:  # a fault of its own
        return None
    if found is None:
        return None
    is_ipv6 = text.removeprefix("haproxy:").partition(":")[0].endswith("6")
    interface = found[0] or ("::" if is_ipv6 else "0.0.0.0")
    address = parse_address("127.0.0.1" if interface == "localhost" else interface)
    return interface if address is None else str(address), found[1]


def _takes(interface: str, address: str, ipv4_too: bool) -> bool:
    """Return whether listening on the interface includes the address."""
    if interface == "0.0.0.0":
        return ":" not in address
    return interface == "::" and (ipv4_too or ":" in address)


def _takes_ipv4() -> bool:
    """Return whether ``::`` includes IPv4 addresses, the system's default."""
    try:
        return Path("/proc/sys/net/ipv6/bindv6only").read_text().strip() != "1"
    except OSError:
        return True


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The files that an ``ssl:`` endpoint reads. Twisted resolves relative names."""

    certificate: Path
    key: Path
    others: tuple[Path, ...]


def key_files(text: str) -> KeyFiles | None:
    """Return the files of a valid ``ssl:`` string, else None. Raise ValueError if it has no key."""
    name, _, rest = text.partition(":")
    if name == "haproxy":
        return key_files(rest)
    if name != "ssl":
        return None
    given = _arguments(text, name, _split(rest))
    key = given.get("privateKey")
    if not key:
        raise ValueError(f"{shown(text)} names no privateKey; write it as {_EXAMPLES['ssl']}")
    others = (given.get("extraCertChain"), given.get("dhParameters"))
    certificate = Path(given.get("certKey") or key)
    return KeyFiles(certificate, Path(key), tuple(Path(each) for each in others if each))


def is_tls(text: str) -> bool:
    """Return whether the string uses TLS with `certificates`: ``tls:`` or ``tls6:``."""
    return re.match(r"(?:haproxy:)?tls6?:", text) is not None


def is_unix(text: str) -> bool:
    """Whether the string is for a unix socket."""
    return re.match(r"(?:haproxy:)?(?:unix:|systemd:.*domain=UNIX)", text) is not None


def without_tls(text: str) -> str:
    """Return the same string for plain TCP, for Twisted."""
    return re.sub(r"^((?:haproxy:)?)tls(6?):", r"\1tcp\2:", text)


def on_loopback(text: str) -> str:
    """Return a valid string with a loopback interface if it is for TCP and names no interface."""
    name, _, rest = text.partition(":")
    if name == "haproxy":
        return "haproxy:" + on_loopback(rest)
    if name not in _TCP:
        return text
    interface = _arguments(text, name, _split(rest)).get("interface")
    if interface == "":
        raise ValueError("has an empty interface; leave it out, or write interface=0.0.0.0 for all")
    if interface is not None:
        return text
    return text + (r":interface=\:\:1" if name.endswith("6") else ":interface=127.0.0.1")


def with_backlog(text: str, backlog: int) -> str:
    """Return a valid string with a backlog if it is for TCP and has none."""
    name, _, rest = text.partition(":")
    if name == "haproxy":
        return "haproxy:" + with_backlog(rest, backlog)
    if name not in _TCP or "backlog" in _arguments(text, name, _split(rest)):
        return text
    return f"{text}:backlog={backlog}"


def listens_at(text: str) -> tuple[str, int] | None:
    """Return the interface (empty: all) and port of a valid string, or None if it has neither."""
    name, _, rest = text.partition(":")
    if name == "haproxy":
        return listens_at(rest)
    if name not in _TCP:
        return None
    given = _arguments(text, name, _split(rest))
    return given.get("interface", ""), int(given["port"])


def _arguments(text: str, name: str, arguments: list[tuple[str | None, str]]) -> dict[str, str]:
    """Return the arguments by name. Raise ValueError for those that this kind doesn't have."""
    kind = _KINDS[name]
    given: dict[str, str] = {}
    unnamed = iter(kind.arguments)
    for key, value in arguments:
        if key is None:
            key = next(unnamed, None)
        elif key not in kind.arguments:
            meant = nearest(key, kind.arguments)
            hint = f"; did you mean {meant}=?" if meant else ""
            raise ValueError(f"has the argument {shown(key)}, which {name}: doesn't have{hint}")
        if key is None or key in given:
            what = f"gives {key} twice" if key else f"has more arguments than {name}: takes"
            raise ValueError(rf"{what}; write a colon that belongs to a value as \:")
        given[key] = value
    if kind.needed is not None and not given.get(kind.needed):
        raise ValueError(f"{shown(text)} names no {kind.needed}; write it as {_EXAMPLES[name]}")
    return given


def _split(rest: str) -> list[tuple[str | None, str]]:
    """Split into (name or None, value) of each argument."""
    found: list[tuple[str | None, str]] = []
    name: str | None = None
    current = ""
    characters = iter(rest)
    for character in characters:
        if character == "\\":
            try:
                current += next(characters)
            except StopIteration:
                raise ValueError("ends in a backslash; leave it out") from None
        elif character == "=" and name is None:
            name, current = current, ""
        elif character == ":":
            found.append((name, current))
            name, current = None, ""
        else:
            current += character
    found.append((name, current))
    return found


def _check_systemd(given: dict[str, str]) -> None:
    if given.get("domain") not in _DOMAINS:
        raise ValueError(f"needs a domain ({listed(_DOMAINS)}); write it as {_EXAMPLES['systemd']}")
    if ("index" in given) == ("name" in given):
        raise ValueError(
            "needs either name= (FileDescriptorName= in the socket unit) or index=, and not both"
        )


def _check_unix(given: dict[str, str]) -> None:
    if not re.fullmatch("[0-7]{1,4}", given.get("mode", "666")):
        raise ValueError("has a mode that isn't octal digits; write it as mode=660")
    if given.get("lockfile", "1") not in ("0", "1"):
        raise ValueError("has a lockfile that is neither 0 nor 1")


def _check_number(text: str, what: str, most: int) -> None:
    if not _DIGITS.fullmatch(text) or int(text) > most:
        raise ValueError(f"has the {what} {shown(text)}; write a number from 0 to {most}")


def _check_foreign(text: str, name: str, colon: bool) -> None:
    """A kind that isn't Twisted's own may be an installed plugin's."""
    if not colon and name.isdigit():
        raise ValueError(f"{shown(text)} is a port alone; write it as tcp:{name}")
    known = {*_KINDS, *_plugins()}
    if name in known:
        return
    meant = nearest(name, known)
    hint = f"did you mean {meant}:?" if meant else f"write it as {_EXAMPLES['tcp']}"
    raise ValueError(f"{shown(text)} is not an endpoint that Twisted knows; {hint}")


def _plugins() -> list[str]:
    from twisted.internet.interfaces import IStreamServerEndpointStringParser
    from twisted.plugin import getPlugins

    return [plugin.prefix for plugin in getPlugins(IStreamServerEndpointStringParser)]
