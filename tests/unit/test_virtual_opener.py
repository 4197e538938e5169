"""The virtual Opener, byte by byte as opener.md has it: what it sends and takes is written here by hand."""

from __future__ import annotations

import struct
from datetime import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.codes import Family, IdType, KeypadSource, OpenerAction
from nuki_bridge.protocol.wire import encode
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock, remembered, virtual_device
from nuki_bridge.simulator.opener import VirtualOpener
from tests.unit.virtual_client import ADDRESS, NUKI_ID, DeviceClient, HandClock, make_opener, pair

ACCEPTED, COMPLETE = (0x000E, b"\1"), (0x000E, b"\0")
LOCKED, RTO, OPEN, OPENING = 1, 3, 5, 7
DOOR_MODE, CONTINUOUS = 2, 3
SYSTEM, MANUAL = 0, 1
NOON = bytes.fromhex("ea070c01090000")
"""2026-12-01 09:00:00 UTC: the year with its low byte first, then one byte each."""


class Client(DeviceClient):
    """A client that writes and reads bytes."""

    lock: VirtualOpener

    def send(self, command: int, payload: bytes) -> list[tuple[int, bytes]]:
        self.received_raw()
        self.lock.written(self.link, Channel.USDIO, self.raw_frame(command, payload))
        return self.received_raw()

    def nonce(self) -> bytes:
        ((command, nonce),) = self.send(0x0001, b"\x04\x00")
        assert command == 0x0004
        assert len(nonce) == 32
        return nonce

    def action(self, number: int) -> list[tuple[int, bytes]]:
        return self.send(0x000D, bytes([number]) + bytes(5) + self.nonce())

    def states(self) -> bytes:
        ((command, payload),) = self.send(0x0001, b"\x0c\x00")
        assert command == 0x000C
        return payload

    def owner(self, command: int, fields: bytes = b"", pin: int = 1234) -> list[tuple[int, bytes]]:
        return self.send(command, fields + self.nonce() + pin.to_bytes(2, "little"))

    def log(self) -> list[tuple[int, bytes]]:
        """Type and data of every entry, the newest first."""
        answers = self.owner(0x0031, bytes(4) + b"\xff\xff" + b"\1\0")
        return [(payload[47], payload[48:]) for command, payload in answers if command == 0x0032]

    def later(self, seconds: float) -> list[tuple[int, bytes]]:
        self.received_raw()
        self.clock.advance(seconds)
        return self.received_raw()


def make(id_type: IdType = IdType.BRIDGE, **behaviour: Any) -> tuple[VirtualOpener, HandClock, Client]:
    opener, clock = make_opener(**behaviour)
    return opener, clock, Client(opener, clock, id_type=id_type)


def short(states: bytes) -> tuple[int, int, int]:
    """Nuki state, lock state and trigger."""
    return states[0], states[1], states[2]


def reported(messages: list[tuple[int, bytes]]) -> list[tuple[int, int, int] | str]:
    words = {ACCEPTED: "accepted", COMPLETE: "complete"}
    return [words[each] if each in words else short(each[1]) for each in messages]


def refused(messages: list[tuple[int, bytes]]) -> int:
    """The error of the only message, an Error Report."""
    ((command, payload),) = messages
    assert command == 0x0012
    return payload[0]


# -- how it is found, and paired --------------------------------------------------------------------------------------


def test_it_advertises_as_an_opener() -> None:
    opener, _ = make_opener()
    assert opener.name == "Nuki_Opener_1A2B3C4D"
    beacon = "0215a92ae200550111e4916c0800200c9a661a2b3c4d"
    assert opener.manufacturer_data() == {0x004C: bytes.fromhex(beacon + "c4")}
    assert opener.service_data() == {}
    opener.ring()
    assert opener.manufacturer_data() == {0x004C: bytes.fromhex(beacon + "c5")}
    opener.hold_button()
    assert opener.service_data() == {"a92ae100-5501-11e4-916c-0800200c9a66": bytes.fromhex("1a2b3c4d")}


