"""The requests that move the bolt or restart the device (smartlock.md 11).

The actions and the calibration are those of a Smart Lock; what is common to the actions of every device (`act`) and the
reboot are the same for an Opener.
"""

from __future__ import annotations

import enum

from nuki_bridge.protocol.codes import Action, Completion, ErrorCode, Trigger
from nuki_bridge.protocol.messages import LockAction, RequestCalibration, RequestReboot, SimpleLockAction
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers, LockRequest
from nuki_bridge.simulator.motor import MOTOR_ACTIONS

_REFUSED_IN_LOG = {ErrorCode.TIME_NOT_ALLOWED: Completion.REJECTED, ErrorCode.BUSY: Completion.BUSY}
"""Completion in the log of an action that was refused with this error; other errors leave no entry."""


def _lock_action(request: LockRequest, message: LockAction) -> None:
    act(request, _resolve(request, message.action), message.flags)


def _simple_lock_action(request: LockRequest, message: SimpleLockAction) -> None:
    if message.action not in (Action.UNLOCK, Action.LOCK):
        raise Refused(ErrorCode.BAD_PARAMETER)
    act(request, Action(message.action), 0)


def act(request: ClientRequest, action: enum.IntEnum, flags: int) -> None:
    """Have the device carry out an action, if the time limit of whoever asks allows it; raise `Refused`."""
    device, who = request.device, request.authorization
    try:
        if not who.may_act(device.now(), device.timezone_offset_min):
            raise Refused(ErrorCode.TIME_NOT_ALLOWED)
        request.motion.perform(request, action, flags)
    except Refused as refusal:
        completion = _REFUSED_IN_LOG.get(refusal.error)
        if completion is not None and device.behaviour.logs_refusals:
            device.log_action(action, Trigger.SYSTEM, completion, by=who, suffix=request.suffix, flags=flags)
        raise


def _resolve(request: LockRequest, action: int) -> Action:
    """Return the action to carry out: what the press of a fob means is set in the configuration."""
    settings = request.device.settings
    presses = {
        Action.FOB_ACTION_1: settings.fob_action_1,
        Action.FOB_ACTION_2: settings.fob_action_2,
        Action.FOB_ACTION_3: settings.fob_action_3,
    }
    if action in presses:
        press = request.motion.fob_action(presses[Action(action)])
        if press is not None:
            return press
    elif action in MOTOR_ACTIONS:
        return Action(action)
    raise Refused(ErrorCode.BAD_PARAMETER)


def _calibrate(request: LockRequest, message: RequestCalibration) -> None:
    """Calibrate; the answers are those of a lock action: accepted, states, complete."""
    request.motion.calibrate(request)


def _reboot(request: ClientRequest, message: RequestReboot) -> None:
    """Answer first, because a reboot drops every connection."""
    if request.motion.busy:
        raise Refused(ErrorCode.BUSY)
    request.note("reboot")
    request.complete()
    request.answering.reboot()


HANDLERS: Handlers = {
    LockAction: _lock_action,
    SimpleLockAction: _simple_lock_action,
    RequestCalibration: _calibrate,
}
"""The requests that move the bolt of a Smart Lock."""
REBOOT: Handlers = {RequestReboot: _reboot}
"""The request that restarts any device."""
