"""The line to one lock: is it there, whose turn is it, and a link under which its owner can ask.

`Line` knows no more of the lock than that it answers; what is asked, and when, is for `lock.py` to say.  Its task has
that done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from nuki_bridge.bluetooth.link import Radio, RadioStatus
from nuki_bridge.errors import (
    AdapterUnavailable,
    Disconnected,
    LinkError,
    LockError,
    NukiError,
    ProtocolError,
    TimedOut,
)
from nuki_bridge.lock.exchange import CONNECT_TIMEOUT_S, Exchange
from nuki_bridge.lock.profile import profile_of
from nuki_bridge.lock.retry import RECONNECT_S, Retry
from nuki_bridge.lock.turn import Rank, Turn, acting_for
from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.session import Random, Session
from nuki_bridge.store import PairedLock
from nuki_bridge.watchdog import Heartbeat

log = logging.getLogger(__name__)

OTHER_KIND = "the device has shown to be of another kind than was known of it; it is taken up anew as what it is"


class Line:
    """Base of `Lock`, which says what it wants the link for."""

    def __init__(
        self,
        paired: PairedLock,
        radio: Radio,
        *,
        random: Random,
        clock: Callable[[], float],
        heartbeat: Heartbeat | None,
        name: str | None,
        on_link: Callable[[], None],
        on_paired: Callable[[], None],
    ) -> None:
        self.name = name or paired.name
        self.paired = paired
        """What is known of the lock and our authorization on it; nobody else holds it while this is used."""
        self.fault: NukiError | None = None
        self.is_other_kind = False
        """The device has shown to be of another kind than this was made for: nothing is sent any more."""
        self.reconnects = 0
        self.clock = clock
        self._radio = radio
        session = Session(paired.authorization_id, paired.shared_key, paired.family, random)
        self.exchange = Exchange(
            radio,
            paired.address,
            session,
            clock=clock,
            on_states=self._received_states,
            on_disconnect=self._lost_link,
            heartbeat=heartbeat,
        )
        self._on_link = on_link
        self._on_paired = on_paired
        self._turn = Turn(clock)
        self._wake = asyncio.Event()
        self._unreached: NukiError | None = None  # why the last attempt to connect failed
        self._retry = Retry(clock(), random)
        self._was_reachable = False

    # -- what the lock makes of it ------------------------------------------------------------------------------------

    def _received_states(self, states: States) -> None:
        raise NotImplementedError

    def _wants_link(self) -> bool:
        """Return whether the link should be up now."""
        raise NotImplementedError

    def _is_linked(self, was_doubtful: bool) -> None:
        """React to a link that is up; `was_doubtful`: attempts had failed before."""
        raise NotImplementedError

    def _was_used(self) -> None:
        """React to somebody's command or a guest's message."""
        raise NotImplementedError

    def _note_fault(self, error: LockError) -> None:
        """React to a refusal of the lock."""
        raise NotImplementedError

    def _changed(self) -> None:
        """React to a change that is worth publishing."""
        raise NotImplementedError

    async def _tend(self) -> None:
        """Do what is due now, one exchange at a time; the rest stays due as soon as somebody waits for the turn."""
        raise NotImplementedError

    def _next_due(self) -> float:
        """Return when `_tend` has something to do next, on `clock`."""
        raise NotImplementedError

    def _put_off(self) -> None:
        """React to a refusal of what was asked in `_tend`: leave some time before it is asked again."""
        raise NotImplementedError

    # -- which lock it is ---------------------------------------------------------------------------------------------

    def use(self, paired: PairedLock) -> None:
        """Hold `paired` from now on: the same authorization on the same lock, of which more is known."""
        before, self.paired = self.paired, paired
        self.exchange.session.family = paired.family
        if (paired.family, paired.nuki_id) != (before.family, before.nuki_id):
            self._on_paired()

    # -- is it there --------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the Bluetooth link is up."""
        return self.exchange.link.connected

    @property
    def rssi(self) -> int | None:
        """Signal strength in dBm, if known."""
        return self.exchange.link.rssi

    @property
    def reachable(self) -> bool:
        """Whether a command can reach the lock now: linked, or heard within a minute without failed attempts since."""
        if not self._radio.status.available or isinstance(self.fault, LockError) or self._retry.is_doubtful:
            return False
        return self.connected or self._retry.is_near(self.clock())

    def radio_changed(self, status: RadioStatus) -> None:
        """Take note that the adapter came or went."""
        self._retry.at_once(self.clock())
        self._report_reachable()
        self._wake.set()

    def _lost_link(self) -> None:
        if self._wants_link():
            self._retry.lost(self.clock())
        else:
            self._retry.left(self.clock())
        self._report_reachable()
        self._on_link()
        self._wake.set()

    def _report_reachable(self) -> None:
        if self.reachable != self._was_reachable:
            self._was_reachable = self.reachable
            self._changed()

    def _worked(self) -> None:
        self._retry.worked()
        self._unreached = None
        self._report_reachable()

    # -- the task -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the link, and do on it what is due; until cancelled, which leaves the link."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._turn.acquire(Rank.BRIDGE)
                    try:
                        await self._tend()
                    finally:
                        self._turn.release()
                except LockError as error:
                    await self.exchange.drop()
                    self._put_off()
                    self._retry.failed(self.clock())
                    self._note_fault(error)
                except (LinkError, ProtocolError) as error:
                    log.debug("%s: %s", self.name, error)
                    self._retry.failed(self.clock())
                self._report_reachable()
                delay = max(self._next_due() - self.clock(), 0.0)
                self.exchange.heartbeat.step(delay, "the pause until something is due")
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            await self.exchange.drop()
            self.exchange.heartbeat.rest()

    # -- the link -----------------------------------------------------------------------------------------------------

    async def _connect(self, timeout_s: float = CONNECT_TIMEOUT_S, *, skip_gdio: bool = False) -> None:
        if self.is_other_kind:
            raise Disconnected(OTHER_KIND)
        try:
            await self.exchange.connect(timeout_s, skip_gdio=skip_gdio)
        except LinkError as error:
            self._unreached = error
            self._retry.missed(self.clock())
            self._report_reachable()
            raise
        was_doubtful = self._retry.is_doubtful
        self._retry.linked(self.clock())
        self._use_family(self.exchange.link.family)
        if self.is_other_kind:
            await self.exchange.drop()
            raise Disconnected(OTHER_KIND)
        self.reconnects += 1
        self._is_linked(was_doubtful)
        self._report_reachable()
        self._on_link()

    def _use_family(self, family: Family | None) -> None:
        """Speak as the lock does now; the width of the PIN depends on the family.

        A number is another action to another kind of device: what was asked for before its kind was known, as of a
        pairing that another program made, must not be sent.
        """
        if family is not None and family is not self.paired.family:
            self.is_other_kind = profile_of(family) is not profile_of(self.paired.family)
            log.info("%s: the lock is of the %s family now", self.name, family.value)
            self.use(replace(self.paired, family=family))

    @asynccontextmanager
    async def linked(
        self, deadline: float, *, skip_gdio: bool = False, on_turn: Callable[[float, float], float] | None = None
    ) -> AsyncIterator[None]:
        """Hold this task's turn, with the link up; raises `TimedOut` once `deadline` (on `clock`) has passed.

        `skip_gdio` is for what begins with `fresh_nonce`; see `link_up`.  `on_turn` is given deadline and time when the
        turn has come, and gives by when the link has to be up.
        """
        rank = acting_for.get()
        try:
            await self._turn.acquire(rank, deadline - self.clock())
        except TimeoutError:
            raise self._too_late() from None
        if rank is not Rank.BRIDGE:
            self._was_used()
        try:
            await self.link_up(deadline if on_turn is None else on_turn(deadline, self.clock()), skip_gdio=skip_gdio)
            yield
            self._worked()
        except LockError as error:
            self._note_fault(error)
            raise
        finally:
            self._turn.release()
            self._wake.set()

    def _too_late(self) -> TimedOut:
        """Return why the turn did not come: it is not the earlier commands' fault if the lock was away all the time."""
        if not self.connected:
            because = f" ({self._unreached})" if self._unreached else ""
            return TimedOut(f"the lock could not be reached within the deadline{because}")
        if self._turn.holder is Rank.PERSON:
            return TimedOut("the lock was busy with earlier commands until the deadline")
        who = "a guest" if self._turn.holder is Rank.GUEST else "the bridge's own reading"
        return TimedOut(f"the lock was busy with {who} until the deadline")

    @property
    def is_wanted(self) -> bool:
        """Whether somebody other than the bridge itself waits for the turn."""
        return self._turn.is_wanted_by_people

    async def link_up(self, deadline: float, *, skip_gdio: bool = False) -> None:
        """Connect, trying again until `deadline`; raises `TimedOut` or `AdapterUnavailable`.

        With `skip_gdio` plain Error Reports need not be heard yet; see `Exchange.connect`.  Between two attempts those
        go first who come before this task: nothing is under way.
        """
        reason: NukiError | None = None
        pause = RECONNECT_S[0]
        while not (self.connected if skip_gdio else self.exchange.link.gdio_subscribed):
            status = self._radio.status
            if not status.available:
                raise AdapterUnavailable(status.reason or "Bluetooth is not available")
            left = deadline - self.clock()
            if left <= 0:
                because = f" ({reason})" if reason else ""
                raise TimedOut(f"the lock could not be reached within the deadline{because}")
            try:
                if self.connected:
                    await self.exchange.subscribe_gdio()
                else:
                    await self._connect(left, skip_gdio=skip_gdio)
            except LinkError as error:
                reason = error
                await asyncio.sleep(min(pause, max(deadline - self.clock(), 0.0)))
                pause = min(pause * 2, 2.0)
                await self._step_aside(deadline)

    async def _step_aside(self, deadline: float) -> None:
        try:
            await self._turn.step_aside(deadline - self.clock())
        except TimeoutError:
            raise self._too_late() from None

    async def fresh_nonce(self, deadline: float) -> bytes:
        """Return a challenge to send a command with, over a link that is up, under this task's turn.

        Nothing has been sent yet, so a broken link is tried again until `deadline`; raises `TimedOut` then.  Without an
        answer with `skip_gdio` the lock may have refused us in plain, which the next link hears.  What the bridge reads
        by itself leaves the challenge to who comes first and waits already, and gets another one afterwards.
        """
        skip_gdio = True
        while True:
            await self.link_up(deadline, skip_gdio=skip_gdio)
            try:
                nonce = await self.exchange.take_challenge()
            except (LinkError, ProtocolError) as error:
                skip_gdio = False
                log.debug("%s: %s; asking again", self.name, error)
                await asyncio.sleep(min(RECONNECT_S[0], max(deadline - self.clock(), 0.0)))
                continue
            if self.clock() >= deadline:
                raise TimedOut("the command could not be sent to the lock within its deadline")
            if self._turn.holder is not Rank.BRIDGE or not self._turn.is_wanted:
                return nonce
            self.exchange.challenge = nonce
            await self._step_aside(deadline)
