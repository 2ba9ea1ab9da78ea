"""What twistd starts for its command line: the daemon, its demonstration, or a parent of workers.

Everything that can be wrong is reported before anything is served, in plain words and with exit
status 1: faults of the configuration, files that can't be opened, ports that can't be listened on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService

from aprp.config import ConfigFaults, find, load
from aprp.daemon.daemon import Daemon
from aprp.daemon.listening import CannotServe
from aprp.daemon.log_opener import LogOpener
from aprp.daemon.options import Options
from aprp.daemon.process import OTHER_PORT, count_of

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """Return the daemon for the command line; exit with a message if it can't be created."""
    from twisted.internet import reactor

    twistd: Mapping[str, Any] = options.parent or {}
    try:
        if options["demo"]:
            from aprp.daemon.demonstration import make_demo

            return make_demo(reactor, options["port"], twistd, bool(options["demo-fault"]))
        if options.quick is not None:
            return Daemon(options.quick, reactor, LogOpener(twistd), OTHER_PORT)
        loaded = load(options["config"] or find())
        if (count := count_of(loaded.settings)) > 1:
            from aprp.daemon.workers.parent import Parent

            return Parent(loaded, count, reactor, LogOpener(twistd))
        return Daemon(
            loaded.settings,
            reactor,
            LogOpener(twistd),
            warnings=loaded.warnings,
            path=loaded.path,
        )
    except ConfigFaults as faults:
        sys.exit(str(faults))
    except CannotServe as error:
        sys.exit(f"aprp: {error}")
