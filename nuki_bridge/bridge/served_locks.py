"""Which locks the bridge plays by Nuki's own MQTT API, and how that is joined with the rest of it.

A lock is played while it is paired and its configuration says `official_api: serve`, whether or not it is reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from enum import IntEnum
from typing import Any

from nuki_bridge import logs
from nuki_bridge.bridge.intake import Asker
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.bridge.running_lock import RunningLock
from nuki_bridge.bridge.tasks import Tasks, again_and_again
from nuki_bridge.errors import NukiError, RequestError, StoreError
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.nuki_mqtt.codes import spelled
from nuki_bridge.nuki_mqtt.served_lock import ServedLock, every_topic
from nuki_bridge.nuki_mqtt.served_needs import NewClient
from nuki_bridge.nuki_mqtt.served_record import ServedRecord
from nuki_bridge.store import UNKNOWN_NUKI_ID
from nuki_bridge.topics.topics import Publication

log = logging.getLogger(__name__)

LEAVE_S = 0.3
"""Longest wait in seconds for the broker to take the last messages of one lock."""
WILL_S = 30.0
"""Seconds within which the broker publishes the will of a connection that broke."""

Take = Callable[[str, Incoming, Callable[[], IntEnum], Asker], None]
"""Takes in a command for the lock of a name."""


class ServedLocks:
    """Those of one bridge; `take` carries out what they are asked for, `record` outlives this process."""

    def __init__(self, members: Members, tasks: Tasks, ports: Ports, record: ServedRecord, *, take: Take) -> None:
        self._members = members
        self._tasks = tasks
        self._ports = ports
        self._record = record
        self._take = take
        self._served: dict[int, ServedLock] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._foreign: set[int] = set()
        """Locks that speak for themselves, which are played no more in this process."""
        self._has_left = False

    # -- which --------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Begin with the locks that are to be played now, and end with all others."""
        new_client = self._ports.new_client
        if new_client is None or self._has_left or not self._tasks.running:
            return
        wanted = {nuki_id for member in self._members if (nuki_id := _wanted(member)) is not None}
        self._foreign &= wanted  # whoever switches it off and on again wants another try
        for nuki_id in self._served.keys() - wanted:
            self._end(nuki_id, self._cleared)
        for nuki_id in wanted - self._served.keys() - self._foreign:
            self._begin(nuki_id, new_client)
        for each in self._served.values():
            each.update()

    def _begin(self, nuki_id: int, new_client: NewClient) -> None:
        house = _House(nuki_id, self._members, self._ports, self._take, settled=self._note, foreign=self._is_foreign)
        is_ours = nuki_id in self._recorded()
        served = self._served[nuki_id] = ServedLock(nuki_id, house, new_client, is_ours=is_ours)
        self._run(nuki_id, served)

    def _run(self, nuki_id: int, served: ServedLock) -> None:
        what = f"Nuki's own MQTT API for {spelled(nuki_id)}"
        with logs.about(self._name(nuki_id)):
            self._running[nuki_id] = self._tasks.create(again_and_again(what, served.client.run), name=what)

    def _end(self, nuki_id: int, afterwards: Callable[[int, bool], None]) -> None:
        """Play a lock no more; `afterwards` is called when its connection is over, with whether it was up."""
        served, running = self._served.pop(nuki_id), self._running.pop(nuki_id)
        was_connected = served.client.connected
        served.end()
        running.cancel()
        running.add_done_callback(lambda _: afterwards(nuki_id, was_connected))

    def _is_foreign(self, nuki_id: int, why: str) -> None:
        """A device plays itself: leave its topics alone."""
        if nuki_id not in self._served:
            return
        log.warning(
            "%s (%s) is not served by Nuki's own MQTT API any more: %s; use official_api: listen, or switch that off",
            self._name(nuki_id),
            spelled(nuki_id),
            why,
        )
        self._foreign.add(nuki_id)
        self._end(nuki_id, lambda nuki_id, _: self._forget(nuki_id))

    # -- what is retained ---------------------------------------------------------------------------------------------

    def _recorded(self) -> Collection[int]:
        try:
            return self._record.nuki_ids()
        except StoreError as error:
            log.warning("which locks were served by Nuki's own MQTT API is not known: %s", error)
            return ()

    def _note(self, nuki_id: int) -> None:
        try:
            self._record.add(nuki_id)
        except StoreError as error:
            log.warning("%s: what it retains by Nuki's own MQTT API is not remembered: %s", self._name(nuki_id), error)

    def _forget(self, nuki_id: int) -> None:
        try:
            self._record.remove(nuki_id)
        except StoreError as error:
            log.warning("%s: that it is served no more is not remembered: %s", self._name(nuki_id), error)

    def connected(self) -> None:
        """Clear what locks have left that are served no more; the broker is there."""
        for nuki_id in self._recorded():
            self._clear(nuki_id)

    def _cleared(self, nuki_id: int, was_connected: bool) -> None:
        if self._has_left:
            return
        self._clear(nuki_id)
        if not was_connected and self._tasks.running:
            self._tasks.create(self._clear_later(nuki_id), f"clear {spelled(nuki_id)}")

    async def _clear_later(self, nuki_id: int) -> None:
        """Clear once more what the will of a broken connection has set meanwhile."""
        await asyncio.sleep(WILL_S)
        self._clear(nuki_id)

    def _clear(self, nuki_id: int) -> None:
        """Clear the topics of a lock that is played no more; without a broker the next connection is an occasion."""
        if nuki_id in self._served or nuki_id in self._foreign or self._is_wanted(nuki_id):
            return
        topics = every_topic(nuki_id)
        went = [self._ports.publish(Publication(each, b"", retain=True)) for each in topics]
        if all(went):
            self._forget(nuki_id)

    # -- told by the bridge -------------------------------------------------------------------------------------------

    def updated(self, name: str) -> None:
        """A lock is not as it was."""
        if (served := self._of(name)) is not None:
            served.update()

    def happened(self, name: str, event: Mapping[str, Any]) -> None:
        """An event of a lock has been told."""
        if (served := self._of(name)) is not None:
            served.happened(event)

    def begun(self, name: str, action: int) -> None:
        """A lock says that it carries out an action that came on a topic of ours."""
        if (served := self._of(name)) is not None:
            served.begun(action, by_api=False)

    def renew(self) -> None:
        """Connect to the broker of the settings, which are others now."""
        for nuki_id, served in self._served.items():
            self._running.pop(nuki_id).cancel()
            served.renew()
            self._run(nuki_id, served)

    async def farewell(self) -> None:
        """Say of each lock that it cannot be reached, to a broker that is going to be left for another."""
        await asyncio.gather(*(each.farewell(LEAVE_S) for each in self._served.values()))

    async def leave(self) -> None:
        """Say of each lock that it cannot be reached, and nothing from then on."""
        self._has_left = True
        await self.farewell()
        for each in self._served.values():
            each.end()

    # -- asked by the locks -------------------------------------------------------------------------------------------

    def _of(self, name: str) -> ServedLock | None:
        if not self._served:
            return None
        member = self._members.get(name)
        return self._served.get(member.paired.nuki_id) if member is not None and member.paired is not None else None

    def _member(self, nuki_id: int) -> Member | None:
        return self._members.with_nuki_id(nuki_id)

    def _name(self, nuki_id: int) -> str:
        member = self._member(nuki_id)
        return spelled(nuki_id) if member is None else member.name

    def _is_wanted(self, nuki_id: int) -> bool:
        member = self._member(nuki_id)
        return member is not None and _wanted(member) is not None


