"""A lock's log: read for those who ask, and for `<lock>/event`, which names who did what.

With the security PIN a lock action is told once its log entry has been read, which is right after the lock reported its
end; without one it is told from the report, with nobody's name.  An entry that no report has told of has the lock asked
for its states first, so that neither the event nor the topics show an older one.  The index of the last entry told is
kept durably, so that a restart neither repeats nor loses any: entries that came while nobody was listening are told
afterwards, with the time at which they happened.  It is kept after they were told, so that a crash in between repeats
some rather than lose them; each bears its index, by which that can be seen.  A moving door is told at once from the
report, and from the log only if no report showed it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.errors import LockError, RequestError
from nuki_bridge.lock import changes, state_json, wall_clock
from nuki_bridge.lock.background_read import BackgroundRead
from nuki_bridge.owner import log_entries
from nuki_bridge.owner.bell import Bell
from nuki_bridge.owner.log_json import event_of
from nuki_bridge.protocol.codes import (
    Completion,
    ErrorCode,
    LogType,
)
from nuki_bridge.protocol.opener import LOG_TYPE_RING

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.owner.users import Users
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.log_entries import LogEntry

log = logging.getLogger(__name__)

Event = dict[str, Any]

LOOK_BACK = 20
"""Newest entries that are searched for the last lock action."""
POLL_S = 60.0
"""Seconds between readings over a held link: this finds what changes no state, such as a wrong keypad code."""
POLL_ON_DEMAND_S = 1800.0
READ_TIMEOUT_S = 15.0
LATE_S = 1.0
"""Seconds by which a lock may write an entry after its report: it is asked again then."""
LATE_TIMES = 3
MAX_WAITING = 100
"""Most reports that wait for their log entries."""
SAME_S = (-60.0, 5.0)
"""Seconds by which the times of a report and of a log entry about the same event may differ."""
NOT_DONE: Final = frozenset(
    {Completion.TOO_RECENT, Completion.BUSY, Completion.REJECTED, Completion.REJECTED_NIGHT_MODE}
)
"""Completion statuses of actions for which the motor did not start."""


# -- events -----------------------------------------------------------------------------------------------------------


class LogBook:
    """What happened at one lock; `run` it, and give it each report of the lock.

    `tell` publishes an event and says whether the broker will get it; `listening` says whether that can be expected.
    `remember` gets the last lock action that the log tells of at the start; nobody is told of it.
    `position` is the index of the last entry told, None if nothing of this lock was ever told; `keep` makes it durable.
    `rings` says whether rings of a doorbell are told.
    """

    def __init__(
        self,
        lock: Lock,
        admin: Admin,
        users: Users,
        *,
        position: int | None,
        keep: Callable[[int], None],
        tell: Callable[[Event], bool],
        remember: Callable[[Event], None],
        listening: Callable[[], bool],
        rings: Callable[[], bool] = lambda: True,
    ) -> None:
        self._lock = lock
        self._admin = admin
        self._users = users
        self._position = position
        self._keep = keep
        self._tell = tell
        self._remember = remember
        self._has_looked_back = False
        self._listening = listening
        self._reports = changes.Events(lock.profile)
        self._waiting: list[tuple[datetime, Event]] = []
        self._told_early: list[tuple[datetime, Event]] = []
        self._late_times = 0
        self._is_silent = False
        self._may_be_cleared = True
        self.bell = Bell(lock, admin, tell=tell, read_log=self.schedule, wanted=rings)
        """Its doorbell."""
        self._background = BackgroundRead("log", lock, admin, self._catch_up)
        self.run = self._background.run

    def feed(self, states: States) -> None:
        """The lock has reported: tell what happened, or read its log for who did it."""
        moment = states.current_time or datetime.now(UTC)
        for event in self._reports.feed(states):
            timed = {**event, "time": state_json.lock_time(self._lock)}
            if self._admin.has_pin and event["type"] == "lock_action" and self._is_logged(event):
                self._waiting.append((moment, timed))
                del self._waiting[:-MAX_WAITING]
            else:
                self._tell_early(moment, timed)
            self._late_times = 0
            self._background.schedule()
        self.wake()

    def _is_logged(self, event: Event) -> bool:
        """The log has an entry of such an action."""
        profile, word = self._lock.profile, event["action"]
        return not profile.unlogged or (word is not None and profile.names.find(word) not in profile.unlogged)

    def wake(self) -> None:
        """The lock, the PIN or the broker may be there again."""
        if not self._admin.has_pin:
            self._give_up_waiting()
        self._background.wake()

    def schedule(self) -> None:
        """Something may have happened."""
        self._background.schedule()

    async def _catch_up(self) -> float:
        """Tell everything that the log has beyond `position`; gives the seconds until the next time."""
        pause_s = POLL_S if self._lock.is_held else POLL_ON_DEMAND_S
        if not self._listening():
            return pause_s
        try:
            await self._users.zone(READ_TIMEOUT_S)
            if self._position is None:
                self._move_to(await self._newest())
                self._give_up_waiting()
                await self._look_back()
                return pause_s
            if self._may_be_cleared:
                await self._notice_new_log(self._position)
            while await self._tell_page():
                pass
            await self._look_back()
        except (LockError, RequestError) as error:
            if not (isinstance(error, LockError) and error.number == ErrorCode.BUSY):
                self._give_up_waiting()
            raise
        again_s = self.bell.again_s()
        owed_s = None if self._lock.is_held else self._lock.evidence.owed_s()
        pause_s = self._when_again(pause_s if owed_s is None else owed_s)
        return pause_s if again_s is None else again_s

    def _when_again(self, pause_s: float) -> float:
        if not self._waiting:
            return pause_s
        self._late_times += 1
        self._may_be_cleared = True
        if self._late_times < (1 if self._is_silent else LATE_TIMES):
            return LATE_S
        self._is_silent = True  # logging may be switched off
        self._give_up_waiting()
        return pause_s

    async def _read(self, *, start: int, count: int, descending: bool) -> list[LogEntry]:
        lock, admin = self._lock, self._admin
        found = await log_entries.read(
            lock, admin, start=start, count=count, descending=descending, timeout_s=READ_TIMEOUT_S
        )
        self.bell.look(found)
        return found

    async def _newest(self) -> int:
        newest = await self._read(start=0, count=1, descending=True)
        return newest[0].index if newest else 0

    async def _look_back(self) -> None:
        """Once: find the last lock action among the newest entries."""
        if self._has_looked_back:
            return
        start = seen = 0
        last: LogEntry | None = None
        while last is None and seen < LOOK_BACK:
            size = self._admin.page_size
            page = await self._read(start=start, count=size, descending=True)
            last = next((each for each in page if _moves(self._lock.profile, each)), None)
            seen += len(page)
            if len(page) < size:
                break
            start = page[-1].index
        self._has_looked_back = True
        if last is not None:
            assert self._lock.config is not None
            zone = wall_clock.zone_of(self._lock.config)
            self._remember(_as_lock_action(event_of(self._lock.profile, last, zone, self._users.kind_of)))

    async def _notice_new_log(self, position: int) -> None:
        """A lock that was reset begins to count anew: then everything in its log is news.

        Only an entry shows that: where none has come its message may have got lost.
        """
        self._may_be_cleared = False
        if 0 < await self._newest() < position:
            self._move_to(0)

    async def _tell_page(self) -> bool:
        """Tell the next entries; False if there are no more, or nobody listens."""
        assert self._position is not None
        size = self._admin.page_size
        # with the last one that is known: no answer at all is one that got lost then
        start = max(self._position - 1, 0)
        page = await self._read(start=start, count=size, descending=False)
        entries = [each for each in sorted(page, key=lambda each: each.index) if each.index > self._position]
        if not page and self._position > 0:  # not even the one that is known
            await self._notice_new_log(self._position)
            return self._position == 0
        if not entries:
            return False
        self._is_silent = False
        position = self._position
        is_last = len(page) < size
        if self._lock.states is None or self._is_news(entries):
            await self._lock.refresh(READ_TIMEOUT_S)  # before it is told: its state is not to be older than the event
        states = self._states_of(entries, is_last=is_last)
        for entry in entries:
            if not all(self._tell(event) for event in self._news(entry, states.get(entry.index))):
                break
            position = entry.index
        if position != self._position:
            self._move_to(position)
        return position == entries[-1].index and not is_last

    def _is_news(self, entries: list[LogEntry]) -> bool:
        """They tell of a movement of the lock or its door of which no report has told yet, or of an action refused."""
        if any(each.kind == LogType.LOCK_ACTION and not _moves(self._lock.profile, each) for each in entries):
            return True
        moved = [each for each in entries if _moves(self._lock.profile, each)]
        if moved:
            last, reports = moved[-1].time, [moment for moment, _ in self._waiting]
            if len(reports) < len(moved) or (last is not None and reports[-1] < last):
                return True
        states = self._lock.states
        doors = [
            event_of(self._lock.profile, each, UTC, self._users.kind_of)["door"]
            for each in entries
            if each.kind == LogType.DOOR_SENSOR and not self._lock.profile.rings
        ]
        return bool(doors) and (states is None or doors[-1] != state_json.door_word(states))

    def _move_to(self, position: int) -> None:
        self._position = position
        self._keep(position)

    def _states_of(self, entries: list[LogEntry], *, is_last: bool) -> dict[int, str]:
        """Return the states that these entries' actions led to, by index; the reports of them wait no longer.

        Of the last one a report has told, or the lock when it was asked after it; of one before it a report has, if
        each has its own, otherwise the entry itself says where it led.
        """
        moved = [each for each in entries if _moves(self._lock.profile, each)]
        if not moved:
            return {}
        now, last = self._state_now(), moved[-1].time
        reported = [event["state"] for _, event in self._waiting[-len(moved) :]]
        if is_last and len(reported) == len(moved):
            led_to = reported
        else:
            led_to = [_led_to(self._lock.profile, each) or now for each in moved]
            if is_last:
                led_to[-1] = reported[-1] if reported else now
        # The log covers what was reported up to its last entry, however many reports there were.
        rest = self._waiting[: -len(moved)] if is_last else self._waiting
        self._waiting = [each for each in rest if last is not None and each[0] > last]
        return {each.index: state for each, state in zip(moved, led_to, strict=True)}

    def _state_now(self) -> str:
        assert self._lock.states is not None  # whatever has a state was news, for which they have been read
        return self._lock.profile.state_word(self._lock.states.lock_state)

    def _news(self, entry: LogEntry, state: str | None) -> list[Event]:
        """Return the events that an entry is; none if a report has told it already.

        What was refused led to no `state`: with it goes the one in which the lock is.
        """
        assert self._lock.config is not None
        assert self._lock.states is not None
        if self._lock.profile.rings and entry.kind == LOG_TYPE_RING:
            self.bell.heard(entry)
            return []
        state = state or self._lock.profile.state_word(self._lock.states.lock_state)
        zone = wall_clock.zone_of(self._lock.config)
        event = {**event_of(self._lock.profile, entry, zone, self._users.kind_of), "index": entry.index}
        if event["type"] == "lock_action":
            event["state"] = state or self._state_now()
        if self._was_told_early(entry.time, event):
            return []
        if event["type"] == "keypad" and _moves(self._lock.profile, entry):
            return [event, {**_as_lock_action(event), "state": state}]
        return [event]

    # -- without the log ----------------------------------------------------------------------------------------------

    def _give_up_waiting(self) -> None:
        """Tell what waits for its log entry from the reports alone."""
        self.bell.give_up()
        waiting, self._waiting = self._waiting, []
        for moment, event in waiting:
            self._tell_early(moment, {**event, "user": None, "source": _source_of_report(event)})

    def _tell_early(self, moment: datetime, event: Event) -> None:
        if self._tell(event) and self._admin.has_pin:
            self._told_early.append((moment, event))
            del self._told_early[:-MAX_WAITING]

    def _was_told_early(self, time: datetime | None, event: Event) -> bool:
        if time is None:
            return False
        earliest, latest = (timedelta(seconds=each) for each in SAME_S)
        for each in self._told_early:
            moment, report_of_it = each
            same = all(report_of_it.get(key) == event.get(key) for key in ("type", "action", "door"))
            if same and earliest <= time - moment <= latest:
                self._told_early.remove(each)
                return True
        return False


def _moves(profile: Profile, entry: LogEntry) -> bool:
    """The entry tells of an action for which the motor started, or found nothing to do."""
    if entry.kind == LogType.LOCK_ACTION:
        return entry.data_0 not in profile.no_actions and entry.data_3 not in NOT_DONE
    return entry.kind == LogType.KEYPAD_ACTION and entry.data_2 == Completion.SUCCESS


def _led_to(profile: Profile, entry: LogEntry) -> str | None:
    """The state in which the entry's action has left the lock; None if it has failed, or may have led anywhere."""
    completion = entry.data_3 if entry.kind == LogType.LOCK_ACTION else entry.data_2
    led_to = profile.leads_to_state.get(entry.data_0 or 0) if completion == Completion.SUCCESS else None
    return None if led_to is None else profile.state_word(led_to)


def _as_lock_action(event: Event) -> Event:
    """Return a keypad's entry as the lock action that it led to."""
    if event["type"] != "keypad":
        return event
    return {
        **{key: each for key, each in event.items() if key != "code_id"},
        "type": "lock_action",
        "trigger": "system",
    }


def _source_of_report(event: Event) -> str | None:
    """Without a name, what set the lock in motion is all that is known; a command may have come from anybody."""
    trigger: str | None = event.get("trigger")
    return None if trigger in ("system", "automatic") else trigger
