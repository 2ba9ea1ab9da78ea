"""Types of single values: how to parse, bound, format and describe them.

A ``Scalar`` is part of a setting's annotation (``Annotated[int, Size(least=1)]``). It parses text
from a file, and accepts values that already have the type, from code; both are checked against the
same bounds. It raises ValueError with a message that continues the key's name: "has no unit; ...".
The command line uses some of them by themselves, without pydantic, which takes long to load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from aprp.config.faults import listed, nearest, shown

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

EMPTY = "is empty; give it a value, or leave the key out"

_UNITS_OF_SIZE = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": 1024 * GIB,
}
_UNITS_OF_TIME = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_AMOUNT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([A-Za-z]+)")
_DIGITS = re.compile(r"0*([0-9]{1,18})")


class Scalar:
    """Base class: a subclass parses text into a value of its ``types``."""

    types: ClassVar[tuple[type, ...]] = (str,)

    def read(self, text: str) -> Any:
        """Return the value that the text represents. Raise ValueError if it is invalid."""
        return text

    def bound(self, value: Any) -> None:
        """Raise ValueError for a value of the right type that is out of bounds."""

    def write(self, value: Any) -> str | int:
        """Return the value as it would be written in a file."""
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the value as YAML parses it."""
        return {"type": "string"}

    def _validate(self, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str):
            value = self.read_in(value, info)
        elif value is None:
            raise ValueError(EMPTY)
        elif isinstance(value, list | tuple | Mapping):
            shape = "a mapping" if isinstance(value, Mapping) else "a list"
            raise ValueError(f"must be a single value, not {shape}")
        if isinstance(value, self.types):
            self.bound(value)
        return value

    def read_in(self, text: str, info: ValidationInfo) -> Any:
        """Like ``read``, with the context of the file that the text is from."""
        return self.read(text)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Called by pydantic alone."""
        from pydantic_core import core_schema

        typed = core_schema.is_instance_schema(self.types)
        return core_schema.with_info_before_validator_function(self._validate, typed)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.json_schema()


AUTO = -1


class Size(Scalar):
    """A number of bytes: ``512KiB``, ``1MiB``, ``10MB``."""

    types = (int,)

    def __init__(self, least: int = 1, most: int = 2**62) -> None:
        self.least, self.most = least, most

    def read(self, text: str) -> int:
        advice = "write digits and a unit, as 512KiB, 1MiB or 10MB"
        amount = _read_amount(text, _UNITS_OF_SIZE, "size", advice)
        if amount.denominator != 1:
            raise ValueError(f"{shown(text)} isn't a whole number of bytes")
        return int(amount)

    def bound(self, value: int) -> None:
        if value < self.least:
            raise ValueError(f"must be at least {self.write(self.least)}")
        if value > self.most:
            raise ValueError(f"must be at most {self.write(self.most)}")

    def write(self, value: int) -> str:
        for unit in ("GiB", "MiB", "KiB", "GB", "MB", "kB"):
            if value and value % _UNITS_OF_SIZE[unit] == 0:
                return f"{value // _UNITS_OF_SIZE[unit]}{unit}"
        return f"{value}B"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _pattern(_UNITS_OF_SIZE)}


class SizeOrAuto(Size):
    """A number of bytes, or ``auto``, which is -1."""

    def read(self, text: str) -> int:
        return AUTO if text == "auto" else super().read(text)

    def bound(self, value: int) -> None:
        if value != AUTO:
            super().bound(value)

    def write(self, value: int) -> str:
        return "auto" if value == AUTO else super().write(value)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"{super().json_schema()['pattern']}|^auto$"}


class Duration(Scalar):
    """A time as seconds in a float: ``500ms``, ``5s``, ``2m``."""

    types = (float, int)

    def __init__(self, least: float = 0.001, most: float = 86400.0) -> None:
        self.least, self.most = least, most

    def read(self, text: str) -> float:
        advice = "write digits and a unit, as 500ms, 5s or 2m"
        return float(_read_amount(text, _UNITS_OF_TIME, "time", advice))

    def bound(self, value: float) -> None:
        if value < self.least:
            raise ValueError(f"must be at least {self.write(self.least)}")
        if value > self.most:
            raise ValueError(f"must be at most {self.write(self.most)}")

    def write(self, value: float) -> str:
        for unit, seconds in (("h", 3600), ("m", 60)):
            if value > seconds and value % seconds == 0:
                return f"{value / seconds:g}{unit}"
        return f"{value:g}s" if value == int(value) else f"{value * 1000:g}ms"

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _pattern(_UNITS_OF_TIME)}


class Count(Scalar):
    """A whole number, digits only."""

    types = (int,)

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def read(self, text: str) -> int:
        found = _DIGITS.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{shown(text)} is not a whole number; "
                f"write digits, from {self.least} to {self.most}"
            )
        return int(found[1])

    def bound(self, value: int) -> None:
        if not self.least <= value <= self.most:
            raise ValueError(f"must be a whole number from {self.least} to {self.most}")

    def write(self, value: int) -> int:
        return value

    def json_schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.least, "maximum": self.most}
        return {"type": ["integer", "string"], "pattern": "^[0-9]+$", **bounds}


class CountOrAuto(Count):
    """A whole number, or ``auto``, which is 0."""

    def read(self, text: str) -> int:
        return 0 if text == "auto" else super().read(text) or -1

    def bound(self, value: int) -> None:
        if value and not self.least <= value <= self.most:
            raise ValueError(f"must be auto or a whole number from {self.least} to {self.most}")

    def write(self, value: int) -> Any:
        return value or "auto"

    def json_schema(self) -> dict[str, Any]:
        return super().json_schema() | {"pattern": "^([0-9]+|auto)$"}


class Choice(Scalar):
    """One word of an enumeration."""

    def __init__(self, words: type[StrEnum]) -> None:
        self.words = words

    def read(self, text: str) -> StrEnum:
        try:
            return self.words(text)
        except ValueError:
            known = [str(word) for word in self.words]
            meant = nearest(text, known)
            hint = f"did you mean {meant}?" if meant else f"write {listed(known)}"
            if meant and len(known) > 2:
                hint += f" ({listed(known)})"
            raise ValueError(f"{shown(text)} is not valid here; {hint}") from None

    def json_schema(self) -> dict[str, Any]:
        words: list[str | bool] = [str(word) for word in self.words]
        read_by_yaml = [value for word, value in (("on", True), ("off", False)) if word in words]
        return {"enum": [*words, *read_by_yaml]}


class Flag(Scalar):
    """``true`` or ``false``."""

    types = (bool,)

    def read(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError(f"{shown(text)} is not valid here; write true or false")
        return text == "true"

    def write(self, value: bool) -> Any:
        return "true" if value else "false"

    def json_schema(self) -> dict[str, Any]:
        return {"enum": [True, False, "true", "false"]}


class Secret(Scalar):
    """A key for signatures."""

    def bound(self, value: str) -> None:
        if len(value) < 16:
            raise ValueError("is too short to be a secret; use at least 16 characters")


def _read_amount(
    text: str, units: Mapping[str, Fraction | int], what: str, advice: str
) -> Fraction:
    found = _AMOUNT.fullmatch(text)
    if found is not None and found[2] in units:
        return Fraction(found[1]) * units[found[2]]
    if _DIGITS.fullmatch(text):
        raise ValueError(f"{shown(text)} has no unit; {advice}")
    if found is not None:
        meant = nearest(found[2], units)
        if meant is not None:
            advice = f"did you mean {found[1]}{meant}?"
        raise ValueError(f"{shown(text)} has an unknown unit; {advice}")
    raise ValueError(f"{shown(text)} is not a {what}; {advice}")


def _pattern(units: Mapping[str, object]) -> str:
    return rf"^[0-9]+(\.[0-9]+)?({'|'.join(units)})$"
