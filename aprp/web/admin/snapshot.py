"""A snapshot of the daemon for the status page, built once per second for all viewers.

Its cost is bounded: the first `MOST_IN_FULL` requests get a map of their blocks, the next
`MOST_IN_BRIEF` a line, and the others are only counted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aprp.upstream.wall_clock import time
from aprp.web.admin.cached_marks import marks_of, received_of
from aprp.web.admin.overview import Overview
from aprp.web.admin.picture import DELIVERED, Cells, Picture
from aprp.web.admin.status import problems_of, routes_of, summary_of
from aprp.web.request import ProxyRequest

if TYPE_CHECKING:
    from aprp.upstream.transfer.transfer import Transfer
    from aprp.web.from_cache import FromCache

MOST_IN_FULL = 24
MOST_IN_BRIEF = 100
CELLS = 200
"""Cells of the map of the whole range, and of the map of the part around the client's position."""
BEHIND = 0.15
"""The part of the second map that is before the client's position."""
SMOOTHED = 6
"""Snapshots over which the rate of a request is averaged; sockets take bytes in bursts."""
LEAST_SHOWN = 4 << 20
"""Bytes of the second map, at least, if the range has so many."""


class Snapshots:
    """Makes snapshots. Rates of requests are means over the last `SMOOTHED` snapshots."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._past: deque[tuple[float, dict[str, int]]] = deque(maxlen=SMOOTHED)

    def make(self) -> bytes:
        """Return the state of everything as JSON, in one line."""
        return to_line(self.state())

    def state(self) -> dict[str, Any]:
        """Return the state of everything as JSON values."""
        overview = self._overview
        routes = routes_of(overview)
        for route in routes:
            route["history"] = overview.rates.history(route["path"])
            for source in route["sources"]:
                source["history"] = overview.rates.history((route["path"], source["source"]))
        return summary_of(overview) | {
            "at": round(time(), 3),
            "routes": routes,
            "problems": problems_of(overview)[:12],
            **self._requests(),
        }

    def _requests(self) -> dict[str, Any]:
        now = float(self._overview.shared.clock.seconds())
        requests = sorted(self._overview.requests, key=attrgetter("arrived"))
        self._past.append((now, {request.id: request.sentLength for request in requests}))
        there = iter(requests)
        full = [
            _brief(each, self._rate(each)) | self._maps_of(each)
            for each in islice(there, MOST_IN_FULL)
        ]
        brief = [_brief(each, self._rate(each)) for each in islice(there, MOST_IN_BRIEF)]
        return {"running": full, "brief": brief, "others": len(requests) - len(full) - len(brief)}

    def _rate(self, request: ProxyRequest) -> int:
        """Return bytes per second, over the snapshots that have the request."""
        then, before = next(past for past in self._past if request.id in past[1])
        now, counts = self._past[-1]
        return round((counts[request.id] - before[request.id]) / max(now - then, 0.1))

    def _maps_of(self, request: ProxyRequest) -> dict[str, Any]:
        """Return the maps of a request's bytes; none if its length isn't known."""
        transfer, taken = request.transfer, request.from_cache
        names = list(self._overview.tallies.of(request.route).sources) or ["-"]
        fetched = None if transfer is None or transfer.driver is None else _of_transfer(transfer)
        if request.owed is None:
            return fetched or {}
        total = request.sentLength + request.owed
        if taken is not None and taken.start is not None:
            return _of_cached(taken, names, taken.start, request.sentLength, total, fetched)
        if fetched is not None:
            return fetched
        cells = Cells(0, total, CELLS)
        cells.paint(0, request.sentLength, DELIVERED, 0)
        whole = {"start": 0, "stop": total, "runs": cells.runs()}
        return {"sources": names, "position": request.sentLength, "whole": whole}


def to_line(state: dict[str, Any]) -> bytes:
    """Return JSON in one line."""
    return json.dumps(state, separators=(",", ":")).encode()


def _brief(request: ProxyRequest, rate: int) -> dict[str, Any]:
    total = None if request.owed is None else request.sentLength + request.owed
    return {
        "id": request.id,
        "route": request.route,
        "client": request.client_host,
        "method": request.method.decode("latin-1"),
        "target": _shown(request.target.path),
        "status": request.code if request.startedWriting else None,
        "seconds": round(time() - request.arrived, 1),
        "sent": request.sentLength,
        "spliced": request.spliced,
        "total": total,
        "bytes_per_second": rate,
    }


def _shown(path: bytes) -> str:
    text = path.decode("latin-1")
    return text if len(text) <= 300 else text[:300] + "..."


def _of_transfer(transfer: Transfer) -> dict[str, Any]:
    driver, trail = transfer.driver, transfer.trail
    assert driver is not None
    trail.settle(driver.running)
    facts, marks = transfer.facts, list(trail.marks)
    names = transfer.source_names
    numbers = {name: number for number, name in enumerate(names)}
    position = driver.position
    edge = max((mark.stop for mark in marks), default=position)
    stop = driver.stop if driver.stop is not None else edge
    return {
        "sources": names,
        "received": [transfer.received[name] for name in names],
        "complete": None if facts is None else facts.complete,
        "position": position,
        "waiting": driver.held,
        "window": driver.window,
        "resumes": transfer.resumes,
        "duplicates": transfer.wasted,
        **_maps(Picture(marks, numbers, position), driver.start, stop, position, edge),
    }


def _of_cached(
    taken: FromCache,
    names: Sequence[str],
    start: int,
    sent: int,
    total: int,
    fetched: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the maps of a response of `total` bytes from the offset `start` on.

    `fetched` has those of the last bytes that had to be fetched for it.
    """
    received, marks = received_of(taken, names), marks_of(taken)
    numbers = {name: number for number, name in enumerate(received)}
    position, stop = start + sent, start + total
    edge = min(stop, max((mark.stop for mark in marks), default=position))
    maps = _maps(Picture(marks, numbers, position), start, stop, position, edge)
    if fetched is None:
        del maps["near"]
    return {
        **(fetched or {}),
        "sources": list(numbers),
        "received": list(received.values()),
        "position": position,
        **maps,
    }


def _maps(picture: Picture, start: int, stop: int, position: int, edge: int) -> dict[str, Any]:
    """Return the map of [start, stop), and that of the part around the client's position."""
    low, high = near(start, stop, position, edge)
    return {
        "whole": {"start": start, "stop": stop, "runs": picture.whole(start, stop, CELLS)},
        "near": {"start": low, "stop": high, "runs": picture.near(low, high, CELLS)},
    }


def near(start: int, stop: int, position: int, edge: int) -> tuple[int, int]:
    """Return the part of [start, stop) to show around the client's position, up to `edge`.

    A short range is shown whole.
    """
    width = max(LEAST_SHOWN, int((edge - position) / (1 - BEHIND)))
    step = LEAST_SHOWN // 4  # so that the picture moves in steps, not with each byte
    low = max(start, min(position - int(width * BEHIND), stop - width)) // step * step
    low = max(start, low)
    return low, min(stop, low + width + step)
