"""Find duplicates of which only one can have an effect: routes, endpoints and fields.

They are read from the tree, so that they are reported together with all other faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from aprp.config.endpoints import on_loopback, same_socket
from aprp.config.faults import Position
from aprp.config.text import Entries, Items, Problem, Text, Tree, joined
from aprp.core.http.addresses import host_allowed
from aprp.core.values import dataclass


def duplicates(tree: Tree) -> Iterator[Problem]:
    """Yield routes with one path, endpoints with one socket, and fields with one name."""
    routes = list(_items(_under(tree, "routes"), "routes"))
    paths = [
        (f"{key}.path", _under(route, "path"))
        for key, route in routes
        if _under(route, "hosts") is None
    ]
    yield from _alike(_texts(paths), _same_path, "is also the path of the route on line {}")

    yield from _never_reached(list(_routes(routes)))

    sockets = [*_items(_under(tree, "listen"), "listen"), *_admin(tree)]
    yield from _alike(_texts(sockets), same_socket, "is already listened on, by line {}")

    for key, route in routes:
        headers = _under(route, "headers")
        if isinstance(headers, Entries):
            names = [(joined(f"{key}.headers", name.value), name) for name, _ in headers.entries]
            yield from _alike(_texts(names), _same_field, "is the same field as the one on line {}")


def _admin(tree: Tree) -> Iterator[tuple[str, Tree | None]]:
    """Yield the endpoint string of the admin port, as it is listened on."""
    key, found = "admin", _under(tree, "admin")
    if isinstance(found, Entries):
        key, found = "admin.listen", found.get("listen")
    if isinstance(found, Text) and found.value is not None:
        with suppress(ValueError):  # a fault of its own
            yield key, Text(found.place, on_loopback(found.value))


@dataclass(frozen=True, slots=True)
class _Route:
    """The parts of a route that decide which requests it serves."""

    key: str
    place: Position
    path: str
    hosts: tuple[tuple[str, Position, str], ...]

    def takes(self, host: str) -> bool:
        """Return whether this route serves every host that the glob matches."""
        return not self.hosts or host_allowed(host.lower(), [glob for _, _, glob in self.hosts])


def _routes(routes: Iterable[tuple[str, Tree]]) -> Iterator[_Route]:
    """Return the routes that have a path, in the order in which they are matched."""
    found = []
    for key, route in routes:
        hosts = tuple(_texts(_items(_under(route, "hosts"), f"{key}.hosts")))
        found += [
            _Route(path_key, place, path, hosts)
            for path_key, place, path in _texts([(f"{key}.path", _under(route, "path"))])
        ]
    return iter(sorted(found, key=lambda route: (-len(route.path), not route.hosts)))


def _never_reached(routes: Sequence[_Route]) -> Iterator[Problem]:
    """Yield routes, and hosts of routes, whose requests all match an earlier route."""
    message = (
        "is never reached: the route on line {} gets all its requests; "
        "leave one of them out, or put the one with the narrower hosts: first"
    )
    for index, route in enumerate(routes):
        before = [each for each in routes[:index] if _same_path(each.path, route.path)]
        if not route.hosts:
            before = [each for each in before if each.hosts]  # the others are duplicates
        hosts = route.hosts or ((route.key, route.place, "*"),)
        taken = [next((each for each in before if each.takes(host)), None) for _, _, host in hosts]
        if None not in taken:
            hosts, taken = ((route.key, route.place, "*"),), taken[:1]
        for (key, place, _), first in zip(hosts, taken, strict=True):
            if first is not None:
                yield Problem(place, key, message.format(first.place.line))


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
    """Compare paths by whole segments, so that a trailing slash makes no difference."""
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
