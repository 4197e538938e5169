"""Actions of a device whose link goes deaf after each: how they end, and what becomes of one whose answer got lost.

An Opener says at once that it has taken an action and shows what came of it, and then hears nothing more over this
link.  So nothing is asked over it: what is still to be known is read over a new one, and every action has its own.

Ring to open and continuous mode only lead to a state, of which no log tells.  They are done when the device has taken
them and shows that state, and are sent again, within the deadline, when it turns out not to be there.  The strike is
sent once; what became of it if its answer got lost only `action.py` and the log can tell.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, RequestError, TimedOut
from nuki_bridge.lock.action import ActionRun
from nuki_bridge.lock.outcome import SUCCESS, Outcome, OutcomeUnknown, failure
from nuki_bridge.lock.rings import STRIKE_S
from nuki_bridge.protocol.codes import Command, ErrorCode, IdType, NukiState, StatusCode, name_of
from nuki_bridge.protocol.messages import Status
from nuki_bridge.protocol.opener import ContinuousModeAction

if TYPE_CHECKING:
    from nuki_bridge.lock.progress import ActionContext
    from nuki_bridge.protocol.common import States
    from nuki_bridge.protocol.wire import Message

log = logging.getLogger(__name__)

TRIES: Final = 3
"""How often an action that only leads to a state is sent at most."""
AGAIN_S: Final = 0.5
"""Seconds before a device whose link was deaf is connected again."""
TOLD_S: Final = 2.0
"""Seconds in which a device that has taken an action shows where that led; it does so in a tenth of one."""
READ_S: Final = 30.0
"""Seconds for which a device is sought whose answer got lost."""
_NOT_BY_ACTION: Final = frozenset({ErrorCode.BAD_NONCE, ErrorCode.BUSY, ErrorCode.DISABLED})
"""Refusals that say nothing of whether continuous mode can be switched by a lock action."""


class ShortLinkRun(ActionRun):
    """One action of such a device on its way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `ActionRun`."""
        super().__init__(*args, **kwargs)
        self._times = 0  # sent

    @property
    def _only_leads(self) -> bool:
        return self._lock.profile.is_repeatable(self._action)

    def _has_led(self, states: States | None) -> bool:
        return states is not None and self._lock.profile.leads_to(self._action, states)

    def _begin(self, *args: Any, **kwargs: Any) -> None:
        self._times += 1
        super()._begin(*args, **kwargs)

    # -- on the link that it was sent over ----------------------------------------------------------------------------

    def _took(self, answer: Message) -> Outcome | None:
        """COMPLETE is the end of the strike; any other is at its end when the device has taken it and is there."""
        last = self._progress.traces.last
        if isinstance(answer, Status):
            self._progress.accepted()
            if answer.status == StatusCode.COMPLETE and not self._only_leads:
                if not (failed := self._failure()):
                    return Outcome(SUCCESS, last)
                if self._progress.traces.moved:
                    raise failure(failed)
                return None
        return Outcome(SUCCESS, last) if self._only_leads and self._progress.has_word and self._has_led(last) else None

    def _failure(self) -> int:
        """Return how the strike failed by the last report, 0 if that does not say so.

        While the door opens, and before the device has taken the action, that is how the one before ended.
        """
        last = self._progress.traces.last
        if last is None or last is self._progress.before_word or last.lock_state in self._lock.profile.opening:
            return 0
        return (last.last_completion or 0) if self._progress.traces.names_it(last) else 0

    @property
    def _patience_s(self) -> float:
        return TOLD_S if self._only_leads else STRIKE_S

    async def _completed(self) -> Outcome | None:
        if self._only_leads:
            return await self._ended_silently()
        why = TimedOut("the lock told of a failure and was not seen to open, so that may be how the last strike ended")
        states = await _read_anew(self._lock, self._action, why)
        if failed := self._failure():
            raise failure(failed)
        return Outcome(SUCCESS, states)

    async def _ended_silently(self) -> Outcome:
        """The device has taken the action and says no more; raises `TimedOut` if it is not known how it ended."""
        last = self._progress.traces.last
        if self._only_leads:
            return await self._found(TimedOut("the lock took the action and did not tell its state"))
        if last is not None and not self._lock.profile.is_passing(self._action, last):
            with suppress(OutcomeUnknown):
                return self._progress.traces.ended(last)
        raise TimedOut("the lock took the action and did not say how it ended")

    # -- over a new one -----------------------------------------------------------------------------------------------

    async def _found(self, why: NukiError) -> Outcome:
        """Return the outcome of an action that the device has taken, by its states."""
        states = await _read_anew(self._lock, self._action, why)
        if self._has_led(states):
            return Outcome(SUCCESS, states)
        raise LockError("incomplete", f"the lock accepted {name_of(self._action)}, but {self._how_it_is(states)}")

    def _how_it_is(self, states: States) -> str:
        word = f"it is {self._lock.profile.state_word(states.lock_state)} now"
        return f"{word}, in {name_of(states.nuki_state)}" if self._action in self._lock.profile.modes else word

    async def _is_to_be_sent_again(self, lost: NukiError) -> bool:
        """As `ActionRun`; of what only leads to a state the device's states tell, and not its log.

        It is not sent again if a ring may have made use of it.
        """
        if not self._only_leads:
            return await super()._is_to_be_sent_again(lost)
        lock = self._lock
        log.info("%s: %s; asking the lock what became of %s", lock.name, lost, name_of(self._action))
        states = await _read_anew(lock, self._action, lost)
        if self._has_led(states):
            return False
        if self._times >= TRIES or lock.clock() >= self._deadline or states.lock_state in lock.profile.opening:
            raise OutcomeUnknown(f"{name_of(self._action)} was sent; {self._how_it_is(states)}") from lost
        return True

    async def _find_outcome(self, lost: NukiError | None = None) -> Outcome:
        if self._only_leads and self._has_led(self._lock.states):
            return Outcome(SUCCESS, self._lock.states)
        return await super()._find_outcome(lost)

    # -- continuous mode with the PIN ---------------------------------------------------------------------------------

    async def _refused(self, error: LockError) -> Outcome | None:
        """Switch continuous mode with the PIN where the device does not take that as a lock action of ours."""
        lock, pin = self._lock, self._lock.evidence.pin
        await lock.exchange.drop()
        may_help = error.command in (Command.LOCK_ACTION, 0) and error.number not in _NOT_BY_ACTION
        if not may_help or self._action not in lock.profile.modes:
            return None
        if not pin.is_usable or pin.in_doubt:
            if lock.paired.id_type is IdType.APP:
                raise RequestError(
                    "pin_required",
                    "for one that is paired as App, continuous mode takes the security PIN; give it with "
                    "`nuki-bridge pin verify` or in the configuration (`pin_file`)",
                ) from error
            return None
        log.info("%s: %s; switching continuous mode with the PIN", lock.name, error)
        enabled = lock.profile.modes[self._action] == NukiState.CONTINUOUS_MODE
        nonce, number = await lock.fresh_nonce(self._deadline), pin.to_send()
        request = ContinuousModeAction(enabled=enabled, timeout=0, nonce=nonce, security_pin=number)
        try:
            await lock.exchange.ask(request, Status)
            pin.accepted(number)
        except LockError as refusal:
            if refusal.number == ErrorCode.BAD_PIN:
                pin.was_refused(refusal)
            raise
        except (LinkError, ProtocolError) as lost:
            pin.was_unheard(number)
            states = await _read_anew(lock, self._action, lost)
            if self._has_led(states):
                return Outcome(SUCCESS, states)
            raise OutcomeUnknown(f"{name_of(self._action)} was sent; {self._how_it_is(states)}") from lost
        return await self._found(TimedOut("the lock did not tell its state"))


async def _read_anew(lock: ActionContext, action: int, why: NukiError) -> States:
    """Return the states, over a new link, under this task's turn; raises `OutcomeUnknown` if they are not to be had."""
    until = lock.clock() + READ_S
    while True:
        await lock.exchange.drop()
        await asyncio.sleep(AGAIN_S)
        try:
            await lock.link_up(until)
            return await lock.read_states()
        except (LinkError, ProtocolError) as error:
            if lock.clock() >= until:
                text = f"{name_of(action)} was sent, but its answer got lost and the lock cannot be asked: {error}"
                raise OutcomeUnknown(text) from why
        except LockError as error:
            text = f"{name_of(action)} was sent, but cannot be asked after: {error}"
            raise OutcomeUnknown(text) from error