def test_it_is_paired_as_a_classic_lock_is() -> None:
    opener, clock = make_opener()
    opener.hold_button()
    result = pair(opener, clock, pin=None)
    assert [each.authorization_id for each in opener.authorizations] == [result.authorization_id]
    assert not opener.pairing_mode


def test_it_takes_one_link_and_is_not_seen_meanwhile() -> None:
    opener, clock, _ = make()
    assert not opener.advertising
    opener.connected(2)
    assert clock.dropped == [2]
    opener.drop_links()
    assert opener.advertising


# -- what it tells ----------------------------------------------------------------------------------------------------


def test_its_states() -> None:
    opener, _, client = make()
    assert client.states() == bytes([DOOR_MODE, LOCKED, SYSTEM]) + NOON + bytes.fromhex("0000 00 00 00 00 00 00 00")
    opener.set_battery(10)
    opener.config_changed()
    opener.switch_rto(True)
    opener.switch_continuous_mode(True)
    assert client.states() == bytes([CONTINUOUS, RTO, SYSTEM]) + NOON + bytes.fromhex("0000 01 01 14 04 00 00 00")


@pytest.mark.parametrize("size", [13, 15, 19, 22, 26])
def test_its_states_are_as_long_as_its_firmware_makes_them(size: int) -> None:
    _, _, client = make(states_size=size)
    assert len(client.states()) == size


def test_a_full_battery_has_no_percentage() -> None:
    opener, _, client = make()
    opener.set_battery(100)
    assert client.states()[12] == 0


def config(nonce: bytes, client: Client) -> bytes:
    ((command, payload),) = client.send(0x0014, nonce)
    assert command == 0x0015
    return payload


def test_its_config() -> None:
    opener, _, client = make()
    opener.settings.name = "Tür"
    expected = (
        bytes.fromhex("4d3c2b1a")
        + "Tür".encode().ljust(32, b"\0")
        + struct.pack("<ff", 52.5, 13.4)
        + bytes([1, 1, 1, 1])  # both, pairing, button, LED
        + NOON
        + bytes([0, 0, 0])  # offset, DST mode
        + bytes([0, 1, 7, 0])  # no fob; toggle RTO, open, nothing
        + bytes([1, 0, 0])  # analogue, advertising mode, no keypad
        + bytes([1, 9, 2, 2, 1])
        + bytes([37, 0])
    )
    assert config(client.nonce(), client) == expected
    assert len(expected) == 72
    opener.behaviour.config_size = 75
    assert config(client.nonce(), client) == expected + bytes([2, 0, 0])


def test_its_config_is_written_whole() -> None:
    opener, _, client = make()
    before = opener.config_update_count
    fields = (
        b"Haus".ljust(32, b"\0")
        + struct.pack("<ff", 48.0, 11.5)
        + bytes([2, 1, 0, 0])
        + b"\x3c\x00"
        + bytes([0, 2, 3, 7])
        + bytes([4, 2])
        + bytes([37, 0])
    )
    assert len(fields) == 88 - 34
    assert refused(client.owner(0x0013, fields, pin=1)) == 0x21
    assert refused(client.owner(0x0013, fields[:-1])) == 0xFE
    assert client.owner(0x0013, fields) == [COMPLETE]
    settings = opener.settings
    assert (settings.name, settings.capabilities, settings.operating_mode) == ("Haus", 2, 4)
    assert (settings.button_enabled, settings.led_enabled, settings.advertising_mode) == (False, False, 2)
    assert (settings.fob_action_1, settings.fob_action_2, settings.fob_action_3) == (2, 3, 7)
    assert opener.config_update_count == before + 1
    impossible = fields[:40] + b"\3" + fields[41:]
    assert refused(client.owner(0x0013, impossible)) == 0x23


