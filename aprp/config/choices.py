"""The words that settings choose from; each is what stands in the file."""

from __future__ import annotations

from enum import StrEnum


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


class PathRanges(StrEnum):
    """What the second number of ``/name/START/END`` is, where a path may ask for a range."""

    END = "end"
    LENGTH = "length"
    OFF = "off"


class Redirects(StrEnum):
    """Where a source's redirects may lead."""

    SAME_HOST = "same-host"
    PUBLIC = "public"
    OFF = "off"


class Same(StrEnum):
    """What makes two sources' copies the same file."""

    MODIFIED = "modified"
    LENGTH = "length"
    DIGEST = "digest"


class Compare(StrEnum):
    """Whether a further source is first asked for a few bytes that are already held."""

    OFF = "off"
    SAMPLE = "sample"


class Delay(StrEnum):
    """How far ahead a slower source is given its block."""

    ADAPTIVE = "adaptive"
    NORMAL = "normal"
    DIFF = "diff"
    INV = "inv"
    STATIC = "static"


class Duplicate(StrEnum):
    """When a late block is asked for a second time."""

    ADAPTIVE = "adaptive"
    NIBIB = "nibib"
    IBRC = "ibrc"
    OFF = "off"
