"""One virtual Nuki Smart Lock without I/O: bytes in from a transport, bytes out to it.

`VirtualLock` frames, decrypts and answers.  The lock as a thing is `device.Device`, people around it `surroundings`,
its user table `authorizations`, pairing `handshake`, each request `requests` or `owner`, the bolt `motor`, the messages
of a demo or test `control`.  A transport (`radio.py` in memory, a Bluetooth peripheral elsewhere) is given by `attach`
before anything else happens.

One link may carry several authorizations in turn (a relay's does): each has its own challenge and key, and whatever
answers a request goes to the one that made it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import (
    Action,
    Command,
    Completion,
    ErrorCode,
    IdType,
    LogType,
    Trigger,
    name_of,
)
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE, TAG_SIZE, d1
from nuki_bridge.protocol.frames import HEADER_SIZE, authorization_id, crc, frame_size, seal, seal_plain
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.wire import Message, encode
from nuki_bridge.simulator import control, memory, requests
from nuki_bridge.simulator.authorizations import Authorization
from nuki_bridge.simulator.behaviour import Behaviour, Random, Refused
from nuki_bridge.simulator.handshake import Handshake
from nuki_bridge.simulator.motor import plan
from nuki_bridge.simulator.owner import COMPLETE
from nuki_bridge.simulator.surroundings import Surroundings
from nuki_bridge.simulator.transport import Timer


@dataclass(slots=True)
class _Connection:
    handshake: Handshake
    authorization_ids: set[int] = field(default_factory=set)
    """Those that have proved themselves on this link."""
    idle: Timer | None = None


@dataclass(slots=True)
class Exchange:
    """One request and the way its answers go; `muted` loses them."""

    lock: VirtualLock
    connection_id: int
    authorization: Authorization
    command: int
    muted: bool = False
    suffix: str | None = None
    """What a lock action's asker has appended to its name in the log."""

    def note(self, what: str, detail: str) -> None:
        """Write a line of the audit trail about this request."""
        self.lock.note(what, self.authorization, command=self.command, detail=detail, suffix=self.suffix)

    def reply(self, message: Message, *, size: int | None = None) -> None:
        """Send `message` encrypted for the asker, cut to `size` payload bytes (older firmware sends less)."""
        if not self.muted:
            self.lock.send_encrypted(self.connection_id, self.authorization, message, size)

    def refuse(self, error: ErrorCode) -> None:
        """Send an Error Report."""
        self.reply(ErrorReport(error=error, failed_command=self.command))


