"""Plain counters by route and source, always kept.

A request is counted when it has ended. The reader of the counters (`aprp.web.admin.metrics`) adds
the bytes of running requests, so that counting bytes while they flow costs nothing. A client's
mistake or departure doesn't count as an upstream error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from twisted.logger import Logger, LogLevel

from aprp.config import Route, SourcesRoute, UpstreamRoute
from aprp.upstream.errors import SourceError
from aprp.upstream.exchange import Origin
from aprp.upstream.tally import LATENCIES, UNCOUNTED, Histogram, SourceTally
from aprp.upstream.transfer.log_throttle import LogThrottle
from aprp.upstream.transfer.route_options import names_of
from aprp.web.access_record import ENDINGS, AccessRecord
from aprp.web.problems import Problems

VERSIONS = ("HTTP/1.0", "HTTP/1.1", "HTTP/2.0")
STATUSES = (200, 206, 304, 404, 416, 502, 504)
"""Statuses that are counted from the start, with zero."""
ERRORS = (
    "connection_refused",
    "connection_timeout",
    "connection_terminated",
    "connection_read_timeout",
    "dns_error",
    "http_response_timeout",
    "http_response_incomplete",
    "http_protocol_error",
    "tls_certificate_error",
    "destination_unavailable",
)
"""RFC 9209 types that are counted from the start, with zero."""

CACHE_RESULTS = ("hit", "partial", "stale", "revalidated", "miss", "bypass")
"""What the cache did for a request, counted from the start, with zero."""

SECONDS = (0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0, 1800.0, 7200.0)
"""From an answer out of a near cache to a film watched in one go."""
GAPS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RATES = (1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)
"""Bytes a second."""
LEAST_RATED = 65536
"""Bytes; the rate of a smaller answer says nothing."""
LOG_EVERY = 60.0
"""Seconds in which the same failure of a route is logged once."""

ANONYMOUS = "-"
"""Stands for all sources that clients or Metalinks name."""
NO_ROUTE = "-"


class RouteTally:
    """The counts of one route.

    `sources` are those of the configuration, in its order; `where` is an upstream's host and port.
    """

    _log = Logger()

    def __init__(
        self, path: str, kind: str, names: Iterable[str], problems: Problems, where: str = ""
    ) -> None:
        self.path = path
        self.where = where
        self.kind = kind
        self.problems = problems
        self.sources = {name: SourceTally(name, self._told) for name in names}
        self.statuses = Counter(dict.fromkeys(STATUSES, 0))
        self.versions = dict.fromkeys(VERSIONS, 0)
        """Requests by the version of HTTP."""
        self.endings = Counter(dict.fromkeys(ENDINGS, 0))
        self.errors = Counter(dict.fromkeys(ERRORS, 0))
        self.cache = Counter(dict.fromkeys(CACHE_RESULTS, 0))
        self.cached = 0
        """Body bytes that weren't fetched for the request that got them."""
        self.sent = 0
        self.received = 0
        self.resumes = 0
        self.duplicates = 0
        self.seconds = Histogram(SECONDS)
        self.first_byte = Histogram(LATENCIES)
        self.gap = Histogram(GAPS)
        self.rate = Histogram(RATES)
        self._log_throttle = LogThrottle(LOG_EVERY)

    def source(self, name: str) -> SourceTally:
        """Return the tally of a configured source, or the one for all that clients name."""
        return self.sources.get(name) or self.sources.get(ANONYMOUS, UNCOUNTED)

    def observe(self, record: AccessRecord) -> None:
        """Count a request that has ended."""
        self.statuses[record.status] += 1
        if record.version in VERSIONS:
            self.versions[record.version] += 1
        self.endings[record.ended] += 1
        self.sent += record.bytes_sent
        self.received += record.bytes_received
        self.resumes += record.resumes
        self.duplicates += record.duplicates
        if record.cache is not None:
            self.cache[record.cache] += 1
            self.cached += record.cached
        if record.error is not None and record.ending[0] in "Ss":
            self.errors[record.error] += 1
        if record.status == 101:
            return  # how long an upgraded connection was open says nothing of the answers
        self.seconds.observe(record.seconds)
        if record.first_byte is not None:
            self.first_byte.observe(record.first_byte)
            flowed = record.seconds - record.first_byte
            if record.bytes_sent >= LEAST_RATED and flowed > 0:
                self.rate.observe(record.bytes_sent / flowed)
        if record.longest_gap is not None:
            self.gap.observe(record.longest_gap)

    def failed(self, error: SourceError, status: int, request_id: str, now: float) -> None:
        """Log a request that the route's upstream or all of its sources failed."""
        if self.kind != "upstream":
            self.problems.note(self.path, "", "no_source", str(error))
        if self._log_throttle.should_log((self.where, error.kind), now):
            self._say(LogLevel.warn, error, status, request_id)

    def refused(self, error: SourceError, status: int, request_id: str, now: float) -> None:
        """Log a request for what clients of the route may not reach."""
        if self._log_throttle.should_log((status, error.kind), now):
            self._say(LogLevel.info, error, status, request_id)

    def _say(self, level: Any, error: SourceError, status: int, request_id: str) -> None:
        self._log.emit(
            level,
            "{route}: {status}, {reason}",
            route=self.path,
            status=status,
            reason=str(error),
            transfer=request_id,
        )

    def _told(self, source: SourceTally, kind: str, text: str) -> None:
        self.problems.note(self.path, source.name, kind, text)


