"""The admin port's site on a string transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.server import Site

from aprp.web.admin.actions import ACTIONS, Handler
from aprp.web.admin.gate import AdminGate, AdminRules
from aprp.web.admin.metrics import Metrics
from aprp.web.admin.overview import Overview
from aprp.web.admin.site import admin_tree, site_of


def _nothing(*arguments: str) -> dict[str, Any]:
    return {"done": list(arguments)}


NOTHING: dict[str, Handler] = dict.fromkeys(ACTIONS, _nothing)
"""Commands that only say their arguments."""


def admin_site(
    overview: Overview,
    clock: Clock,
    rules: AdminRules | None = None,
    handlers: Mapping[str, Handler] = NOTHING,
) -> Site:
    """The site as the daemon has it."""
    tree = admin_tree(overview, Metrics(overview), handlers)
    return site_of(AdminGate(tree, rules or AdminRules()), clock)


def ask(
    site: Site,
    path: str,
    method: str = "GET",
    fields: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, dict[str, str], bytes]:
    """Status, fields in lower case, body."""
    sent = {"Host": "127.0.0.1:8001", "Connection": "close", **(fields or {})}
    if body:
        sent["Content-Length"] = str(len(body))
    transport = StringTransport()
    protocol: Any = site.buildProtocol(None)
    protocol.makeConnection(transport)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    protocol.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
    head, _, answer = transport.value().partition(b"\r\n\r\n")
    status, *told = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in told), answer
