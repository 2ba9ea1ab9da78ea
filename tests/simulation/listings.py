"""The server of Metalinks in a simulated world: honest, quick and always there.

A route with pieces asks it for ``/m<length of a piece>/f<number>.meta4``, and is given the first
version of the file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from tests.simulation.clock import SimulatedClock
from tests.simulation.content import content
from tests.simulation.origins import SimulatedOrigin, host_of
from tests.simulation.replies import Reply
from tests.simulation.scenario import Origin, Scenario, Version
from tests.support.metalinks import metalink

HOST = "meta.sim"
ADDRESS = "20.0.2.1"


def place_of(pieces: int) -> str:
    """Return what `metalink:` of a route has."""
    return f"http://{HOST}/m{pieces}/" + "{path}.meta4"


class ListingServer(SimulatedOrigin):
    """Answers with the Metalink of a file, all origins of the scenario as its mirrors."""

    def __init__(self, scenario: Scenario, clock: SimulatedClock) -> None:
        alone = replace(scenario, origins=(Origin(),), faults=(), changes=())
        super().__init__(alone, 0, clock)
        self._mirrors = tuple(map(host_of, range(len(scenario.origins))))

    def answer(self, method: str, target: str, fields: dict[str, str], body: bytes = b"") -> Reply:
        match = re.fullmatch(r"/m(\d+)/f(\d+)\.meta4", target)
        if match is None or int(match[2]) >= len(self._scenario.files):
            return Reply(404, [], b"no such file")
        version = self._scenario.files[int(match[2])].versions[0]
        urls = tuple(f"http://{host}/f{match[2]}" for host in self._mirrors)
        text = _listing(version, int(match[1]), urls)
        return Reply(200, [("Content-Type", "application/metalink4+xml")], text)


@lru_cache(maxsize=64)
def _listing(version: Version, piece: int, urls: tuple[str, ...]) -> bytes:
    return metalink(("film", content(version), urls), piece=piece)
