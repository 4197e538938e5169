"""`official_api: listen`: what a lock with an MQTT API of its own says there, beside what it says over Bluetooth.

State and door go to our topics at once, and a reading over Bluetooth is due for the rest.  Its events name who is about
to act.  Commands go over Bluetooth; where that leads nowhere they may go through its API: see `sending.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any, Final

from nuki_bridge.allowance import Allowance
from nuki_bridge.errors import LinkError, RequestError
from nuki_bridge.lock.attempt import Attempt
from nuki_bridge.lock.condition import STATE_AGE_S
from nuki_bridge.lock.heard import LAG_S, Verdict, What
from nuki_bridge.lock.outcome import Outcome
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.nuki_mqtt import begun, codes
from nuki_bridge.nuki_mqtt.codes import LockActionEvent
from nuki_bridge.nuki_mqtt.sending import UNANSWERED_S, Sender
from nuki_bridge.nuki_mqtt.vendor_topics import VendorTopics
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.protocol.common import States
from nuki_bridge.records import frozen, mutable
from nuki_bridge.store import UNKNOWN_NUKI_ID
from nuki_bridge.topics.topics import Publication

log = logging.getLogger(__name__)

BLUETOOTH_S = 6.0
"""Seconds in which a command must have been sent over Bluetooth before it goes through the lock's own API."""
LEAVE_S = 4.0
"""Seconds of a command's time that are left for that, also if it waited long for its turn over Bluetooth."""
READINGS: Final = (10, 0.2)
"""Readings over Bluetooth that the lock's topics may cause at once, and how many more each second."""
VALUES: Final = (30, 5.0)
"""Values that are passed on at once, and how many more each second; of a flood the last ones are."""
EVENTS: Final = (20, 1.0)
"""Events that are told at once, and how many more each second."""
LATER_S = 1.0
"""Seconds until what was too much is looked at again."""
SILENT_S = 60.0
"""Seconds after which a lock is missed that is listened to and has said nothing at all."""
_VALUES: Final = {"state": What.STATE, "doorsensorState": What.DOOR}
_BATTERY: Final = frozenset(
    {"batteryCritical", "batteryCharging", "keypadBatteryCritical", "doorsensorBatteryCritical", "batteryChargeState"}
)


@frozen
class Ways:
    """What listening needs of the bridge.

    `publish` tells whether the broker will get a message, `protocol` is the MQTT version in use, None without a broker.
    `tell` publishes an event of the lock, `show` what changed of it.  `doubles` says whether the bridge announces the
    lock to Home Assistant as well.
    """

    publish: Callable[[Publication], bool]
    protocol: Callable[[], str | None]
    tell: Callable[[dict[str, Any]], object]
    show: Callable[[], None]
    doubles: Callable[[], bool]


@mutable
class _Value:
    """What the lock said last of its state or its door."""

    number: int
    at: float
    stored: bool
    is_new: bool = True


