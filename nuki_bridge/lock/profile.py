"""What a kind of device can do: its states, its actions, where each action ends, and the words for all of it.

States and actions are numbers of the protocol that each kind of device uses in its own way: 0x01 is `unlock` to a Smart
Lock and `activate_rto` to an Opener.  So nothing outside this module compares them with a state or an action by name;
it asks the profile of the device that it speaks of.  How wide a PIN is stays with `Family`, which writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, Literal

from nuki_bridge.errors import RequestError
from nuki_bridge.protocol.action_names import (
    LOCK_ACTIONS,
    LOCK_STATES,
    OPENER_ACTIONS,
    OPENER_STATES,
    ActionNames,
)
from nuki_bridge.protocol.codes import (
    Action,
    Family,
    LockState,
    NukiState,
    OpenerAction,
    OpenerState,
    Trigger,
    name_of,
    open_enum,
)
from nuki_bridge.protocol.common import BasicConfig, States
from nuki_bridge.protocol.messages import Config
from nuki_bridge.protocol.opener import OpenerConfig
from nuki_bridge.records import frozen_by_name

Numbers = frozenset[int]
"""States or actions."""


@frozen_by_name
class PlainLock:
    """The device as other programs have a lock: three commands, and the states that every lock has."""

    lock: int
    unlock: int
    open: int
    """Actions."""
    states: Mapping[int, str]
    """`locked`, `locking`, `unlocking`, `unlocked`, `opening`, `open` and `jammed`, by its own states; one that says
    nothing of the bolt is none of them."""


@frozen_by_name
class Profile:
    """One kind of device; what is absent it does not have."""

    # -- words --------------------------------------------------------------------------------------------------------

    names: ActionNames[Any]
    """The actions that it can be asked for, by name and in every accepted spelling."""
    states: Mapping[str, int]
    """Its states by the words of the topics."""
    no_actions: Numbers
    """Numbers that reports and the log carry where nothing was done."""

    # -- states -------------------------------------------------------------------------------------------------------

    moving: Numbers
    """The motor turns, or the strike is about to act."""
    measuring: Numbers
    """States in which the device finds out where its bolt is, which is no action; they are among `moving`."""
    held: Numbers
    """The door can be pulled open; this ends by itself, unless a hand holds the knob."""
    waiting: Numbers
    """It stands unlocked and is going to lock by itself."""
    blocked: int | None
    """The motor met an obstacle; None if there is no such state."""
    undefined: int
    """The device does not know where its bolt is."""
    uncalibrated: int
    """It has to be calibrated, or trained, before it can do anything."""
    nowhere: Numbers
    """States of a device that has not got to where an action leads."""
    idle: int | None = None
    """The state of a device whose doorbell rings in vain."""
    armed: Numbers = frozenset()
    """States in which a ring of the doorbell opens the door."""
    springs_back: frozenset[tuple[int, int]]
    """Pairs of states: the device goes from the first to the second by itself, at the end of an action."""

    # -- actions ------------------------------------------------------------------------------------------------------

    targets: Mapping[int, Numbers]
    """Actions that only lead to a state, and the states; sending one again does no harm."""
    modes: Mapping[int, int] = field(default_factory=dict)
    """Actions that only lead to a Nuki state (the operating mode beside the lock state), and that state."""
    unlogged: Numbers = frozenset()
    """Actions of which the log tells nothing: that it has no entry of one proves nothing."""
    waits: Numbers = frozenset()
    """Actions that wait, unlocked, before they lock."""
    opens: Numbers = frozenset()
    """Actions that open the door for a moment, and only do that."""
    sent_once: Numbers = frozenset()
    """Actions that are sent once and never again, not even after a refusal by which nothing should have happened."""
    rests: Mapping[int, Numbers] = field(default_factory=dict)
    """Where the actions of `waits` and `opens` come to rest."""
    leads_to_state: Mapping[int, int]
    """The state that best says what an action of the log did, if it succeeded."""
    turns: Mapping[int, Numbers]
    """Passing states of a lock while it carries out an action."""
    phases: Mapping[int, int] = field(default_factory=dict)
    """The order in which an action of `waits` passes through its states; those that are missing come before them."""
    other_names: Mapping[int, Numbers] = field(default_factory=dict)
    """Actions as which the device may report one: with fewer turns, or with auto unlatch."""
    auto_unlatch: Mapping[int, int] = field(default_factory=dict)
    """The action that it carries out instead if its configuration says "auto unlatch"."""
    configured: Numbers
    """Actions whose meaning is set in its configuration: a fob's presses."""
    planned: Numbers = frozenset()
    """Actions that time control can carry out."""
    by_hand: Mapping[int, int] = field(default_factory=dict)
    """The action that a hand at the device has done, by the state in which it left the device."""
    wirings: Mapping[int, Numbers] = field(default_factory=dict)
    """Actions that are impossible with a wiring, by the number of its configuration."""

    # -- what else there is of it -----------------------------------------------------------------------------------

    kind: str
    """What people call it, with its article."""
    plain: PlainLock
    """What it is to programs that know locks and no more of it."""
    has_advanced_config: bool = True
    """It has an advanced configuration whose layout this program knows."""
    config: type[BasicConfig] = Config
    """The message in which it tells its basic settings."""
    has_bolt: bool = True
    """It turns a bolt, whose way it can measure, and its battery report tells what a turn has taken."""
    rings: bool = False
    """It announces that the doorbell was rung.  It takes one link and is not heard while it has that."""
    deaf_after_action: bool = False
    """The link over which an action was sent hears nothing more after that; a new one does at once."""

    # -- defaults -----------------------------------------------------------------------------------------------------

    connection: Literal["persistent", "on-demand"]
    """How it is kept in touch with if the configuration does not say."""

    # -- words for numbers --------------------------------------------------------------------------------------------

    def state_word(self, state: int) -> str:
        """Return the word of a state in topics, `undefined` for one that this program does not know."""
        return next((word for word, each in self.states.items() if each == state), "undefined")

    def action_word(self, action: int) -> str:
        """Return an action's name, `unknown_0xNN` for one that this program does not know."""
        return name_of(open_enum(self.names.kind, action))

    # -- what a state means -------------------------------------------------------------------------------------------

    @property
    def unsettled(self) -> Numbers:
        """States that the device leaves by itself before long."""
        return self.moving | self.held | self.waiting

    @property
    def under_way(self) -> Numbers:
        """States in which an action has not come to an end that makes an event."""
        return self.moving | self.waiting

    @property
    def opening(self) -> Numbers:
        """States of a door that is about to open, or can be pulled open."""
        return (self.moving | self.held) - self.measuring

    def is_unsettled(self, states: States) -> bool:
        """Return whether the device leaves this state by itself before long."""
        is_held_by_hand = states.lock_state in self.held and states.trigger == Trigger.MANUAL
        return states.lock_state in self.unsettled and not is_held_by_hand

    def is_passing(self, action: int, states: States) -> bool:
        """Return whether the device leaves this state by itself before long, as far as that matters to `action`."""
        state = states.lock_state
        if state in self.held:
            return states.trigger != Trigger.MANUAL  # a hand may hold the knob for as long as it likes
        return state in self.moving or (state in self.waiting and action in self.waits)

    # -- what an action does ------------------------------------------------------------------------------------------

    def is_repeatable(self, action: int) -> bool:
        """Return whether `action` only leads to a state, so that doing it twice is the same as once."""
        return action in self.targets or action in self.modes

    def leads_to(self, action: int, states: States) -> bool:
        """Return whether `action` leads to this state and rests there."""
        return states.lock_state in self.targets.get(action, ()) or (
            action in self.modes and states.nuki_state == self.modes[action]
        )

    def passes_through(self, action: int) -> Numbers:
        """Return the passing states that `action` may show; those of every action if what it does is configured."""
        return self.turns.get(action, self.any_turn)

    @property
    def any_turn(self) -> Numbers:
        """The passing states of all actions."""
        return frozenset().union(*self.turns.values())

    def reported_as(self, action: int, named: int | None) -> bool:
        """Return whether the device, when it speaks of the action `named`, may mean `action`."""
        return (
            named == action or named in self.other_names.get(action, ()) or (action in self.configured and bool(named))
        )

    def check_wiring(self, action: int, config: BasicConfig | None) -> None:
        """Raises `RequestError` if the device's wiring, as far as it is known, makes the action impossible."""
        wiring = None if config is None else config.wiring
        if wiring is not None and action in self.wirings.get(wiring, ()):
            names = ", ".join(name for name, each in self.names.by_name.items() if each in self.possible(wiring))
            raise RequestError(
                "action_not_possible",
                f"the wiring of this device does not allow {self.action_word(action)}; possible are {names}",
            )

    def possible(self, wiring: int | None) -> Numbers:
        """Return the actions that the device can carry out with this wiring; None: that is not known."""
        impossible = frozenset() if wiring is None else self.wirings.get(wiring, frozenset())
        return frozenset(self.names.by_name.values()) - impossible


