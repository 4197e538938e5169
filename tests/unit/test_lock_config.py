"""A lock's own settings over MQTT: the basic configuration, the security PIN, the clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.protocol.codes import Family
from tests import digits
from tests.unit.house import CLASSIC, PIN, ULTRA, House, ask, deaf, refusal, tries


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state", PIN)


def configured(house: House, *locks: LockSettings) -> House:
    house.settings = replace(house.settings, locks=locks)
    return house


# -- configuration


async def test_pairing_is_switched_off_and_the_button_does_nothing_then(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        before = await ask(house, "config/get")
        assert before["pairing_enabled"] is True
        assert await ask(house, "config/set", pairing_enabled=False) == {**before, "pairing_enabled": False}
        house.classic.hold_button()
        assert not house.classic.pairing_mode
        assert (await ask(house, "config/get"))["pairing_enabled"] is False


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "value", "attribute", "on_lock"),
    [
        ("name", "Haustür", "name", "Haustür"),
        ("auto_unlatch", True, "auto_unlatch", True),
        ("button_enabled", False, "button_enabled", False),
        ("led_enabled", False, "led_enabled", False),
        ("led_brightness", 5, "led_brightness", 5),
        ("fob_action_1", "intelligent", "fob_action_1", 4),
        ("fob_action_2", "none", "fob_action_2", 0),
        ("fob_action_3", "lock_n_go", "fob_action_3", 3),
        ("single_lock", True, "single_lock", True),
        ("advertising_mode", "slowest", "advertising_mode", 3),
        ("timezone", "America/New_York", "timezone_id", 12),
        ("dst_mode", "european", "dst_mode", 1),
        ("latitude", 48.25, "latitude", 48.25),
        ("longitude", -16, "longitude", -16.0),
    ],
)
async def test_one_setting_changes_and_all_others_stay(
    house: House, key: str, value: Any, attribute: str, on_lock: Any
) -> None:
    async with house.running():
        await house.pair(name="front")
        settings = house.classic.settings
        before = settings.values()
        answer = await ask(house, "config/set", **{key: value})
        assert answer[key] == value
        after = settings.values()
        expected = {**before, attribute: on_lock}
        for rounded in ("latitude", "longitude"):
            assert after.pop(rounded) == pytest.approx(expected.pop(rounded), abs=1e-5)
        assert after == expected


async def test_without_a_timezone_the_offset_counts(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        answer = await ask(house, "config/set", timezone="none", timezone_offset_min=-90)
        assert (answer["timezone"], answer["timezone_offset_min"]) == ("none", -90)
        assert answer["time"].endswith("-01:30")


async def test_a_timezone_is_given_up_only_for_an_offset(house: House) -> None:
    """What the lock tells beside a timezone need not be its offset."""
    async with house.running():
        await house.pair(name="front")
        answer = await house.ask("front/request/config/set", {"timezone": "none"})
        assert (answer["error"], "timezone_offset_min" in answer["message"]) == ("bad_request", True)
        assert house.classic.settings.timezone_id == 37


async def test_the_users_times_follow_the_zone(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        await ask(house, "config/set", timezone="Asia/Tokyo")
        assert '"created":"2026-12-01T17:00:00+09:00"' in house.retained["nuki/front/users"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "nothing to set"),
        ({"colour": "red"}, "pairing_enabled"),
        ({"nuki_id": "12345678"}, "read-only"),
        ({"firmware": "1.2.3"}, "read-only"),
        ({"pairing_enabled": 0}, "true or false"),
        ({"led_brightness": 6}, "0 to 5"),
        ({"led_brightness": True}, "0 to 5"),
        ({"name": "x" * 33}, "32 bytes"),
        ({"name": "ä" * 17}, "32 bytes"),
        ({"fob_action_1": "explode"}, "intelligent"),
        ({"timezone": "Europe/Atlantis"}, "Europe/Berlin"),
        ({"latitude": 91}, "degrees"),
        ({"pairing_enabled": False, "led_brightness": 9}, "0 to 5"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_changes(house: House, arguments: dict[str, Any], says: str) -> None:
    async with house.running():
        await house.pair(name="front")
        answer = await house.ask("front/request/config/set", arguments)
        assert answer["error"] == "bad_request"
        assert says in answer["message"]
        assert house.classic.settings.pairing_enabled
        assert not any(entry.what == "config_set" for entry in house.classic.audit)


async def test_two_changes_at_once_both_count(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.send("front/request/config/set", {"led_enabled": False})
        house.send("front/request/config/set", {"single_lock": True})
        await asyncio.sleep(5)
        assert (house.classic.settings.led_enabled, house.classic.settings.single_lock) == (False, True)


# -- the PIN


async def test_a_new_pin_is_set_used_and_kept(house: House) -> None:
    configured(house)
    async with house.running():
        await house.pair(name="front", pin="1234")
        assert await ask(house, "pin/set", pin="4711") == {}
        assert house.classic.pin_guard.pin == 4711
        await ask(house, "users/list")
        assert [each.pin for each in house.store.locks()] == ["4711"]
    again = House(house.settings.state_dir)
    again.classic, again.radio = house.classic, house.radio
    async with again.running():
        await asyncio.sleep(10)
        await ask(again, "users/list")


async def test_a_pin_in_the_configuration_must_be_changed_there_too(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert "configuration" in (await ask(house, "pin/set", pin="4711"))["note"]
        await ask(house, "users/list")
        assert [each.pin for each in house.store.locks()] == ["4711"]


async def test_a_lost_answer_to_pin_set_is_cleared_up(house: House) -> None:
    configured(house)
    async with house.running():
        await house.pair(name="front", pin="1234")
        deaf(house, "pin_set")
        await ask(house, "pin/set", pin="4711")
        assert [each.pin for each in house.store.locks()] == ["4711"]
        await ask(house, "users/list")
        assert tries(house) == 1, "the old one, once"
        assert set(house.store.refused_pins(house.store.locks()[0])) == {"1234"}
        assert await refusal(house, "pin/verify", pin="1234") == "bad_pin"
        assert tries(house) == 1


async def test_pin_set_that_never_arrived_tries_no_wrong_pin(house: House) -> None:
    """Whoever may ask could otherwise guess PINs: the bridge would try each as if the lock had taken it."""
    configured(house)
    async with house.running():
        await house.pair(name="front", pin="1234")
        lock = house.classic
        whole, lost = lock.connections.send_encrypted, True

        def lose(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
            nonlocal lost
            if lost and lock.audit[-1].what == "pin_set":
                lock.pin_guard.change(1234)
                lost = False
                return
            whole(connection_id, to, message, size)

        lock.connections.send_encrypted = lose  # type: ignore[method-assign]
        for number in range(5):
            lost = True
            assert await refusal(house, "pin/set", pin=f"{5000 + number}") == "not_executed"
        assert tries(house) == 0
        assert [each.pin for each in house.store.locks()] == ["1234"]
        await ask(house, "users/list")


async def test_pin_set_with_a_wrong_old_pin_never_passes_for_done(house: House) -> None:
    """The refusal of a PIN that was never right would not tell that the new one is in force."""
    house.settings = replace(house.settings, locks=(LockSettings("front", CLASSIC, pin=Secret("9999")),))
    async with house.running():
        deaf(house, "bad_pin")
        house.classic.hold_button()
        await house.ask("bridge/request/pair", {"name": "front"})
        assert await refusal(house, "pin/set", pin="4711") == "outcome_unknown"
        assert [each.pin for each in house.store.locks()] != ["4711"]
        assert house.classic.pin_guard.pin == 1234


async def test_a_right_pin_whose_answer_got_lost_is_tried_once_more(house: House) -> None:
    configured(house)
    async with house.running():
        await house.pair(name="front")
        whole = house.classic.connections.send_encrypted
        deaf(house, "pin_verified")
        assert await refusal(house, "pin/verify", pin="1234") == "outcome_unknown"
        house.classic.connections.send_encrypted = whole  # type: ignore[method-assign]
        await ask(house, "pin/verify", pin="1234")
        await ask(house, "users/list")


async def test_two_lost_answers_are_all_the_tries_of_an_hour(house: House) -> None:
    configured(house)
    async with house.running():
        await house.pair(name="front")
        deaf(house, "bad_pin")
        for _ in range(2):
            assert await refusal(house, "pin/verify", pin="1111") == "outcome_unknown"
        assert await refusal(house, "pin/verify", pin="1111") == "bad_pin"
        assert await refusal(house, "pin/verify", pin="2222") == "bad_pin"
        assert tries(house) == 2


async def test_pin_set_stays_unknown_if_the_lock_says_nothing_more(house: House) -> None:
    configured(house)
    async with house.running():
        await house.pair(name="front", pin="1234")
        deaf(house, "pin_set", "bad_pin")
        assert await refusal(house, "pin/set", pin="4711") == "outcome_unknown"
        assert tries(house) == 1
        assert [each.pin for each in house.store.locks()] == ["1234"]


@pytest.mark.parametrize("command", ["pin/set", "pin/verify"])
@pytest.mark.parametrize("pin", ["123", "12345", "123456", "70000", "", 999])
async def test_a_pin_of_the_wrong_length_never_reaches_the_lock(house: House, command: str, pin: Any) -> None:
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, command, pin=pin) == "bad_request"
        assert (house.classic.pin_guard.pin, house.classic.pin_guard.wrong, tries(house)) == (1234, 0, 0)


@pytest.mark.parametrize("command", ["pin/set", "pin/verify"])
async def test_a_classic_pin_never_reaches_an_ultra(house: House, command: str) -> None:
    async with house.running():
        await house.pair(ULTRA, name="back", pin="123456")
        answer = await house.ask(f"back/request/{command}", {"pin": "1234"})
        assert (answer["error"], "6 digits" in answer["message"]) == ("bad_request", True)
        assert (house.ultra.pin_guard.pin, house.ultra.pin_guard.wrong) == (123456, 0)


@pytest.mark.parametrize("configured_pin", [True, False], ids=["of the configuration", "of the request"])
@pytest.mark.parametrize(("address", "pin"), [(CLASSIC, "123456"), (ULTRA, "1234")], ids=["classic", "ultra"])
async def test_a_lock_is_not_paired_with_a_pin_that_cannot_be_its_own(
    house: House, configured_pin: bool, address: str, pin: str
) -> None:
    lock = house.classic if address == CLASSIC else house.ultra
    configured(house, LockSettings("front", address, pin=Secret(pin) if configured_pin else None))
    async with house.running():
        lock.hold_button()
        given = {} if configured_pin else {"pin": pin}
        answer = await house.ask("bridge/request/pair", {"name": "front", **given})
        assert answer["error"] == "bad_pin"
        digits = (len(pin), 10 - len(pin))
        assert "has {} digits, this lock's has {}".format(*digits) in answer["message"]
        assert (list(lock.authorizations), lock.pin_guard.wrong) == ([], 0)


OWNER_COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("users/list", {}),
    ("users/add", {"name": "Anna"}),
    ("invite/create", {"name": "Anna"}),
    ("keypad/list", {}),
    ("timecontrol/list", {}),
    ("log/get", {}),
    ("config/set", {"led_enabled": False}),
    ("config/set", {"auto_lock_enabled": True}),
    ("pin/verify", {}),
    ("pin/set", {"pin": "4711"}),
    ("time/set", {}),
    ("calibrate", {}),
    ("reboot", {}),
]


async def test_a_configured_pin_that_cannot_be_the_locks_is_told_and_never_sent(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """The family was not known when the configuration was read; or somebody has changed it since."""
    async with house.running():
        await house.pair(name="front")
    configured(house, LockSettings("front", CLASSIC, pin=Secret("123456")))
    async with house.running():
        await asyncio.sleep(10)
        assert "front: the security PIN known here has 6 digits, this lock's has 4" in caplog.text
        for command, arguments in OWNER_COMMANDS:
            answer = await house.ask(f"front/request/{command}", arguments)
            assert (answer["error"], "6 digits" in answer["message"]) == ("bad_pin", True), command
        assert (house.classic.pin_guard.pin, house.classic.pin_guard.wrong, tries(house)) == (1234, 0, 0)
        assert await ask(house, "pin/verify", pin="1234") != {}  # it works from now on, and says what to correct
        await ask(house, "users/list")


async def test_a_firmware_with_longer_pins_never_gets_the_short_one(house: House) -> None:
    """Not even with a command that was given before the link has shown it."""
    async with house.running():
        await house.pair(name="front")
        for command, arguments in (("users/list", {}), ("pin/verify", {"pin": "1234"}), ("pin/set", {"pin": "4711"})):
            house.classic.device.family = Family.ULTRA
            house.classic.pin_guard.pin = 123456
            house.classic.drop_links()
            answer = await house.ask(f"front/request/{command}", arguments)
            assert answer["error"] in ("bad_pin", "bad_request"), answer
            assert "digits" in answer["message"]
            assert (house.classic.pin_guard.pin, house.classic.pin_guard.wrong, tries(house)) == (123456, 0, 0)
            house.classic.device.family, house.classic.pin_guard.pin = Family.CLASSIC, 1234
            house.classic.drop_links()
            await asyncio.sleep(5)


async def test_a_firmware_that_makes_the_pin_six_digits_long_is_noticed_at_the_next_link(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        assert (await house.ask("front/request/pin/verify", {"pin": "1234"}))["status"] == "ok"
        house.classic.device.family = Family.ULTRA
        house.classic.pin_guard.pin = 123456
        house.classic.drop_links()
        await asyncio.sleep(5.0)
        assert (await house.ask("front/request/pin/verify", {"pin": "123456"}))["status"] == "ok"
        assert [each.family for each in house.store.locks()] == [Family.ULTRA]
    async with house.running():
        assert (await house.ask("front/request/pin/verify", {"pin": "123456"}))["status"] == "ok"


async def test_the_ultra_has_six_digits(house: House) -> None:
    async with house.running():
        await house.pair(ULTRA, name="back", pin="123456")
        answer = await house.ask("back/request/pin/set", {"pin": "1234"})
        assert answer["error"] == "bad_request"
        answer = await house.ask("back/request/pin/set", {"pin": "012345"})
        assert answer["status"] == "ok"
        assert house.ultra.pin_guard.pin == 12345


async def test_a_pin_that_was_missing_is_verified_used_and_kept(house: House) -> None:
    configured(house)
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "users/list") == "pin_required"
        assert "nuki/front/users" not in house.retained
        assert await ask(house, "pin/verify", pin="1234") == {}
        await asyncio.sleep(1)
        assert "nuki/front/users" in house.retained
        assert [each.pin for each in house.store.locks()] == ["1234"]


async def test_a_wrong_pin_is_verified_once(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for _ in range(5):
            assert await refusal(house, "pin/verify", pin="9999") == "bad_pin"
        assert sum(entry.detail == "bad_pin" for entry in house.classic.audit) == 1
        await ask(house, "pin/verify")
        await ask(house, "users/list")


async def test_guessing_a_pin_never_has_the_lock_ban_its_owner(house: House) -> None:
    """Whoever may ask could try all of them; one that is right but not known has to wait then, too."""
    async with house.running():
        await house.pair(name="front")
        for number in range(100):
            assert await refusal(house, "pin/verify", pin=f"{5000 + number}") == "bad_pin"
            await asyncio.sleep(1)  # or else it is refused as a flood
        assert sum(entry.detail == "bad_pin" for entry in house.classic.audit) == 2
        assert house.classic.pin_guard.banned_until is None
        await ask(house, "pin/verify")
        await ask(house, "users/list")
        house.classic.pin_guard.change(4711)
        assert await refusal(house, "pin/verify", pin="4711") == "bad_pin"
        await asyncio.sleep(3600)
        await ask(house, "pin/verify", pin="4711")


@pytest.mark.long
async def test_no_restart_lets_somebody_guess_on(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
    for number in range(6):
        house = house.restarted()
        async with house.running():
            await asyncio.sleep(5)
            for _ in range(2):
                assert await refusal(house, "pin/verify", pin=f"{5000 + number}") == "bad_pin"
            await ask(house, "pin/verify")  # the right one does not give the guesses back, either
    assert tries(house) == 2
    house = house.restarted()
    async with house.running():
        await asyncio.sleep(3600)
        assert await refusal(house, "pin/verify", pin="6000") == "bad_pin"
        assert tries(house) == 3
        await ask(house, "users/list")
    assert house.classic.pin_guard.banned_until is None


async def test_a_guess_counts_although_the_bridge_stops_before_the_answer(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
    deaf(house, "bad_pin")
    for number in range(6):
        house = house.restarted()
        async with house.running():
            await asyncio.sleep(5)
            before = tries(house)
            house.send("front/request/pin/verify", {"pin": f"{5000 + number}"})
            for _ in range(200):
                await asyncio.sleep(0.01)
                if tries(house) > before:
                    break
    assert tries(house) == 2


async def test_no_other_configuration_lets_somebody_guess_on(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        for number in range(6):
            name = f"door_{number}"
            found = house.bridge.members.reconfigure([LockSettings(name, CLASSIC)], house.store.locks())
            for member in found.gone:
                await house.bridge.stop(member)
            for member in found.come:
                house.bridge.start(member)
            await asyncio.sleep(5)
            answer = await house.ask(f"{name}/request/pin/verify", {"pin": f"{5000 + number}"})
            assert answer["error"] == "bad_pin"
        assert tries(house) == 2


async def test_a_pin_that_never_reached_the_lock_is_not_counted(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.classic.out_of_range()
        await asyncio.sleep(60)
        for number in range(3):
            assert await refusal(house, "pin/verify", pin=f"{5000 + number}") != "bad_pin"
        assert house.store.refused_pins(house.store.locks()[0]) == {}


@pytest.mark.long
async def test_a_wrong_pin_of_the_configuration_is_tried_once_an_hour_however_often_the_daemon_starts(
    house: House,
) -> None:
    configured(house, LockSettings("front", CLASSIC, pin=Secret("9999")))
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "users/list") == "bad_pin"
        assert await refusal(house, "pin/verify") == "bad_pin"
    for _ in range(5):
        again = House(house.settings.state_dir)
        again.settings, again.classic, again.radio = house.settings, house.classic, house.radio
        async with again.running():
            await asyncio.sleep(20)
            assert await refusal(again, "users/list") == "bad_pin"
            assert await refusal(again, "pin/verify") == "bad_pin"
    assert sum(entry.detail == "bad_pin" for entry in house.classic.audit) == 1
    house.classic.pin_guard.change(9999)
    again = House(house.settings.state_dir)
    again.settings, again.classic, again.radio = house.settings, house.classic, house.radio
    async with again.running():
        await asyncio.sleep(3600)
        await ask(again, "pin/verify")
        await ask(again, "users/list")


async def test_after_a_refusal_the_right_pin_puts_everything_right(house: House) -> None:
    configured(house, LockSettings("front", CLASSIC, pin=Secret("9999")))
    async with house.running():
        await house.pair(name="front")
        assert await refusal(house, "users/list") == "bad_pin"
        assert "configuration" in (await ask(house, "pin/verify", pin="1234"))["note"]
        await ask(house, "users/list")


async def test_no_pin_is_ever_published(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    configured(house)
    async with house.running():
        await house.pair(name="front", pin="1234")
        await ask(house, "pin/set", pin="8271")
        await ask(house, "pin/verify", pin="8271")
        await refusal(house, "pin/verify", pin="6390")
        await ask(house, "config/get")
        for pin in ("8271", "6390"):
            assert not digits.shown(pin, house.everything())
            assert not digits.shown(pin, caplog.text)


# -- the clock


async def test_the_clock_is_set_to_now_or_to_what_is_asked(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        house.radio.control({"lock": CLASSIC, "clock": "2020-01-01T00:00:00Z"})
        answer = await ask(house, "time/set")
        assert answer["time"].startswith("2026-12-01T09:00")
        assert house.classic.now().year == 2026
        answer = await ask(house, "time/set", time="2027-07-01T12:00:00")
        assert answer["time"] == "2027-07-01T12:00:00+02:00"
        assert house.classic.now().hour == 10
        assert await refusal(house, "time/set", time="noon") == "bad_request"


async def test_the_clock_is_not_set_back_by_a_bridge_that_does_not_know_the_time(house: House) -> None:
    """Limits of users that are over would be valid again."""
    async with house.running():
        await house.pair(name="front")
        house.radio.control({"lock": CLASSIC, "clock": "2026-12-03T10:00:00Z"})
        assert await refusal(house, "time/set") == "clock_behind"
        assert house.classic.now().day == 3
        answer = await ask(house, "time/set", time="2026-12-01T10:00:00Z")
        assert answer["time"].startswith("2026-12-01T11:00")
        assert house.classic.now().day == 1
