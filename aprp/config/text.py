"""Parse YAML into a tree of texts with their positions, without converting them.

Nodes are composed but not constructed, so YAML's implicit typing (``off`` is False, ``1:30`` is 90,
``010`` is 8) never applies. Anchors, aliases, merge keys and tags are refused, so that no file
expands when parsed; nesting and size are bounded. A duplicate key is a fault, and the first is
kept. Only an unquoted ``null``, ``~`` or nothing at all is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from aprp.config.faults import Position, shown
from aprp.core.values import dataclass

_MOST_DEEP = 20
_NULLS = ("", "~", "null", "Null", "NULL")
_NOT_READ = "anchors, aliases and merge keys aren't supported; write the value out"
_ADVICE = (
    ("'\\t'", "indent with spaces, not tabs"),
    ("sequence entries are not allowed", 'write a lone dash in quotes, as "-"'),
    ("mapping values are not allowed", "quote a value that has a colon and a space in it"),
    ("expected a single document", "leave out the line ---"),
    ("cannot start any token", "quote the value"),
    ("but got '{'", 'write a variable within braces in quotes, as {X-Token: "${TOKEN}"}'),
    ("expected alphabetic or numeric", 'quote a value that begins with * or &, as "*.example.org"'),
)


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar as written, without quotes; None for null."""

    place: Position
    value: str | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Position
    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping with unique keys in file order."""

    place: Position
    entries: tuple[tuple[Text, Tree], ...]

    def get(self, key: str) -> Tree | None:
        """Return the value of a key, or None."""
        return next((value for name, value in self.entries if name.value == key), None)


Tree = Text | Items | Entries
Location = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault that doesn't name its file yet."""

    place: Position
    key: str
    message: str


class Unreadable(Exception):
    """Raised for text that isn't YAML; the problem says where parsing stopped."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(text: str) -> tuple[Tree, list[Problem]]:
    """Return the tree of a document and the problems in it. Raise Unreadable if it isn't YAML."""
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
    """Convert the tree to dict, list, str and None."""
    match tree:
        case Text():
            return tree.value
        case Items():
            return [plain(item) for item in tree.items]
        case Entries():
            return {key.value: plain(value) for key, value in tree.entries}


def locate(tree: Tree, location: Location, at_key: bool = False) -> tuple[Position, str, Tree]:
    """Return the position of the location, its key path, and the innermost tree that contains it.

    A number in a mapping means the entry at that index; a following 0 its key, 1 its value. The
    position of something missing is that of the mapping it is missing from.
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
    """Append a key to a path; an unusual key is quoted."""
    key = key or ""
    name = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else shown(key)
    return f"{path}.{name}" if path else name


def place_in(text: str, position: int) -> Position:
    """Return the line and column of the character at an offset."""
    before = text[:position]
    return Position(before.count("\n") + 1, position - before.rfind("\n"))


def _entry(tree: Entries, step: str | int) -> tuple[Text, Tree] | None:
    if isinstance(step, int):
        return tree.entries[step]
    return next((entry for entry in tree.entries if entry[0].value == step), None)


class _Loader(yaml.SafeLoader):
    """A loader that records anchors, aliases and tags instead of applying them."""

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
            reason = "has a tag (!...); tags aren't supported; leave it out"
        event.anchor = event.tag = None
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if reason is not None:
            self.refused[id(node)] = reason
        return node


class _Builder:
    """Turns nodes into trees and collects problems."""

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
                message = f"is a duplicate (first on {first}); leave one of them out"
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
