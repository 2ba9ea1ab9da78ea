"""The share of one worker in everything that the settings limit for the whole daemon. Pure.

The shares of all workers add up to the setting, so that no cap is exceeded. What doesn't divide
goes to the first workers, or for connections to sources to a different one for each host.
"""

from __future__ import annotations

from pathlib import Path

from aprp.config import LimitSettings, LogSettings, Route, Settings, SourcesRoute


def share(cap: int, number: int, count: int, first: int = 0) -> int:
    """Return the share of worker `number` of `count` in `cap`.

    What doesn't divide evenly goes to worker `first` and those after it.
    """
    return cap // count + ((number - first) % count < cap % count)


def settings_of(settings: Settings, number: int, count: int) -> Settings:
    """Return the settings by which worker `number` (from 0) of `count` serves.

    It has no port of its own but those for clients, and its logs are pipes to the parent.
    """
    limits = {
        name: share(getattr(settings.limits, name), number, count)
        for name in LimitSettings.model_fields
    }
    return settings.model_copy(
        update={
            "listen": tuple(_shared(where) for where in settings.listen),
            "admin": None,
            "control": None,
            "workers": 1,
            "log": _piped(settings.log),
            "memory": settings.memory // count,
            "limits": settings.limits.model_copy(update=limits),
            "routes": _routes_of(settings, number, count),
        }
    )


def _routes_of(settings: Settings, number: int, count: int) -> tuple[Route, ...]:
    routes = [route for route in settings.routes if isinstance(route, SourcesRoute)]
    hosts = sorted({source.location.place for route in routes for source in route.sources})
    firsts = {host: place % count for place, host in enumerate(hosts)}

    def divided(route: Route) -> Route:
        if route.bandwidth is not None:
            bandwidth = share(route.bandwidth, number, count)
            route = route.model_copy(update={"bandwidth": bandwidth})
        if not isinstance(route, SourcesRoute):
            return route
        sources = tuple(
            source.model_copy(
                update={
                    "connections": share(
                        source.connections, number, count, firsts[source.location.place]
                    )
                }
            )
            for source in route.sources
        )
        return route.model_copy(update={"sources": sources})

    return tuple(divided(route) for route in settings.routes)


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
