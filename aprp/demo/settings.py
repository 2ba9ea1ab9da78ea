"""The settings of the demonstration's proxy."""

from __future__ import annotations

from collections.abc import Sequence

from aprp.config import LogSettings, Settings, for_sources, for_upstream

RATES = (1_200_000.0, 800_000.0, 400_000.0)
"""Bytes a second of each mirror. The film needs 1,000,000: the two slower ones are enough for it,
the slowest alone is not."""
FILMS = "/films/"


def demo_settings(mirrors: Sequence[str], stage: str, port: int) -> Settings:
    """Return the settings of aprp in front of the mirrors and the page; it logs each request.

    It stops at once, since the mirrors end with it.
    """
    settings = for_upstream(f"{stage}/", port)
    films = for_sources([mirror + FILMS for mirror in mirrors], port).routes[0]
    return settings.model_copy(
        update={
            "routes": (films.model_copy(update={"path": FILMS}), *settings.routes),
            "log": LogSettings(access="-"),
            "stop_timeout": 0.0,
        }
    )
