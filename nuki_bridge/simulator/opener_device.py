"""What a virtual Opener knows beside what every device does: its settings."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any

from nuki_bridge.protocol.codes import IdType, OpenerAction, name_of, open_enum
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.opener_settings import OpenerAdvancedSettings, OpenerSettings

OPENER_ACTIONS = (
    OpenerAction.ACTIVATE_RTO,
    OpenerAction.DEACTIVATE_RTO,
    OpenerAction.OPEN,
    OpenerAction.ACTIVATE_CONTINUOUS_MODE,
    OpenerAction.DEACTIVATE_CONTINUOUS_MODE,
)
"""What an Opener can do."""


class OpenerDevice(Device):
    """The memory of an Opener."""

    settings: OpenerSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `Device`, with the family of an Opener."""
        super().__init__(*args, **kwargs)
        self.advanced = OpenerAdvancedSettings()

    def _first_settings(self) -> OpenerSettings:
        return OpenerSettings(name=self.name)

    def met(self, authorization: StoredEntry) -> None:
        """Set the beacon's bit for an app, unless this Opener does not."""
        if authorization.id_type == IdType.APP and self.behaviour.app_sets_bit:
            self.changed()

    def action_name(self, number: int) -> str:
        """Return the name of an Opener's action, for the audit trail."""
        return name_of(open_enum(OpenerAction, number))

    def _planned_actions(self) -> Collection[enum.IntEnum]:
        return OPENER_ACTIONS

    def log_action(
        self,
        action: int,
        trigger: int,
        completion: int,
        *,
        by: StoredEntry | None = None,
        suffix: str | None = None,
        flags: int = 0,
    ) -> None:
        """Write an action into the log; switching a mode has no entry, unless `Behaviour.logs_modes`."""
        if action not in OPENER_ACTIONS or action == OpenerAction.OPEN or self.behaviour.logs_modes:
            super().log_action(action, trigger, completion, by=by, suffix=suffix, flags=flags)
