"""One lock: its actions with their deadlines and true outcomes, its states, and when to talk to it.

`Lock` knows `Link` and messages, never BlueZ or MQTT.  Everything it publishes is what the lock itself reported.
One exchange runs at a time (`line.py`); a command waits for its turn no longer than its deadline.  `action.py` carries
out lock actions, `link_plan.py` says when the link is held and when something is due.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from nuki_bridge.bluetooth.link import Radio
from nuki_bridge.errors import LinkError, LockError, ProtocolError
from nuki_bridge.lock import reading
from nuki_bridge.lock.action import ActionRun
from nuki_bridge.lock.attempt import Attempt
from nuki_bridge.lock.evidence import Evidence
from nuki_bridge.lock.heard import Heard
from nuki_bridge.lock.known_pin import KnownPin
from nuki_bridge.lock.line import Line
from nuki_bridge.lock.link_plan import ConnectionMode, LinkPlan
from nuki_bridge.lock.outcome import Outcome
from nuki_bridge.lock.profile import Profile, profile_of
from nuki_bridge.lock.progress import ActionProgress
from nuki_bridge.lock.rings import Hearing, Rang, Rings, echo_s
from nuki_bridge.lock.short_link import ShortLinkRun
from nuki_bridge.lock.timetable import MAX_POLL_S, Timetable
from nuki_bridge.lock.turn import Challenges
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Command, ErrorCode, IdType
from nuki_bridge.protocol.common import AnyAdvancedConfig, BasicConfig, States
from nuki_bridge.protocol.messages import BatteryReport, RequestData
from nuki_bridge.protocol.session import Random
from nuki_bridge.store import UNKNOWN_NUKI_ID, PairedLock
from nuki_bridge.watchdog import Heartbeat

log = logging.getLogger(__name__)

DEAF_S = 4.0
"""Seconds that an answer may take of a device whose link goes deaf after an action; it answers well below one."""
FAULT_RETRY_S = 45.0
"""Seconds before a lock that does not accept us is tried again: it is back a minute after somebody has mended that."""
LOST_PAIRING = frozenset({ErrorCode.NOT_AUTHORIZED, ErrorCode.DISABLED})
"""Errors after which no command can reach the lock until somebody acts."""

T = TypeVar("T")


class Lock(Line):
    """One paired lock.

    `clock` gives seconds and counts through suspend; `now` is the wall clock.  `on_states(lock, before, now)` is called
    for each report of the lock, `on_change(lock)` when something else worth publishing changed, `on_ring(lock, rang)`
    after each reading that a doorbell's beacon has called for, and when it is seen to open the door: `rang` is the ring
    that the states tell of, None if they tell of none, and the log may have one.  `on_link` is called when the link
    came or went, `on_paired` when the lock has shown its Nuki ID or another family: `paired` has it then.
    `states_every_s` is how often the states are read at least, None for as often as the lock seems to need it.  `name`
    is what it is called where that is not the name in `paired`.  `pin` is what is known of its security PIN; by default
    nothing is.
    """

    def __init__(
        self,
        paired: PairedLock,
        radio: Radio,
        *,
        connection: ConnectionMode,
        random: Random,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        on_states: Callable[[Lock, States | None, States], None],
        on_change: Callable[[Lock], None],
        on_ring: Callable[[Lock, Rang | None], None] = lambda lock, rang: None,
        on_link: Callable[[], None] = lambda: None,
        on_paired: Callable[[], None] = lambda: None,
        name: str | None = None,
        states_every_s: float | None = None,
        heartbeat: Heartbeat | None = None,
        pin: KnownPin | None = None,
    ) -> None:
        super().__init__(
            paired,
            radio,
            random=random,
            clock=clock,
            heartbeat=heartbeat,
            name=name,
            on_link=on_link,
            on_paired=on_paired,
        )
        self.states: States | None = None
        self.config: BasicConfig | None = None
        self.advanced_config: AnyAdvancedConfig | None = None
        self.battery_report: BatteryReport | None = None
        self.updated: datetime | None = None
        self._now = now
        self._on_states = on_states
        self._tell = on_change
        self._on_ring = on_ring
        self.runs: set[ActionProgress] = set()
        """The actions that have been sent and are not over."""
        self.pin = KnownPin(None, lambda: self.paired.family) if pin is None else pin
        """What is known of its security PIN."""
        self.evidence = Evidence(self, self.pin)
        """Its log, as far as it proves something."""
        self.rings = Rings(self.clock, lambda: echo_s(self.advanced_config))
        """Its doorbell, by its reports."""
        if self.profile.deaf_after_action:
            self.exchange.reply_timeout_s = DEAF_S
        self.heard = Heard()
        """What it tells by another way than Bluetooth, where it has one."""
        self._asked_at: float | None = None  # while the states are being read
        self._hearing = Hearing()
        self._called_in_time = False  # the beacon's bit rose while it was heard all the time
        self._due = Timetable(self.profile, clock(), clears_bit=paired.id_type is IdType.BRIDGE, every_s=states_every_s)
        self._configuration = reading.ConfigReading(
            self.exchange, self._due, self.name, self.profile, nuki_id=lambda: self.paired.nuki_id, clock=clock
        )
        self._plan = LinkPlan(
            self.exchange, self._retry, self._due, connection=connection, profile=lambda: self.profile, clock=clock
        )

    @property
    def profile(self) -> Profile:
        """What this kind of lock can do."""
        return profile_of(self.paired.family)

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def can_be_commanded(self) -> bool:
        """Whether a command can reach the lock now, by whichever way."""
        return self.reachable or self.heard.takes_commands

    @property
    def is_held(self) -> bool:
        """Whether the link is held now, not only while there is work."""
        return self._plan.is_held

    @property
    def connection(self) -> ConnectionMode:
        """How the lock is kept in touch with."""
        return self._plan.connection

    def sighted(self, sighting: Sighting) -> None:
        """Note an advertisement of this lock."""
        now = self.clock()
        silent_s = now - self._retry.heard_at
        if self._retry.heard(now):
            self._wake.set()
        was_there = self._hearing.heard(silent_s)
        if self._due.beacon(sighting.state_changed, now):
            self._called_in_time = was_there and not self.is_paused  # the app sets the bit, too
            self._wake.set()
        if sighting.state_changed is not None:
            self._plan.heard()
        self._report_reachable()

    def device_time(self) -> datetime | None:
        """Return what its clock shows now, in UTC, as far as that is known from its last report."""
        if self.states is None or self.states.current_time is None or self.updated is None:
            return None
        return self.states.current_time + (self._now() - self.updated)

    def _changed(self) -> None:
        self._tell(self)

    def _is_linked(self, was_doubtful: bool) -> None:
        self._plan.linked()
        if self.is_held or was_doubtful:
            self._due.schedule(self.clock())

    def _received_states(self, states: States) -> None:
        before, self.states = self.states, states
        self.updated = self._now()
        self.heard.reported(states, self.clock() if self._asked_at is None else self._asked_at, self.clock())
        if before is not None and before.config_update_count != states.config_update_count:
            self._due.config_changed(self.clock())
        self._plan.in_use.reported(before, states, self.clock())
        for run in self.runs:
            run.saw(states)
        self._on_states(self, before, states)
        rang = self.rings.reported(self.profile, before, states) if self.profile.rings else None
        if rang is not None:
            self._on_ring(self, rang)

    def _note_fault(self, error: LockError) -> None:
        """Remember that the lock does not accept us any more; other refusals are the business of whoever asked."""
        if error.number not in LOST_PAIRING:
            return
        self._retry.at = self._due.states_at = self.clock() + FAULT_RETRY_S
        if self.fault is None or self.fault.code != error.code:
            log.warning("%s: %s", self.name, error)
            self.fault = error
            self._changed()
        self._report_reachable()

    # -- what is due by itself ----------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        if not self._radio.status.available:
            return
        if self._plan.pause.ended(self.clock()):
            self._changed()
        if self.is_paused:
            if self.connected and not self._plan.is_needed:
                await self.exchange.drop()
            return
        if self._wants_link() and not self.connected and self.clock() >= self._retry.at:
            await self._connect()
        steps = (
            *(self.exchange.subscribe_gdio, self._tend_challenge, self._tend_states),
            *(self._tend_config, self._tend_advanced, self._tend_link),
        )
        for step in steps:
            if not self.connected or self._turn.is_wanted:
                return
            await step()

    async def _tend_challenge(self) -> None:
        """Have a challenge at hand before anything else is read: a command may come right behind an action."""
        if self._plan.is_held and self.exchange.challenge is None and self.states is not None:
            await self._ask_challenge()

    async def _ask_challenge(self) -> None:
        await self.exchange.ask_challenge()
        self._worked()

    async def _tend_states(self) -> None:
        if self.clock() >= self._plan.states_at():
            await self.read_states()

    async def _tend_config(self) -> None:
        if self.clock() >= self._due.config_at:
            self._due.config_asked(self.clock())
            await self._read_config(self.exchange.take_challenge, self.clock())

    async def _tend_advanced(self) -> None:
        """Read the advanced configuration; a failure disturbs nothing else."""
        if self.clock() < self._due.advanced_at:
            return
        self._due.advanced_asked(self.clock())
        try:
            await self._read_advanced(self.exchange.take_challenge, self.clock())
        except (LockError, LinkError, ProtocolError) as error:
            if isinstance(error, LockError) and error.number in LOST_PAIRING:
                raise
            log.debug("%s: the advanced configuration cannot be read now: %s", self.name, error)
            self._due.advanced_missed()
            self._changed()

    async def _tend_link(self) -> None:
        """Drop a link that nobody needs, or ask for a challenge, to keep it alive or because the one in hand is old."""
        if self.clock() < self._plan.link_at():
            return
        if self._plan.keeps_link:
            await self._ask_challenge()
        else:
            await self.exchange.drop()

    def _put_off(self) -> None:
        self._due.states_at = self.clock() + MAX_POLL_S

    def _wants_link(self) -> bool:
        return self._plan.wants_link

    def _next_due(self) -> float:
        if not self._radio.status.available:
            return self.clock() + 3600.0
        return self._plan.next_due(was_reachable=self._was_reachable)

    def _was_used(self) -> None:
        self._plan.in_use.used(self.clock())

    async def read_states(self) -> States:
        """Ask for the states over the link that is up, under this task's turn; raises as `Exchange.ask`."""
        before, called, announced = self.states, self._due.is_called, self._due.is_announced
        asked_at = self._asked_at = self.clock()
        self._due.states_asked()
        try:
            states = await self.exchange.ask(RequestData(wanted=Command.KEYTURNER_STATES), States)
        finally:
            self._asked_at = None
        self.fault = None
        self._due.states_read(states, self.clock(), before=before)
        if self.heard.needs_reading(asked_at):
            self._due.schedule(self.clock())
        self._worked()
        if self.profile.rings and (called or announced):
            clears_it = self.paired.id_type is IdType.BRIDGE  # or else it rises no more, whatever happens
            known = before if called and self._called_in_time and clears_it else None
            self._on_ring(self, self.rings.announced(self.profile, known, states))
        self.rings.read()
        return states

    async def _read_config(self, challenge: Challenges, deadline: float) -> BasicConfig:
        self.config = await self._configuration.basic(challenge, deadline)
        if self.paired.nuki_id == UNKNOWN_NUKI_ID:
            self.use(replace(self.paired, nuki_id=self.config.nuki_id))
        self._worked()
        self._changed()
        return self.config

    async def _read_advanced(self, challenge: Challenges, deadline: float) -> AnyAdvancedConfig | None:
        self.advanced_config = await self._configuration.advanced(self.config, challenge, deadline)
        self._worked()
        self._changed()
        return self.advanced_config

    # -- requests -----------------------------------------------------------------------------------------------------

    def need_link_until(self, when: float) -> None:
        """Keep a link until then (on `clock`), also in on-demand mode: somebody needs it."""
        self._plan.needed_until = when

    def guest_acts(self) -> None:
        """Note that a guest's command is passed on: what the lock shows from now on may be of that."""
        for run in self.runs:
            run.guest_acted = True

    def keep_in_touch(self, connection: ConnectionMode, states_every_s: float | None = None) -> None:
        """Hold the link, or connect when there is work, from now on; a link that is up is not dropped for it."""
        self._plan.connection = connection
        if self._due.every_s != states_every_s:
            self._due.every_s = states_every_s
            self._due.schedule(self.clock())
        self._wake.set()

    def pause(self, seconds: float) -> None:
        """Ask nothing by oneself, and hold no link, for so long from now; 0 ends that.

        Some devices let nobody else in while they are connected, such as the maker's app.  What people and guests ask
        for is carried out all the same, and the link is let go at once.
        """
        self._plan.pause.begin(self.clock(), self._now(), seconds)
        self._changed()
        self._wake.set()

    @property
    def is_paused(self) -> bool:
        """Whether the lock is left to others."""
        return self._plan.is_paused

    @property
    def paused_to(self) -> datetime | None:
        """When the pause ends; None while there is none."""
        return self._plan.pause.to if self.is_paused else None

    def ring_found(self) -> None:
        """Note that the log has told of a ring that is new."""
        self._due.ring_found()
        self._wake.set()

    def schedule_states(self) -> None:
        """Read the states soon: somebody else may have changed them."""
        self._due.schedule(self.clock())
        self._wake.set()

    async def refresh(self, timeout_s: float) -> States:
        """Read the states now."""
        return await self._read(lambda deadline: self.read_states(), timeout_s)

    async def read_config(self, timeout_s: float) -> BasicConfig:
        """Read the basic configuration now."""
        return await self._read(
            lambda deadline: self._read_config(partial(self.fresh_nonce, deadline), deadline), timeout_s
        )

    async def read_advanced_config(self, timeout_s: float) -> AnyAdvancedConfig | None:
        """Read the advanced configuration now; None if this lock's firmware has none."""
        return await self._read(
            lambda deadline: self._read_advanced(partial(self.fresh_nonce, deadline), deadline), timeout_s
        )

    @property
    def config_is_complete(self) -> bool:
        """Whether the configuration is known, as far as this lock reports it."""
        return self.config is not None and self._due.advanced_is_done

    async def read_battery(self, timeout_s: float) -> BatteryReport:
        """Read the battery report now."""
        self.battery_report = await self._read(lambda deadline: reading.battery_report(self.exchange), timeout_s)
        return self.battery_report

    async def _read(self, ask: Callable[[float], Awaitable[T]], timeout_s: float) -> T:
        """Do a reading exchange, again on a fresh link if one broke; reading twice does no harm."""
        deadline = self.clock() + timeout_s
        async with self.linked(deadline):
            while True:
                try:
                    return await ask(deadline)
                except (LinkError, ProtocolError) as error:
                    if self.clock() >= deadline:
                        raise
                    log.debug("%s: %s; asking again", self.name, error)
                    await self.link_up(deadline)

    async def perform(
        self,
        action: int,
        timeout_s: float,
        *,
        suffix: str | None = None,
        only_if: Collection[int] | None = None,
        begun: Callable[[], None] = lambda: None,
        attempt: Attempt | None = None,
    ) -> Outcome:
        """Carry out one lock action and return its true outcome; see `ActionRun`.

        `timeout_s` bounds the sending: what could not be sent by then raises `TimedOut` and is gone.  The outcome may
        take longer, as long as the motor does.  `suffix` (20 bytes) is appended to our name in the lock's log.  With
        `only_if` the lock is asked for its state first, and `RequestError` raised in another state than those; so it is
        if its wiring does not allow the action.  `begun` is called once, when the lock says that it carries the action
        out.  Raises `LockError` when the lock refused or failed, `NotExecuted` or `OutcomeUnknown` when the answer got
        lost.  `attempt` is for who has another way, if this one turns out not to lead anywhere.
        """
        self.profile.check_wiring(action, self.config)
        kind = ShortLinkRun if self.profile.deaf_after_action else ActionRun
        progress = ActionProgress(self, action, begun)
        return await kind(self, progress, self.clock() + timeout_s, suffix, only_if, attempt).carry_out()
