"""The stand-in of a lock with Nuki's MQTT API does what the document says, over mosquitto in MQTT 3.1.1 and 5."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from nuki_bridge.protocol.codes import Action, DoorState, KeypadSource, LockState
from nuki_bridge.simulator.behaviour import Behaviour
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from tests import patience
from tests.integration.broker import Broker, Peer, Received
from tests.nuki_mqtt_lock import BUSY, NOT_CALIBRATED, Habits, NukiMqttLock

pytestmark = pytest.mark.real_time

ID = "1A2B3C4D"
VERSIONS: tuple[Literal[4, 5], ...] = (4, 5)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        yield broker


class Door:
    """The lock, its MQTT client and somebody who listens."""

    def __init__(self, lock: VirtualLock, own: NukiMqttLock, peer: Peer) -> None:
        self.lock = lock
        self.own = own
        self.peer = peer
        self.heard: list[Received] = []
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            message = await self.peer.next(3600)
            self.heard.append(message)

    def on(self, topic: str) -> list[str]:
        return [each.payload.decode() for each in self.heard if each.topic == f"nuki/{ID}/{topic}"]

    async def until(self, topic: str, *payloads: str) -> None:
        """Wait until the last messages on a topic are these."""
        await patience.until(lambda: self.on(topic)[-len(payloads) :] == list(payloads), lambda: self.heard)

    def send(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self.peer.publish(f"nuki/{ID}/{topic}", payload, retain=retain)

    @property
    def turns(self) -> list[str]:
        return [str(each.detail).partition(":")[0] for each in self.lock.movements()]

    def close(self) -> None:
        self._task.cancel()
        self.own.stop()
        self.peer.close()


@asynccontextmanager
async def at_the_door(broker: Broker, version: Literal[4, 5] = 4, habits: Habits | None = None) -> AsyncIterator[Door]:
    lock = VirtualLock("54:D2:72:2B:3C:4D", int(ID, 16), pin=1234, behaviour=Behaviour(motor_s=0.2))
    VirtualRadio([lock])
    peer = Peer(broker)
    await peer.subscribe("nuki/#")
    door = Door(lock, NukiMqttLock(lock, broker.port, habits=habits, version=version), peer)
    try:
        await door.own.start()
        yield door
    finally:
        door.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_states_are_retained_at_qos_0_and_events_are_not_at_qos_2(broker: Broker, version: Literal[4, 5]) -> None:
    async with at_the_door(broker, version) as door:
        await door.until("connected", "true")
        door.send("lockAction", "1")
        await door.until("commandResponse", "0")
        await door.until("state", "1", "2", "3")
        await door.until("lockActionEvent", "1,172,0,0,0")
        assert {each.topic.rpartition("/")[2] for each in door.heard if each.retain} == {
            *("deviceType", "name", "firmware", "mode", "state", "batteryCritical", "batteryChargeState"),
            *("batteryCharging", "serverConnected", "timestamp", "doorsensorState", "doorsensorBatteryCritical"),
            "connected",
        }
        sent = [line for line in broker.log.splitlines() if f"Received PUBLISH from SL3P_{ID}" in line]
        assert {line.partition(f"nuki/{ID}/")[2].split("'")[0] for line in sent if "q2, r0" in line} == {
            "commandResponse",
            "lockActionEvent",
        }
        assert all("q0, r1" in line for line in sent if "q2, r0" not in line)
        assert f"SL3P_{ID} 2 nuki/{ID}/lockAction" in broker.log
        assert door.turns == ["unlock"]


async def test_simple_actions_go_by_the_door(broker: Broker) -> None:
    async with at_the_door(broker) as door:
        for number, knob, expected in ((1, False, "unlock"), (3, True, "unlatch")):
            door.lock.settings.auto_unlatch = knob
            door.send("lock", "true")
            await door.until("commandResponse", *["0"] * number)
            await door.until("state", "1")
            door.send("unlock", "true")
            await patience.until(lambda: not door.lock.motor.active and door.lock.motor.state != LockState.LOCKED)
            await door.until("commandResponse", *["0"] * (number + 1))
            assert door.turns[-1] == expected
        before = len(door.turns)
        for topic, payload in (("lock", "false"), ("unlock", ""), ("lockAction", "7"), ("lockAction", "lock")):
            door.send(topic, payload)
        await patience.until(lambda: [each[1] for each in door.own.commands[-3:]] == [b"", b"7", b"lock"])
        assert len(door.turns) == before


async def test_without_permission_nothing_is_subscribed_to(broker: Broker) -> None:
    async with at_the_door(broker, habits=Habits(locking_allowed=False)) as door:
        await door.until("connected", "true")
        door.send("lockAction", "1")
        door.lock.turn_by_hand(LockState.UNLOCKED)
        await door.until("state", "3")
        assert not door.own.commands
        assert not door.on("commandResponse")


async def test_a_second_command_is_answered_before_the_first(broker: Broker) -> None:
    async with at_the_door(broker) as door:
        door.send("lockAction", "1")
        door.send("lockAction", "3")
        await door.until("commandResponse", str(BUSY), "0")
        assert door.turns == ["unlock"]
        door.lock.uncalibrate()
        door.send("lockAction", "2")
        await door.until("commandResponse", str(NOT_CALIBRATED))


async def test_what_people_do_is_told_with_who_did_it(broker: Broker) -> None:
    async with at_the_door(broker) as door:
        door.lock.press_button()
        await door.until("lockActionEvent", "1,2,0,0,1")
        await door.until("state", "3")
        door.lock.press_fob(2)
        fob, *_ = (each.authorization_id for each in door.lock.authorizations if each.name == "Fob")
        await door.until("lockActionEvent", f"2,3,{fob},0,2")
        await door.until("state", "1")
        door.lock.use_keypad(Action.UNLATCH, code_id=12345, source=KeypadSource.FINGERPRINT, name="Lisa")
        keypad, *_ = (each.authorization_id for each in door.lock.authorizations if each.name == "Keypad")
        await door.until("lockActionEvent", f"3,0,{keypad},12345,2")
        await patience.until(lambda: not door.lock.motor.active)
        before = len(door.on("lockActionEvent"))
        door.lock.use_keypad(Action.LOCK, accepted=False)
        door.lock.turn_by_hand(LockState.LOCKED)
        door.lock.set_door(DoorState.OPEN)
        await door.until("doorsensorState", "3")
        await door.until("state", "1")
        assert len(door.on("lockActionEvent")) == before


@pytest.mark.slow
async def test_the_broker_tells_of_a_lost_link_and_a_retained_command_is_carried_out_again(broker: Broker) -> None:
    async with at_the_door(broker, habits=Habits(keepalive_s=4)) as door:
        await door.until("connected", "true")
        door.own.cut()
        await door.until("connected", "false")
        door.send("lockAction", "1", retain=True)
        await door.own.start()
        await door.until("connected", "true")
        await door.until("state", "3")
        door.lock.turn_by_hand(LockState.LOCKED)
        door.own.fall_silent()
        await door.until("connected", "false")
        await door.own.start()
        await patience.until(lambda: door.turns == ["unlock", "unlock"])
        door.own.stop()
        await door.until("connected", "false")
