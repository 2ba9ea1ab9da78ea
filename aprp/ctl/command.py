"""``aprp ctl``: the command line, and how to find the control socket."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from aprp.config import ConfigFaults, control_in, find, load
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

_CACHE = (
    ("list", "PATTERN", "list the newest files in the cache, or those that PATTERN names"),
    ("purge", "PATTERN", "delete the files that PATTERN names; * stands for any characters"),
    ("prefetch", "URL", "begin to fetch a URL as a client would request it"),
    ("pin", "PATTERN", "keep the files that PATTERN names when others have to make room"),
    ("unpin", "PATTERN", "let the files that PATTERN names make room again"),
    ("verify", None, "read all blocks and drop those that aren't what was written"),
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
    about = "show and change what is in the cache"
    cache = commands.add_parser("cache", help=about, description=about.capitalize() + ".")
    actions = cache.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="cache")
    for name, argument, about in _CACHE:
        added = actions.add_parser(name, help=about, description=about.capitalize() + ".")
        if name == "list":
            added.add_argument("argument", metavar=argument, nargs="?", default="*")
        elif argument is not None:
            added.add_argument("argument", metavar=argument)


def run(parsed: argparse.Namespace) -> int:
    """Run a command and return its exit status: 0 success, 1 failure."""
    argument = getattr(parsed, "argument", None)
    command = f"cache-{parsed.cache}" if parsed.control == "cache" else parsed.control
    try:
        path = parsed.socket or _configured(parsed.config)
        result = request(path, command, [] if argument is None else [argument])
    except ControlFailed as error:
        print(f"aprp ctl: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1) if parsed.json else text_of(command, result))
    return 0


def _configured(config: Path | None) -> Path:
    """Return the path of the control socket.

    Faults of the configuration are ignored: they may be why the operator asks the daemon.
    """
    try:
        control = load(config or find()).settings.control
    except ConfigFaults as faults:
        control = _named_anyway(config)
        if config is not None and control is None:
            advice = "name the socket of the daemon with --socket"
            raise ControlFailed(f"the configuration has faults; {advice}\n{faults}") from None
    if control is not None:
        return control
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(directory, "ctl.sock") if directory else DEFAULT


def _named_anyway(config: Path | None) -> Path | None:
    """Return the control socket that an invalid configuration names."""
    try:
        return control_in(config or find())
    except ConfigFaults:
        return None
