"""The command ``aprp``."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from aprp import __version__

Run = Callable[[argparse.Namespace], int]

_COMMANDS = {
    "init": ("aprp.init.command", "write a configuration to begin with"),
    "get": ("aprp.get.command", "download one file from several sources at once"),
    "mirror": ("aprp.mirror.command", "compare mirrors before writing a route for them"),
    "simulate": ("aprp.simulator.command", "compare scheduling policies by simulation"),
    "ctl": ("aprp.ctl.command", "control a running daemon"),
}
"""The module of each command, and its line in the help. A module is loaded when it's needed: that
takes longer than what most commands do."""

_UNKNOWN = re.compile(r"unrecognized arguments: (\S+)|invalid choice: '([^']*)'")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with a suggestion."""

    def error(self, message: str) -> NoReturn:
        from aprp.config.faults import nearest

        found = _UNKNOWN.search(message)
        if found is not None:
            word = found[1] or found[2]
            meant = nearest(word.partition("=")[0], self._words())
            hint = f"; did you mean {meant}?" if meant else ""
            message = f"{word} is not a known option or command{hint}"
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help lists all options)\n")

    def _words(self) -> list[str]:
        """Return the options and commands of this parser."""
        words = [word for action in self._actions for word in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                words += action.choices
        return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 success, 1 faults found, 2 usage error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:
        return _serve(given[1:])
    parsed = _parse(given)
    run: Run = parsed.run
    try:
        return run(parsed)
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def check(parsed: argparse.Namespace) -> int:
    """Validate a configuration and print a line for each fault, or that there are none."""
    from aprp.config import ConfigFaults, find, json_schema, load

    if parsed.schema:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    try:
        loaded = load(parsed.config or parsed.file or find())
    except ConfigFaults as faults:
        print(faults)
        return 1
    for warning in loaded.warnings:
        print(warning)
    print(f"{loaded.path}: no faults")
    return 0


def _serve(arguments: Sequence[str]) -> int:
    """Run the daemon in the foreground, with the options of ``twistd aprp``."""
    from aprp.daemon.foreground import serve  # loads Twisted, which the other commands may not need

    return serve(arguments)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; unknown arguments are reported by the command's own parser."""
    parser, commands = parsers(arguments[:1])
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands[parsed.command].error(f"unrecognized arguments: {unknown[0]}")
    return parsed


def parsers(wanted: Sequence[str] = tuple(_COMMANDS)) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the program, and that of each command by its name.

    Only the parsers of the commands that are `wanted` have their options.
    """
    parser = Parser(
        prog="aprp",
        description="aprp, a range proxy for media servers: the daemon and its tools.",
        epilog="Run aprp COMMAND --help for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"aprp {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command"
    )
    commands.add_parser("serve", help="run the daemon in the foreground")
    check = commands.add_parser("check", help="validate a configuration")
    _add_check(check)
    for name, (module, about) in _COMMANDS.items():
        command = commands.add_parser(name, help=about)
        if name in wanted:
            loaded = import_module(module)
            loaded.add_arguments(command)
            command.set_defaults(run=loaded.run)
    return parser, dict(commands.choices)


def _add_check(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the file to check; default: etc/aprp.yaml, then /etc/aprp/aprp.yaml",
    )
    what.add_argument("--config", type=Path, metavar="FILE", help="same as FILE")
    what.add_argument(
        "--schema",
        action="store_true",
        help="print the configuration's JSON Schema, for editors",
    )
    parser.set_defaults(run=check)
