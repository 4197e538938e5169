"""The locks in use: which of the members run, over the adapter of the moment."""

from __future__ import annotations

import asyncio
import logging

from nuki_bridge.bluetooth.link import Radio
from nuki_bridge.bridge.adapter import Adapter
from nuki_bridge.bridge.info import Info
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.running_lock import Common, Given, RunningLock
from nuki_bridge.bridge.tasks import Tasks
from nuki_bridge.errors import StoreError

log = logging.getLogger(__name__)


class RunningLocks:
    """Starts and stops members; those that are not paired are published as such."""

    def __init__(self, members: Members, common: Common, adapter: Adapter, info: Info, tasks: Tasks) -> None:
        self.changing = asyncio.Lock()
        """Held while a lock is paired, or while another configuration is taken into use."""
        self._members = members
        self._common = common
        self._adapter = adapter
        self._info = info
        self._tasks = tasks

    def start(self, member: Member) -> None:
        """Publish what there is to say of a lock and, if it is paired, keep in touch with it from now on."""
        self._common.ports.changed()
        if member.paired is None or not self._tasks.running:
            self.show(member)
            return
        running = RunningLock(
            Given(member.name, member.paired, lambda: member.settings, member.pins),
            self._common,
            self._adapter.radio,
            on_paired=self._info.publish,
            on_other_kind=lambda: self._other_kind(member),
            on_refused=lambda: self._refused(member),
        )
        member.begin(running)
        running.begin(self._tasks)

    async def stop(self, member: Member) -> None:
        """Leave a lock alone: give up its commands, drop its link."""
        running = member.end()
        if running is not None:
            await running.stop()
        self._common.ports.changed()

    async def use_radio(self, radio: Radio) -> None:
        """Take another radio: every link is dropped, and made anew over that one."""
        for member in self._members:
            await self.stop(member)
        await self._adapter.use(radio)
        for member in self._members:
            self.start(member)

    def show(self, member: Member) -> None:
        """Publish what changed of a lock."""
        self._common.publisher.lock(member.name).update()

    def _other_kind(self, member: Member) -> None:
        if self._tasks.running:
            self._tasks.create(self._take_up_anew(member), f"take up {member.name} anew")

    async def _take_up_anew(self, member: Member) -> None:
        """Build a lock anew that has shown to be of another kind, which what stands on it was not made for."""
        async with self.changing:
            if member.lock is not None and member.lock.is_other_kind:
                await self.stop(member)
                self.start(member)
                self._info.publish()

    def _refused(self, member: Member) -> None:
        if self._tasks.running:
            self._tasks.create(self._settle(member), f"settle {member.name}")

    async def _settle(self, member: Member) -> None:
        """Take the lock with the authorization before this one, if it has said that it does not know this one."""
        async with self.changing:
            try:
                paired = member.running.former() if member.running is not None else None
            except StoreError as error:
                log.warning("%s: %s", member.name, error)
                return
            if paired is None:
                return
            await self.stop(member)
            member.paired = paired
            self.start(member)
            self._info.publish()