class VirtualLock(Surroundings):
    """A Smart Lock as a client sees it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes the arguments of `Device`."""
        super().__init__(*args, **kwargs)
        self.last_command: int = 0
        self._queued = False
        self._connections: dict[int, _Connection] = {}
        self._swallow = 0
        self._damage = 0

    # -- the transport's side -----------------------------------------------------------------------------------------

    def connected(self, connection_id: int) -> None:
        """A central connected; one too many is dropped again."""
        self.note("connected", detail=str(connection_id))
        self._connections[connection_id] = _Connection(Handshake(self))
        if not self.in_range or self.rebooting or len(self._connections) > self.behaviour.max_links:
            self._drop(connection_id, "no link is free")
            return
        self._touch(connection_id)
        self._advertise()

    def disconnected(self, connection_id: int) -> None:
        """The connection is gone, whoever ended it."""
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        if connection.idle is not None:
            connection.idle.cancel()
        if not self.behaviour.challenges_outlive_link:
            for authorization in self.authorizations:
                if authorization.challenge_link == connection_id:
                    authorization.challenge = None
        self.note("disconnected", detail=str(connection_id))
        self._advertise()

    def written(self, connection_id: int, channel: Channel, data: bytes) -> None:
        """A client wrote one whole value; never raises, whatever it holds."""
        if connection_id not in self._connections or self.rebooting:
            return
        self._touch(connection_id)
        self.note("write", detail=f"{channel.value} {len(data)} bytes")
        if channel is Channel.PAIRING:
            self._pairing_written(connection_id, bytes(data))
        elif channel is Channel.USDIO:
            self._usdio_written(connection_id, bytes(data))
        else:
            self._refuse_plainly(connection_id)

    @property
    def advertise_while_connected(self) -> bool:
        """Newer firmware goes on advertising beside a link."""
        return self.behaviour.advertise_while_connected

    @property
    def advertising(self) -> bool:
        """The lock can be seen and connected to now."""
        free = self.links < self.behaviour.max_links if self.advertise_while_connected else self.links == 0
        return self.in_range and not self.rebooting and free

    @property
    def links(self) -> int:
        """How many connections there are now."""
        return len(self._connections)

    # -- what people and tests do to its link -------------------------------------------------------------------------

    def drop_links(self) -> None:
        """End every connection from the lock's side."""
        for connection_id in list(self._connections):
            self._drop(connection_id, "told to")

    def reboot(self) -> None:
        """Drop every link, and be neither seen nor reached for `Behaviour.reboot_s`; memory, clock and bans stay."""
        if self.rebooting:
            return
        self.motor.cancel()
        if self.behaviour.reboot_forgets_action:
            self.motor.last_action, self.motor.last_completion = Action.NONE, Completion.SUCCESS
        self.leave_pairing_mode()
        self.forget_challenges()
        self.rebooting = True
        for connection_id in list(self._connections):
            self._drop(connection_id, "reboot")
        self._the_transport().call_later(self.behaviour.reboot_s, self._booted)
        self._advertise()

    def out_of_range(self, away: bool = True) -> None:
        """Carry the lock out of radio range, or back."""
        if self.in_range == (not away):
            return
        self.in_range = not away
        for connection_id in list(self._connections):
            self._drop(connection_id, "out of range")
        self._advertise()

    def swallow_next_answer(self, count: int = 1) -> None:
        """Carry out the next `count` requests, but lose everything that is sent in answer to them."""
        self._swallow = count

    def damage_next_answer(self, count: int = 1) -> None:
        """Spoil one byte in each of the next `count` encrypted messages."""
        self._damage = count

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out a control message of the demo or a test (`control.py`); raises `ValueError` with a sentence."""
        return control.control(self, command)

    def to_dict(self) -> dict[str, Any]:
        """The lock's own memory, keys and PIN included: for a file that only its owner can read."""
        return memory.to_dict(self)

    @classmethod
    def from_dict(
        cls, data: dict[str, Any], *, behaviour: Behaviour | None = None, random: Random = secrets.token_bytes
    ) -> VirtualLock:
        """A lock that remembers what `to_dict` gave.  Raises `ValueError` if `data` makes no sense."""
        return memory.from_dict(cls, data, behaviour, random)

    # -- pairing: the handshake's host --------------------------------------------------------------------------------

    def admit(self, key: bytes, id_type: int, app_id: int, name: str, pin: int | None) -> int:
        """Store a user who has proved the key; `pin` only where the family asks for it.  Raises `Refused`."""
        if pin is not None:
            self.check_pin(pin)
        return self.add_user(key, id_type, app_id, name, full=ErrorCode.MAX_USER).authorization_id

    def paired(self, authorization_id: int) -> None:
        """A handshake is through: pairing mode ends."""
        self.note("paired", self.authorizations.get(authorization_id))
        self.factory_new = False
        self.leave_pairing_mode()
        self.users_changed()
        self._advertise()

    # -- for `requests` -----------------------------------------------------------------------------------------------

    def perform(self, exchange: Exchange, action: Action, suffix: str | None = None, flags: int = 0) -> None:
        """Carry out a lock action that has passed all checks but the motor's; raises `Refused`."""
        behaviour = self.behaviour
        if not self.motor.calibrated:
            raise Refused(ErrorCode.NOT_CALIBRATED)
        if self.busy or self._queued or (behaviour.busy_in_lock_n_go and self.motor.active):
            raise Refused(ErrorCode.BUSY)
        if action is Action.UNLOCK and self.settings.auto_unlatch:
            action = Action.UNLATCH
        if action is Action.LOCK and behaviour.locks_as is not None:
            action = behaviour.locks_as
        self.motor.cancel()  # a lock 'n' go that waits: its asker hears of it before this one is accepted
        exchange.authorization.count_action()
        accepted_times = behaviour.accepted_times
        if not plan(action, self.motor.state):
            accepted_times = min(accepted_times, int(behaviour.accepts_nothing_to_do))
        for _ in range(accepted_times):
            exchange.reply(requests.ACCEPTED)
        exchange.suffix = suffix
        if behaviour.queue_s > 0:
            self._queued = True
            self.call_later(behaviour.queue_s, partial(self._begin, exchange, action, flags))
        else:
            self._begin(exchange, action, flags)

    def _begin(self, exchange: Exchange, action: Action, flags: int) -> None:
        """Start the motor for an action that was accepted; people at the lock may have come first."""
        self._queued = False
        self.motor.cancel()
        self.mover = exchange
        if plan(action, self.motor.state):
            exchange.note("action_started", name_of(action))

        def log(completion: Completion) -> None:
            by, suffix = exchange.authorization, exchange.suffix
            self.log_action(action, Trigger.SYSTEM, completion, by=by, suffix=suffix, flags=flags)

        def done(completion: Completion) -> None:
            log(completion)
            self._on_end(exchange, completion)

        if not self.motor.start(action, Trigger.SYSTEM, done):
            self.mover = None
            exchange.note("completed", "nothing to do")
            log(Completion.SUCCESS)
            exchange.reply(COMPLETE)

    def calibrate(self, exchange: Exchange) -> None:
        """Measure where the bolt ends, for a request that has passed all other checks; raises `Refused`."""
        if self.busy:
            raise Refused(ErrorCode.BUSY)
        if self.battery_critical:
            raise Refused(ErrorCode.VOLTAGE_TOO_LOW)
        self.motor.cancel()
        self.note("calibration", exchange.authorization, command=exchange.command)
        exchange.reply(requests.ACCEPTED)
        self.mover = exchange

        def done(completion: Completion) -> None:
            data = (Action.NONE, Trigger.SYSTEM, 0, completion)
            self.write_log(LogType.CALIBRATION, *data, by=exchange.authorization)
            self._on_end(exchange, completion)

        self.motor.calibrate(done)

    def states_read(self, authorization: Authorization) -> None:
        """A client asked for Keyturner States: only a Bridge's asking takes the beacon's flag down."""
        clears = authorization.id_type == IdType.BRIDGE and not self.behaviour.beacon_bit_stays
        if self.state_changed and clears:
            self.state_changed = False
            self._advertise()
            self.on_memory_changed()

    def report_states(self) -> None:
        """To whoever asked for the action, on that link; to all others only from firmware that does so."""
        states = requests.keyturner_states(self)
        size = self.behaviour.states_size_of(self.family)
        mover = self.mover
        if mover is not None:
            mover.reply(states, size=size)
        if not self.behaviour.pushes_states_of_others:
            return
        for connection_id, connection in list(self._connections.items()):
            for number in sorted(connection.authorization_ids):
                watcher = self.authorizations.get(number)
                is_mover = mover is not None and mover.connection_id == connection_id and mover.authorization is watcher
                if watcher is not None and not is_mover:
                    self.send_encrypted(connection_id, watcher, states, size)

    def send_encrypted(self, connection_id: int, to: Authorization, message: Message, size: int | None = None) -> None:
        """Encrypt and indicate; silently lost if the connection is gone."""
        if connection_id not in self._connections:
            return
        payload = encode(message, self.family)[:size]
        frame = seal(to.authorization_id, message.command, payload, to.key, self.random(BOX_NONCE_SIZE))
        if self._damage > 0:
            self._damage -= 1
            frame = frame[:-1] + bytes([frame[-1] ^ 0x55])
        self._touch(connection_id)
        self._the_transport().send(connection_id, Channel.USDIO, frame)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _usdio_written(self, connection_id: int, frame: bytes) -> None:
        """Find the authorization and the request; whoever cannot be authenticated gets the plain error."""
        opened = self._open(frame)
        if opened is None:
            self._refuse_plainly(connection_id)
            return
        authorization, plaintext = opened
        self._connections[connection_id].authorization_ids.add(authorization.authorization_id)
        authorization.last_active = self.now()
        command = int.from_bytes(plaintext[4:6], "little")
        exchange = Exchange(self, connection_id, authorization, command, muted=self._swallow > 0)
        self._swallow = max(0, self._swallow - 1)
        try:
            if crc(plaintext[:-2]) != plaintext[-2:]:
                raise Refused(ErrorCode.BAD_CRC)
            requests.handle(exchange, plaintext[6:-2])
        except Refused as refusal:
            is_action = command in (Command.LOCK_ACTION, Command.SIMPLE_LOCK_ACTION)
            what = "action_refused" if is_action else "refused"
            exchange.note(what, name_of(refusal.error))
            exchange.refuse(refusal.error)
        else:
            if command != Command.REQUEST_DATA:
                self.last_command = command

    def _open(self, frame: bytes) -> tuple[Authorization, bytes] | None:
        """Whose frame it is, and its plaintext with ID and CRC; None if that cannot be proved."""
        if len(frame) < HEADER_SIZE + TAG_SIZE + 8 or len(frame) != frame_size(frame):
            return None
        authorization = self.authorizations.get(authorization_id(frame))
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
            self.note("refused", detail=f"pairing: {name_of(error)}")
        for answer in answers:
            self._the_transport().send(connection_id, Channel.PAIRING, answer)

    def _refuse_plainly(self, connection_id: int) -> None:
        """Without a key the error cannot be encrypted: it comes plain, on GDIO (smartlock.md 3.3)."""
        self.note("refused", detail="not_authorized")
        if self.behaviour.ignores_unreadable:
            return
        report = ErrorReport(error=ErrorCode.NOT_AUTHORIZED, failed_command=0)
        frame = seal_plain(report.command, encode(report, self.family))
        send = partial(self._the_transport().send, connection_id, Channel.GDIO, frame)
        if self.behaviour.plain_error_s > 0:
            self._the_transport().call_later(self.behaviour.plain_error_s, send)
        else:
            send()

    def _on_end(self, exchange: Exchange, completion: Completion) -> None:
        """How an action that a client asked for ended."""
        exchange.note("completed", name_of(completion))
        error = requests.ERRORS_BY_COMPLETION.get(completion)
        if error is not None:
            exchange.refuse(error)
        elif not self.behaviour.complete_missing:
            exchange.reply(COMPLETE)

    def _touch(self, connection_id: int) -> None:
        """Traffic on a link: it counts as idle from now."""
        connection = self._connections[connection_id]
        if connection.idle is not None:
            connection.idle.cancel()
            connection.idle = None
        if self.behaviour.idle_timeout_s > 0:
            call_later = self._the_transport().call_later
            connection.idle = call_later(self.behaviour.idle_timeout_s, lambda: self._drop_idle(connection_id))

    def _drop_idle(self, connection_id: int) -> None:
        """A link whose action is under way is still owed an answer and stays."""
        if self.mover is not None and self.mover.connection_id == connection_id:
            self._touch(connection_id)
        else:
            self._drop(connection_id, "idle")

    def _booted(self) -> None:
        self.rebooting = False
        self._advertise()

    def _drop(self, connection_id: int, reason: str) -> None:
        self.note("dropped", detail=f"{connection_id}: {reason}")
        self._the_transport().drop(connection_id)
