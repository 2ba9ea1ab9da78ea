"""The command ``aprp``: what can be done without starting the daemon."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aprp import __version__
from aprp.config import ConfigFaults, find, json_schema, load
from aprp.get import command as getting
from aprp.simulator import command as simulating

Run = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 faults found, 2 not understood."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    parsed = _parser().parse_args(arguments)
    run: Run = parsed.run
    try:
        return run(parsed)
    except BrokenPipeError:  # who reads it, as `head` does, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def check(parsed: argparse.Namespace) -> int:
    """Print what is wrong with a configuration, a line for each fault, or that nothing is."""
    if parsed.schema:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    try:
        loaded = load(parsed.config or find())
    except ConfigFaults as faults:
        print(faults)
        return 1
    for warning in loaded.warnings:
        print(warning)
    print(f"{loaded.path}: no faults")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aprp",
        description="Tools of the range proxy. The daemon itself is started with: twistd -n aprp",
    )
    parser.add_argument("--version", action="version", version=f"aprp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_check(commands.add_parser("check", help="say what is wrong with a configuration"))
    get = commands.add_parser("get", help="fetch one file from all of its sources")
    getting.add_arguments(get)
    get.set_defaults(run=getting.run)
    simulate = commands.add_parser("simulate", help="compare the scheduler's policies")
    simulating.add_arguments(simulate)
    simulate.set_defaults(run=simulating.run)
    return parser


def _add_check(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the file to check; otherwise etc/aprp.yaml, then /etc/aprp/aprp.yaml",
    )
    what.add_argument(
        "--schema", action="store_true", help="print a JSON Schema of the file, for editors"
    )
    parser.set_defaults(run=check)
