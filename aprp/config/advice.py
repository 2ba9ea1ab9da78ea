"""What an operator should know of a file that has no faults."""

from __future__ import annotations

from collections.abc import Iterator

from aprp.config.choices import Delay, Duplicate
from aprp.config.scalars import Size
from aprp.config.settings import (
    QueryRoute,
    Settings,
    SourcesRoute,
    TransferSettings,
    UpstreamRoute,
)
from aprp.config.text import Location, Problem, Text, Tree, locate, walk

NOT_YET: frozenset[str] = frozenset()
"""Keys (or single values, as ``routes.same=digest``) that are accepted but have no effect yet."""

Steps = tuple[str | int, ...]


def warnings(tree: Tree, settings: Settings) -> list[Problem]:
    """Everything worth saying, in no particular order."""
    said = [*_not_yet(tree), *_without_effect(tree, settings)]
    return [_problem(tree, location, message) for location, message in said]


def _problem(tree: Tree, location: Location, message: str) -> Problem:
    place, path, _ = locate(tree, location, at_key=True)
    return Problem(place, path, f"warning: {message}")


def _not_yet(tree: Tree) -> Iterator[tuple[Location, str]]:
    for location, inner in walk(tree):
        name = ".".join(step for step in location if isinstance(step, str))
        value = f"{name}={inner.value}" if isinstance(inner, Text) else name
        if location and isinstance(location[-1], str) and {name, value} & NOT_YET:
            yield location, "is accepted, but has no effect yet"


def _without_effect(tree: Tree, settings: Settings) -> Iterator[tuple[Location, str]]:
    for index, route in enumerate(settings.routes):
        here = ("routes", index)
        if isinstance(route, UpstreamRoute) and "redirects" in route.model_fields_set:
            message = "has no effect here: upstream: routes pass redirects on to the client"
            yield (*here, "redirects"), message
        if isinstance(route, TransferSettings):
            yield from _of_transfer(here, route, settings.memory)
        if isinstance(route, SourcesRoute):
            yield from _of_sources((*here, "sources"), route)
        if isinstance(route, QueryRoute) and not route.allow:
            message = "allows no host, so every request is refused; list hosts in allow:"
            yield (*here, "query"), message


def _of_sources(here: Steps, route: SourcesRoute) -> Iterator[tuple[Location, str]]:
    urls = [source.url for source in route.sources]
    for index, source in enumerate(route.sources):
        if source.url in urls[:index]:
            message = "is among the sources already; to use it more, raise its connections:"
            yield (*here, index, "url"), message
        if "static_delay" in source.model_fields_set and route.delay is not Delay.STATIC:
            message = f"has no effect with delay: {route.delay}; it is for delay: static"
            yield (*here, index, "static_delay"), message


def _of_transfer(
    here: Steps, route: TransferSettings, memory: int
) -> Iterator[tuple[Location, str]]:
    most = route.window // route.block_size - 1
    if (
        route.duplicate in (Duplicate.NIBIB, Duplicate.IBRC)
        and "duplicate_threshold" in route.model_fields_set
        and route.duplicate_threshold > most
    ):
        message = f"is more than the window's blocks less one; {most} is used"
        yield (*here, "duplicate_threshold"), message
    if "window" in route.model_fields_set and route.window > memory:
        message = f"is more than memory: ({Size().write(memory)}) and can never be filled"
        yield (*here, "window"), message
