"""The words of the configuration that decisions depend on; each value is as the file has it."""

from __future__ import annotations

from enum import StrEnum


class Delay(StrEnum):
    """How far ahead of the client a slower source gets its block."""

    ADAPTIVE = "adaptive"
    NORMAL = "normal"
    DIFF = "diff"
    INV = "inv"
    STATIC = "static"


class Duplicate(StrEnum):
    """When a late block is requested a second time."""

    ADAPTIVE = "adaptive"
    NIBIB = "nibib"
    IBRC = "ibrc"
    OFF = "off"


class Same(StrEnum):
    """What makes the copies of two sources the same file."""

    MODIFIED = "modified"
    LENGTH = "length"
    DIGEST = "digest"


class Verify(StrEnum):
    """Which hashes of a Metalink are verified: pieces, the whole of files without pieces, none."""

    ALL = "all"
    PIECES = "pieces"
    OFF = "off"


class Redirects(StrEnum):
    """Where a source's redirects may lead."""

    SAME_HOST = "same-host"
    PUBLIC = "public"
    OFF = "off"


class Http2(StrEnum):
    """Whether to speak HTTP/2 to a source."""

    AUTO = "auto"
    OFF = "off"
    PRIOR_KNOWLEDGE = "prior-knowledge"


class Compare(StrEnum):
    """Whether to compare the first bytes of each further source before using it."""

    OFF = "off"
    SAMPLE = "sample"
