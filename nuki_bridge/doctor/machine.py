"""The doctor on the machine: versions, clock and time zone, the service."""

from __future__ import annotations

import platform
import re
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

from nuki_bridge import __version__
from nuki_bridge.doctor.bluetooth import unit
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, ok, problem, unknown, warning
from nuki_bridge.doctor.place import Place
from nuki_bridge.records import frozen

LIBRARIES = ("bleak", "dbus-fast", "paho-mqtt", "PyNaCl")
MANY_RESTARTS = 3
"""Starts by systemd itself since somebody started the service; one or two come of requests to restart."""
EARLIEST = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
"""Before this program was written no clock is right."""


# -- versions ---------------------------------------------------------------------------------------------------------


async def _look_versions(place: Place) -> list[str]:
    said = [f"nuki-bridge {__version__}", f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            said.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            said.append(f"{library} of unknown version")
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text(place, "/etc/os-release"), re.MULTILINE)
    said.append(found[1] if found else "unknown system")
    said.append(f"kernel {_text(place, '/proc/sys/kernel/osrelease').strip() or 'unknown'} {platform.machine()}")
    if model := _text(place, "/proc/device-tree/model").strip("\0\n "):
        said.append(model)
    return said


def _text(place: Place, path: str) -> str:
    try:
        return place.path(path).read_text(errors="replace")
    except OSError:
        return ""


def judge_versions(said: list[str]) -> list[Finding]:
    """Which versions are these?  For the reader of a report."""
    return [ok("versions", ", ".join(said))]


# -- clock ------------------------------------------------------------------------------------------------------------


@frozen
class ClockFacts:
    """The computer's time with its zone; `synchronized` None where nobody knows; `zone` a name, if there is one."""

    now: datetime
    synchronized: bool | None
    zone: str | None


async def _look_clock(place: Place) -> ClockFacts:
    now = place.now().astimezone()
    if not place.has_systemd:
        return ClockFacts(now, None, None)
    try:
        said = await place.run(["timedatectl", "show", "--property=NTPSynchronized", "--property=Timezone"])
    except CouldNotLook:
        return ClockFacts(now, None, None)
    told = dict(line.partition("=")[::2] for line in said.splitlines())
    synchronized = {"yes": True, "no": False}.get(told.get("NTPSynchronized", ""))
    return ClockFacts(now, synchronized, told.get("Timezone") or None)


def judge_clock(facts: ClockFacts) -> list[Finding]:
    """Is it right, and in which zone?"""
    offset = facts.now.utcoffset() or timedelta(0)
    zone = f"{facts.zone or facts.now.tzname()}, {_hours(offset)} from UTC"
    findings = [ok("time zone", zone)]
    if facts.now < EARLIEST:
        sentence = f"it shows {facts.now:%Y-%m-%d}, which is long over"
        findings.insert(0, problem("clock", sentence, "wait until a time server was heard, or set it: `date`"))
    elif facts.synchronized is False:
        findings.insert(
            0,
            warning(
                "clock",
                "no time server has been heard: it may be wrong, and with it the hours at which guests may come",
                "`sudo timedatectl set-ntp true`, and let the network through to a time server",
            ),
        )
    elif facts.synchronized is None:
        findings.insert(0, unknown("clock", "timedatectl does not say whether it is right"))
    else:
        findings.insert(0, ok("clock", "it is kept right by a time server"))
    return findings


def _hours(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


# -- the service ------------------------------------------------------------------------------------------------------


async def _look_service(place: Place) -> dict[str, str]:
    return await unit(
        place, f"{place.service_user}.service", "LoadState", "ActiveState", "NRestarts", "Result", "UnitFileState"
    )


def judge_service(facts: dict[str, str]) -> list[Finding]:
    """Does it run, and how often did it end?"""
    name = "service"
    if facts.get("LoadState") != "loaded":
        return [unknown(name, "there is no nuki-bridge.service; the daemon may run in another way")]
    if facts.get("ActiveState") != "active":
        state, result = facts.get("ActiveState") or "unknown", facts.get("Result") or "unknown"
        return [
            problem(
                name,
                f"nuki-bridge.service is {state} (result: {result})",
                "`journalctl -u nuki-bridge -n 50` says why; then `sudo systemctl start nuki-bridge`",
            )
        ]
    restarts = int(facts["NRestarts"]) if facts.get("NRestarts", "").isdigit() else 0
    if restarts >= MANY_RESTARTS:
        return [
            warning(
                name,
                f"nuki-bridge.service runs, but had to be started again {restarts} times",
                "`journalctl -u nuki-bridge -p warning` says why; please report it",
            )
        ]
    if facts.get("UnitFileState") not in ("enabled", "enabled-runtime", "static", ""):
        state = facts["UnitFileState"]
        return [
            warning(
                name,
                f"nuki-bridge.service runs, but is {state}: it does not start with the computer",
                "`sudo systemctl enable nuki-bridge`",
            )
        ]
    return [ok(name, "nuki-bridge.service runs, and starts with the computer")]


CHECKS = (
    Check("versions", "this program, its libraries, system and kernel", _look_versions, judge_versions),
    Check("clock", "is it right, and in which time zone", _look_clock, judge_clock),
    Check("service", "does systemd run it, and did it have to be started again", _look_service, judge_service),
)
