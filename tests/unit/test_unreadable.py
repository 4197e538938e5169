"""Whose a plain error is, and who has to pause: plain moments, no lock."""

from __future__ import annotations

from nuki_bridge.sharing.unreadable import FREE, FREE_S, OWED_S, PAUSE_MAX_S, PAUSE_S, Pauses, Unanswered

ANNA, BEN, EVE = 1, 2, 3


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_plain_error_is_the_answer_to_the_oldest_frame_without_one() -> None:
    unanswered = Unanswered(Clock())
    first, second = unanswered.wrote(ANNA, alone=True), unanswered.wrote(BEN, alone=True)
    third = unanswered.wrote(EVE, alone=True)
    unanswered.answered(second)
    assert [unanswered.plain_error() for _ in range(3)] == [first, third, None]


def test_what_else_the_lock_owes_its_authorization_is_no_answer_to_it() -> None:
    """Of a lock 'n' go that goes on, or of a frame before that got no answer."""
    unanswered = Unanswered(Clock())
    moving = unanswered.wrote(ANNA, alone=False)
    unanswered.answered(moving)
    second = unanswered.wrote(ANNA, alone=True)
    unanswered.answered(second)
    assert unanswered.plain_error() is moving
    assert unanswered.plain_error() is second
    third = unanswered.wrote(ANNA, alone=False)
    unanswered.settle(third)
    assert unanswered.plain_error() is None


def test_a_frame_is_owed_nothing_for_ever_and_nothing_over_another_link() -> None:
    clock = Clock()
    unanswered = Unanswered(clock)
    unanswered.wrote(ANNA, alone=True)
    clock.now += OWED_S
    late = unanswered.wrote(BEN, alone=True)
    assert unanswered.plain_error() is late
    unanswered.wrote(ANNA, alone=True)
    unanswered.clear()
    assert unanswered.plain_error() is None


def pauses(count: int = FREE) -> tuple[Clock, Pauses]:
    clock = Clock()
    pauses = Pauses(clock)
    for _ in range(count):
        pauses.unreadable(ANNA)
    return clock, pauses


def test_the_pauses_grow_up_to_the_longest_one() -> None:
    clock, found = pauses()
    assert found.left_s(ANNA) == 0
    lengths = []
    for _ in range(8):
        found.unreadable(ANNA)
        lengths.append(round(found.left_s(ANNA), 6))
        clock.now += found.left_s(ANNA)
        assert found.left_s(ANNA) == 0
    assert lengths[:3] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
    assert lengths[-1] == PAUSE_MAX_S


def test_others_do_not_pause_until_they_have_to_and_then_all_together() -> None:
    clock, found = pauses(FREE + 10)
    assert found.left_s(BEN) == 0
    for _ in range(FREE):
        found.unreadable(EVE)
    assert found.left_s(EVE) == 0
    clock.now += PAUSE_MAX_S
    found.unreadable(EVE)
    assert found.left_s(EVE) == found.left_s(ANNA) > 0


def test_a_key_that_fits_or_a_minute_of_quiet_ends_it() -> None:
    clock, found = pauses(FREE + 10)
    found.readable(ANNA)
    assert found.left_s(ANNA) == 0
    found.unreadable(ANNA)
    assert found.left_s(ANNA) == 0
    clock, found = pauses(FREE + 10)
    clock.now += FREE_S
    found.unreadable(ANNA)
    assert found.left_s(ANNA) == 0
