"""A lock's clock kept right: looked at once a day, and set when it is wrong by more than `MAX_WRONG_S`.

Users' time limits, the log and time control go by that clock.  It is set with the security PIN, and only with one that
the lock has accepted; not while an action is under way, not by a computer that does not know the time itself, and not
back by more than an hour, by which time limits that are over would be valid again: that is for a person to decide.
So is a clock that is off by just what its time zone is: it may be right, and tell local time where UTC is expected.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from nuki_bridge.errors import LockError
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.admin import Admin
from nuki_bridge.lock.background_read import BackgroundRead
from nuki_bridge.lock.lock import LOST_PAIRING, Lock
from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.messages import Status, UpdateTime
from nuki_bridge.records import frozen

log = logging.getLogger(__name__)

CHECK_S: Final = 86400.0
"""Seconds between two looks at a lock's clock."""
MAX_WRONG_S: Final = 10.0
"""Seconds by which a lock's clock may be wrong without being set."""
MAX_SET_BACK: Final = timedelta(hours=1)
"""Furthest that a lock's clock is set back unless a time is given."""
NOTICED_S: Final = 3600.0
"""Seconds after a look within which a wrong time in the lock's reports has nobody look again."""
SOON_S: Final = 60.0
"""Seconds until the next attempt if this was not the moment: an action is under way, or the PIN is not proven yet."""
UNSYNCHRONIZED_S: Final = 600.0
"""Seconds until this computer's clock is asked again whether it is right."""
TIMEOUT_S: Final = 30.0
"""Seconds within which a lock is to be reached for a look at its clock."""
STEP_S: Final = 1.0
"""Seconds by which this computer's clock may differ, over a look, from the time that has passed: else it was set."""
STEADY_S: Final = 1.0
"""Seconds by which two reports of a clock that runs right may differ: each tells its time without parts of a second."""
_NOT_NOW: Final = LOST_PAIRING | {ErrorCode.BAD_PIN, ErrorCode.TOO_MANY_PIN_ATTEMPTS, ErrorCode.BUSY}


@frozen
class _Look:
    """What a lock told of its time: `wrong_s` is how far it is ahead, None if it has none; `heard_at` on its clock."""

    states: States
    wrong_s: float | None
    heard: datetime
    heard_at: float
    is_sure: bool

    @property
    def is_right(self) -> bool:
        return self.wrong_s is not None and abs(self.wrong_s) <= MAX_WRONG_S


def ahead_s(told: datetime | None, asked: datetime, heard: datetime) -> float | None:
    """Return how many seconds a lock is ahead at least, negative if it is behind, None if it told no time.

    It told `told`, to the second and without what is left of it, at some moment between `asked` and `heard`.
    """
    if told is None:
        return None
    ahead, behind = (told - heard).total_seconds(), (asked - told).total_seconds() - 1.0
    return max(ahead, 0.0) - max(behind, 0.0)


