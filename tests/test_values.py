"""Frozen values are dataclasses like those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar, Generic, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.values import dataclass
from tests.test_floors import PACKAGE

T = TypeVar("T")


class Plain:
    """With all kinds of fields."""

    KIND: ClassVar[str] = "plain"
    first: int
    second: str = "s"
    made: list[int] = field(default_factory=list)
    hidden: float = field(default=0.5, repr=False)
    aside: str | None = field(default=None, compare=False)

    def total(self) -> int:
        return self.first + len(self.made)


Ours: Any = dataclass(frozen=True, slots=True)(type("Plain", (), dict(vars(Plain))))
Theirs: Any = dataclasses.dataclass(frozen=True, slots=True)(type("Plain", (), dict(vars(Plain))))


@dataclass(frozen=True, slots=True)
class One:
    only: float


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Derived:
    """With a field that isn't an argument, and methods of its own."""

    number: int
    twice: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.number)

    def __hash__(self) -> int:
        return self.twice

    def __repr__(self) -> str:
        return f"<{self.number}>"


@dataclass(frozen=True, slots=True)
class Holder(Generic[T]):
    value: T


class ValueTests(SynchronousTestCase):
    CALLS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        ((1,), {}),
        ((1, "t"), {"aside": "x"}),
        ((), {"first": 2, "made": [3], "hidden": 0.1}),
        ((1, "s", [], 0.5, None), {}),
    )

    def test_what_the_constructor_takes(self) -> None:
        for values, named in self.CALLS:
            ours, theirs = Ours(*values, **named), Theirs(*values, **named)
            self.assertEqual(dataclasses.asdict(ours), dataclasses.asdict(theirs))
            self.assertEqual(repr(ours), repr(theirs))
            self.assertEqual(ours.total(), theirs.total())
        wrong: tuple[Any, ...]
        for wrong in ((), (1, "s", [], 0.5, None, 6)):
            self.assertRaises(TypeError, Ours, *wrong)
        self.assertRaises(TypeError, Ours, 1, third=3)
        self.assertIsNot(Ours(1).made, Ours(1).made)

    def test_equality(self) -> None:
        for values, named in self.CALLS:
            for others, names in self.CALLS:
                self.assertEqual(
                    Ours(*values, **named) == Ours(*others, **names),
                    Theirs(*values, **named) == Theirs(*others, **names),
                )
        self.assertNotEqual(Ours(1), Theirs(1))
        self.assertNotEqual(One(1.0), 1.0)
        nan = float("nan")
        self.assertEqual(One(nan), One(nan))
        self.assertEqual(Nothing(), Nothing())

    def test_hashes(self) -> None:
        made: tuple[Any, ...] = ()
        self.assertEqual(hash(Ours(1, made=made)), hash(Theirs(1, made=made)))
        self.assertEqual(hash(One(2.0)), hash((2.0,)))
        self.assertEqual(hash(Nothing()), hash(()))
        self.assertRaises(TypeError, hash, Ours(1))

    def test_nothing_can_be_changed(self) -> None:
        for made in (Ours(1), Theirs(1)):
            with self.assertRaisesRegex(FrozenInstanceError, "cannot assign to field 'first'"):
                made.first = 2
            with self.assertRaisesRegex(FrozenInstanceError, "cannot delete field 'first'"):
                del made.first
            self.assertFalse(hasattr(made, "__dict__"))

    def test_what_a_class_defines_itself(self) -> None:
        derived = Derived(3)
        self.assertEqual((derived.twice, hash(derived), repr(derived)), (6, 6, "<3>"))
        self.assertEqual(dataclasses.replace(derived, number=4).twice, 8)

    def test_copies(self) -> None:
        for value in (One(1.5), Derived(3), Holder("x"), Nothing()):
            for copied in (
                copy.copy(value),
                copy.deepcopy(value),
                pickle.loads(pickle.dumps(value)),
            ):
                self.assertEqual(copied, value)
                self.assertIs(type(copied), type(value))
        self.assertEqual(dataclasses.replace(Ours(1), second="t"), Ours(1, "t"))

    def test_what_classes_show(self) -> None:
        self.assertEqual(Ours.__match_args__, Theirs.__match_args__)
        self.assertEqual(Ours.__slots__, Theirs.__slots__)
        self.assertEqual(
            [each.name for each in dataclasses.fields(Ours)],
            [each.name for each in dataclasses.fields(Theirs)],
        )
        self.assertEqual(Ours.KIND, "plain")

    def test_classes_that_are_not_frozen_are_as_ever(self) -> None:
        @dataclass(slots=True)
        class Counted:
            count: int = 0

        counted = Counted()
        counted.count += 1
        self.assertEqual(counted, Counted(1))


class UseTests(SynchronousTestCase):
    def test_frozen_classes_are_made_by_it(self) -> None:
        found = [
            str(path)
            for path in PACKAGE.rglob("*.py")
            if path != PACKAGE / "core" / "values.py"
            and "@dataclass(frozen=True" in (text := path.read_text())
            and "from aprp.core.values import dataclass" not in text
        ]
        self.assertEqual(found, [])
