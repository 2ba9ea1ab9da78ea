"""The oracle: it knows the bytes of every version and when each origin had which.

What it holds the daemon to, for every answer that a client got:

- the bytes are those of one version that one of the route's origins had while the answer was made,
  just the range that was asked for; an answer that isn't whole can be seen not to be;
- one strong entity tag never stands for two versions, and a part that was given by If-Range goes
  with the version that the tag came with, unless an origin gave both versions the same strong date;
- no answer is a 500, nothing is malformed, no client waits for ever, and none is refused;
- who is turned away was over a limit, and is told when to come again; a rate limit is kept;
- a body that was sent came whole, and no request with one was sent on twice;
- a request is answered by the settings under which it was begun, whatever a reload changes;
- the film goes on: where one good source was there from the first to the last moment, the answer
  is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from tests.simulation import film, limits, uploads
from tests.simulation.answers import Answer
from tests.simulation.clients import Asked, text_of
from tests.simulation.content import part
from tests.simulation.operator import Era
from tests.simulation.origins import SimulatedOrigin
from tests.simulation.scenario import GONE, Route, Scenario, Version

TELLING = 16
"""Bytes by which versions can be told apart."""
SILENCE = 200.0
"""Seconds without a byte after which a client that waits is one that waits for ever."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Wrong(Exception):
    """What the daemon did that it may never do."""


