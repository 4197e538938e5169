"""A lock's own MQTT client, as Nuki's document "MQTT API" 1.5 describes it, in front of a virtual lock.

`NukiMqttLock` is joined to a `VirtualLock` of the simulator: Bluetooth and MQTT tell of the same bolt, and the audit
trail of that lock is the judge of what has moved.  The numbers stand here a second time, written from the document
alone, so that a mistake in the program's own tables is not made twice.  Where the document is silent, or a real lock
may do one thing or the other, `Habits` has both.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from nuki_bridge.protocol.codes import Action, Completion, DoorState, KeypadSource, LockState, Trigger
from nuki_bridge.simulator.authorizations import StoredEntry
from nuki_bridge.simulator.lock import VirtualLock
from tests import patience

BUSY, MOTOR_BLOCKED, CANCELED, NOT_CALIBRATED, UNKNOWN = 69, 66, 70, 71, 255
"""Bluetooth's error codes (4.3), in decimal."""

ACTIONS = {
    b"1": Action.UNLOCK,
    b"2": Action.LOCK,
    b"3": Action.UNLATCH,
    b"4": Action.LOCK_N_GO,
    b"5": Action.LOCK_N_GO_UNLATCH,
    b"6": Action.FULL_LOCK,
}
"""What `lockAction` takes (3.4)."""
STATES = {
    LockState.UNCALIBRATED: 0,
    LockState.LOCKED: 1,
    LockState.UNLOCKING: 2,
    LockState.UNLOCKED: 3,
    LockState.LOCKING: 4,
    LockState.UNLATCHED: 5,
    LockState.UNLOCKED_LOCK_N_GO: 6,
    LockState.UNLATCHING: 7,
    LockState.MOTOR_BLOCKED: 254,
    LockState.UNDEFINED: 255,
}
"""Of 3.3."""
UNDOCUMENTED_STATES = {LockState.CALIBRATING: 252, LockState.BOOT_RUN: 253}
"""States that Bluetooth has and 3.3 has not."""
DOORS = {
    DoorState.DEACTIVATED: 1,
    DoorState.CLOSED: 2,
    DoorState.OPEN: 3,
    DoorState.UNKNOWN: 4,
    DoorState.CALIBRATING: 5,
    DoorState.UNCALIBRATED: 16,
    DoorState.TAMPERED: 240,
    DoorState.UNKNOWN_3: 255,
}
"""Of 3.6; without a sensor the topic is not there."""
NUMBERS = {each: int(number) for number, each in ACTIONS.items()} | {
    Action.FOB_NO_ACTION: 80,
    Action.BUTTON_NO_ACTION: 90,
}
"""Of 3.4, for events."""
TRIGGERS = {
    Trigger.SYSTEM: 0,
    Trigger.BUTTON: 2,
    Trigger.AUTOMATIC: 3,
    Trigger.AUTO_LOCK: 6,
    Trigger.HOMEKIT: 171,
    Trigger.MQTT: 172,
}
"""Of 3.7; 1 is reserved: a turn by hand has no event."""
RESPONSES = {
    Completion.SUCCESS: 0,
    Completion.MOTOR_BLOCKED: MOTOR_BLOCKED,
    Completion.CANCELED: CANCELED,
    Completion.BUSY: BUSY,
}
KEYPAD_SOURCES = {KeypadSource.ARROW_KEY: 0, KeypadSource.CODE: 1, KeypadSource.FINGERPRINT: 2}
"""Of the event's last field (4.3)."""
EVENT_LATE_S = 0.02
"""Seconds from the `state` to the event that comes after it."""
_COMMANDS = ("lockAction", "lock", "unlock")
_AUTO_UNLOCK = 1  # Bluetooth's flag of a lock action


