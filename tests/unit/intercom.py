"""A house with an Opener at its intercom: the whole bridge on virtual time, and what the bell and the strike did."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.protocol.codes import Family
from nuki_bridge.simulator.behaviour import Behaviour, seeded
from nuki_bridge.simulator.lock import virtual_device
from nuki_bridge.simulator.radio import VirtualRadio
from tests.unit.house import House
from tests.unit.rig import clock, now

OPENER = "54:D2:72:4E:5F:60"
PIN = "1234"
SETTINGS = LockSettings("hall", OPENER)
"""Those of an Opener without its PIN."""
WITH_PIN = replace(SETTINGS, pin=Secret(PIN))
"""And with it."""


class Intercom(House):
    """The house, with its Opener in range."""

    def __init__(self, directory: Path, settings: LockSettings = SETTINGS, **behaviour: Any) -> None:
        super().__init__(directory, settings)
        self.opener: Any = virtual_device(
            OPENER,
            0x4E5F6071,
            family=Family.OPENER,
            pin=int(PIN),
            behaviour=Behaviour(**behaviour),
            random=seeded(5),
        )
        self.radio = VirtualRadio([self.opener], clock=now)

    def again(self) -> Intercom:
        """The next run of the same installation."""
        other = Intercom(self.settings.state_dir)
        other.settings, other.opener, other.radio = self.settings, self.opener, self.radio
        return other

    async def paired(self) -> None:
        """Pair with the Opener and let everything that is due at the start be done."""
        self.opener.hold_button()
        answer = await self.ask("bridge/request/pair", {"address": OPENER, "name": "hall"})
        assert answer["status"] == "ok", answer
        await asyncio.sleep(20)

    async def do(self, action: str | dict[str, Any], wait_s: float = 60.0) -> dict[str, Any]:
        """Ask for an action and return its result."""
        return await self.ask("hall/set", action, wait_s)

    def strikes(self) -> int:
        """How often the strike acted."""
        return len(self.opener.movements())

    def sent(self) -> int:
        """How many lock actions reached the Opener, carried out or not."""
        return sum(
            entry.what in ("action_received", "action_refused") and entry.command is not None
            for entry in self.opener.audit
        )

    def rings(self) -> list[dict[str, Any]]:
        """Every ring that was told."""
        return [each for each in self.events("hall/event") if each["type"] == "ring"]

    def actions(self) -> list[dict[str, Any]]:
        """Every lock action that was told."""
        return [each for each in self.events("hall/event") if each["type"] == "lock_action"]

    def state(self) -> tuple[str, str]:
        """What is retained of it: its state, and whether continuous mode is on."""
        return self.retained["nuki/hall/state"], self.retained["nuki/hall/continuous_mode"]

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.retained["nuki/hall/status"])
        return told


__all__ = ["OPENER", "PIN", "SETTINGS", "WITH_PIN", "Intercom", "clock"]