class Oracle:
    def __init__(
        self, eras: Sequence[Era], origins: Sequence[SimulatedOrigin], clients: Sequence[Any]
    ) -> None:
        self._eras = eras
        self._scenario = eras[0].scenario
        self._origins = origins
        self._clients = clients
        self._tags: dict[tuple[int, int, str], set[int]] = {}

    def judge(self, everything: Iterable[Asked], stopped: float | None) -> list[str]:
        """What is wrong, in the order in which it was found."""
        found = []
        for asked in everything:
            try:
                self._judge_in_its_era(asked, stopped)
            except Wrong as wrong:
                found.append(f"{wrong} ({text_of(asked)})")
        return found + uploads.sent_twice(self._origins)

    def _judge_in_its_era(self, asked: Asked, stopped: float | None) -> None:
        """By the settings under which the request was begun, whatever came after."""
        served = asked.answer.headed or asked.over
        first: Wrong | None = None
        for at, era in enumerate(self._eras):
            settled = self._eras[at + 1].settled if at + 1 < len(self._eras) else float("inf")
            if era.since <= served and asked.began <= settled:
                self._scenario = era.scenario
                try:
                    self._judge(asked, stopped)
                except Wrong as wrong:
                    first = first or wrong
                else:
                    return
        assert first is not None
        raise first

    def _judge(self, asked: Asked, stopped: float | None) -> None:
        if asked.error:
            raise Wrong(asked.error)
        answer, route = asked.answer, self._scenario.routes[asked.ask.route]
        turned_away = limits.turned_away(answer)
        if "internal_error" in answer.fields.get("proxy-status", "") and not turned_away:
            raise Wrong("a fault of the proxy's own: 500")
        if answer.status == 500 and route.kind != "upstream":
            raise Wrong("a 500")
        if asked.impatient and asked.over - answer.last > SILENCE and not asked.ask.pace:
            raise Wrong("the client waits for ever")
        if asked.refused and (stopped is None or asked.over < stopped):
            raise Wrong("a connection is refused")
        if turned_away:
            reason = limits.judge(asked, self._eras, self._clients)
        elif asked.ask.upload >= 0:
            reason = uploads.judge(asked, self._scenario, self._origins, stopped)
        else:
            reason = limits.too_fast(asked, route) or limits.in_spite(asked, self._scenario)
        if reason is not None:
            raise Wrong(reason)
        if turned_away or asked.ask.upload >= 0:
            return
        if route.kind == "none":
            if answer.status not in (0, 404):
                raise Wrong(f"a route that isn't there answers {answer.status}")
            return
        if route.kind == "loop":
            if answer.status not in (0, 400, 508) and answer.ended == "whole":
                raise Wrong(f"a loop is answered {answer.status}")
            return
        if answer.status in (200, 206):
            self._bytes(asked, route)
        if film.expected(self._scenario, self._origins, asked, stopped):
            self._goes_on(asked, route)

    # Bytes

    def _bytes(self, asked: Asked, route: Route) -> None:
        answer = asked.answer
        numbers = self._allowed(route, asked.ask.file, asked.began, asked.over)
        versions = self._scenario.files[asked.ask.file].versions
        mixed = route.kind != "upstream" and route.same == "length"
        fitting = set()
        reasons = []
        for number in sorted(numbers):
            version = versions[number % len(versions)]
            reason = self._misfit(asked, version, (version,))
            if reason is None:
                fitting.add(number)
            else:
                reasons.append(f"version {number}: {reason}")
        if not fitting and mixed:
            mixture = [versions[number % len(versions)] for number in numbers]
            reasons = [why for each in mixture if (why := self._misfit(asked, each, mixture))]
            if len(reasons) < len(mixture):
                return
        if not fitting and answer.method != "HEAD":
            raise Wrong("the bytes are of no version: " + ("; ".join(reasons) or "none was there"))
        if answer.size >= TELLING:
            self._tag(asked, fitting)

    def _allowed(self, route: Route, file: int, began: float, over: float) -> set[int]:
        """The versions that one of the route's origins had at some time of the answer."""
        found = set()
        if route.valid >= 0:
            began = 0.0  # what the cache has may be older than the request
        for index in reachable(self._scenario, route):
            history = self._origins[index].history[file]
            for at, had in enumerate(history):
                until = history[at + 1].since if at + 1 < len(history) else float("inf")
                if had.since <= over and until >= began and had.version != GONE:
                    found.add(had.version % len(self._scenario.files[file].versions))
        return found

    def _misfit(self, asked: Asked, version: Version, mixture: Sequence[Version]) -> str | None:
        """Why it isn't of that version, or of several that one length makes the same."""
        answer = asked.answer
        others = [each for each in mixture if each.size == version.size]
        content_type = answer.fields.get("content-type", "")
        if answer.status == 206 and content_type.startswith("multipart/byteranges"):
            return _misfit_of_parts(answer, version, others)
        start, stop = 0, version.size
        if answer.framing == "library":
            start = int(answer.fields["start"])
            stop = start + int(answer.fields["length"])
        elif answer.status == 206:
            match = _CONTENT_RANGE.fullmatch(answer.fields.get("content-range", ""))
            if match is None:
                return "a 206 without a Content-Range"
            start, stop = int(match[1]), int(match[2]) + 1
            if match[3] != "*" and int(match[3]) != version.size:
                return f"it has {version.size} bytes, and {match[3]} are said"
            if stop > version.size or not _meant(asked, start, stop, version.size):
                return f"{start}-{stop - 1} isn't what was asked for"
        if answer.framing == "length" and int(answer.fields["content-length"]) != stop - start:
            return f"it would be {stop - start} bytes"
        if answer.ended == "whole" and answer.size != stop - start:
            return f"it ends as if whole after {answer.size} of {stop - start} bytes"
        return _differs(answer.body, start, others)

    def _tag(self, asked: Asked, fitting: set[int]) -> None:
        origins = reachable(self._scenario, self._scenario.routes[asked.ask.route])
        if not all(film.keeps_its_date(self._scenario.origins[each]) for each in origins):
            return
        tag = asked.answer.fields.get("etag", "")
        place = (asked.ask.route, asked.ask.file)
        if asked.if_range.startswith('"') and asked.answer.status == 206 and asked.ask.range:
            known = self._tags.get((*place, asked.if_range))
            if known is not None and not known & fitting:
                raise Wrong(
                    f"If-Range joins version {sorted(fitting)} to {sorted(known)} "
                    f"by the tag {asked.if_range}"
                )
        if tag.startswith('"'):
            known = self._tags.setdefault((*place, tag), set(fitting))
            if not known & fitting:
                raise Wrong(
                    f"the strong tag {tag} stands for version {sorted(known)} "
                    f"and for {sorted(fitting)}"
                )
            known &= fitting

    # The film

    def _goes_on(self, asked: Asked, route: Route) -> None:
        answer, ask = asked.answer, asked.ask
        versions = self._scenario.files[ask.file].versions
        numbers = self._allowed(route, ask.file, asked.began, asked.over)
        good = film.satisfiable(ask, versions, numbers)
        expected = (200, 206) if good else (200, 206, 416)
        if answer.status not in expected or answer.ended != "whole":
            raise Wrong("the film doesn't go on, though a good source was there")


