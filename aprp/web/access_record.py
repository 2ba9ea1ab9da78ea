"""What is known of one finished request: what the access log and the metrics are made from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One request, told when it has ended.

    Text stands as it was received (the writers of logs escape it). Sizes are bytes,
    ``started_at`` is unix time, ``seconds`` runs from the request's arrival to its end.
    """

    client: str
    method: str
    target: str
    version: str
    status: int  # 0: none was sent
    bytes_sent: int  # of the body
    started_at: float
    seconds: float
    host: str | None = None
    range: str | None = None  # as asked, whether in the header or in the path
    route: str = "-"  # the path of the route, "-" where there was none
    upstream: str | None = None  # authority
    ended: str = "complete"  # complete | client left | cut | refused | ...
    error: str | None = None  # a Proxy-Status error type (RFC 9209 §2.3)
    resumes: int = 0
    referer: str | None = None
    user_agent: str | None = None
