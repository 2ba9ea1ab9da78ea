"""How the file descriptors of the process are shared between clients and sources.

An eighth of the limit, 32 at least, is for neither: log files, listening ports, the operator's
port, spooled bodies, pipes, and clients that are turned away. Each side always has a quarter of the
rest. Sources have half of it at most, clients whatever sources don't use.
"""

from __future__ import annotations

RESERVE = 32
IDLE = 1024
"""Idle connections to sources, however many there might be."""


def usable(limit: int) -> int:
    """Return how many descriptors connections may use, of a process that may open `limit`."""
    return max(4, limit - max(RESERVE, limit // 8))


def most_pipes(limit: int) -> int:
    """Return how many pipes there may be, of two descriptors each: half of what is kept free."""
    return (limit - usable(limit)) // 4


def least_for_each(limit: int) -> int:
    """Return how many connections sources can count on, and clients too."""
    return usable(limit) // 4


def most_for_sources(limit: int, clients: int) -> int:
    """Return how many connections sources may have while clients have `clients`."""
    shared = usable(limit)
    return max(shared // 4, min(shared // 2, shared - clients))


def most_for_clients(limit: int, sources: int) -> int:
    """Return how many connections clients may have while sources have `sources`."""
    return usable(limit) - max(sources, least_for_each(limit))


def most_accepted(limit: int, sources: int) -> int:
    """Return how many client connections to accept, including those to refuse, which may use a
    quarter of the reserve.
    """
    return most_for_clients(limit, sources) + (limit - usable(limit)) // 4


def most_idle(sources: int) -> int:
    """Return how many idle connections to sources to keep within a limit."""
    return min(IDLE, sources // 2)
