"""Simulated origins: honest servers of files whose versions change, with faults done to order.

What they claim is true: a strong validator changes whenever the bytes do. What `tests.simulation`
has them do wrong can all be seen by a careful reader of the answer, so the oracle needn't excuse
anything but the missing answer.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate

from tests.simulation import faults
from tests.simulation.clock import SimulatedClock
from tests.simulation.content import digest, part
from tests.simulation.network import End
from tests.simulation.replies import Reply
from tests.simulation.scenario import ANY, EPOCH, GONE, Change, Fault, Origin, Scenario, Version
from tests.simulation.serving import OriginConnection
from tests.simulation.uploads import receipt

PORT = 80
HEALTH = "/health"
"""The path of health checks: 200 but while the origin is `sick`."""
NOW = -2
OF_THE_ORIGIN = ("refuse", "lost", "sick", "early")
"""Faults of an origin as a whole, and not of its answers."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def host_of(index: int) -> str:
    return f"o{index}.sim"


def address_of(index: int) -> str:
    return f"20.0.1.{index + 1}"


@dataclass(frozen=True, slots=True)
class Served:
    """One request that came to an origin: when, for which file, which fault was done to it."""

    at: float
    file: int
    fault: Fault | None
    status: int


@dataclass(frozen=True, slots=True)
class Had:
    """From when on an origin has had which version of a file."""

    since: float
    version: int


