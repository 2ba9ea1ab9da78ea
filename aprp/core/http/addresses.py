"""Which hosts, ports and addresses may be reached for someone who isn't trusted.

- Only addresses of the public Internet may be reached; what IANA's special-purpose registries
  (RFC 6890) keep for other ends is refused, unless a network that the operator lists holds it.
- An address that carries another (mapped, compatible, NAT64, 6to4, Teredo) is refused too. Where
  the operator lists such a prefix, the address that is carried is judged in its place.
- Ports are 80, 443 and those from 1024 on: other services' own ports are not for HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from aprp.core.values import dataclass

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), name)
    for network, name in (
        ("0.0.0.0/32", "unspecified"),
        ("0.0.0.0/8", "of this network only"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved for protocols"),
        ("192.52.193.0/24", "reserved for protocols"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved for protocols"),
        ("198.18.0.0/15", "for benchmarking"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("100::/64", "for discarding"),
        ("2001:2::/48", "for benchmarking"),
        ("2001:db8::/32", "for documentation"),
        ("2001::/23", "reserved for protocols"),
        ("2620:4f:8000::/48", "reserved for protocols"),
        ("3fff::/20", "for documentation"),
        ("5f00::/16", "for segment routing"),
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
"""The first that holds an address names it, so a part comes before the whole."""
_GLOBAL_UNICAST = IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class _Carrier:
    """IPv6 addresses in which an IPv4 address lies, its last bit `shift` bits from the end."""

    network: IPv6Network
    name: str
    shift: int = 0
    inverted: bool = False

    def carried(self, address: IPv6Address) -> IPv4Address:
        bits = int(address) >> self.shift & 0xFFFFFFFF
        return IPv4Address(bits ^ 0xFFFFFFFF if self.inverted else bits)


_CARRIERS = (
    _Carrier(IPv6Network("::ffff:0:0/96"), "IPv4-mapped"),
    _Carrier(IPv6Network("::ffff:0:0:0/96"), "IPv4-translated"),
    _Carrier(IPv6Network("::/96"), "IPv4-compatible"),
    _Carrier(IPv6Network("64:ff9b::/96"), "translated by NAT64"),
    _Carrier(IPv6Network("64:ff9b:1::/48"), "translated by a local NAT64"),
    _Carrier(IPv6Network("2001::/32"), "tunnelled by Teredo", inverted=True),
    _Carrier(IPv6Network("2002::/16"), "tunnelled by 6to4", shift=80),
)


def refused_address(address: Address, allow: Iterable[Network] = ()) -> str | None:
    """Return in a few words why an address may not be reached, or None if it may.

    `allow` are networks that may be reached though they aren't public.
    """
    listed = [network for network in allow if _within(address, network)]
    carrier = None if _special(address) in ("unspecified", "loopback") else _carrier(address)
    if carrier is not None and isinstance(address, IPv6Address):
        if not listed:
            return carrier.name
        if max(network.prefixlen for network in listed) > carrier.network.prefixlen:
            return None
        inner = refused_address(carrier.carried(address), allow)
        return None if inner is None else f"{carrier.name}, and what it carries is {inner}"
    return None if listed else _special(address)


def parse_address(text: str) -> Address | None:
    """Return an address as a resolver writes it (a zone is dropped), or None if it isn't one."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def refused_port(port: int) -> str | None:
    """Return why a port isn't allowed, or None if it is."""
    if port in (80, 443) or port >= 1024:
        return None
    return f"port {port} isn't 80, 443 or at least 1024"


def host_allowed(host: str, globs: Sequence[str]) -> bool:
    """Whether a host (lower case, no brackets) is among the globs; ``*`` stands for anything."""
    return any(_pattern(glob).fullmatch(host) for glob in globs)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in glob.lower().split("*")), re.DOTALL)


def _carrier(address: Address) -> _Carrier | None:
    if isinstance(address, IPv4Address):
        return None
    return next((each for each in _CARRIERS if address in each.network), None)


def _special(address: Address) -> str | None:
    for network, name in _SPECIAL:
        if _within(address, network):
            return name
    outside = isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST
    return "reserved" if outside else None


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network
