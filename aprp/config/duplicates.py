"""What stands twice in a file though only one of the two can have an effect.

Read from the tree, so that it is found along with all other faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from aprp.config.endpoints import same_socket
from aprp.config.faults import Position
from aprp.config.text import Entries, Items, Problem, Text, Tree, joined


def twins(tree: Tree) -> Iterator[Problem]:
    """Routes with one path, endpoints with one socket, header fields with one name."""
    routes = list(_items(_under(tree, "routes"), "routes"))
    paths = [
        (f"{key}.path", _under(route, "path"))
        for key, route in routes
        if _under(route, "hosts") is None
    ]
    yield from _alike(_texts(paths), _same_path, "is the path of the route on line {} too")

    sockets = [*_items(_under(tree, "listen"), "listen"), ("admin", _under(tree, "admin"))]
    yield from _alike(_texts(sockets), same_socket, "is listened on already, by line {}")

    for key, route in routes:
        headers = _under(route, "headers")
        if isinstance(headers, Entries):
            names = [(joined(f"{key}.headers", name.value), name) for name, _ in headers.entries]
            yield from _alike(_texts(names), _same_field, "is the same field as that on line {}")


def _alike(
    texts: Iterable[tuple[str, Position, str]], same: Callable[[str, str], bool], message: str
) -> Iterator[Problem]:
    earlier: list[tuple[Position, str]] = []
    for key, place, value in texts:
        first = next((there for there, other in earlier if same(value, other)), None)
        if first is not None:
            yield Problem(place, key, message.format(first.line) + "; leave one of them out")
        earlier.append((place, value))


def _same_path(one: str, other: str) -> bool:
    """Paths are matched by whole segments, so a slash at the end is no difference."""
    return one.rstrip("/") == other.rstrip("/")


def _same_field(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _under(tree: Tree | None, key: str) -> Tree | None:
    return tree.get(key) if isinstance(tree, Entries) else None


def _items(tree: Tree | None, key: str) -> Iterator[tuple[str, Tree]]:
    if isinstance(tree, Items):
        yield from ((f"{key}[{index}]", item) for index, item in enumerate(tree.items))


def _texts(found: Iterable[tuple[str, Tree | None]]) -> Iterator[tuple[str, Position, str]]:
    for key, tree in found:
        if isinstance(tree, Text) and tree.value is not None:
            yield key, tree.place, tree.value
