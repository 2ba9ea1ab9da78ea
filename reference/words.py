"""The commands and options of `aprp`, as its parsers have them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from aprp.cli import parsers
from aprp.daemon.options import Options


@dataclass(frozen=True, slots=True)
class Option:
    """`value` names what it takes, None for a flag. `files`: the value is the name of a file."""

    names: tuple[str, ...]
    value: str | None
    about: str
    choices: tuple[str, ...] = ()

    @property
    def files(self) -> bool:
        return self.value is not None and self.value.startswith(("FILE", "DIR", "PATH"))


@dataclass(frozen=True, slots=True)
class Command:
    """A command, its options, its own commands and its other argument, if it has one."""

    name: str
    about: str
    options: tuple[Option, ...]
    commands: tuple[Command, ...] = ()
    argument: str | None = None
    epilog: str = ""


def aprp() -> Command:
    """The whole program."""
    parser, named = parsers()
    abouts = dict(_abouts(parser))
    commands = tuple(
        _serve(abouts[name]) if name == "serve" else _command(name, abouts[name], each)
        for name, each in named.items()
    )
    return Command("aprp", parser.description or "", tuple(_options(parser)), commands)


def _command(name: str, about: str, parser: argparse.ArgumentParser) -> Command:
    named = _named(parser)
    abouts = dict(_abouts(parser))
    commands = tuple(_command(sub, abouts[sub], each) for sub, each in named.items())
    argument = None
    for action in parser._actions:
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction):
            argument = str(action.metavar or action.dest) + (
                " ..." if action.nargs in ("+", "*") else ""
            )
    epilog = parser.epilog or ""
    return Command(name, about, tuple(_options(parser)), commands, argument, epilog)


def _named(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _abouts(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((each.dest, each.help or "") for each in action._get_subactions())


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if action.option_strings:
            choices = tuple(map(str, action.choices or ()))
            name = action.metavar or "|".join(choices) or action.dest.upper()
            value = None if action.nargs == 0 else str(name)
            yield Option(tuple(action.option_strings), value, action.help or "", choices)


def _serve(about: str) -> Command:
    """The options that `aprp serve` and `twistd aprp` share."""
    values = {"config": "FILE", "port": "PORT"}
    given = Options()
    options = []
    for long in given.longOpt:
        name = long.rstrip("=")
        shorts = [f"-{each}" for each, full in given.synonyms.items()
                  if full == name and len(each) == 1]  # fmt: skip
        value = values.get(name, "URL") if long.endswith("=") else None
        text = " ".join((given.docs.get(name) or "").split()) or "Show this help."
        options.append(Option((*sorted(shorts), f"--{name}"), value, text))
    return Command("serve", about, tuple(sorted(options, key=lambda each: each.names[-1])))
