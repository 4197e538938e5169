"""The Bluetooth side of a virtual device: its connections, and the frames that come and go over them.

A frame is decrypted here and handed to `requests` or to the `handshake` of its connection.  One connection may carry
several authorizations in turn, as that of a relay does: each has its own challenge and key, and an answer goes to the
one that made the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import Command, ErrorCode, name_of
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE, TAG_SIZE, d1
from nuki_bridge.protocol.frames import HEADER_SIZE, authorization_id, crc, frame_size, seal, seal_plain
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.wire import Message, encode
from nuki_bridge.simulator import requests
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import Answering, ClientRequest
from nuki_bridge.simulator.device import Device
from nuki_bridge.simulator.handshake import Handshake
from nuki_bridge.simulator.motion import Works
from nuki_bridge.simulator.transport import Timer

_ACTIONS = (Command.LOCK_ACTION, Command.SIMPLE_LOCK_ACTION, Command.CONTINUOUS_MODE_ACTION)


@dataclass(slots=True)
class _Connection:
    handshake: Handshake
    authorization_ids: set[int] = field(default_factory=set)
    """The authorizations that have proved themselves on this connection."""
    idle: Timer | None = None
    is_deaf: bool = False
    """Nothing that is written to it is answered any more, as on an Opener's after an action."""


class Make(Protocol):
    """Makes the request of a kind of device: it knows the parts that the handlers need beside these arguments."""

    def __call__(
        self, *, answering: Answering, connection_id: int, authorization: StoredEntry, command: int
    ) -> ClientRequest:
        """Return the request."""


