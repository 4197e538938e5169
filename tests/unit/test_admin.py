"""The security PIN: a wrong one reaches the lock once, whatever becomes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nuki_bridge.errors import LinkError, LockError
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.owner import authorizations
from tests.unit.rig import LOST, Rig

RIGHT, WRONG = "1234", "9999"
Ask = Callable[[Admin, str], Awaitable[object]]
"""One request with a PIN."""
REQUESTS: dict[str, Ask] = {
    "a command": lambda admin, pin: authorizations.remove(admin, 4711, 30.0),
    "a list": lambda admin, pin: authorizations.entries(admin, 30.0),
    "the question whether it is right": lambda admin, pin: admin.verify_pin(pin, 30.0),
}
EACH = pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())


def owner_with(lock: Lock, pin: str) -> Admin:
    """Somebody who takes this for the PIN."""
    lock.pin.use(pin)
    return Admin(lock)


def wrong_pins(rig: Rig) -> int:
    """How many of them the lock has had to refuse."""
    return sum(entry.detail == "bad_pin" for entry in rig.virtual.audit)


@EACH
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_wrong_pin_whose_refusal_got_lost_is_not_sent_again(request_: Ask, fault: str) -> None:
    rig = Rig()
    async with rig.running() as lock:
        setattr(rig.radio.faults, fault, 1)
        with pytest.raises((OutcomeUnknown, LinkError)):
            await request_(owner_with(lock, WRONG), WRONG)
        assert wrong_pins(rig) <= 1


@EACH
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_pin_that_the_lock_has_accepted_is_sent_again(request_: Ask, fault: str) -> None:
    rig = Rig()
    async with rig.running() as lock:
        admin = owner_with(lock, RIGHT)
        await authorizations.page(admin, 0, 1, 30.0)
        await lock.exchange.ask_challenge()
        setattr(rig.radio.faults, fault, 1)
        await request_(admin, RIGHT)
        assert getattr(rig.radio.faults, fault) == 0


async def test_a_pin_given_anew_has_to_prove_itself_again() -> None:
    rig = Rig()
    async with rig.running() as lock:
        admin = owner_with(lock, RIGHT)
        await admin.verify_pin(RIGHT, 30.0)
        admin.pin.use(WRONG)
        rig.radio.faults.lose_indication = 2  # the challenge comes first
        with pytest.raises(LinkError):
            await authorizations.entries(admin, 30.0)
        assert wrong_pins(rig) == 1


async def test_a_pin_that_was_right_once_is_not_proven_any_more() -> None:
    rig = Rig()
    async with rig.running() as lock:
        admin = owner_with(lock, RIGHT)
        await admin.verify_pin(RIGHT, 30.0)
        rig.virtual.pin_guard.change(4321)
        with pytest.raises(LockError, match="PIN"):
            await authorizations.entries(admin, 30.0)
        rig.radio.faults.lose_indication = 2
        with pytest.raises(OutcomeUnknown):
            await admin.verify_pin(RIGHT, 30.0)
        assert wrong_pins(rig) == 2


async def test_a_ban_does_not_make_a_refused_pin_usable() -> None:
    rig = Rig(pin_attempts=1, pin_ban_s=300.0)
    async with rig.running() as lock:
        admin = owner_with(lock, WRONG)
        with pytest.raises(LockError) as refused:
            await authorizations.entries(admin, 30.0)
        assert (refused.value.code, admin.has_pin) == ("bad_pin", False)
        with pytest.raises(LockError) as refused:
            await admin.verify_pin(WRONG, 30.0)
        assert (refused.value.code, admin.has_pin) == ("too_many_pin_attempts", False)
        await asyncio.sleep(400.0)
        with pytest.raises(LockError) as refused:
            await authorizations.entries(admin, 30.0)
        assert refused.value.code == "bad_pin"
        assert wrong_pins(rig) == 1


async def test_a_ban_does_not_make_a_good_pin_refused() -> None:
    rig = Rig(pin_attempts=1, pin_ban_s=300.0)
    async with rig.running() as lock:
        admin = owner_with(lock, RIGHT)
        with pytest.raises(LockError, match="PIN"):
            await admin.verify_pin(WRONG, 30.0)  # somebody has mistyped it
        with pytest.raises(LockError) as refused:
            await authorizations.entries(admin, 30.0)
        assert (refused.value.code, admin.has_pin) == ("too_many_pin_attempts", True)
        await asyncio.sleep(400.0)
        assert await authorizations.entries(admin, 30.0)
