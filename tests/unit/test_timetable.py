"""When states and configuration are due: plain moments, no clock."""

from __future__ import annotations

import math

import pytest

from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.lock.timetable import CONFIG_RETRY_S, MAX_POLL_S, REQUERY_S, SAFETY_POLL_S, Timetable
from nuki_bridge.protocol.codes import LockState, NukiState, Trigger
from nuki_bridge.protocol.messages import KeyturnerStates


def states(lock_state: LockState) -> KeyturnerStates:
    return KeyturnerStates(
        nuki_state=NukiState.DOOR_MODE,
        lock_state=lock_state,
        trigger=Trigger.SYSTEM,
        current_time=None,
        timezone_offset_min=0,
        battery_state=0,
    )


RESTING = states(LockState.LOCKED)


def test_both_are_due_at_the_start() -> None:
    due = Timetable(SMART_LOCK, 5.0, clears_bit=True)
    assert (due.states_at, due.config_at) == (5.0, 5.0)


def test_a_lock_that_rests_is_asked_seldom() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.states_read(RESTING, 10.0)
    assert due.states_at == 10.0 + SAFETY_POLL_S


def test_the_beacon_bit_counts_when_it_rises() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.states_read(RESTING, 10.0)
    assert not due.beacon(False, 11.0)
    assert due.beacon(True, 12.0)
    assert due.states_at == 12.0
    due.states_read(RESTING, 13.0)
    assert not due.beacon(True, 14.0)
    assert not due.beacon(None, 15.0)
    assert due.states_at == 13.0 + REQUERY_S[0]
    assert not due.beacon(False, 16.0)
    assert due.beacon(True, 17.0)


def test_a_bit_that_our_reading_has_cleared_takes_the_next_reading_with_it() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.beacon(True, 10.0)
    due.states_read(RESTING, 10.5)
    assert not due.beacon(False, 12.0)
    assert due.states_at == 10.5 + SAFETY_POLL_S
    assert due.beacon(True, 13.0)
    assert due.states_at == 13.0


def test_a_bit_that_a_reading_has_cleared_whose_answer_got_lost_leaves_it_due() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.beacon(True, 0.0)
    due.states_read(RESTING, 1.0)
    assert due.states_at == 1.0 + REQUERY_S[0]
    due.states_asked()  # and nothing comes
    due.beacon(False, 7.0)
    assert due.states_at == 1.0 + REQUERY_S[0]
    due.states_read(RESTING, 8.0)
    assert due.states_at == 8.0 + SAFETY_POLL_S


def test_a_bit_that_somebody_else_has_cleared_may_have_stood_for_one_change_more() -> None:
    """An App authorization beside a Bridge, which has read a change that came after our reading."""
    due = Timetable(SMART_LOCK, 0.0, clears_bit=False)
    due.beacon(True, 10.0)
    due.states_read(RESTING, 10.5)
    due.beacon(False, 12.0)
    assert due.states_at == 10.5 + REQUERY_S[0]


def test_a_reading_that_is_due_for_another_reason_stays_due_when_the_bit_is_cleared() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.beacon(True, 10.0)
    due.beacon(False, 10.1)
    assert due.states_at == 10.0
    due.beacon(True, 11.0)
    due.states_read(RESTING, 11.0)
    due.states_at = 12.0
    due.beacon(False, 11.5)
    assert due.states_at == 12.0
    due.beacon(True, 13.0)
    due.states_read(states(LockState.LOCKING), 13.0)
    due.beacon(False, 13.5)
    assert due.states_at == 14.0


def test_a_bit_that_sticks_is_followed_up_at_growing_intervals() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.beacon(True, 0.0)
    pauses = []
    for _ in range(12):
        due.states_read(RESTING, 0.0)
        pauses.append(due.states_at)
    assert pauses[:3] == [REQUERY_S[0], 2 * REQUERY_S[0], 4 * REQUERY_S[0]]
    assert pauses[-1] == REQUERY_S[1]


@pytest.mark.parametrize("moving", [LockState.UNLOCKING, LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO])
def test_a_lock_that_will_not_stay_as_it_is_is_asked_soon(moving: LockState) -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    pauses = []
    for _ in range(8):
        due.states_read(states(moving), 0.0)
        pauses.append(due.states_at)
    assert pauses[:2] == [1.0, 2.0]
    assert pauses[-1] == MAX_POLL_S
    due.states_read(RESTING, 0.0)
    due.states_read(states(moving), 0.0)
    assert due.states_at == 1.0


def test_a_configuration_that_cannot_be_read_is_tried_again() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.config_asked(1.0)
    assert due.config_at == 1.0 + CONFIG_RETRY_S
    due.config_read()
    assert due.config_at == math.inf
