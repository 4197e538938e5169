"""All checks of the doctor in one table, and how they are carried out: at the same time, each within a limit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from nuki_bridge.doctor import bluetooth, bridge_api, broker, files, locks, machine
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, Verdict, unknown
from nuki_bridge.doctor.place import Place

LIMIT_S: Final = 60.0
"""Longest time in seconds that one check may take; all run at the same time.  Only what hangs takes so long, also on a
small computer."""

CHECKS: Final[tuple[Check[Any], ...]] = (
    *machine.CHECKS,
    *files.CHECKS,
    *bluetooth.CHECKS,
    *broker.CHECKS,
    *bridge_api.CHECKS,
    *locks.CHECKS,
)
"""Everything that is looked at, in the order of the report."""


async def examine(place: Place, checks: Sequence[Check[Any]] = CHECKS, limit_s: float = LIMIT_S) -> list[Finding]:
    """Carry out every check and return what each found, in the order of the table; none fails."""
    try:
        found = await asyncio.gather(*(_carry_out(each, place, limit_s) for each in checks))
    finally:
        place.close()
    return [_private(finding) for findings in found for finding in findings]


def _private(finding: Finding) -> Finding:
    """Leave out which lock an address belongs to; the first half tells the maker."""
    sentence = re.sub(r"\b((?:[0-9A-Fa-f]{2}:){3})(?:[0-9A-Fa-f]{2}:){2}[0-9A-Fa-f]{2}\b", r"\1…", finding.sentence)
    return replace(finding, sentence=sentence)


async def _carry_out(check: Check[Any], place: Place, limit_s: float) -> list[Finding]:
    try:
        async with asyncio.timeout(limit_s):
            facts = await check.look(place)
        return check.judge(facts)
    except CouldNotLook as why:
        return [unknown(check.name, str(why), why.advice)]
    except TimeoutError:
        return [unknown(check.name, f"it takes longer than {limit_s:g} s")]
    except Exception as error:  # without its text, which may quote what is read
        return [unknown(check.name, f"an internal error, {type(error).__name__}", "please report it")]


def all_well(findings: Sequence[Finding]) -> bool:
    """Return whether there is nothing to do, as far as anybody could look."""
    return not any(each.verdict in (Verdict.WARNING, Verdict.PROBLEM) for each in findings)
