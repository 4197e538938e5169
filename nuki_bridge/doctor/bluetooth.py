"""The doctor on Bluetooth: who may talk to BlueZ, the adapter, BlueZ's version, and what starts it again.

Root may talk to BlueZ in any case.  So where root asks and the service has a user of its own, that user asks instead,
in a process of its own (`ask_bluez.py`).
"""

from __future__ import annotations

import dataclasses
import json
import pwd
import sys

from nuki_bridge.bluetooth.bluez import REFUSED, Bluez
from nuki_bridge.doctor.bluez_faults import Fault, faults_of, version_in
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, ok, problem, unknown, warning
from nuki_bridge.doctor.place import SUDO, Place
from nuki_bridge.records import frozen

RESTARTING = ("always", "on-failure", "on-abnormal", "on-abort")
"""Values of systemd's `Restart` with which a daemon that was killed by its own fault is started again."""


@frozen
class BluezFacts:
    """What BlueZ says to `user`; `monitors`: passive scanning is offered, `virtual`: no BlueZ is used at all."""

    available: bool
    adapter: str | None
    reason: str | None
    monitors: bool
    user: str = "this user"
    virtual: bool = False


async def ask(adapter: str | None) -> BluezFacts:
    """Ask BlueZ as the user of this process."""
    bluez = Bluez(adapter, lambda: None)
    try:
        await bluez.refresh()
        status = bluez.status
        return BluezFacts(status.available, status.adapter, status.reason, bluez.passive)
    finally:
        bluez.close()


async def _look(place: Place) -> BluezFacts:
    settings = place.bluetooth()
    if settings.backend == "virtual":
        return BluezFacts(True, None, None, False, virtual=True)
    if place.is_root and _exists(place.service_user):
        command = [sys.executable, "-m", "nuki_bridge.doctor.ask_bluez", settings.adapter or ""]
        told = json.loads(await place.run(command, user=place.service_user))
        return BluezFacts(**told, user=f"the service's user {place.service_user}")
    return await ask(settings.adapter)


async def _bluez(place: Place) -> BluezFacts:
    return await place.once("bluez", lambda: _look(place))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def told(facts: BluezFacts) -> str:
    """Return facts as the text in which a process hands them over."""
    values = dataclasses.asdict(facts)
    return json.dumps({name: values[name] for name in ("available", "adapter", "reason", "monitors")})


def judge_permission(facts: BluezFacts) -> list[Finding]:
    """May the service talk to BlueZ?"""
    name = "D-Bus permission"
    if facts.virtual:
        return [ok(name, "the virtual backend needs none")]
    if facts.reason == REFUSED:
        return [
            problem(
                name,
                f"D-Bus lets {facts.user} not talk to BlueZ",
                "install nuki-bridge again, which brings the policy nuki-bridge.conf, and then"
                " `sudo systemctl reload dbus`",
            )
        ]
    if facts.reason is not None and "D-Bus cannot be reached" in facts.reason:
        return [problem(name, facts.reason, "`sudo systemctl start dbus`; in a container, hand its socket in")]
    if facts.reason is not None and "bluetoothd" in facts.reason:
        return [unknown(name, facts.reason.partition(":")[0])]
    note = "" if facts.user.startswith("the service") else f"; the service's own user was not tried: {SUDO}"
    return [ok(name, f"{facts.user} may talk to BlueZ{note}")]


def judge_adapter(facts: BluezFacts) -> list[Finding]:
    """Is there an adapter that can be used?"""
    if facts.virtual:
        return [ok("adapter", "the configuration asks for virtual locks, without Bluetooth (bluetooth.backend)")]
    if facts.available:
        return [ok("adapter", f"{facts.adapter} is there and powered")]
    if facts.reason == REFUSED:
        return [unknown("adapter", "D-Bus refuses access to BlueZ", SUDO)]
    sentence, _, cure = (facts.reason or "Bluetooth cannot be used").partition(": ")
    advice = cure or "docs/troubleshooting.md, No Bluetooth adapter, has each reason"
    return [problem("adapter", sentence, advice)]


