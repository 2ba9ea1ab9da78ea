"""The words that settings choose from; each value is what stands in the file.

Those that the transfer's decisions depend on are defined in `aprp.core.choices`.
"""

from __future__ import annotations

from enum import StrEnum

from aprp.core.choices import Compare, Delay, Duplicate, Redirects, Same

__all__ = [
    "AccessFormat",
    "Compare",
    "Delay",
    "Duplicate",
    "Level",
    "PathRanges",
    "Redirects",
    "RequestBuffering",
    "Same",
    "UnderscoreFields",
]


class Level(StrEnum):
    """The least severity that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class AccessFormat(StrEnum):
    """How a line of the access log is written."""

    COMBINED = "combined"
    JSON = "json"


class UnderscoreFields(StrEnum):
    """What becomes of a client's fields that have an underscore in their names."""

    DROP = "drop"
    PASS = "pass"


class RequestBuffering(StrEnum):
    """Whether a request's body is complete before the upstream gets any of it."""

    ON = "on"
    OFF = "off"


class PathRanges(StrEnum):
    """What the second number of ``/name/START/END`` is, where a path may ask for a range."""

    END = "end"
    LENGTH = "length"
    OFF = "off"