class Tallies:
    """The tallies of all routes, and of requests that match none (`NO_ROUTE`)."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.problems = Problems()
        self.routes: dict[str, RouteTally] = {}
        self.unrouted = RouteTally(NO_ROUTE, "none", (), self.problems)
        for route in routes:
            self.add(route)

    def add(self, route: Route) -> RouteTally:
        """Return the tally of a route, with a count of zero for each source that is new."""
        kind, names = kind_and_sources(route)
        label = label_of(route)
        tally = self.routes.get(label)
        if tally is None or tally.kind != kind:
            where = where_of(route)
            tally = RouteTally(label, kind, names, self.problems, where)
            self.routes[label] = tally
        for name in names:
            if name not in tally.sources:
                tally.sources[name] = SourceTally(name, tally._told)
        return tally

    def keep(self, routes: Iterable[Route]) -> None:
        """Forget the routes and sources that aren't among these any longer."""
        kept: dict[str, RouteTally] = {}
        for route in routes:
            tally = kept[label_of(route)] = self.add(route)
            tally.where = where_of(route)
            tally.sources = {name: tally.sources[name] for name in kind_and_sources(route)[1]}
        self.routes = kept

    def of(self, label: str) -> RouteTally:
        """Return the tally of the route that is called so."""
        return self.routes.get(label, self.unrouted)

    def observe(self, record: AccessRecord) -> None:
        """Count a request that has ended."""
        self.of(record.route).observe(record)

    def __iter__(self) -> Iterator[RouteTally]:
        yield from self.routes.values()
        yield self.unrouted


def label_of(route: Route) -> str:
    """Return what logs and counts call a route: its path, behind the first of its hosts."""
    return f"{route.hosts[0]}{route.path}" if route.hosts else route.path


def kind_and_sources(route: Route) -> tuple[str, list[str]]:
    """Return what a route is, and its sources' names: their URLs without queries."""
    if isinstance(route, UpstreamRoute):
        return "upstream", names_of(route)
    if isinstance(route, SourcesRoute):
        listed = [ANONYMOUS] if route.metalink is not None else []
        return "sources", names_of(route) + listed
    return "query", [ANONYMOUS]


def where_of(route: Route) -> str:
    """Return host and port of the one upstream of a route, as its connections are known."""
    if not isinstance(route, UpstreamRoute):
        return ""
    return str(Origin.of(route.upstream))
