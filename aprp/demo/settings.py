"""What the demonstration's proxy is set to."""

from __future__ import annotations

from collections.abc import Sequence

from aprp.config import LogSettings, Settings, for_sources

RATES = (600_000.0, 400_000.0, 200_000.0)
"""Bytes a second of each mirror, 3 to 2 to 1; the clip needs some 52,000."""


def demo_settings(mirrors: Sequence[str], port: int) -> Settings:
    """aprp in front of the mirrors with these URLs, with each request shown as it ends.

    The mirrors end with the demonstration, so there is nothing to wait for.
    """
    settings = for_sources([f"{mirror}/" for mirror in mirrors], port)
    return settings.model_copy(update={"log": LogSettings(access="-"), "stop_timeout": 0.0})