class SimulatedOrigin:
    """The origin with that number in the scenario."""

    def __init__(self, scenario: Scenario, index: int, clock: SimulatedClock) -> None:
        self.index = index
        self.spec: Origin = scenario.origins[index]
        self.clock = clock
        self.served: list[Served] = []
        self.refused: list[tuple[float, Fault]] = []
        """When connections were refused or lost, and by which fault."""
        self.uploads: Counter[str] = Counter()
        """How often the head of each request with a body came."""
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.history: list[list[Had]] = [[Had(EPOCH - 1e6, 0)] for _ in scenario.files]
        self._scenario = scenario
        self._faults = [each for each in scenario.faults if each.origin == index]
        self._counts: Counter[int] = Counter()
        self._pending = [
            each for each in scenario.changes if each.origin == index and each.after is not None
        ]
        self._turn = 0
        for change in scenario.changes:
            if change.origin == index and change.at is not None:
                clock.callLater(change.at, self._change, change)

    # Versions

    def _change(self, change: Change) -> None:
        if change.file < len(self.history):
            self.history[change.file].append(Had(self.clock.rightNow, change.version))

    def current(self, file: int) -> int:
        return self.history[file][-1].version

    def version(self, file: int, number: int) -> Version:
        versions = self._scenario.files[file].versions
        return versions[number % len(versions)]

    # Connections

    def way(self) -> Fault | None:
        """What befalls a new connection, if something does."""
        fault = self.fault_of("refuse", "lost")
        if fault is not None:
            self.refused.append((self.clock.rightNow, fault))
        return fault

    def fault_of(self, *kinds: str) -> Fault | None:
        """The first fault of these kinds that is in force now."""
        now = self.clock.rightNow - EPOCH
        for fault in self._faults:
            if fault.kind in kinds and fault.since <= now < fault.until:
                return fault
        return None

    def accept(self, end: End) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        OriginConnection(self, end)

    # Requests

    def answer(self, method: str, target: str, fields: dict[str, str], body: bytes = b"") -> Reply:
        """The reply to a request, faults and all."""
        if target == HEALTH:
            return Reply(503 if self.fault_of("sick") else 200, [], b"health")
        pinned, file = _parsed(target)
        if file is None or file >= len(self.history):
            return Reply(404, [], b"no such file")
        self._count(file)
        fault = self._fault(file)
        if method == "POST":
            reply = Reply(200, [], receipt(body), keeps=self.spec.keeps)
        else:
            reply = self._honest(method, pinned, file, fields)
        self.served.append(Served(self.clock.rightNow, file, fault, reply.status))
        if fault is not None:
            faults.spoil(fault, reply, fields)
        return reply

    def _count(self, file: int) -> None:
        for change in list(self._pending):
            if change.file == file and self._counts[file] >= (change.after or 0):
                self._pending.remove(change)
                self._change(change)
        self._counts[file] += 1
        self._counts[ANY] += 1

    def _fault(self, file: int) -> Fault | None:
        now = self.clock.rightNow - EPOCH
        for fault in self._faults:
            if fault.kind in OF_THE_ORIGIN or fault.file not in (ANY, file):
                continue
            number = self._counts[fault.file] - 1
            if (
                fault.first <= number < fault.first + fault.count
                and fault.since <= now < fault.until
            ):
                return fault
        return None

    def _honest(self, method: str, pinned: int | None, file: int, fields: dict[str, str]) -> Reply:
        spec = self.spec
        number = self.current(file) if pinned is None or pinned < 0 else pinned
        if number == GONE:
            return Reply(404, [], b"gone")
        if spec.redirect and pinned is None:
            return self._redirect(file, number)
        version = self.version(file, number)
        shown = self._validators(version)
        lines = [("Content-Type", "video/mp4"), *shown, ("Accept-Ranges", "bytes")]
        lines += [("Repr-Digest", f"{each}=:{digest(each, version)}:") for each in spec.digests]
        start, stop, status = 0, version.size, 200
        asked = fields.get("range", "")
        if asked and spec.ranges and method == "GET" and self._if_range(fields, shown):
            found = _resolve(asked, version.size)
            if found is None:
                return Reply(416, [("Content-Range", f"bytes */{version.size}")], b"")
            start, stop, status = found[0], found[1], 206
            if spec.repeats == "none":
                lines = [line for line in lines if line not in shown]
            lines.append(("Content-Range", f"bytes {start}-{stop - 1}/{version.size}"))
        if fields.get("if-none-match") and fields["if-none-match"] == dict(shown).get("ETag"):
            return Reply(304, lines, b"", keeps=spec.keeps)
        if method == "HEAD" and not spec.head:
            return Reply(405, [], b"")
        body = b"" if method == "HEAD" else part(version, start, stop)
        reply = Reply(status, lines, body, spec.length, spec.keeps, spec.dated)
        reply.bodiless = method == "HEAD"
        if method == "HEAD":
            reply.declared = version.size
        if spec.redirect:
            reply.fields.append(("Cache-Control", "no-store"))
        return reply

    def _redirect(self, file: int, number: int) -> Reply:
        spec = self.spec
        to = spec.redirect_to or (self.index,)
        host = host_of(to[self._turn % len(to)])
        self._turn += 1
        place = f"/at/{number}/f{file}" if spec.pinned else f"/at/now/f{file}"
        fields = [("Location", f"http://{host}{place}"), ("Cache-Control", "no-store")]
        return Reply(spec.redirect, fields, b"")

    def _validators(self, version: Version) -> list[tuple[str, str]]:
        spec, found = self.spec, []
        if spec.etag == "strong":
            found.append(("ETag", f'"{version.tag}"'))
        elif spec.etag == "own":
            found.append(("ETag", f'"{self.index}-{version.tag}"'))
        elif spec.etag == "weak":
            found.append(("ETag", 'W/"same"'))
        if spec.modified == "mtime":
            found.append(("Last-Modified", formatdate(EPOCH + version.mtime, usegmt=True)))
        elif spec.modified == "date":
            found.append(("Last-Modified", formatdate(int(self.clock.rightNow), usegmt=True)))
        return found

    def _if_range(self, fields: dict[str, str], shown: list[tuple[str, str]]) -> bool:
        condition = fields.get("if-range")
        if condition is None or not self.spec.if_range:
            return True
        strong = [value for name, value in shown if not value.startswith("W/")]
        return condition in strong


def _parsed(target: str) -> tuple[int | None, int | None]:
    """The version that a target pins (NOW: the current one, without a redirect), and the file."""
    path = target.partition("?")[0]
    pinned: int | None = None
    if path.startswith("/at/"):
        number, _, path = path[4:].partition("/")
        path = "/" + path
        pinned = NOW if number == "now" else int(number)
    match = re.fullmatch(r"/f(\d+)", path)
    return pinned, None if match is None else int(match[1])


def _resolve(asked: str, size: int) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(asked)
    assert match is not None, f"the daemon asked for {asked}"
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        return (size - length, size) if length else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    return (start, stop) if start < size else None
