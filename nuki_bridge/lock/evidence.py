"""What the lock's log proves of an action whose answer got lost: the only ground on which one is sent again.

The log is the one thing of a lock that only grows: each entry has an index above all earlier ones and names the
authorization, the action and how it ended.  It is proof under conditions that are all checked here:

- an entry counts only above the mark: the newest one known before the action was sent, with nothing of ours sent since
  whose entry might have been written later;
- the entry at the mark must still be there as it was: a log that was cleared or reset proves nothing;
- that there is no entry counts only while logging is switched on and no entry above the mark says that it was switched
  in between, and only `QUEUE_S` after the sending and `REST_S` after the motor was seen at rest: an entry is written
  when the motor rests, and an action may have waited for it;
- it counts only while the lock rests as it did before, and tells the same last action: one whose batteries break down
  under the motor starts anew and has written nothing;
- an entry of ours that does not bear the command's name is of it all the same, perhaps: there is firmware that does
  not write that name down.

Asking for the log takes a new challenge, with which the one that went with the lost action is void, so what the lock
has not looked at yet it will refuse.

Without the PIN nothing that a lock tells is good enough.  Keyturner States and the battery report tell of the last
action only, and two alike leave the same.  The openings and closings, which only the Smart Lock 1.0 counts, do not
count a motor that was blocked or stopped.  So without the PIN no action is ever sent again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from nuki_bridge.errors import LinkError, LockError, ProtocolError, RequestError, TimedOut
from nuki_bridge.lock.exchange import Exchange
from nuki_bridge.lock.known_pin import KnownPin
from nuki_bridge.lock.profile import Profile
from nuki_bridge.protocol.codes import Completion, ErrorCode, LogType, Trigger, open_enum
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.log_entries import LogEntry, LogEntryCount, RequestLogEntries
from nuki_bridge.protocol.messages import NAME_SIZE, Status
from nuki_bridge.records import frozen
from nuki_bridge.store import PairedLock

log = logging.getLogger(__name__)

PAGE = 10
"""Entries of the log that are read; a mark that is older proves nothing."""
QUEUE_S = 5.0
"""Seconds after its sending by which an action that the lock has taken has begun."""
REST_S = 2.0
"""Seconds after the motor has come to rest by which its entry is in the log."""
ACCOUNTED_S = 15.0
"""Seconds after the end of an action by which its entry is in the log, or never will be."""
_NO_ACTS = {LogType.DOOR_SENSOR, LogType.DOOR_SENSOR_LOGGING, LogType.LOGGING, LogType.FIRMWARE_UPDATE}
_ACTS = frozenset(LogType) - _NO_ACTS
REFUSALS = frozenset({Completion.TOO_RECENT, Completion.BUSY, Completion.REJECTED, Completion.REJECTED_NIGHT_MODE})
"""Completion statuses of actions for which the motor did not start."""


@frozen
class Sent:
    """An action on its way: what is needed to know its entry again."""

    action: int
    suffix: str | None
    at: float
    """When the mark was read, on `Lock.clock`."""
    mark: LogEntry | None
    """The newest entry before it; None if that is not known for certain."""
    before: States | None = None
    """What the lock told last before it."""
    refusals: int = 0
    """How often the lock has refused the action before, in answers that were heard."""


@frozen
class Finding:
    """What the log proves; `completion` is None if it proves that the lock did nothing."""

    completion: Completion | int | None
    is_newest: bool = True
    """Nobody has acted since."""


class LoggingLock(Protocol):
    """The lock whose log it is."""

    name: str
    paired: PairedLock
    exchange: Exchange
    states: States | None

    @property
    def profile(self) -> Profile:
        """What this kind of lock can do."""

    def clock(self) -> float:
        """Seconds, counting through suspend."""

    async def read_states(self) -> States:
        """Ask the lock for its states, under this task's turn."""