class _House:
    """The bridge as the served lock of that Nuki ID has it, whatever its name is, and whether or not it is in use."""

    def __init__(
        self,
        nuki_id: int,
        members: Members,
        ports: Ports,
        take: Take,
        *,
        settled: Callable[[int], None],
        foreign: Callable[[int, str], None],
    ) -> None:
        self._nuki_id = nuki_id
        self._members = members
        self._take = take
        self._settled = settled
        self._foreign = foreign
        self.clock = ports.clock
        self.now = ports.now

    def _member(self) -> Member | None:
        return self._members.with_nuki_id(self._nuki_id)

    def shown(self) -> RunningLock | None:
        """Return the lock while it is in use."""
        member = self._member()
        return None if member is None else member.running

    def announced(self) -> bool:
        """Return whether it announces itself to Home Assistant."""
        member = self._member()
        return member is not None and member.settings is not None and member.settings.official_discovery

    def check(self, action: int) -> None:
        """Raise `RequestError` for an action that the configuration does not allow."""
        member = self._member()
        if member is not None:
            member.check_allowed(action)

    def take(
        self,
        message: Incoming,
        read: Callable[[], IntEnum],
        begun: Callable[[], None],
        ended: Callable[[NukiError | None], None],
    ) -> None:
        """Take a message as a command."""
        member = self._member()
        if member is None:
            ended(RequestError("not_paired", "there is no such lock any more"))
        else:
            self._take(member.name, message, read, Asker(begun, ended))

    def settled(self) -> None:
        """Take note that nobody else is there."""
        self._settled(self._nuki_id)

    def foreign(self, why: str) -> None:
        """Take note that somebody else is."""
        self._foreign(self._nuki_id, why)


def _wanted(member: Member) -> int | None:
    """Return the Nuki ID of a lock that is to be played, None for others."""
    if member.settings is None or member.settings.official_api != "serve" or member.paired is None:
        return None
    return member.paired.nuki_id if member.paired.nuki_id != UNKNOWN_NUKI_ID else None
