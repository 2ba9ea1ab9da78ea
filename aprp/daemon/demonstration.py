"""`--demo`: mirrors of a film in the daemon's own process, and a page to kill them from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aprp.daemon.daemon import Daemon
from aprp.daemon.log_opener import LogOpener
from aprp.daemon.log_sinks import standard_output
from aprp.daemon.process import OTHER_PORT
from aprp.demo.files import demo_files
from aprp.demo.film import RATE
from aprp.demo.mirrors import Mirrors
from aprp.demo.settings import RATES, demo_settings
from aprp.demo.stage import Stage

FAULT_AFTER = 10 * RATE
"""Bytes that the mirrors have sent when the first of them is killed: ten seconds of film."""


def make_demo(reactor: Any, port: int, twistd: Mapping[str, Any], fault: bool = False) -> Daemon:
    """Return the daemon in front of its mirrors and its page, at `port` of loopback.

    With `fault`, the fastest mirror is killed in the middle of the film.
    """
    out = standard_output()

    def told() -> None:
        out.write(b"The fastest mirror has died; the film goes on.\n")

    mirrors = Mirrors(demo_files(), RATES, reactor, FAULT_AFTER if fault else None, told)
    stage = Stage(mirrors.all, reactor)
    settings = demo_settings(mirrors.urls, stage.url, port)
    daemon = Daemon(settings, reactor, LogOpener(twistd), OTHER_PORT)
    stage.show(daemon.overview)
    for service in (mirrors, stage):
        service.setServiceParent(daemon)

    def invite() -> None:
        where = daemon.addresses[0]
        out.write(f"Open http://{where}/ in a browser (Control-C ends the demo)\n".encode())

    reactor.callWhenRunning(invite)
    return daemon
