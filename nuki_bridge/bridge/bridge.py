"""The bridge joins locks and topics: a lock's report in, topics out; what comes in is `intake.py`'s.

It is handed a way to publish and a radio, and knows neither paho nor BlueZ.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from nuki_bridge import __version__, logs
from nuki_bridge.bluetooth.nearby import NearbyDevices
from nuki_bridge.bridge import report, unproven
from nuki_bridge.bridge.equipment import Equipment
from nuki_bridge.bridge.floodgate import Floodgate, guest_filters
from nuki_bridge.bridge.intake import Intake
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.publisher import Publisher
from nuki_bridge.home_assistant.announced import Announced
from nuki_bridge.home_assistant.announcer import Announcer
from nuki_bridge.lock.lock import ConnectionMode, Lock
from nuki_bridge.owner import pin
from nuki_bridge.owner.lock_log import LogBook
from nuki_bridge.owner.users import Users
from nuki_bridge.sharing import invite_commands
from nuki_bridge.sharing.invitation_store import Invitation, Records
from nuki_bridge.sharing.invitations import Invitations
from nuki_bridge.sharing.invited_users import InvitedUsers
from nuki_bridge.sharing.relay import Relay
from nuki_bridge.topics import topics
from nuki_bridge.topics.topics import Publication
from nuki_bridge.watchdog import Watchdog

if TYPE_CHECKING:
    from nuki_bridge.bluetooth.link import Radio, RadioStatus
    from nuki_bridge.config import DiscoverySettings, Settings
    from nuki_bridge.mqtt.message import Incoming
    from nuki_bridge.protocol.advertisement import Sighting
    from nuki_bridge.protocol.messages import KeyturnerStates
    from nuki_bridge.protocol.session import Random
    from nuki_bridge.store import Store

log = logging.getLogger(__name__)

RESTART_S = 5.0
"""Before a task is started again that failed through a mistake of this program."""


async def _nothing_retained(_filters: list[str], _tell: Callable[[Incoming], None]) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Outside:
    """What the bridge needs of the world; all of it is handed in.

    `publish` tells whether the broker will get the message, `watch` subscribes to more topic filters on this connection
    and `unwatch` ends subscriptions, `protocol` is the MQTT version in use.  `clock` counts seconds through a suspend,
    on it stand the times of messages; `now` is the wall clock.  `simulate` controls virtual locks, where there are any.
    `fits` tells whether a message is small enough for the broker, as far as is known.
    `sweep` removes what is retained on topics that fit filters, tells of each message and gives their number.
    `changed` is told that a lock, its link or the adapter is not as it was, `watchdog` watches over each lock.
    """

    publish: Callable[[Publication], bool]
    watch: Callable[[Iterable[str]], None]
    unwatch: Callable[[Iterable[str]], None]
    protocol: Callable[[], str | None]
    restart: Callable[[], None]
    clock: Callable[[], float]
    now: Callable[[], datetime]
    random: Random
    hostname: str
    simulate: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    fits: Callable[[Publication], bool] = lambda publication: True
    changed: Callable[[], None] = lambda: None
    watchdog: Watchdog = field(default_factory=Watchdog)
    sweep: Callable[[list[str], Callable[[Incoming], None]], Awaitable[int]] = _nothing_retained


class Bridge:
    """All locks of this installation; `run` it, feed it with `handle` and `connection_changed`."""

    def __init__(self, settings: Settings, store: Store, radio: Radio, outside: Outside) -> None:
        self.settings = settings
        self.store = store
        self.radio = radio
        self.outside = outside
        self.base = settings.mqtt.base_topic
        self.members = Members(settings.locks, store.locks())
        self.nearby = NearbyDevices(outside.clock)
        installation = _installation(store.app_id())
        discovery = settings.mqtt.discovery
        self.announcer = Announcer(discovery, self.base, installation, Announced(store), outside.publish, outside.fits)
        self.publisher = Publisher(
            self.base,
            installation,
            secrets.token_hex(8),
            self.members,
            outside.publish,
            outside.clock,
            outside.now,
            self.announcer,
            outside.fits,
        )
        self.invitations = Invitations(
            Records(store),
            self.base,
            member_of=self.members.with_nuki_id,
            on_change=self._invitation_changed,
            clock=outside.clock,
            now=outside.now,
            random=outside.random,
        )
        self.floodgate = Floodgate(
            lambda: self.base,
            watch=outside.watch,
            unwatch=outside.unwatch,
            tell=partial(self.publisher.event, "bridge"),
            sweep=lambda filters: outside.sweep(filters, self.intake.swept),
            clock=outside.clock,
        )
        self.intake = Intake(self)
        self._tasks: asyncio.TaskGroup | None = None
        self._adapter_available: bool | None = None
        self._radio_task: asyncio.Task[None] | None = None
        self.radio_known = asyncio.Event()
        """Set once the radio has said for the first time whether there is an adapter."""
        self._started_at = outside.clock()
        self.pairing = asyncio.Lock()
        """Held while a lock is paired, or while another configuration is taken into use."""

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Talk to the locks until cancelled; afterwards no link is left."""
        self.invitations.load()
        self.announcer.start()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self.intake.tasks = self._tasks
                self.publish_info()  # first, because it names the locks whose topics follow
                for member in self.members:
                    self.start(member)
                work = self._again_and_again("the invitations", self.invitations.run)
                self._tasks.create_task(work, name="invitations")
                work = self._again_and_again("the floodgate", self.floodgate.run)
                self._tasks.create_task(work, name="floodgate")
                self.publisher.online()
                await self._run_radio()
        finally:
            self.publisher.disconnected()

    async def _run_radio(self) -> None:
        """Run the radio, and after `use_radio` the other one."""
        while True:
            radio = self.radio
            run = partial(radio.run, self._sighted, self._radio_changed)
            self._radio_task = asyncio.create_task(self._again_and_again("the radio", run), name="radio")
            try:
                await self._radio_task
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling() or radio is self.radio:
                    raise

    async def use_radio(self, radio: Radio) -> None:
        """Take another radio: every link is dropped, and made anew over that one."""
        for member in self.members:
            await self.stop(member)
        before, self.radio = self._radio_task, radio
        if before is not None:
            before.cancel()
            await asyncio.wait((before,))
        for member in self.members:
            self.start(member)

    def move(self, base: str) -> None:
        """Have all topics below another base topic, from the next connection on."""
        self.publisher.move(base)
        self.base = self.invitations.base = base

    def announce(self, settings: DiscoverySettings) -> None:
        """Announce everything to Home Assistant anew, with these settings and below the present base topic."""
        self.announcer.use(settings, self.base)
        for member in self.members:
            self.publisher.lock(member)
        if birth := self.announcer.birth_topic():
            self.outside.watch([birth])

    def filters(self) -> list[str]:
        """Topic filters to subscribe to at every connection; `outside.watch` is given more of them later."""
        commands = topics.command_filters(self.base, virtual=self.outside.simulate is not None)
        if not (self.floodgate.is_open and self.outside.protocol() == "5"):
            guests = guest_filters(self.base)
            commands = [each for each in commands if each not in guests]
        birth = self.announcer.birth_topic()
        return [*commands, f"{self.base}/bridge/info", *([birth] if birth else [])]

    def connection_changed(self, connected: bool) -> None:
        """The broker was found, with all `filters` subscribed, or lost: tell it everything anew."""
        self.outside.changed()
        if not connected:
            self.publisher.disconnected()
            self.intake.disconnected()
            return
        self.floodgate.connected(listening=self.outside.protocol() == "5")
        self.publish_info()
        self.publisher.connected()
        for member in self.members:
            if member.log_book is not None:
                member.log_book.schedule()
        self.outside.watch(self.publisher.watched())

    def too_large(self, topic: str) -> None:
        """It has just turned out that what was published on this topic is larger than the broker takes."""
        self.publisher.too_large(topic)

    async def leave(self) -> None:
        """Give up what is under way, with an answer, and publish that neither bridge nor locks can be reached."""
        await self.intake.leave()
        self.publisher.leave()

    def start(self, member: Member) -> None:
        """Publish what there is to say of a lock and, if it is paired, keep in touch with it from now on."""
        self.outside.changed()
        if member.paired is None or self._tasks is None:
            self.publisher.lock(member)
            return
        member.status_essence = None
        member.unproven = self.store.has_former(member.paired.name)
        lock = Lock(
            member.paired,
            self.radio,
            name=member.name,
            connection=ConnectionMode(member.connection),
            random=self.outside.random,
            clock=self.outside.clock,
            now=self.outside.now,
            on_states=lambda _lock, _before, states: self._reported(member, states),
            on_change=lambda _lock: self._changed(member),
            on_link=self.outside.changed,
            on_paired=lambda: self._paired_changed(member),
            states_every_s=member.states_every_s,
            heartbeat=self.outside.watchdog.heartbeat(f"lock {member.name}"),
        )
        member.begin(lock)
        member.equipment = Equipment(self.store, lambda: member.paired)
        member.admin = pin.admin_of(self, member, lock)
        users = member.users = Users(
            lock,
            member.admin,
            partial(self._users_changed, member),
            self.outside.now,
            InvitedUsers(self.invitations, lock),
        )
        log_book = member.log_book = LogBook(
            lock,
            member.admin,
            users,
            position=self.store.log_position(lock.paired),
            keep=lambda position: self.store.keep_log_position(lock.paired, position),
            tell=partial(self.publisher.event, member.name),
            remember=partial(self._remember, member),
            listening=lambda: self.outside.protocol() is not None,
        )
        relay = member.relay = Relay(
            lock, users, publish=self.outside.publish, refuse=self.intake.refuse, turn_away=self.intake.turn_away
        )
        self.publisher.lock(member)
        self._show_invitations(member)
        runs = (
            (member.name, lock.run),
            (f"the relay of {member.name}", relay.run),
            (f"the news of {member.name}", relay.news.run),
            (f"the users of {member.name}", users.run),
            (f"the log of {member.name}", log_book.run),
        )
        for what, run in runs:
            with logs.about(member.name):
                member.tasks.append(self._tasks.create_task(self._again_and_again(what, run), name=what))

    async def stop(self, member: Member) -> None:
        """Leave a lock alone: give up its commands, drop its link."""
        tasks = [*member.tasks, *member.commands]
        member.end()
        member.admin = member.relay = member.users = member.log_book = member.equipment = None
        member.tasks = []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.outside.watchdog.forget(f"lock {member.name}")
        self.outside.changed()

    async def _again_and_again(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run for ever: a mistake in one lock's code must not take the others down."""
        while True:
            try:
                await run()
            except Exception:
                log.exception("internal error: %s failed and is started again in %g s", what, RESTART_S)
            await asyncio.sleep(RESTART_S)

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return self.outside.clock() - self._started_at

    # -- told by the radio and the locks ------------------------------------------------------------------------------

    def _sighted(self, sighting: Sighting) -> None:
        self.nearby.hear(sighting)
        member = self.members.at(sighting.address)
        if member is not None and member.lock is not None:
            member.lock.sighted(sighting)

    def _radio_changed(self, status: RadioStatus) -> None:
        before, self._adapter_available = self._adapter_available, status.available
        self.radio_known.set()
        self.outside.changed()
        if status.available:
            log.info("Bluetooth adapter %s is ready", status.adapter)
        else:
            log.warning("Bluetooth cannot be used: %s", status.reason)
        if before is not None and before != status.available:
            found = {"type": "adapter_found", "adapter": status.adapter}
            lost = {"type": "adapter_lost", "reason": status.reason}
            self.publisher.event("bridge", found if status.available else lost)
        for member in self.members:
            if member.lock is not None:
                member.lock.radio_changed(status)
        self.publish_info()

    def _reported(self, member: Member, states: KeyturnerStates) -> None:
        if member.lock is None:
            return
        unproven.proven(self, member)
        self.publisher.lock(member)
        if member.users is not None and member.log_book is not None:
            member.users.wake()
            member.log_book.feed(states)
        if member.relay is not None:
            member.relay.news.look(states)

    def _remember(self, member: Member, event: dict[str, Any]) -> None:
        """The lock's log tells of its last action, in case nothing has happened since the start."""
        if member.last_action is None:
            self.publisher.last_action(member, event)

    def _invitation_changed(self, row: Invitation) -> None:
        member = self.members.with_nuki_id(row.nuki_id)
        if member is not None and member.lock is not None:
            self.publisher.news(member.name, invite_commands.event(row, member.lock))
            self._show_invitations(member)
            if member.users is not None:
                member.users.show()
                member.users.wake()

    def _users_changed(self, member: Member, users: list[dict[str, Any]]) -> None:
        self.publisher.users(member, users)
        if member.lock is not None:
            self._show_invitations(member)  # they tell of users, too

    def _show_invitations(self, member: Member) -> None:
        self.publisher.invitations(member, invite_commands.to_json(self, member))

    def _changed(self, member: Member) -> None:
        self.outside.changed()
        unproven.save(self, member)
        self.publisher.lock(member)
        if self._tasks is not None and unproven.is_due(member):
            self._tasks.create_task(unproven.settle(self, member), name=f"settle {member.name}")
        if member.lock is not None:
            self._show_invitations(member)
        if member.users is not None and member.log_book is not None:
            member.users.show()  # the lock's time zone may be another one
            member.users.wake()
            member.log_book.wake()

    def _paired_changed(self, member: Member) -> None:
        """The lock has shown its Nuki ID or another family."""
        member.unsaved = True
        if member.admin is not None:
            pin.warn_of_width(member.name, member.admin)
        self.publish_info()
        self._changed(member)

    # -- what there is to say -----------------------------------------------------------------------------------------

    def publish_info(self) -> None:
        """Publish `bridge/info` if it changed."""
        info = {
            "version": __version__,
            "adapter": self.adapter(),
            "mqtt_version": self.outside.protocol(),
            "locks": [self.summary(each) for each in self.members],
        }
        self.publisher.info(info)

    def adapter(self) -> dict[str, Any]:
        """The state of the Bluetooth adapter."""
        status = self.radio.status
        return {"name": status.adapter, "available": status.available, "reason": status.reason}

    def summary(self, member: Member) -> dict[str, Any]:
        """Which lock it is, for people and programs that choose one."""
        identity = report.identity(member.paired) if member.paired is not None else {"address": member.address}
        return {"name": member.name, **identity, "connection": member.connection, "paired": member.paired is not None}

    # -- told by the broker --------------------------------------------------------------------------------------------

    def handle(self, message: Incoming) -> None:
        """Take in one message; every answer comes later, by itself."""
        self.intake.handle(message)


def _installation(app_id: int) -> str:
    """What tells this installation from another one on the same broker, without giving the app ID away."""
    return sha256(b"nuki-bridge installation %d" % app_id).hexdigest()[:16]
