"""Merge the answers of several workers into one answer of the daemon. Pure.

Counts are added up; so are rates, since each byte is counted by one worker. Of the state of a
source, which every worker judges by its own requests, the worst is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from aprp.web.admin.snapshot import MOST_IN_BRIEF, MOST_IN_FULL
from aprp.web.admin.wellness import worst

Json = dict[str, Any]

_WORKER_COUNTS = ("requests", "transfers", "clients", "connections")
BRIEF = (
    "id",
    "route",
    "client",
    "method",
    "target",
    "status",
    "seconds",
    "sent",
    "spliced",
    "total",
    "bytes_per_second",
)
MOST_PROBLEMS = 50
MOST_ON_PAGE = 12


def status(answers: Sequence[Json]) -> Json:
    """Merge what `aprp.web.admin.status.status_of` gives; at least one of them."""
    return answers[0] | {
        **_summary(answers),
        "routes": _routes(answers),
        "sources": [_rated(each) for each in _by(answers, "sources", "source")],
        "out_of_service": {k: v for each in answers for k, v in each["out_of_service"].items()},
        "left_out": _latest(answers, "left_out", MOST_PROBLEMS),
        "problems": _problems(answers, MOST_PROBLEMS),
    }


def page(answers: Sequence[Json]) -> Json:
    """Merge what the page shows of one second; at least one of them."""
    full = sorted(_all(answers, "running"), key=lambda each: -each["seconds"])
    brief = [{key: each[key] for key in BRIEF} for each in full[MOST_IN_FULL:]]
    brief += _all(answers, "brief")
    return answers[0] | {
        **_summary(answers),
        "routes": _routes(answers),
        "problems": _problems(answers, MOST_ON_PAGE),
        "running": full[:MOST_IN_FULL],
        "brief": brief[:MOST_IN_BRIEF],
        "others": _sum(answers, "others") + len(brief[MOST_IN_BRIEF:]),
    }


def workers(listed: Iterable[Json], answers: Mapping[int, Json]) -> list[Json]:
    """Add to the list of workers what each answered, by its number from 0.

    A worker that serves but didn't answer is silent.
    """
    return [each | _worker(each["state"], answers.get(each["number"] - 1)) for each in listed]


def _worker(state: str, answer: Json | None) -> Json:
    if answer is None:
        silent = {"state": "silent" if state == "serving" else state}
        return dict.fromkeys((*_WORKER_COUNTS, "memory")) | silent
    return {key: answer[key] for key in _WORKER_COUNTS} | {"memory": answer["memory"]["resident"]}


def control_status(answers: Sequence[Json]) -> Json:
    """Merge what `aprp ctl status` shows; at least one of them."""
    out = sorted({name for each in answers for name in each["out_of_service"]})
    return answers[0] | {
        **{key: _sum(answers, key) for key in _WORKER_COUNTS},
        "memory": _memory(answers),
        "out_of_service": out,
    }


def control_sources(answers: Sequence[list[Json]]) -> list[Json]:
    """Merge what `aprp ctl sources` shows."""
    found: dict[str, list[Json]] = {}
    for each in answers:
        for source in each:
            found.setdefault(source["source"], []).append(source)
    return [
        _rated(group)
        | {
            "state": worst(each["state"] for each in group),
            "bytes_per_second": _sum(group, "bytes_per_second"),
            "out_of_service": _first(group, "out_of_service"),
            "last_error": _first(group, "last_error"),
        }
        for group in found.values()
    ]


def service(answers: Sequence[Json]) -> Json:
    """Merge the results of draining or resuming a source; at least one of them."""
    return answers[0] | {"connections": _sum(answers, "connections")}


def _summary(answers: Sequence[Json]) -> Json:
    reasons = dict.fromkeys(reason for each in answers for reason in each["not_ready"])
    return {
        "not_ready": list(reasons),
        **{key: _sum(answers, key) for key in _WORKER_COUNTS},
        "memory": _memory(answers),
        "cache": _cache(answers),
        "http2": {
            side: _added([each["http2"][side] for each in answers]) for side in answers[0]["http2"]
        },
    }


def _cache(answers: Sequence[Json]) -> Json | None:
    """Add up what each served from the cache that they share."""
    found: list[Json] = [each["cache"] for each in answers if each.get("cache") is not None]
    if not found:
        return None
    counts = {key: _sum(found, key) for key in ("requests", "hits", "saved")}
    shared = {key: max(each[key] for each in found) for key in ("used", "pinned")}
    return found[0] | counts | shared | {"usable": all(each["usable"] for each in found)}


def _memory(answers: Sequence[Json]) -> Json:
    """Add up what each has; the limit is one for all."""
    limit = answers[0]["memory"]["limit"]
    return _added([each["memory"] for each in answers]) | {"limit": limit}


def _added(counts: Sequence[Json]) -> Json:
    return {key: sum(each[key] for each in counts) for key in counts[0]}


def _routes(answers: Sequence[Json]) -> list[Json]:
    found = []
    for group in _by(answers, "routes", "path"):
        sources = [_source(each) for each in _by(group, "sources", "source")]
        total = sum(source["received"] for source in sources)
        for source in sources:
            source["share"] = round(source["received"] / total, 4) if total else None
        counts = {key: _sum(group, key) for key in _ROUTE_COUNTS}
        found.append(group[0] | counts | _history(group) | {"sources": sources})
    return found


_ROUTE_COUNTS = ("requests", "running", "sent", "bytes_per_second")
_SOURCE_COUNTS = ("requests", "received", "bytes_per_second", "connections")


def _source(group: Sequence[Json]) -> Json:
    errors: dict[str, int] = {}
    for each in group:
        for kind, count in each["errors"].items():
            errors[kind] = errors.get(kind, 0) + count
    return (
        group[0]
        | {key: _sum(group, key) for key in _SOURCE_COUNTS}
        | _history(group)
        | {
            "state": worst(each["state"] for each in group),
            "out_of_service": _first(group, "out_of_service"),
            "latency": _mean(group, "latency"),
            "errors": errors,
            "failures": max(each["failures"] for each in group),
            "last_error": _first(group, "last_error"),
            "http": _first(group, "http"),
            "parked_until": max(_known(group, "parked_until"), default=None),
        }
    )


def _rated(group: Sequence[Json]) -> Json:
    """Merge the ratings of one source."""
    merged = group[0] | {
        "connections": _sum(group, "connections"),
        "bytes_per_second": max(_known(group, "bytes_per_second"), default=None),
        "latency": min(_known(group, "latency"), default=None),
        "failures": max(each["failures"] for each in group),
    }
    if "parked_until" in merged:
        merged["parked_until"] = max(_known(group, "parked_until"), default=None)
    return merged


def _history(group: Sequence[Json]) -> Json:
    """Add up the rates of each second, the latest last; the lists may differ in length."""
    if "history" not in group[0]:
        return {}
    columns = zip_longest(*(reversed(each["history"]) for each in group), fillvalue=0)
    return {"history": [sum(column) for column in columns][::-1]}


def _by(answers: Iterable[Json], member: str, key: str) -> list[list[Json]]:
    """Group the items of a member by the value of `key`, in the order of their first appearance."""
    found: dict[str, list[Json]] = {}
    for item in _all(answers, member):
        found.setdefault(item[key], []).append(item)
    return list(found.values())


def _all(answers: Iterable[Json], member: str) -> list[Json]:
    return [item for each in answers for item in each[member]]


def _latest(answers: Iterable[Json], member: str, most: int) -> list[Json]:
    return sorted(_all(answers, member), key=lambda each: str(each["at"]), reverse=True)[:most]


def _problems(answers: Iterable[Json], most: int) -> list[Json]:
    """Merge the problems that several workers report into one each, with its latest text."""
    found: dict[tuple[str, ...], list[Json]] = {}
    for each in _latest(answers, "problems", sys.maxsize):
        found.setdefault((each["route"], each["source"], each["kind"]), []).append(each)
    merged = [
        group[0] | {"first": min(each["first"] for each in group), "count": _sum(group, "count")}
        for group in found.values()
    ]
    return merged[:most]


def _sum(group: Iterable[Mapping[str, Any]], key: str) -> Any:
    return sum(each[key] for each in group)


def _known(group: Iterable[Json], key: str) -> list[Any]:
    return [each[key] for each in group if each[key] is not None]


def _first(group: Iterable[Json], key: str) -> Any:
    return next(iter(_known(group, key)), None)


def _mean(group: Sequence[Json], key: str) -> float | None:
    """Return the mean, weighted by the number of requests."""
    known = [(each[key], each["requests"] or 1) for each in group if each[key] is not None]
    weight = sum(count for _, count in known)
    return round(sum(value * count for value, count in known) / weight, 6) if known else None