HEAD = bytes.fromhex("3412 01 f401 e803 01 b80b 01 14")
"""Intercom 0x1234, bus switch 1, 500 ms, delay 1000 ms, random, duration 3000 ms, RTO ends by ringing, 20 minutes."""
TAIL = bytes.fromhex("05 e803 01 02 03 00 01 80 04 07 02 01")
"""Suppression 5, 1000 ms, sounds 1 2 3 0, confirmation, level 128, buttons 4 7, lithium, detection."""


@pytest.mark.parametrize(
    ("habits", "payload"),
    [
        ({"advanced_layout_a": True}, HEAD + TAIL),
        ({}, HEAD + b"\0" + TAIL),
        ({"advanced_config_size": 27}, HEAD + b"\0" + TAIL + b"\0"),
        ({"advanced_layout_a": True, "advanced_config_size": 26}, HEAD + TAIL + b"\0"),
    ],
    ids=["A", "B", "B with Auto update", "A with Auto update"],
)
def test_its_advanced_config_comes_in_two_layouts(habits: dict[str, Any], payload: bytes) -> None:
    opener, _, client = make(**habits)
    fields = payload[:-1] if habits.get("advanced_config_size") else payload
    other = fields[:12] + fields[13:] if len(fields) == 26 else fields[:12] + b"\0" + fields[12:]
    assert refused(client.owner(0x0035, other)) == 0xFE
    assert client.owner(0x0035, fields) == [COMPLETE]
    assert client.send(0x0036, client.nonce()) == [(0x0037, payload)]
    advanced = opener.advanced
    assert (advanced.intercom_id, advanced.electric_strike_delay, advanced.electric_strike_duration) == (
        0x1234,
        1000,
        3000,
    )
    assert (advanced.rto_timeout, advanced.doorbell_suppression, advanced.sound_level) == (20, 5, 128)
    assert (advanced.single_button_press_action, advanced.double_button_press_action) == (4, 7)
    wrong = fields[:11] + b"\x04" + fields[12:]
    assert refused(client.owner(0x0035, wrong)) == 0x23


def test_firmware_without_an_advanced_config() -> None:
    _, _, client = make(advanced_config_size=0)
    assert refused(client.send(0x0036, client.nonce())) == 0xFF


def test_its_battery_report_and_the_last_command() -> None:
    _, _, client = make()
    client.action(OpenerAction.ACTIVATE_RTO)
    ((command, payload),) = client.send(0x0001, b"\x11\x00")
    assert (command, len(payload), payload[5]) == (0x0011, 17, 1)
    assert client.send(0x0001, b"\x0f\x00") == [(0x000F, b"\x0d\x00")]
    assert refused(client.send(0x0001, b"\x10\x00")) == 0x23, "it has no summary of openings and closings"


# -- actions ----------------------------------------------------------------------------------------------------------


def test_the_strike_opens_and_lets_go() -> None:
    opener, _, client = make(relay_s=0.3)
    assert reported(client.action(3)) == ["accepted", (DOOR_MODE, OPENING, SYSTEM)]
    assert reported(client.later(0.3)) == [(DOOR_MODE, OPEN, SYSTEM)]
    assert reported(client.later(2.9)) == []
    assert reported(client.later(0.1)) == [(DOOR_MODE, LOCKED, SYSTEM), "complete"]
    assert [each.detail for each in opener.movements()] == ["open: opening"]
    assert client.states()[15:18] == bytes([3, 0, 0])
    assert client.log() == [(0x02, bytes([3, 0, 0, 0]))]


def test_the_strike_waits_for_its_delay_and_acts_for_its_duration() -> None:
    opener, _, client = make(relay_s=0.0)
    opener.advanced.electric_strike_delay, opener.advanced.electric_strike_duration = 2000, 1000
    client.action(3)
    assert client.later(1.9) == []
    assert reported(client.later(0.1)) == [(DOOR_MODE, OPEN, SYSTEM)]
    assert reported(client.later(1.0)) == [(DOOR_MODE, LOCKED, SYSTEM), "complete"]


def test_complete_may_come_before_the_strike_lets_go() -> None:
    _, _, client = make(complete_before_hold=True)
    client.action(3)
    assert reported(client.later(0.3)) == [(DOOR_MODE, OPEN, SYSTEM), "complete"]
    assert reported(client.later(3.0)) == [(DOOR_MODE, LOCKED, SYSTEM)]


