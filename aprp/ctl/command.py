"""``aprp ctl``: the command line, and how to find the control socket."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from aprp.config import ConfigFaults, find, load
from aprp.ctl.client import ControlFailed, request
from aprp.ctl.text import text_of

DEFAULT = Path("/run/aprp/ctl.sock")
"""The socket of the systemd unit."""

_COMMANDS = (
    ("status", None, "show the state of the daemon"),
    ("sources", None, "list the sources and their state"),
    ("transfers", None, "list the requests in flight"),
    ("drain", "SOURCE", "send no new requests to a source"),
    ("resume", "SOURCE", "use a drained source again"),
    ("reload", None, "reload the configuration; if refused, print why"),
    ("log-level", "LEVEL", "set the log level to debug, info, warn or error until the next reload"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``aprp ctl`` to a parser."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", type=Path, metavar="PATH", help="the daemon's control socket")
    where.add_argument(
        "--config", type=Path, metavar="FILE", help="the configuration with the control: setting"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="control"
    )
    for name, argument, about in _COMMANDS:
        added = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        if argument is not None:
            added.add_argument("argument", metavar=argument)


def run(parsed: argparse.Namespace) -> int:
    """Run a command and return its exit status: 0 success, 1 failure."""
    argument = getattr(parsed, "argument", None)
    try:
        path = parsed.socket or _configured(parsed.config)
        result = request(path, parsed.control, [] if argument is None else [argument])
    except (ControlFailed, ConfigFaults) as error:
        print(f"aprp ctl: {error}" if isinstance(error, ControlFailed) else error, file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1) if parsed.json else text_of(parsed.control, result))
    return 0


def _configured(config: Path | None) -> Path:
    """Return the path of the control socket.

    An invalid default configuration is ignored: it may be why the operator asks the daemon.
    """
    try:
        control = load(config or find()).settings.control
    except ConfigFaults:
        if config is not None:
            raise
        control = None
    if control is not None:
        return control
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(directory, "ctl.sock") if directory else DEFAULT
