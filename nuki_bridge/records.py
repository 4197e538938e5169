"""Values: small classes with fields, as a dataclass with slots makes them, whose methods stand here once for all.

What `dataclass` generates for each class is compiled when the module is imported: 1.3 ms and 14 KiB a class, and there
are more than a hundred.  Fields, defaults, `replace`, `fields` and `asdict` are those of `dataclasses`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_lean = dataclasses.dataclass(slots=True, init=False, repr=False, eq=False)
_lean_by_name = dataclasses.dataclass(slots=True, init=False, repr=False, eq=False, kw_only=True)

_Field = tuple[str, Callable[[Any, Any], None], Any, Any]


class _Plan:
    """What the methods need to know of a class: its fields in the order of its arguments, and those that it is."""

    __slots__ = ("compared", "fields", "positional", "shown")

    def __init__(self, cls: Any) -> None:
        fields = sorted(dataclasses.fields(cls), key=lambda field: bool(field.kw_only))
        slots = [getattr(cls, each.name).__set__ for each in fields]
        self.fields: tuple[_Field, ...] = tuple(
            (each.name, put, each.default, each.default_factory) for each, put in zip(fields, slots, strict=True)
        )
        self.positional = tuple(put for each, put in zip(fields, slots, strict=True) if not each.kw_only)
        self.shown = tuple(each.name for each in dataclasses.fields(cls) if each.repr)
        self.compared = attrgetter(*([each.name for each in fields if each.compare] or ["__class__"]))


def _init(self: Any, /, *args: Any, **given: Any) -> None:
    plan: _Plan = self.plan_of_fields
    if len(args) > len(plan.positional):
        raise TypeError(f"{type(self).__name__} takes {len(plan.positional)} arguments by position, not {len(args)}")
    for put, value in zip(plan.positional, args, strict=False):
        put(self, value)
    for name, put, default, factory in plan.fields[len(args) :]:
        if name in given:
            put(self, given.pop(name))
        elif default is not dataclasses.MISSING:
            put(self, default)
        elif factory is not dataclasses.MISSING:
            put(self, factory())
        else:
            raise TypeError(f"{type(self).__name__} lacks {name!r}")
    if given:
        raise TypeError(f"{type(self).__name__} has no {', '.join(map(repr, given))}, or has it twice")


def _setattr(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    compared = self.plan_of_fields.compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.plan_of_fields.compared(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.plan_of_fields.shown)
    return f"{type(self).__qualname__}({shown})"


def _reduce(self: Any) -> tuple[Any, ...]:
    return _remade, (type(self), {name: getattr(self, name) for name, *_ in self.plan_of_fields.fields})


def _remade(cls: type[T], values: dict[str, Any]) -> T:
    return cls(**values)


_OF_ALL = {"__init__": _init, "__repr__": _repr, "__eq__": _eq, "__reduce__": _reduce}
_FROZEN = {**_OF_ALL, "__hash__": _hash, "__setattr__": _setattr, "__delattr__": _delattr}
_MUTABLE = {**_OF_ALL, "__hash__": None}


def _made(cls: type[T], methods: dict[str, Any], lean: Callable[[type[T]], type[T]]) -> type[T]:
    own = vars(cls)
    for name, method in methods.items() if not hasattr(cls, "plan_of_fields") else ():
        if name not in own or (name == "__hash__" and own[name] is None):
            setattr(cls, name, method)
    made: Any = lean(cls)
    plan = _Plan(made)
    made.plan_of_fields = plan
    return made  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: type[T]) -> type[T]:
    """Make the class one of values: as `dataclass(frozen=True, slots=True)`, but that no subclass is its equal."""
    return _made(cls, _FROZEN, _lean)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
def frozen_by_name(cls: type[T]) -> type[T]:
    """Make the class one of values whose fields are all given by name."""
    return _made(cls, _FROZEN, _lean_by_name)


@dataclass_transform(field_specifiers=(dataclasses.field,))
def mutable(cls: type[T]) -> type[T]:
    """Make the class one of objects whose fields can be set: as `dataclass(slots=True)`."""
    return _made(cls, _MUTABLE, _lean)