def test_accepted_can_come_twice_and_states_and_complete_can_be_missing() -> None:
    _, _, client = make(accepted_times=2, states_missing=True, complete_missing=True)
    assert reported(client.action(3)) == ["accepted", "accepted"]
    assert client.later(10.0) == []
    assert short(client.states()) == (DOOR_MODE, LOCKED, SYSTEM)


def test_an_opening_takes_no_other_action() -> None:
    opener, _, client = make()
    client.action(3)
    assert [refused(client.action(number)) for number in (1, 3, 4)] == [0x45, 0x45, 0x45]
    client.later(5.0)
    assert len(opener.movements()) == 1


def test_ring_to_open_goes_on_and_off_at_once() -> None:
    _, _, client = make()
    assert reported(client.action(1)) == ["accepted", (DOOR_MODE, RTO, SYSTEM), "complete"]
    assert client.states()[14:18] == bytes([20, 1, 0, 0])
    assert reported(client.action(2)) == ["accepted", (DOOR_MODE, LOCKED, SYSTEM), "complete"]
    assert client.states()[14:18] == bytes([0, 2, 0, 0])
    assert client.log() == [], "switching ring to open has no entry of its own"


def test_ring_to_open_ends_by_itself() -> None:
    opener, _, client = make()
    opener.advanced.rto_timeout = 5
    client.action(1)
    client.later(60.0 * 3)
    assert client.states()[14] == 2
    client.action(1)
    client.later(60.0 * 4.9)
    assert short(client.states()) == (DOOR_MODE, RTO, SYSTEM)
    client.later(60.0 * 0.1)
    assert short(client.states()) == (DOOR_MODE, LOCKED, SYSTEM)


def test_continuous_mode_is_the_nuki_state() -> None:
    _, _, client = make()
    assert reported(client.action(4)) == ["accepted", (CONTINUOUS, LOCKED, SYSTEM), "complete"]
    assert reported(client.action(5)) == ["accepted", (DOOR_MODE, LOCKED, SYSTEM), "complete"]


def test_an_app_switches_continuous_mode_with_the_pin_alone() -> None:
    opener, _, client = make(IdType.APP)
    assert refused(client.action(4)) == 0x23
    assert refused(client.owner(0x0057, b"\1\0", pin=4321)) == 0x21
    assert reported(client.owner(0x0057, b"\1\0")) == ["accepted", (CONTINUOUS, LOCKED, SYSTEM), "complete"]
    assert refused(client.action(5)) == 0x23
    assert reported(client.owner(0x0057, b"\0\0")) == ["accepted", (DOOR_MODE, LOCKED, SYSTEM), "complete"]
    assert opener.movements() == []


def test_a_bridge_may_need_the_pin_too() -> None:
    _, _, client = make(continuous_mode_needs_pin=True)
    assert refused(client.action(4)) == 0x23
    assert reported(client.owner(0x0057, b"\1\0"))[-1] == "complete"


def test_continuous_mode_may_be_on_for_a_time() -> None:
    _, _, client = make()
    client.owner(0x0057, b"\1\x05")
    client.later(299.0)
    assert short(client.states())[0] == CONTINUOUS
    client.later(1.0)
    assert short(client.states())[0] == DOOR_MODE


def test_continuous_mode_may_stay_on_although_it_says_complete() -> None:
    _, _, client = make(continuous_mode_stays=True)
    client.action(4)
    assert reported(client.action(5)) == ["accepted", (CONTINUOUS, LOCKED, SYSTEM), "complete"]


def test_ring_to_open_may_end_continuous_mode() -> None:
    _, _, client = make(rto_ends_continuous_mode=True)
    client.action(4)
    client.action(1)
    assert short(client.states()) == (DOOR_MODE, RTO, SYSTEM)


