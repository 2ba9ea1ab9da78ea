"""Check the places to connect to for someone who isn't trusted.

A name is resolved once. Every address that it has is judged, and one that may not be reached
refuses the whole name. The origin that comes out carries the judged addresses and is connected to
at those alone, so that a name can't change its mind between check and use; TLS and the Host field
still go by the name. Redirects are checked again at each hop.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from aprp.core.http.addresses import Address, Network, parse_address, refused_address, refused_port
from aprp.core.http.redirects import same_place
from aprp.core.http.urls import Url
from aprp.core.reasons import Name, Words
from aprp.upstream.errors import ConnectFailed, SourceError
from aprp.upstream.exchange import Origin
from aprp.upstream.http.names import Names

Reach = Callable[[Url, Url], Awaitable[Origin]]
"""Gives the origin to connect to for a URL, of the source whose own URL is the second; raises a
SourceError where it may not be reached. The two are equal but after a redirect."""

Listening = Callable[[], Iterable[tuple[str, int]]]
"""Where this process listens itself: addresses (a wildcard among them) and ports."""


class AddressRefused(SourceError):
    """The place is one that may not be reached."""

    kind = "destination_ip_prohibited"


class OwnListener(SourceError):
    """The place is this process itself."""

    kind = "proxy_loop_detected"


def nowhere() -> Iterable[tuple[str, int]]:
    """Return no ports, for a process that doesn't listen."""
    return ()


class Guard:
    """Turns URLs into origins that may be connected to.

    `allow` are networks that may be reached though they aren't public, from the setting called
    `setting`, if there is one; `listening` says where this process listens now.
    """

    def __init__(
        self,
        names: Names,
        allow: Sequence[Network] = (),
        listening: Listening = nowhere,
        setting: str = "",
    ) -> None:
        self._names = names
        self._allow = tuple(allow)
        self._listening = listening
        self._advice = f"; to allow it, list its network in {setting}" if setting else ""

    async def origin(
        self, url: Url, trust: Any = None, seconds: float = 5.0, asker: str = ""
    ) -> Origin:
        """Return the origin that a URL of `asker`, a client or a source, may be connected to.

        Raises AddressRefused, OwnListener, or ConnectFailed where the name has no address, or none
        is found within so many seconds.
        """
        if (reason := refused_port(url.port)) is not None:
            raise AddressRefused(url.host, f": {reason}")
        addresses = await self._resolve(url, seconds, asker)
        own = tuple(self._listening())
        for address in addresses:
            if _is_own(address, url.port, own):
                raise OwnListener(f"{url.host}:{url.port}", "is this proxy itself")
            reason = refused_address(address, self._allow)
            if reason is not None:
                said = _sentence(url.host, address, reason)
                raise AddressRefused(url.host, *said, Name(self._advice))
        return Origin(url.scheme, url.host, url.port, trust, tuple(map(str, addresses)))

    async def _resolve(self, url: Url, seconds: float, asker: str) -> list[Address]:
        literal = parse_address(url.host)
        if literal is not None:
            return [literal]
        texts = await self._names.lookup(url.host, seconds, asker)
        found = [address for text in texts if (address := parse_address(text)) is not None]
        if not found:
            raise ConnectFailed(url.host, ": the name has no address", kind="dns_error")
        return found


def own_host_or(guard: Guard, trust: Any, seconds: float) -> Reach:
    """Reach a source's own host and port as they are; the guard judges any other place.

    `seconds` are those that looking up a name may take.
    """

    async def reach(url: Url, own: Url) -> Origin:
        if same_place(own, url):
            return Origin.of(url, trust)
        return await guard.origin(url, trust, seconds, own.host)

    return reach


def _sentence(host: str, address: Address, reason: str) -> Words:
    said = f"may not be reached: it is {reason}"
    return (said,) if host == str(address) else (": its address ", Name(f"{address} "), said)


def _is_own(address: Address, port: int, own: Iterable[tuple[str, int]]) -> bool:
    carried = getattr(address, "ipv4_mapped", None)
    meant: Address = carried or address
    for host, listening in own:
        if listening != port:
            continue
        listener = parse_address(host)
        if listener == meant or ((listener is None or listener.is_unspecified) and _local(meant)):
            return True
    return False


def _local(address: Address) -> bool:
    """Whether the address is one of this machine's: only those can be bound.

    Where no socket is to be had it can't be told, and the address counts as one of them.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return True
