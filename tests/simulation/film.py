"""When the film has to go on: whether one good source was there for the whole of an answer.

Strict on purpose, so that what it asks for can never be too much: the origins have one version
among them and show it alike, and one of them did nothing wrong while the answer was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tests.simulation.clients import Asked
from tests.simulation.faults import BREAKS, WRONG
from tests.simulation.origins import SimulatedOrigin
from tests.simulation.scenario import EPOCH, Ask, Fault, Origin, Route, Scenario, Version

MOST_BREAKS = 3
"""Of one answer of an `upstream:` route that has to be whole all the same."""
SLACK = 1.0
CHECKED = 60.0
"""Seconds after which health checks have seen for sure that a source is well again."""
LATEST = 1.0
"""Seconds that a good source may take to answer, under every timeout that is configured."""


def expected(
    scenario: Scenario, origins: Sequence[SimulatedOrigin], asked: Asked, stopped: float | None
) -> bool:
    """Whether the answer has to be whole. What began before the stop has the time to end."""
    ask, route = asked.ask, scenario.routes[asked.ask.route]
    client = scenario.clients[asked.client]
    if asked.refused or asked.number < 0 or ask.upload >= 0 or route.kind == "none":
        return False
    if stopped is not None and _is_cut_off(asked, stopped, scenario.drain_seconds):
        return False
    if client.pipelined and asked.number:
        return False
    if ask.in_path and route.path_ranges == "off":  # since a reload: it names no file
        return False
    takes = all(_takes(each, route) for each in client.asks)  # a pause may go on into the next
    if ask.method != "GET" or client.trickle or not takes:
        return False
    if any(name.origin in route.origins for name in scenario.names):
        return False
    specs = [scenario.origins[index] for index in route.origins]
    if any(spec.redirect and (spec.redirect_to or spec.pinned) for spec in specs):
        return False
    began = 0.0 if route.valid >= 0 else asked.began
    if not _one_version(route, origins, ask.file, began, asked.over):
        return False
    latest = max(version.mtime for version in scenario.files[ask.file].versions)
    if latest > asked.began - EPOCH - 2:  # not a strong validator yet
        return False
    if route.kind == "upstream":
        good = _in_service(scenario, route, route.origins[0], asked)
        return good and not specs[0].redirect and _upstream(route, origins[route.origins[0]], asked)
    shown = replace(route, same="length") if route.pieces else route
    if not _combinable(scenario, shown):
        return False
    return any(_good(scenario, route, origins[index], asked) for index in route.origins)


def _is_cut_off(asked: Asked, stopped: float, seconds: float) -> bool:
    return asked.began > stopped - SLACK or asked.over > stopped + seconds - SLACK


def satisfiable(ask: Ask, versions: Sequence[Version], numbers: Iterable[int]) -> bool:
    """Whether any of the ranges asked for lies in the file."""
    text = ask.range.removeprefix("bytes=")
    if not text or ask.in_path:
        return not ask.in_path
    size = min(versions[number % len(versions)].size for number in numbers)
    return any(_begins_within(each.strip(), size) for each in text.split(","))


def _begins_within(text: str, size: int) -> bool:
    first, _, last = text.partition("-")
    return number(first) < size if first else number(last) > 0 and size > 0


def number(digits: str) -> int:
    """Numbers that are far too large are one number."""
    return int(digits[:20] or 0) if len(digits) < 20 else 10**19


def _takes(ask: Ask, route: Route) -> bool:
    """Whether the client takes all, and soon enough."""
    if ask.leave_at >= 0 or ask.pause_for >= route.send_timeout / 4:
        return False
    return not ask.pace or 400_000 / ask.pace < route.send_timeout


def _one_version(
    route: Route, origins: Sequence[SimulatedOrigin], file: int, began: float, over: float
) -> bool:
    found = set()
    for index in route.origins:
        history = origins[index].history[file]
        before = [had.version for had in history if had.since <= began]
        meanwhile = [had for had in history if began < had.since <= over]
        if meanwhile:
            return False
        found.add(before[-1])
    return len(found) == 1 and min(found) >= 0


def _combinable(scenario: Scenario, route: Route) -> bool:
    """Whether the sources show by what they are one file."""
    specs = [scenario.origins[index] for index in route.origins]
    if any(
        not spec.dated or not spec.ranges or not spec.if_range or spec.length != "declared"
        for spec in specs
    ):
        return False
    if any(spec.repeats != "all" for spec in specs):
        return False
    if route.same == "digest":
        return (
            all("sha-256" in spec.digests for spec in specs)
            and len({spec.digests for spec in specs}) == 1
        )
    if route.same == "length":
        return all(spec.etag in ("strong", "none") and keeps_its_date(spec) for spec in specs)
    modified = {spec.modified for spec in specs}
    return modified == {"mtime"} or (
        modified == {"none"} and all(spec.etag == "strong" for spec in specs)
    )


def keeps_its_date(spec: Origin) -> bool:
    """Whether Last-Modified never looks like that of a version made after the first response: a
    second after the time of a response it would be a strong validator, and another each time."""
    return spec.modified != "date" or spec.etag == "strong" or spec.think == 0


def _good(scenario: Scenario, route: Route, origin: SimulatedOrigin, asked: Asked) -> bool:
    spec, began, over = origin.spec, asked.began, asked.over
    if not _quick(spec.link.latency, spec.think, route) or spec.link.rate < 100_000:
        return False
    before = CHECKED if route.health_interval else 1e-6
    if any(began - before <= at <= over for at, _ in origin.refused):
        return False
    if not _in_service(scenario, route, origin.index, asked):
        return False
    faults = [(each.at, each.file, each.fault) for each in origin.served if each.fault]
    if any(at <= over and fault.kind in WRONG for at, _, fault in faults):
        return False
    if any(began - 60 <= at <= over and file == asked.ask.file for at, file, _ in faults):
        return False
    parked = {file for at, file, fault in faults if at <= over and _parks(fault)}
    return asked.ask.file not in parked and len(parked) < 2 and scenario.memory >= 64 << 20


def _in_service(scenario: Scenario, route: Route, origin: int, asked: Asked) -> bool:
    """Whether the origin was in service all the time."""
    began, over = asked.began - EPOCH, asked.over - EPOCH
    for operation in scenario.operations:
        if operation.kind == "drain" and operation.origin == origin and operation.at < over:
            return False  # whenever it is resumed
    if not route.health_interval:
        return True
    sick = [each for each in scenario.faults if each.origin == origin and each.kind == "sick"]
    return not any(each.since <= over and began <= each.until + CHECKED for each in sick)


def _parks(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "status" and fault.seconds > 0


def _quick(latency: float, think: float, route: Route) -> bool:
    shortest = min(route.connect_timeout, route.first_byte_timeout, route.between_bytes_timeout)
    return 3 * latency + think < shortest / 2


def _upstream(route: Route, origin: SimulatedOrigin, asked: Asked) -> bool:
    spec, began, over = origin.spec, asked.began, asked.over
    strong = spec.etag == "strong" or (spec.etag == "none" and spec.modified == "mtime")
    plain = spec.ranges and spec.if_range and spec.dated and spec.length == "declared"
    if not (strong and plain and spec.repeats == "all" and route.resume_for >= 10):
        return False
    if not _quick(spec.link.latency, spec.think, route) or spec.link.rate < 100_000:
        return False
    before = CHECKED if route.health_interval else 1e-6
    if any(began - before <= at <= over for at, _ in origin.refused):
        return False
    faults = [each.fault for each in origin.served if each.fault and began <= each.at <= over]
    if len(faults) > MOST_BREAKS or any(fault.kind not in BREAKS for fault in faults):
        return False
    silent = sum(fault.kind == "stall" for fault in faults[1:])  # the clock runs from the first on
    return silent * route.between_bytes_timeout + SLACK < route.resume_for