class ClockKeeper:
    """The clock of one lock; `run` it.

    `now` is the wall clock.  `synchronized` tells whether that is right, as far as this computer knows; `changed` is
    called when there is something else to tell.
    """

    def __init__(
        self,
        lock: Lock,
        admin: Admin,
        now: Callable[[], datetime],
        synchronized: Callable[[], Awaitable[bool]],
        changed: Callable[[], None],
    ) -> None:
        self._lock = lock
        self._admin = admin
        self._now = now
        self._synchronized = synchronized
        self._changed = changed
        self._background = BackgroundRead("clock", lock, admin, self._look_after)
        self.run = self._background.run
        self.wake = self._background.wake
        self._looked_at = -math.inf  # when a look began last
        self._wrong_s: float | None = None  # by the last report
        self._checked: datetime | None = None
        self._set: datetime | None = None
        self._problem: tuple[str, str] | None = None  # its kind, and the sentence

    @property
    def ahead_s(self) -> int | None:
        """By how many seconds the lock's clock was ahead of ours at its last report; None if that told no time."""
        return None if self._wrong_s is None else round(self._wrong_s)

    def to_json(self) -> dict[str, Any]:
        """Return what is known of the clock: seconds ahead, when it was looked after, when it was set, a problem."""
        zone = wall_clock.zone_in(self._lock)
        return {
            "ahead_s": self.ahead_s,
            "checked": wall_clock.rfc3339(self._checked, zone),
            "set": wall_clock.rfc3339(self._set, zone),
            "problem": None if self._problem is None else self._problem[1],
        }

    def feed(self, states: States) -> None:
        """The lock has reported: after a change of its batteries its clock may be wrong before the day is over."""
        now = self._now()
        wrong_s = ahead_s(states.current_time, now, now)
        if wrong_s is None or self._wrong_s is None or abs(wrong_s - self._wrong_s) > STEADY_S:
            self._wrong_s = wrong_s
        is_wrong = wrong_s is None or abs(wrong_s) > MAX_WRONG_S
        looked_lately = self._lock.clock() - self._looked_at < NOTICED_S
        if is_wrong != (self._problem is not None) and not looked_lately:
            self._background.schedule()
        self._background.wake()

    def was_set(self) -> None:
        """Somebody has set the clock: look at it again."""
        self._background.schedule()

    # -- looking after it ---------------------------------------------------------------------------------------------

    async def _look_after(self) -> float:
        """Look at the clock and set it if it has to be; return the seconds until the next look."""
        self._looked_at = self._lock.clock()
        pin = self._admin.pin
        if not pin.is_proven or pin.in_doubt:
            return SOON_S
        if not await self._synchronized():
            self._tell(
                "unsynchronized", "this computer's clock has not been set by a time server, so the lock's is left alone"
            )
            return UNSYNCHRONIZED_S
        lock = self._lock
        deadline = lock.clock() + TIMEOUT_S
        refusal = None
        async with lock.linked(deadline):
            look = await self._look()
            if not look.is_sure:
                return SOON_S
            if not (look.is_right or self._is_far_ahead(look) or self._may_be_local(look)):
                if lock.runs or lock.profile.is_unsettled(look.states) or lock.is_wanted:
                    return SOON_S
                look, refusal = await self._set_right(look, deadline)
        self._wrong_s, self._checked = look.wrong_s, look.heard
        self._judge(look, refusal)
        return CHECK_S

    async def _look(self) -> _Look:
        """Ask the lock for its time, over the link that is up, in this task's turn."""
        lock = self._lock
        asked, asked_at = self._now(), lock.clock()
        states = await lock.read_states()
        heard, heard_at = self._now(), lock.clock()
        passed_s = (heard - asked).total_seconds()
        return _Look(
            states,
            ahead_s(states.current_time, asked, heard),
            heard,
            heard_at,
            abs(passed_s - (heard_at - asked_at)) <= STEP_S,
        )

    async def _set_right(self, look: _Look, deadline: float) -> tuple[_Look, LockError | None]:
        """Set the clock and look at it again; return that, or why the lock refused.  Raises as `Admin.ask_linked`."""
        lock = self._lock

        def stamped(request: UpdateTime) -> UpdateTime:
            return replace(request, time=nearest_second(look.heard + timedelta(seconds=lock.clock() - look.heard_at)))

        try:
            await self._admin.ask_linked(UpdateTime(time=look.heard), Status, deadline, stamp=stamped)
        except LockError as error:
            if error.number in _NOT_NOW:
                raise
            return look, error
        again = await self._look()
        if again.is_right:
            self._set = again.heard
            by = "it had lost the time" if look.wrong_s is None else f"it was {describe(look.wrong_s)}"
            log.info("%s: the lock's clock was set right; %s", lock.name, by)
        return again, None

    @staticmethod
    def _is_far_ahead(look: _Look) -> bool:
        return look.wrong_s is not None and look.wrong_s > MAX_SET_BACK.total_seconds()

    def _may_be_local(self, look: _Look) -> bool:
        """The clock is off by its time zone's offset, with or without daylight saving."""
        if look.wrong_s is None:
            return False
        shown = look.heard.astimezone(wall_clock.zone_in(self._lock))
        offset, summer = shown.utcoffset() or timedelta(), shown.dst() or timedelta()
        offsets = {each.total_seconds() for each in (offset, offset - summer)} - {0.0}
        return any(abs(look.wrong_s - each) <= MAX_WRONG_S for each in offsets)

    def _judge(self, look: _Look, refusal: LockError | None) -> None:
        if look.is_right:
            self._tell(None, "")
        elif refusal is not None:
            self._tell("refused", f"the lock's clock is wrong, and the lock refuses to have it set: {refusal}")
        elif self._is_far_ahead(look) or self._may_be_local(look):
            zone = wall_clock.zone_in(self._lock)
            ours, its = wall_clock.rfc3339(look.heard, zone), wall_clock.rfc3339(look.states.current_time, zone)
            if self._may_be_local(look):
                self._tell(
                    "local",
                    f"the lock's clock shows {its}, this computer's {ours}; that is as much as its time zone is from"
                    " UTC, so perhaps it is right and told in local time, and it is not set unasked: if it is wrong, "
                    f"`nuki-bridge set-clock {self._lock.name} --time {ours}` sets it",
                )
                return
            self._tell(
                "ahead",
                f"the lock's clock shows {its}, this computer's {ours}; it is not set back so far unasked: if the "
                f"lock's is wrong, `nuki-bridge set-clock {self._lock.name} --time {ours}` sets it",
            )
        else:
            self._tell("lost", "the lock's clock was set and is wrong again at once; look at it in the lock's own app")

    def _tell(self, kind: str | None, sentence: str) -> None:
        before, self._problem = self._problem, None if kind is None else (kind, sentence)
        if kind is not None and (before is None or before[0] != kind):
            level = logging.INFO if kind == "unsynchronized" else logging.WARNING
            log.log(level, "%s: %s", self._lock.name, sentence)
        self._changed()


def nearest_second(moment: datetime) -> datetime:
    """Return the full second that is nearest: a lock is told no parts of one."""
    return (moment + timedelta(seconds=0.5)).replace(microsecond=0)


def describe(wrong_s: float) -> str:
    """Return how wrong a clock is, for people."""
    size = abs(wrong_s)
    amount = f"{size:.0f} s" if size < 600 else f"{size / 3600:.1f} h" if size < 172800 else f"{size / 86400:.0f} days"
    return f"{amount} {'ahead' if wrong_s > 0 else 'behind'}"
