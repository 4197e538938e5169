"""How old a lock's list of users is: when it must be read before anybody relies on it."""

from __future__ import annotations

from nuki_bridge.owner.list_age import RELIABLE_S, RELIABLE_UNKNOWN_S, SETTLE_TIMES, SYNC_S, ListAge

SEEN = (7, 2)


def read_at(now: float) -> ListAge:
    age = ListAge()
    age.was_read(now, SEEN, has_news=True)
    return age


def test_a_list_that_was_never_read_lets_nobody_in() -> None:
    age = ListAge()
    assert age.is_stale(0.0, SEEN, is_listed=True)
    assert age.is_due(0.0, SEEN)
    assert not age.is_outdated(SEEN), "there is nothing to be outdated"
    assert not age.are_ours((7, 3))


def test_it_lets_somebody_in_for_longer_than_it_turns_somebody_away() -> None:
    age = read_at(100.0)
    assert not age.is_stale(100.0 + RELIABLE_UNKNOWN_S, SEEN, is_listed=False)
    assert age.is_stale(101.0 + RELIABLE_UNKNOWN_S, SEEN, is_listed=False)
    assert not age.is_stale(100.0 + RELIABLE_S, SEEN, is_listed=True)
    assert age.is_stale(101.0 + RELIABLE_S, SEEN, is_listed=True)


def test_a_change_that_the_lock_counts_makes_it_stale_at_once() -> None:
    age = read_at(100.0)
    assert age.is_stale(100.0, (8, 2), is_listed=True)
    assert age.is_outdated((8, 2))
    assert age.is_due(100.0, (8, 2))


def test_doubt_has_it_read_and_is_believed_less_each_time() -> None:
    age = read_at(100.0)
    assert age.doubt(100.0) == RELIABLE_UNKNOWN_S
    age.was_read(110.0, SEEN, has_news=False)
    assert age.doubt(110.0) == 2 * RELIABLE_UNKNOWN_S
    for _ in range(10):
        age.was_read(200.0, SEEN, has_news=False)
        age.doubt(200.0)
    age.was_read(200.0, SEEN, has_news=False)
    assert age.doubt(200.0) == RELIABLE_S
    age.was_read(300.0, SEEN, has_news=True)
    assert age.doubt(300.0) == RELIABLE_UNKNOWN_S, "somebody's word was true"


def test_our_own_changes_are_told_from_others_also_when_the_count_begins_anew() -> None:
    age = ListAge()
    age.was_read(0.0, (255, 2), has_news=True)
    assert age.are_ours((0, 3))
    assert age.are_ours((255, 3)), "not every firmware counts them"
    assert not age.are_ours((1, 3)), "one of the two is somebody else's"
    assert not age.are_ours((255, 2))


def test_own_changes_put_the_reading_off_but_not_for_ever() -> None:
    age = read_at(0.0)
    asked = [age.may_wait((7, 3 + number)) for number in range(SETTLE_TIMES + 3)]
    assert asked == [True] * SETTLE_TIMES + [False] * 3
    age = read_at(0.0)
    assert age.may_wait((7, 3))
    assert not age.may_wait((7, 3)), "none has come since"


def test_it_is_read_at_least_once_an_hour_or_when_that_is_asked_for() -> None:
    age = read_at(0.0)
    assert not age.is_due(SYNC_S - 1.0, SEEN)
    assert age.is_due(SYNC_S, SEEN)
    age.must_be_read()
    assert age.is_due(0.0, SEEN)
