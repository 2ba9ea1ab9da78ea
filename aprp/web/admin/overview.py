"""What the admin port shows of the daemon.

It is gathered when it is requested, except for one sample of the counters per second, from which
rates are computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet.task import LoopingCall

from aprp.core.http2.counts import Http2Counts
from aprp.upstream.tally import SourceTally
from aprp.upstream.transfer.shared import SharedResources
from aprp.web.admin.rates import Rates
from aprp.web.admin.reloads import ReloadOutcome
from aprp.web.admin.wellness import is_well, state_of
from aprp.web.request import ProxyRequest
from aprp.web.tallies import RouteTally, Tallies

if TYPE_CHECKING:
    from aprp.web.admin.cache_metrics import StoreFigures

SAMPLE = 1.0
"""Seconds between two samples."""


@dataclass(slots=True)
class Health:
    """The daemon's state, set by the service and shown by ``/healthz``."""

    state: Literal["starting", "serving", "stopping"] = "starting"
    reload: ReloadOutcome | None = None
    """How the last reload ended; None: there was none yet."""


class Running:
    """The requests of one route that are in flight, added up."""

    def __init__(self) -> None:
        self.count = 0
        self.sent = 0
        self.received = 0
        self.upgraded = 0
        self.resumes = 0
        self.duplicates = 0

    def add(self, request: ProxyRequest) -> None:
        self.count += 1
        self.sent += request.sentLength
        self.received += request.body_length
        self.upgraded += request.upgraded
        if request.transfer is not None:
            self.resumes += request.transfer.resumes
            self.duplicates += request.transfer.wasted


class Overview:
    """The daemon as a whole. `running` gives the requests that have not ended, `clients` the
    number of clients' connections."""

    def __init__(
        self,
        health: Health,
        tallies: Tallies,
        shared: SharedResources,
        running: Callable[[], Collection[ProxyRequest]],
        clients: Callable[[], int],
    ) -> None:
        self.health = health
        self.tallies = tallies
        self.shared = shared
        self.rates = Rates()
        self.cache: StoreFigures | None = None
        """The store of the cache; None: there is none."""
        self.http2_of_clients: Callable[[], Http2Counts] = Http2Counts
        """Counts those of the clients' connections that speak HTTP/2."""
        self._running = running
        self._clients = clients
        self._sampled_at = shared.clock.seconds()
        self._sampling = LoopingCall(self.sample)
        self._sampling.clock = shared.clock

    def start(self) -> None:
        """Begin to sample the counters."""
        self._sampling.start(SAMPLE)

    def stop(self) -> None:
        """Stop sampling."""
        if self._sampling.running:
            self._sampling.stop()

    def sample(self) -> None:
        """Take one sample of the counters."""
        now = self.shared.clock.seconds()
        elapsed = now - self._sampled_at
        self._sampled_at = now
        by_route = self.running_by_route()
        none = Running()
        totals: dict[Any, int] = {}
        for tally in self.tallies:
            totals[tally.path] = tally.sent + by_route.get(tally.path, none).sent
            for name, source in tally.sources.items():
                totals[tally.path, name] = source.received
        self.rates.sample(totals, elapsed if elapsed > 0 else SAMPLE)

    @property
    def requests(self) -> Collection[ProxyRequest]:
        """The requests that have not ended."""
        return self._running()

    @property
    def clients(self) -> int:
        """The number of clients' connections."""
        return self._clients()

    def http2(self) -> dict[str, Http2Counts]:
        """Return what is HTTP/2 now, by side."""
        return {"clients": self.http2_of_clients(), "sources": self.shared.agent.http2}

    def running_by_route(self) -> dict[str, Running]:
        """Sum up the requests that have not ended."""
        found: dict[str, Running] = {}
        for request in self._running():
            found.setdefault(request.route, Running()).add(request)
        return found

    def gauges(self) -> Iterable[tuple[str, str, float]]:
        """Yield (name, help, value) of each gauge of the whole daemon."""
        shared = self.shared
        yield "aprp_transfers", "Running transfers from several sources", shared.transfers
        yield "aprp_memory_held_bytes", "Bytes that wait for clients", shared.held
        yield "aprp_memory_limit_bytes", "Bytes that may wait for clients", shared.memory
        yield "aprp_windows_used_bytes", "Bytes waiting or in flight", shared.used

    def wellness(self) -> Iterable[tuple[str, str, bool, float]]:
        """Yield (route, source, whether it is up, bytes per second now) of each source."""
        now, service = self.shared.clock.seconds(), self.shared.in_service
        for tally in self.tallies:
            for name, source in tally.sources.items():
                up = service.passes(name) or is_well(source, now)
                well = tally.kind == "query" or (name not in service.out and up)
                yield tally.path, name, well, self.rates.now((tally.path, name))

    def not_ready(self) -> list[str]:
        """Return why the daemon isn't ready for requests; an empty list if it is."""
        if self.health.state != "serving":
            return [self.health.state]
        well: Counter[str] = Counter()
        for route, _, is_up, _ in self.wellness():
            well[route] += is_up
        return [f"{route}: no source is up" for route, count in well.items() if not count]

    def state(self, tally: RouteTally, source: SourceTally) -> str:
        """Return the state of a source, in one word."""
        if tally.kind == "query":
            return "ok" if source.requests else "unused"
        if source.name in self.shared.in_service.out:
            return "out"
        return state_of(source, self.parked_for(source.name) > 0)

    def parked_for(self, name: str) -> float:
        """Return for how many seconds a source is still parked; 0 if it isn't."""
        rating = self.shared.ratings.known(name)
        if rating is None:
            return 0.0
        now = float(self.shared.clock.seconds())
        return max(0.0, rating.parking.whole_until(now) - now)
