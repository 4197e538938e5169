"""The loop on which most tests run."""

from __future__ import annotations

import asyncio


async def test_what_is_due_at_the_same_moment_comes_in_the_order_asked_for() -> None:
    loop, seen = asyncio.get_running_loop(), list[int]()
    at = loop.time() + 1.0
    for number in range(100):
        loop.call_at(at, seen.append, number)
        loop.call_at(at - number / 1000, lambda: None)
    await asyncio.sleep(2.0)
    assert seen == list(range(100))
