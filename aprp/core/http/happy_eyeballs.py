"""The order in which the addresses of a name are tried (RFC 8305)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

STAGGER = 0.25
"""Seconds from one attempt to the next while none has succeeded or failed (section 5)."""


def interleaved(addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses with IPv6 and IPv4 taking turns, each family in its given order.

    The family of the first address leads (section 4): the resolver has sorted them by preference.
    """
    leading = [address for address in addresses if _family(address) == _family(addresses[0])]
    others = [address for address in addresses if _family(address) != _family(addresses[0])]
    pairs = zip_longest(leading, others)
    return tuple(address for address in chain.from_iterable(pairs) if address is not None)


def _family(address: str) -> int:
    return 6 if ":" in address else 4
