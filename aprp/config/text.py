"""YAML as a tree of texts, each with its place: nothing is converted.

YAML's own typing (``off`` is False, ``1:30`` is 90, ``010`` is 8) never happens, for nodes are
composed and not constructed. Anchors, aliases, merge keys and tags are refused, so no file can
grow when it is read; nesting and size are bounded. A key that stands twice is a fault, and the
first is kept. Only an unquoted ``null``, ``~`` or nothing at all is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from aprp.config.faults import Position, shown

_MOST_DEEP = 20
_NULLS = ("", "~", "null", "Null", "NULL")
_NOT_READ = "anchors, aliases and merge keys are not read; write the value out"
_ADVICE = (
    ("'\\t'", "indent with spaces, not tabs"),
    ("sequence entries are not allowed", 'write a lone dash in quotes, as "-"'),
    ("mapping values are not allowed", "quote a value that has a colon and a space in it"),
    ("expected a single document", "leave out the line ---"),
    ("cannot start any token", "quote the value"),
    ("expected alphabetic or numeric", 'quote a value that begins with * or &, as "*.example.org"'),
)


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar as it is written, quotes taken off; None for null."""

    place: Position
    value: str | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Position
    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping, its keys in the order of the file and each there once."""

    place: Position
    entries: tuple[tuple[Text, Tree], ...]

    def get(self, key: str) -> Tree | None:
        """The value of a key."""
        return next((value for name, value in self.entries if name.value == key), None)


Tree = Text | Items | Entries
Location = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of which the file is not named yet."""

    place: Position
    key: str
    message: str


class Unreadable(Exception):
    """Not YAML at all; the one problem says where reading ended."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(text: str) -> tuple[Tree, list[Problem]]:
    """The tree of a document, and what in it is refused. Unreadable where it isn't YAML."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        place = place_in(text, error.position)
        message = f"has the character U+{ord(text[error.position]):04X}, which YAML forbids"
        raise Unreadable(Problem(place, "yaml", message)) from None
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_syntax_problem(error)) from None
    if node is None:
        raise Unreadable(
            Problem(Position(1, 1), "yaml", "the file is empty; it needs listen: and routes:")
        )
    builder = _Builder(loader.refused)
    return builder.build(node, ""), builder.problems


def plain(tree: Tree) -> Any:
    """The tree as dict, list, str and None."""
    match tree:
        case Text():
            return tree.value
        case Items():
            return [plain(item) for item in tree.items]
        case Entries():
            return {key.value: plain(value) for key, value in tree.entries}


def locate(tree: Tree, location: Location, at_key: bool = False) -> tuple[Position, str, Tree]:
    """Where the location is, its key path, and the innermost tree that holds it.

    A number in a mapping means the entry at that position; a further 0 its key, 1 its value.
    What the file doesn't have is placed at the mapping that it is missing from.
    """
    place, path = tree.place, ""
    steps = iter(location)
    for step in steps:
        if isinstance(tree, Items) and isinstance(step, int):
            tree = tree.items[step]
            path += f"[{step}]"
            place = tree.place
        elif isinstance(tree, Entries):
            found = _entry(tree, step)
            path = joined(path, found[0].value if found else str(step))
            if found is None:
                break
            name, tree = found
            named = at_key or (isinstance(step, int) and next(steps, 1) == 0)
            place = name.place if named else tree.place
        else:
            break
    return place, path or "yaml", tree


def joined(path: str, key: str | None) -> str:
    """The path of a key within a path; a key that could mislead is quoted."""
    key = key or ""
    name = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else shown(key)
    return f"{path}.{name}" if path else name


def place_in(text: str, position: int) -> Position:
    """The place of a character that is so many characters from the start."""
    before = text[:position]
    return Position(before.count("\n") + 1, position - before.rfind("\n"))


def _entry(tree: Entries, step: str | int) -> tuple[Text, Tree] | None:
    if isinstance(step, int):
        return tree.entries[step]
    return next((entry for entry in tree.entries if entry[0].value == step), None)


class _Loader(yaml.SafeLoader):
    """Composes nodes; notes anchors, aliases and tags instead of obeying them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.refused: dict[int, str] = {}
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        events: Any = self
        event = events.peek_event()
        if events.check_event(yaml.AliasEvent):
            events.get_event()
            alias = yaml.ScalarNode("", "", event.start_mark, event.end_mark)
            self.refused[id(alias)] = f"is an alias (*{event.anchor}); {_NOT_READ}"
            return alias
        if self._depth == _MOST_DEEP:
            raise yaml.MarkedYAMLError(None, None, "nested too deeply", event.start_mark)
        reason = None
        if event.anchor is not None:
            reason = f"has an anchor (&{event.anchor}); {_NOT_READ}"
        elif event.tag is not None:
            reason = "has a tag (!...); tags are not read, leave it out"
        event.anchor = event.tag = None
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if reason is not None:
            self.refused[id(node)] = reason
        return node


class _Builder:
    """Turns nodes into trees and gathers what is refused on the way."""

    def __init__(self, refused: dict[int, str]) -> None:
        self.problems: list[Problem] = []
        self._refused = refused

    def build(self, node: yaml.Node, path: str) -> Tree:
        place = _place(node.start_mark)
        if id(node) in self._refused:
            self.problems.append(Problem(place, path or "yaml", self._refused[id(node)]))
        if isinstance(node, yaml.ScalarNode):
            null = node.style is None and node.value in _NULLS
            return Text(place, None if null else node.value)
        if isinstance(node, yaml.SequenceNode):
            items = (self.build(item, f"{path}[{i}]") for i, item in enumerate(node.value))
            return Items(place, tuple(items))
        return Entries(place, tuple(self._entries(node, path)))

    def _entries(self, node: yaml.Node, path: str) -> Iterator[tuple[Text, Tree]]:
        seen: dict[str, Position] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode) or id(key_node) in self._refused:
                message = self._refused.get(id(key_node), "has a key that isn't a single word")
                self.problems.append(Problem(place, path or "yaml", message))
                continue
            key = key_node.value
            here = joined(path, key)
            if key == "<<":
                self.problems.append(Problem(place, here, f"is a merge key; {_NOT_READ}"))
            elif key in seen:
                first = f"line {seen[key].line}"
                message = f"is given twice (first on {first}); leave one of them out"
                self.problems.append(Problem(place, here, message))
            else:
                seen[key] = place
                yield Text(place, key), self.build(value_node, here)


def _place(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = _place(mark) if mark is not None else Position(1, 1)
    said = " ".join(part for part in (error.context, error.problem) if part)
    message = " ".join(f"not valid YAML, {said}".split())
    advice = next((text for sign, text in _ADVICE if sign in said), None)
    return Problem(place, "yaml", f"{message}; {advice}" if advice else message)