class Evidence:
    """The log of one lock, as far as it proves something; `pin` is what is known of the PIN that opens it."""

    def __init__(self, lock: LoggingLock, pin: KnownPin) -> None:
        self._lock = lock
        self._pin = self.pin = pin
        self._mark: LogEntry | None = None
        self._is_fresh = False  # nothing of ours was sent since the mark was read whose entry is not below it
        self._last: Sent | None = None
        self._over_at = -math.inf

    # -- the mark -----------------------------------------------------------------------------------------------------

    def sends(self, action: int, suffix: str | None) -> Sent:
        """Begin with an action that is about to be sent: from now on the mark is its own alone."""
        lock = self._lock
        self._last = Sent(action, suffix, lock.clock(), self._mark if self._is_fresh else None, lock.states)
        self._is_fresh = False
        return self._last

    def sends_again(self, sent: Sent, *, refused: bool) -> Sent:
        """Begin again with the same action, because it was `refused` or the lock did nothing."""
        lock = self._lock
        self._last = replace(sent, at=lock.clock(), before=lock.states, refusals=sent.refusals + refused)
        return self._last

    def over(self) -> None:
        """Note that the last action has ended."""
        self._over_at = self._lock.clock()

    def owed_s(self) -> float | None:
        """Return the seconds after which reading the log gives a mark for the next action, None if there is one, or
        nothing to wait for."""
        left_s = self._over_at + ACCOUNTED_S - self._lock.clock()
        return None if self._is_fresh or self._last is None or left_s <= 0 else left_s

    def read(self, entries: Sequence[LogEntry]) -> None:
        """Take the newest entries of the log, read while nothing of ours was on its way."""
        newest, last, states = max(entries, key=_index, default=None), self._last, self._lock.states
        if newest is None:
            self._is_fresh = False
            return
        known = self._mark is None or newest.index >= self._mark.index
        accounted = (
            self._is_fresh
            or last is None
            or self._lock.clock() - self._over_at >= ACCOUNTED_S
            or (last.mark is not None and len(_bearing(last, self._own(last, entries))) > last.refusals)
        )
        at_rest = states is not None and states.lock_state not in self._lock.profile.moving
        self._mark, self._is_fresh = newest, known and accounted and at_rest

    def _own(self, sent: Sent, entries: Sequence[LogEntry]) -> list[LogEntry]:
        """Return the entries above the mark that are ours and can be of this action, whatever name they bear."""
        assert sent.mark is not None
        number = self._lock.paired.authorization_id
        return [
            entry
            for entry in entries
            if entry.index > sent.mark.index
            and entry.kind == LogType.LOCK_ACTION
            and entry.authorization_id == number
            and entry.data_1 == Trigger.SYSTEM
            and self._lock.profile.reported_as(sent.action, entry.data_0)
        ]

    # -- the proof ----------------------------------------------------------------------------------------------------

    def may_tell(self, sent: Sent) -> bool:
        """Return whether the log can be asked, with a PIN that the lock has accepted, and tells of such an action."""
        if sent.action in self._lock.profile.unlogged:
            return False
        return sent.mark is not None and self._pin.is_usable and self._pin.is_proven

    async def find(self, sent: Sent) -> Finding | None:
        """Ask, over the link that is up, under this task's turn, with the motor at rest; None if nothing is proven.

        Takes up to `QUEUE_S` and a few exchanges.  Raises nothing: an exchange that failed has dropped the link.
        """
        mark = sent.mark
        if mark is None or not self.may_tell(sent):
            return None
        try:
            await asyncio.sleep(max(REST_S, sent.at + QUEUE_S - self._lock.clock()))
            entries, is_whole = await self._newest()
            after = await self._lock.read_states()
        except (LockError, LinkError, ProtocolError, RequestError) as error:
            log.info("%s: its log cannot be asked: %s", self._lock.name, error)
            return None
        if mark not in entries:
            return None
        ours = self._own(sent, entries)
        own = _bearing(sent, ours)
        acted = [entry for entry in own if entry.data_3 not in REFUSALS]
        if len(acted) == 1:
            newest = max((entry for entry in entries if entry.kind in _ACTS), key=_index)
            return Finding(_completion(acted[0]), newest is acted[0])
        if acted:
            return None
        if len(own) > sent.refusals:
            return Finding(_completion(max(own, key=_index)))
        if len(ours) > len(own):
            return None  # the firmware may not write down who asked
        if any(entry.kind == LogType.LOGGING and entry.index > mark.index for entry in entries):
            return None  # it may have been off while the action was carried out
        rests = not self._lock.profile.is_passing(sent.action, after) and _rests_as(sent.before, after)
        return Finding(None) if is_whole and rests else None

    async def _newest(self) -> tuple[list[LogEntry], bool]:
        """Return the newest entries, and whether they are all that the lock has written; raises as `Exchange.ask`.

        They are not if logging is switched off or a message got lost.
        """
        exchange = self._lock.exchange
        nonce = await exchange.take_challenge(fresh=True)  # the refusal of an old one would leave the question open
        request = RequestLogEntries(
            start=0, count=PAGE, descending=True, total_count=True, nonce=nonce, security_pin=self._pin.to_send()
        )
        entries: list[LogEntry] = []
        count: LogEntryCount | None = None
        try:
            await exchange.send(request)
            while not isinstance(answer := await exchange.receive(), Status):
                if isinstance(answer, LogEntryCount):
                    count = answer
                elif isinstance(answer, LogEntry):
                    entries.append(answer)
        except (LinkError, ProtocolError) as error:
            await exchange.drop()  # a late Status would pass for the end of the next command
            if not isinstance(error, TimedOut) or not entries:
                raise
        except LockError as error:
            if error.number == ErrorCode.BAD_PIN:
                self._pin.was_refused(error)
            raise
        is_whole = count is not None and count.logging_enabled and len(entries) == min(count.count, PAGE)
        return entries, is_whole


def _index(entry: LogEntry) -> int:
    return entry.index


def _completion(entry: LogEntry) -> Completion | int:
    return Completion.UNKNOWN if entry.data_3 is None else open_enum(Completion, entry.data_3)


def _bearing(sent: Sent, entries: Sequence[LogEntry]) -> list[LogEntry]:
    """Return those entries that bear the command's name."""
    return [entry for entry in entries if _bears(entry.name, sent.suffix)]


def _bears(name: str, suffix: str | None) -> bool:
    """Return whether the name in a log entry ends with this suffix, as far as there was room for it."""
    return suffix is None or name.endswith(suffix) or len(name.encode()) >= NAME_SIZE - 3


def _rests_as(before: States | None, after: States) -> bool:
    """Return whether the lock tells the same of its bolt and its last action in both."""
    return before is not None and _told(before) == _told(after)


def _told(states: States) -> tuple[object, ...]:
    last = states.last_action, states.last_trigger, states.last_completion
    return states.nuki_state, states.lock_state, states.trigger, *last
