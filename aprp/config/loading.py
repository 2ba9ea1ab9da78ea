"""Load and validate a configuration file; report all its faults at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from aprp.config.advice import warnings
from aprp.config.duplicates import duplicates
from aprp.config.environment import Environment
from aprp.config.faults import ConfigFaults, Fault, Position
from aprp.config.messages import explain
from aprp.config.settings import Settings
from aprp.config.text import Problem, Unreadable, parse, place_in, plain
from aprp.core.values import dataclass

PLACES = (Path("etc/aprp.yaml"), Path("/etc/aprp/aprp.yaml"))
"""Where to look for a configuration if no file is given."""

_MOST_BYTES = 1024 * 1024
_START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration. Despite the warnings, the settings can be used."""

    path: Path
    settings: Settings
    warnings: tuple[Fault, ...]


def find() -> Path:
    """Return the file to load if none is given. Raise ConfigFaults if there is none."""
    for path in PLACES:
        try:
            found = path.exists()
        except OSError:
            found = True  # it may well be there: reading it will say what is in the way
        if found:
            return path
    message = f"there is no such file, and no {PLACES[1]} either; name one with --config"
    raise ConfigFaults([Fault(str(PLACES[0]), _START, "file", message)])


def load(path: Path | str) -> Loaded:
    """Return the settings in the file. Raise ConfigFaults with everything that is wrong in it."""
    path = Path(path)
    try:
        text = _read(path)
    except Unreadable as error:
        raise ConfigFaults(_named(path, [error.problem])) from None
    return load_text(text, path)


def load_text(text: str, path: Path) -> Loaded:
    """The same for a text that is, or will be, in the file."""
    try:
        tree, problems = parse(text)
    except Unreadable as error:
        raise ConfigFaults(_named(path, [error.problem])) from None
    environment = Environment(os.environ)
    tree = environment.expand(tree)
    problems += environment.problems
    settings: Settings | None = None
    try:
        context = {"folder": path.absolute().parent}
        settings = Settings.model_validate(plain(tree), context=context)
    except ValidationError as error:
        problems += explain(tree, error)
    problems += duplicates(tree)
    if settings is None or problems:
        raise ConfigFaults(_named(path, environment.concealed(problems)))
    said = environment.concealed(warnings(tree, settings))
    return Loaded(path, settings, tuple(_named(path, said)))


def control_in(path: Path) -> Path | None:
    """Return the control socket that a file names, whatever else is wrong in the file."""
    try:
        tree, _ = parse(_read(path))
    except Unreadable:
        return None
    found = plain(Environment(os.environ).expand(tree))
    name = found.get("control") if isinstance(found, dict) else None
    return Path(path.absolute().parent, name) if name and isinstance(name, str) else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(f"can't be read: {error.strerror or error}") from None
    except ValueError:
        raise _unreadable("can't be read: there is a NUL in its name") from None
    if len(content) > _MOST_BYTES:
        raise _unreadable("is larger than 1MiB, the limit for a configuration file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        readable = content[: error.start].decode("utf-8-sig")
        message = f"has the byte 0x{content[error.start]:02X}, which isn't UTF-8; save it as UTF-8"
        raise _unreadable(message, place_in(readable, len(readable))) from None


def _unreadable(message: str, place: Position = _START) -> Unreadable:
    return Unreadable(Problem(place, "file", message))


def _named(path: Path, problems: list[Problem]) -> Iterator[Fault]:
    """Yield faults in file order, at most one for each key and position."""
    seen: set[tuple[Position, str]] = set()
    for problem in sorted(problems, key=lambda each: each.place):
        if (problem.place, problem.key) not in seen:
            seen.add((problem.place, problem.key))
            yield Fault(str(path), problem.place, problem.key, problem.message)
