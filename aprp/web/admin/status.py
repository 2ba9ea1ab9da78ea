"""The state of the daemon, its routes and sources, as JSON.

Names of sources and reasons may come from clients: pages must insert them as text.
"""

from __future__ import annotations

from typing import Any

import aprp
from aprp.core.scheduling.ratings import Rating
from aprp.upstream.tally import SourceTally
from aprp.upstream.wall_clock import time
from aprp.web.admin.overview import Overview
from aprp.web.admin.times import rfc3339
from aprp.web.memory_watch import resident
from aprp.web.tallies import RouteTally

MOST = 200
"""Sources shown under `sources`; those with connections in use come first."""


def status_of(overview: Overview) -> dict[str, Any]:
    """Return the state of everything as JSON values: bytes, seconds, times in RFC 3339, None for
    what isn't known.
    """
    shared = overview.shared
    in_use, now = shared.connections, shared.clock.seconds()
    known = sorted(shared.ratings, key=lambda pair: (-in_use.get(pair[0], 0), pair[0]))
    return summary_of(overview) | {
        "routes": routes_of(overview),
        "sources": [
            {"source": name, "connections": in_use.get(name, 0)} | _rating(rating, now)
            for name, rating in known[:MOST]
        ],
        "out_of_service": {
            name: shared.in_service.why_out(name) for name in sorted(shared.in_service.out)
        },
        "left_out": [
            {"at": rfc3339(each.at), "source": each.source, "reason": each.reason}
            for each in reversed(shared.left_out)
        ],
        "problems": problems_of(overview),
    }


def summary_of(overview: Overview) -> dict[str, Any]:
    """Return the state of the daemon as a whole."""
    shared, reload = overview.shared, overview.health.reload
    return {
        "version": aprp.__version__,
        "state": overview.health.state,
        "not_ready": overview.not_ready(),
        "requests": len(overview.requests),
        "transfers": shared.transfers,
        "clients": overview.clients,
        "connections": shared.agent.connections,
        "http2": {side: counts._asdict() for side, counts in overview.http2().items()},
        "memory": {
            "held": shared.held,
            "used": shared.used,
            "limit": shared.memory,
            "resident": resident(),
        },
        "cache": _cache_of(overview),
        "reload": None if reload is None else reload.json(),
    }


def _cache_of(overview: Overview) -> dict[str, Any] | None:
    """Return what the cache holds and how much it served; None without one."""
    store = overview.cache
    if store is None:
        return None
    counts = [tally.cache for tally in overview.tallies]
    return {
        "usable": store.usable,
        "used": store.figures.used,
        "pinned": store.figures.pinned,
        "size": store.size,
        "requests": sum(sum(each.values()) for each in counts),
        "hits": sum(each["hit"] for each in counts),
        "saved": sum(tally.cached for tally in overview.tallies),
    }


def routes_of(overview: Overview) -> list[dict[str, Any]]:
    """Return each route of the configuration, with its sources."""
    shared, running = overview.shared, overview.running_by_route()
    slots, busy = shared.connections, shared.agent.in_use()
    found = []
    for tally in overview.tallies.routes.values():
        going = running.get(tally.path)
        total = sum(source.received for source in tally.sources.values())
        found.append(
            {
                "path": tally.path,
                "kind": tally.kind,
                "requests": sum(tally.statuses.values()),
                "running": 0 if going is None else going.count,
                "sent": tally.sent + (0 if going is None else going.sent),
                "bytes_per_second": overview.rates.now(tally.path),
                "sources": [
                    _source(overview, tally, source, total)
                    | {"connections": _connections(tally, source.name, slots, busy)}
                    for source in tally.sources.values()
                ],
            }
        )
    return found


def problems_of(overview: Overview) -> list[dict[str, Any]]:
    """Return the latest problems, the last one first."""
    return [
        {
            "at": rfc3339(each.at),
            "first": rfc3339(each.first),
            "count": each.count,
            "route": each.route,
            "source": each.source,
            "kind": each.kind,
            "problem": each.text,
            "advice": each.advice,
        }
        for each in reversed(list(overview.tallies.problems))
    ]


def _source(
    overview: Overview, tally: RouteTally, source: SourceTally, total: int
) -> dict[str, Any]:
    latency, key = source.mean_latency, (tally.path, source.name)
    parked = overview.parked_for(source.name)
    return {
        "source": source.name,
        "state": overview.state(tally, source),
        "out_of_service": overview.shared.in_service.why_out(source.name),
        "bytes_per_second": overview.rates.now(key),
        "latency": None if latency is None else round(latency, 6),
        "http": source.spoken,
        "requests": source.requests,
        "errors": {kind: count for kind, count in source.errors.items() if count},
        "failures": source.failures,
        "last_error": source.error or None,
        "received": source.received,
        "share": round(source.received / total, 4) if total else None,
        "parked_until": rfc3339(time() + parked) if parked > 0 else None,
    }


def _connections(tally: RouteTally, name: str, slots: dict[str, int], busy: dict[str, int]) -> int:
    if tally.kind == "upstream":
        return busy.get(tally.where, 0)
    return slots.get(name, 0)


def _rating(rating: Rating, now: float) -> dict[str, Any]:
    """Return what the ratings have of a source; one that fails has no current rate."""
    parked = rating.parking.whole_until(now) - now
    rate = None if rating.failures else rating.rate
    return {
        "bytes_per_second": None if rate is None else round(rate),
        "latency": None if rating.latency is None else round(rating.latency, 6),
        "failures": rating.failures,
        "parked_until": rfc3339(time() + parked) if parked > 0 else None,
    }
