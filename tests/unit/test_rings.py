"""What counts as a ring, by single reports and log entries; and when an Opener is read. Plain values, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.lock.profile import OPENER
from nuki_bridge.lock.rings import OLD_S, OWN_S, UNKNOWN_ECHO_S, Rang, RingLog, Rings, echo_s
from nuki_bridge.lock.timetable import (
    BIT_REQUERY_S,
    BIT_TRIES,
    OPEN_POLL_S,
    TOLD_POLL_S,
    UNDEFINED_POLL_S,
    Timetable,
)
from nuki_bridge.protocol.codes import Command, Completion, Family, NukiState, OpenerAction, OpenerState, Trigger
from nuki_bridge.protocol.log_entries import LogEntry
from nuki_bridge.protocol.opener import OpenerStates
from nuki_bridge.protocol.wire import decode

S = OpenerState
NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def states(state: int = S.LOCKED, mode: int = NukiState.DOOR_MODE, trigger: int = Trigger.SYSTEM, **more: Any) -> Any:
    return OpenerStates(
        **{
            "nuki_state": mode,
            "lock_state": state,
            "trigger": trigger,
            "current_time": NOW,
            "timezone_offset_min": 60,
            "battery_state": 0,
            "config_update_count": 1,
            "last_action": OpenerAction.OPEN,
            "last_trigger": Trigger.SYSTEM,
            "last_completion": Completion.SUCCESS,
            **more,
        }
    )


def ring(index: int, at: datetime | None, mode: int = 0, suppressed: int = 0) -> LogEntry:
    data = {f"data_{number}": value for number, value in enumerate((mode, 0, 0, suppressed, 1, 0))}
    return LogEntry(index=index, time=at, authorization_id=0, name="", kind=6, **data)


def strike(index: int, at: datetime) -> LogEntry:
    return LogEntry(index=index, time=at, authorization_id=7, name="x", kind=2, data_0=3, data_1=0, data_2=0, data_3=0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rings(clock: Clock) -> Rings:
    found = Rings(clock, lambda: 15.0)
    found.read()
    clock.now += 60.0
    return found


# -- reports ----------------------------------------------------------------------------------------------------------

OPENING = pytest.mark.parametrize("state", [S.OPENING, S.OPEN])
BY_HAND = Trigger.MANUAL


@OPENING
@pytest.mark.parametrize(
    ("before", "mode", "opened"),
    [
        (S.RTO_ACTIVE, NukiState.DOOR_MODE, "rto"),
        (S.LOCKED, NukiState.CONTINUOUS_MODE, "continuous_mode"),
        (S.RTO_ACTIVE, NukiState.CONTINUOUS_MODE, "continuous_mode"),
        (S.LOCKED, NukiState.DOOR_MODE, None),
        (S.OPENING, NukiState.CONTINUOUS_MODE, None),
        (S.OPEN, NukiState.CONTINUOUS_MODE, None),
    ],
)
def test_a_door_that_opens_because_it_rang(rings: Rings, state: int, before: int, mode: int, opened: Any) -> None:
    found = rings.reported(OPENER, states(before, mode), states(state, mode, BY_HAND))
    assert found == (None if opened is None else Rang(opened))


@OPENING
@pytest.mark.parametrize("trigger", [each for each in Trigger if each != BY_HAND])
def test_a_strike_of_somebody_is_no_ring(rings: Rings, state: int, trigger: int) -> None:
    before = states(S.RTO_ACTIVE, NukiState.CONTINUOUS_MODE)
    assert rings.reported(OPENER, before, states(state, NukiState.CONTINUOUS_MODE, trigger)) is None
    assert rings.may_be_echo


@OPENING
def test_the_first_report_is_no_ring(rings: Rings, state: int) -> None:
    assert rings.reported(OPENER, None, states(state, NukiState.CONTINUOUS_MODE, BY_HAND)) is None


def test_a_bit_without_a_change_is_a_ring_in_vain(rings: Rings) -> None:
    for mode in (NukiState.DOOR_MODE, NukiState.CONTINUOUS_MODE):
        assert rings.announced(OPENER, states(mode=mode), states(mode=mode)) == Rang(None)


def test_a_ring_may_change_trigger_and_completion(rings: Rings) -> None:
    """No source says whether it does."""
    now = states(trigger=BY_HAND, last_completion=Completion.UNKNOWN)
    assert rings.announced(OPENER, states(), now) == Rang(None)


@pytest.mark.parametrize(
    "change",
    [
        {"nuki_state": NukiState.CONTINUOUS_MODE},
        {"lock_state": S.RTO_ACTIVE},
        {"lock_state": S.UNDEFINED},
        {"config_update_count": 2},
        {"battery_state": 1},
        {"last_action": OpenerAction.DEACTIVATE_RTO},
        {"last_trigger": Trigger.BUTTON},
        {"trigger": Trigger.BUTTON},
    ],
    ids=str,
)
def test_a_bit_with_a_change_is_no_ring(rings: Rings, change: dict[str, Any]) -> None:
    assert rings.announced(OPENER, states(), states(**change)) is None
    assert rings.announced(OPENER, states(**change), states()) is None


def test_no_ring_before_there_is_something_to_compare_with(clock: Clock) -> None:
    rings = Rings(clock, lambda: 15.0)
    assert rings.announced(OPENER, None, states()) is None
    clock.now += OWN_S + 1
    assert rings.announced(OPENER, states(), states()) == Rang(None)


@pytest.mark.parametrize(("action", "quiet_s"), [(OpenerAction.OPEN, 15.0), (OpenerAction.DEACTIVATE_RTO, OWN_S)])
def test_what_comes_right_after_an_action_of_ours_is_no_ring(
    rings: Rings, clock: Clock, action: OpenerAction, quiet_s: float
) -> None:
    rings.acts(OPENER, action)
    clock.now += 1.0
    rings.acted(OPENER, action)
    assert rings.announced(OPENER, states(), states()) is None
    clock.now += quiet_s - 0.1
    assert rings.announced(OPENER, states(), states()) is None
    clock.now += 0.2
    assert rings.announced(OPENER, states(), states()) == Rang(None)


def test_after_a_ring_that_opened_one_in_vain_may_be_its_echo(rings: Rings, clock: Clock) -> None:
    armed, opening = states(S.RTO_ACTIVE), states(S.OPENING, trigger=BY_HAND)
    assert rings.reported(OPENER, armed, opening) == Rang("rto")
    clock.now += 5.0
    assert rings.announced(OPENER, states(), states()) is None
    assert rings.reported(OPENER, armed, opening) == Rang("rto"), "the door opens once more"
    clock.now += 15.1
    assert rings.announced(OPENER, states(), states()) == Rang(None)


def test_the_first_reading_after_an_action_only_says_how_things_are(rings: Rings, clock: Clock) -> None:
    rings.acts(OPENER, OpenerAction.DEACTIVATE_RTO)
    rings.acted(OPENER, OpenerAction.DEACTIVATE_RTO)
    clock.now += 600.0
    assert rings.announced(OPENER, states(), states()) is None
    assert rings.announced(OPENER, states(), states()) == Rang(None)


# -- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by_chance", "window_s"), [(0, 0.5 + 3.0 + 10.0), (1, 0.5 + 7.0 + 3.0 + 10.0)])
def test_an_echo_may_come_as_long_as_the_strike_can_take(by_chance: int, window_s: float) -> None:
    assert echo_s(None) == UNKNOWN_ECHO_S
    head = bytes.fromhex(f"0000000000f4010{by_chance}b80b0014")
    tail = bytes.fromhex("00f4010101010101ff01070000")
    assert echo_s(decode(Command.ADVANCED_CONFIG, head + tail, Family.OPENER)) == window_s  # type: ignore[arg-type]


def log_of(*entries: LogEntry, window_s: float = 15.0) -> RingLog:
    found = RingLog(OPENER, lambda: window_s)
    found.look(entries)
    return found


@pytest.mark.parametrize(("mode", "opened"), [(0, None), (1, "rto"), (2, "continuous_mode"), (3, "continuous_mode")])
def test_an_entry_tells_what_opened_the_door(mode: int, opened: Any) -> None:
    found = log_of().news(ring(5, NOW, mode, suppressed=1), NOW, 60)
    assert found is not None
    assert (found.index, found.opened, found.ring.suppressed, found.at) == (5, opened, True, NOW)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize(
    ("age_s", "told"), [(0, True), (-2, True), (OLD_S - 1, True), (OLD_S + 1, False), (40000, False)]
)
def test_an_old_ring_is_not_told_whether_the_log_is_in_utc_or_local(local: bool, age_s: float, told: bool) -> None:
    written = NOW - timedelta(seconds=age_s) + timedelta(hours=local)
    found = log_of().news(ring(5, written), NOW, 60)
    assert (found is not None) == told
    assert found is None or found.at == NOW - timedelta(seconds=age_s)


@pytest.mark.parametrize(("entry", "now"), [(ring(5, None), NOW), (ring(5, NOW), None), (ring(5, None), None)])
def test_a_ring_whose_age_nobody_knows_is_told(entry: LogEntry, now: datetime | None) -> None:
    assert log_of().news(entry, now, 60) is not None


@given(st.floats(0, 15.0))
def test_what_follows_a_strike_within_the_window_is_its_echo(after_s: float) -> None:
    at = NOW + timedelta(seconds=after_s)
    assert log_of(strike(1, NOW)).news(ring(2, at), at, 60) is None
    assert log_of(strike(2, NOW)).news(ring(1, at), at, 60) is None, "in whatever order they were written"


@pytest.mark.parametrize("after_s", [-0.5, -5.0, 15.5, 60.0])
def test_what_comes_before_a_strike_or_long_after_it_is_a_ring(after_s: float) -> None:
    at = NOW + timedelta(seconds=after_s)
    assert log_of(strike(2, NOW)).news(ring(1, at), at, 60) is not None


def test_a_ring_that_was_told_from_the_reports_is_told_once() -> None:
    found = log_of()
    found.told(states(), "rto")
    assert found.news(ring(1, NOW + timedelta(seconds=1)), NOW, 60) is not None, "this one has not opened"
    assert found.news(ring(2, NOW + timedelta(seconds=1), mode=1), NOW, 60) is None
    assert found.news(ring(3, NOW + timedelta(seconds=9), mode=1), NOW, 60) is not None, "that is the next one"


def test_a_ring_that_was_told_from_the_log_is_told_once() -> None:
    found = log_of()
    entry = found.news(ring(1, NOW + timedelta(seconds=1), mode=1), NOW, 60)
    assert entry is not None
    assert not found.was_told(states(), "rto"), "nobody has told of it yet"
    found.told_by_log(entry)
    assert not found.was_told(states(), "continuous_mode")
    assert not found.was_told(states(current_time=NOW + timedelta(seconds=40)), "rto")
    assert found.was_told(states(), "rto")
    assert not found.was_told(states(), "rto"), "that is the next one"


def test_only_a_ring_in_vain_is_the_echo_of_one_that_opened() -> None:
    first, echo, next_one = ring(1, NOW, mode=2), ring(2, NOW + timedelta(seconds=5)), ring(3, NOW, mode=2)
    found = log_of(first, echo, next_one)
    assert found.news(first, NOW, 60) is not None
    assert found.news(echo, NOW, 60) is None
    assert found.news(next_one, NOW, 60) is not None


def test_an_entry_of_something_else_is_no_ring() -> None:
    assert log_of().news(strike(1, NOW), NOW, 60) is None


# -- when it is read --------------------------------------------------------------------------------------------------


def due(now: float = 0.0) -> Timetable:
    found = Timetable(OPENER, now, clears_bit=True)
    found.states_read(states(), now)
    return found


def test_an_opener_that_rests_is_left_alone_for_half_an_hour() -> None:
    assert due(10.0).states_at == 10.0 + TOLD_POLL_S


def test_an_open_door_is_read_fast_and_then_left_alone() -> None:
    found, now = due(), 10.0
    found.beacon(True, now)
    times = 0
    while now < 10.0 + OPEN_POLL_S[1]:
        found.states_read(states(S.OPEN, trigger=BY_HAND), now)
        assert found.states_at == now + OPEN_POLL_S[0] or now + OPEN_POLL_S[0] > 10.0 + OPEN_POLL_S[1]
        now, times = found.states_at, times + 1
    assert times == OPEN_POLL_S[1] / OPEN_POLL_S[0]
    for _ in range(10):
        found.states_read(states(S.OPEN, trigger=BY_HAND), now)
        pause_s, now = found.states_at - now, found.states_at
    assert pause_s == 30.0


def test_a_bit_that_stays_set_is_asked_after_a_few_times_and_then_less_and_less() -> None:
    found, now = due(), 10.0
    found.beacon(True, now)
    pauses = []
    for _ in range(12):
        found.states_read(states(), now)
        pauses.append(found.states_at - now)
        now = found.states_at
        found.beacon(True, now)
    assert pauses[: BIT_TRIES - 1] == [BIT_REQUERY_S] * (BIT_TRIES - 1)
    assert pauses[-1] > 200


def test_only_a_bit_that_rises_calls() -> None:
    found = due()
    found.beacon(True, 10.0)
    assert found.is_called
    found.states_read(states(), 10.5)
    assert (found.is_called, found.is_announced) == (False, True)
    assert not found.beacon(True, 11.0)
    found.beacon(False, 12.0)
    assert found.states_at == 10.5 + TOLD_POLL_S
    assert found.beacon(True, 13.0)


def test_one_that_does_not_know_its_state_is_asked_within_a_minute() -> None:
    found = due()
    found.states_read(states(S.UNDEFINED), 10.0)
    assert found.states_at == 10.0 + UNDEFINED_POLL_S
