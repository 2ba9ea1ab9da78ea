"""Enumerations of the configuration; each value is the word in the file.

Those that transfers depend on are defined in `aprp.core.choices`.
"""

from __future__ import annotations

from enum import StrEnum

from aprp.core.choices import Compare, Delay, Duplicate, Http2, Redirects, Same, Verify

__all__ = [
    "AccessFormat",
    "Compare",
    "DataPlane",
    "Delay",
    "Duplicate",
    "Http2",
    "Level",
    "ListenHttp2",
    "PathRanges",
    "Redirects",
    "RequestBuffering",
    "Same",
    "UnderscoreFields",
    "Verify",
]


class Level(StrEnum):
    """The lowest severity to log."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class AccessFormat(StrEnum):
    """The format of the access log."""

    COMBINED = "combined"
    JSON = "json"


class UnderscoreFields(StrEnum):
    """What to do with request fields that have an underscore in their names."""

    DROP = "drop"
    PASS = "pass"


class RequestBuffering(StrEnum):
    """Whether a request's body is complete before the upstream gets any of it."""

    ON = "on"
    OFF = "off"


class ListenHttp2(StrEnum):
    """Whether clients may speak HTTP/2."""

    ON = "on"
    CLEARTEXT = "cleartext"
    OFF = "off"


class PathRanges(StrEnum):
    """The meaning of the second number in ``/name/START/END``, if ranges in paths are enabled."""

    END = "end"
    LENGTH = "length"
    OFF = "off"


class DataPlane(StrEnum):
    """How body bytes travel from a source to a client."""

    AUTO = "auto"
    COPY = "copy"
