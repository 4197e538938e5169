"""Records: what `dataclass` promises of a class with slots holds of them, too."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from nuki_bridge.records import frozen, frozen_by_name, mutable


@frozen
class Point:
    """A value with what fields can be."""

    x: int
    y: int = 2
    marks: list[str] = field(default_factory=list)
    secret: str = field(default="pst", repr=False)
    raw: bytes = field(default=b"", compare=False)
    origin: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Model:
    """The same as a dataclass."""

    x: int
    y: int = 2
    marks: list[str] = field(default_factory=list)
    secret: str = field(default="pst", repr=False)
    raw: bytes = field(default=b"", compare=False)
    origin: ClassVar[int] = 0


@frozen_by_name
class Named:
    """A value whose fields have names."""

    x: int = 1
    y: int


@frozen_by_name
class More(Named):
    """One with another field."""

    z: int


@frozen
class Nothing:
    """A value without fields."""


@frozen
class Spoken:
    """A value with words and an equality of its own."""

    x: int

    def __repr__(self) -> str:
        return "spoken"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spoken)


@mutable
class Counter:
    """An object that changes."""

    count: int = 0
    seen: list[int] = field(default_factory=list)


@pytest.mark.parametrize(
    "make",
    [
        lambda kind: kind(1),
        lambda kind: kind(1, 3, ["a"], "s", b"r"),
        lambda kind: kind(y=5, x=4),
        lambda kind: kind(1, raw=b"x"),
        lambda kind: dataclasses.replace(kind(1, secret="s"), y=7),
        lambda kind: copy.copy(kind(1, 3)),
        lambda kind: copy.deepcopy(kind(1, 3, ["a"])),
        lambda kind: pickle.loads(pickle.dumps(kind(1, 3, ["a"]))),
    ],
)
def test_it_has_the_fields_of_a_dataclass(make: Callable[[Any], Any]) -> None:
    made, model = make(Point), make(Model)
    assert dataclasses.asdict(made) == dataclasses.asdict(model)
    assert repr(made) == repr(model).replace("Model", "Point")
    assert [each.name for each in dataclasses.fields(Point)] == [each.name for each in dataclasses.fields(Model)]
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize("kind", [Point, Model])
def test_it_is_equal_by_the_fields_that_count(kind: Any) -> None:
    assert kind(1) == kind(1, raw=b"other")
    assert kind(1) != kind(2)
    assert kind(1) != kind(1, secret="other")
    assert kind(1) != (1, 2, [], "pst", b"")
    assert len({kind(1, 2, (), raw=b"a"), kind(1, 2, (), raw=b"b"), kind(2, 2, ())}) == 2


def test_a_default_that_is_made_belongs_to_one_object() -> None:
    assert Point(1).marks is not Point(1).marks


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Point(), "lacks 'x'"),  # type: ignore[call-arg]
        (lambda: Point(1, 2, [], "", b"", 6), "takes 5 arguments by position, not 6"),  # type: ignore[call-arg]
        (lambda: Point(1, x=1), "has no 'x', or has it twice"),  # type: ignore[misc]
        (lambda: Point(1, z=1), "has no 'z'"),  # type: ignore[call-arg]
        (lambda: Named(1, y=2), "takes 0 arguments by position, not 1"),  # type: ignore[call-arg]
        (lambda: Named(), "lacks 'y'"),  # type: ignore[call-arg]
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        make()


def test_a_frozen_one_stays_as_it_is() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.other = 2  # type: ignore[attr-defined]
    assert point.x == 1


def test_fields_of_a_base_come_first() -> None:
    made = More(z=3, y=2)
    assert (made.x, made.y, made.z) == (1, 2, 3)
    assert repr(made) == "More(x=1, y=2, z=3)"
    assert made == More(x=1, y=2, z=3)
    assert made != More(x=1, y=2, z=4)
    assert made != Named(y=2)
    assert hash(made) == hash(More(x=1, y=2, z=3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.z = 4  # type: ignore[misc]


def test_one_without_fields_equals_its_like() -> None:
    assert Nothing() == Nothing()
    assert repr(Nothing()) == "Nothing()"


def test_what_a_class_says_itself_counts() -> None:
    assert repr(Spoken(1)) == "spoken"
    assert Spoken(1) == Spoken(2)
    assert isinstance(hash(Spoken(1)), int)


def test_a_mutable_one_can_change_and_has_no_hash() -> None:
    counter = Counter()
    counter.count += 1
    counter.seen.append(1)
    assert counter == Counter(1, [1])
    assert Counter() == Counter()
    assert repr(counter) == "Counter(count=1, seen=[1])"
    with pytest.raises(TypeError):
        hash(counter)
    with pytest.raises(AttributeError):
        counter.other = 1  # type: ignore[attr-defined]
