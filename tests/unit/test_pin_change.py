"""A change of the security PIN that is cut off: the next run finds out which one the lock has, without a ban."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.simulator.backend import load_locks, save_locks
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from nuki_bridge.store import Store
from tests import digits
from tests.unit.house import CLASSIC, ULTRA, House, ask, deaf, refusal, tries
from tests.unit.rig import now

UNTOLD = LockSettings("front", CLASSIC)
"""A lock whose PIN is in no configuration."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", UNTOLD)


class Moments:
    """A copy of the state directory and of the locks' memory at every moment at which a kill might find them."""

    def __init__(self, house: House, directory: Path) -> None:
        self._house = house
        self._directory = directory
        self.taken: list[Path] = []
        self._note = house.classic.device.note
        house.classic.device.note = self._noting(self._note)  # type: ignore[method-assign]
        self._wipe = Store.wipe_old_pages

    def _noting(self, note: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **more: Any) -> Any:
            result = note(*arguments, **more)
            self.take()
            asyncio.get_running_loop().call_soon(self.take)
            return result

        return noting

    def take(self) -> None:
        place = self._directory / str(len(self.taken))
        shutil.copytree(self._house.settings.state_dir, place / "state")
        save_locks(place / "locks.json", [self._house.classic, self._house.ultra])
        self.taken.append(place)

    def watch_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take one before and after every change of the database, too."""

        def wiping(store: Store) -> None:
            self.take()
            self._wipe(store)
            self.take()

        monkeypatch.setattr(Store, "wipe_old_pages", wiping)

    def stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._house.classic.device.note = self._note  # type: ignore[method-assign]
        monkeypatch.setattr(Store, "wipe_old_pages", self._wipe)


def found_at(place: Path, settings: Any) -> House:
    """The run after a kill at that moment."""
    house = House(place / "state")
    house.settings = settings.__class__(**{**vars_of(settings), "state_dir": place / "state"})
    house.classic, house.ultra = (each for each in load_locks(place / "locks.json") if isinstance(each, VirtualLock))
    house.radio = VirtualRadio([house.classic, house.ultra], clock=now)
    return house


def vars_of(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__slots__}


async def test_killed_at_any_moment_the_owners_commands_go_on(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.running():
        await house.pair(name="front", pin="1234")
        moments = Moments(house, tmp_path / "killed")
        moments.watch_store(monkeypatch)
        await ask(house, "pin/set", pin="4711")
        moments.stop(monkeypatch)
    found = set()
    for place in moments.taken:
        again = found_at(place, house.settings)
        right = again.classic.pin_guard.pin
        found.add(right)
        async with again.running():
            await asyncio.sleep(20)
            assert "nuki/front/users" in again.retained, place
            await ask(again, "users/list")
            await ask(again, "config/set", led_enabled=False)
            assert tries(again) <= 1
            assert (again.classic.pin_guard.wrong, again.classic.pin_guard.banned_until) == (0, None)
            assert [each.pin for each in again.store.locks()] == [f"{right}"]
            assert again.store.new_pin("front") is None
    assert found == {1234, 4711}
    assert len(moments.taken) > 10


async def test_the_pin_of_the_configuration_may_be_the_old_one(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC, pin=Secret("1234")))
    async with house.running():
        await house.pair(name="front")
        house.store.keep_new_pin("front", "4711")
    house.classic.pin_guard.change(4711)
    again = house.restarted()
    async with again.running():
        await asyncio.sleep(10)
        await ask(again, "users/list")
        assert [each.pin for each in again.store.locks()] == ["4711"]
    assert tries(house) == 1


async def test_a_change_that_was_stopped_is_cleared_up_by_the_next_run(house: House) -> None:
    async with house.running():
        await house.pair(name="front", pin="1234")
        deaf(house, "pin_set", "bad_pin")
        house.send("front/request/pin/set", {"pin": "4711"})
        await asyncio.sleep(0.5)
    assert house.classic.pin_guard.pin == 4711
    again = house.restarted()
    async with again.running():
        del house.classic.connections.send_encrypted
        await asyncio.sleep(60)
        await ask(again, "users/list")
        assert [each.pin for each in again.store.locks()] == ["4711"]
        assert set(again.store.refused_pins(again.store.locks()[0])) == {"1234"}


async def test_an_unknown_outcome_is_cleared_up_by_the_next_command(house: House) -> None:
    async with house.running():
        await house.pair(name="front", pin="1234")
        deaf(house, "pin_set", "bad_pin")
        assert await refusal(house, "pin/set", pin="4711") == "outcome_unknown"
        del house.classic.connections.send_encrypted
        await ask(house, "users/list")
        assert [each.pin for each in house.store.locks()] == ["4711"]
        assert house.classic.pin_guard.banned_until is None


async def test_a_made_up_pin_that_never_arrived_is_never_tried(house: House) -> None:
    """Or else whoever may set a PIN and start the bridge again could guess."""
    async with house.running():
        await house.pair(name="front", pin="1234")
    for number in range(4):
        again = house.restarted()
        house.store.open()
        house.store.keep_new_pin("front", f"{5000 + number}")
        house.store.close()
        async with again.running():
            await asyncio.sleep(10)
            await ask(again, "users/list")
            assert again.store.new_pin("front") is None
            assert [each.pin for each in again.store.locks()] == ["1234"]
    assert tries(house) == 0


async def test_a_lock_that_answers_nothing_is_asked_twice_at_most(house: House) -> None:
    """Over any number of starts: each try may have been a wrong one."""
    async with house.running():
        await house.pair(name="front", pin="1234")
        house.store.keep_new_pin("front", "4711")
    house.classic.pin_guard.change(4711)
    deaf(house, "bad_pin", "pin_verified")
    for _ in range(4):
        again = house.restarted()
        async with again.running():
            await asyncio.sleep(120)
            answer = await again.ask("front/request/users/list")
            assert answer["error"] in ("outcome_unknown", "bad_pin")
    assert tries(house) == 2
    assert house.classic.pin_guard.banned_until is None
    del house.classic.connections.send_encrypted
    again = house.restarted()
    async with again.running():
        assert await refusal(again, "users/list") == "bad_pin"
        await asyncio.sleep(3700)
        await ask(again, "users/list")
        assert [each.pin for each in again.store.locks()] == ["4711"]


async def test_two_wrong_ones_are_all_that_is_tried(house: House) -> None:
    """Somebody else has changed it meanwhile."""
    async with house.running():
        await house.pair(name="front", pin="1234")
        house.store.keep_new_pin("front", "4711")
    house.classic.pin_guard.change(8642)
    for _ in range(3):
        again = house.restarted()
        async with again.running():
            await asyncio.sleep(60)
            assert await refusal(again, "users/list") == "bad_pin"
    assert tries(house) == 2
    assert house.classic.pin_guard.banned_until is None


async def test_neither_pin_is_to_be_seen(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with house.running():
        await house.pair(name="front", pin="1234")
        house.store.keep_new_pin("front", "4711")
    house.classic.pin_guard.change(4711)
    again = house.restarted()
    async with again.running():
        await asyncio.sleep(10)
        await ask(again, "users/list")
        told = caplog.text + again.everything() + house.everything()
        assert "was cut off" in caplog.text
        assert not digits.shown("4711", told)
        assert not digits.shown("1234", told)


# -- pairing again


@pytest.mark.parametrize(("address", "pin"), [(CLASSIC, "1234"), (ULTRA, "123456")], ids=["classic", "ultra"])
async def test_pairing_again_keeps_the_pin(house: House, address: str, pin: str) -> None:
    house.settings = House(house.settings.state_dir).settings
    async with house.running():
        await house.pair(address, name="front", pin=pin)
        await house.pair(address, name="front")
        assert [each.pin for each in house.store.locks()] == [pin]
        await ask(house, "users/list")


async def test_a_pin_that_was_refused_is_not_paired_with(house: House) -> None:
    """Its refusal would be another wrong try."""
    house.settings = House(house.settings.state_dir).settings
    async with house.running():
        await house.pair(ULTRA, name="front", pin="123456")
        house.ultra.pin_guard.change(654321)
        assert await refusal(house, "users/list") == "bad_pin"
        wrong = house.ultra.pin_guard.wrong
        house.ultra.hold_button()
        answer = await house.ask("bridge/request/pair", {"name": "front"})
        assert answer["error"] == "pin_required"
        assert house.ultra.pin_guard.wrong == wrong


# -- a configuration that is out of date ------------------------------------------------------------------------------


def with_pin(house: House, pin: str) -> House:
    """The next run, with this PIN in the configuration."""
    again = House(house.settings.state_dir, LockSettings("front", CLASSIC, pin=Secret(pin)))
    again.classic, again.ultra, again.radio = house.classic, house.ultra, house.radio
    return again


async def test_a_pin_of_the_configuration_that_was_replaced_is_not_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path / "state", LockSettings("front", CLASSIC, pin=Secret("1234")))
    async with house.running():
        await house.pair(name="front")
        await ask(house, "pin/set", pin="4711")
        await ask(house, "pin/verify")
    for _ in range(2):
        house, before = with_pin(house, "1234"), tries(house)
        caplog.clear()
        async with house.running():
            await asyncio.sleep(10)
            await ask(house, "users/list")
            await ask(house, "pin/verify")
        assert tries(house) == before == 0
        [warning] = [each.getMessage() for each in caplog.records if "out of date" in each.getMessage()]
        assert not {"1234", "4711"} & set(warning.replace(";", " ").split())
    house = with_pin(house, "4711")
    caplog.clear()
    async with house.running():
        await ask(house, "users/list")
    assert (tries(house), "out of date" in caplog.text) == (0, False)


async def test_another_pin_of_the_configuration_counts(tmp_path: Path) -> None:
    """Whoever wrote it may know better: only the very one that was replaced is out of date."""
    house = House(tmp_path / "state", LockSettings("front", CLASSIC, pin=Secret("1234")))
    async with house.running():
        await house.pair(name="front")
        await ask(house, "pin/set", pin="4711")
    house.classic.pin_guard.change(5812)  # with the maker's app
    house = with_pin(house, "5812")
    async with house.running():
        await ask(house, "users/list")
        await ask(house, "pin/verify")
    house.classic.pin_guard.change(1234)
    house = with_pin(house, "1234")  # the one from before again, and the lock says so
    async with house.running():
        await ask(house, "pin/verify", pin="1234")
        await ask(house, "users/list")
    again = with_pin(house, "1234")
    async with again.running():
        await ask(again, "users/list")
    assert tries(again) <= 1
