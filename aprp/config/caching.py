"""The settings of the cache: where it is, and what each route keeps in it."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from aprp.config.fields import FieldName
from aprp.config.files import Directory, user_name
from aprp.config.model import Model
from aprp.config.scalars import EMPTY, MIB, Duration, Flag, Size

_YEAR = 365 * 86400.0


class CacheSettings(Model):
    """The cache on disk, which all routes and workers share."""

    path: Annotated[Path, Directory()]
    """The directory of the cache, for this daemon alone; created if it doesn't exist."""
    size: Annotated[int, Size(least=16 * MIB)]
    """The most disk space that the cache may use, index included."""


class RouteCacheSettings(Model):
    """What a route keeps in the cache, and for how long."""

    valid: Annotated[float, Duration(least=0.0, most=_YEAR)] | None = None
    """How long a response stays fresh if the origin doesn't say; null: a tenth of the time since
    Last-Modified, at most a day."""
    pin: Annotated[bool, Flag()] = False
    """true: keep the route's files when others have to make room."""
    targeted: tuple[Annotated[str, FieldName()], ...] = ()
    """Response fields to obey instead of Cache-Control, such as CDN-Cache-Control; the first that a
    response has counts."""


def _on_or_off(value: object) -> object:
    if value is None:
        raise ValueError(EMPTY)
    if isinstance(value, str) and value in ("on", "off"):
        return None if value == "off" else RouteCacheSettings()
    if isinstance(value, str | list):
        raise ValueError("must be on, off or a mapping, such as {valid: 1h}")
    return value


def _or_word(schema: dict[str, Any]) -> None:
    words = {"enum": ["on", "off", True, False]}
    schema["anyOf"] = [words, *(each for each in schema["anyOf"] if each != {"type": "null"})]


RouteCache = Annotated[
    RouteCacheSettings | None,
    BeforeValidator(_on_or_off),
    Field(json_schema_extra=_or_word),
]
"""A route's `cache:`: None for off."""


def cache_trouble(path: Path) -> str | None:
    """Return why the cache can't be kept in the directory now, or None.

    The disk has a second to answer, since it may hang.
    """
    found: list[str | None] = []

    def look() -> None:
        found.append(_trouble_of(path))

    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(1.0)
    return found[0] if found else f"{path} does not answer: its disk hangs"


def _trouble_of(path: Path) -> str | None:
    if path.is_dir():
        if os.stat(path).st_uid != os.geteuid():
            return (
                f"{path} belongs to another user than {user_name()}; "
                "change its owner, or name another directory"
            )
        if not os.access(path, os.W_OK | os.X_OK):
            return f"{path} can't be written by {user_name()}; change its mode"
        return None
    if os.path.lexists(path):
        return f"{path} is not a directory; name one for the cache alone"
    parent = path.parent
    if not parent.is_dir():
        return f"{parent} is not a directory; create it, or name another place"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"{path} can't be created by {user_name()}; create it for that user"
    return None