def test_what_the_wiring_does_not_allow_is_refused() -> None:
    opener, _, client = make()
    opener.rewire(0)
    assert [refused(client.action(number)) for number in (1, 2)] == [0x23, 0x23]
    assert reported(client.action(3))[0] == "accepted"
    client.later(5.0)
    opener.rewire(2)
    assert refused(client.action(3)) == 0x23
    assert reported(client.action(1))[0] == "accepted"
    assert len(opener.movements()) == 1


def test_an_opener_that_is_not_trained_does_nothing() -> None:
    opener, _, client = make()
    opener.uncalibrate()
    assert short(client.states())[1] == 0
    assert [refused(client.action(number)) for number in range(1, 6)] == [0x47] * 5
    opener.ring()
    assert client.log() == []
    assert client.owner(0x001A) == [COMPLETE]
    assert reported(client.action(3))[0] == "accepted"


def test_other_numbers_are_no_actions() -> None:
    opener, _, client = make()
    opener.settings.fob_action_3 = 0
    for number in (0, 6, 0x50, 0x5A, 0x83):
        assert refused(client.action(number)) == 0x23
    assert opener.movements() == []


def test_a_fob_action_is_what_the_configuration_says() -> None:
    _, _, client = make()
    assert reported(client.action(0x81))[1] == (DOOR_MODE, RTO, SYSTEM)
    assert reported(client.action(0x81))[1] == (DOOR_MODE, LOCKED, SYSTEM)
    assert reported(client.action(0x82))[1] == (DOOR_MODE, OPENING, SYSTEM)


def test_a_simple_lock_action_opens_or_ends_both_modes() -> None:
    _, _, client = make()
    client.action(1)
    client.action(4)
    answer = client.send(0x0100, b"\2" + client.nonce())
    assert reported(answer) == ["accepted", (DOOR_MODE, LOCKED, SYSTEM), "complete"]
    assert reported(client.send(0x0100, b"\1" + client.nonce()))[1] == (DOOR_MODE, OPENING, SYSTEM)
    client.later(5.0)
    assert refused(client.send(0x0100, b"\3" + client.nonce())) == 0x23


def test_a_spent_challenge_is_refused() -> None:
    opener, _, client = make()
    payload = b"\3" + bytes(5) + client.nonce()
    client.send(0x000D, payload)
    client.later(5.0)
    assert refused(client.send(0x000D, payload)) == 0x22
    assert len(opener.movements()) == 1


# -- the deaf link ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 3, 4])
def test_after_an_action_the_link_is_deaf_and_drops(number: int) -> None:
    opener, clock, client = make(deaf_after_action=True)
    assert reported(client.action(number))[0] == "accepted"
    if number == 3:
        assert reported(client.later(10.0))[-1] == "complete", "what the action says still comes"
    assert client.send(0x0001, b"\x0c\x00") == []
    assert client.later(9.9) == []
    assert clock.dropped == []
    client.later(0.1)
    assert clock.dropped == [1]
    again = Client(opener, clock, link=2)
    assert len(again.states()) == 19, "a new link works at once"


def test_a_refused_action_does_not_deafen() -> None:
    _, _, client = make(deaf_after_action=True)
    assert refused(client.action(0)) == 0x23
    assert len(client.states()) == 19


def test_the_habit_is_a_real_openers_and_off_at_a_lock() -> None:
    assert Behaviour().deaf_after_action
    lock = VirtualLock(ADDRESS, NUKI_ID)
    assert not lock.motion.deafens


# -- rings ------------------------------------------------------------------------------------------------------------


def test_a_ring_shows_in_the_beacon_and_the_log_alone() -> None:
    opener, _, client = make()
    before = client.states()
    assert not opener.state_changed
    opener.ring()
    assert opener.state_changed
    assert client.received_raw() == [], "nothing is pushed"
    assert client.states() == before
    assert not opener.state_changed, "a Bridge has read the states"
    assert client.log() == [(0x06, bytes([0, 0, 0, 0, 1, 0]))]
    assert opener.movements() == []


