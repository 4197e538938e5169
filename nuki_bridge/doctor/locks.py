"""The doctor on the daemon and its locks: what the broker has retained of them, and the daemon's `health`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, ok, problem, unknown, warning
from nuki_bridge.doctor.place import DaemonFacts, Place

LOW_PERCENT = 20
"""Charge of a lock's battery in percent from which it is to be changed soon."""
FAIR_DBM = -75
WEAK_DBM = -85
TOO_WEAK_DBM = -95
"""Signal strengths, as in docs/operations.md."""
LINKS_A_DAY = 24
"""Links a day that a lock whose link is held may need; more are a bad connection."""
CLOCK_OFF_S = 60
"""Seconds that a lock's clock may differ before guests' hours shift."""
DAY_S = 86400


async def _look_daemon(place: Place) -> DaemonFacts:
    return await place.daemon()


def judge_daemon(facts: DaemonFacts) -> list[Finding]:
    """Does it run and answer?"""
    if facts.missing is not None:
        return [
            problem(
                "daemon",
                facts.missing,
                "`sudo systemctl start nuki-bridge`; if it runs, its broker or mqtt.base_topic is another",
            )
        ]
    up = int(facts.health.get("uptime_s") or 0)
    said = f"version {facts.health.get('version')} answers, running for {_duration(up)}"
    version = facts.health.get("mqtt_version")
    adapter = facts.health.get("adapter") or {}
    findings = [ok("daemon", f"{said}, over MQTT {version}")]
    if not adapter.get("available"):
        reason = adapter.get("reason") or "it does not say why"
        findings.append(
            problem("daemon", f"it cannot use Bluetooth: {reason}", "docs/troubleshooting.md, No Bluetooth adapter")
        )
    return findings


async def _look_locks(place: Place) -> DaemonFacts:
    facts = await place.daemon()
    if not facts.info and not facts.retained and facts.missing is not None:
        raise CouldNotLook("no daemon has told of its locks")
    offset = place.now().astimezone().utcoffset()
    return replace(facts, offset_min=None if offset is None else round(offset.total_seconds() / 60))


def judge_locks(facts: DaemonFacts) -> list[Finding]:
    """How is each lock?"""
    told = {str(each.get("name")): each for each in facts.health.get("locks") or ()}
    locks = [each for each in facts.info.get("locks") or () if isinstance(each, Mapping)]
    if not locks:
        return [warning("locks", "there is no lock yet", "`sudo nuki-bridge pair`")]
    findings: list[Finding] = []
    for each in locks:
        name = str(each.get("name"))
        if not each.get("paired"):
            findings.append(
                warning(f"lock {name}", "it is in the configuration, but not paired", f"`sudo nuki-bridge pair {name}`")
            )
            continue
        battery = _json(facts.retained.get(f"{name}/battery"))
        findings += [_battery(name, battery)]
        if name in told and facts.missing is None:
            uptime = int(facts.health.get("uptime_s") or 0)
            findings += [
                _reach(name, told[name]),
                _signal(name, told[name]),
                _reconnects(name, told[name], uptime),
                _clock(name, told[name], facts.offset_min),
            ]
        else:
            findings.append(unknown(f"lock {name}", "link, signal and clock are known to a running daemon alone"))
    return findings


def _battery(name: str, battery: Mapping[str, Any]) -> Finding:
    where = f"lock {name}: battery"
    if not battery:
        return unknown(where, "the lock has not told yet")
    level = battery.get("level")
    charge = f"{level} %" if isinstance(level, int) else "not critical"
    empty = [
        part
        for part, key in (("keypad", "keypad_critical"), ("door sensor", "door_sensor_critical"))
        if battery.get(key)
    ]
    if battery.get("critical"):
        return problem(where, "it is nearly empty; the motor may stop half-way", "change the batteries")
    if empty:
        return warning(where, f"that of its {' and '.join(empty)} is nearly empty", "change it")
    if isinstance(level, int) and level < LOW_PERCENT and not battery.get("charging"):
        return warning(where, charge, "have new batteries at hand")
    return ok(where, charge)


def _reach(name: str, told: Mapping[str, Any]) -> Finding:
    where = f"lock {name}: link"
    fault = told.get("fault")
    if isinstance(fault, Mapping):
        advice = "docs/troubleshooting.md, The lock is offline, has each fault"
        return problem(where, f"{fault.get('code')}: {fault.get('message')}", advice)
    if not told.get("reachable"):
        return problem(
            where, "it cannot be reached", "batteries, distance; docs/troubleshooting.md, The lock is offline"
        )
    return ok(where, "it is connected" if told.get("connected") else "it can be reached")


def _signal(name: str, told: Mapping[str, Any]) -> Finding:
    where = f"lock {name}: signal"
    rssi = told.get("rssi")
    if not isinstance(rssi, int):
        return unknown(where, "it has not been heard yet")
    nearer = "move computer or adapter nearer, away from metal and USB 3"
    if rssi < TOO_WEAK_DBM:
        return problem(where, f"{rssi} dBm, too weak", nearer)
    if rssi < WEAK_DBM:
        return warning(where, f"{rssi} dBm, weak: slow, and often offline", nearer)
    return ok(where, f"{rssi} dBm, {'good' if rssi >= FAIR_DBM else 'fair'}")


def _reconnects(name: str, told: Mapping[str, Any], uptime_s: int) -> Finding:
    where = f"lock {name}: links"
    links = int(told.get("reconnects") or 0)
    sentence = f"{links} link{'' if links == 1 else 's'} made in {_duration(uptime_s)}"
    if told.get("connection") != "persistent":
        return ok(where, f"{sentence}, as they were needed")
    if links > 2 + LINKS_A_DAY * max(uptime_s, 3600) / DAY_S:
        cause = "another device that uses the lock, a weak signal, or the adapter: docs/troubleshooting.md, Slow"
        return warning(where, f"{sentence}, though one is to be held", cause)
    return ok(where, sentence)


def _clock(name: str, told: Mapping[str, Any], ours: int | None) -> Finding:
    where = f"lock {name}: clock"
    off = told.get("clock_off_s")
    if not isinstance(off, int):
        return unknown(where, "the lock has not told its time yet")
    zone = told.get("timezone_offset_min")
    place = f", its zone is {zone / 60:+g} h from UTC" if isinstance(zone, int) else ""
    if abs(off) > CLOCK_OFF_S:
        way = "ahead" if off > 0 else "behind"
        return warning(
            where,
            f"it is {_duration(abs(off))} {way} of this computer's{place}; the hours of guests shift with it",
            f"request {name}/request/time/set, which takes the security PIN, or the page's settings of the lock",
        )
    if isinstance(zone, int) and ours and zone != ours:  # many a computer is kept in UTC, whoever lives around it
        return warning(
            where,
            f"it is right{place}, and this computer's {ours / 60:+g} h",
            f"`sudo nuki-bridge config {name} set timezone=…`, or `sudo timedatectl set-timezone …`",
        )
    return ok(where, f"it differs by {off:+d} s{place}")


def _json(payload: bytes | None) -> Mapping[str, Any]:
    try:
        data = json.loads(payload or b"")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _duration(seconds: int) -> str:
    for size, unit in ((DAY_S, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


CHECKS = (
    Check("daemon", "does it run and answer, and can it use Bluetooth", _look_daemon, judge_daemon),
    Check("locks", "battery, link, signal, reconnects and clock of each lock", _look_locks, judge_locks),
)
