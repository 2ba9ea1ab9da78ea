"""Check settings given as arguments by a program, with the same messages as for a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from aprp.config.faults import nearest
from aprp.config.routes import SourcesRoute, TlsSettings

_OF_A_PROGRAM = (
    "same",
    "compare",
    "samples",
    "window",
    "block_size",
    "delay",
    "duplicate",
    "duplicate_threshold",
    "connect_timeout",
    "first_byte_timeout",
    "between_bytes_timeout",
    "resume_for",
    "redirects",
    "headers",
    "host",
    "tls",
    "http2",
)
"""The settings of a route that make sense without clients."""

_SHAPES = {
    "model_type": "a mapping, as {'ca': 'file.pem'}",
    "tuple_type": "a mapping of names to values",
}


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError for settings that only apply to routes in a configuration file."""
    for name in names:
        if name in SourcesRoute.model_fields and name not in _OF_A_PROGRAM:
            raise ValueError(f"{name} is for routes that serve clients; leave it out here")


def explain_arguments(error: ValidationError) -> str:
    """Describe what is wrong with each setting and what to do, on one line."""
    return "; ".join(_sentences(error))


def _sentences(error: ValidationError) -> Iterator[str]:
    for found in error.errors(include_url=False):
        name = ".".join(str(step) for step in found["loc"])
        yield f"{name} {_message(found)}" if name else str(found["msg"])


def _message(found: Any) -> str:
    what = found["type"]
    if what == "extra_forbidden":
        return _unknown(found["loc"])
    if what == "value_error":
        return str(found["ctx"]["error"])
    shape = _SHAPES.get(what, "text, as it stands in a configuration file")
    return f"must be {shape}, not {type(found['input']).__name__}"


def _unknown(location: tuple[str | int, ...]) -> str:
    known = tuple(TlsSettings.model_fields) if location[0] == "tls" else _OF_A_PROGRAM
    meant = nearest(str(location[-1]), known)
    hint = f"did you mean {meant}?" if meant else f"known settings: {', '.join(known)}"
    return f"is not a known setting; {hint}"
