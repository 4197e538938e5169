"""Who breaks a promise is stuck; time that nobody could use is nobody's fault.  The clock is moved by hand."""

from __future__ import annotations

from nuki_bridge.watchdog import SLACK_S, Heartbeat, Watchdog


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_part_is_stuck_once_its_step_should_have_ended() -> None:
    clock = Hands()
    watchdog = Watchdog(clock)
    part = watchdog.heartbeat("the broker")
    part.step(10.0, "connecting")
    clock.now += 10.0 + SLACK_S
    assert watchdog.stuck() == []
    clock.now += 0.1
    assert watchdog.stuck() == ["the broker: connecting"]


def test_each_step_is_a_new_promise() -> None:
    clock = Hands()
    watchdog = Watchdog(clock)
    part = watchdog.heartbeat("radio")
    for _ in range(10):
        part.step(25.0, "the pause")
        clock.now += 25.0
    assert watchdog.stuck() == []


def test_a_part_that_recovers_is_no_longer_stuck() -> None:
    clock = Hands()
    watchdog = Watchdog(clock)
    part = watchdog.heartbeat("radio")
    part.step(1.0, "scanning")
    clock.now += 1000.0
    assert watchdog.stuck()
    part.step(1.0, "scanning")
    assert watchdog.stuck() == []


def test_a_part_at_rest_promises_nothing() -> None:
    clock = Hands()
    watchdog = Watchdog(clock)
    part = watchdog.heartbeat("lock front_door")
    clock.now += 1e6
    assert watchdog.stuck() == []
    part.step(1.0, "connecting")
    part.rest()
    clock.now += 1e6
    assert watchdog.stuck() == []


def test_a_standstill_of_the_process_is_excused() -> None:
    clock = Hands()
    watchdog = Watchdog(clock)
    watchdog.heartbeat("radio").step(5.0, "scanning")
    clock.now += 3600.0
    watchdog.excuse(3600.0)
    assert watchdog.stuck() == []
    clock.now += 5.0 + SLACK_S + 0.1
    assert watchdog.stuck() == ["radio: scanning"]


def test_only_those_that_are_watched_count() -> None:
    clock = Hands()
    watchdog = Watchdog(clock)
    watchdog.heartbeat("lock old").step(1.0, "connecting")
    watchdog.heartbeat("lock front").step(1.0, "connecting")
    Heartbeat(clock).step(1.0, "nobody asked")
    watchdog.forget("lock old")
    watchdog.forget("lock old")
    clock.now += 100.0
    assert watchdog.stuck() == ["lock front: connecting"]
    watchdog.heartbeat("lock front")  # the lock was started anew
    assert watchdog.stuck() == []
