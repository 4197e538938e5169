"""When a lost lock is tried again: plain moments, no clock."""

from __future__ import annotations

from nuki_bridge.lock.retry import RECONNECT_S, STEADY_S, Retry

SHORTEST, LONGEST = RECONNECT_S


def without_jitter(size: int) -> bytes:
    return bytes(size)


def pauses(retry: Retry, count: int, lives_s: float) -> list[float]:
    """The pauses after so many links, each of which lives `lives_s`."""
    found, now = [], 100.0
    for _ in range(count):
        retry.linked(now)
        now += lives_s
        retry.lost(now)
        found.append(round(retry.at - now, 6))
        now = retry.at
    return found


def test_it_is_due_at_the_start() -> None:
    assert Retry(5.0, without_jitter).at == 5.0


def test_links_that_do_not_last_are_regained_ever_later() -> None:
    found = pauses(Retry(0.0, without_jitter), 12, STEADY_S - 1)
    assert found[:4] == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST, 8 * SHORTEST]
    assert found[-1] == LONGEST


def test_a_link_that_lasted_begins_anew() -> None:
    retry = Retry(0.0, without_jitter)
    pauses(retry, 5, 1.0)
    assert pauses(retry, 3, STEADY_S) == [SHORTEST] * 3


def test_a_link_that_was_left_begins_anew() -> None:
    retry = Retry(0.0, without_jitter)
    pauses(retry, 5, 1.0)
    retry.left(200.0)
    assert pauses(retry, 1, 1.0) == [SHORTEST]


def test_attempts_that_fail_are_made_ever_less_often() -> None:
    retry = Retry(0.0, without_jitter)
    found, now = [], 0.0
    for _ in range(4):
        retry.failed(now)
        found.append(round(retry.at - now, 6))
        now = retry.at
    assert found == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST, 8 * SHORTEST]
    retry.at_once(now)
    assert retry.at == now
    retry.failed(now)
    assert round(retry.at - now, 6) == SHORTEST


def test_a_link_that_an_exchange_cost_counts_once() -> None:
    retry = Retry(0.0, without_jitter)
    retry.linked(0.0)
    retry.lost(1.0)
    retry.failed(1.0)
    assert retry.at == 1.0 + SHORTEST


def test_chance_takes_up_to_half_of_a_pause() -> None:
    retry = Retry(0.0, lambda size: b"\xff" * size)
    retry.failed(0.0)
    assert SHORTEST / 2 <= retry.at < SHORTEST * 0.51
