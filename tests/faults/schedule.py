"""What happens in one run, drawn from its seed: the lock and its habits, the commands, the faults, the people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any

from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.timetable import TOLD_POLL_S
from nuki_bridge.protocol.codes import Action, Completion, DoorState, Family, IdType, LockState
from nuki_bridge.simulator.behaviour import Behaviour

COMMANDS = (
    Action.UNLOCK,
    Action.LOCK,
    Action.UNLATCH,
    Action.LOCK_N_GO,
    Action.LOCK_N_GO_UNLATCH,
    Action.FULL_LOCK,
)
READINGS = ("refresh", "read_config", "read_battery")

HABITS: dict[str, tuple[Any, ...]] = {
    "motor_s": (0.5, 2.5, 2.5, 6.0),
    "unlatch_s": (None, None, 1.0, 8.0),
    "lock_n_go_s": (None, 5.0, 20.0),
    "start_state": (LockState.LOCKED, LockState.UNLOCKED),
    "start_door": (DoorState.CLOSED, DoorState.OPEN, DoorState.UNAVAILABLE),
    "states_size": (None, None, None, 15, 19, 20, 21),
    "config_size": (None, None, 71, 74),
    "advanced_config_size": (None, None, 0, 28, 31),
    "accepted_times": (1, 1, 1, 0, 2),
    "moving_reports": (1, 1, 0, 2),
    "idle_timeout_s": (20.0, 20.0, 12.0),
    "max_links": (4, 4, 1),
    "reboot_s": (4.0, 12.0),
    "log_size": (1000, 1000, 5),
    "log_count_size": (None, 3),
    "queue_s": (0.0, 0.3, 1.5),
    "blocked_s": (10.0, 3.0),
    "log_late_s": (0.0, 0.5, 1.5),
    "plain_error_s": (0.0, 0.05, 2.0),
    "beacon_bit_late_s": (0.0, 2.0, 30.0),
    "challenge_s": (None, None, 40.0, 15.0, 5.0),
}
"""What a habit with more than two ways may be; a plain flag is drawn as it is."""
OF_NO_MATTER = frozenset(
    {"locks_as", "pairing_mode_s", "max_users", "max_codes", "max_time_control", "pin_attempts", "pin_ban_s"}
    | {"relay_s", "deaf_s", "echo_s"}
)
"""Sizes and times of what no run does, and those of an Opener, which has its own runs."""


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that happens at `at` seconds after the start; `what` is a command's or a fault's name."""

    at: float
    number: int
    what: str = field(compare=False)
    values: dict[str, Any] = field(compare=False, default_factory=dict)

    def __str__(self) -> str:
        values = ", ".join(f"{name}={getattr(value, 'name', value)}" for name, value in self.values.items())
        return f"{self.what} {values}".rstrip()


@dataclass(slots=True)
class Schedule:
    """One run; the same seed gives the same one."""

    seed: int
    family: Family
    id_type: IdType
    connection: ConnectionMode
    states_every: int | None
    """Seconds, as in the configuration."""
    with_pin: bool
    log_on: bool
    behaviour: Behaviour
    settings: dict[str, Any]
    advanced: dict[str, Any]
    radio: dict[str, Any]
    events: list[Event]
    ends_at: float
    """When the last fault is over, in seconds after the start."""

    @property
    def settled_s(self) -> float:
        """So long after the last fault what is told of the lock has to be so: 300 s.

        On demand without `states_every` a beacon that has told of changes is relied on until it has missed one.
        """
        habits = self.behaviour
        if self.connection is ConnectionMode.PERSISTENT or self.states_every is not None:
            return 300.0
        if habits.beacon_bit_missing or habits.beacon_bit_stays:
            return TOLD_POLL_S + 60.0
        return 300.0

    @property
    def begins_mute(self) -> bool:
        """The lock does not say that it has an action, nor that it moves: where it rests may be anybody's doing."""
        return self.behaviour.accepted_times == 0 and self.behaviour.moving_reports == 0

    def describe(self) -> list[str]:
        """The run in lines for people."""
        plain = Behaviour()
        habits = {f.name: getattr(self.behaviour, f.name) for f in fields(Behaviour)}
        unusual = {name: value for name, value in habits.items() if value != getattr(plain, name)}
        return [
            f"seed {self.seed}: {self.family.value} lock, paired as {self.id_type.name.lower()}, "
            f"{self.connection.value}, states every {self.states_every or 'now and then'}, "
            f"{'with' if self.with_pin else 'without'} PIN, log {'on' if self.log_on else 'off'}",
            f"habits: {_told(unusual)}",
            f"settings: {_told({**self.settings, **self.advanced})}",
            f"radio: {_told(self.radio)}",
        ]


