"""The settings of Metalinks: where the one of a file is, and how far it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo

from aprp.config.choices import Verify
from aprp.config.files import InputFile
from aprp.config.model import Model
from aprp.config.network import Network, NetworkBlock
from aprp.config.scalars import Choice, Count, Scalar
from aprp.core.http.urls import Url

LINKS = "links"
"""The word for Metalinks that the first source's Link fields name."""
PATH = "{path}"
"""What stands for the path of a request below its route."""


class MetalinkPlace(Scalar):
    """A URL, a directory relative to the configuration's folder, or `LINKS`."""

    def read_in(self, text: str, info: ValidationInfo) -> str:
        if "://" in text or text == LINKS:
            return text
        folder = (info.context or {}).get("folder")
        return str(Path(text) if folder is None else Path(folder) / text)

    def bound(self, value: str) -> None:
        if value == LINKS:
            return
        if "://" in value:
            if value.count(PATH) > 1:
                raise ValueError(f"has {PATH} more than once")
            Url.parse(value.replace(PATH, "path"))
        elif not value.startswith("/"):
            raise ValueError(f"must be a URL, a directory, or {LINKS}")
        elif PATH in value:
            raise ValueError(f"has {PATH}, which is for URLs; name the directory alone")


class CountryCode(Scalar):
    """A two-letter country code."""

    def read(self, text: str) -> str:
        return text.lower()

    def bound(self, value: str) -> None:
        if len(value) != 2 or not value.isascii() or not value.isalpha():
            raise ValueError("isn't a country code of two letters, such as de")


class MetalinkSettings(Model):
    """Where the Metalink of each file is. A URL or a directory alone stands for `at`."""

    at: Annotated[str, MetalinkPlace()]
    """A URL with {path} in it, a directory, or links: those that the first source names."""
    verify: Annotated[Verify, Choice(Verify)] = Verify.ALL
    """all: verify pieces, or the whole of a file without; pieces: only pieces; off: nothing."""
    keys: Annotated[Path, InputFile()] | None = None
    """A file of OpenPGP keys, one of which must have signed the Metalink; null: don't check."""
    locations: tuple[Annotated[str, CountryCode()], ...] = ()
    """The countries whose mirrors come first, such as de."""
    most_mirrors: Annotated[int, Count(1, 64)] = 8
    """How many mirrors of a file to use at the same time, the best ones."""
    allow_addresses: tuple[Annotated[Network, NetworkBlock()], ...] = ()
    """Private networks that mirrors may be in."""


def _as_mapping(value: object) -> object:
    if isinstance(value, list):
        raise ValueError("must be a URL, a directory, or a mapping with at:")
    return {"at": value} if isinstance(value, str) else value


def _or_text(schema: dict[str, Any]) -> None:
    schema["anyOf"].insert(0, {"type": "string"})


Metalink = Annotated[
    MetalinkSettings | None, BeforeValidator(_as_mapping), Field(json_schema_extra=_or_text)
]
