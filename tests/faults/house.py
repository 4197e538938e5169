"""The whole bridge with one lock, its owner, two guests, a broker, and sometimes somebody there who means harm."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from nuki_bridge import logs
from nuki_bridge.bridge.bridge import Bridge
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.config import LockSettings, MqttSettings, Settings
from nuki_bridge.errors import NukiError, RequestError
from nuki_bridge.guest import guest
from nuki_bridge.guest.credential_file import Credential, read_credential
from nuki_bridge.lock.credential import credential
from nuki_bridge.lock.lock import Lock
from nuki_bridge.lock.outcome import Outcome
from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.protocol.codes import Action, ErrorCode, IdType, name_of
from nuki_bridge.protocol.crypto import KEY_SIZE
from nuki_bridge.sharing.invitation_code import key, lookup, read_code, seal
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.store import PairedLock, Store
from nuki_bridge.topics.topics import COMMAND_DEADLINE_S, Publication
from nuki_bridge.watchdog import Watchdog
from tests.documented import mistake
from tests.faults.broker import Broker, Trick
from tests.faults.judge import ANSWER_S, OLD_S, Command
from tests.faults.schedule import Event, Schedule, draw_household
from tests.faults.stage import LONGEST_S, OPEN, Report, Stage, Trace, run, speaker
from tests.unit.rig import ADDRESS, clock, now

LATE_S = 62.0
"""A guest's frame that was held back may still be carried out so long after the lock's challenge for it."""
GUESTS = ("anna", "ben")
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

T = TypeVar("T")


async def _is_synchronized() -> bool:
    return True


class Post:
    """A guest's connection to the broker, in place of `relay_link.GuestConnection`."""

    def __init__(self, settings: tuple[Broker, str]) -> None:
        self._broker, self._who = settings
        self._over: asyncio.Future[NukiError] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def read(self, topic: str, reader: Any) -> None:
        self._broker.read(topic, reader)

    def leave(self, topic: str) -> None:
        self._broker.leave(topic)

    def publish(self, topic: str, payload: bytes, expiry_s: int) -> bool:
        self._broker.send(self._who, topic, payload, expiry_s=expiry_s)
        return True

    def end(self, error: NukiError) -> None:
        if not self._over.done():
            self._over.set_result(error)

    async def unless_over(self, awaitable: Awaitable[T]) -> T:
        waiting = asyncio.ensure_future(awaitable)
        await asyncio.wait((waiting, self._over), return_when=asyncio.FIRST_COMPLETED)
        if self._over.done():
            waiting.cancel()
            await asyncio.wait((waiting,))
            raise self._over.result()
        return waiting.result()


