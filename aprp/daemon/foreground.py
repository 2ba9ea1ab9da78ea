"""Run the daemon in the foreground: ``aprp serve``, like ``twistd -n aprp``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.scripts import twistd

from aprp.daemon.options import Options
from twisted.plugins.aprp_plugin import aprp


class _Options(twistd.ServerOptions):  # type: ignore[name-defined, misc]
    """twistd's options with aprp as the only plugin, so that no others are scanned."""

    @property
    def subCommands(self) -> list[tuple[Any, ...]]:
        self.loadedPlugins = {aprp.tapname: aprp}
        return [(aprp.tapname, None, Options, aprp.description)]


def serve(arguments: Sequence[str]) -> int:
    """Run until a signal stops it and return the exit status. Exit if it can't start."""
    Options.program = "aprp serve"
    options = _Options()
    options.parseOptions(["--nodaemon", "--pidfile=", aprp.tapname, *arguments])
    twistd.runApp(options)
    return 0