def _told(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={getattr(value, 'name', value)}" for name, value in values.items()) or "as usual"


def _connection(seed: int, otherwise: ConnectionMode) -> ConnectionMode:
    """How the lock is kept in touch with: a fourth of the runs in the way that is now one of the others."""
    return ConnectionMode.AUTO if Random(f"auto {seed}").random() < 0.25 else otherwise


def draw(seed: int) -> Schedule:
    """The run of a seed."""
    random = Random(f"faults {seed}")
    family = random.choice((Family.CLASSIC, Family.CLASSIC, Family.ULTRA))
    id_type = IdType.APP if family is Family.ULTRA else random.choice((IdType.BRIDGE, IdType.BRIDGE, IdType.APP))
    events, ends_at = _events(random)
    return Schedule(
        seed=seed,
        family=family,
        id_type=id_type,
        connection=_connection(seed, random.choice((ConnectionMode.PERSISTENT, ConnectionMode.ON_DEMAND))),
        states_every=Random(f"states_every {seed}").choice((None, 60, 240)),
        with_pin=family is Family.ULTRA or random.random() < 0.6,
        log_on=random.random() < 0.75,
        behaviour=_behaviour(seed, family),
        settings={
            "auto_unlatch": random.random() < 0.1,
            "fob_action_1": random.choice((1, 2, 3, 4)),
            "button_enabled": random.random() < 0.9,
        },
        advanced={
            "auto_lock_enabled": (auto_lock := random.random() < 0.35),
            "auto_lock_timeout": random.choice((5, 10, 20, 60)) if auto_lock else 0,
            "single_button_press_action": random.randrange(7),
            "immediate_auto_lock": auto_lock and random.random() < 0.3,
        },
        radio={
            "mtu": random.choice((23, 185, 247)),
            "latency_s": random.choice((0.0, 0.03, 0.1, 0.3, 1.0)),
            "write_s": random.choice((0.0, 0.05, 0.1, 0.5)),
            "connect_s": random.choice((0.0, 0.5, 1.0, 3.0)),
            "indication_s": random.choice((0.0, 0.0, 0.02, 0.05)),
        },
        events=events,
        ends_at=ends_at,
    )


def _behaviour(seed: int, family: Family) -> Behaviour:
    """Every habit that the virtual lock has, also such as it gets some day, each now and then.

    Each is drawn by itself: a new one changes nothing about the others.
    """
    values: dict[str, Any] = {}
    plain = Behaviour()
    rate = Random(f"habits {seed}").choice((0.0, 0.1, 0.3))
    for each in fields(Behaviour):
        random = Random(f"{each.name} {seed}")
        usual = getattr(plain, each.name)
        unusual = random.random() < rate
        if each.name in HABITS:
            value = random.choice(HABITS[each.name])
        elif isinstance(usual, bool):
            value = not usual
        else:
            continue
        if unusual or each.name in ("start_state", "motor_s", "lock_n_go_s"):
            values[each.name] = value
    if family is Family.ULTRA:
        for name in ("states_size", "config_size", "advanced_config_size", "log_count_size"):
            values.pop(name, None)
    return Behaviour(**values)


def draw_household(seed: int) -> Schedule:
    """The run of the whole bridge: the same, with guests among those who ask, and what happens at the broker."""
    plan = draw(seed)
    random = Random(f"household {seed}")
    plan.with_pin = plan.with_pin or random.random() < 0.5
    evil = random.random() < 0.6
    events: list[Event] = []
    for event in plan.events:
        values = dict(event.values)
        if event.what in READINGS:
            continue
        if event.what == "command":
            values["by"] = random.choice(("owner", "owner", "anna", "ben"))
            values["timeout_s"] = 15.0
        events.append(Event(event.at, event.number, event.what, values))
    for number in range(random.randint(0, 6)):
        table = _BROKER + _EVIL if evil else _BROKER
        what, values = _pick(random, table)
        events.append(Event(round(random.uniform(0.0, plan.ends_at), 3), 1000 + number, what, values))
    plan.events = sorted(events)
    plan.ends_at = max(event.at + event.values.get("for_s", 0.0) for event in events) + 1.0
    return plan


# -- events -----------------------------------------------------------------------------------------------------------

_INDICATIONS = ("lose", "cut", "flip", "double", "delay")


def _frame_fault(random: Random) -> tuple[str, dict[str, Any]]:
    kind = random.choice(_INDICATIONS)
    values: dict[str, Any] = {f"{kind}_indication": random.randint(1, 8)}
    if kind == "flip":
        values["flip_bit"] = random.randrange(4096)
    if kind == "delay":
        values["delay_s"] = random.choice((0.5, 2.0, 4.0, 7.0, 12.0))
    return "fault", values


def _link_loss(random: Random) -> tuple[str, dict[str, Any]]:
    kind = random.choice(
        (
            "disconnect_at_indication",
            "disconnect_at_indication",
            "disconnect_before_write",
            "disconnect_after_write",
            "disconnect_after_write",
            "write_fails_after_delivery",
        )
    )
    return "fault", {kind: random.randint(1, 8 if kind.endswith("indication") else 4)}


def _slow_write(random: Random) -> tuple[str, dict[str, Any]]:
    return "fault", {"delay_write": random.randint(1, 4), "delay_s": random.choice((0.5, 2.0, 4.5, 8.0))}


def _seconds(random: Random, *choices: float) -> float:
    return random.choice(choices) * random.uniform(0.5, 1.0)


def _lasting(what: str, *choices: float) -> Callable[[Random], tuple[str, dict[str, Any]]]:
    return lambda random: (what, {"for_s": round(_seconds(random, *choices), 2)})


def _plain(what: str, /, **values: tuple[Any, ...]) -> Callable[[Random], tuple[str, dict[str, Any]]]:
    return lambda random: (what, {name: random.choice(choices) for name, choices in values.items()})


_HAND = (LockState.LOCKED, LockState.UNLOCKED, LockState.UNLATCHED)
_FAULTS: tuple[tuple[int, Callable[[Random], tuple[str, dict[str, Any]]]], ...] = (
    (12, _frame_fault),
    (14, _link_loss),
    (3, _slow_write),
    (4, _plain("fault", connect_times_out=(1, 1, 2, 4))),
    (4, _plain("half_open", notice_s=(4.0, 6.0, 20.0, None))),
    (3, _plain("orphan")),
    (4, _plain("drop_links")),
    (3, _lasting("busy", 3.0, 10.0, 30.0)),
    (4, _lasting("block_motor", 3.0, 10.0, 60.0)),
    (
        3,
        _plain(
            "motor_fails",
            how=(Completion.INCOMPLETE, Completion.HANDLE_NOT_LIFTED, Completion.CLUTCH_FAILURE),
            where=(LockState.UNDEFINED, LockState.LOCKED, LockState.UNLOCKED),
        ),
    ),
    (3, _plain("reboot")),
    (2, _plain("break_down", notice_s=(2.0, 6.0, 20.0, None))),
    (5, _lasting("out_of_range", 3.0, 12.0, 40.0, 120.0)),
    (3, _lasting("adapter_off", 2.0, 10.0, 70.0)),
    (4, _plain("swallow", count=(1, 1, 2, 5))),
    (3, _plain("damage", count=(1, 1, 3))),
    (2, _plain("forget_challenges")),
    (1, _lasting("disable", 5.0, 30.0)),
    (1, _lasting("uncalibrate", 5.0, 30.0)),
)
_PEOPLE: tuple[tuple[int, Callable[[Random], tuple[str, dict[str, Any]]]], ...] = (
    (6, _plain("knob", state=_HAND)),
    (4, _plain("button", count=(1, 1, 2))),
    (3, _plain("fob", presses=(1, 2, 3))),
    (3, _plain("keypad", action=(Action.UNLOCK, Action.LOCK, Action.LOCK_N_GO))),
    (3, _plain("auto_lock")),
    (5, _plain("phone_acts", action=COMMANDS)),
    (2, _lasting("phone_link", 2.0, 8.0, 25.0)),
    (3, _plain("door", state=(DoorState.OPEN, DoorState.CLOSED))),
    (1, _plain("battery", percent=(10, 50, 90))),
)


_BROKER: tuple[tuple[int, Callable[[Random], tuple[str, dict[str, Any]]]], ...] = (
    (3, _lasting("broker_away", 1.0, 10.0, 60.0)),
    (2, _lasting("bridge_restarts", 1.0, 5.0)),
    (3, _plain("invite", devices=(1, 2, 3), twice=(False, True))),
    (2, _plain("owner_asks", what=("users/list", "log/get", "config/get", "refresh", "battery", "time/get"))),
    (2, _plain("doubled", who=("owner",), after_s=(0.0, 0.5, 8.0, 30.0))),
    (1, _plain("retained_command", action=("unlock", "unlatch"))),
)
_EVIL: tuple[tuple[int, Callable[[Random], tuple[str, dict[str, Any]]]], ...] = (
    (4, _plain("junk", who=("anna", "ben"), rate=(1.0, 5.0, 25.0), for_s=(2.0, 20.0, 60.0))),
    (3, _plain("doubled", who=("anna", "ben"), after_s=(0.0, 0.5, 8.0, 70.0))),
    (4, _plain("withheld", who=("anna", "ben"), nth=(1, 2, 3), until_s=(2.0, 20.0, 65.0, 150.0))),
    (2, _plain("dropped", who=("anna", "ben"), nth=(1, 2, 3))),
    (4, _plain("replayed", who=("anna", "ben"), same_session=(True, False))),
    (2, _plain("retained_junk", topic=("redeem", "relay"), count=(5, 60))),
    (1, _plain("flood", topic=("relay", "redeem"), count=(1200,))),
    (1, _plain("command_flood", rate=(100.0, 400.0), for_s=(2.0, 6.0))),
)


def _pick(
    random: Random, table: tuple[tuple[int, Callable[[Random], tuple[str, dict[str, Any]]]], ...]
) -> tuple[str, dict[str, Any]]:
    (draw,) = random.choices([each for _, each in table], [weight for weight, _ in table])
    return draw(random)


def _events(random: Random) -> tuple[list[Event], float]:
    """Commands, with faults and people mostly around them, where they hurt."""
    found: list[tuple[float, str, dict[str, Any]]] = []
    at, trouble = 0.0, random.choice((1, 2, 2, 3))
    repeated: Action | None = None
    for _ in range(random.randint(1, 6)):
        at += random.choice((0.3, 2.0, 8.0, 20.0, 60.0)) * random.uniform(0.3, 1.5)
        action = random.choice(COMMANDS[:3] if random.random() < 0.6 else COMMANDS)
        if repeated is not None and random.random() < 0.3:
            action = repeated
        repeated = action
        timeout_s = random.choice((3.0, 8.0, 15.0, 15.0, 30.0))
        found.append((at, "command", {"action": action, "timeout_s": timeout_s}))
        for _ in range(random.randint(0, trouble)):
            what, values = _pick(random, _FAULTS)
            found.append((max(at + random.choice((-4.0, -0.01, 0.5, 4.0, 15.0)) * random.random(), 0.0), what, values))
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            what, values = _pick(random, _PEOPLE)
            found.append((max(at + random.choice((-10.0, 1.0, 5.0, 20.0)) * random.random(), 0.0), what, values))
        if random.random() < 0.15:
            found.append((at + random.uniform(0.0, 5.0), random.choice(READINGS), {"timeout_s": 15.0}))
    if random.random() < 0.5:
        what, values = _pick(random, _PEOPLE)
        found.append((at + random.uniform(20.0, 60.0), what, values))
    events = [Event(round(at, 3), number, what, values) for number, (at, what, values) in enumerate(found)]
    ends_at = max(event.at + event.values.get("for_s", 0.0) for event in events)
    return sorted(events), ends_at + 1.0
