"""An access record to vary in tests."""

from __future__ import annotations

from aprp.web.access_record import AccessRecord

PLAIN = AccessRecord(
    client="192.0.2.7",
    method="GET",
    target="/films/a.mp4",
    version="HTTP/1.1",
    status=206,
    bytes_sent=1000,
    started_at=1767225599.25,  # 2025-12-31T23:59:59.250Z
    seconds=0.12345,
    host="proxy.example",
    range="bytes=0-999",
    route="/films/",
    upstream="a.example:443",
)
