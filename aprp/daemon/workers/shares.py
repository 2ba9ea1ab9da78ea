"""The settings of one worker. Pure.

Limits that the workers count together (`aprp.daemon.workers.common`) are those of the daemon.
"""

from __future__ import annotations

from pathlib import Path

from aprp.config import LogSettings, Route, Settings


def share(cap: int, number: int, count: int) -> int:
    """Return the share of worker `number` of `count` in `cap`; the first get what is left over."""
    return cap // count + (number < cap % count)


def settings_of(settings: Settings, number: int, count: int) -> Settings:
    """Return the settings by which worker `number` (from 0) of `count` serves.

    It has no port of its own but those for clients, and its logs are pipes to the parent.
    """
    return settings.model_copy(
        update={
            "listen": tuple(_shared(where) for where in settings.listen),
            "admin": None,
            "control": None,
            "workers": 1,
            "log": _piped(settings.log),
            "routes": tuple(_divided(route, number, count) for route in settings.routes),
        }
    )


def _divided(route: Route, number: int, count: int) -> Route:
    """Return the route with a part of its bandwidth to begin with."""
    if route.bandwidth is None:
        return route
    return route.model_copy(update={"bandwidth": share(route.bandwidth, number, count)})


def _piped(log: LogSettings) -> LogSettings:
    access: Path | str | None = None if log.access is None else "-"
    return log.model_copy(update={"file": None, "access": access})


def _shared(where: str) -> str:
    """Return an endpoint string for a worker.

    Only the parent has the sockets of the service manager, so their strings are replaced by others
    that are as distinct and never bound.
    """
    before, found, named = where.partition("systemd:")
    if not found:
        return where
    quoted = named.replace("\\", r"\\").replace(":", r"\:").replace("=", r"\=")
    return f"{before}tcp:0:interface={quoted}"
