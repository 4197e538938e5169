"""What an installer does to a lock: calibrate it, start it anew.

A calibration moves the bolt: like a lock action it is sent once, and a lost answer is never followed by another try.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from nuki_bridge.arguments import Arguments, Declaration
from nuki_bridge.errors import Disconnected, LinkError, LockError, ProtocolError, RequestError, TimedOut
from nuki_bridge.lock.inquiry import QUIET_S
from nuki_bridge.lock.outcome import OutcomeUnknown
from nuki_bridge.lock.progress import ACTION_TIMEOUT_S
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.protocol.codes import StatusCode
from nuki_bridge.protocol.common import States
from nuki_bridge.protocol.messages import RequestCalibration, RequestReboot, Status

if TYPE_CHECKING:
    from nuki_bridge.lock.lock import Lock
    from nuki_bridge.protocol.wire import OwnerRequest


async def _calibrate(call: Call) -> Answer:
    """Run the bolt to its ends; answers when the lock has come to rest, with its state."""
    lock, admin = call.lock, call.admin
    if not lock.profile.has_bolt:
        # it would only count as trained: that it is nobody can know here
        raise RequestError(
            "bad_request",
            f"{lock.profile.kind} has no bolt to measure; for its intercom it is trained in the maker's app",
        )
    deadline = lock.clock() + call.left_s()
    await admin.be_sure(deadline)
    async with lock.linked(deadline):
        states = await admin.send_signed(RequestCalibration(), partial(_follow, lock), deadline)
    if states.lock_state == lock.profile.blocked:
        raise LockError("motor_blocked", "the motor is blocked; check the door and the bolt")
    if states.lock_state == lock.profile.uncalibrated:
        raise LockError("not_calibrated", "the lock has given up calibrating and is not calibrated")
    return {"data": {"state": lock.profile.state_word(states.lock_state)}}


async def _follow(lock: Lock, request: OwnerRequest) -> States:
    """Send the request and follow it to its end; raises `OutcomeUnknown` if the link breaks."""
    try:
        return await _send_and_follow(lock, request)
    except (LinkError, ProtocolError) as lost:
        await lock.exchange.drop()
        lock.schedule_states()
        raise OutcomeUnknown(
            f"the calibration was asked for, but the link broke ({lost}); look at the lock's state"
        ) from lost


async def _send_and_follow(lock: Lock, request: OwnerRequest) -> States:
    """To the end: COMPLETE, or a lock that reports no movement any more."""
    exchange = lock.exchange
    await exchange.send(request)
    answered = False
    give_up_at = lock.clock() + ACTION_TIMEOUT_S
    while lock.clock() < give_up_at:
        try:
            answer = await exchange.receive(QUIET_S if answered else None)
        except TimedOut:
            if not answered:
                raise
            states = await lock.read_states()
            if states.lock_state not in lock.profile.moving:
                return states
            continue
        answered = answered or isinstance(answer, States | Status)
        if isinstance(answer, Status) and answer.status == StatusCode.COMPLETE:
            return await lock.read_states()
    raise OutcomeUnknown(f"the lock is still calibrating {ACTION_TIMEOUT_S:g} s after it was asked to")


async def _reboot(call: Call) -> Answer:
    """Start the lock anew.  Its link drops then, perhaps before it has answered: `confirmed` is false in that case."""
    admin = call.admin
    try:
        await admin.ask(RequestReboot(), Status, call.left_s(), repeat=False)
    except OutcomeUnknown as lost:
        if not isinstance(lost.__cause__, Disconnected):
            raise
        return {"data": {"confirmed": False}}
    return {"data": {"confirmed": True}}


REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "calibrate": Declaration(Arguments(), _calibrate),
    "reboot": Declaration(Arguments(), _reboot),
}
"""What an installer can ask."""
