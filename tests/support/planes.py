"""Tests that run once with bodies that the kernel moves, and once with copied ones."""

from __future__ import annotations

from aprp.upstream.http import received
from aprp.upstream.splice import piped


class Spliced:
    """Even the shortest bodies are received into pipes, and the fewest bytes wait there."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.patch(received, "WORTH_PIPING", 1)  # type: ignore[attr-defined]
        self.patch(piped, "WORTH_KEEPING", 1)  # type: ignore[attr-defined]


class Copied:
    """Every body is copied; put it before `Spliced`."""

    spliced = False
