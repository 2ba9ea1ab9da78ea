"""The command ``aprp``."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from aprp import __version__
from aprp.config import ConfigFaults, find, json_schema, load
from aprp.config.faults import nearest
from aprp.ctl import command as controlling
from aprp.get import command as getting
from aprp.init import command as beginning
from aprp.simulator import command as simulating

Run = Callable[[argparse.Namespace], int]

_UNKNOWN = re.compile(r"unrecognized arguments: (\S+)|invalid choice: '([^']*)'")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the word that was probably meant."""

    def error(self, message: str) -> NoReturn:
        found = _UNKNOWN.search(message)
        if found is not None:
            word = found[1] or found[2]
            meant = nearest(word.partition("=")[0], self._words())
            hint = f"; did you mean {meant}?" if meant else ""
            message = f"{word} is not an option or command here{hint}"
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help lists what there is)\n")

    def _words(self) -> list[str]:
        """The options and commands that this parser takes."""
        words = [word for action in self._actions for word in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                words += action.choices
        return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 faults found, 2 not understood."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:
        return _serve(given[1:])
    parsed = _parse(given)
    run: Run = parsed.run
    try:
        return run(parsed)
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def check(parsed: argparse.Namespace) -> int:
    """Print what is wrong with a configuration, a line for each fault, or that nothing is."""
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
    """What was asked for; the parser of the command itself tells what it doesn't take."""
    parser, commands = parsers()
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands[parsed.command].error(f"unrecognized arguments: {unknown[0]}")
    return parsed


def parsers() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the program, and that of each command by its name."""
    parser = Parser(
        prog="aprp",
        description="The range proxy: its daemon and its tools.",
        epilog="aprp COMMAND --help tells more of each.",
    )
    parser.add_argument("--version", action="version", version=f"aprp {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command"
    )
    commands.add_parser("serve", help="run the daemon in the foreground")
    check = commands.add_parser("check", help="find what is wrong with a configuration")
    _add_check(check)
    init = commands.add_parser("init", help="write a configuration to begin with")
    beginning.add_arguments(init)
    init.set_defaults(run=beginning.run)
    get = commands.add_parser("get", help="fetch one file from all of its sources")
    getting.add_arguments(get)
    get.set_defaults(run=getting.run)
    simulate = commands.add_parser("simulate", help="compare the scheduler's policies")
    simulating.add_arguments(simulate)
    simulate.set_defaults(run=simulating.run)
    ctl = commands.add_parser("ctl", help="command a daemon that runs")
    controlling.add_arguments(ctl)
    ctl.set_defaults(run=controlling.run)
    return parser, dict(commands.choices)


def _add_check(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the file to check; otherwise etc/aprp.yaml, then /etc/aprp/aprp.yaml",
    )
    what.add_argument("--config", type=Path, metavar="FILE", help="the same")
    what.add_argument(
        "--schema", action="store_true", help="print a JSON Schema of the file, for editors"
    )
    parser.set_defaults(run=check)