@pytest.mark.parametrize("habit", [True, False])
def test_an_app_that_connects_may_set_the_beacon_as_a_ring_does(habit: bool) -> None:
    opener, clock, bridge = make(app_sets_bit=habit)
    bridge.states()
    assert not opener.state_changed
    opener.drop_links()
    app = Client(opener, clock, id_type=IdType.APP, link=2)
    app.states()
    assert opener.state_changed is habit
    opener.drop_links()
    again = Client(opener, clock, link=3, name="bridge again")
    again.states()
    assert not opener.state_changed


def test_a_ring_in_ring_to_open_opens() -> None:
    opener, _, client = make()
    client.action(1)
    client.states()
    opener.ring()
    assert opener.state_changed
    assert client.received_raw() == []
    assert short(client.states()) == (DOOR_MODE, OPENING, MANUAL)
    assert client.later(0.3) == []
    assert short(client.states()) == (DOOR_MODE, OPEN, MANUAL)
    client.later(3.0)
    assert short(client.states()) == (DOOR_MODE, RTO, MANUAL)
    assert client.log() == [(0x06, bytes([1, 5, 0, 0, 1, 0]))], "5: a Bridge had armed it"
    assert len(opener.movements()) == 1


def test_ring_to_open_may_end_by_the_ring() -> None:
    opener, _, client = make()
    opener.advanced.disable_rto_after_ring = True
    client.action(1)
    opener.ring()
    client.later(5.0)
    assert short(client.states()) == (DOOR_MODE, LOCKED, MANUAL)
    opener.ring()
    client.later(5.0)
    assert len(opener.movements()) == 1


def test_a_ring_in_continuous_mode_opens_and_the_mode_stays() -> None:
    opener, _, client = make()
    client.action(4)
    for _ in range(2):
        opener.ring()
        assert short(client.states()) == (CONTINUOUS, OPENING, MANUAL)
        client.later(5.0)
        assert short(client.states()) == (CONTINUOUS, LOCKED, MANUAL)
    assert client.log() == [(0x06, bytes([2, 5, 0, 0, 1, 0]))] * 2
    assert len(opener.movements()) == 2


def test_a_second_ring_at_the_open_door_is_told_and_opens_nothing() -> None:
    opener, _, client = make()
    client.action(4)
    opener.ring()
    client.later(1.0)
    opener.ring()
    client.later(5.0)
    assert len(client.log()) == 2
    assert len(opener.movements()) == 1


def test_the_delay_of_an_opening_by_ring_may_be_random() -> None:
    opener, _, client = make(relay_s=0.0)
    opener.advanced.random_electric_strike_delay = True
    opener.advanced.electric_strike_duration = 5000
    client.action(1)
    opener.ring()
    client.later(2.9)
    assert short(client.states())[1] == OPENING
    client.later(4.2)
    assert short(client.states())[1] == OPEN


@pytest.mark.parametrize(
    ("suppression", "mode", "suppressed"),
    [(1, "cm", True), (1, "rto", False), (2, "cm", False), (2, "rto", True), (3, None, False), (4, None, True)],
)
def test_a_suppressed_bell(suppression: int, mode: str | None, suppressed: bool) -> None:
    opener, _, client = make()
    opener.advanced.doorbell_suppression = suppression
    if mode is not None:
        client.action(1 if mode == "rto" else 4)
    opener.ring()
    ((kind, data),) = client.log()
    assert (kind, data[3], data[4]) == (0x06, suppressed, 0 if suppressed else 1)


def test_the_source_in_the_log_is_what_armed_it() -> None:
    opener, _, client = make()
    opener.settings.fob_action_1 = 1
    opener.advanced.single_button_press_action = 4
    opener.time_control.add(0, time(8), OpenerAction.ACTIVATE_RTO, 20)

    def source(arm: Any) -> int:
        opener.switch_rto(False)
        opener.switch_continuous_mode(False)
        arm()
        opener.ring()
        client.later(5.0)
        return client.log()[0][1][1]

    assert source(lambda: opener.time_has_come(1)) == 1
    assert source(lambda: opener.switch_rto(True)) == 2
    assert source(opener.press_button) == 3
    assert source(opener.press_fob) == 4
    assert source(lambda: client.action(1)) == 5
    assert source(lambda: opener.use_keypad(OpenerAction.ACTIVATE_RTO, code_id=0x0102)) == 6
    assert client.log()[0][1] == bytes([1, 6, 0, 0, 1, 0, 0x02, 0x01])