class Hybrid:
    """Listens to one lock from `begin` to `end`; `perform` carries out actions by whichever way there is."""

    def __init__(self, owned: OwnedLock, topics: VendorTopics, ways: Ways) -> None:
        self._owned = owned
        self._lock = owned.lock
        self._topics = topics
        self._ways = ways
        clock = owned.lock.clock
        self._nuki_id: int | None = None  # which is listened to
        self._connected: bool | None = None
        self._values: dict[What, _Value] = {}
        self._batteries: dict[str, bytes] = {}
        self._readings = Allowance(*READINGS, clock)
        self._passed = Allowance(*VALUES, clock)
        self._events = Allowance(*EVENTS, clock)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._has_warned: set[str] = set()
        self.sender = Sender(owned.lock, ways.publish, ways.protocol, self._unanswered)

    # -- life ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Listen, as soon as the lock's Nuki ID is known; again after it has shown another one."""
        nuki_id = self._lock.paired.nuki_id
        if nuki_id in (UNKNOWN_NUKI_ID, self._nuki_id):
            return
        self._leave()
        self._nuki_id = nuki_id
        self._lock.heard.connected = False
        self._topics.listen(nuki_id, self)
        self._after("silent", SILENT_S, self._miss)

    def end(self) -> None:
        """Listen no more; what Bluetooth says is all there is from now on."""
        self._leave()
        self.sender.give_up()
        heard = self._lock.heard
        heard.forget()
        self._lock.schedule_states()

    def _leave(self) -> None:
        for each in self._timers.values():
            each.cancel()
        self._timers.clear()
        if self._nuki_id is not None:
            self._topics.ignore(self._nuki_id, self)
        self._nuki_id, self._connected = None, None
        self._values.clear()

    def _after(self, what: str, seconds: float, call: Callable[[], None]) -> None:
        """Call it after so long, unless that is due already."""
        if what not in self._timers:

            def due() -> None:
                self._timers.pop(what, None)
                call()

            self._timers[what] = asyncio.get_running_loop().call_later(seconds, due)

    def _miss(self) -> None:
        if self._connected is None and self._ways.protocol() is not None:
            self._warn(
                "silent",
                "nothing comes on %s: switch the lock's MQTT API on in the Nuki app, with this broker, and let the "
                "bridge's account read nuki/#",
                f"nuki/{codes.spelled(self._nuki_id or 0)}",
            )

    def _warn(self, about: str, text: str, *values: object) -> None:
        """Say something once."""
        if about not in self._has_warned:
            self._has_warned.add(about)
            log.warning(f"%s: {text}", self._lock.name, *values)

    # -- told by the broker -------------------------------------------------------------------------------------------

    def heard(self, name: str, message: Incoming, *, stored: bool) -> None:
        """Take a message of the lock, or of somebody who commands it."""
        if name in _VALUES:
            self._take_value(_VALUES[name], message, stored=stored)
        elif name == "connected":
            self._take_connected(codes.read_bool(message.payload))
        elif name in _BATTERY:
            before = self._batteries.get(name)
            self._batteries[name] = message.payload[:8]
            if before not in (None, self._batteries[name]) and self._connected:
                self._want_reading()
        elif message.retain:
            return  # somebody has it kept, and it may be of any age
        elif name == codes.LOCK_ACTION_EVENT:
            self._take_event(message.payload)
        elif name == codes.COMMAND_RESPONSE:
            self.sender.responded(codes.read_number(message.payload))
            self._refresh()
        elif name in codes.COMMANDS and message.payload:
            self.sender.commanded(name, message.payload)

    def broker_lost(self) -> None:
        """Take note that nothing is heard until there is a connection again."""
        self._connected = None
        self._values.clear()
        self._refresh()

    def discovered(self) -> None:
        """Take note that the lock announces itself to Home Assistant."""
        if self._ways.doubles():
            self._warn(
                "discovery",
                "the lock announces itself to Home Assistant as well, so that everything is there twice; switch "
                "discovery off in the Nuki app (MQTT), or mqtt.discovery.enabled off here",
            )

    # -- state and door -----------------------------------------------------------------------------------------------

    def _take_connected(self, connected: bool | None) -> None:
        before, self._connected = self._connected, connected
        if connected and not before:
            self.sender.reconnected()
            for each in self._values.values():
                each.stored = True  # whoever said so while the lock was away
            self._pass_on()
        elif not connected and before:
            self._want_reading()
        self._refresh()

    def _take_value(self, what: What, message: Incoming, *, stored: bool) -> None:
        number = codes.read_number(message.payload)
        if number is None or not self._is_known(what, number):
            return
        self._values[what] = _Value(number, message.received_at, stored)
        if self._connected:
            self._pass_on()

    def _is_known(self, what: What, number: int) -> bool:
        return codes.knows_state(self._lock.profile, number) if what is What.STATE else number in codes.DOOR_STATES

    def _pass_on(self) -> None:
        """Let count what is new; of a flood what came last, a little later."""
        if not self._passed.take():
            self._after("values", LATER_S, self._pass_on)
            return
        told = set()
        for what, each in self._values.items():
            if not each.is_new:
                continue
            each.is_new = False
            told.add(self._lock.heard.tell(what, each.number, each.at, stored=each.stored))
            if what is What.STATE and not each.stored:
                self.sender.saw(each.number, each.at)
        if Verdict.DOUBTED in told:
            self._after("doubt", LAG_S + 0.1, self._settle)
        if Verdict.SHOWN in told:
            self._ways.show()
        if told - {Verdict.NONE}:
            self._want_reading()

    def _settle(self) -> None:
        if self._connected and self._lock.heard.settle(self._lock.clock()):
            self._ways.show()

    def _want_reading(self) -> None:
        """Have the rest read over Bluetooth, now and not too often."""
        if self._readings.take():
            self._lock.schedule_states()
        else:
            self._after("reading", 5 * LATER_S, self._lock.schedule_states)

    # -- who acts -----------------------------------------------------------------------------------------------------

    def _take_event(self, payload: bytes) -> None:
        event = LockActionEvent.parse(payload)
        if event is None:
            return
        if self.sender.is_echo(event):
            self._refresh()
            return
        if begun.does_nothing(self._lock.profile, event):
            self._owned.log_book.schedule()  # the lock's log tells of it
        elif self._events.take():
            self._ways.tell(begun.event_of(self._owned, event))

    # -- commands -----------------------------------------------------------------------------------------------------

    @property
    def _takes_commands(self) -> bool:
        return self._connected is True and self._lock.fault is None and self.sender.may_send

    def _refresh(self) -> None:
        """Show whether the lock is there, and takes commands."""
        heard = self._lock.heard
        now = self._connected is True, self._takes_commands
        if now != (heard.connected, heard.takes_commands):
            heard.connected, heard.takes_commands = now
            self._ways.show()

    def reported(self, states: States) -> None:
        """Take a report over Bluetooth."""
        self.sender.saw(states.lock_state, self._lock.heard.read_at)

    def changed(self) -> None:
        """Take note that the lock, as Bluetooth shows it, is not as it was."""
        if self._nuki_id is not None:
            self._refresh()

    def _unanswered(self) -> None:
        self._warn(
            "locking",
            'the lock did nothing with a command to nuki/%s/lockAction: "allow locking" may be off in the Nuki app',
            codes.spelled(self._nuki_id or 0),
        )
        self._refresh()
        self._after("unanswered", UNANSWERED_S + LATER_S, self._refresh)

    async def perform(
        self,
        action: int,
        timeout_s: float,
        *,
        suffix: str | None = None,
        only_if: Collection[int] | None = None,
        begun: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Carry out one action, over Bluetooth or through the lock's API, never both; as `Lock.perform`."""
        lock = self._lock
        deadline = lock.clock() + timeout_s
        await self.sender.idle(deadline)
        left_s = deadline - lock.clock()
        if not self._can_send(action):
            return await lock.perform(action, left_s, suffix=suffix, only_if=only_if, begun=begun)
        if lock.reachable:
            attempt = Attempt(BLUETOOTH_S, LEAVE_S)
            try:
                return await lock.perform(action, left_s, suffix=suffix, only_if=only_if, begun=begun, attempt=attempt)
            except LinkError as error:
                if attempt.was_sent or not attempt.had_turn or not self._can_send(action):
                    raise
                log.info("%s: %s; %s goes through its MQTT API", lock.name, error, lock.profile.action_word(action))
        try:
            return await self.sender.perform(action, deadline, lambda: self._check(only_if), begun)
        finally:
            lock.schedule_states()

    def _can_send(self, action: int) -> bool:
        return self._takes_commands and action in codes.sendable(self._lock.profile)

    def _check(self, only_if: Collection[int] | None) -> None:
        """Raise `RequestError` unless the lock is known, at this moment, to be in one of these states (None: any)."""
        if only_if is None:
            return
        lock, told = self._lock, self._values.get(What.STATE)
        state = lock.heard.now(What.STATE)
        is_told = self._connected is True and told is not None and not told.stored and told.number == state
        if not is_told and lock.heard.read_at < lock.clock() - STATE_AGE_S:
            raise RequestError(
                "state_not_allowed", "the lock cannot be asked for its state at this moment; nothing was moved"
            )
        if state not in only_if:
            allowed = " or ".join(lock.profile.state_word(each) for each in only_if)
            word = "unknown" if state is None else lock.profile.state_word(state)
            raise RequestError("state_not_allowed", f"the lock is {word} and not {allowed}; nothing was moved")
