"""Who did it: events from the lock's log, each told once, and the log for those who ask."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.protocol.codes import LogType
from nuki_bridge.store import Store
from tests.unit.house import CLASSIC, PIN, House, act, ask, events, refusal

BUTTON = {"press_button": True}
FOB = {"fob": 1}
KEYPAD = {"keypad": {"action": "unlock", "code_id": 3, "name": "Lisa"}}
WRONG_CODE = {"keypad": {"action": "unlock", "code_id": 0, "accepted": False}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def do(house: House, **control: Any) -> None:
    house.radio.control({"lock": CLASSIC, **control})


# -- who


async def test_the_bridges_own_action(house: House) -> None:
    async with house.running():
        own = (await house.pair(name="front"))["authorization_id"]
        await act(house, "unlock")
        assert events(house) == [
            {
                "type": "lock_action",
                "action": "unlock",
                "trigger": "system",
                "completion": "success",
                "user": {"id": own, "name": "nuki-bridge pi"},
                "source": "bridge",
                "time": events(house)[0]["time"],
                "state": "unlocked",
                "index": (await ask(house, "log/get", count=1))[0]["index"],
            }
        ]
        assert events(house)[0]["time"].endswith("+01:00")


@pytest.mark.parametrize(
    ("control", "action", "trigger", "source", "user"),
    [
        ({"turn": "unlocked"}, "unlock", "manual", "manual", None),
        (BUTTON, "unlock", "button", "button", None),
        (FOB, "unlock", "automatic", "fob", "Fob"),
        (KEYPAD, "unlock", "system", "keypad", "Lisa"),
    ],
)
async def test_others(
    house: House, control: dict[str, Any], action: str, trigger: str, source: str, user: str | None
) -> None:
    async with house.running():
        await house.pair(name="front")
        do(house, **control)
        await asyncio.sleep(20)
        [event] = events(house, "lock_action")
        assert (event["action"], event["trigger"], event["source"]) == (action, trigger, source)
        assert (event["user"] or {}).get("name") == user
        assert (event["state"], event["completion"]) == ("unlocked", "success")


async def test_auto_lock(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
        do(house, auto_lock=True)
        await asyncio.sleep(20)
        event = events(house)[-1]
        assert (event["action"], event["source"], event["user"], event["state"]) == (
            "lock",
            "auto_lock",
            None,
            "locked",
        )
        assert len(events(house)) == 2


async def test_a_keypad_tells_of_the_code_too(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        do(house, **KEYPAD)
        await asyncio.sleep(20)
        [event] = events(house, "keypad")
        assert (event["trigger"], event["code_id"], event["user"]["name"]) == ("code", 3, "Lisa")


async def test_a_wrong_code_moves_nothing_and_is_told_all_the_same(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        do(house, **WRONG_CODE)
        await asyncio.sleep(70)
        [event] = events(house)
        assert (event["type"], event["completion"]) == ("keypad", "invalid_code")


async def test_new_firmware_is_told_with_its_version(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.write_log(0x0A, 4, 4, 7)
        await asyncio.sleep(120)
        [event] = events(house, "firmware_update")
        [newest] = await ask(house, "log/get", count=1)
        assert event == newest
        time, index = event.pop("time"), event.pop("index")
        assert time is not None
        assert index > 0
        assert event == {"type": "firmware_update", "version": "4.4.7", "user": None, "source": None}


async def test_several_actions_between_two_readings_are_all_told_in_order(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for state in ("unlocked", "locked", "unlocked"):
            do(house, turn=state)
        await asyncio.sleep(20)
        assert [each["action"] for each in events(house)] == ["unlock", "lock", "unlock"]
        assert events(house)[-1]["state"] == "unlocked"


# -- the door


@pytest.mark.parametrize("logged", [True, False])
async def test_a_door_is_told_once_whether_the_lock_logs_it_or_not(house: House, logged: bool) -> None:
    async with house.running():
        await house.pair(name="front")
        do(house, door_logging=logged)
        for word in ("open", "closed", "open"):
            do(house, door=word)
            await asyncio.sleep(70)
        assert [each["door"] for each in events(house, "door")] == ["open", "closed", "open"]


async def test_a_door_does_not_wait_for_the_log(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        do(house, door="open")
        while house.retained.get("nuki/front/door") != "open":
            await asyncio.sleep(0.001)
        assert [each["door"] for each in events(house)] == ["open"]


# -- not twice, not lost


async def test_nothing_is_told_again_after_a_restart(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)
        assert events(restarted) == []
        await act(restarted, "lock")
        assert [each["action"] for each in events(restarted)] == ["lock"]


async def test_what_happened_meanwhile_is_told_after_a_restart(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
    do(house, turn="locked")
    do(house, **WRONG_CODE)
    do(house, turn="unlocked")
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)
        assert [each["type"] for each in events(restarted)] == ["lock_action", "keypad", "lock_action"]
    async with restarted.restarted().running() as once_more:
        await asyncio.sleep(10)
        assert events(once_more) == []


async def test_what_is_told_again_after_a_crash_can_be_told_from_news(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed after the broker had the events and before the disk knew: they come again, rather than get lost."""
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(5)
        with monkeypatch.context() as killed:
            killed.setattr(Store, "keep_log_position", lambda *_: None)
            do(house, turn="unlocked")
            do(house, **WRONG_CODE)
            do(house, **KEYPAD)
            await asyncio.sleep(20)
        told = events(house)
        do(house, turn="locked")
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)

        def names(which: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
            return [(each["type"], each["index"], each["time"]) for each in which]

        assert [each["type"] for each in told] == ["lock_action", "keypad", "keypad", "lock_action"]
        assert len({*names(told)}) == len(told)
        assert names(events(restarted))[:-1] == names(told)
        assert events(restarted)[-1]["action"] == "lock"
        assert names(events(restarted))[-1] not in names(told)


async def test_more_than_a_page_is_told(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(5)
    for _ in range(50):
        do(house, **WRONG_CODE)
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)
        assert len(events(restarted)) == 50


async def test_history_from_before_the_pairing_is_not_news(house: House) -> None:
    for state in ("unlocked", "locked"):
        do(house, turn=state)
    async with house.running():
        await house.pair(name="front")
        await asyncio.sleep(70)
        assert events(house) == []


async def test_what_happens_while_the_broker_is_away_is_told_afterwards(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.online = False
        house.bridge.connection_changed(False)
        do(house, turn="unlocked")
        await asyncio.sleep(200)
        do(house, turn="locked")
        await asyncio.sleep(200)
        house.online = True
        house.bridge.connection_changed(True)
        await asyncio.sleep(5)
        assert [each["action"] for each in events(house)] == ["unlock", "lock"]


async def test_what_the_broker_did_not_take_is_told_again(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.accepting = False
        do(house, turn="unlocked")
        await asyncio.sleep(20)
        house.accepting = True
        await asyncio.sleep(70)
        assert [each["action"] for each in events(house)] == ["unlock"]


async def test_a_log_that_begins_anew_is_noticed(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for action in ("unlock", "lock", "unlock"):
            await act(house, action)
    house.classic.log.entries.clear()
    house.classic.log.next_index = 1
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)
        do(restarted, turn="locked")
        await asyncio.sleep(20)
        assert [each["source"] for each in events(restarted)] == ["manual"]


async def test_entries_that_got_lost_do_not_have_all_of_the_log_told_again(house: House) -> None:
    """A reading that brought none, and the one that looks for the newest entry, too."""
    async with house.running():
        await house.pair(name="front")
        for action in ("unlock", "lock", "unlock"):
            await act(house, action)
        told = len(events(house))
        entries, house.classic.log.entries = house.classic.log.entries, []
        do(house, turn="locked")
        lost, house.classic.log.entries = house.classic.log.entries, []
        await asyncio.sleep(130)
        house.classic.log.entries = [*entries, *lost]
        await asyncio.sleep(130)
        assert [each["action"] for each in events(house)[told:]] == ["lock"]


async def test_a_lock_that_is_unpaired_and_paired_again_starts_anew(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
        await house.ask("bridge/request/unpair", {"name": "front"})
        do(house, turn="locked")
        house.published.clear()
        await house.pair(name="front")
        await asyncio.sleep(70)
        assert events(house) == []


# -- without the log


async def test_without_a_pin_events_come_from_the_states(house: House) -> None:
    house.settings = replace(house.settings, locks=())
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
        [event] = events(house)
        assert (event["type"], event["action"], event["state"]) == ("lock_action", "unlock", "unlocked")
        assert "user" not in event or event["user"] is None


async def test_a_lock_that_tells_where_the_bolt_of_a_blocked_motor_is_has_done_nothing_more(house: House) -> None:
    house.settings = replace(house.settings, locks=())
    house.classic.behaviour.blocked_s = 10.0
    async with house.running():
        await house.pair(name="front")
        house.classic.block_motor()
        assert (await house.ask("front/set", "unlock"))["error"] == "motor_blocked"
        await asyncio.sleep(300.0)
        assert house.on("front/state")[-1] == "locked"
        [event] = events(house)
        assert (event["action"], event["completion"]) == ("unlock", "motor_blocked")


async def test_a_log_that_is_switched_off_delays_events_but_loses_none(house: House) -> None:
    house.classic.log.enabled = False
    async with house.running():
        await house.pair(name="front")
        for action in ("unlock", "lock", "unlock"):
            await act(house, action)
        await asyncio.sleep(70)
        assert [each["action"] for each in events(house)] == ["unlock", "lock", "unlock"]
        assert events(house)[0]["user"] is None


async def test_an_entry_that_comes_late_is_not_told_twice(house: House) -> None:
    log = house.classic.log
    log.enabled = False
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
        [told] = events(house)
        log.enabled = True
        house.classic.write_log(LogType.LOCK_ACTION, 1, 0, 0, 0)
        await asyncio.sleep(70)
        assert events(house) == [told]


async def test_a_refused_pin_leaves_the_states_way(house: House) -> None:
    house.settings = replace(house.settings, locks=(LockSettings("front", CLASSIC, pin=Secret("9999")),))
    async with house.running():
        await house.pair(name="front")
        await act(house, "unlock")
        assert [each["action"] for each in events(house)] == ["unlock"]


# -- log/get


async def test_the_log_is_read_from_the_newest_on(house: House) -> None:
    async with house.running():
        own = (await house.pair(name="front"))["authorization_id"]
        for action in ("unlock", "lock"):
            await act(house, action)
        do(house, **WRONG_CODE)
        entries = await ask(house, "log/get")
        assert [each["type"] for each in entries] == ["keypad", "lock_action", "lock_action"]
        assert entries[1]["user"] == {"id": own, "name": "nuki-bridge pi"}
        assert [each["index"] for each in entries] == sorted((each["index"] for each in entries), reverse=True)
        assert await ask(house, "log/get", count=1) == entries[:1]
        assert await ask(house, "log/get", before=entries[0]["index"]) == entries[1:]
        assert await ask(house, "log/get", after=entries[2]["index"]) == entries[1::-1]


async def test_a_long_log_comes_in_pages(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for _ in range(130):
            do(house, **WRONG_CODE)
        entries = await ask(house, "log/get", count=105)
        assert [each["index"] for each in entries] == list(range(130, 25, -1))
        assert len(await ask(house, "log/get", after=5, count=500)) == 125


async def test_what_log_get_does_not_take(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "log/get", before=3, after=1) == "bad_request"
        assert await refusal(house, "log/get", count=0) == "bad_request"
        assert await refusal(house, "log/get", count=501) == "bad_request"


# -- the last one, in the status


def last(house: House) -> tuple[str | None, str | None, str | None, str | None]:
    told = json.loads(house.retained["nuki/front/status"])["last_lock_action"]
    return told["action"], told["trigger"], told["source"], (told["user"] or {}).get("name")


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (BUTTON, ("unlock", "button", "button", None)),
        (FOB, ("unlock", "automatic", "fob", "Fob")),
        (KEYPAD, ("unlock", "system", "keypad", "Lisa")),
    ],
)
async def test_the_status_tells_the_last_action_also_after_a_restart(
    house: House, control: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    """Events are not retained: whoever comes later reads it there."""
    async with house.running():
        await house.pair(name="front")
        do(house, **control)
        await asyncio.sleep(20)
        do(house, **WRONG_CODE)
        await asyncio.sleep(70)
        assert last(house) == expected
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)
        assert events(restarted) == []
        assert last(restarted) == expected
        await act(restarted, "lock")
        assert last(restarted) == ("lock", "system", "bridge", "nuki-bridge pi")


async def test_without_the_log_the_last_action_is_what_the_states_tell(tmp_path: Path) -> None:
    house = House(tmp_path / "state")
    async with house.running():
        await house.pair(name="front")
        do(house, turn="unlocked")
        await asyncio.sleep(20)
        assert last(house) == ("unlock", "manual", None, None)
    async with house.restarted().running() as restarted:
        await asyncio.sleep(10)
        assert last(restarted) == ("unlock", "manual", None, None)
