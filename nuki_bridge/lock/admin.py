"""Asking a lock for what takes the owner's security PIN: one command and its answer, or a list, a page at a time.

The PIN is tried once: after the lock has refused it every such command is refused here with `bad_pin`, until the PIN
is changed, because the lock bans its owner after several wrong ones.  A refusal may get lost on its way: a command
whose answer stayed away is sent again only with a PIN that the lock has accepted before.  The commands and
what they are good for are the subject of `owner/`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, TimedOut
from nuki_bridge.lock.exchange import REPLY_TIMEOUT_S
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.lock.page_size import PageSize
from nuki_bridge.lock.turn import with_challenge
from nuki_bridge.protocol.authorizations import AuthorizationEntryCount
from nuki_bridge.protocol.codes import ErrorCode
from nuki_bridge.protocol.keypad_codes import KeypadCodeCount
from nuki_bridge.protocol.log_entries import LogEntryCount
from nuki_bridge.protocol.messages import SetSecurityPin, Status, VerifySecurityPin
from nuki_bridge.protocol.time_control import TimeControlEntryCount
from nuki_bridge.protocol.wire import Message, OwnerRequest

log = logging.getLogger(__name__)

PROGRESS_S = 15.0
"""A list that is read past its deadline may go on for so long after each page that brought something new."""
LIST_S = 300.0
"""A list that is read past its deadline may take so long in all."""
LIST_QUIET_S = 3.0
"""Seconds of silence after an entry that end a list whose end was not told."""
END_QUIET_S = 0.5
"""Seconds to wait for the Status behind the last expected entry."""
M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=OwnerRequest)
T = TypeVar("T")
Counting = AuthorizationEntryCount | KeypadCodeCount | LogEntryCount | TimeControlEntryCount
"""Messages that tell how many entries follow."""


class _Lost(Exception):
    """A request was sent and its answer got lost, by `error`; `pin` went with it, None if it brought one."""

    def __init__(self, error: NukiError, pin: int | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pin = pin


def _unknown(lost: NukiError) -> OutcomeUnknown:
    return OutcomeUnknown(f"the lock may have carried it out, but its answer got lost: {lost}")


class Admin:
    """The owner's commands to one lock, with the security PIN that the lock was given."""

    def __init__(self, lock: Lock) -> None:
        self.clock = lock.clock
        self._lock = lock
        self.pin = lock.pin
        self.edits = 0
        """Grows whenever we may have changed the lock's authorizations."""
        self.log_is_off = False
        """The lock has said, with its log, that it writes none."""
        self._pages = PageSize()

    @property
    def has_pin(self) -> bool:
        """Whether a PIN is known and the lock has not refused it."""
        return self.pin.is_usable

    # -- exchanges ----------------------------------------------------------------------------------------------------

    async def ask(
        self,
        request: R,
        wanted: type[M],
        timeout_s: float,
        *,
        repeat: bool = True,
        given: str | None = None,
        stamp: Callable[[R], R] = lambda request: request,
    ) -> M:
        """Send one command with challenge and PIN; return its answer of class `wanted`.

        `repeat` says that doing it twice does no harm when its answer gets lost; otherwise, or while the lock has not
        yet accepted our PIN, that raises `OutcomeUnknown`.  `given` is a PIN of somebody's that stands in `request`:
        raises `RequestError` if it cannot be one of this lock's.  `stamp` gives what is sent in place of `request` at
        that very moment, each time.
        """
        deadline = self._lock.clock() + timeout_s
        if not request.brings_pin:
            await self.be_sure(deadline)
        async with self._lock.linked(deadline):
            self.edits += 1
            return await self.ask_linked(request, wanted, deadline, repeat=repeat, given=given, stamp=stamp)

    async def ask_linked(
        self,
        request: R,
        wanted: type[M],
        deadline: float,
        *,
        repeat: bool = True,
        given: str | None = None,
        stamp: Callable[[R], R] = lambda request: request,
    ) -> M:
        """Do what `ask` does, until `deadline` (on `clock`), over the link that is up, in this task's turn."""
        lock, own_pin = self._lock, not request.brings_pin

        async def asked(message: R) -> M:
            answer = await lock.exchange.ask(stamp(message), wanted)
            if own_pin:
                self.pin.accepted(message.security_pin)
            return answer

        lost: NukiError | None = None
        while True:
            try:
                return await self.send_signed(request, asked, deadline, given=given)
            except _Lost as latest:
                lost = latest.error
                is_harmless = latest.pin is None or self.pin.proves(latest.pin)
                if not repeat or not is_harmless or lock.clock() >= deadline:
                    raise _unknown(lost) from lost
                log.debug("%s: %s; sending it again", lock.name, lost)
            except (LinkError, ProtocolError):
                if lost is None:
                    raise  # nothing has been sent
                raise _unknown(lost) from lost

    async def send_signed(
        self,
        request: R,
        send: Callable[[R], Awaitable[T]],
        deadline: float,
        *,
        given: str | None = None,
    ) -> T:
        """Return what `send` gives for `request` with challenge and PIN, over the link that is up, in this task's turn.

        It is sent again if the lock has not taken it, as `with_challenge` tells; `given` is as for `ask`.  What `send`
        does not catch itself of a broken link is for this class alone.
        """
        lock, own_pin = self._lock, not request.brings_pin

        async def sign_and_send(nonce: bytes) -> T:
            # while we waited it may have been refused, or a new link shows that the lock's PINs have more digits
            pin = self.pin.to_send() if own_pin else 0
            if given is not None:
                self.pin.check_given(given)
            try:
                return await send(request.signed(nonce, pin))
            except (LinkError, ProtocolError) as error:
                if own_pin:
                    self.pin.was_unheard(pin)
                raise _Lost(error, pin if own_pin else None) from None

        try:
            return await with_challenge(sign_and_send, partial(lock.fresh_nonce, deadline), lock.clock, deadline)
        except LockError as error:
            self.note_refusal(error, own_pin=own_pin)
            raise

    async def remove(self, request: OwnerRequest, timeout_s: float) -> None:
        """Delete an entry of a list.

        One that is not there is as good as deleted: it is gone by somebody else's hand, or the answer got lost and we
        asked again.
        """
        try:
            await self.ask(request, Status, timeout_s)
        except LockError as error:
            if error.number != ErrorCode.INVALID_AUTH_ID:
                raise

    async def pages(
        self,
        request: Callable[[int, int], OwnerRequest],
        entry: type[M],
        count: type[Counting],
        number: Callable[[M], int],
        deadline: float,
    ) -> dict[int, M]:
        """Return every entry of a long list by its `number`, page by page; others get their turn in between.

        `request(offset, count)` asks for a page.  Each begins with the last entry of the one before: an
        answer that is empty because there are no more could not be told from one that got lost, with firmware that
        tells neither how many there are nor where they end.  A page that ends before its time is the last one if the
        lock has sent as many at a time before; if not a short one is asked for behind it.  A list that grows goes on
        beyond `deadline`, by `PROGRESS_S` and `LIST_S`.  Raises as `listing`.
        """
        lock, sizes = self._lock, self._pages
        latest = max(deadline, lock.clock() + LIST_S)
        found: dict[int, M] = {}
        offset, size = 0, sizes.short
        cut = 0  # entries of a page that has ended before its time
        while True:
            page = await self.listing(request(offset, size), entry, count, deadline)
            news = {number(each): each for each in page if number(each) not in found}
            found.update(news)
            if cut:
                (sizes.limit if news else sizes.prove)(cut)
            if not news:
                return found
            cut = len(page) if len(page) < size else 0
            if cut and cut <= sizes.proven:
                return found
            offset += len(page) - 1
            if cut:
                size = sizes.short
            else:
                sizes.prove(size)
                size = sizes.longer(size)
            deadline = min(max(deadline, lock.clock() + PROGRESS_S), latest)

    @property
    def page_size(self) -> int:
        """Number of entries of a list to ask for at a time, where it is not read by `pages`."""
        return self._pages.short

    async def listing(
        self,
        request: OwnerRequest,
        entry: type[M],
        count: type[Counting],
        deadline: float,
    ) -> list[M]:
        """Return every message of class `entry` sent for one request, again from the start if the link broke.

        `count` is the class of the message that may come first.  Raises `TimedOut` at the deadline, and `LinkError` or
        `ProtocolError` if the first answer to a PIN that is not proven got lost.
        """
        lock = self._lock
        await self.be_sure(deadline)

        async def collect(message: OwnerRequest) -> list[M]:
            try:
                return await self._collect(message, entry, count)
            except (LinkError, ProtocolError):
                await lock.exchange.drop()
                raise

        async with lock.linked(deadline):
            while True:
                try:
                    return await self.send_signed(request, collect, deadline)
                except _Lost as latest:
                    lost = latest
                if lost.pin is None or not self.pin.proves(lost.pin):
                    raise lost.error
                if lock.clock() >= deadline:
                    raise TimedOut("the lock did not send its list within the deadline") from lost.error
                log.debug("%s: %s; asking again", lock.name, lost.error)

    async def _collect(self, request: OwnerRequest, entry: type[M], count: type[Counting]) -> list[M]:
        """Return the entries up to the Status behind them, or up to a silence.  Any of them proves the PIN.

        The link is dropped then: a late Status would pass for the end of the next command.  Raises `TimedOut` if the
        lock has told how many there are and falls silent before that.
        """
        lock, exchange, sizes = self._lock, self._lock.exchange, self._pages
        await exchange.send(request)
        begun: float | None = None  # when the count came, or else the first entry
        uncounted = 0
        found: dict[M, None] = {}
        wanted: int | None = getattr(request, "count", None)
        fewest: int | None = None
        while True:
            whole = wanted is not None and len(found) >= wanted
            pause_s = 3 * sizes.entry_s if found and sizes.entry_s else 0.0
            quiet_s = max(END_QUIET_S, pause_s) if whole else LIST_QUIET_S if found else REPLY_TIMEOUT_S
            try:
                answer = await exchange.receive(quiet_s)
            except TimedOut:
                if lock.clock() - exchange.last_message_at < quiet_s / 2:
                    continue  # a piece of a message has come
                if not found and not whole:
                    raise
                await exchange.drop()
                if fewest is not None and len(found) < fewest:
                    raise TimedOut("the lock's list broke off") from None
                return list(found)
            if isinstance(answer, Status | entry | count):
                self.pin.accepted(request.security_pin)
            if isinstance(answer, Status):
                return list(found)
            if isinstance(answer, entry):
                if answer in found:
                    continue  # an indication may come twice
                found[answer] = None
                if begun is None:
                    begun, uncounted = lock.clock(), 1
                else:
                    sizes.entry_s = (lock.clock() - begun) / (len(found) - uncounted)
            elif isinstance(answer, count):
                begun = lock.clock()
                if isinstance(answer, LogEntryCount):
                    self.log_is_off = not answer.logging_enabled
                wanted = min(answer.count, answer.count if wanted is None else wanted)
                if not getattr(request, "start", 0):
                    # those of this answer, or all that there are: the sources do not agree
                    fewest = min(max(answer.count - getattr(request, "offset", 0), 0), wanted)

    # -- the PIN ------------------------------------------------------------------------------------------------------

    async def verify_pin(self, pin: str, timeout_s: float) -> None:
        """Use this security PIN from now on if the lock takes it; raises `LockError` `bad_pin` if not, after one try.

        This is the way to try a refused PIN once more; whoever calls it sees to it that this is done rarely.
        """

        try:
            await self._verify(pin, timeout_s, repeat=self.pin.proves(int(pin)))
        except LockError as error:
            if pin == self.pin.digits:
                self.note_refusal(error)
            raise
        self.pin.is_right(pin)

    async def is_pin(self, pin: str, timeout_s: float) -> bool:
        """Return whether the lock takes this security PIN, asked once; nothing else comes of it.  Raises as `ask`."""

        try:
            await self._verify(pin, timeout_s, repeat=False)
        except LockError as error:
            if error.number != ErrorCode.BAD_PIN:
                raise
            return False
        return True

    async def _verify(self, pin: str, timeout_s: float, *, repeat: bool) -> None:
        await self.ask(VerifySecurityPin(security_pin=int(pin)), Status, timeout_s, repeat=repeat, given=pin)

    async def verify_own_pin(self, timeout_s: float) -> None:
        """Ask the lock, once, whether the PIN in use is right; raises as `ask`, `OutcomeUnknown` for a lost answer."""
        await self.ask(VerifySecurityPin(), Status, timeout_s, repeat=False)

    async def set_pin(self, pin: str, timeout_s: float) -> None:
        """Replace the lock's security PIN and use the new one from now on."""
        await self.ask(SetSecurityPin(new_pin=int(pin)), Status, timeout_s, repeat=False, given=pin)
        self.pin.is_right(pin)

    def note_refusal(self, error: LockError, *, own_pin: bool = True) -> None:
        """Take note of a refusal: it may have been on account of our PIN."""
        if not own_pin or error.number not in (ErrorCode.BAD_PIN, ErrorCode.TOO_MANY_PIN_ATTEMPTS):
            return
        log.warning("%s: %s", self._lock.name, error)
        if error.number == ErrorCode.BAD_PIN:  # a ban says nothing of this PIN: right or wrong, it stays what it was
            self.pin.was_refused(error)

    async def be_sure(self, deadline: float) -> None:
        """Find out which PIN the lock has if a change was cut off; raises as `KnownPin.to_send`, and what that asks."""
        if self.pin.in_doubt:
            await self.pin.settle(deadline)
        self.pin.to_send()
