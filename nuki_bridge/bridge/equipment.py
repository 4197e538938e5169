"""What a lock was once seen to have: a door sensor, a keypad, a battery that it tells of.  It outlives a restart.

A sensor whose battery is empty is still there; what is told of it is for others.
"""

from __future__ import annotations

import logging
from typing import Final

from nuki_bridge.bridge import report
from nuki_bridge.errors import StoreError
from nuki_bridge.home_assistant.components import setting_trait
from nuki_bridge.lock.lock import Lock
from nuki_bridge.protocol.codes import DoorState
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.store import Store

log = logging.getLogger(__name__)

_NO_DOOR_SENSOR: Final = frozenset({None, DoorState.UNAVAILABLE, DoorState.DEACTIVATED})
"""States of a door without a sensor; they say nothing of a door that was seen before, whose sensor may be dead."""


def seen(lock: Lock) -> frozenset[str]:
    """Return what a lock's reports show, as traits, each setting that it has among them (`setting_trait`)."""
    states, config = lock.states, lock.config
    if states is None:
        return frozenset()
    there = {
        "voltage": lock.battery_report is not None,
        "keypad": config is not None and (config.has_keypad or bool(config.has_keypad_2)),
        "fob": config is not None and config.has_fob,
    }
    settings = [] if config is None else report.settings_of(config, lock.advanced_config)
    named = (name for name, is_there in there.items() if is_there)
    return frozenset((*map(setting_trait, settings), *named, *_shown_by(states)))


def _shown_by(states: States) -> list[str]:
    """Return the traits that a report of the states shows by itself."""
    there = {
        "door": states.door_state not in _NO_DOOR_SENSOR,
        "battery_level": states.battery_percent is not None,
        "charging": states.battery_charging is not None,
        "network": states.network is not None,
        "keypad_battery": states.keypad_battery_critical is not None,
        "door_sensor_battery": states.door_sensor_battery_critical is not None,
    }
    return [name for name, is_there in there.items() if is_there]


def denied(config: BasicConfig | None) -> frozenset[str]:
    """Return what the lock says it has not: only its configuration is so definite."""
    if config is None:
        return frozenset()
    keypad = () if config.has_keypad or config.has_keypad_2 else ("keypad", "keypad_battery")
    return frozenset((*keypad, *(() if config.has_fob else ("fob",))))


class Equipment:
    """The equipment of one lock, kept while it is paired."""

    def __init__(self, store: Store, lock: Lock) -> None:
        self._store = store
        self._lock = lock
        self._of: tuple[str, int] | None = None
        self._noted: object = None  # all that `traits` have been made of
        self._warned = False
        self.traits: frozenset[str] = frozenset()
        """What the lock has, as far as is known."""

    def note(self) -> None:
        """Take in what the lock has told; cheap if it is nothing new."""
        lock, paired, config = self._lock, self._lock.paired, self._lock.config
        shown = None if lock.states is None else _shown_by(lock.states)
        told = (paired.name, paired.nuki_id, config, lock.advanced_config, lock.battery_report is None, shown)
        if told == self._noted:
            return
        now = seen(lock)
        try:
            if self._of != (paired.name, paired.nuki_id):
                self.traits |= self._store.equipment(paired)
            traits = (self.traits | now) - (denied(config) - now)
            if traits != self.traits or self._of != (paired.name, paired.nuki_id):
                self.traits = traits
                self._store.keep_equipment(paired, traits)
                self._of = paired.name, paired.nuki_id
            self._noted = told
        except StoreError as error:
            self.traits |= now
            if not self._warned:
                log.warning("what %s has is not remembered: %s", paired.name, error)
            self._warned = True