SMART_LOCK: Final = Profile(
    names=LOCK_ACTIONS,
    states=LOCK_STATES,
    no_actions=frozenset({Action.NONE, Action.FOB_NO_ACTION, Action.BUTTON_NO_ACTION}),
    moving=frozenset(
        {LockState.UNLOCKING, LockState.LOCKING, LockState.UNLATCHING, LockState.CALIBRATING, LockState.BOOT_RUN}
    ),
    measuring=frozenset({LockState.CALIBRATING, LockState.BOOT_RUN}),
    held=frozenset({LockState.UNLATCHED}),
    waiting=frozenset({LockState.UNLOCKED_LOCK_N_GO}),
    blocked=LockState.MOTOR_BLOCKED,
    undefined=LockState.UNDEFINED,
    uncalibrated=LockState.UNCALIBRATED,
    nowhere=frozenset({LockState.UNDEFINED, LockState.UNCALIBRATED, LockState.BOOT_RUN, LockState.MOTOR_BLOCKED}),
    springs_back=frozenset({(LockState.UNLATCHED, LockState.UNLOCKED)}),
    targets={
        Action.LOCK: frozenset({LockState.LOCKED}),
        Action.FULL_LOCK: frozenset({LockState.LOCKED}),
        Action.UNLOCK: frozenset({LockState.UNLOCKED, LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO}),
    },
    waits=frozenset({Action.LOCK_N_GO, Action.LOCK_N_GO_UNLATCH}),
    opens=frozenset({Action.UNLATCH}),
    rests={
        Action.LOCK_N_GO: frozenset({LockState.LOCKED}),
        Action.LOCK_N_GO_UNLATCH: frozenset({LockState.LOCKED}),
        Action.UNLATCH: frozenset({LockState.UNLOCKED}),
    },
    leads_to_state={
        Action.LOCK: LockState.LOCKED,
        Action.FULL_LOCK: LockState.LOCKED,
        Action.UNLOCK: LockState.UNLOCKED,
        Action.UNLATCH: LockState.UNLATCHED,
        Action.LOCK_N_GO: LockState.LOCKED,
        Action.LOCK_N_GO_UNLATCH: LockState.LOCKED,
    },
    turns={
        Action.LOCK: frozenset({LockState.LOCKING}),
        Action.FULL_LOCK: frozenset({LockState.LOCKING}),
        Action.UNLOCK: frozenset({LockState.UNLOCKING, LockState.UNLATCHING, LockState.UNLATCHED}),
        Action.UNLATCH: frozenset({LockState.UNLATCHING, LockState.UNLATCHED}),
        Action.LOCK_N_GO: frozenset({LockState.UNLOCKING, LockState.UNLOCKED_LOCK_N_GO, LockState.LOCKING}),
        Action.LOCK_N_GO_UNLATCH: frozenset(
            {LockState.UNLATCHING, LockState.UNLATCHED, LockState.UNLOCKED_LOCK_N_GO, LockState.LOCKING}
        ),
    },
    phases={LockState.UNLATCHED: 1, LockState.UNLOCKED_LOCK_N_GO: 2, LockState.LOCKING: 3},
    other_names={
        Action.LOCK: frozenset({Action.FULL_LOCK}),
        Action.FULL_LOCK: frozenset({Action.LOCK}),
        Action.UNLOCK: frozenset({Action.UNLATCH}),
        Action.LOCK_N_GO: frozenset({Action.LOCK_N_GO_UNLATCH}),
        Action.LOCK_N_GO_UNLATCH: frozenset({Action.LOCK_N_GO}),
    },
    auto_unlatch={Action.UNLOCK: Action.UNLATCH},
    configured=frozenset({Action.FOB_ACTION_1, Action.FOB_ACTION_2, Action.FOB_ACTION_3}),
    planned=frozenset(
        {
            Action.UNLOCK,
            Action.LOCK,
            Action.UNLATCH,
            Action.LOCK_N_GO,
            Action.LOCK_N_GO_UNLATCH,
            Action.FULL_LOCK,
        }
    ),
    by_hand={
        LockState.LOCKED: Action.LOCK,
        LockState.UNLOCKED: Action.UNLOCK,
        LockState.UNLATCHED: Action.UNLATCH,
    },
    kind="a Smart Lock",
    plain=PlainLock(
        lock=Action.LOCK,
        unlock=Action.UNLOCK,
        open=Action.UNLATCH,
        states={
            LockState.LOCKED: "locked",
            LockState.UNLOCKING: "unlocking",
            LockState.UNLOCKED: "unlocked",
            LockState.LOCKING: "locking",
            LockState.UNLOCKED_LOCK_N_GO: "unlocked",
            LockState.UNLATCHING: "opening",
            LockState.UNLATCHED: "open",
            LockState.MOTOR_BLOCKED: "jammed",
        },
    ),
    connection="persistent",
)
"""Every Smart Lock (1.0 to 5th generation, Ultra, Go) and the Smart Door."""

