"""The address of a client: its own, or the one reported by trusted proxies in front.

A field that anyone can write is believed only from proxies that the operator lists. The chain in
X-Forwarded-For, or in Forwarded (RFC 7239) if there is no other, is read from its end, where our
own proxies have written: the first address that isn't a trusted proxy is the client. What is to the
left of that is a claim of the client, and so is the syntax of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network

from aprp.core.http.addresses import Address, Network, parse_address
from aprp.core.http.fields import Fields

UNKNOWN = "unknown"
_PAIR = r'[^\s",;=]+=(?:[^\s",;=]*|"(?:[^"\\]|\\.)*")'
_ELEMENT = re.compile(rf"\s*({_PAIR}(?:\s*;\s*{_PAIR})*)\s*")
"""A whole element of Forwarded."""
_FOR = re.compile(r'(?:^|;)\s*for="?([^\s",;]*)', re.IGNORECASE)
_PREFIX = 64
"""The prefix length of an IPv6 network: one client may use all of its addresses."""


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    parsed = _parse(address)
    return parsed is not None and any(
        parsed.version == network.version and parsed in network for network in networks
    )


def client_address(peer: str, fields: Fields, proxies: Sequence[Network]) -> str:
    """Return the client's address: the peer's, or by its fields if the peer is trusted."""
    address = peer
    for told in _chain(fields):
        if not within(address, proxies):
            break
        parsed = _parse(told)
        if parsed is None:
            break
        address = str(parsed)
    return address


def _chain(fields: Fields) -> Iterator[str]:
    """Yield the addresses that proxies have told, the last first; some may be none."""
    by_custom = fields.get(b"x-forwarded-for")
    if by_custom is not None:
        told = by_custom.decode("latin-1").split(",")
        yield from (each for each in reversed(told) if each.strip())
        return
    for element in _elements((fields.get(b"forwarded") or b"").decode("latin-1")):
        found = _FOR.search(element)
        yield "" if found is None else found[1]


def _elements(forwarded: str) -> Iterator[str]:
    """Yield the elements of a Forwarded field, the last first, up to one that is malformed.

    A comma that begins no element lies in a quoted string. Further left, a quotation mark may lack
    its other one, so nothing is parsed from there.
    """
    comma = end = len(forwarded)
    while comma >= 0:
        comma = forwarded.rfind(",", 0, comma)
        element = _ELEMENT.fullmatch(forwarded, comma + 1, end)
        if element is not None:
            yield element[1]
            end = comma


@lru_cache(maxsize=4096)
def limit_key(address: str) -> str | None:
    """Return the key by which limits count a client: its address, or its /64 for IPv6.

    None for this machine itself, which may be a proxy in front that speaks for many clients.
    """
    parsed = _parse(address)
    if parsed is None or parsed.is_loopback:
        return None
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(ip_network((parsed, _PREFIX), strict=False))


def _parse(text: str) -> Address | None:
    """An address, without the port that some proxies add; an IPv4 one is never mapped."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = parse_address(text)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