def test_an_opening_may_ring_the_bell_itself() -> None:
    opener, _, client = make(strike_rings=True, echo_s=1.0)
    client.action(3)
    client.later(3.3)
    client.states()
    assert [kind for kind, _ in client.log()] == [0x02]
    client.later(1.0)
    assert opener.state_changed
    assert client.log() == [(0x06, bytes([0, 0, 0, 0, 1, 0])), (0x02, bytes([3, 0, 0, 0]))]
    client.later(60.0)
    assert len(client.log()) == 2
    assert len(opener.movements()) == 1


def test_an_opening_by_ring_may_have_an_entry_of_its_own() -> None:
    opener, _, client = make(logs_opening_by_ring=True)
    client.action(4)
    opener.ring()
    client.later(5.0)
    assert client.log() == [(0x02, bytes([3, 1, 0, 0])), (0x06, bytes([2, 5, 0, 0, 1, 0]))]


# -- people -----------------------------------------------------------------------------------------------------------


def test_button_and_fob_and_keypad_open() -> None:
    opener, _, client = make()
    opener.press_button(2)
    client.later(5.0)
    opener.press_fob(2)
    client.later(5.0)
    opener.use_keypad(OpenerAction.OPEN, code_id=7, source=KeypadSource.CODE, name="Anna")
    client.later(5.0)
    opener.use_keypad(OpenerAction.OPEN, accepted=False)
    assert client.log() == [
        (0x05, bytes([3, 1, 0xE0, 0, 0])),
        (0x05, bytes([3, 1, 0, 7, 0])),
        (0x02, bytes([3, 3, 0, 0])),
        (0x02, bytes([3, 2, 0, 0])),
    ]
    assert len(opener.movements()) == 3


def test_a_button_without_a_meaning() -> None:
    opener, _, client = make()
    opener.advanced.single_button_press_action = 0
    opener.press_button()
    assert client.log() == [(0x02, bytes([0x5A, 2, 0, 0]))]
    with pytest.raises(ValueError, match="once or twice"):
        opener.press_button(3)


# -- as one of the virtual devices ------------------------------------------------------------------------------------


def test_what_makes_a_device_makes_the_kind_of_its_family() -> None:
    for family, kind in {
        Family.CLASSIC: VirtualLock,
        Family.ULTRA: VirtualLock,
        Family.OPENER: VirtualOpener,
    }.items():
        assert type(virtual_device(ADDRESS, NUKI_ID, family=family)) is kind


def test_it_remembers() -> None:
    opener, clock, client = make()
    client.action(4)
    client.action(1)
    opener.ring()
    clock.advance(5.0)
    opener.advanced.sound_level = 3
    opener.settings.capabilities = 2
    opener.time_control.add(0, time(8), OpenerAction.ACTIVATE_RTO, 20)
    again = remembered(opener.to_dict())
    assert isinstance(again, VirtualOpener)
    assert again.to_dict() == opener.to_dict()
    assert (again.advanced.sound_level, again.settings.capabilities) == (3, 2)
    assert again.states().nuki_state == CONTINUOUS
    with pytest.raises(ValueError, match="not a virtual lock's memory"):
        remembered({"family": "opener", "version": 1})


