"""Frozen values that cost little to define and to make.

For each class, the `dataclass` of the standard library compiles six functions when the module is
imported. With the hundred classes that a command loads, that is a tenth of the time that it takes
to start. Here nothing is compiled for a frozen class before its first instance, and then only its
constructor, which takes half as long as the standard library's. Other classes are left to the
standard library.

What this makes of a class differs in no other way, and type checkers see the original. It knows
what the values here need: no order, no inheritance, no fields for keywords or hashes alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, **how):
        """Use it as ``dataclasses.dataclass``; the frozen kind is ``(frozen=True, slots=True)``."""
        if how == {"frozen": True, "slots": True}:
            return _frozen
        return dataclasses.dataclass(cls, **how)


_FIELDS_ALONE = {"init": False, "repr": False, "eq": False, "slots": True}
_set = object.__setattr__


def _frozen(cls: Any) -> Any:
    """Return the class with slots, and with the methods of a frozen dataclass."""
    own = cls.__dict__
    made: Any = dataclasses.dataclass(**_FIELDS_ALONE)(cls)
    values = _values_of([each.name for each in dataclasses.fields(made) if each.compare])
    made.__init__ = _constructor(made)
    made.__setattr__, made.__delattr__ = _refuse_assignment, _refuse_deletion
    made.__getstate__, made.__setstate__ = _state, _set_state
    if "__repr__" not in own:
        made.__repr__ = _text
    if "__eq__" not in own:
        made.__eq__ = _equality(values)
    if own.get("__hash__") is None:
        made.__hash__ = lambda self: hash(values(self))
    return made


def _constructor(made: Any) -> Callable[..., None]:
    """Return a constructor that compiles its successor when it is first called."""

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        constructor = made.__init__ = _compiled(made)
        constructor(self, *values, **named)

    return __init__


def _compiled(made: Any) -> Callable[..., None]:
    """Return the constructor of a class. Its arguments are the fields, in their order."""
    names: dict[str, Any] = {"_set": _set, "_MISSING": MISSING}
    arguments, lines = ["self"], []
    for each in dataclasses.fields(made):
        if not each.init:
            continue
        value = name = each.name
        if each.default is not MISSING:
            names[f"_default_{name}"] = each.default
            arguments.append(f"{name}=_default_{name}")
        elif each.default_factory is not MISSING:
            names[f"_make_{name}"] = each.default_factory
            arguments.append(f"{name}=_MISSING")
            value = f"_make_{name}() if {name} is _MISSING else {name}"
        else:
            arguments.append(name)
        lines.append(f" _set(self, {name!r}, {value})")
    if hasattr(made, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(arguments)}):\n" + "\n".join(lines or [" pass"]), names)
    constructor: Callable[..., None] = names["__init__"]
    constructor.__qualname__ = f"{made.__qualname__}.__init__"
    return constructor


def _values_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives a tuple of these attributes."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _equality(values: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return __eq__


def _text(self: Any) -> str:
    shown = (each.name for each in dataclasses.fields(self) if each.repr)
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({fields})"


def _refuse_assignment(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    """Return what copies and pickles hold."""
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        _set(self, each.name, value)
