"""What the daemon knows of its sources now, for the admin port: as JSON and as a page.

Names of sources and reasons may come from strangers: whatever goes into the page is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import aprp
from aprp.core.scheduling.ratings import Rating
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.wall_clock import time

MOST = 200
"""Sources shown; those with connections in use come first."""

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>aprp {version}</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
th, td {{ text-align: left; padding: .2em .9em .2em 0; border-bottom: 1px solid #ccc; }}
</style>
<h1>aprp {version}: {state}</h1>
<p>{transfers} transfers from several sources; {held} of {limit} held in memory
<h2>Sources</h2>
{sources}
<h2>Left out lately</h2>
{left_out}
<ul>
<li><a href="/status">/status</a>: this, as JSON
<li><a href="/healthz">/healthz</a>: 200 while it serves
<li><a href="/metrics">/metrics</a>: counts, for Prometheus
</ul>
</html>
"""


def status_of(shared: SharedResources, state: str) -> dict[str, Any]:
    """What can be said as JSON: bytes, seconds, times in RFC 3339, None for what isn't known."""
    in_use, now = shared.connections, shared.clock.seconds()
    known = sorted(shared.ratings, key=lambda pair: (-in_use.get(pair[0], 0), pair[0]))
    return {
        "version": aprp.__version__,
        "state": state,
        "transfers": shared.transfers,
        "memory": {"held": shared.held, "limit": shared.memory},
        "sources": [
            {"source": name, "connections": in_use.get(name, 0)} | _rating(rating, now)
            for name, rating in known[:MOST]
        ],
        "out_of_service": {
            name: shared.in_service.why_out(name) for name in sorted(shared.in_service.out)
        },
        "left_out": [
            {"at": _date(each.at), "source": each.source, "reason": each.reason}
            for each in reversed(shared.left_out)
        ],
    }


def page_of(status: dict[str, Any]) -> bytes:
    """The same for people."""
    sources = [
        (
            each["source"],
            str(each["connections"]),
            _size(each["bytes_per_second"], "/s"),
            _milliseconds(each["latency"]),
            str(each["failures"]),
            each["parked_until"] or "",
        )
        for each in status["sources"]
    ]
    left_out = [(each["at"], each["source"], each["reason"]) for each in status["left_out"]]
    heads = ("source", "connections", "rate", "latency", "failures in a row", "parked until")
    return PAGE.format(
        version=escape(status["version"]),
        state=escape(status["state"]),
        transfers=status["transfers"],
        held=_size(status["memory"]["held"]),
        limit=_size(status["memory"]["limit"]),
        sources=_table(heads, sources),
        left_out=_table(("at", "source", "why: it ..."), left_out),
    ).encode("utf-8", "replace")


def _rating(rating: Rating, now: float) -> dict[str, Any]:
    parked = rating.parking.whole_until(now) - now
    return {
        "bytes_per_second": None if rating.rate is None else round(rating.rate),
        "latency": None if rating.latency is None else round(rating.latency, 6),
        "failures": rating.failures,
        "parked_until": _date(time() + parked) if parked > 0 else None,
    }


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>none"
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(head)}" for head in heads)]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows]
    return "\n".join([*lines, "</table>"])


def _size(count: int | None, per: str = "") -> str:
    if count is None:
        return ""
    return f"{count / 1e6:.1f} MB{per}" if count >= 100_000 else f"{count / 1e3:.1f} kB{per}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _date(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
