"""A paired lock in use: what stands on it, built and joined in one place, run and stopped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from nuki_bridge import logs
from nuki_bridge.bluetooth.link import Radio
from nuki_bridge.bridge.answers import Answers
from nuki_bridge.bridge.equipment import Equipment
from nuki_bridge.bridge.lanes import CommandQueue
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.bridge.publisher import Publisher
from nuki_bridge.bridge.tasks import Tasks
from nuki_bridge.bridge.unproven import Unproven
from nuki_bridge.config import LockSettings
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.battery_watch import BatteryWatch
from nuki_bridge.lock.known_pin import KnownPin
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import Outcome
from nuki_bridge.lock.profile import Profile, profile_of
from nuki_bridge.lock.rings import Rang
from nuki_bridge.nuki_mqtt.hybrid import Hybrid, Ways
from nuki_bridge.nuki_mqtt.vendor_topics import VendorTopics
from nuki_bridge.owner.battery_history import BatteryDays, BatteryHistory
from nuki_bridge.owner.clock_keeper import ClockKeeper
from nuki_bridge.owner.keypad_list import KeypadList
from nuki_bridge.owner.lock_log import LogBook
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.owner.pin import PinKeeper, pin_to_use
from nuki_bridge.owner.refused_pins import Refusals, RefusedPins
from nuki_bridge.owner.users import Users
from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.common import States
from nuki_bridge.records import frozen
from nuki_bridge.sharing.invitation_store import Invitation
from nuki_bridge.sharing.invitations import Invitations
from nuki_bridge.sharing.invite_commands import InviteCommands
from nuki_bridge.sharing.invited_users import InvitedUsers
from nuki_bridge.sharing.relay import Relay
from nuki_bridge.store import PairedLock, Store

log = logging.getLogger(__name__)


@frozen
class Common:
    """What all locks of a bridge have in common."""

    ports: Ports
    store: Store
    publisher: Publisher
    invitations: Invitations
    invite_commands: InviteCommands
    answers: Answers
    vendor_topics: VendorTopics


@frozen
class Given:
    """What a lock is known by: `settings` gives what the configuration says of it now, `pins` are those it refused."""

    name: str
    paired: PairedLock
    settings: Callable[[], LockSettings | None]
    pins: RefusedPins


def connection_of(settings: LockSettings | None, profile: Profile) -> ConnectionMode:
    """Return how a lock of that kind is kept in touch with."""
    configured = settings.connection if settings is not None else None
    return ConnectionMode(configured or profile.connection)


def allowed_of(settings: LockSettings | None, profile: Profile) -> Collection[int] | None:
    """Return the actions of a lock of that kind that MQTT may ask for; None for all."""
    if settings is None or settings.actions is None:
        return None
    return {action for word in settings.actions if (action := profile.names.find(word)) is not None}


def warn(name: str, settings: LockSettings | None, profile: Profile) -> None:
    """Warn of what the configuration says of a lock and does not suit its kind."""
    if settings is None:
        return
    if profile.rings and settings.connection == "persistent":
        log.warning(
            "%s: connection: persistent keeps a link to %s, which tells of no ring and lets nobody else in meanwhile, "
            "and empties its batteries; leave it out",
            name,
            profile.kind,
        )
    if profile.rings and settings.official_api == "listen":
        log.warning("%s: official_api: listen has no effect: %s has no MQTT API of its own", name, profile.kind)
    for word in sorted(settings.actions or ()):
        if profile.names.find(word) is None:
            log.warning("%s: actions allows %s, which %s does not have", name, word, profile.kind)


def configured_pin(settings: LockSettings | None) -> str | None:
    """Return the security PIN of the configuration."""
    return settings.pin.reveal() if settings is not None and settings.pin is not None else None


class RunningLock:
    """One lock with its owner's commands, its topics and its guests; `begin` has it run, `stop` ends it.

    `on_paired` is told that its Nuki ID or family became known, `on_other_kind` that it is of another kind than it was
    taken for, `on_refused` that it does not know an authorization which took the place of another one.  Raises
    `StoreError` if something of it cannot be read.
    """

    def __init__(
        self,
        given: Given,
        common: Common,
        radio: Radio,
        *,
        on_paired: Callable[[], None],
        on_other_kind: Callable[[], None],
        on_refused: Callable[[], None],
    ) -> None:
        self._given = given
        self._common = common
        self._on_paired = on_paired
        self._on_other_kind = on_other_kind
        self._on_refused = on_refused
        self.topics = common.publisher.lock(given.name)
        self.commands: set[asyncio.Task[None]] = set()
        """Under way, or waiting for their turn."""
        self.line = CommandQueue()
        """Where its commands wait to be handed to it."""
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        lock = self._lock = self._made(radio)
        self._unproven = Unproven(common.store, lock)
        self.equipment = Equipment(common.store, lock)
        self.owned = self._owned(lock)
        self._hybrid: Hybrid | None = None
        self._battery = BatteryWatch(lock, self.owned.admin, self.topics.update)
        answers = common.answers
        self.relay = Relay(
            lock,
            self.owned.users,
            publish=common.ports.publish,
            refuse=answers.refuse,
            turn_away=answers.turn_away,
        )

    def _made(self, radio: Radio) -> Lock:
        given, ports, settings = self._given, self._common.ports, self._given.settings()
        given.pins.recall(self._common.store, given.paired, ports.clock, ports.now())
        digits = pin_to_use(configured_pin(settings), given.paired, self._common.store)
        return Lock(
            given.paired,
            radio,
            name=given.name,
            connection=connection_of(settings, profile_of(given.paired.family)),
            random=ports.random,
            clock=ports.clock,
            now=ports.now,
            on_states=self._reported,
            on_change=self._changed,
            on_ring=self._rang,
            on_link=ports.changed,
            on_paired=self._shown,
            states_every_s=settings.states_every if settings is not None else None,
            heartbeat=ports.watchdog.heartbeat(f"lock {given.name}"),
            pin=KnownPin(
                digits,
                self._family,
                refused=given.pins.has(digits, ports.clock()),
                on_refused=self._pin_refused,
                settle=self._settle_pin,
            ),
        )

    def _owned(self, lock: Lock) -> OwnedLock:
        given, ports, store = self._given, self._common.ports, self._common.store
        admin = Admin(lock)
        users = Users(lock, admin, self._users_changed, ports.now, InvitedUsers(self._common.invitations, lock))
        return OwnedLock(
            lock=lock,
            admin=admin,
            users=users,
            keypad=KeypadList(lock, admin, self.topics.keypad),
            log_book=LogBook(
                lock,
                admin,
                users,
                position=store.log_position(lock.paired),
                keep=self._keep_position,
                tell=self._tell,
                remember=self._remember,
                listening=self._is_listening,
                rings=self._tells_rings,
            ),
            pin=PinKeeper(
                lock,
                admin,
                Refusals(given.pins, store, lock, ports.now),
                store,
                configured=self._configured_pin,
                changed=self._pin_changed,
            ),
            clock=ClockKeeper(lock, admin, ports.now, ports.synchronized, self.topics.update),
            battery=BatteryHistory(lock, BatteryDays(store), ports.now),
        )

    # -- life ---------------------------------------------------------------------------------------------------------

    def begin(self, tasks: Tasks) -> None:
        """Publish what there is to say and keep in touch with the lock from now on."""
        warn(self._given.name, self._given.settings(), self._lock.profile)
        self.topics.begin(self)
        self.topics.update()
        self._show_invitations()
        name, owned = self._given.name, self.owned
        runs = (
            (name, owned.lock.run),
            (f"the relay of {name}", self.relay.run),
            (f"the news of {name}", self.relay.news.run),
            (f"the users of {name}", owned.users.run),
            (f"the keypad of {name}", owned.keypad.run),
            (f"the log of {name}", owned.log_book.run),
            (f"the battery of {name}", self._battery.run),
            (f"the clock of {name}", owned.clock.run),
        )
        for what, run in runs:
            with logs.about(name):
                self._tasks.append(tasks.keep_up(what, run))
        self._listen()

    def _listen(self) -> None:
        """Listen to the lock's own MQTT API if the configuration says so, or end that."""
        settings = self._given.settings()
        wanted = settings is not None and settings.official_api == "listen" and not self._lock.profile.rings
        if wanted and not self._stopped and self._hybrid is None:
            ports, publisher = self._common.ports, self._common.publisher
            ways = Ways(ports.publish, ports.protocol, self._tell, self.topics.update, publisher.is_announcing)
            self._hybrid = Hybrid(self.owned, self._common.vendor_topics, ways)
            self._hybrid.begin()
        elif not wanted and self._hybrid is not None:
            self._hybrid.end()
            self._hybrid = None
            self.topics.update()

    async def perform(
        self,
        action: int,
        timeout_s: float,
        *,
        suffix: str | None = None,
        only_if: Collection[int] | None = None,
        begun: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Carry out one action, by whichever way leads to the lock; as `Lock.perform`."""
        way = self._hybrid or self._lock
        return await way.perform(action, timeout_s, suffix=suffix, only_if=only_if, begun=begun)

    async def stop(self) -> None:
        """Give up the lock's commands, drop its link."""
        self._stopped = True
        if self._hybrid is not None:
            self._hybrid.end()
            self._hybrid = None
        self.topics.end()
        tasks = [*self._tasks, *self.commands]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._common.ports.watchdog.forget(f"lock {self._given.name}")

    def reconfigured(self, *, another_pin: bool) -> None:
        """Keep in touch as the configuration now says, and use its PIN if that is another one; no link is dropped."""
        settings = self._given.settings()
        warn(self._given.name, settings, self._lock.profile)
        if another_pin:
            self.owned.pin.use_own()
        lock, states_every_s = self.owned.lock, settings.states_every if settings is not None else None
        lock.keep_in_touch(connection_of(settings, lock.profile), states_every_s)
        self._listen()
        self.topics.update()

    # -- asked by its parts -------------------------------------------------------------------------------------------

    @property
    def allowed(self) -> Collection[int] | None:
        """The actions that MQTT may ask for; None for all."""
        return allowed_of(self._given.settings(), self._lock.profile)

    def _family(self) -> Family:
        return self._lock.paired.family

    def _configured_pin(self) -> str | None:
        return configured_pin(self._given.settings())

    def _is_listening(self) -> bool:
        return self._common.ports.protocol() is not None

    def _tells_rings(self) -> bool:
        settings = self._given.settings()
        return settings is None or settings.rings

    def _keep_position(self, position: int) -> None:
        self._common.store.keep_log_position(self.owned.lock.paired, position)

    async def _settle_pin(self, deadline: float) -> None:
        await self.owned.pin.settle(deadline)

    # -- told by its parts --------------------------------------------------------------------------------------------

    def _reported(self, _lock: Lock, _before: States | None, states: States) -> None:
        if self._stopped:
            return
        self._unproven.proven()
        if self._hybrid is not None:
            self._hybrid.reported(states)
        self.topics.update()
        self.owned.users.wake()
        self.owned.keypad.wake()
        self._battery.wake()
        self.owned.log_book.feed(states)
        self.owned.clock.feed(states)
        self.relay.news.look(states)

    def _rang(self, _lock: Lock, rang: Rang | None) -> None:
        if not self._stopped:
            self.owned.log_book.bell.rang(rang)

    def _changed(self, _lock: Lock) -> None:
        self._common.ports.changed()
        self._unproven.save()
        if self._hybrid is not None:
            self._hybrid.begin()
            self._hybrid.changed()
        self.topics.update()
        if self._stopped:
            return
        if self._unproven.is_refused:
            self._on_refused()
        self._show_invitations()
        self.owned.users.show()  # the lock's time zone may be another one
        self.owned.users.wake()
        self.owned.keypad.wake()
        self._battery.wake()
        self.owned.log_book.wake()
        self.owned.clock.wake()

    def _shown(self) -> None:
        """Take note that the lock has shown its Nuki ID or another family."""
        self._unproven.has_shown()
        self.owned.pin.warn_of_width()
        self._on_paired()
        self._changed(self.owned.lock)
        if self._lock.is_other_kind and not self._stopped:
            self._on_other_kind()

    def _tell(self, event: dict[str, Any]) -> bool:
        return self._common.publisher.event(self._given.name, event)

    def _remember(self, event: dict[str, Any]) -> None:
        """Take the last action from the lock's log, in case nothing has happened since the start."""
        if self.topics.last_action is None:
            self.topics.note_action(event)

    def _pin_refused(self, pin: str) -> None:
        self.owned.pin.was_refused(pin)
        self.topics.update()  # Home Assistant is offered less without a PIN, and more with one

    def _pin_changed(self) -> None:
        self.owned.users.wake()
        self.owned.keypad.wake()
        self.owned.log_book.wake()
        self.owned.clock.wake()
        self.topics.update()

    def _users_changed(self, users: list[dict[str, Any]]) -> None:
        self.topics.users(users)
        if not self._stopped:
            self._show_invitations()  # they tell of users, too

    def _show_invitations(self) -> None:
        self.topics.invitations(self._common.invite_commands.to_json(self.owned.lock))

    # -- told by the bridge -------------------------------------------------------------------------------------------

    def invitation_changed(self, row: Invitation) -> None:
        """Take note that one of the lock's invitations is open now, or is so no longer."""
        self._common.publisher.news(self._given.name, self._common.invite_commands.event(row, self.owned.lock))
        self._show_invitations()
        self.owned.users.show()
        self.owned.users.wake()

    def former(self) -> PairedLock | None:
        """Return to the authorization before this one, if the lock has said that it does not know this one."""
        return self._unproven.former()
