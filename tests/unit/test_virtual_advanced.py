"""The virtual lock's advanced configuration: read and written by its generation, and obeyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

import pytest

from nuki_bridge.protocol.advanced_config import AdvancedConfig, RequestAdvancedConfig, SetAdvancedConfig
from nuki_bridge.protocol.codes import Action, Command, DoorState, ErrorCode, Family, LockState, Trigger
from nuki_bridge.protocol.field_kinds import NOT_SUPPORTED, NoTime
from nuki_bridge.protocol.messages import KeyturnerStates, UpdateTime
from nuki_bridge.protocol.wire import Message, encode
from nuki_bridge.simulator.lock import VirtualLock
from tests.unit.virtual_client import COMPLETE, START, STATES, Client, HandClock, error_of, make_lock, state_of

GENERATIONS = pytest.mark.parametrize(
    ("family", "size"),
    [(Family.CLASSIC, 28), (Family.CLASSIC, None), (Family.CLASSIC, 33), (Family.ULTRA, None)],
    ids=["2.1", "2.2", "classic-33", "ultra"],
)


def advanced_of(client: Client) -> AdvancedConfig:
    (config,) = client.ask(RequestAdvancedConfig(nonce=client.challenge()))
    assert isinstance(config, AdvancedConfig)
    return config


def write(client: Client, config: AdvancedConfig | None = None, **changes: Any) -> list[Message]:
    """Read, change, write: as every client has to."""
    config = config or advanced_of(client)
    names = [name for name, _, _ in AdvancedConfig.layout if name != "total_degrees"]
    values: dict[str, Any] = {name: getattr(config, name) for name in names}
    values = {name: 0 if value == NOT_SUPPORTED else value for name, value in values.items()}
    pin = 123456 if client.lock.family is Family.ULTRA else 1234
    return client.ask(SetAdvancedConfig(**values | changes, nonce=client.challenge(), security_pin=pin))


def rig(family: Family = Family.CLASSIC, **behaviour: Any) -> tuple[VirtualLock, HandClock, Client]:
    lock, clock = make_lock(family, pin=123456 if family is Family.ULTRA else 1234, **behaviour)
    return lock, clock, Client(lock, clock, name="bridge")


def told(lock: VirtualLock, what: str) -> list[str | None]:
    return [entry.detail for entry in lock.audit if entry.what == what]


# -- read and written -------------------------------------------------------------------------------------------------


@GENERATIONS
def test_it_has_the_length_of_its_generation(family: Family, size: int | None) -> None:
    _, _, client = rig(family, advanced_config_size=size)
    config = advanced_of(client)
    assert len(encode(config, family)) == (size or (33 if family is Family.ULTRA else 31))
    assert (config.lock_n_go_timeout, config.unlatch_duration, config.auto_lock_enabled or False) == (20, 3, False)


@GENERATIONS
def test_settings_are_written_noted_and_counted(family: Family, size: int | None) -> None:
    lock, _, client = rig(family, advanced_config_size=size)
    counted, before = lock.config_update_count, advanced_of(client)
    changes: dict[str, Any] = {
        "lock_n_go_timeout": 60,
        "night_mode_start": time(23, 15),
        "unlocked_position_offset": -90,
    }
    assert write(client, **changes) == [COMPLETE]
    after = advanced_of(client)
    assert {name for name, _, _ in AdvancedConfig.layout if getattr(before, name) != getattr(after, name)} == set(
        changes
    )
    assert {name: getattr(after, name) for name in changes} == changes
    assert lock.config_update_count == counted + 1
    assert told(lock, "advanced_config_set") == ["unlocked_position_offset, lock_n_go_timeout, night_mode_start"]
    assert write(client) == [COMPLETE]
    assert lock.config_update_count == counted + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"unlocked_position_offset": -91},
        {"unlocked_position_offset": 181},
        {"locked_position_offset": -181},
        {"locked_position_offset": 91},
        {"single_locked_position_offset": 181},
        {"unlocked_to_locked_transition_offset": -181},
        {"lock_n_go_timeout": 4},
        {"lock_n_go_timeout": 61},
        {"single_button_press_action": 7},
        {"double_button_press_action": 7},
        {"battery_type": 3},
        {"unlatch_duration": 0},
        {"unlatch_duration": 31},
        {"auto_lock_timeout": 0},
        {"auto_lock_timeout": 1},
        {"night_mode_start": NoTime()},
        {"night_mode_end": NoTime()},
        {"auto_update": NOT_SUPPORTED},
        {"motor_speed": 3},
    ],
)
def test_a_value_out_of_range_changes_nothing(changes: dict[str, Any]) -> None:
    lock, _, client = rig(Family.ULTRA)
    before = lock.to_dict()
    assert error_of(write(client, detached_cylinder=True, **changes)) == ErrorCode.BAD_PARAMETER
    assert lock.to_dict() == before


@GENERATIONS
def test_a_message_of_another_generation_is_refused(family: Family, size: int | None) -> None:
    lock, _, client = rig(family, advanced_config_size=size)
    right = (size or (33 if family is Family.ULTRA else 31)) - 2 + 32 + family.pin_size
    for length in {60, 62, 63, 65, 67, right - 1, right + 1} - {right}:
        frame = client.raw_frame(Command.SET_ADVANCED_CONFIG, bytes(length))
        assert error_of(client.write(frame)) == ErrorCode.BAD_LENGTH
    frame = client.raw_frame(Command.SET_ADVANCED_CONFIG, bytes(right))
    assert error_of(client.write(frame)) == ErrorCode.BAD_NONCE
    assert error_of(client.write(client.raw_frame(Command.REQUEST_ADVANCED_CONFIG, bytes(31)))) == ErrorCode.BAD_LENGTH
    assert told(lock, "advanced_config_set") == []


def test_firmware_of_before_knows_neither_request() -> None:
    _, _, client = rig(advanced_config_size=0)
    assert error_of(client.ask(RequestAdvancedConfig(nonce=client.challenge()))) == ErrorCode.UNKNOWN
    assert error_of(client.write(client.raw_frame(Command.SET_ADVANCED_CONFIG, bytes(63)))) == ErrorCode.UNKNOWN


def test_what_is_not_supported_is_written_as_zero() -> None:
    _, _, client = rig(immediate_auto_lock_missing=True)
    assert advanced_of(client).immediate_auto_lock == NOT_SUPPORTED
    assert write(client, auto_update=True) == [COMPLETE]
    assert error_of(write(client, immediate_auto_lock=NOT_SUPPORTED)) == ErrorCode.BAD_PARAMETER
    assert error_of(write(client, immediate_auto_lock=True)) == ErrorCode.BAD_PARAMETER


def test_a_wrong_pin_is_refused() -> None:
    _, _, client = rig()
    values = {name: getattr(advanced_of(client), name) for name, _, _ in AdvancedConfig.layout[1:]}
    answer = client.ask(SetAdvancedConfig(**values, nonce=client.challenge(), security_pin=1))
    assert error_of(answer) == ErrorCode.BAD_PIN


def test_it_outlives_a_restart_and_a_memory_of_before_loads() -> None:
    lock, _, client = rig(Family.ULTRA)
    write(client, motor_speed=2, night_mode_enabled=True, night_mode_end=time(6, 45))
    kept = json.loads(json.dumps(lock.to_dict()))
    again = VirtualLock.from_dict(kept)
    assert again.advanced == lock.advanced
    del kept["advanced"]
    assert VirtualLock.from_dict(kept).advanced.motor_speed == 0


# -- obeyed -----------------------------------------------------------------------------------------------------------


def test_the_latch_and_lock_n_go_take_the_times_that_are_set() -> None:
    lock, clock, client = rig(motor_s=1)
    write(client, unlatch_duration=10, lock_n_go_timeout=30)
    client.act(Action.LOCK_N_GO_UNLATCH)
    clock.advance(10.9)
    assert state_of(lock) is LockState.UNLATCHED
    clock.advance(0.2)
    assert state_of(lock) is LockState.UNLOCKED_LOCK_N_GO
    clock.advance(29.8)
    assert state_of(lock) is LockState.UNLOCKED_LOCK_N_GO
    clock.advance(1.3)
    assert state_of(lock) is LockState.LOCKED


@pytest.mark.parametrize(
    ("action", "count", "state"),
    [(0, 1, "locked"), (1, 1, "unlocked"), (2, 2, "unlocked"), (3, 1, "locked"), (4, 2, "unlatched"), (6, 1, "locked")],
)
def test_the_button_does_what_is_set(action: int, count: int, state: str) -> None:
    lock, clock, client = rig(motor_s=1)
    write(client, single_button_press_action=action, double_button_press_action=action)
    lock.press_button(count)
    clock.advance(2)
    assert lock.motor.state.name.lower() == state


def unlocked(lock: VirtualLock, clock: HandClock, client: Client) -> None:
    client.received()
    client.act(Action.UNLOCK)
    client.after(lock.behaviour.motor_s)
    assert state_of(lock) is LockState.UNLOCKED


def test_auto_lock_is_off_at_first() -> None:
    for size in (28, 31):
        lock, clock, client = rig(advanced_config_size=size)
        unlocked(lock, clock, client)
        clock.advance(86400)
        assert state_of(lock) is LockState.UNLOCKED


@pytest.mark.parametrize(
    ("size", "changes"), [(28, {"auto_lock_timeout": 60}), (31, {"auto_lock_timeout": 60, "auto_lock_enabled": True})]
)
def test_auto_lock_locks_when_its_time_is_over(size: int, changes: dict[str, Any]) -> None:
    lock, clock, client = rig(advanced_config_size=size)
    write(client, **changes)
    unlocked(lock, clock, client)
    clock.advance(59.9)
    assert state_of(lock) is LockState.UNLOCKED
    clock.advance(3)
    assert state_of(lock) is LockState.LOCKED
    assert lock.motor.trigger is Trigger.AUTO_LOCK
    lock.turn_by_hand(LockState.UNLOCKED)
    clock.advance(63)
    assert state_of(lock) is LockState.LOCKED


def test_auto_lock_is_switched_on_for_a_lock_that_is_unlocked() -> None:
    lock, clock, client = rig()
    unlocked(lock, clock, client)
    write(client, auto_lock_enabled=True, auto_lock_timeout=30)
    clock.advance(33)
    assert state_of(lock) is LockState.LOCKED


@pytest.mark.parametrize(("immediate", "after_s"), [(True, 3), (False, 63)])
def test_an_open_door_is_not_locked_until_it_closes(immediate: bool, after_s: float) -> None:
    lock, clock, client = rig()
    write(client, auto_lock_enabled=True, auto_lock_timeout=60, immediate_auto_lock=immediate)
    unlocked(lock, clock, client)
    lock.set_door(DoorState.OPEN)
    clock.advance(600)
    assert state_of(lock) is LockState.UNLOCKED
    lock.set_door(DoorState.CLOSED)
    clock.advance(after_s - 3)
    assert state_of(lock) in (LockState.UNLOCKED, LockState.LOCKING)
    clock.advance(3)
    assert state_of(lock) is LockState.LOCKED


def night(client: Client) -> bool | None:
    (states,) = client.ask(STATES)
    assert isinstance(states, KeyturnerStates)
    return states.night_mode_active


def test_night_mode_is_told_within_its_window_by_the_wall_clock() -> None:
    lock, _, client = rig()  # 10:00 on the wall
    write(client, night_mode_enabled=True, night_mode_start=time(22, 0), night_mode_end=time(7, 0))
    seen = []
    for at in ("20:59", "21:00", "23:30"):  # in UTC, an hour behind the wall
        lock.set_clock(datetime.fromisoformat(f"2026-12-01T{at}:00+00:00"))
        seen.append(night(client))
    for at in ("05:59", "06:00"):
        lock.set_clock(datetime.fromisoformat(f"2026-12-02T{at}:00+00:00"))
        seen.append(night(client))
    assert seen == [False, True, True, True, False]
    lock.set_clock(datetime(2026, 12, 1, 23, tzinfo=UTC))
    write(client, night_mode_enabled=False)
    assert night(client) is False


def test_the_night_locks_at_its_start_and_has_an_auto_lock_of_its_own() -> None:
    lock, clock, client = rig()
    write(
        client,
        night_mode_enabled=True,
        night_mode_start=time(22, 0),
        night_mode_end=time(7, 0),
        night_mode_immediate_lock_on_start=True,
        night_mode_auto_lock=True,
        auto_lock_timeout=60,
    )
    unlocked(lock, clock, client)
    clock.advance((START.replace(hour=21) - clock.now()).total_seconds() - 1)
    assert state_of(lock) is LockState.UNLOCKED
    clock.advance(5)
    assert state_of(lock) is LockState.LOCKED
    unlocked(lock, clock, client)
    clock.advance(63)
    assert state_of(lock) is LockState.LOCKED
    clock.advance(10 * 3600)
    unlocked(lock, clock, client)
    clock.advance(3600)
    assert state_of(lock) is LockState.UNLOCKED


def by_the_owner(client: Client, now: datetime) -> None:
    assert client.ask(UpdateTime(time=now, nonce=client.challenge(), security_pin=1234)) == [COMPLETE]


def by_a_control(client: Client, now: datetime) -> None:
    client.lock.control({"clock": now.isoformat()})


@pytest.mark.parametrize("set_clock", [by_the_owner, by_a_control])
def test_a_clock_that_is_set_moves_the_beginning_of_the_night(set_clock: Callable[[Client, datetime], None]) -> None:
    lock, clock, client = rig()
    write(client, night_mode_enabled=True, night_mode_start=time(22, 0), night_mode_immediate_lock_on_start=True)
    unlocked(lock, clock, client)
    set_clock(client, START.replace(hour=20, minute=59))  # 21:59 on the wall
    clock.advance(50)
    assert state_of(lock) is LockState.UNLOCKED
    clock.advance(15)
    assert state_of(lock) is LockState.LOCKED


def test_a_lock_that_starts_again_unlocked_locks_by_itself_too() -> None:
    lock, clock, client = rig()
    write(client, auto_lock_enabled=True, auto_lock_timeout=60)
    unlocked(lock, clock, client)
    again, later = VirtualLock.from_dict(json.loads(json.dumps(lock.to_dict()))), HandClock()
    later.lock = again
    again.attach(later)
    later.advance(63)
    assert again.motor.state is LockState.LOCKED
