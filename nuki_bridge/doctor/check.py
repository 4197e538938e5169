"""One subject that the doctor looks at: its facts are gathered in one step, and judged in another that does no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from nuki_bridge.doctor.finding import Finding
from nuki_bridge.doctor.place import Place
from nuki_bridge.records import frozen

F = TypeVar("F")


@frozen
class Check(Generic[F]):
    """One subject: `look` gathers its facts and may raise `CouldNotLook`, `judge` says what they mean."""

    name: str
    looks_at: str
    look: Callable[[Place], Awaitable[F]]
    judge: Callable[[F], list[Finding]]
