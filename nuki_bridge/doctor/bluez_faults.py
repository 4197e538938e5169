"""Faults of BlueZ's releases that a bridge meets, as other projects have reported them; each names where."""

from __future__ import annotations

import re

from nuki_bridge.records import frozen

Version = tuple[int, int]

KERNELS_WITHOUT_EVENTS = ((5, 12), (5, 17))
"""First and last kernel that offers advertisement monitors without the events that BlueZ then waits for."""


@frozen
class Fault:
    """A fault in the releases from `first` to `last`; `monitors`: only of passive scanning (`bluetoothd -E`)."""

    first: Version
    last: Version
    sentence: str
    source: str
    monitors: bool = False
    kernels: tuple[Version, Version] | None = None


FAULTS = (
    Fault((0, 0), (5, 54), "bleak, which this program stands on, supports 5.55 and later", "hbldh/bleak, README"),
    Fault((5, 62), (5, 62), "it leaves D-Bus and ends when a link was lost", "bluez/bluez issues 219 and 235"),
    Fault(
        (5, 63),
        (5, 64),
        "passive scanning hears nothing with kernels from 5.12 to 5.17",
        "bluez/bluez issue 357",
        monitors=True,
        kernels=KERNELS_WITHOUT_EVENTS,
    ),
    Fault((5, 64), (5, 64), "it can die when a link is lost while it subscribes", "bluez/bluez issue 363"),
    Fault((5, 66), (5, 66), "it can die of a lock that does not answer", "tests of this project, with Debian's 5.66"),
    Fault((5, 66), (5, 66), "it has been seen to die after a link was dropped", "bluez/bluez issue 1781"),
    Fault((5, 69), (5, 70), "passive scanning hears no lock", "bluez/bluez issue 652", monitors=True),
    Fault((5, 85), (5, 85), "it has been seen to die after a link was dropped", "bluez/bluez issue 1781"),
    Fault(
        (5, 87),
        (5, 87),
        "any program on this machine that scans with a filter of services kills it",
        "bluez/bluez issue 2282",
    ),
    Fault((5, 87), (5, 87), "it can die when a device is removed", "bluez/bluez issue 2221"),
)
"""All of them, by their first release; docs/troubleshooting.md has the same table."""


def version_in(text: str) -> Version | None:
    """Return the version in what a program of BlueZ or the kernel says of itself, such as `bluetoothctl: 5.82`."""
    found = re.search(r"(\d{1,3})\.(\d{1,3})", text)
    return (int(found[1]), int(found[2])) if found else None


def faults_of(version: Version, kernel: Version | None, *, monitors: bool) -> list[Fault]:
    """Return the faults that this release has here; `monitors`: passive scanning is in use."""
    return [
        each
        for each in FAULTS
        if each.first <= version <= each.last
        and (monitors or not each.monitors)
        and (each.kernels is None or (kernel is not None and each.kernels[0] <= kernel <= each.kernels[1]))
    ]
