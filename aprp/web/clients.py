"""The clients of a site: their addresses, and limits on what each has open at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from aprp.core.http.addresses import Network
from aprp.core.http.client_address import client_address, limit_key, within
from aprp.core.http.fields import Fields
from aprp.core.limits import ClientCounts, ClientLimits, Others, Over
from aprp.upstream.http.descriptors import Descriptors
from aprp.web.failures import Refusal
from aprp.web.memory_watch import MemoryWatch

RETRY_AFTER = 5
"""Seconds after which a client that was turned away may try again."""

Release = Callable[[], None]
"""Called once, when the counted connection or request has ended."""


class Clients:
    """Counts what clients have open. `limits` and `proxies` may be replaced at any time.

    `proxies` are the networks whose X-Forwarded-For is believed. `refused` counts what was turned
    away, by the limit that it was over. `others` are the processes that share the limits.
    """

    def __init__(
        self,
        limits: ClientLimits | None = None,
        proxies: Sequence[Network] = (),
        others: Others | None = None,
    ) -> None:
        self.limits = limits or ClientLimits()
        self.proxies = tuple(proxies)
        self.refused = dict.fromkeys(Over, 0)
        self.descriptors: Descriptors | None = None
        """What limits connections besides `limits`."""
        self.memory: MemoryWatch | None = None
        """What limits requests besides `limits`."""
        self._counts = ClientCounts(others)

    @property
    def connections(self) -> int:
        """The number of connections that are open and counted."""
        return self._counts.connections

    def address(self, peer: str, fields: Fields) -> str:
        """Return the client's address: the peer's own, or what it forwards if it is trusted."""
        return client_address(peer, fields, self.proxies) if self.proxies else peer

    def believes(self, peer: str) -> bool:
        """Return whether the peer is a trusted proxy, whose X-Forwarded fields count and are
        passed on.
        """
        return within(peer, self.proxies) if self.proxies else False

    def connected(self, peer: str | None) -> Release:
        """Count a connection; raises Refusal.

        A trusted proxy, or a peer that isn't known yet, is counted in the total alone.
        """
        key = None if peer is None or self.believes(peer) else limit_key(peer)
        over = self._counts.opened(key, self.limits, self._most())
        if over is not None:
            self._refuse(over)
        return partial(self._counts.closed, key)

    def _most(self) -> int:
        """Return the number of connections that the limit of open files allows; 0: any."""
        if self.descriptors is None:
            return 0
        most = self.descriptors.most_for_clients
        if self._counts.connections >= most:
            self.descriptors.note_reached("clients")
        return most

    def begins(self, address: str) -> Release:
        """Count a request of the client with that address; raises Refusal."""
        if self.memory is not None and self.memory.short:
            self._refuse(Over.MEMORY)
        key = limit_key(address)
        over = self._counts.began(key, self.limits)
        if over is not None:
            self._refuse(over)
        return partial(self._counts.ended, key)

    def _refuse(self, over: Over) -> NoReturn:
        self.refused[over] += 1
        fields = ((b"Retry-After", b"%d" % RETRY_AFTER),)
        if over is Over.CONNECTIONS:
            kind = "connection_limit_reached"
            raise Refusal(503, "all connections are in use; try again later", kind, fields)
        if over is Over.MEMORY:
            kind = "proxy_internal_error"
            raise Refusal(503, "the proxy is short of memory; try again later", kind, fields)
        what = "connections" if over is Over.CONNECTIONS_PER_ADDRESS else "requests at once"
        text = f"too many {what} from your address; try again later"
        raise Refusal(429, text, "http_request_denied", fields)
