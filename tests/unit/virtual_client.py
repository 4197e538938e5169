"""A hand-moved transport and a bare client for tests of the virtual lock: frames and messages, no behaviour of ours."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.codes import Command, ErrorCode, Family, IdType, LockState, StatusCode
from nuki_bridge.protocol.crypto import e1
from nuki_bridge.protocol.frames import crc, open_frame, open_plain, seal
from nuki_bridge.protocol.messages import Challenge, ErrorReport, KeyturnerStates, LockAction, RequestData, Status
from nuki_bridge.protocol.pairing import Pairing
from nuki_bridge.protocol.wire import Message, decode, encode
from nuki_bridge.simulator.behaviour import Behaviour, seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.opener import VirtualOpener
from nuki_bridge.simulator.virtual_device import VirtualDevice

ADDRESS = "54:D2:72:2B:3C:4D"
NUKI_ID = 0x1A2B3C4D
ACCEPTED = Status(status=StatusCode.ACCEPTED)
COMPLETE = Status(status=StatusCode.COMPLETE)
STATES = RequestData(wanted=Command.KEYTURNER_STATES)
PLAIN_NOT_AUTHORIZED = (1, Channel.GDIO, bytes.fromhex("120020000013D7"))
FAMILIES = pytest.mark.parametrize("family", [Family.CLASSIC, Family.ULTRA], ids=lambda f: f.value)
START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)  # a Tuesday


class HandClock:
    """A transport that keeps what it is given; its clock stands until `advance`."""

    def __init__(self, now: datetime = START) -> None:
        self.moment = now
        self.sent: list[tuple[int, Channel, bytes]] = []
        self.dropped: list[int] = []
        self.advertised = 0
        self.lock: VirtualDevice
        self._timers: list[tuple[datetime, int, _Timer]] = []
        self._numbers = itertools.count()

    def send(self, connection_id: int, channel: Channel, data: bytes) -> None:
        self.sent.append((connection_id, channel, data))

    def drop(self, connection_id: int) -> None:
        self.dropped.append(connection_id)
        self.lock.disconnected(connection_id)

    def advertise(self) -> None:
        self.advertised += 1

    def now(self) -> datetime:
        return self.moment

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> _Timer:
        timer = _Timer(fn)
        heapq.heappush(self._timers, (self.moment + timedelta(seconds=delay_s), next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        end = self.moment + timedelta(seconds=seconds)
        while self._timers and self._timers[0][0] <= end:
            self.moment, _, timer = heapq.heappop(self._timers)
            if timer.fn is not None:
                timer.fn()
        self.moment = end


class _Timer:
    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        self.fn = None


def make_lock(
    family: Family = Family.CLASSIC, *, pin: int | None = 1234, now: datetime = START, **behaviour: Any
) -> tuple[VirtualLock, HandClock]:
    """A lock with a seeded source of randomness, attached to a clock of its own; it never finds a link idle."""
    behaviour.setdefault("idle_timeout_s", 0)
    lock = VirtualLock(ADDRESS, NUKI_ID, family=family, pin=pin, behaviour=Behaviour(**behaviour), random=seeded(1))
    clock = HandClock(now)
    clock.lock = lock
    lock.attach(clock)
    return lock, clock


def make_opener(
    *, pin: int | None = 1234, now: datetime = START, deaf_after_action: bool = False, **behaviour: Any
) -> tuple[VirtualOpener, HandClock]:
    """An Opener as `make_lock` makes a lock; it stays able to hear after an action unless it is told otherwise."""
    habits = Behaviour(deaf_after_action=deaf_after_action, **{"idle_timeout_s": 0, **behaviour})
    opener = VirtualOpener(ADDRESS, NUKI_ID, pin=pin, behaviour=habits, random=seeded(1))
    clock = HandClock(now)
    clock.lock = opener
    opener.attach(clock)
    return opener, clock


def state_of(lock: VirtualLock) -> LockState:
    """Where the motor is now."""
    return lock.motor.state


class DeviceClient:
    """One authorization on one link to any device, connected at once."""

    lock: VirtualDevice

    def __init__(
        self,
        lock: VirtualDevice,
        clock: HandClock,
        *,
        id_type: IdType = IdType.BRIDGE,
        link: int = 1,
        app_id: int = 0,
        name: str = "client",
    ) -> None:
        self.lock, self.clock, self.link = lock, clock, link
        self.key = seeded(100 + link)(32)
        entry = lock.add_user(self.key, id_type, app_id, name, full=ErrorCode.MAX_USER)
        self.entry = entry
        self.id = entry.authorization_id
        self._random = seeded(200 + link)
        self._read = 0
        lock.connected(link)

    def frame(self, message: Message) -> bytes:
        return self.raw_frame(message.command, encode(message, self.lock.family))

    def raw_frame(self, command: int, payload: bytes, *, damage_crc: bool = False) -> bytes:
        if not damage_crc:
            return seal(self.id, command, payload, self.key, self._random(24))
        prefix = self.id.to_bytes(4, "little")
        body = prefix + command.to_bytes(2, "little") + payload
        wrong = bytes(b ^ 0xFF for b in crc(body))
        nonce = self._random(24)
        sealed = e1(body + wrong, nonce, self.key)
        return nonce + prefix + len(sealed).to_bytes(2, "little") + sealed

    def write(self, frame: bytes, channel: Channel = Channel.USDIO) -> list[Message]:
        self.lock.written(self.link, channel, frame)
        return self.received()

    def ask(self, message: Message) -> list[Message]:
        return self.write(self.frame(message))

    def received(self) -> list[Message]:
        """What came on this link since the last call, decrypted."""
        return [decode(command, payload, self.lock.family) for command, payload in self.received_raw()]

    def received_raw(self) -> list[tuple[int, bytes]]:
        """The commands and payloads that came on this link since the last call."""
        sent, self._read = self.clock.sent[self._read :], len(self.clock.sent)
        return [
            open_frame(data, self.key) if channel is Channel.USDIO else open_plain(data)
            for link, channel, data in sent
            if link == self.link
        ]

    def challenge(self) -> bytes:
        (answer,) = self.ask(RequestData(wanted=Command.CHALLENGE))
        assert isinstance(answer, Challenge)
        return answer.nonce

    def act(self, action: int, *, nonce: bytes | None = None, suffix: str | None = None) -> list[Message]:
        if nonce is None:
            nonce = self.challenge()
        return self.ask(LockAction(action=action, app_id=0, flags=0, name_suffix=suffix, nonce=nonce))

    def after(self, seconds: float) -> list[Message]:
        self.clock.advance(seconds)
        return self.received()


class Client(DeviceClient):
    """One authorization on one link to a Smart Lock."""

    lock: VirtualLock


def error_of(messages: list[Message]) -> ErrorCode | int:
    """The code of the only message, which is an Error Report."""
    (report,) = messages
    assert isinstance(report, ErrorReport)
    return report.error


def states_of(messages: list[Message]) -> list[LockState | int]:
    """The lock states reported, in order."""
    return [m.lock_state for m in messages if isinstance(m, KeyturnerStates)]


def pair(
    lock: VirtualDevice,
    clock: HandClock,
    *,
    id_type: IdType = IdType.BRIDGE,
    app_id: int = 7,
    pin: int | None = 123456,
    name: str = "bridge",
    spoil: int | None = None,
    link: int = 9,
) -> Any:
    """Run the client's handshake on a fresh link; `spoil` flips a bit in the frame of that step (0-based)."""
    pairing = Pairing(lock.family, name=name, id_type=id_type, app_id=app_id, pin=pin, random=seeded(app_id))
    lock.connected(link)
    frame: bytes | None = pairing.start()
    step = 0
    try:
        while frame is not None:
            if step == spoil:
                # behind the identifier; the CRC is made to fit again
                frame = frame[:2] + bytes([frame[2] ^ 1]) + frame[3:-2]
                frame += crc(frame)
            clock.sent.clear()
            lock.written(link, Channel.PAIRING, frame)
            ((_, _, answer),) = clock.sent
            frame = pairing.receive(answer)
            step += 1
    finally:
        lock.disconnected(link)
    return pairing.result
