"""Whether this computer's clock is right: what cannot be found out counts as no."""

from __future__ import annotations

import asyncio

import pytest

from nuki_bridge.daemon.synchronized import D_BUS_S, is_synchronized


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def hangs() -> bool:
    await asyncio.sleep(1e9)
    return True


async def fails() -> bool:
    raise OSError("no D-Bus here")


async def test_timesyncd_has_set_it() -> None:
    assert await is_synchronized(lambda: True, fails)


async def test_another_program_has_set_it() -> None:
    assert await is_synchronized(lambda: False, yes)


@pytest.mark.parametrize("timedated", [no, hangs, fails])
async def test_nobody_says_that_it_was_set(timedated: object) -> None:
    start = asyncio.get_running_loop().time()
    assert not await is_synchronized(lambda: False, timedated)  # type: ignore[arg-type]
    assert asyncio.get_running_loop().time() - start <= D_BUS_S