# -- BlueZ's version --------------------------------------------------------------------------------------------------


@frozen
class VersionFacts:
    """The release of BlueZ that is installed, as it says, and its known faults here."""

    version: str
    faults: tuple[Fault, ...]


async def _look_version(place: Place) -> VersionFacts:
    if place.bluetooth().backend == "virtual":
        raise CouldNotLook("the virtual backend uses no BlueZ")
    said = (await place.run(["bluetoothctl", "--version"])).strip()
    version = version_in(said)
    if version is None:
        raise CouldNotLook("bluetoothctl does not tell its version")
    try:
        kernel = version_in(place.path("/proc/sys/kernel/osrelease").read_text())
    except OSError:
        kernel = None
    try:
        monitors = (await _bluez(place)).monitors
    except CouldNotLook:
        monitors = False
    return VersionFacts(f"{version[0]}.{version[1]}", tuple(faults_of(version, kernel, monitors=monitors)))


def judge_version(facts: VersionFacts) -> list[Finding]:
    """Which faults does this release have?"""
    if not facts.faults:
        return [ok("BlueZ", f"{facts.version} has no known fault that concerns the bridge")]
    told = "; ".join(f"{each.sentence} ({each.source})" for each in facts.faults)
    return [
        warning(
            "BlueZ",
            f"{facts.version} has known faults: {told}",
            "use a newer release of your system; until then a bluetoothd that dies is started again",
        )
    ]


# -- what starts bluetoothd again -------------------------------------------------------------------------------------


async def unit(place: Place, name: str, *properties: str) -> dict[str, str]:
    """Return properties of a unit of systemd; raises `CouldNotLook`."""
    if not place.has_systemd:
        raise CouldNotLook("systemd does not run here")
    said = await place.run(["systemctl", "show", name, *(f"--property={each}" for each in properties)])
    return {key: value for key, _, value in (line.partition("=") for line in said.splitlines())}


async def _look_restart(place: Place) -> dict[str, str]:
    if place.bluetooth().backend == "virtual":
        raise CouldNotLook("the virtual backend uses no bluetoothd")
    return await unit(place, "bluetooth.service", "LoadState", "ActiveState", "Restart", "NRestarts")


def judge_restart(facts: dict[str, str]) -> list[Finding]:
    """Is a bluetoothd that dies started again?"""
    name = "bluetoothd"
    if facts.get("LoadState") != "loaded":
        return [problem(name, "there is no bluetooth.service", "`sudo apt install bluez`")]
    if facts.get("ActiveState") != "active":
        state = facts.get("ActiveState") or "unknown"
        return [problem(name, f"bluetooth.service is {state}", "`sudo systemctl enable --now bluetooth`")]
    again = f", started again {facts['NRestarts']} times" if facts.get("NRestarts", "0") not in ("", "0") else ""
    if facts.get("Restart") not in RESTARTING:
        return [
            warning(
                name,
                f"bluetooth.service runs{again}; systemd leaves it dead if it dies (Restart={facts.get('Restart')})",
                "put the drop-in bluetooth.service.d/nuki-bridge.conf, which comes with nuki-bridge, into"
                " /etc/systemd/system, then `sudo systemctl daemon-reload`; until then the bridge has D-Bus start it",
            )
        ]
    return [ok(name, f"bluetooth.service runs{again}; systemd starts it again if it dies")]


CHECKS = (
    Check("D-Bus permission", "may the service's user talk to org.bluez", _bluez, judge_permission),
    Check("adapter", "is there a powered adapter", _bluez, judge_adapter),
    Check("BlueZ", "its version, and the faults that are known of it", _look_version, judge_version),
    Check("bluetoothd", "does systemd start it again when it dies", _look_restart, judge_restart),
)