class Connections:
    """All connections of one device, by the number that the transport gives them.  Implements `Answering`."""

    def __init__(self, device: Device, motion: Works, make: Make) -> None:
        self._device = device
        self._motion = motion
        self._make = make
        self._transport = device.transport
        self._connections: dict[int, _Connection] = {}
        self.in_range = True
        self.rebooting = False
        self.to_swallow = 0
        """How many of the next requests are carried out without an answer that arrives."""
        self.to_damage = 0
        """How many of the next encrypted messages get one wrong byte."""

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._connections))

    @property
    def advertising(self) -> bool:
        """The lock can be seen and connected to now."""
        behaviour = self._device.behaviour
        free = len(self) < self._max_links if behaviour.advertise_while_connected else len(self) == 0
        return self.in_range and not self.rebooting and free

    @property
    def _max_links(self) -> int:
        return self._device.behaviour.max_links_of(self._device.family)

    # -- the transport's side -----------------------------------------------------------------------------------------

    def connected(self, connection_id: int) -> None:
        """Take a new connection; drop it again if it is one too many."""
        self._device.note("connected", detail=str(connection_id))
        self._connections[connection_id] = _Connection(Handshake(self._device))
        if not self.in_range or self.rebooting or len(self) > self._max_links:
            self._drop(connection_id, "no link is free")
            return
        self._touch(connection_id)
        self._transport.advertise()

    def disconnected(self, connection_id: int) -> None:
        """Forget a connection that has ended, whoever ended it."""
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        if connection.idle is not None:
            connection.idle.cancel()
        if not self._device.behaviour.challenges_outlive_link:
            for authorization in self._device.authorizations:
                if authorization.challenge_link == connection_id:
                    authorization.challenge = None
        self._device.note("disconnected", detail=str(connection_id))
        self._transport.advertise()

    def written(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """Take one whole value that a client wrote; never raise, whatever `data` holds."""
        if connection_id not in self._connections or self.rebooting:
            return
        self._touch(connection_id)
        self._device.note("write", detail=f"{channel.value} {len(data)} bytes")
        if self._connections[connection_id].is_deaf:
            self._device.note("deaf", detail=str(connection_id))
            self._transport.call_later(self._device.behaviour.deaf_s, lambda: self._drop_deaf(connection_id))
        elif channel is Channel.PAIRING:
            self._pairing_written(connection_id, bytes(data))
        elif channel is Channel.USDIO:
            self._usdio_written(connection_id, bytes(data))
        else:
            self.refuse_plainly(connection_id)

    # -- what people and tests do to it -------------------------------------------------------------------------------

    def drop_links(self) -> None:
        """End every connection from the lock's side."""
        self._drop_all("told to")

    def reboot(self) -> None:
        """Restart: nobody sees or reaches the lock for `Behaviour.reboot_s`; memory, clock and bans stay."""
        if self.rebooting:
            return
        self._device.loses_entries = self._device.behaviour.reboot_loses_entry
        self._motion.stop(forget=self._device.behaviour.reboot_forgets_action)
        self._device.loses_entries = False
        self._device.leave_pairing_mode()
        self._device.forget_challenges()
        self.rebooting = True
        self._drop_all("reboot")
        self._transport.call_later(self._device.behaviour.reboot_s, self._booted)
        self._transport.advertise()

    def out_of_range(self, away: bool = True) -> None:
        """Carry the lock out of radio range, or back."""
        if self.in_range == (not away):
            return
        self.in_range = not away
        self._drop_all("out of range")
        self._transport.advertise()

    def swallow_next_answer(self, count: int = 1) -> None:
        """Carry out the next `count` requests, but lose everything that is sent in answer to them."""
        self.to_swallow = count

    def damage_next_answer(self, count: int = 1) -> None:
        """Spoil one byte in each of the next `count` encrypted messages."""
        self.to_damage = count

    # -- requests and answers -----------------------------------------------------------------------------------------

    def request(self, connection_id: int, authorization: StoredEntry, command: int) -> ClientRequest:
        """Return a request of `authorization`, whose answers go over `connection_id`."""
        return self._make(answering=self, connection_id=connection_id, authorization=authorization, command=command)

    def report_states(self) -> None:
        """Send the states to whoever asked for the action; to all others only from firmware that does so."""
        device, mover = self._device, self._motion.mover
        states = self._motion.states()
        size = device.behaviour.states_size_of(device.family)
        if mover is not None:
            mover.reply(states, size=size)
        if not device.behaviour.pushes_states_of_others:
            return
        for connection_id, connection in list(self._connections.items()):
            for number in sorted(connection.authorization_ids):
                watcher = device.authorizations.get(number)
                is_mover = mover is not None and mover.connection_id == connection_id and mover.authorization is watcher
                if watcher is not None and not is_mover:
                    self.send_encrypted(connection_id, watcher, states, size)

    def send_encrypted(self, connection_id: int, to: StoredEntry, message: Message, size: int | None = None) -> None:
        """Encrypt and send a message; do nothing if the connection is gone."""
        if connection_id not in self._connections:
            return
        payload = encode(message, self._device.family)[:size].ljust(size or 0, b"\0")
        nonce = self._device.random(BOX_NONCE_SIZE)
        frame = seal(to.authorization_id, message.command, payload, to.key, nonce)
        if self.to_damage > 0:
            self.to_damage -= 1
            frame = frame[:-1] + bytes([frame[-1] ^ 0x55])
        self._touch(connection_id)
        self._transport.send(connection_id, Channel.USDIO, frame)

    def refuse_plainly(self, connection_id: int) -> None:
        """Send the plain error on GDIO: without a key it cannot be encrypted (smartlock.md 3.3)."""
        behaviour = self._device.behaviour
        self._device.note("refused", detail="not_authorized")
        if behaviour.ignores_unreadable:
            return
        report = ErrorReport(error=ErrorCode.NOT_AUTHORIZED, failed_command=0)
        frame = seal_plain(report.command, encode(report, self._device.family))
        send = partial(self._transport.send, connection_id, Channel.GDIO, frame)
        if behaviour.plain_error_s > 0:
            self._transport.call_later(behaviour.plain_error_s, send)
        else:
            send()

    def _usdio_written(self, connection_id: int, frame: bytes) -> None:
        """Find the authorization and the request; whoever cannot be authenticated gets the plain error."""
        opened = self._open(frame)
        if opened is None:
            self.refuse_plainly(connection_id)
            return
        authorization, plaintext = opened
        known = self._connections[connection_id].authorization_ids
        if authorization.authorization_id not in known:
            known.add(authorization.authorization_id)
            self._device.met(authorization)
        authorization.last_active = self._device.now()
        command = int.from_bytes(plaintext[4:6], "little")
        request = self.request(connection_id, authorization, command)
        request.muted = self.to_swallow > 0
        self.to_swallow = max(0, self.to_swallow - 1)
        try:
            if crc(plaintext[:-2]) != plaintext[-2:]:
                raise Refused(ErrorCode.BAD_CRC)
            requests.handle(request, plaintext[6:-2])
        except Refused as refusal:
            what = "action_refused" if command in _ACTIONS else "refused"
            request.note(what, name_of(refusal.error))
            request.refuse(refusal.error)
        else:
            if command != Command.REQUEST_DATA:
                self._device.last_command = command
            if command in _ACTIONS and self._motion.deafens and connection_id in self._connections:
                self._connections[connection_id].is_deaf = True

    def _open(self, frame: bytes) -> tuple[StoredEntry, bytes] | None:
        """Return whose frame it is, and its plaintext with ID and CRC; None if that cannot be proved."""
        if len(frame) < HEADER_SIZE + TAG_SIZE + 8 or len(frame) != frame_size(frame):
            return None
        authorization = self._device.authorizations.get(authorization_id(frame))
        if authorization is None:
            return None
        try:
            plaintext = d1(frame[HEADER_SIZE:], frame[:BOX_NONCE_SIZE], authorization.key)
        except BadFrame:
            return None
        return (authorization, plaintext) if plaintext[:4] == frame[24:28] else None

    def _pairing_written(self, connection_id: int, frame: bytes) -> None:
        answers, error = self._connections[connection_id].handshake.receive(frame)
        if error is not None:
            self._device.note("refused", detail=f"pairing: {name_of(error)}")
        for answer in answers:
            self._transport.send(connection_id, Channel.PAIRING, answer)

    # -- the end of a connection --------------------------------------------------------------------------------------

    def _touch(self, connection_id: int) -> None:
        """Count the connection as idle from now."""
        connection = self._connections[connection_id]
        if connection.idle is not None:
            connection.idle.cancel()
            connection.idle = None
        idle_s = self._device.behaviour.idle_timeout_s
        if idle_s > 0:
            connection.idle = self._transport.call_later(idle_s, lambda: self._drop_idle(connection_id))

    def _drop_idle(self, connection_id: int) -> None:
        """Drop an idle connection, unless its action is under way: that is still owed an answer."""
        mover = self._motion.mover
        if mover is not None and mover.connection_id == connection_id:
            self._touch(connection_id)
        else:
            self._drop(connection_id, "idle")

    def _drop_deaf(self, connection_id: int) -> None:
        if connection_id in self._connections:
            self._drop(connection_id, "deaf")

    def _drop(self, connection_id: int, reason: str) -> None:
        self._device.note("dropped", detail=f"{connection_id}: {reason}")
        self._transport.drop(connection_id)

    def _drop_all(self, reason: str) -> None:
        for connection_id in self:
            self._drop(connection_id, reason)

    def _booted(self) -> None:
        self.rebooting = False
        self._transport.advertise()