def reachable(scenario: Scenario, route: Route) -> set[int]:
    """The origins that a route's answers may come from."""
    found = set(route.origins)
    for index in route.origins:
        if scenario.origins[index].redirect:
            found |= set(scenario.origins[index].redirect_to)
    return found


def _meant(asked: Asked, start: int, stop: int, size: int) -> bool:
    """Whether the range given is one that was asked for, or several of them in one."""
    text = asked.ask.range.removeprefix("bytes=") or asked.ask.in_path.strip("/").replace("/", "-")
    wanted = [found for each in text.split(",") if (found := _resolve(each, size))]
    if (start, stop) in wanted:
        return True
    return len(wanted) > 1 and start == min(wanted)[0] and stop == max(end for _, end in wanted)


def _resolve(text: str, size: int) -> tuple[int, int] | None:
    first, _, last = text.strip().partition("-")
    if not first:
        length = min(film.number(last), size)
        return (size - length, size) if length else None
    if film.number(first) >= size:
        return None
    return int(first), min(film.number(last) + 1, size) if last else size


def _differs(body: bytes, start: int, versions: Sequence[Version]) -> str | None:
    """Where the bytes are those of none of the versions (several: where they may be mixed)."""
    for version in versions:
        if body == part(version, start, start + len(body)):
            return None
    if len(versions) == 1:
        return f"another byte at {start + _same(body, 0, start, versions)}"
    at = 0
    while at < len(body):
        further = _same(body, at, start, versions)
        if further == at:
            return f"another byte at {start + at}"
        at = further
    return None


def _same(body: bytes, at: int, start: int, versions: Sequence[Version]) -> int:
    """How far from `at` on the bytes are those of one of the versions."""
    most = at
    for version in versions:
        low, high = at, len(body)
        while low < high:
            middle = (low + high + 1) // 2
            if body[at:middle] == part(version, start + at, start + middle):
                low = middle
            else:
                high = middle - 1
        most = max(most, low)
    return most


def _misfit_of_parts(answer: Answer, version: Version, others: Sequence[Version]) -> str | None:
    boundary = answer.fields["content-type"].partition("boundary=")[2].encode()
    pieces = answer.body.split(b"--" + boundary)
    if answer.ended == "whole" and not pieces[-1].startswith(b"--"):
        return "the last boundary is missing"
    for piece in pieces[1:]:
        head, end, body = piece.partition(b"\r\n\r\n")
        if piece.startswith(b"--") or not end:
            continue
        match = _CONTENT_RANGE.search(head.decode("latin-1"))
        if match is None:
            return "a part without Content-Range"
        start, stop = int(match[1]), int(match[2]) + 1
        if int(match[3]) != version.size:
            return f"it has {version.size} bytes, and {match[3]} are said"
        if answer.ended == "whole" and len(body) != stop - start + 2:
            return "a part of another length"
        if (reason := _differs(body[: stop - start], start, others)) is not None:
            return reason
    return None
