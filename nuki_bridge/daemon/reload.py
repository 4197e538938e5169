"""SIGHUP: the configuration is read again, and only what changed in it is done anew.

A lock whose settings stay the same keeps its link, also through another broker; only another adapter drops them all.  A
configuration with mistakes changes nothing.  `bridge/bridge.py` knows how each change is made.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from nuki_bridge import logs
from nuki_bridge.config import MqttSettings, Settings
from nuki_bridge.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from nuki_bridge.bluetooth.link import Radio
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.members import Member, Reconfigured
    from nuki_bridge.config import LockSettings
    from nuki_bridge.daemon.broker import Broker

log = logging.getLogger(__name__)

FAREWELL_S = 1.0
"""Longest wait in seconds for the broker that is left to take the last messages."""


class Reload:
    """`run` it and call `ask` for each SIGHUP.

    `read` gives the configuration anew, `new_radio` the radio of its adapter, `notify` tells systemd.
    """

    def __init__(
        self,
        read: Callable[[], Settings],
        bridge: Bridge,
        broker: Broker,
        *,
        new_radio: Callable[[Settings], Radio],
        notify: Callable[[str], None],
    ) -> None:
        self.refused = False
        """The last configuration that was read had mistakes; the one before it is in use."""
        self._read = read
        self._bridge = bridge
        self._broker = broker
        self._new_radio = new_radio
        self._notify = notify
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read the configuration again, soon."""
        self._asked.set()

    async def run(self) -> None:
        """Reload at each signal, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                await self._once()
            except Exception:
                log.exception("internal error: the configuration could not be taken into use")
            self._notify("READY=1")
            self._bridge.ports.changed()

    async def _once(self) -> None:
        before = self._bridge.settings.path
        try:
            new = self._read()
            if before is not None and new.path is None:  # all defaults: right at a start, a mishap now
                raise ConfigError([f"{before}: there is no such file any more"])
        except ConfigError as error:
            self.refused = True
            for mistake in error.mistakes:
                log.error("%s", mistake)
            log.error("the configuration has mistakes; the one before stays in use")
            return
        self.refused = False
        for warning in new.warnings:
            log.warning("%s", warning)
        if self._bridge.pairing.locked():
            log.info("the configuration has been read again; it is taken into use when the pairing is over")
        try:
            async with self._bridge.pairing:
                changes = await self.apply(new)
        except StoreError as error:
            log.error("the configuration cannot be taken into use: %s", error)
            return
        log.info("the configuration has been read again: %s", "; ".join(changes) or "nothing changed")

    async def apply(self, new: Settings) -> list[str]:
        """Take these settings into use; gives what changed, in words without values.  Raises `StoreError`."""
        bridge, old = self._bridge, self._bridge.settings
        paired = bridge.store.locks()  # before anything is changed: it may fail
        new = _what_can_change(old, new)
        changes = [f"{name} changed" for name in ("log_level",) if getattr(old, name) != getattr(new, name)]
        logs.set_level(new.log_level)
        bridge.use(new)
        changes += await self._locks(bridge.members.reconfigure(new.locks, paired))
        if new.bluetooth != old.bluetooth:
            changes.append("another adapter")
            await bridge.use_radio(self._new_radio(new))
        if new.mqtt != old.mqtt:
            changes.append("mqtt changed")
            await self._mqtt(old.mqtt, new.mqtt)
        bridge.publish_info()
        return changes

    # -- locks --------------------------------------------------------------------------------------------------------

    async def _locks(self, found: Reconfigured) -> list[str]:
        bridge = self._bridge
        for member in found.gone:
            await bridge.stop(member)
            bridge.publisher.clear(member.name)
        bridge.publish_info()  # before their topics
        for member in found.come:
            bridge.start(member)
        changes = [f"{each.name} is gone" for each in found.gone] + [f"{each.name} is new" for each in found.come]
        for member, before in found.kept:
            if words := _differences(before, member.settings):
                changes.append(f"{member.name}: {words}")
                self._change(member, before)
        return changes

    def _change(self, member: Member, before: LockSettings | None) -> None:
        """Take another PIN, other actions or another way to keep in touch; none of them costs the link."""
        if member.running is None:
            self._bridge.publisher.lock(member.name).update()
        else:
            another_pin = (before and before.pin) != (member.settings and member.settings.pin)
            member.running.reconfigured(another_pin=another_pin)

    # -- the broker ---------------------------------------------------------------------------------------------------

    async def _mqtt(self, old: MqttSettings, new: MqttSettings) -> None:
        bridge = self._bridge
        if replace(old, discovery=new.discovery, public_url=new.public_url) != new:
            if old.base_topic != new.base_topic:
                bridge.move(new.base_topic)
            else:
                bridge.publisher.farewell()
            await bridge.served.farewell()
            await self._broker.drain(FAREWELL_S)
            self._broker.change(new)
            bridge.served.renew()
        if (old.base_topic, old.discovery) != (new.base_topic, new.discovery):
            bridge.announce(new.discovery)


def _what_can_change(old: Settings, new: Settings) -> Settings:
    """Return `new` with what cannot be changed while the daemon runs as it was; say so in the log."""
    backend = old.bluetooth.backend
    for name, before, after in (
        ("state_dir", old.state_dir, new.state_dir),
        ("bluetooth.backend", backend, new.bluetooth.backend),
    ):
        if before != after:
            log.warning("%s: a change takes effect when nuki-bridge is started again", name)
    return replace(new, state_dir=old.state_dir, bluetooth=replace(new.bluetooth, backend=backend))


def _differences(before: LockSettings | None, after: LockSettings | None) -> str:
    """Return the keys that differ, without their values."""
    if before is None or after is None:
        return "" if before is after else ("an entry was added" if before is None else "its entry was removed")
    names = [each.name for each in fields(after) if getattr(before, each.name) != getattr(after, each.name)]
    return f"{', '.join(names)} changed" if names else ""
