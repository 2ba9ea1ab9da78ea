"""What a route lets its cache do where the RFCs leave a choice."""

from __future__ import annotations

from aprp.core.values import dataclass

DAY = 86400


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices of one route. Durations are in seconds.

    `valid` is the freshness of responses whose origin says nothing of it; None leaves them to
    the heuristic of RFC 9111 section 4.2.2, a tenth of the time since Last-Modified, at most
    `most_heuristic`.
    `stale_if_error` is how long a stale response may stand in for an origin that fails, if neither
    the origin nor the request says so and the origin doesn't forbid it (section 4.2.4).
    `targeted` are the names, in lower case, of the fields that go before Cache-Control (RFC 9213),
    in order of preference.
    """

    valid: int | None = None
    most_heuristic: int = DAY
    stale_if_error: int = DAY
    targeted: tuple[bytes, ...] = ()


DEFAULT = Policy()
