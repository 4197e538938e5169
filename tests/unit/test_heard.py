"""What a lock tells by another way than Bluetooth, beside readings: which of both is newer.  Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nuki_bridge.lock.heard import LAG_S, Heard, Verdict, What
from nuki_bridge.protocol.codes import DoorState, LockState
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.simulator.lock import VirtualLock

LOCKED, UNLOCKING, UNLOCKED, LOCKING = (
    LockState.LOCKED,
    LockState.UNLOCKING,
    LockState.UNLOCKED,
    LockState.LOCKING,
)


@pytest.fixture
def states() -> KeyturnerStates:
    lock = VirtualLock("54:D2:72:2B:3C:4D", 0x1A2B3C4D, pin=1234, random=seeded(1))
    return lock.keyturner_states()


class Door:
    """A door by both ways."""

    def __init__(self, states: KeyturnerStates) -> None:
        self.heard = Heard()
        self._states = states

    def tell(self, state: LockState, at: float, *, stored: bool = False) -> Verdict:
        return self.heard.tell(What.STATE, state, at, stored=stored)

    def read(self, state: LockState, begun_at: float, now: float) -> None:
        self.heard.reported(replace(self._states, lock_state=state), begun_at, now)

    @property
    def state(self) -> int | None:
        return self.heard.now(What.STATE)


@pytest.fixture
def door(states: KeyturnerStates) -> Door:
    return Door(states)


def test_a_value_counts_at_once(door: Door) -> None:
    door.read(LOCKED, 0, 0.1)
    assert (door.state, door.heard.is_told(What.STATE)) == (LOCKED, False)
    door.tell(LOCKED, 1)
    assert door.tell(UNLOCKED, 10) is Verdict.SHOWN
    assert (door.state, door.heard.is_told(What.STATE)) == (UNLOCKED, True)


def test_a_reading_begun_before_it_does_not_bring_the_older_state_back(door: Door) -> None:
    door.read(LOCKED, 0, 0.1)
    door.tell(UNLOCKED, 10)
    door.read(LOCKED, 9.9, 10.5)
    assert door.state == UNLOCKED
    assert door.heard.needs_reading(9.9)
    door.read(UNLOCKED, 10.6, 10.8)
    assert (door.state, door.heard.is_told(What.STATE)) == (UNLOCKED, False)
    assert not door.heard.needs_reading(10.6)


def test_a_reading_begun_after_it_wins(door: Door) -> None:
    door.tell(UNLOCKED, 10)
    door.read(LOCKED, 10.1, 10.3)
    assert door.state == LOCKED


def test_what_comes_late_does_not_bring_the_older_state_back(door: Door) -> None:
    """Bluetooth was ahead: unlocking is told when the lock has been read to be unlocked."""
    door.read(LOCKED, 0, 0.1)
    door.tell(LOCKED, 1)
    door.read(UNLOCKED, 10, 10.1)
    assert door.tell(UNLOCKING, 10.3) is Verdict.DOUBTED
    assert door.state == UNLOCKED
    assert door.tell(UNLOCKED, 10.6) is Verdict.NONE
    assert door.state == UNLOCKED
    assert not door.heard.settle(20)
    assert door.tell(LOCKING, 11) is Verdict.SHOWN, "it has caught up, and this is new"
    assert door.state == LOCKING


def test_what_contradicts_a_reading_counts_if_no_other_reading_decides(door: Door) -> None:
    door.tell(LOCKED, 1)
    door.read(UNLOCKED, 10, 10.1)
    assert door.tell(LOCKING, 11) is Verdict.DOUBTED
    assert not door.heard.settle(11 + LAG_S - 0.1)
    assert door.heard.settle(11 + LAG_S)
    assert door.state == LOCKING


def test_another_reading_decides_what_was_in_doubt(door: Door) -> None:
    door.tell(LOCKED, 1)
    door.read(UNLOCKED, 10, 10.1)
    door.tell(LOCKING, 11)
    assert door.heard.needs_reading(10)
    door.read(UNLOCKED, 11.2, 11.3)
    assert not door.heard.settle(100)
    assert door.state == UNLOCKED


def test_what_the_broker_had_kept_is_shown_only_if_nothing_is_known(door: Door) -> None:
    assert door.tell(LOCKED, 1, stored=True) is Verdict.SHOWN
    assert door.state == LOCKED


def test_what_the_broker_had_kept_does_not_overrule_a_reading(door: Door) -> None:
    door.read(UNLOCKED, 0, 0.1)
    assert door.tell(LOCKED, 1, stored=True) is Verdict.DOUBTED
    assert door.state == UNLOCKED
    door.read(UNLOCKED, 1.1, 1.2)
    assert not door.heard.settle(100)


def test_what_the_broker_shows_again_never_overrules_a_reading(door: Door) -> None:
    """The lock's Wi-Fi hangs, and the broker still has its last word."""
    door.tell(LOCKED, 1)
    door.read(UNLOCKED, 10, 10.1)
    assert door.tell(LOCKED, 20, stored=True) is Verdict.DOUBTED
    assert not door.heard.settle(100)
    assert door.state == UNLOCKED


def test_a_lost_message_is_noticed_when_the_same_comes_again(door: Door) -> None:
    """locked, unlocked (read, its message was lost), locked."""
    door.tell(LOCKED, 1)
    door.read(UNLOCKED, 10, 10.1)
    assert door.tell(LOCKED, 20) is Verdict.DOUBTED
    assert door.heard.needs_reading(10)
    assert door.heard.settle(20 + LAG_S)
    assert door.state == LOCKED


def test_a_repeated_value_is_newer_than_a_reading_on_its_way(door: Door) -> None:
    door.read(LOCKED, 0, 0.1)
    door.tell(LOCKED, 10)
    door.read(UNLOCKED, 9, 10.5)
    assert door.state == LOCKED
    assert door.heard.needs_reading(9)


def test_the_door_is_apart_from_the_state(states: KeyturnerStates) -> None:
    heard = Heard()
    heard.reported(replace(states, door_state=None), 0, 0)
    heard.tell(What.DOOR, DoorState.OPEN, 1)
    heard.reported(replace(states, door_state=None), 2, 2)
    assert heard.now(What.DOOR) == DoorState.OPEN, "Bluetooth says nothing of it"
    heard.reported(replace(states, door_state=DoorState.CLOSED), 3, 3)
    assert (heard.now(What.DOOR), [*heard.told()]) == (DoorState.CLOSED, [])


def test_nobody_listens_any_more(door: Door) -> None:
    door.read(LOCKED, 0, 0.1)
    door.tell(UNLOCKED, 1)
    door.heard.forget()
    assert (door.state, door.heard.connected, door.heard.takes_commands) == (LOCKED, None, False)
