"""One lock: its actions with their deadlines and true outcomes, its states, and when to talk to it.

`Lock` knows `Link` and messages, never BlueZ or MQTT.  Everything it publishes is what the lock itself reported.
One exchange runs at a time; a command waits for its turn no longer than its deadline.  How a lock action goes is told
in `action.py`.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from nuki_bridge.bluetooth.link import Radio, RadioStatus
from nuki_bridge.errors import AdapterUnavailable, LinkError, LockError, NukiError, ProtocolError, TimedOut
from nuki_bridge.lock import reading
from nuki_bridge.lock.action import ActionRun
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S, Exchange
from nuki_bridge.lock.outcome import Outcome
from nuki_bridge.lock.retry import RECONNECT_S, Retry
from nuki_bridge.lock.timetable import MAX_POLL_S, Timetable
from nuki_bridge.protocol.advanced_config import AdvancedConfig
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Action, Command, ErrorCode, Family, IdType
from nuki_bridge.protocol.messages import BatteryReport, Config, KeyturnerStates, RequestData
from nuki_bridge.protocol.session import Random, Session
from nuki_bridge.pulse import Part
from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)

KEEPALIVE_S = 10.0
"""The lock drops a link that was idle for about 20 s."""
LINGER_S = 2.0
"""On demand, the link is left this long after the last message."""
SEEN_FOR_S = 60.0
"""A lock whose advertisement was heard within this time counts as in range."""
BEACONS_WHILE_LINKED_S = 10.0
"""A held link on which no beacon was heard for this long: the lock does not advertise while connected."""
FAULT_RETRY_S = 60.0
"""Before a lock is tried again that does not accept us."""
LOST_PAIRING = frozenset({ErrorCode.NOT_AUTHORIZED, ErrorCode.DISABLED})
"""Errors that say that no command can reach the lock until somebody acts."""

T = TypeVar("T")


class Connection(enum.StrEnum):
    """How a lock is kept in touch with."""

    PERSISTENT = "persistent"
    ON_DEMAND = "on-demand"


class Lock:
    """One paired lock.

    `clock` gives seconds and counts through suspend; `now` is the wall clock.  `on_states(lock, before, now)` is called
    for each report of the lock, `on_change(lock)` when something else worth publishing changed.
    """

    def __init__(
        self,
        paired: PairedLock,
        radio: Radio,
        *,
        connection: Connection,
        random: Random,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        on_states: Callable[[Lock, KeyturnerStates | None, KeyturnerStates], None],
        on_change: Callable[[Lock], None],
        pulse: Part | None = None,
    ) -> None:
        self.name = paired.name
        self.paired = paired
        self.connection = connection
        self.states: KeyturnerStates | None = None
        self.config: Config | None = None
        self.advanced_config: AdvancedConfig | None = None
        self.battery_report: BatteryReport | None = None
        self.updated: datetime | None = None
        self.fault: NukiError | None = None
        self.reconnects = 0
        self._radio = radio
        self.clock = clock
        self._now = now
        self._on_states = on_states
        self._on_change = on_change
        session = Session(paired.authorization_id, paired.shared_key, paired.family, random)
        self.exchange = Exchange(
            radio,
            paired.address,
            session,
            clock=clock,
            on_states=self._received_states,
            on_disconnect=self._lost_link,
            pulse=pulse,
        )
        self._advanced = reading.AdvancedReading(self.exchange, paired)
        self.on_link: Callable[[], None] = lambda: None
        """Called when the link came or went."""
        self.on_family: Callable[[Family], None] = lambda family: None
        """Called when a link shows that the lock is of another family than it was, after an update of its firmware."""
        self.needed_until = -math.inf
        """Until then (on `clock`) somebody needs the link: on demand it is not dropped before."""
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._seen_at: float | None = None
        self._beacon_at = -math.inf  # heard on the present link
        self._attempts = 0  # to connect, since the last exchange that went well
        self._retry = Retry(clock(), random)
        self._due = Timetable(clock(), clears_bit=paired.id_type is IdType.BRIDGE)
        self._was_reachable = False

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """The Bluetooth link is up."""
        return self.exchange.link.connected

    @property
    def rssi(self) -> int | None:
        """Signal strength in dBm, if known."""
        return self.exchange.link.rssi

    @property
    def reachable(self) -> bool:
        """A command can reach the lock now: linked, or heard within the last minute without attempts failing since."""
        if not self._radio.status.available or isinstance(self.fault, LockError):
            return False
        return self.connected or (self._attempts < 3 and self._heard_within(SEEN_FOR_S))

    def _heard_within(self, seconds: float) -> bool:
        return self._seen_at is not None and self.clock() - self._seen_at <= seconds

    def sighted(self, sighting: Sighting) -> None:
        """An advertisement of this lock was heard."""
        is_back = not self._heard_within(SEEN_FOR_S)
        self._seen_at = self.clock()
        if self._due.beacon(sighting.state_changed, self._seen_at):
            self._wake.set()
        if sighting.state_changed is not None:
            self._beacon_at = self._seen_at
        if is_back:
            self._attempts = 0
            self._retry.at_once(self._seen_at)
            self._wake.set()
        self._report_reachable()

    def radio_changed(self, status: RadioStatus) -> None:
        """The adapter came or went."""
        self._attempts = 0
        self._retry.at_once(self.clock())
        self._report_reachable()
        self._wake.set()

    def _received_states(self, states: KeyturnerStates) -> None:
        before, self.states = self.states, states
        self.updated = self._now()
        if before is not None and before.config_update_count != states.config_update_count:
            self._due.config_changed(self.clock())
        self._on_states(self, before, states)

    def _lost_link(self) -> None:
        self._seen_at = self.clock()  # it was there a moment ago: a short loss is not worth an "offline"
        if self._wants_link():
            self._retry.lost(self._seen_at)
        else:
            self._retry.left()
        self._report_reachable()
        self.on_link()
        self._wake.set()

    def _report_reachable(self) -> None:
        if self.reachable != self._was_reachable:
            self._was_reachable = self.reachable
            self._on_change(self)

    def _note_fault(self, error: LockError) -> None:
        """Remember that the lock does not accept us any more; other refusals are the business of whoever asked."""
        if error.number not in LOST_PAIRING:
            return
        self._retry.at = self._due.states_at = self.clock() + FAULT_RETRY_S
        if self.fault is None or self.fault.code != error.code:
            log.warning("%s: %s", self.name, error)
            self.fault = error
            self._on_change(self)
        self._report_reachable()

    # -- the background: keep the link, keep up to date ---------------------------------------------------------------

    async def run(self) -> None:
        """Connect, keep alive, refresh what is due; until cancelled, which leaves the link."""
        try:
            while True:
                self._wake.clear()
                try:
                    async with self._turn:
                        await self._tend()
                except LockError as error:
                    await self.exchange.drop()
                    self._due.states_at = self.clock() + MAX_POLL_S
                    self._retry.failed(self.clock())
                    self._note_fault(error)
                except (LinkError, ProtocolError) as error:
                    log.debug("%s: %s", self.name, error)
                    self._retry.failed(self.clock())
                self._report_reachable()
                delay = max(self._next_due() - self.clock(), 0.0)
                self.exchange.pulse.step(delay, "the pause until something is due")
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            await self.exchange.drop()
            self.exchange.pulse.rest()

    async def _tend(self) -> None:
        """Do whatever is due now, under `_turn`."""
        if not self._radio.status.available:
            return
        if self._wants_link() and not self.connected and self.clock() >= self._retry.at:
            await self._connect()
        if not self.connected:
            return
        await self.exchange.hear_errors()
        if self.clock() >= self._due.states_at:
            await self.read_states()
        if self.clock() >= self._due.config_at:
            self._due.config_asked(self.clock())
            await self._read_config()
        if self.clock() >= self._due.advanced_at:
            await self._try_advanced()
        if self.connected:
            await self._tend_link()
        self._attempts = 0

    async def _tend_link(self) -> None:
        """Drop a link that nobody needs, or keep it alive."""
        idle_s = self.clock() - self.exchange.last_message_at
        if not self._holds_link():
            if idle_s >= LINGER_S:
                await self.exchange.drop()
        elif self.exchange.challenge is None and self.connection is Connection.PERSISTENT:
            await self.exchange.ask_challenge()
        elif idle_s >= KEEPALIVE_S:
            if self.clock() - self._beacon_at > BEACONS_WHILE_LINKED_S:
                await self.read_states()
            await self.exchange.ask_challenge()

    def _holds_link(self) -> bool:
        return self.connection is Connection.PERSISTENT or self.clock() < self.needed_until

    def _wants_link(self) -> bool:
        return self.connection is Connection.PERSISTENT or self.clock() >= self._due.states_at

    def _next_due(self) -> float:
        """When `_tend` has something to do next, on `clock`."""
        if not self._radio.status.available:
            return self.clock() + 3600.0
        due = [self._due.states_at]
        if self.connected:
            due += [self._due.config_at, self._due.advanced_at]
            due.append(self.exchange.last_message_at + (KEEPALIVE_S if self._holds_link() else LINGER_S))
            if self.clock() < self.needed_until:
                due.append(self.needed_until)
            if self.connection is Connection.PERSISTENT and self.exchange.challenge is None:
                due.append(self.clock())
        elif self._wants_link():
            due = [self._retry.at]
        if self._was_reachable and not self.connected and self._seen_at is not None:
            due.append(self._seen_at + SEEN_FOR_S + 0.1)
        return min(due)

    async def _connect(self, timeout_s: float = CONNECT_TIMEOUT_S, *, hurry: bool = False) -> None:
        try:
            await self.exchange.connect(timeout_s, hurry=hurry)
        finally:
            self._attempts += 1
            self._report_reachable()
        self._use_family(self.exchange.link.family)
        self.reconnects += 1
        self._seen_at = self.clock()
        self._retry.linked(self._seen_at)
        self._beacon_at = -math.inf
        if self.connection is Connection.PERSISTENT:
            self._due.states_at = self.clock()
        self._report_reachable()
        self.on_link()

    def _use_family(self, family: Family | None) -> None:
        """Speak as the lock does now: the width of the PIN belongs to the family."""
        if family is not None and family is not self.paired.family:
            log.info("%s: the lock is of the %s family now", self.name, family.value)
            self.paired = replace(self.paired, family=family)
            self.exchange.session.family = family
            self.on_family(family)

    async def read_states(self) -> KeyturnerStates:
        """Ask for the states over the link that is up, under this task's turn; raises as `Exchange.ask`."""
        states = await self.exchange.ask(RequestData(wanted=Command.KEYTURNER_STATES), KeyturnerStates)
        self.fault = None
        self._due.states_read(states, self.clock())
        self._report_reachable()
        return states

    async def _read_config(self) -> Config:
        self.config = await reading.config(self.exchange, self.paired)
        self._due.config_read()
        self._on_change(self)
        return self.config

    async def _read_advanced(self) -> AdvancedConfig | None:
        self.advanced_config = await self._advanced.read(self.config)
        self._due.advanced_read()
        self._on_change(self)
        return self.advanced_config

    async def _try_advanced(self) -> None:
        """Read the advanced configuration in the background: without it everything else goes on as before."""
        self._due.advanced_asked(self.clock())
        try:
            await self._read_advanced()
        except (LockError, LinkError, ProtocolError) as error:
            if isinstance(error, LockError) and error.number in LOST_PAIRING:
                raise
            log.debug("%s: the advanced configuration cannot be read now: %s", self.name, error)
            self._due.advanced_missed()
            self._on_change(self)

    # -- requests -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def linked(self, deadline: float, *, hurry: bool = False) -> AsyncIterator[None]:
        """This task's turn, with the link up; raises `TimedOut` once `deadline` (on `clock`) has passed.

        `hurry` is for what begins with `fresh_nonce`; see `link_up`.
        """
        try:
            async with asyncio.timeout(max(deadline - self.clock(), 0.0)):
                await self._turn.acquire()
        except TimeoutError:
            raise TimedOut("the lock was busy with earlier commands until the deadline") from None
        try:
            await self.link_up(deadline, hurry=hurry)
            yield
            self._attempts = 0
        except LockError as error:
            self._note_fault(error)
            raise
        finally:
            self._turn.release()
            self._wake.set()

    async def link_up(self, deadline: float, *, hurry: bool = False) -> None:
        """Connect, trying again until `deadline`; raises `TimedOut` or `AdapterUnavailable`.

        With `hurry` the link need not hear plain Error Reports yet; see `Exchange.connect`.
        """
        reason: NukiError | None = None
        pause = RECONNECT_S[0]
        while not (self.connected if hurry else self.exchange.link.hears_errors):
            status = self._radio.status
            if not status.available:
                raise AdapterUnavailable(status.reason or "Bluetooth is not available")
            left = deadline - self.clock()
            if left <= 0:
                because = f" ({reason})" if reason else ""
                raise TimedOut(f"the lock could not be reached within the deadline{because}")
            try:
                if self.connected:
                    await self.exchange.hear_errors()
                else:
                    await self._connect(left, hurry=hurry)
            except LinkError as error:
                reason = error
                await asyncio.sleep(min(pause, max(deadline - self.clock(), 0.0)))
                pause = min(pause * 2, 2.0)

    async def fresh_nonce(self, deadline: float) -> bytes:
        """A challenge to send a command with, over a link that is up, under this task's turn.

        Nothing has been sent yet, so a broken link is tried again until `deadline`; raises `TimedOut` then.  Without an
        answer in a hurry the lock may have refused us in plain, which the next link hears.
        """
        hurry = True
        while True:
            await self.link_up(deadline, hurry=hurry)
            try:
                nonce = await self.exchange.take_challenge()
            except (LinkError, ProtocolError) as error:
                hurry = False
                log.debug("%s: %s; asking again", self.name, error)
                await asyncio.sleep(min(RECONNECT_S[0], max(deadline - self.clock(), 0.0)))
                continue
            if self.clock() >= deadline:
                raise TimedOut("the command could not be sent to the lock within its deadline")
            return nonce

    def keep_in_touch(self, connection: Connection) -> None:
        """Hold the link, or connect when there is work, from now on; a link that is up is not dropped for it."""
        self.connection = connection
        self._wake.set()

    def look_again(self) -> None:
        """Read the states soon: somebody else may have changed them."""
        self._due.states_at = self.clock()
        self._wake.set()

    async def refresh(self, timeout_s: float) -> KeyturnerStates:
        """Read the states now."""
        return await self._read(self.read_states, timeout_s)

    async def read_config(self, timeout_s: float) -> Config:
        """Read the basic configuration now."""
        return await self._read(self._read_config, timeout_s)

    async def read_advanced_config(self, timeout_s: float) -> AdvancedConfig | None:
        """Read the advanced configuration now; None if this lock's firmware has none."""
        return await self._read(self._read_advanced, timeout_s)

    @property
    def config_settled(self) -> bool:
        """The configuration is known, as far as this lock tells it."""
        return self.config is not None and self._due.advanced_settled

    async def read_battery(self, timeout_s: float) -> BatteryReport:
        """Read the battery report now."""
        self.battery_report = await self._read(lambda: reading.battery_report(self.exchange), timeout_s)
        return self.battery_report

    async def _read(self, ask: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Do a reading exchange, again on a fresh link if one broke; reading twice does no harm."""
        deadline = self.clock() + timeout_s
        async with self.linked(deadline):
            while True:
                try:
                    return await ask()
                except (LinkError, ProtocolError) as error:
                    log.debug("%s: %s; asking again", self.name, error)
                    await self.link_up(deadline)

    async def perform(self, action: Action, timeout_s: float, *, suffix: str | None = None) -> Outcome:
        """Carry out one lock action and return its true outcome; see `ActionRun`.

        `timeout_s` bounds the sending: what could not be sent by then raises `TimedOut` and is gone.  The outcome may
        take longer, as long as the motor does.  `suffix` (20 bytes) is appended to our name in the lock's log.  Raises
        `LockError` when the lock refused or failed, `NotExecuted` or `OutcomeUnknown` when the answer got lost.
        """
        deadline = self.clock() + timeout_s
        async with self.linked(deadline, hurry=self.fault is None):
            try:
                return await ActionRun(self, action, deadline, suffix).run()
            finally:
                self._due.states_at = self.clock()  # on the same link: asking for the states clears the beacon bit
