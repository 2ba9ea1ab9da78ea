"""Turn pydantic's errors into messages about the file: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from aprp.config.descriptions import description_of
from aprp.config.faults import listed, nearest
from aprp.config.mappings import PLACES
from aprp.config.routes import KINDS
from aprp.config.scalars import EMPTY
from aprp.config.text import Entries, Items, Location, Problem, Text, Tree, locate

_MODELS = {place.keys: place.model for place in PLACES}
_ONE_KIND = "a route has exactly one of upstream:, sources: and query:"


def explain(tree: Tree, error: ValidationError) -> Iterator[Problem]:
    """Yield a problem for each of pydantic's errors."""
    for found in error.errors(include_url=False):
        location, kind = _without_tag(found["loc"])
        problem = _problem(tree, location, kind, found)
        if problem is not None:
            yield problem


def _without_tag(location: Location) -> tuple[tuple[str | int, ...], str | None]:
    """Return the location in the file, and the kind of the route that contains it."""
    whole = tuple(location)
    if len(whole) > 2 and whole[0] == "routes":
        return whole[:2] + whole[3:], str(whole[2])
    return whole, None


def _problem(
    tree: Tree, location: tuple[str | int, ...], kind: str | None, found: Any
) -> Problem | None:
    what = found["type"]
    if what == "extra_forbidden":
        return _unknown_key(tree, location, kind)
    if what == "missing":
        return None if _mistyped(tree, location, kind) else _missing_key(tree, location, kind)
    place, path, here = locate(tree, location)
    if what == "value_error":
        return Problem(place, path, str(found["ctx"]["error"]))
    if isinstance(here, Text) and here.value is None:
        return Problem(place, path, EMPTY)
    if what == "tuple_type":
        message = f"must be a list, each item on its own line after a dash, not {_shape(here)}"
        return Problem(place, path, message)
    if what == "too_short":  # pydantic also reports it if all items have faults
        empty = isinstance(here, Items) and not here.items
        return Problem(place, path, "needs at least one item") if empty else None
    if what in ("model_type", "model_attributes_type", "union_tag_not_found"):
        keys = ", ".join([*_model(location, kind).model_fields][:3])
        return Problem(place, path, f"must be a mapping ({keys}, ...), not {_shape(here)}")
    return Problem(place, path, found["msg"])


def _unknown_key(tree: Tree, location: tuple[str | int, ...], kind: str | None) -> Problem | None:
    *within, last = location
    place, path, _ = locate(tree, location, at_key=True)
    key = str(last)
    holder = locate(tree, within)[2]
    if _is_route(location):
        if key in KINDS:
            first = locate(tree, (*within, str(kind)), at_key=True)[0]
            message = f"{_ONE_KIND}; this one has {kind}: on line {first.line} already"
            return Problem(place, path, message)
        owners = [name for name, model in KINDS.items() if key in model.model_fields]
        if owners:
            if _kinds_of(holder) == []:
                return None
            names = " and ".join(f"{name}:" for name in owners)
            message = f"is for {names} routes, but this route has {kind}:; leave it out"
            return Problem(place, path, message)
    known = _model(tuple(within), kind).model_fields
    meant = nearest(key, known)
    homes = [each.called for each in PLACES if key in each.model.model_fields]
    if homes:
        hint = f"it belongs in {listed(homes)}"
    elif meant is not None:
        hint = f"did you mean {meant}?"
    else:
        hint = f"known here: {', '.join(known)}"
    return Problem(place, path, f"is not a known key; {hint}")


def _mistyped(tree: Tree, location: tuple[str | int, ...], kind: str | None) -> bool:
    """Return whether a missing key seems to be present with a typo."""
    *within, last = location
    holder = locate(tree, within)[2]
    known = _model(tuple(within), kind).model_fields
    given = [str(name.value) for name, _ in holder.entries] if isinstance(holder, Entries) else []
    return any(key not in known and nearest(key, known) == last for key in given)


def _missing_key(tree: Tree, location: tuple[str | int, ...], kind: str | None) -> Problem:
    *within, last = location
    if _is_route(location) and last in KINDS:
        place, path, _ = locate(tree, within)
        return Problem(place, path, f"{_ONE_KIND}; this one has none of them")
    place, path, _ = locate(tree, location)
    description = description_of(_model(tuple(within), kind), str(last))
    return Problem(place, path, f"is missing. {description}")


def _model(location: tuple[str | int, ...], kind: str | None) -> type[BaseModel]:
    """Return the model of the mapping at a location."""
    names = tuple(step for step in location if isinstance(step, str))
    if names == ("routes",):
        return KINDS[kind or "upstream"]
    return _MODELS[names]


def _is_route(location: Location) -> bool:
    """Return whether the location is a key of a route itself."""
    return len(location) == 3 and location[0] == "routes"


def _kinds_of(tree: Tree) -> list[str]:
    entries = tree.entries if isinstance(tree, Entries) else ()
    return [str(name.value) for name, _ in entries if name.value in KINDS]


def _shape(tree: Tree) -> str:
    if isinstance(tree, Text):
        return "a single value"
    return "a list" if isinstance(tree, Items) else "a mapping"
