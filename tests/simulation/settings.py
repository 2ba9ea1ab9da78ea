"""A scenario's routes as the daemon's own settings, and as those of the library."""

from __future__ import annotations

import dataclasses
from typing import Any

from aprp.config import ListenHttp2, Settings
from tests.simulation.listings import place_of
from tests.simulation.origins import HEALTH, PORT, host_of
from tests.simulation.scenario import Route, Scenario

HOST = "20.0.0.1"
NAME = "self.sim"
"""Where the daemon is."""
BALANCED = 9000
"""The port there for a balancer, by the PROXY protocol."""
OCCUPIED = 8080
"""A port there that something else holds."""


def settings_of(scenario: Scenario, ports: int = 0, occupied: bool = False) -> Settings:
    """Return the daemon's settings.

    It listens on so many ports besides its first, and on the one that is `occupied`.
    """
    numbers = [*range(PORT, PORT + 1 + ports), *([OCCUPIED] if occupied else [])]
    listen = [f"tcp:{number}:interface={HOST}" for number in numbers]
    if any(client.proxy for client in scenario.clients):
        listen.append(f"haproxy:tcp:{BALANCED}:interface={HOST}")
    numbered = enumerate(scenario.routes)
    routes: Any = [route_of(number, route) for number, route in numbered if route.kind != "none"]
    disk = scenario.disk
    cache: Any = {"path": "/cache", "size": disk.size} if disk.size else None
    cleartext = any(client.http2 for client in scenario.clients)
    limits: Any = dataclasses.asdict(scenario.limits)
    return Settings(
        listen=tuple(listen),
        memory=scenario.memory,
        cache=cache,
        stop_timeout=scenario.stop_timeout,
        listen_http2=ListenHttp2.CLEARTEXT if cleartext else ListenHttp2.ON,
        limits=limits,
        routes=routes,
    )


def route_of(number: int, route: Route) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "path": f"/r{number}/",
        "connect_timeout": route.connect_timeout,
        "first_byte_timeout": route.first_byte_timeout,
        "between_bytes_timeout": route.between_bytes_timeout,
        "send_timeout": route.send_timeout,
        "resume_for": route.resume_for,
        "limit_rate": route.limit_rate or None,
        "limit_rate_after": route.limit_rate_after,
        "bandwidth": route.bandwidth or None,
        "max_body": route.max_body,
        "cache": "off" if route.valid < 0 else {"valid": route.valid},
    }
    if route.http2:
        settings["http2"] = "prior-knowledge"
    if route.health_interval:
        health = {"path": HEALTH, "interval": route.health_interval, "fails": 2, "passes": 2}
        settings["health"] = health
    if route.kind == "loop":
        return settings | {"upstream": f"http://{NAME}/r{number}/"}
    if route.kind == "upstream":
        return settings | {
            "upstream": f"http://{host_of(route.origins[0])}/",
            "path_ranges": route.path_ranges,
            "request_buffering": route.request_buffering,
        }
    settings |= transfer_settings(route)
    if route.kind == "query":
        return settings | {"path": f"/r{number}", "query": "host", "allow": ["*.sim"]}
    sources = [
        {"url": f"http://{host_of(index)}/", "connections": route.connections}
        for index in route.origins
    ]
    if route.pieces:
        settings["metalink"] = {"at": place_of(route.pieces)}
    return settings | {"sources": sources, "path_ranges": route.path_ranges}


def transfer_settings(route: Route) -> dict[str, Any]:
    """Those that the library takes too."""
    return {
        "same": route.same,
        "redirects": route.redirects,
        "compare": route.compare,
        "block_size": route.block_size,
        "window": max(route.window, route.block_size),
        "delay": route.delay,
        "duplicate": route.duplicate,
        "connect_timeout": route.connect_timeout,
        "first_byte_timeout": route.first_byte_timeout,
        "between_bytes_timeout": route.between_bytes_timeout,
        "resume_for": route.resume_for,
    } | ({"http2": "prior-knowledge"} if route.http2 else {})
