"""Environment variables in values: ``${NAME}``, replaced before the value is read.

Only ``${`` begins one; ``$${`` is a ``${`` that stands for itself, and any other dollar sign is
left alone. Keys are not expanded. What a variable holds may be a secret: no message shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from aprp.config.faults import Position, shown
from aprp.config.text import Entries, Items, Problem, Text, Tree, joined
from aprp.core.values import dataclass

_REFERENCE = re.compile(r"\$?\$\{(?P<name>[^}]*)(?P<end>\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEAST_SHOWN = 3
"""Characters of a variable in a row that a message may not have."""


@dataclass(frozen=True, slots=True)
class _Expansion:
    """A value in which variables were replaced, as it is written, and what they hold."""

    place: Position
    written: str
    held: tuple[str, ...]


class Environment:
    """Expands the values of one file, and keeps what came in out of messages."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._variables = variables
        self._expansions: list[_Expansion] = []

    def expand(self, tree: Tree, path: str = "") -> Tree:
        """The tree with its values expanded; `problems` gets what can't be."""
        if isinstance(tree, Text):
            return self._expand_text(tree, path)
        if isinstance(tree, Items):
            items = (self.expand(item, f"{path}[{at}]") for at, item in enumerate(tree.items))
            return Items(tree.place, tuple(items))
        entries = (
            (key, self.expand(value, joined(path, key.value))) for key, value in tree.entries
        )
        return Entries(tree.place, tuple(entries))

    def concealed(self, problems: list[Problem]) -> list[Problem]:
        """The problems without what variables hold."""
        return [self._conceal(problem) for problem in problems]

    def _expand_text(self, text: Text, path: str) -> Text:
        if text.value is None or "${" not in text.value:
            return text
        faults = list(self._faults(text.value))
        if faults:
            self.problems.append(Problem(text.place, path or "yaml", faults[0]))
            return text
        held: list[str] = []

        def replaced(match: re.Match[str]) -> str:
            if match[0].startswith("$$"):
                return match[0][1:]
            held.append(self._variables[match["name"]])
            return held[-1]

        value = _REFERENCE.sub(replaced, text.value)
        self._expansions.append(_Expansion(text.place, text.value, tuple(filter(None, held))))
        return replace(text, value=value)

    def _faults(self, value: str) -> Iterator[str]:
        for match in _REFERENCE.finditer(value):
            name = match["name"]
            if match[0].startswith("$$"):
                continue
            if not match["end"]:
                yield "has ${ without a }; write $${ for a ${ that isn't a variable"
            elif not _NAME.fullmatch(name):
                yield (
                    f"has {shown('${' + name + '}')}, which isn't a variable: write ${{NAME}} with "
                    "letters, digits and _; or $${ for a ${ that stands for itself"
                )
            elif name not in self._variables:
                yield (
                    f"needs the environment variable {name}, which isn't set; set it where the "
                    "daemon is started, or write $${ for a ${ that isn't a variable"
                )

    def _conceal(self, problem: Problem) -> Problem:
        message = problem.message
        for expansion in self._expansions:
            for held in expansion.held:
                if expansion.place == problem.place and _betrays(message, held):
                    text = f"can't be used once the variables in {expansion.written} are replaced"
                    return replace(problem, message=f"{text}; what they hold isn't shown")
                if len(held) >= _LEAST_SHOWN:
                    message = message.replace(held, expansion.written)
        return replace(problem, message=message)


def _betrays(message: str, held: str) -> bool:
    """Whether a message has a part of what a variable holds, whatever its case."""
    message, held = message.lower(), held.lower()
    size = min(_LEAST_SHOWN, len(held))
    return any(held[at : at + size] in message for at in range(len(held) - size + 1))
