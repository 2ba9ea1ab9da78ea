"""``aprp ctl``: its arguments, and where the socket is."""

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
"""Where the systemd unit has it."""

_COMMANDS = (
    ("status", None, "show what the daemon does"),
    ("sources", None, "list the sources, and how they do"),
    ("transfers", None, "list the requests that are being answered"),
    ("drain", "SOURCE", "take a source out of service: it gets no new requests"),
    ("resume", "SOURCE", "bring a drained source back"),
    ("reload", None, "reload the configuration, and tell why it is refused"),
    ("log-level", "LEVEL", "log at debug, info, warn or error until the next reload"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add those of `aprp ctl`."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", type=Path, metavar="PATH", help="the daemon's control socket")
    where.add_argument(
        "--config", type=Path, metavar="FILE", help="the configuration whose control: names it"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="control"
    )
    for name, argument, about in _COMMANDS:
        added = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        if argument is not None:
            added.add_argument("argument", metavar=argument)


def run(parsed: argparse.Namespace) -> int:
    """Carry out one command; 0 done, 1 not done."""
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
    """Return where the daemon of a configuration has its socket.

    Where no file is named, one that can't be read is none: it may be why the daemon is asked.
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
