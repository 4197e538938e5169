"""The command `doctor`: what is wrong here, and what to do about it.  It needs no running daemon."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line.registration import Commands

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.doctor.finding import Finding
    from nuki_bridge.doctor.place import DaemonFacts

HEALTH_S = 20.0
"""Longest wait in seconds for the daemon's answer."""


def declare(commands: Commands) -> None:
    """Add the command."""
    commands.add("doctor", "find what is wrong here, and what to do about it", doctor)


def doctor(arguments: argparse.Namespace, named_broker: Callable[[], MqttSettings | None]) -> int:
    """Print a line for each thing looked at; return 0 if all is well and 1 if there is something to do."""
    import asyncio
    import logging

    from nuki_bridge.command_line import console
    from nuki_bridge.doctor.place import Place
    from nuki_bridge.doctor.report import all_well, examine

    async def run() -> list[Finding]:
        place = Place(config=arguments.config, broker_named=named_broker(), ask_daemon=ask_daemon)
        with console.progress("looking", quiet=arguments.json):
            return await examine(place)

    logging.disable()  # what goes wrong is a finding
    findings = asyncio.run(run())
    if arguments.json:
        console.show(as_json(findings), as_json=True)
    else:
        print("\n".join([*(line(each) for each in findings), summary(findings)]), flush=True)
    return 0 if all_well(findings) else 1


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """Return the report for programs."""
    from nuki_bridge import __version__
    from nuki_bridge.doctor.report import all_well

    told = [
        {"name": each.name, "verdict": each.verdict.value, "sentence": each.sentence, "advice": each.advice}
        for each in findings
    ]
    return {"version": __version__, "all_well": all_well(findings), "findings": told}


def line(finding: Finding) -> str:
    """Return a finding in one line."""
    from nuki_bridge.command_line.console import printable

    todo = f" -> {finding.advice}" if finding.advice else ""
    return printable(f"{finding.verdict.value:<8} {finding.name}: {finding.sentence}{todo}")


def summary(findings: list[Finding]) -> str:
    """Return how much there is to do, and how much nobody could look at."""
    from nuki_bridge.doctor.finding import Verdict

    unknown = sum(each.verdict is Verdict.UNKNOWN for each in findings)
    todo = sum(each.verdict in (Verdict.WARNING, Verdict.PROBLEM) for each in findings)
    told = f"{todo} to do" if todo else "nothing to do"
    return f"{told}; {unknown} could not be looked at" if unknown else told


async def ask_daemon(settings: MqttSettings) -> DaemonFacts:
    """Return what a running daemon tells, and what one that has gone has left; raises `CouldNotLook`."""
    from nuki_bridge.command_line.client import BridgeClient, BridgeOffline
    from nuki_bridge.doctor.finding import CouldNotLook
    from nuki_bridge.doctor.place import DaemonFacts
    from nuki_bridge.errors import NukiError

    client = BridgeClient(settings)
    try:
        missing, health = None, {}
        try:
            await client.open()
        except BridgeOffline as error:
            missing = str(error)
        retained = await client.read("+/battery")
        if missing is None:
            try:
                health = await client.ask("bridge", "health", {}, HEALTH_S)
            except NukiError as error:
                missing = str(error)
        return DaemonFacts(missing, client.info, health if isinstance(health, dict) else {}, retained)
    except NukiError as error:
        raise CouldNotLook(str(error)) from None
    finally:
        await client.close()