def test_its_controls() -> None:
    opener, clock, client = make()
    client.action(1)
    answer = opener.control({"ring": True, "battery": 10})
    assert (answer["name"], answer["family"]) == ("Nuki_Opener_1A2B3C4D", "opener")
    assert (answer["state"], answer["continuous_mode"]) == ("opening", False)
    assert (answer["wiring"], answer["battery_critical"]) == (1, True)
    clock.advance(5.0)
    assert opener.control({"continuous_mode": True, "rto": False})["continuous_mode"] is True
    assert opener.control({"keypad": {"action": "open", "code_id": 3}, "relay_s": 1})["state"] == "opening"
    assert opener.control({"wiring": 2})["wiring"] == 2
    with pytest.raises(ValueError, match="unknown control 'turn'"):
        opener.control({"turn": "locked"})
    with pytest.raises(ValueError, match="wiring: a whole number from 0 to 2"):
        opener.control({"ring": True, "wiring": 3})


def test_a_reboot_ends_an_opening() -> None:
    opener, clock, client = make(reboot_forgets_action=True)
    client.action(3)
    assert client.owner(0x001D) == [(0x0012, b"\x45\x1d\x00")]
    opener.reboot()
    assert opener.strike.state == LOCKED
    clock.advance(5.0)
    again = Client(opener, clock, link=2)
    assert again.states()[15:18] == bytes(3)


# -- whatever comes ---------------------------------------------------------------------------------------------------


@given(data=st.lists(st.tuples(st.sampled_from(list(Channel)), st.binary(max_size=120)), max_size=5))
def test_garbage_never_raises_and_never_opens(data: list[tuple[Channel, bytes]]) -> None:
    opener, clock, client = make()
    opener.hold_button()
    client.nonce()
    for channel, value in data:
        opener.written(1, channel, value)
    clock.advance(30)
    assert opener.movements() == []
    assert len(opener.authorizations) == 1


@given(command=st.integers(0, 0xFFFF), payload=st.binary(max_size=130))
@settings(max_examples=200)
def test_requests_without_a_valid_challenge_open_nothing(command: int, payload: bytes) -> None:
    opener, _, client = make()
    client.nonce()
    client.send(command, payload)
    client.later(15)
    assert opener.movements() == []
    assert short(opener_states(opener)) == (DOOR_MODE, LOCKED, SYSTEM)


def opener_states(opener: VirtualOpener) -> bytes:
    return encode(opener.states(), opener.family)


SIZES = {0x0D: 6, 0x100: 1, 0x57: 2, 0x13: 54, 0x35: 26, 0x14: 0, 0x36: 0, 0x1A: 0, 0x1D: 0, 0x31: 8, 0x34: 1, 0x39: 4}
"""Bytes of a request's own fields."""


@pytest.mark.parametrize("command", SIZES)
@given(data=st.data())
@settings(max_examples=60)
def test_any_values_with_a_valid_challenge_are_answered(command: int, data: st.DataObject) -> None:
    _, _, client = make()
    fields = data.draw(st.binary(min_size=SIZES[command], max_size=SIZES[command]))
    pin = b"" if command in (0x0D, 0x14, 0x36, 0x100) else (1234).to_bytes(2, "little")
    assert client.send(command, fields + client.nonce() + pin)
    client.later(90)


@given(
    actions=st.lists(st.sampled_from(["ring", 1, 2, 3, 4, 5]), max_size=8), waits=st.lists(st.floats(0, 8), min_size=8)
)
def test_whatever_order_an_opening_ends_and_each_ring_is_in_the_log(actions: list[Any], waits: list[float]) -> None:
    opener, _, client = make()
    for action, wait in zip(actions, waits, strict=False):
        if action == "ring":
            opener.ring()
        else:
            client.action(action)
        client.later(wait)
    client.later(10.0)
    nuki_state, state, _ = short(client.states())
    assert state == (RTO if opener.strike.rto else LOCKED)
    assert nuki_state == (CONTINUOUS if opener.strike.continuous_mode else DOOR_MODE)
    log = client.log()
    assert len([kind for kind, _ in log if kind == 6]) == actions.count("ring")
    own = len([data for kind, data in log if kind == 2 and data[3] == 0])
    by_ring = len([data for kind, data in log if kind == 6 and data[0]])
    assert own <= len(opener.movements()) <= own + by_ring
