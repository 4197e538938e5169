"""The campaign in short: some hundred seeds; and that the judge sees what it is there for."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import pytest

from nuki_bridge.simulator.behaviour import Behaviour
from tests.faults.alone import play as alone
from tests.faults.house import play as in_house
from tests.faults.judge import RULES
from tests.faults.opener import play as at_opener
from tests.faults.schedule import HABITS, OF_NO_MATTER, draw
from tests.faults.stage import Report

SEEDS = {"": 200, " --house": 60, " --opener": 40}
"""By option of `python -m tests.faults`: one lock alone, the whole bridge, and that with an Opener."""
PLAYS = {"": alone, " --house": in_house, " --opener": at_opener}
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("option", SEEDS)
def test_the_lock_bears_witness(option: str, part: int) -> None:
    play = PLAYS[option]
    reports = [play(seed) for seed in range(1 + part, SEEDS[option] + 1, PARTS)]
    broken = [
        f"{each}\n  replay: python -m tests.faults{option} --seed {report.seed}"
        for report in reports
        for each in report.violations
    ]
    assert not broken, "\n".join(broken)
    assert {each.rule for report in reports for each in report.violations} <= set(RULES)
    answers = _answers(reports)
    assert answers["success"] > answers.total() / 5
    assert answers["outcome_unknown"] < answers.total() / 4


def _answers(reports: list[Report]) -> Counter[str]:
    return sum((report.answers for report in reports), Counter())


def test_every_habit_of_the_virtual_lock_is_drawn() -> None:
    plain = Behaviour()
    known = {each.name for each in fields(Behaviour)}
    flags = {name for name in known if isinstance(getattr(plain, name), bool)}
    assert flags | set(HABITS) | OF_NO_MATTER >= known
    runs = [draw(seed).behaviour for seed in range(1, SEEDS[""] + 1)]
    for name in (flags | set(HABITS)) & known:
        assert len({getattr(behaviour, name) for behaviour in runs}) > 1, name


def test_a_seed_gives_the_same_run_each_time() -> None:
    first, second = alone(11, traced=True), alone(11, traced=True)
    assert first.trace == second.trace
    assert any("command" in line for line in first.trace)
    assert not alone(11).trace[4:], "nothing is traced that nobody wants to see"
