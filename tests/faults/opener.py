"""An Opener under the whole bridge, a random schedule around it, and the Opener's own record as the judge.

Commands bear their number as the name in the log, by which the record tells which of them the strike acted for.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

from nuki_bridge.simulator.faults import Faults
from tests.faults.judge import Violation
from tests.faults.stage import Report
from tests.unit.intercom import SETTINGS, WITH_PIN, Intercom, clock
from tests.virtual_time import VirtualTimeLoop

ACTIONS = ("open", "open", "open", "activate_rto", "deactivate_rto", "activate_cm", "deactivate_cm")
FAULTS = (
    "lose_indication",
    "cut_indication",
    "flip_indication",
    "double_indication",
    "disconnect_at_indication",
    "disconnect_before_write",
    "disconnect_after_write",
    "write_fails_after_delivery",
    "connect_times_out",
)
STEPS = 12
"""What happens in one run."""
QUIET_S = 400.0
"""Seconds after the last of it by which everything is told."""
NEVER = {"bad_nonce", "busy", "not_executed", "timeout", "state_not_allowed", "adapter_unavailable", "bad_parameter"}
"""Answers after which the strike has not acted."""
BEHAVIOURS: dict[str, tuple[Any, ...]] = {
    "deaf_after_action": (True, True, False),
    "accepted_times": (1, 1, 0, 2),
    "complete_missing": (False, False, True),
    "states_missing": (False, False, True),
    "complete_before_hold": (False, True),
    "ends_at_the_end": (False, True),
    "ends_at_once": (False, False, True),
    "strike_rings": (False, True),
    "queue_s": (0.0, 0.0, 1.0),
    "log_late_s": (0.0, 1.0),
    "logs_opening_by_ring": (False, True),
}
"""Habits that are drawn."""


class Run:
    """One schedule."""

    def __init__(self, seed: int, directory: Path) -> None:
        self._dice = random.Random(seed)
        self.report = Report(seed)
        self.has_pin = self._dice.random() < 0.7
        habits = {name: self._dice.choice(values) for name, values in BEHAVIOURS.items()}
        self.house = Intercom(directory / "state", WITH_PIN if self.has_pin else SETTINGS, **habits)
        self.house.opener.advanced.disable_rto_after_ring = self._dice.random() < 0.5
        self.answers: dict[str, tuple[str, dict[str, Any]]] = {}
        self._asked: list[asyncio.Task[None]] = []

    def broken(self, rule: str, text: str) -> None:
        """Note that a rule was broken."""
        self.report.violations.append(Violation(rule, text))

    def note(self, text: str) -> None:
        """Write down what happens."""
        self.report.trace.append(f"{clock():9.2f}  {text}")

    # -- what happens -------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        """Play it to its end, and judge."""
        house = self.house
        async with house.running():
            await house.paired()
            await self._command("open", "first")  # the log has something then
            await asyncio.sleep(60)
            for _ in range(STEPS):
                await self._step()
                await asyncio.sleep(self._dice.choice((0.0, 0.3, 1.0, 3.0, 10.0, 40.0)))
            house.radio.faults = Faults()
            house.opener.out_of_range(False)
            await asyncio.gather(*self._asked)
            await asyncio.sleep(QUIET_S)
            self._judge()

    async def _step(self) -> None:
        opener, dice = self.house.opener, self._dice
        match dice.choices(
            ("command", "ring", "button", "app", "fault", "away", "restart", "drop"), (6, 5, 1, 1, 4, 1, 1, 1)
        )[0]:
            case "command":
                name = f"c{len(self._asked)}"
                self._asked.append(asyncio.create_task(self._command(dice.choice(ACTIONS), name)))
            case "ring":
                self.note("ring")
                opener.ring()
            case "button":
                self.note("button")
                opener.press_button(2)
            case "app":
                self.note("app")
                dice.choice((opener.switch_rto, opener.switch_continuous_mode))(dice.random() < 0.5)
            case "fault":
                name = dice.choice(FAULTS)
                self.note(name)
                setattr(self.house.radio.faults, name, dice.randint(1, 4))
            case "away":
                self.note("out of range")
                opener.out_of_range(True)
                asyncio.get_running_loop().call_later(dice.choice((2.0, 8.0, 40.0)), opener.out_of_range, False)
            case "restart":
                self.note("reboot")
                opener.reboot()
            case _:
                self.note("links drop")
                opener.drop_links()

    async def _command(self, action: str, name: str) -> None:
        house = self.house
        self.note(f"{name}: {action}")
        start = len(house.published)
        house.send("hall/set", {"action": action, "as": name, "transaction": name})
        until = clock() + 240.0
        while clock() < until:
            for each in house.published[start:]:
                if each.topic == "nuki/hall/result" and f'"transaction":"{name}"' in each.payload.decode():
                    answer = next(told for told in house.events("hall/result") if told.get("transaction") == name)
                    self.answers[name] = action, answer
                    word = answer.get("error", answer.get("completion"))
                    self.note(f"{name}: {word}")
                    self.report.answers[str(word)] += 1
                    return
            await asyncio.sleep(0.1)
        self.broken("in time", f"{name} ({action}) was never answered")

    # -- the judge ----------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        house, opener = self.house, self.house.opener
        audit = [each for each in opener.audit if each.suffix is not None]
        for name, (action, answer) in self.answers.items():
            word = answer.get("error", "ok")
            acted = sum(each.what == "motor" and each.suffix == name for each in audit)
            got = sum(each.what == "action_received" and each.suffix == name for each in audit)
            if action != "open":
                if acted:
                    self.broken("unasked", f"the strike acted for {name} ({action})")
                continue
            if acted > 1 or got > 1:
                self.broken("one start", f"{name} was sent {got} times, and the strike acted {acted} times")
            found_open = any(
                each.detail == "nothing to do" and each.suffix == name for each in audit
            )  # a ring was first
            if word == "ok" and not acted and not found_open:
                self.broken("success", f"{name} is called done, and the strike did not act")
            if word in NEVER and acted:
                self.broken("refusal", f"{name} got {word}, and the strike acted")
        self._judge_rings()
        self._judge_end()
        self.report.trace += [f"{each.time:%H:%M:%S}  {each.what} {each.detail} {each.suffix}" for each in opener.audit]
        self.report.trace += [str(each) for each in house.rings()]

    def _judge_rings(self) -> None:
        told = self.house.rings()
        entries = [each.index for each in self.house.opener.log.entries if each.kind == 6]
        indexes = [each["index"] for each in told if each["index"] is not None]
        if len(indexes) != len(set(indexes)) or not set(indexes) <= set(entries):
            self.broken("rings", f"told {indexes} of {entries}")
        real = sum(each.what == "ring" and each.detail is None for each in self.house.opener.audit)
        if self.has_pin and len(told) > real:
            self.broken("rings", f"{len(told)} were told, it rang {real} times: {told}")
        opened = sum(each["opened"] is not None for each in told)
        armed = sum(each.kind == 6 and bool(each.data_0) for each in self.house.opener.log.entries)
        if opened > armed:
            self.broken("rings", f"{opened} are said to have opened the door, and {armed} can have")

    def _judge_end(self) -> None:
        house, strike = self.house, self.house.opener.strike
        there = strike.state.name.lower(), "off" if strike.continuous_mode is None else "on"
        if house.state() != there:
            self.broken("agree", f"it is {there}, and {house.state()} is told")
        if house.opener.links:
            self.broken("left", "a link is held")


def play(seed: int, *, traced: bool = False) -> Report:
    """Play a seed; `traced`: the report tells all that happened."""
    loop = VirtualTimeLoop()
    with tempfile.TemporaryDirectory() as directory:
        run = Run(seed, Path(directory))
        try:
            loop.run_until_complete(run.play())
        finally:
            loop.close()
    if not traced:
        run.report.trace.clear()
    return run.report