@dataclass(slots=True, kw_only=True)
class Habits:
    """What the document leaves open, or the owner can set; all may be changed at any time."""

    locking_allowed: bool = True
    """"Allow locking" of the app; without it nothing is subscribed to, from the next connection on."""
    discovery: bool = False
    """Home Assistant's discovery; on in a factory-new lock."""
    keepalive_s: int = 30
    """After one and a half times as long the broker takes notice of a link that is lost."""
    responds: Literal["at the end", "at once", "never"] = "at the end"
    """When `commandResponse` comes."""
    event: Literal["first", "last", "never"] = "first"
    """`lockActionEvent` before or after the `state` that belongs to it."""
    connected: Literal["first", "last"] = "last"
    """`connected` before or after the other topics, at a connection."""
    state_late_s: float = 0.0
    """Seconds that a change is on its way to its topics: Bluetooth tells before, also of what comes after it."""
    tells_undocumented_states: bool = True
    """States 252 and 253 are told; otherwise `state` stays as it was meanwhile."""
    deaf: bool = False
    """Commands are received, and nothing comes of them."""


class NukiMqttLock:
    """The lock's MQTT client; `start`, then `stop`.

    `version` is the MQTT version it speaks, 4 (3.1.1) or 5.  The lock does not look at the retain flag of a command:
    what is retained there is executed again at each connection.
    """

    def __init__(
        self,
        lock: VirtualLock,
        port: int,
        *,
        habits: Habits | None = None,
        version: Literal[4, 5] = 4,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.lock = lock
        self.id = f"{lock.nuki_id:08X}"
        self.base = f"nuki/{self.id}"
        self.habits = habits or Habits()
        self.commands: list[tuple[str, bytes, bool]] = []
        """What came: topic below `base`, payload, whether it was retained."""
        self.taken = 0
        """How many of them the motor was asked for."""
        self.responses: list[int] = []
        """What was told on `commandResponse`."""
        self.events: list[str] = []
        """What was told on `lockActionEvent`."""
        self._port = port
        self._version = version
        self._account = (username, password)
        self._loop = asyncio.get_running_loop()
        self._told: dict[str, str] = {}
        self._paho: Paho | None = None
        self._is_online = False
        self._half_open: list[Paho] = []
        self._ready = asyncio.Event()
        lock.device.on_changed = self._changed
        lock.device.on_action = self._action

    @property
    def here(self) -> bool:
        """Connected, as far as the lock knows."""
        return self._paho is not None and self._is_online

    # -- its connection -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect, also after `stop`, `cut` or `fall_silent`; return when everything is published and subscribed."""
        assert self._paho is None
        self._ready.clear()
        mqtt = MQTTProtocolVersion.MQTTv5 if self._version == 5 else MQTTProtocolVersion.MQTTv311
        paho = Paho(CallbackAPIVersion.VERSION2, client_id=f"SL3P_{self.id}", protocol=mqtt)
        username, password = self._account
        if username is not None:
            paho.username_pw_set(username, password)
        paho.will_set(f"{self.base}/connected", "false", retain=True)
        paho.on_connect = lambda *_: self._call(self._on_connect, paho)
        paho.on_subscribe = lambda *_: self._call(self._ready.set)
        paho.on_message = lambda _client, _data, message: self._call(self._on_message, paho, message)
        self._paho = paho
        paho.connect("127.0.0.1", self._port, keepalive=self.habits.keepalive_s)
        paho.loop_start()
        async with asyncio.timeout(patience.HANG_S):
            await self._ready.wait()

    def stop(self) -> None:
        """Switch the API off in the app: `connected` is told, and the connection is closed properly."""
        if (paho := self._leave()) is not None:
            paho.publish(f"{self.base}/connected", "false", retain=True).wait_for_publish(patience.HANG_S)
            paho.disconnect()
            paho.loop_stop()
        for each in self._half_open:
            _close(each)
        self._half_open.clear()

    def cut(self) -> None:
        """Lose the network in a way that the broker sees at once."""
        if (paho := self._leave()) is not None:
            paho.loop_stop()
            _close(paho)

    def fall_silent(self) -> None:
        """Lose the network in a way that the broker sees only when the keep-alive has run out."""
        if (paho := self._leave()) is not None:
            paho.loop_stop()
            self._half_open.append(paho)

    def _leave(self) -> Paho | None:
        """Give the connection up; it is the caller's from then on."""
        paho, self._paho, self._is_online = self._paho, None, False
        return paho

    # -- what it tells ------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, str]:
        """The state topics (section 3 of the document, 4.2) as they are now, but for `connected` and `timestamp`."""
        device, lock = self.lock.device, self.lock
        values = {
            "deviceType": str(lock.settings.device_type),
            "name": lock.settings.name,
            "firmware": ".".join(map(str, lock.settings.firmware_version)),
            "mode": "2",
            "batteryCritical": _bool(device.battery_critical),
            "batteryChargeState": str(device.battery_percent),
            "batteryCharging": _bool(device.battery_charging),
            "serverConnected": "true",
        }
        known = STATES | (UNDOCUMENTED_STATES if self.habits.tells_undocumented_states else {})
        if lock.motor.state in known:
            values["state"] = str(known[lock.motor.state])
        if lock.settings.has_keypad:
            values["keypadBatteryCritical"] = _bool(bool(device.accessory_battery_state & 2))
        if (door := DOORS.get(DoorState(lock.door))) is not None:
            values["doorsensorState"] = str(door)
            values["doorsensorBatteryCritical"] = _bool(bool(device.accessory_battery_state & 8))
        return values

    def discovery(self) -> dict[str, dict[str, Any]]:
        """Home Assistant's discovery as it was captured from a 3.0 Pro: topic to payload."""
        common = {
            "~": self.base,
            "avty": {"t": "~/connected", "pl_avail": "true", "pl_not_avail": "false"},
            "dev": {"ids": f"[{self.id}]", "mf": "Nuki", "name": self.lock.settings.name, "mdl": "Smart Lock 3.0 Pro"},
        }
        lock = {
            "name": self.lock.settings.name,
            "uniq_id": f"{self.id}_lock",
            "cmd_t": "~/lockAction",
            "pl_lock": "2",
            "pl_unlk": "1",
            "pl_open": "3",
            "stat_t": "~/state",
            "stat_locked": "1",
            "stat_locking": "4",
            "stat_unlocked": "3",
            "stat_unlocking": "2",
            "stat_jam": "254",
            "opt": "false",
            "val_tpl": "{% if value in ['5', '6', '7'] %}3{% else %}{{value}}{% endif %}",
        }
        return {f"homeassistant/lock/nuki_{self.id}_lock/config": common | lock}

    def publish_as_a_stranger(self, topic: str, payload: str) -> None:
        """Publish something on a topic of the lock that is not so, as the lock's own connection would."""
        self._publish(topic, payload, retain=topic not in _NOT_RETAINED)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_connect(self, paho: Paho) -> None:
        if paho is not self._paho:
            return
        self._told = {}
        self._is_online = True
        if self.habits.connected == "first":
            self._publish("connected", "true", retain=True)
        self._tell(self.values())
        if self.habits.connected == "last":
            self._publish("connected", "true", retain=True)
        if self.habits.discovery:
            for topic, payload in self.discovery().items():
                paho.publish(topic, json.dumps(payload), qos=0, retain=True)
        if self.habits.locking_allowed:
            paho.subscribe([(f"{self.base}/{each}", 2) for each in _COMMANDS])
        else:
            self._ready.set()

    def _changed(self) -> None:
        if self.habits.state_late_s > 0:
            self._loop.call_later(self.habits.state_late_s, self._tell, self.values())
        else:
            self._tell(self.values())

    def _tell(self, values: dict[str, str]) -> None:
        """Publish what is not as it was told last, and with it the time."""
        changed = {topic: value for topic, value in values.items() if self._told.get(topic) != value}
        if not self.here or not changed:
            return
        self._told |= changed
        for topic, value in changed.items():
            self._publish(topic, value, retain=True)
        self._publish("timestamp", datetime.now(UTC).isoformat(timespec="seconds"), retain=True)

    def _action(self, action: int, trigger: int, by: StoredEntry | None, flags: int) -> None:
        """Tell of an action that is about to be executed (4.3)."""
        if self.habits.event == "never":
            return
        code, context = self._code_and_context(Trigger(trigger), by, flags)
        fields = (NUMBERS[Action(action)], TRIGGERS[Trigger(trigger)], by.authorization_id if by else 0, code, context)
        text = ",".join(map(str, fields))
        if self.habits.event == "first":
            self._event(text)
        else:
            self._loop.call_later(self.habits.state_late_s + EVENT_LATE_S, self._event, text)

    def _event(self, text: str) -> None:
        if self.here:
            self.events.append(text)
            self._publish("lockActionEvent", text)

    def _code_and_context(self, trigger: Trigger, by: StoredEntry | None, flags: int) -> tuple[int, int]:
        """The event's last two fields, by what people did just before."""
        kind = {Trigger.BUTTON: "button", Trigger.AUTOMATIC: "fob", Trigger.SYSTEM: "keypad"}.get(trigger)
        last = next((each for each in reversed(self.lock.audit) if each.what in ("button", "fob", "keypad")), None)
        if trigger is Trigger.SYSTEM and (by is None or by.id_type != _KEYPAD):
            return 0, int(bool(flags & _AUTO_UNLOCK))
        if last is None or last.what != kind or (kind == "fob" and by is None):
            return 0, 0
        detail = last.detail or ""
        if kind != "keypad":
            return 0, int(detail)
        source, code = detail.partition(", ")[2].split()
        return int(code), KEYPAD_SOURCES[KeypadSource[source.upper()]] if int(code) else 0

    def _respond(self, code: int) -> None:
        if self.here and self.habits.responds != "never":
            self.responses.append(code)
            self._publish("commandResponse", str(code))

    def _publish(self, topic: str, payload: str, *, retain: bool = False) -> Any:
        """Publish as the document has it: states retained at QoS 0, what is not retained at QoS 2."""
        assert self._paho is not None
        return self._paho.publish(f"{self.base}/{topic}", payload, qos=0 if retain else 2, retain=retain)

    # -- what it is told ----------------------------------------------------------------------------------------------

    def _on_message(self, paho: Paho, message: MQTTMessage) -> None:
        if paho is not self._paho:
            return
        topic, payload = message.topic.removeprefix(f"{self.base}/"), bytes(message.payload)
        self.commands.append((topic, payload, message.retain))
        action = ACTIONS.get(payload) if topic == "lockAction" else self._simple(topic, payload)
        if action is not None and not self.habits.deaf:
            self._perform(action)

    def _simple(self, topic: str, payload: bytes) -> Action | None:
        """The action that the firmware makes of a simple one, by the door (3.5)."""
        if payload != b"true":
            return None
        if topic == "lock":
            return Action.LOCK
        return Action.UNLATCH if self.lock.settings.auto_unlatch else Action.UNLOCK

    def _perform(self, action: Action) -> None:
        motion = self.lock.motion
        if not motion.calibrated or motion.busy:
            self._respond(BUSY if motion.calibrated else NOT_CALIBRATED)
            return
        self.taken += 1

        def over(done: Action, completion: Completion) -> None:
            self.lock.log_action(done, Trigger.MQTT, completion)
            if self.habits.responds == "at the end":
                self._respond(RESPONSES.get(completion, UNKNOWN))

        if self.habits.responds == "at once":
            self._respond(0)
        motion.start(action, Trigger.MQTT, over)


_NOT_RETAINED = frozenset({*_COMMANDS, "commandResponse", "lockActionEvent"})
_KEYPAD = 3  # id type of smartlock.md


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _close(paho: Paho) -> None:
    """Close the socket without a DISCONNECT: the broker publishes the will."""
    if (sock := paho.socket()) is not None:
        sock.close()
