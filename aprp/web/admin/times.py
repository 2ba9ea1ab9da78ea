"""Times as the admin port and `aprp ctl` show them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(unix: float) -> str:
    """Return a Unix time as RFC 3339 writes it, in UTC and whole seconds."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
