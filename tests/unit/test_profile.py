"""What a kind of device can do: words, targets, unsettled states and spellings of a Smart Lock and of an Opener."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest

from nuki_bridge.bridge.running_lock import connection_of
from nuki_bridge.command_line import guest_commands, lock_commands, time_control_commands
from nuki_bridge.config import LockSettings
from nuki_bridge.errors import LockError
from nuki_bridge.lock.changes import Events
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import OutcomeUnknown, Traces
from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile, profile_of
from nuki_bridge.owner import time_control
from nuki_bridge.protocol.codes import (
    Action,
    Completion,
    Family,
    LockState,
    NukiState,
    OpenerAction,
    OpenerState,
    Trigger,
)
from nuki_bridge.protocol.messages import KeyturnerStates
from tests.unit.rig import Rig

A, S = OpenerAction, OpenerState
BOTH = pytest.mark.parametrize("profile", [SMART_LOCK, OPENER])


def report(
    state: int, action: int | None = None, *, mode: int = NukiState.DOOR_MODE, trigger: int = Trigger.SYSTEM
) -> KeyturnerStates:
    """A report of an Opener; `action` is the last one, which a command over Bluetooth has carried out."""
    return KeyturnerStates(
        nuki_state=mode,
        lock_state=state,
        trigger=trigger,
        current_time=None,
        timezone_offset_min=0,
        battery_state=0,
        last_action=action,
        last_trigger=None if action is None else Trigger.SYSTEM,
        last_completion=None if action is None else Completion.SUCCESS,
    )


# -- of every kind ----------------------------------------------------------------------------------------------------


def test_all_families_of_smart_locks_have_one_profile() -> None:
    assert {family: profile_of(family) for family in Family} == {
        Family.CLASSIC: SMART_LOCK,
        Family.ULTRA: SMART_LOCK,
        Family.OPENER: OPENER,
    }


def numbers(value: Any) -> set[int]:
    """Every number in a table of a profile."""
    if isinstance(value, int):
        return {value}
    return set().union(*(numbers(each) for each in value), set())


@BOTH
def test_the_tables_speak_of_states_and_actions_that_there_are(profile: Profile) -> None:
    states, actions = set(profile.states.values()), set(cast(Iterable[int], profile.names.kind))
    for name in ("moving", "measuring", "held", "waiting", "nowhere", "undefined", "uncalibrated", "springs_back"):
        assert numbers(getattr(profile, name)) <= states, name
    for name in ("no_actions", "waits", "opens", "sent_once", "configured", "planned"):
        assert numbers(getattr(profile, name)) <= actions, name
    for name in ("targets", "rests", "leads_to_state", "turns"):
        assert set(getattr(profile, name)) <= actions, name
        assert numbers(getattr(profile, name).values()) <= states, name
    for name in ("other_names", "auto_unlatch", "modes"):
        assert set(getattr(profile, name)) <= actions, name


@BOTH
def test_each_action_has_one_way_to_its_end(profile: Profile) -> None:
    """It leads to a state, opens for a moment, waits before it locks, or does what the configuration says."""
    ways = [{*profile.targets, *profile.modes}, profile.opens, profile.waits, profile.configured]
    for action in profile.names.by_name.values():
        assert sum(action in each for each in ways) == 1, action
    assert set(profile.rests) == profile.opens | profile.waits


@BOTH
def test_where_an_action_rests_a_device_may_stay(profile: Profile) -> None:
    ends = numbers(profile.rests.values())
    assert not ends & (profile.unsettled | profile.nowhere)
    assert not numbers(profile.targets.values()) & (profile.moving | profile.nowhere)


@BOTH
def test_a_number_that_nobody_knows_has_a_word(profile: Profile) -> None:
    assert profile.state_word(0x42) == "undefined"
    assert profile.action_word(0x42) == "unknown_0x42"


# -- of a Smart Lock --------------------------------------------------------------------------------------------------


def test_words_of_a_smart_lock() -> None:
    assert {SMART_LOCK.state_word(each) for each in LockState} == {
        "uncalibrated",
        "locked",
        "unlocking",
        "unlocked",
        "locking",
        "unlatched",
        "unlocked_lock_n_go",
        "unlatching",
        "calibrating",
        "boot_run",
        "motor_blocked",
        "undefined",
    }
    assert set(SMART_LOCK.names.by_name) == {
        "lock",
        "unlock",
        "unlatch",
        "lock_n_go",
        "lock_n_go_unlatch",
        "full_lock",
        "fob_action_1",
        "fob_action_2",
        "fob_action_3",
    }
    assert SMART_LOCK.names.find("open") is Action.UNLATCH
    assert SMART_LOCK.action_word(Action.BUTTON_NO_ACTION) == "button_no_action"
    assert SMART_LOCK.connection == "persistent"


def test_states_that_a_smart_lock_leaves_by_itself() -> None:
    assert SMART_LOCK.unsettled == {
        LockState.UNLOCKING,
        LockState.LOCKING,
        LockState.UNLATCHING,
        LockState.UNLATCHED,
        LockState.UNLOCKED_LOCK_N_GO,
        LockState.CALIBRATING,
        LockState.BOOT_RUN,
    }


def test_what_a_smart_lock_may_be_sent_twice() -> None:
    repeatable = {each for each in Action if SMART_LOCK.is_repeatable(each)}
    assert repeatable == {Action.LOCK, Action.FULL_LOCK, Action.UNLOCK}
    assert not SMART_LOCK.sent_once


def test_the_command_line_asks_for_actions_that_there_are() -> None:
    opener = {*lock_commands.OPENER_ACTIONS}
    for name in ({*guest_commands.ACTIONS, *time_control_commands._LOCK_ACTIONS} - opener) | {"open"}:
        assert SMART_LOCK.names.find(name) is not None, name
    for name in opener:
        assert OPENER.names.find(name) is not None, name


@pytest.mark.parametrize(
    ("profile", "words"),
    [(SMART_LOCK, time_control_commands._LOCK_ACTIONS), (OPENER, time_control_commands._OPENER_ACTIONS)],
)
def test_what_either_can_be_told_to_do_at_a_time(profile: Profile, words: tuple[str, ...]) -> None:
    planned = {profile.names.find(word) for word in words}
    assert planned == profile.planned == set(time_control.actions_of(profile).values())
    assert {word.replace("-", "_") for word in words} == set(time_control.actions_of(profile))


# -- of an Opener -----------------------------------------------------------------------------------------------------


def test_words_of_an_opener() -> None:
    words = [OPENER.state_word(each) for each in (0x00, 0x01, 0x03, 0x05, 0x07, 0xFD, 0xFF)]
    assert words == ["uncalibrated", "locked", "rto_active", "open", "opening", "boot_run", "undefined"]
    assert set(OPENER.states) == set(words)
    assert OPENER.state_word(LockState.UNLOCKING) == "undefined", "an Opener has no such state"
    assert {name: int(each) for name, each in OPENER.names.by_name.items()} == {
        "activate_rto": 1,
        "deactivate_rto": 2,
        "open": 3,
        "activate_continuous_mode": 4,
        "deactivate_continuous_mode": 5,
        "fob_action_1": 0x81,
        "fob_action_2": 0x82,
        "fob_action_3": 0x83,
    }
    assert OPENER.connection == "on-demand"


@pytest.mark.parametrize(
    ("spelling", "action"),
    [
        ("open", A.OPEN),
        ("Open", A.OPEN),
        ("electricStrikeActuation", A.OPEN),
        ("activate_rto", A.ACTIVATE_RTO),
        ("activateRTO", A.ACTIVATE_RTO),
        ("Deactivate-RTO", A.DEACTIVATE_RTO),
        ("activate continuous mode", A.ACTIVATE_CONTINUOUS_MODE),
        ("activateCM", A.ACTIVATE_CONTINUOUS_MODE),
        ("deactivateCM", A.DEACTIVATE_CONTINUOUS_MODE),
        ("fobAction1", A.FOB_ACTION_1),
        ("unlock", None),
        ("lock", None),
        ("unlatch", None),
        ("fob_no_action", None),
    ],
)
def test_spellings_that_an_opener_takes(spelling: str, action: OpenerAction | None) -> None:
    """`lock` and `unlock` would be RTO off and on by their numbers: nobody means that."""
    assert OPENER.names.find(spelling) is action


@pytest.mark.parametrize(
    ("action", "states"),
    [
        (A.ACTIVATE_RTO, report(S.RTO_ACTIVE)),
        (A.DEACTIVATE_RTO, report(S.LOCKED)),
        (A.ACTIVATE_CONTINUOUS_MODE, report(S.LOCKED, mode=NukiState.CONTINUOUS_MODE)),
        (A.DEACTIVATE_CONTINUOUS_MODE, report(S.LOCKED)),
    ],
)
def test_where_the_actions_of_an_opener_lead(action: OpenerAction, states: KeyturnerStates) -> None:
    assert OPENER.is_repeatable(action)
    assert OPENER.leads_to(action, states)
    others = [
        report(state, mode=mode)
        for state in OpenerState
        for mode in (NukiState.DOOR_MODE, NukiState.CONTINUOUS_MODE)
        if (state, mode) != (states.lock_state, states.nuki_state)
    ]
    beside = [each for each in others if OPENER.leads_to(action, each)]
    key = "nuki_state" if action in OPENER.modes else "lock_state"
    assert all(getattr(each, key) == getattr(states, key) for each in beside)


def test_states_that_an_opener_leaves_by_itself() -> None:
    assert OPENER.unsettled == {S.OPENING, S.OPEN, S.BOOT_RUN}
    assert OPENER.is_passing(A.OPEN, report(S.OPEN))
    assert not OPENER.is_passing(A.OPEN, report(S.RTO_ACTIVE)), "it stays so for minutes"


def test_the_strike_of_an_opener_is_never_sent_twice() -> None:
    assert not OPENER.is_repeatable(A.OPEN)
    assert OPENER.sent_once == {A.OPEN, A.FOB_ACTION_1, A.FOB_ACTION_2, A.FOB_ACTION_3}, "a fob's may be the strike"


@pytest.mark.parametrize("busy", [True, False])
async def test_what_is_sent_once_is_not_sent_again_after_a_refusal(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    once = replace(SMART_LOCK, sent_once=frozenset({Action.UNLATCH}))
    monkeypatch.setattr(Lock, "profile", once)
    rig = Rig()
    async with rig.running() as lock:
        if busy:
            rig.virtual.be_busy(2.0)
        else:
            lock.exchange.challenge = bytes(32)
        with pytest.raises(LockError) as refused:
            await lock.perform(Action.UNLATCH, 15.0)
        assert refused.value.code == ("busy" if busy else "bad_nonce")
        await asyncio.sleep(20)
        assert rig.movements() == []


@pytest.mark.parametrize(
    ("wiring", "missing"),
    [(None, set()), (0, {A.ACTIVATE_RTO, A.DEACTIVATE_RTO}), (1, set()), (2, {A.OPEN}), (9, set())],
)
def test_what_the_wiring_of_an_opener_allows(wiring: int | None, missing: set[OpenerAction]) -> None:
    assert OPENER.possible(wiring) == set(OPENER.names.by_name.values()) - missing


@pytest.mark.parametrize(
    ("action", "seen", "completion"),
    [
        (A.ACTIVATE_RTO, [report(S.RTO_ACTIVE, A.ACTIVATE_RTO)], "success"),
        (A.ACTIVATE_RTO, [report(S.LOCKED, A.DEACTIVATE_RTO)], None),
        (A.ACTIVATE_CONTINUOUS_MODE, [report(S.LOCKED, A.ACTIVATE_CONTINUOUS_MODE, mode=3)], "success"),
        (A.ACTIVATE_CONTINUOUS_MODE, [report(S.LOCKED, A.ACTIVATE_CONTINUOUS_MODE)], None),
        (A.OPEN, [report(S.OPENING, A.OPEN), report(S.OPEN, A.OPEN), report(S.LOCKED, A.OPEN)], "success"),
        (A.OPEN, [report(S.OPEN, A.OPEN), report(S.RTO_ACTIVE, A.OPEN)], "success"),
        (A.OPEN, [report(S.LOCKED)], None),
        (A.OPEN, [report(S.UNDEFINED, A.ACTIVATE_RTO)], None),
    ],
)
def test_what_an_opener_tells_of_an_action(
    action: OpenerAction, seen: list[KeyturnerStates], completion: str | None
) -> None:
    found = Traces(OPENER, action)
    found.accepted = True
    for each in seen:
        found.saw(each)
    if completion is None:
        with pytest.raises((OutcomeUnknown, LockError)):
            found.ended(seen[-1])
    else:
        assert found.ended(seen[-1]).completion == completion


def test_what_happened_at_an_opener() -> None:
    events = Events(OPENER)
    assert events.feed(report(S.LOCKED)) == []
    assert events.feed(report(S.OPENING, A.OPEN)) == []
    (opened,) = events.feed(report(S.OPEN, A.OPEN))
    assert (opened["action"], opened["state"]) == ("open", "open")
    assert events.feed(report(S.LOCKED, A.OPEN)) == [], "the strike springs back by itself"
    assert events.feed(replace(report(S.LOCKED, A.OPEN), trigger=Trigger.MANUAL)) == [], "it rang"
    (armed,) = events.feed(report(S.RTO_ACTIVE, A.ACTIVATE_RTO))
    assert (armed["action"], armed["state"]) == ("activate_rto", "rto_active")


# -- how it is kept in touch with -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "profile", "mode"),
    [
        (None, SMART_LOCK, "persistent"),
        (LockSettings("front"), SMART_LOCK, "persistent"),
        (LockSettings("front"), OPENER, "on-demand"),
        (None, OPENER, "on-demand"),
        (LockSettings("front", connection="on-demand"), SMART_LOCK, "on-demand"),
        (LockSettings("front", connection="persistent"), OPENER, "persistent"),
    ],
)
def test_the_kind_of_device_says_how_it_is_kept_in_touch_with_unless_the_configuration_does(
    settings: LockSettings | None, profile: Profile, mode: str
) -> None:
    """An Opener takes one connection, and does not tell of a ring while that is held."""
    assert connection_of(settings, profile).value == mode
