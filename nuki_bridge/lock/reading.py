"""What is read from a lock beside its states: its configuration, basic and advanced, and its battery.

Everything here goes over a link that is up, under this task's turn, and raises as `Exchange.ask`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from nuki_bridge.errors import LockError, ProtocolError
from nuki_bridge.lock.exchange import Exchange
from nuki_bridge.lock.profile import Profile
from nuki_bridge.lock.timetable import Timetable
from nuki_bridge.lock.turn import Challenges, with_challenge
from nuki_bridge.protocol.advanced_config import RequestAdvancedConfig
from nuki_bridge.protocol.codes import Command, ErrorCode
from nuki_bridge.protocol.common import AnyAdvancedConfig, BasicConfig
from nuki_bridge.protocol.messages import BatteryReport, RequestConfig, RequestData
from nuki_bridge.store import UNKNOWN_NUKI_ID

log = logging.getLogger(__name__)

NOT_NOW: Final = frozenset({ErrorCode.NOT_AUTHORIZED, ErrorCode.DISABLED, ErrorCode.BAD_NONCE, ErrorCode.BUSY})
"""Errors that say nothing about what the lock's firmware knows."""


async def config(exchange: Exchange, nuki_id: int, nonce: bytes) -> BasicConfig:
    """Return the basic configuration; raises `ProtocolError` if it is that of a lock with another Nuki ID."""
    found = await exchange.ask(RequestConfig(nonce=nonce), BasicConfig)
    if nuki_id not in (UNKNOWN_NUKI_ID, found.nuki_id):
        raise ProtocolError("the lock answered with another lock's configuration")
    return found


async def battery_report(exchange: Exchange) -> BatteryReport:
    """Return the battery report, which is about the last action."""
    return await exchange.ask(RequestData(wanted=Command.BATTERY_REPORT), BatteryReport)


class AdvancedReading:
    """Read the advanced configuration; firmware that has once refused that is not asked again."""

    def __init__(self, exchange: Exchange, name: str, profile: Profile) -> None:
        self._exchange = exchange
        self._name = name
        self._profile = profile
        self._refused_by: bytes | None = None  # the version of that firmware

    def has_none(self, basic: BasicConfig | None) -> bool:
        """Return whether the lock has none that we know; `basic` has the version of its firmware."""
        if not self._profile.has_advanced_config:
            return True
        return self._refused_by is not None and basic is not None and basic.firmware_version == self._refused_by

    async def read(self, basic: BasicConfig | None, nonce: bytes) -> AnyAdvancedConfig | None:
        """Return the advanced configuration, None if the lock turns out to have none."""
        try:
            return await self._exchange.ask(RequestAdvancedConfig(nonce=nonce), AnyAdvancedConfig)
        except LockError as error:
            if error.number in NOT_NOW:
                raise
            log.info("%s has no advanced configuration to read: %s", self._name, error)
            self._refused_by = None if basic is None else basic.firmware_version
            return None


class ConfigReading:
    """Read both configurations with fresh challenges, and take note of it in the timetable (`due`)."""

    def __init__(
        self,
        exchange: Exchange,
        due: Timetable,
        name: str,
        profile: Profile,
        *,
        nuki_id: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._exchange = exchange
        self._due = due
        self._nuki_id = nuki_id
        self._advanced = AdvancedReading(exchange, name, profile)
        self._clock = clock

    async def basic(self, challenge: Challenges, deadline: float) -> BasicConfig:
        """Return the basic configuration; a command that the lock did not take is sent again until `deadline`."""
        found = await with_challenge(self._ask_basic, challenge, self._clock, deadline)
        self._due.config_read()
        return found

    async def _ask_basic(self, nonce: bytes) -> BasicConfig:
        return await config(self._exchange, self._nuki_id(), nonce)

    async def advanced(
        self, basic: BasicConfig | None, challenge: Challenges, deadline: float
    ) -> AnyAdvancedConfig | None:
        """Return the advanced configuration, likewise; None if the lock has none."""
        found = None
        if not self._advanced.has_none(basic):
            found = await with_challenge(partial(self._advanced.read, basic), challenge, self._clock, deadline)
        self._due.advanced_read()
        return found