OPENER: Final = Profile(
    names=OPENER_ACTIONS,
    states=OPENER_STATES,
    no_actions=frozenset({OpenerAction.NONE, OpenerAction.FOB_NO_ACTION, OpenerAction.BUTTON_NO_ACTION}),
    moving=frozenset({OpenerState.OPENING, OpenerState.BOOT_RUN}),
    measuring=frozenset({OpenerState.BOOT_RUN}),
    held=frozenset({OpenerState.OPEN}),
    waiting=frozenset(),
    blocked=None,
    undefined=OpenerState.UNDEFINED,
    uncalibrated=OpenerState.UNCALIBRATED,
    nowhere=frozenset({OpenerState.UNDEFINED, OpenerState.UNCALIBRATED, OpenerState.BOOT_RUN}),
    idle=OpenerState.LOCKED,
    armed=frozenset({OpenerState.RTO_ACTIVE}),
    springs_back=frozenset({(OpenerState.OPEN, OpenerState.LOCKED), (OpenerState.OPEN, OpenerState.RTO_ACTIVE)}),
    targets={
        OpenerAction.ACTIVATE_RTO: frozenset({OpenerState.RTO_ACTIVE}),
        OpenerAction.DEACTIVATE_RTO: frozenset({OpenerState.LOCKED}),
    },
    modes={
        OpenerAction.ACTIVATE_CONTINUOUS_MODE: NukiState.CONTINUOUS_MODE,
        OpenerAction.DEACTIVATE_CONTINUOUS_MODE: NukiState.DOOR_MODE,
    },
    unlogged=frozenset(
        {
            OpenerAction.ACTIVATE_RTO,
            OpenerAction.DEACTIVATE_RTO,
            OpenerAction.ACTIVATE_CONTINUOUS_MODE,
            OpenerAction.DEACTIVATE_CONTINUOUS_MODE,
            OpenerAction.FOB_ACTION_1,
            OpenerAction.FOB_ACTION_2,
            OpenerAction.FOB_ACTION_3,
        }
    ),
    opens=frozenset({OpenerAction.OPEN}),
    sent_once=frozenset(
        {OpenerAction.OPEN, OpenerAction.FOB_ACTION_1, OpenerAction.FOB_ACTION_2, OpenerAction.FOB_ACTION_3}
    ),
    rests={OpenerAction.OPEN: frozenset({OpenerState.LOCKED, OpenerState.RTO_ACTIVE})},
    leads_to_state={
        OpenerAction.ACTIVATE_RTO: OpenerState.RTO_ACTIVE,
        OpenerAction.DEACTIVATE_RTO: OpenerState.LOCKED,
        OpenerAction.OPEN: OpenerState.OPEN,
    },
    turns={OpenerAction.OPEN: frozenset({OpenerState.OPENING, OpenerState.OPEN})},
    configured=frozenset({OpenerAction.FOB_ACTION_1, OpenerAction.FOB_ACTION_2, OpenerAction.FOB_ACTION_3}),
    planned=frozenset(
        {
            OpenerAction.ACTIVATE_RTO,
            OpenerAction.DEACTIVATE_RTO,
            OpenerAction.OPEN,
            OpenerAction.ACTIVATE_CONTINUOUS_MODE,
            OpenerAction.DEACTIVATE_CONTINUOUS_MODE,
        }
    ),
    wirings={
        0: frozenset({OpenerAction.ACTIVATE_RTO, OpenerAction.DEACTIVATE_RTO}),
        2: frozenset({OpenerAction.OPEN}),
    },
    kind="an Opener",
    plain=PlainLock(
        lock=OpenerAction.DEACTIVATE_RTO,
        unlock=OpenerAction.ACTIVATE_RTO,
        open=OpenerAction.OPEN,
        states={
            OpenerState.LOCKED: "locked",
            OpenerState.RTO_ACTIVE: "unlocked",
            OpenerState.OPENING: "opening",
            OpenerState.OPEN: "open",
        },
    ),
    config=OpenerConfig,
    has_bolt=False,
    rings=True,
    deaf_after_action=True,
    connection="on-demand",
)
"""The Opener, which has a doorbell and an electric strike and sits at an intercom (opener.md)."""


def profile_of(family: Family) -> Profile:
    """Return the profile of a family of devices."""
    return OPENER if family is Family.OPENER else SMART_LOCK
