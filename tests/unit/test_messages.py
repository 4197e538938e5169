"""Message tables against the document's sizes and examples; what is short, long or unknown never crashes."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol import authorizations as a
from nuki_bridge.protocol import log_entries as e
from nuki_bridge.protocol import messages as m
from nuki_bridge.protocol.codes import Action, Command, Completion, DoorState, Family, LockState, Trigger, name_of
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.wire import Message, UnknownMessage, decode, encode
from tests.unit.vectors import VECTORS, unhex

NONCE = bytes(range(32))
LIMIT = TimeLimit(
    datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), 0b1000001, time(8, 0), time(20, 30)
)
NEW_STATES = next(v for v in VECTORS["derived"] if v["name"].startswith("keyturner"))


def test_published_keyturner_states() -> None:
    vector = next(v for v in VECTORS["encrypted"] if "keyturner states reply" in v["name"])
    state = decode(0x0C, unhex(vector["payload"]), Family.CLASSIC)
    assert isinstance(state, m.KeyturnerStates)
    assert state.lock_state is LockState.LOCKED
    assert state.trigger is Trigger.SYSTEM
    assert state.current_time == datetime(2016, 3, 7, 8, 15, 30, tzinfo=UTC)
    assert state.timezone_offset_min == 60
    assert (state.config_update_count, state.lock_n_go_timer) == (32, 10)
    assert state.last_action is None
    assert state.battery_percent is None
    assert encode(state, Family.CLASSIC) == unhex(vector["payload"])


@pytest.mark.parametrize("vector", VECTORS["keyturner_payloads_published"], ids=lambda v: v["payload"])
def test_published_keyturner_payloads(vector: dict[str, object]) -> None:
    state = decode(0x0C, unhex(str(vector["payload"])), Family.CLASSIC)
    decoded = vector["decoded"]
    assert isinstance(state, m.KeyturnerStates)
    assert isinstance(decoded, dict)
    assert state.lock_state == decoded["lock_state"]
    assert state.nuki_state == decoded["nuki_state"]
    assert state.current_time == datetime.fromisoformat(decoded["time"]).replace(tzinfo=UTC)
    assert state.lock_n_go_timer == decoded["lock_n_go_timer"]


def test_keyturner_states_of_new_firmware() -> None:
    state = decode(0x0C, unhex(NEW_STATES["payload"]), Family.ULTRA)
    decoded = NEW_STATES["decoded"]
    assert isinstance(state, m.KeyturnerStates)
    assert state.lock_state is LockState.UNLOCKED
    assert state.trigger is Trigger.MANUAL
    assert state.current_time == datetime(2025, 6, 30, 21, 5, 9, tzinfo=UTC)
    assert state.timezone_offset_min == decoded["timezone_offset_min"]
    assert state.battery_percent == decoded["battery_percent"]
    assert (state.battery_critical, state.battery_charging) == (False, False)
    assert state.last_action is Action.UNLOCK
    assert state.last_completion is Completion.SUCCESS
    assert state.door_state is DoorState.CLOSED
    assert state.night_mode_active is True
    assert (state.keypad_battery_critical, state.door_sensor_battery_critical) == (False, False)
    assert (state.remote_access_status, state.ble_rssi, state.wifi_rssi) == (109, 0, -47)
    assert encode(state, Family.ULTRA) == unhex(NEW_STATES["payload"])


@pytest.mark.parametrize("length", range(13, 40))
def test_keyturner_states_of_any_length_are_read(length: int) -> None:
    payload = (unhex(NEW_STATES["payload"]) + bytes(20))[:length]
    state = decode(0x0C, payload, Family.CLASSIC)
    assert isinstance(state, m.KeyturnerStates)
    assert state.lock_state is LockState.UNLOCKED
    present = [name for name, _, _ in m.KeyturnerStates.layout if getattr(state, name) is not None]
    assert len(present) == min(length - 7, 20)


def test_keyturner_states_below_the_minimum_are_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="at least 13 bytes, got 12"):
        decode(0x0C, unhex(NEW_STATES["payload"])[:12], Family.CLASSIC)


def test_unknown_numbers_survive_as_numbers() -> None:
    state = decode(0x0C, bytes([9, 0x42, 0x77]) + bytes(16), Family.CLASSIC)
    assert isinstance(state, m.KeyturnerStates)
    assert (state.nuki_state, state.lock_state, state.trigger) == (9, 0x42, 0x77)
    assert name_of(state.lock_state) == "unknown_0x42"
    assert isinstance(decode(0x7777, b"xyz", Family.CLASSIC), UnknownMessage)


def test_published_lock_action() -> None:
    vector = VECTORS["encrypted"][-1]
    nonce = unhex(vector["decoded"]["nonce"])
    action = m.LockAction(action=Action.UNLOCK, app_id=0, flags=0, nonce=nonce)
    assert encode(action, Family.CLASSIC) == unhex(vector["payload"])
    assert decode(0x0D, unhex(vector["payload"]), Family.CLASSIC) == action


@pytest.mark.parametrize(
    ("message", "classic", "ultra"),
    [
        (m.RequestData(wanted=Command.CHALLENGE), 2, 2),
        (a.RemoveAuthorizationEntry(authorization_id=1, nonce=NONCE, security_pin=1234), 38, 40),
        (a.RequestAuthorizationEntries(offset=0, count=9, nonce=NONCE, security_pin=1234), 38, 40),
        (
            a.RequestAuthorizationEntries(offset=0, count=9, id_type=0, nonce=NONCE, security_pin=1234),
            39,
            41,
        ),
        (
            a.AuthorizationDataInvite(
                name="Anna",
                id_type=0,
                shared_key=NONCE,
                remote_allowed=True,
                time_limited=True,
                limit=LIMIT,
                nonce=NONCE,
                security_pin=1,
            ),
            120,
            122,
        ),
        (a.AuthorizationIdInvite(authorization_id=1, created=None), 11, 11),
        (
            a.UpdateAuthorizationEntry(
                authorization_id=1,
                name="Anna",
                enabled=True,
                remote_allowed=True,
                time_limited=False,
                limit=TimeLimit(),
                nonce=NONCE,
                security_pin=1,
            ),
            92,
            94,
        ),
        (m.LockAction(action=1, app_id=1, flags=0, nonce=NONCE), 38, 38),
        (m.LockAction(action=1, app_id=1, flags=0, name_suffix="Anna", nonce=NONCE), 58, 58),
        (m.SimpleLockAction(action=1, nonce=NONCE), 33, 33),
        (m.SimpleLockAction(action=1, name_suffix="", nonce=NONCE), 53, 53),
        (m.VerifySecurityPin(nonce=NONCE, security_pin=1), 34, 36),
        (m.RequestConfig(nonce=NONCE), 32, 32),
        (m.SetSecurityPin(new_pin=1, nonce=NONCE, security_pin=2), 36, 40),
        (e.EnableLogging(enabled=True, nonce=NONCE, security_pin=1), 35, 37),
        (m.RequestReboot(nonce=NONCE, security_pin=1), 34, 36),
        (m.UpdateTime(time=datetime(2026, 12, 24, 18, 0, tzinfo=UTC), nonce=NONCE, security_pin=2), 41, 43),
        (
            e.RequestLogEntries(start=0, count=5, descending=True, total_count=False, nonce=NONCE, security_pin=1),
            42,
            44,
        ),
        (
            m.SetConfig(
                name="x",
                latitude=1.5,
                longitude=2.5,
                auto_unlatch=False,
                pairing_enabled=False,
                button_enabled=True,
                led_enabled=True,
                led_brightness=3,
                timezone_offset_min=60,
                dst_mode=0,
                fob_action_1=1,
                fob_action_2=2,
                fob_action_3=3,
                single_lock=False,
                advertising_mode=0,
                timezone_id=37,
                nonce=NONCE,
                security_pin=1,
            ),
            89,
            91,
        ),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, int) else str(v),
)
def test_requests_have_the_documented_sizes(message: Message, classic: int, ultra: int) -> None:
    for family, size in ((Family.CLASSIC, classic), (Family.ULTRA, ultra)):
        payload = encode(message, family)
        assert len(payload) == size
        assert decode(message.command, payload, family) == message


def test_pin_is_a_number_of_the_familys_width() -> None:
    request = m.VerifySecurityPin(nonce=NONCE, security_pin=123456)
    assert encode(request, Family.ULTRA)[-4:] == bytes.fromhex("40e20100")
    assert encode(m.VerifySecurityPin(nonce=NONCE, security_pin=123), Family.CLASSIC)[-2:] == b"\x7b\x00"


def test_challenge_and_pin_are_filled_in_when_a_request_is_sent() -> None:
    made = a.RemoveAuthorizationEntry(authorization_id=1)
    filled = a.RemoveAuthorizationEntry(authorization_id=1, nonce=NONCE, security_pin=1234)
    assert made.signed(NONCE, 1234) == filled
    assert filled.signed(bytes(32), 99) == a.RemoveAuthorizationEntry(
        authorization_id=1, nonce=bytes(32), security_pin=1234
    ), "a PIN that it brings stays, a challenge serves once"


@pytest.mark.parametrize(
    "request_", [m.RequestConfig(), m.VerifySecurityPin(security_pin=1), m.VerifySecurityPin(nonce=NONCE)]
)
def test_a_request_without_challenge_or_pin_is_not_sent(request_: m.RequestConfig | m.VerifySecurityPin) -> None:
    with pytest.raises(ValueError, match="lacks the challenge or the security PIN"):
        encode(request_, Family.CLASSIC)


@pytest.mark.parametrize("tail", [b"", bytes(18), bytes(19), bytes(30)])
@pytest.mark.parametrize("limited", [0, 1])
def test_authorization_entry_tail_goes_by_length(tail: bytes, limited: int) -> None:
    head = b"\x11\0\0\0\x00" + b"Anna".ljust(32, b"\0") + b"\1\1" + bytes(14) + b"\3\0" + bytes([limited])
    entry = decode(0x0A, head + tail, Family.CLASSIC)
    assert isinstance(entry, a.AuthorizationEntry)
    assert (entry.authorization_id, entry.name, entry.lock_count) == (17, "Anna", 3)
    assert entry.created is None
    assert (entry.limit is not None) == (len(tail) >= 19)


@pytest.mark.parametrize("length", [71, 72, 74, 75, 77, 78, 79, 90])
def test_config_of_every_firmware_is_read(length: int) -> None:
    payload = bytes.fromhex("4D3C2B1A") + b"Front door".ljust(32, b"\0") + bytes(30)
    payload = (payload + b"\x03\x0c\x04" + b"\x01\x02" + b"\x02\x25\x00\x04\x01\x01\x03\x07" + bytes(20))[:length]
    config = decode(0x15, payload, Family.CLASSIC)
    assert isinstance(config, m.Config)
    assert (config.nuki_id, config.name) == (0x1A2B3C4D, "Front door")
    assert config.firmware_version == b"\x03\x0c\x04"
    assert config.homekit_status == (2 if length >= 72 else None)
    assert config.timezone_id == (37 if length >= 74 else None)
    assert config.has_keypad_2 == (True if length >= 77 else None)
    assert config.product_variant == (7 if length >= 79 else None)


@pytest.mark.parametrize(("length", "last"), [(5, None), (17, 40)])
def test_battery_report_of_old_and_new_firmware(length: int, last: int | None) -> None:
    payload = bytes.fromhex("6400881300017017d01668011590012800")[:length]
    report = decode(0x11, payload, Family.CLASSIC)
    assert isinstance(report, m.BatteryReport)
    assert (report.drain_mws, report.voltage_mv, report.critical) == (100, 5000, False)
    assert report.resistance_mohm == last


def test_text_is_cut_between_characters_and_read_with_garbage() -> None:
    long_name = "ä" * 20
    payload = encode(m.AuthorizationDataUltra(app_id=1, name=long_name, security_pin=1), Family.ULTRA)
    assert payload[4:36] == ("ä" * 16).encode()
    odd = decode(0x06, bytes(4) + b"Tom\0\xff\xfegarbage".ljust(32, b"x") + bytes(4), Family.ULTRA)
    assert isinstance(odd, m.AuthorizationDataUltra)
    assert odd.name == "Tom"
    bad = decode(0x06, bytes(4) + b"T\xffm".ljust(32, b"\0") + bytes(4), Family.ULTRA)
    assert isinstance(bad, m.AuthorizationDataUltra)
    assert bad.name == "T�m"


def test_secrets_stay_out_of_the_repr() -> None:
    text = repr(
        [
            m.Challenge(nonce=NONCE),
            m.VerifySecurityPin(nonce=NONCE, security_pin=4711),
            m.AuthorizationDataUltra(app_id=1, name="x", security_pin=4711),
            UnknownMessage(1, b"4711"),
        ]
    )
    assert "4711" not in text
    assert "\\x01\\x02" not in text


@given(st.integers(0, 0x120), st.binary(max_size=130), st.sampled_from(list(Family)))
def test_any_payload_decodes_or_is_a_bad_frame(command: int, payload: bytes, family: Family) -> None:
    try:
        message = decode(command, payload, family)
    except BadFrame:
        return
    if not isinstance(message, UnknownMessage):
        again = decode(command, encode(message, family), family)
        assert repr(again) == repr(message)
