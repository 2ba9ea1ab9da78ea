"""Counters of each source's requests, bytes and errors.

Counting must cost next to nothing: a counter is an attribute of an object that is looked up once,
and nothing is formatted, shared or locked until the counters are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from aprp.upstream.errors import SourceError

MISMATCH, MISSING, CORRUPT = "mismatch", "missing", "corrupt"
KINDS = (
    "connect",
    "tls",
    "timeout",
    "broken",
    "protocol",
    "status",
    MISMATCH,
    MISSING,
    CORRUPT,
)
"""How a source fails: no connection; TLS; silence; a connection that ended early; an answer that
isn't what was requested; a status of 500 or more; another file than the other sources have, or
none; bytes that don't have their hash."""

_KINDS = {
    "connection_refused": "connect",
    "connection_timeout": "connect",
    "destination_ip_unroutable": "connect",
    "dns_error": "connect",
    "tls_certificate_error": "tls",
    "tls_protocol_error": "tls",
    "http_response_timeout": "timeout",
    "connection_read_timeout": "timeout",
    "connection_terminated": "broken",
    "http_response_incomplete": "broken",
}

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


def kind_of(error: SourceError) -> str:
    """Return the entry of `KINDS` that an error belongs to."""
    return _KINDS.get(error.kind, "protocol")


class Histogram:
    """Counts values in buckets; `counts` has one more than `bounds`, for what is over all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class SourceTally:
    """The counts of one source on one route. Times are seconds of the reactor's clock.

    `failures` counts the failures since the last good answer; `mean_latency` is smoothed; `error`
    is the text of the last failure and `failed_at` its time. `told` is called with the tally, the
    RFC 9209 type and the text of each failure.
    """

    __slots__ = (
        "answered_at",
        "error",
        "errors",
        "failed_at",
        "failures",
        "kind",
        "latency",
        "mean_latency",
        "name",
        "received",
        "requests",
        "spoken",
        "told",
        "versions",
    )

    def __init__(
        self, name: str, told: Callable[[SourceTally, str, str], None] | None = None
    ) -> None:
        self.name = name
        self.requests = 0
        self.received = 0
        self.spoken: str | None = None
        """The version of HTTP of the last answer."""
        self.versions: dict[str, int] = {}
        """Answers by their version."""
        self.errors = dict.fromkeys(KINDS, 0)
        self.latency = Histogram(LATENCIES)
        self.mean_latency: float | None = None
        self.failures = 0
        self.kind = ""
        self.error = ""
        self.failed_at: float | None = None
        self.answered_at: float | None = None
        self.told = told

    def answered(self, status: int, latency: float, now: float, version: str = "HTTP/1.1") -> None:
        """Count a response head that arrived `latency` seconds after its request."""
        self.spoken = version
        self.versions[version] = self.versions.get(version, 0) + 1
        self.latency.observe(latency)
        before = self.mean_latency
        self.mean_latency = latency if before is None else before + (latency - before) / 8
        if status >= 500:
            self._count("status", "status", f"{self.name} answered {status}", now)
        else:
            self.failures = 0
            self.answered_at = now

    def failed(self, error: SourceError, now: float) -> None:
        """Count a request or a connection that failed."""
        self._count(kind_of(error), error.kind, str(error), now)

    def differs(self, kind: str, text: str) -> None:
        """Count a source that works but has another file (`MISMATCH`), none (`MISSING`), or wrong
        bytes (`CORRUPT`).
        """
        self.errors[kind] += 1
        if self.told is not None:
            self.told(self, kind, text)

    def _count(self, kind: str, error_type: str, text: str, now: float) -> None:
        self.errors[kind] += 1
        self.failures += 1
        self.kind, self.error, self.failed_at = kind, text, now
        if self.told is not None:
            self.told(self, error_type, text)


UNCOUNTED = SourceTally("-")
"""For requests that belong to no route."""


def uncounted(name: str) -> SourceTally:
    """Return the tally of a source whose counts nobody reads."""
    return UNCOUNTED
