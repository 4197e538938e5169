"""Commands of Nuki's own API to a lock that the bridge plays: what they mean, and what they are answered; pure
functions.

A simple action (`lock`, `unlock`) is not the lock action of the same name: with a knob outside, which is what Auto
unlatch in the lock's settings stands for, `unlock` opens the door (document, 3.5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from nuki_bridge.errors import LockError, NukiError, RequestError
from nuki_bridge.nuki_mqtt.codes import LOCK_ACTION, sendable
from nuki_bridge.protocol.codes import Completion, ErrorCode, NukiState, name_of

if TYPE_CHECKING:
    from nuki_bridge.lock.profile import Profile
    from nuki_bridge.protocol.common import BasicConfig

SUCCESS: Final = 0
"""What `commandResponse` says of a command that was carried out."""
RESPONSES: Final[Mapping[str, int]] = {
    "action_not_allowed": ErrorCode.REMOTE_NOT_ALLOWED,
    "action_not_possible": ErrorCode.BAD_PARAMETER,
    "bad_request": ErrorCode.BAD_PARAMETER,
    "unknown_action": ErrorCode.BAD_PARAMETER,
    "retained_command": ErrorCode.BAD_PARAMETER,
    "too_many_requests": ErrorCode.BUSY,
    "stopped": ErrorCode.CANCELED,
    "not_executed": ErrorCode.CANCELED,
    name_of(Completion.MOTOR_BLOCKED): ErrorCode.MOTOR_BLOCKED,
    name_of(Completion.CANCELED): ErrorCode.CANCELED,
    name_of(Completion.TOO_RECENT): ErrorCode.AUTO_UNLOCK_TOO_RECENT,
    name_of(Completion.BUSY): ErrorCode.BUSY,
    name_of(Completion.LOW_MOTOR_VOLTAGE): ErrorCode.MOTOR_LOW_VOLTAGE,
    name_of(Completion.CLUTCH_FAILURE): ErrorCode.CLUTCH_FAILURE,
    name_of(Completion.MOTOR_POWER_FAILURE): ErrorCode.MOTOR_POWER_FAILURE,
}
"""The Bluetooth error that comes nearest to an error code of the bridge; every other one is UNKNOWN (255)."""


def response(error: NukiError | None) -> int:
    """Return what `commandResponse` says of a command that ended so; None: it was carried out."""
    if error is None:
        return SUCCESS
    if isinstance(error, LockError) and 0 < error.number < ErrorCode.UNKNOWN:
        return error.number
    return RESPONSES.get(error.code, ErrorCode.UNKNOWN)


def actions_of(name: str, payload: bytes, profile: Profile, config: BasicConfig | None) -> tuple[IntEnum, ...]:
    """Return the actions that a command asks for, in their order; `name` is the last level of its topic.

    Raises `RequestError`.  The document allows one form of each payload, and nothing else is understood here: who sends
    something else may mean anything.
    """
    if name == LOCK_ACTION:
        return (_by_number(payload, profile),)
    if payload != b"true":
        raise RequestError("bad_request", f"{name} takes true and nothing else")
    if profile.rings:
        return _simple_of_opener(name, profile, config)
    if name == "lock":
        return (_named(profile, profile.plain.lock),)
    if config is None or config.auto_unlatch is None:
        raise RequestError("config_unknown", "what unlock does is not known before the lock's settings have been read")
    return (_named(profile, profile.plain.open if config.auto_unlatch else profile.plain.unlock),)


def _named(profile: Profile, action: int) -> IntEnum:
    found: IntEnum = profile.names.kind(action)
    return found


def _by_number(payload: bytes, profile: Profile) -> IntEnum:
    known = {b"%d" % each: each for each in sendable(profile)}
    if payload not in known:
        text = b", ".join(sorted(known)).decode()
        raise RequestError("unknown_action", f"{LOCK_ACTION} takes one of the numbers {text} for this kind of device")
    return _named(profile, known[payload])


def _simple_of_opener(name: str, profile: Profile, config: BasicConfig | None) -> tuple[IntEnum, ...]:
    """Return what the document says of an Opener: to unlock is to open, to lock ends all that opens by itself."""
    if name == "unlock":
        return (_named(profile, profile.plain.open),)
    modes_off = [action for action, mode in profile.modes.items() if mode == NukiState.DOOR_MODE]
    possible = profile.possible(None if config is None else config.wiring)
    return tuple(_named(profile, each) for each in (*modes_off, profile.plain.lock) if each in possible)


def is_open_to(profile: Profile, allowed: Collection[int] | None) -> bool:
    """Return whether the configuration leaves any action that can be asked for; `allowed` is None for all."""
    return allowed is None or bool(sendable(profile) & set(allowed))
