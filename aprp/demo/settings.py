"""What the demonstration's proxy is set to."""

from __future__ import annotations

from collections.abc import Sequence

from aprp.config import LogSettings, Settings, for_upstream

RATES = (600_000.0, 300_000.0, 100_000.0)
"""Bytes a second of each mirror; the clip needs some 52,000."""


def demo_settings(mirrors: Sequence[str], port: int) -> Settings:
    """aprp in front of the mirrors with these URLs, with each request shown as it ends."""
    settings = for_upstream(f"{mirrors[0]}/", port)
    return settings.model_copy(update={"log": LogSettings(access="-")})
