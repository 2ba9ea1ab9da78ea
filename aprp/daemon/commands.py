"""Run the commands of `aprp ctl` in the daemon."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from twisted.logger import Logger

import aprp
from aprp.config import Settings
from aprp.config.faults import listed, nearest
from aprp.core.http.urls import Url
from aprp.core.values import dataclass
from aprp.daemon.cache_commands import CacheCommands
from aprp.daemon.logging import LEVELS, Logs
from aprp.upstream.transfer.route_options import names_of
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.wall_clock import time
from aprp.web.admin.actions import CannotDo, Handler
from aprp.web.admin.overview import Overview
from aprp.web.admin.reloads import ReloadOutcome
from aprp.web.admin.status import routes_of
from aprp.web.admin.wellness import worst
from aprp.web.request import ProxyRequest

_NO_CACHE = CacheCommands(None)


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of a daemon. `settings` returns the current settings.

    With `quiet`, another process logs which sources are drained and resumed.
    """

    _log: ClassVar[Logger] = Logger()

    overview: Overview
    logs: Logs
    settings: Callable[[], Settings]
    addresses: Callable[[], Sequence[str]]
    reload_configuration: Callable[[], Awaitable[ReloadOutcome]]
    cache: CacheCommands = _NO_CACHE
    quiet: bool = False

    def handlers(self) -> dict[str, Handler]:
        """Return the commands by name."""
        return {
            "status": self.status,
            "sources": self.sources,
            "transfers": self.transfers,
            "drain": self.drain,
            "resume": self.resume,
            "reload": self.reload,
            "log-level": self.log_level,
            **self.cache.handlers(),
        }

    @property
    def shared(self) -> SharedResources:
        """The resources that the daemon's transfers share."""
        return self.overview.shared

    def status(self) -> dict[str, Any]:
        """Return the state of the daemon."""
        health = self.overview.health
        return {
            "version": aprp.__version__,
            "pid": os.getpid(),
            "state": health.state,
            "addresses": list(self.addresses()),
            "requests": len(self.overview.requests),
            "clients": self.overview.clients,
            "transfers": self.shared.transfers,
            "memory": {"held": self.shared.held, "limit": self.shared.memory},
            "connections": self.shared.agent.connections,
            "out_of_service": sorted(self.shared.in_service.out),
            "reload": None if health.reload is None else health.reload.json(),
        }

    def sources(self) -> list[dict[str, Any]]:
        """Return the configured sources and their state."""
        shown: dict[str, list[dict[str, Any]]] = {}
        for route in routes_of(self.overview):
            for source in route["sources"]:
                shown.setdefault(source["source"], []).append(source)
        return [
            {"source": name, "routes": routes} | _summed(shown[name])
            for name, routes in self._routes().items()
        ]

    def transfers(self) -> list[dict[str, Any]]:
        """Return the requests in flight."""
        now = time()
        requests = sorted(self.overview.requests, key=lambda request: request.arrived)
        return [_shown(request, now) for request in requests]

    def drain(self, source: str) -> dict[str, Any]:
        """Take a source out of service until it is resumed."""
        name = self._named(source)
        self.shared.in_service.drain(name)
        return self._changed(name)

    def resume(self, source: str) -> dict[str, Any]:
        """Use a drained source again."""
        name = self._named(source)
        self.shared.in_service.resume(name)
        return self._changed(name)

    async def reload(self) -> dict[str, Any]:
        """Reload the configuration."""
        return done_or_refused(await self.reload_configuration())

    def log_level(self, level: str) -> dict[str, Any]:
        """Set the log level until the next reload."""
        check_level(level)
        self.logs.change_level(level)
        return {"level": level}

    def _changed(self, name: str) -> dict[str, Any]:
        self.shared.service_changed()
        service, routes = self.shared.in_service, self._routes()
        without = [
            route.path
            for route in self.settings().routes
            if route.path in routes[name] and service.out.issuperset(names_of(route))
        ]
        why = service.why_out(name)
        if not self.quiet:
            self._log.info(
                "{source} is {state}{routes}",
                source=name,
                state="in service" if why is None else f"out of service: {why}",
                routes="".join(f"; {path} has no source in service" for path in without),
            )
        return {
            "source": name,
            "out_of_service": why,
            "connections": self.shared.connections.get(name, 0),
            "routes_without_source": without,
        }

    def _routes(self) -> dict[str, list[str]]:
        """Return the paths of the routes that have each source, by its name."""
        found: dict[str, list[str]] = {}
        for route in self.settings().routes:
            for name in names_of(route):
                found.setdefault(name, []).append(route.path)
        return found

    def _named(self, text: str) -> str:
        """Find a source by its name or its host."""
        names = list(self._routes())
        if text in names:
            return text
        fitting = [name for name in names if text in _handles(name)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise CannotDo(f"{text!r} may be {listed(fitting)}; write the whole of it")
        meant = nearest(text, names)
        hint = f"did you mean {meant}?" if meant else "`aprp ctl sources` lists them"
        raise CannotDo(f"no source is called {text!r}; {hint}")


def done_or_refused(outcome: ReloadOutcome) -> dict[str, Any]:
    """Return the result of a reload that was made; raise `CannotDo` if it was refused."""
    if not outcome.ok:
        raise CannotDo(f"the reload was refused, and nothing has changed:\n{outcome.message}")
    return outcome.json()


def check_level(level: str) -> None:
    """Raise `CannotDo` for the name of a log level that doesn't exist."""
    if level not in LEVELS:
        raise CannotDo(f"{level!r} is not a log level; use {listed(LEVELS)}")


def _summed(shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a source as its routes show it on the status page, all together."""
    latencies = [each["latency"] for each in shown if each["latency"] is not None]
    return {
        "state": worst(each["state"] for each in shown),
        "out_of_service": shown[0]["out_of_service"],
        "connections": max(each["connections"] for each in shown),
        "bytes_per_second": sum(each["bytes_per_second"] for each in shown),
        "latency": min(latencies, default=None),
        "failures": max(each["failures"] for each in shown),
        "last_error": next((each["last_error"] for each in shown if each["failures"]), None),
    }


def _handles(name: str) -> tuple[str, ...]:
    """Return the short name of a source, valid if no other source has it."""
    try:
        url = Url.parse(name)
    except ValueError:
        return (name.rstrip("/"),)
    return (name.rstrip("/"), url.host, url.authority, url.origin)


def _shown(request: ProxyRequest, now: float) -> dict[str, Any]:
    return {
        "id": request.id,
        "client": request.client_host,
        "method": request.method.decode("latin-1"),
        "target": request.uri.decode("latin-1"),
        "route": request.route,
        "range": None if request.range is None else request.range.decode("latin-1"),
        "status": request.code if request.startedWriting else None,
        "bytes_sent": request.sentLength,
        "seconds": round(now - request.arrived, 3),
    }