class House:
    """The run of one schedule."""

    def __init__(self, schedule: Schedule, trace: Trace) -> None:
        self._stage = Stage(schedule, trace)
        self._random = Random(f"house {schedule.seed}")
        self._broker = Broker(self._tampered)
        self._paired: PairedLock
        self._bridge: Bridge
        self._running: asyncio.Task[None] | None = None
        self._store: Store
        self._guests: dict[str, Credential] = {}
        self._open: dict[str, Command] = {}  # by suffix, those without an answer
        self._results: dict[str, str] = {}
        self._clients: dict[str, list[str]] = {}  # invitation: the devices that have got its credential
        self._attacks: set[asyncio.Task[None]] = set()
        self._state_told: str | None = None

    async def play(self) -> Report:
        """Live through it and judge; the loop runs in virtual time."""
        with TemporaryDirectory(dir=_IN_MEMORY) as directory:
            self._store = Store(Path(directory))
            return await self._play()

    async def _play(self) -> Report:
        stage = self._stage
        self._paired = replace(await stage.paired(), name="front")
        self._invite_guests()
        self._broker.read("nuki/front/result", self._result)
        self._start_bridge()
        self._agree(await stage.live(self._happen, self._broker.tricks.clear, self._is_online))
        await self._last_commands()
        await asyncio.sleep(LONGEST_S)
        await self._stop_bridge()
        for who, devices in self._clients.items():
            if len(devices) > 1:
                stage.add("redeemed", f"the credential of {who} was given to {len(devices)} devices")
        for publication in (each for _, each in self._broker.told):
            wrong = mistake(publication.topic, publication.payload, retained=publication.retain, base="nuki")
            if wrong is not None:
                stage.add("documented", wrong)
        self._look_for_unheard()
        return stage.report({stage.trouble.ours, *(each.authorization_id for each in self._guests.values())})

    # -- the bridge ---------------------------------------------------------------------------------------------------

    def _start_bridge(self) -> None:
        plan = self._stage.plan
        self._store.open()
        if not self._store.locks():
            self._store.save_lock(self._paired)
        connection: Any = str(plan.connection)
        lock = LockSettings("front", ADDRESS, connection=connection, states_every=plan.states_every)
        settings = Settings(
            mqtt=MqttSettings(),
            locks=(lock,),
            state_dir=Path("/nowhere"),
        )
        self._bridge = Bridge(
            settings,
            self._store,
            self._stage.radio,
            Ports(
                publish=self._publish,
                watch=self._broker.watch,
                unwatch=self._broker.unwatch,
                protocol=lambda: "5" if self._broker.connected else None,
                restart=lambda: None,
                clock=clock,
                now=now,
                synchronized=_is_synchronized,
                random=seeded(self._random.randrange(1 << 30)),
                hostname="pi",
                watchdog=Watchdog(clock),
            ),
        )
        self._running = asyncio.create_task(self._bridge.run(), name="bridge")
        self._broker.bridge = self._bridge
        self._running.get_loop().call_later(0.5, self._broker.connect, True)

    async def _stop_bridge(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        await self._bridge.leave()
        self._broker.connected = False
        self._broker.bridge = None
        self._stage.stopped(running)
        await asyncio.wait((running,))
        self._store.close()

    def _publish(self, publication: Publication) -> bool:
        """Look at what is told on its way to the broker."""
        if not self._broker.publish(publication):
            return False
        if publication.topic.startswith("nuki/front/"):
            binary = publication.topic.endswith("/indicate")
            told = f"{len(publication.payload)} bytes" if binary else publication.payload[:160].decode()
            self._stage.trace.add("told", f"{publication.topic[5:]} {told}")
        if publication.topic == "nuki/front/state":
            word = publication.payload.decode()
            if word != self._state_told:
                said = [at for at, states in self._stage.sent if SMART_LOCK.state_word(states.lock_state) == word]
                if not said or (clock() - said[-1] > OLD_S and not self._broker.is_back):
                    when = f"last at {said[-1]:.3f}" if said else "never"
                    self._stage.add("states", f"{word} is told at {clock():.3f}, the lock said it {when}")
            self._state_told = word
        return True

    # -- events -------------------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        if event.what == "command":
            values = event.values
            if values["by"] == "owner":
                self._owner_acts(values["action"])
            else:
                self._guest_acts(values["by"], values["action"])
        elif hasattr(self, f"_{event.what}"):
            getattr(self, f"_{event.what}")(**event.values)
        else:
            self._stage.trouble.do(event.what, event.values)

    def _broker_away(self, for_s: float) -> None:
        self._broker.connect(False)
        asyncio.get_running_loop().call_later(for_s, self._broker.connect, True)

    def _bridge_restarts(self, for_s: float) -> None:
        async def restart() -> None:
            if self._running is None:
                return
            await self._stop_bridge()
            await asyncio.sleep(for_s)
            self._start_bridge()

        self._stage.start(restart())

    def _owner_asks(self, what: str) -> None:
        payload = json.dumps({"count": 5} if what == "log/get" else {})
        self._broker.send("owner", f"nuki/front/request/{what}", payload.encode())

    def _retained_command(self, action: str) -> None:
        payload = json.dumps({"action": action, "transaction": "retained"})
        self._broker.send("home", "nuki/front/set", payload.encode(), retain=True)

    # -- the owner ----------------------------------------------------------------------------------------------------

    def _new_command(self, kind: str, action: Action) -> Command:
        commands = self._stage.commands
        command = Command(f"{kind}{len(commands) + 1}", name_of(action), clock(), clock() + COMMAND_DEADLINE_S)
        commands.append(command)
        self._stage.trace.add("asks", f"{command.suffix}: {command.action}")
        return command

    def _owner_acts(self, action: Action) -> Command:
        command = self._new_command("o", action)
        self._open[command.suffix] = command
        if self._running is None or not self._broker.connected:
            command.answer(clock(), RequestError("not_heard", "nobody hears it"))
        self._broker.send("owner", "nuki/front/set", _set(command))
        return command

    def _look_for_unheard(self) -> None:
        """A command that was on its way just when the bridge left the broker reached nobody."""
        for command in self._open.values():
            if command.answered_at is None and _set(command) not in self._broker.heard:
                command.answer(command.asked_at, RequestError("not_heard", "nobody heard it"))

    def _result(self, payload: bytes) -> None:
        answer = json.loads(payload)
        suffix = answer.get("transaction")
        command = next((each for each in self._stage.commands if each.suffix == suffix), None)
        if command is None:
            return
        word = "success" if answer["status"] == "ok" else answer["error"]
        before = self._results.setdefault(command.suffix, word)
        if before != word:
            self._stage.add("success", f"{suffix} is answered {before}, and then {word}")
        if command.answered_at is None:
            command.answered_at, command.word, command.message = clock(), word, answer.get("message", "")
            command.kept = self._broker.is_back
            self._stage.trace.add("answer", f"{suffix}: {word} {command.message}")

    # -- guests -------------------------------------------------------------------------------------------------------

    def _invite_guests(self) -> None:
        """They have been at the lock for long, each with a credential of their own."""
        virtual = self._stage.virtual
        for who in GUESTS:
            shared_key = virtual.random(KEY_SIZE)
            entry = virtual.add_user(shared_key, IdType.APP, 0, who, full=ErrorCode.MAX_USER)
            number = entry.authorization_id
            made = credential(
                self._paired, "nuki", authorization_id=number, shared_key=shared_key, user=who, remote=True
            )
            self._guests[who] = read_credential(made)
        virtual.config_changed()

    def _guest_acts(self, who: str, action: Action) -> tuple[Command, asyncio.Task[None]]:
        command = self._new_command(f"{who[0]}", action)
        command.slack_s = LATE_S
        others = [each for each in self._stage.commands if each.suffix[0] == who[0] and each.answered_at is None]
        for each in others if len(others) > 1 else ():
            each.tampered = True  # the lock answers to the key, which several devices have
        return command, self._stage.start(self._act(who, command, action))

    async def _act(self, who: str, command: Command, action: Action) -> None:
        async def work(lock: Lock) -> Outcome:
            return await lock.perform(action, guest.SEND_TIMEOUT_S, suffix=command.suffix)

        settings: Any = self._broker, who  # for `Post`
        speaker.set(who)
        try:
            await guest.over_relay(settings, self._guests[who], work, lambda states: None)
        except Exception as error:
            command.answer(clock(), error)
            # where the lock does not say how many users it has, a list passes for whole from which one got lost
            command.tampered |= command.word == "not_authorized" and not self._stage.plan.behaviour.tells_entry_count
        else:
            command.answer(clock())
        self._stage.trace.add("answer", f"{command.suffix}: {command.word} {command.message}")

    def _tampered(self, who: str) -> None:
        self._stage.trace.add("evil", f"has a hand on a message of {who}")
        for command in self._stage.commands:
            if command.answered_at is None and command.suffix[0] == who[0]:
                command.tampered = who != "owner"

    # -- invitations --------------------------------------------------------------------------------------------------

    def _invite(self, devices: int, twice: bool) -> None:
        """The owner invites somebody, who redeems the code on several devices at about the same time."""
        name = f"i{len(self._clients) + 1}"
        self._clients[name] = []
        answers: list[bytes] = []
        self._broker.read("nuki/front/response/invite/create", answers.append)

        async def redeem() -> None:
            asked = json.dumps({"name": name, "transaction": name}).encode()
            self._broker.send("owner", "nuki/front/request/invite/create", asked)
            deadline = clock() + 30.0
            while clock() < deadline:
                await asyncio.sleep(0.2)
                told = [json.loads(each) for each in answers]
                code = next((each["data"]["code"] for each in told if _created(each, name)), None)
                if code is not None:
                    self._redeem(name, read_code(code), devices, twice)
                    return

        self._stage.start(redeem())

    def _redeem(self, name: str, code: str, devices: int, twice: bool) -> None:
        topic = f"nuki/invitation/{lookup(code)}"
        for number in range(devices):
            client = f"{number:032x}"
            request = seal(key(code), json.dumps({"client": client, "time": 1}).encode(), bytes(23) + bytes([number]))
            for again in range(1 + twice):
                delay_s = self._random.uniform(0.0, 3.0) + 10.0 * again
                asyncio.get_running_loop().call_later(delay_s, self._knock, name, topic, client, request)

    def _knock(self, name: str, topic: str, client: str, request: bytes) -> None:
        """One device asks for the credential; the bridge answers at once, or not at all."""
        told = len(self._broker.told)
        self._broker.deliver(f"{topic}/redeem", request)
        answers = [each.payload for _, each in self._broker.told[told:] if each.topic == f"{topic}/response"]
        given = any(not payload.startswith(b"{") for payload in answers)
        self._stage.trace.add("redeems", f"{name} on device {int(client, 16)}: {'given' if given else answers}")
        if given and client not in self._clients[name]:
            self._clients[name].append(client)

    # -- evil ---------------------------------------------------------------------------------------------------------

    def _doubled(self, who: str, after_s: float) -> None:
        """Of the owner's commands only what an honest broker does: once more on the same connection."""
        self._broker.tricks.append(Trick(who, 1, (0.0, after_s), honest=who == "owner"))

    def _withheld(self, who: str, nth: int, until_s: float) -> None:
        self._broker.tricks.append(Trick(who, nth, (until_s,)))

    def _dropped(self, who: str, nth: int) -> None:
        self._broker.tricks.append(Trick(who, nth, ()))

    def _replayed(self, who: str, same_session: bool) -> None:
        """All that was overheard of somebody, once more."""
        self._tampered(who)
        for number, (topic, frame) in enumerate(self._broker.written.get(who, [])[-12:]):
            if not same_session:
                topic = f"nuki/front/relay/{number % 3:032x}/write"
            self._broker.later(0.1 * number, topic, frame)

    def _junk(self, who: str, rate: float, for_s: float) -> None:
        """Frames with a guest's number, which stands in every one of its own, and nothing behind it."""
        number = self._guests[who].authorization_id

        async def write() -> None:
            until = clock() + for_s
            while clock() < until:
                size = self._random.choice((40, 44, 60, 120))
                head = self._random.randbytes(24) + number.to_bytes(4, "little") + size.to_bytes(2, "little")
                session = self._random.randrange(4)
                frame = head + self._random.randbytes(size)
                self._broker.later(0.0, f"nuki/front/relay/{session:032x}/write", frame)
                await asyncio.sleep(1.0 / rate)

        self._stage.start(write())

    def _retained_junk(self, topic: str, count: int) -> None:
        for number in range(count):
            below = f"front/relay/{number:032x}/write" if topic == "relay" else f"invitation/{number:032x}/redeem"
            self._broker.send("evil", f"nuki/{below}", b"junk", retain=True)

    def _flood(self, topic: str, count: int) -> None:
        for number in range(count):
            below = f"front/relay/{number:032x}/write" if topic == "relay" else f"invitation/{number:032x}/redeem"
            self._broker.later(number / count, f"nuki/{below}", b"junk")

    def _command_flood(self, rate: float, for_s: float) -> None:
        for number in range(int(rate * for_s)):
            self._broker.later(number / rate, "nuki/home/set", b'{"action":"unlock"}')

    # -- in the end ---------------------------------------------------------------------------------------------------

    def _is_online(self) -> bool:
        return self._broker.retained.get("nuki/front/availability") == b"online"

    def _agree(self, after: str) -> None:
        state = name_of(self._stage.virtual.motor.state)
        told = self._broker.retained.get("nuki/front/state", b"nothing").decode()
        if told != state:
            self._stage.add("agree", f"{told} is told {after}; the lock is {state}")
        door = self._broker.retained.get("nuki/front/door", b"").decode()
        if door not in ("", name_of(self._stage.virtual.door)):
            self._stage.add("agree", f"door {door} is told {after}; it is {name_of(self._stage.virtual.door)}")

    async def _last_commands(self) -> None:
        """With nothing wrong the owner's command succeeds, and a guest's unless the radio is slow beyond its wait."""
        guests = GUESTS[:1] if self._stage.plan.with_pin and self._stage.radio.connect_s <= 1.0 else ()
        for who in ("owner", *guests):
            action = Action.LOCK if self._stage.virtual.motor.state in OPEN else Action.UNLOCK
            command = self._owner_acts(action) if who == "owner" else self._guest_acts(who, action)[0]
            until = clock() + ANSWER_S
            while command.answered_at is None and clock() < until:
                await asyncio.sleep(1.0)
            self._stage.last_word(command, is_guest=who != "owner")


def _set(command: Command) -> bytes:
    """What the owner publishes to give a command."""
    return json.dumps({"action": command.action, "transaction": command.suffix}).encode()


def _created(answer: dict[str, Any], name: str) -> bool:
    return answer.get("transaction") == name and answer["status"] == "ok"


def _transaction() -> str | None:
    about = logs._about.get({})
    return about.get(logs.TRANSACTION_FIELD)


_perform = Lock.perform


async def _performed(
    lock: Lock, action: Action, timeout_s: float, *, suffix: str | None = None, **others: Any
) -> Outcome:
    """A command of the owner bears its transaction into the lock's record."""
    return await _perform(lock, action, timeout_s, suffix=_transaction() or suffix, **others)


def play(seed: int, *, traced: bool = False) -> Report:
    """Play the run of a seed."""
    virtual: Any = SimpleNamespace(boottime=clock)
    with (
        patch.object(Lock, "perform", _performed),
        patch.object(guest, "GuestConnection", Post),
        patch.object(guest, "mqtt", virtual),
    ):
        return run(House, draw_household(seed), traced=traced)
