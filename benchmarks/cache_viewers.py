"""Many viewers of a few films, who seek and leave, from mirrors of limited rate."""

from __future__ import annotations

from typing import Any


class Viewers:
    def __init__(self, bench: Any, count: int) -> None:
        self.bench = bench
        self.count = count

    def run(self) -> None:
        """Not yet."""
