"""A lock's security PIN: which one is used, tried, changed; and how often a wrong one may be tried.

The PIN is never part of an answer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.arguments import Arguments, Declaration, security_pin
from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, RequestError
from nuki_bridge.lock.outcome import NotExecuted, OutcomeUnknown
from nuki_bridge.owner import pin_change, refused_pins
from nuki_bridge.owner.lock_config import READ_BACK_S, admin_in, alone
from nuki_bridge.protocol.codes import ErrorCode, Family

if TYPE_CHECKING:
    from nuki_bridge.bridge.bridge import Bridge
    from nuki_bridge.bridge.lock_commands import Answer, Call, Handler
    from nuki_bridge.bridge.members import Member
    from nuki_bridge.lock.admin import Admin
    from nuki_bridge.lock.lock import Lock

log = logging.getLogger(__name__)

MAX_REFUSED_PINS = 2
"""Different PINs that may be refused within an hour; one more, and a lock may ban its owner."""


def admin_of(bridge: Bridge, member: Member, lock: Lock) -> Admin:
    """The owner's commands to a lock, with the PIN of the configuration, else of the state directory.

    The PINs that were refused within the last hour are refused still.
    """
    from nuki_bridge.lock.admin import Admin

    paired, pin = member.paired, own(bridge, member)
    assert paired is not None
    _warn_of_old(bridge, member)

    def on_refused(pin: str) -> None:
        refused_pins.note(bridge, member, lock, pin)
        bridge.publisher.lock(member)  # Home Assistant is offered less without a PIN, and more with one

    member.refused_pins = {**refused_pins.lately(bridge, paired, lock), **member.refused_pins}
    admin = Admin(lock, pin, refused=refused_pins.is_refused(member, lock, pin), on_refused=on_refused)
    warn_of_width(member.name, admin)
    pin_change.look_for(bridge, member, lock, admin)
    return admin


def stored_pin(member: Member, family: Family | None, now: float) -> str | None:
    """The PIN that was kept of a lock, for pairing with it once more: unless it cannot be right any more."""
    pin = member.paired.pin if member.paired is not None else None
    if pin is None or now < member.refused_pins.get(pin, -math.inf):
        return None
    return pin if family is None or len(pin) == family.pin_digits else None


def use_own(bridge: Bridge, member: Member) -> None:
    """The configuration has another PIN for a lock, or none any more."""
    if member.admin is None or member.paired is None or member.lock is None:
        return
    pin = own(bridge, member)
    _warn_of_old(bridge, member)
    member.admin.pin.use(pin, refused=refused_pins.is_refused(member, member.lock, pin))
    warn_of_width(member.name, member.admin)
    pin_change.look_for(bridge, member, member.lock, member.admin)
    for each in (member.users, member.log_book):
        if each is not None:
            each.wake()


def warn_of_width(name: str, admin: Admin) -> None:
    """Log it if the PIN that is known cannot be the lock's: nothing that takes it will be done."""
    try:
        if admin.pin.digits is not None:
            admin.pin.check_known(admin.pin.digits)
    except RequestError as error:
        log.warning("%s: %s", name, error)


async def _verify(call: Call) -> Answer:
    """Ask the lock whether a PIN is right, by default the one we have; a right one is used and kept from then on."""
    pin = call.arguments.get("pin")
    known = own(call.bridge, call.member)
    if pin is None:
        if known is None:
            raise RequestError("pin_required", "no PIN is known; give it in pin")
        pin = known
        admin_in(call).pin.check_known(pin)
    else:
        admin_in(call).pin.check_given(pin)
    async with alone(call.member.setting, call.timeout_s):
        await _try(call, pin)
        return {"data": _keep(call, pin)}


async def _set(call: Call) -> Answer:
    """Give the lock another PIN.  A lost answer is cleared up by asking whether the old one is right still."""
    pin = call.arguments["pin"]
    admin = admin_in(call)
    admin.pin.check_given(pin)
    async with alone(call.member.setting, call.timeout_s):
        if not admin.pin.is_proven:  # or else a refusal afterwards would not tell that the new one is in force
            await admin.verify_own_pin(max(call.left_s(), READ_BACK_S))
        pin_change.begin(call.bridge, call.member, pin)
        try:
            await admin.set_pin(pin, call.left_s())
        except OutcomeUnknown as lost:
            try:
                has_old_pin = await _has_old_pin(call, lost)
            except OutcomeUnknown:
                pin_change.look_for(call.bridge, call.member, call.lock, admin)
                raise
            if has_old_pin and admin.pin.to_send() != int(pin):
                pin_change.given_up(call.bridge, call.member)
                raise NotExecuted("the lock's answer got lost, and it has the same PIN as before") from lost
            admin.pin.is_right(pin)
            refused_pins.forget(call.bridge, call.member, call.lock, pin)
        except NukiError:
            pin_change.given_up(call.bridge, call.member)  # it was refused, or never sent
            raise
        else:
            refused_pins.forget(call.bridge, call.member, call.lock)
        return {"data": _keep(call, pin)}


async def _has_old_pin(call: Call, lost: OutcomeUnknown) -> bool:
    """Whether the lock takes the PIN in use; only its refusal proves that it has another one.

    That one was right before, so a refusal tells something new; it is wrong once at most, and counted then.  It is sent
    once: if this gets lost, too, `lost` is raised.
    """
    try:
        await admin_in(call).verify_own_pin(max(call.left_s(), READ_BACK_S))
    except LockError as error:
        if error.number == ErrorCode.BAD_PIN:
            return False
        raise lost from error
    except (LinkError, ProtocolError, RequestError, OutcomeUnknown) as error:
        raise lost from error
    return True


async def _try(call: Call, pin: str) -> None:
    """Once: the same wrong PIN again would lead to a ban and to nothing else."""
    refused, open_pins, now = call.member.refused_pins, call.member.open_pins, call.lock.clock()
    # Whoever gave the right PIN must not wait an hour because an answer got lost; the second try counts as another PIN.
    tried = f"{pin} again" if pin in open_pins else pin
    if now < refused.get(tried, -math.inf):
        raise LockError(
            "bad_pin",
            "the lock has refused this PIN already, or its answer got lost twice; it is tried again after an hour",
            number=ErrorCode.BAD_PIN,
        )
    is_ours = pin == own(call.bridge, call.member) and admin_in(call).has_pin
    if not is_ours and sum(now < until for until in refused.values()) >= MAX_REFUSED_PINS:
        raise LockError(
            "bad_pin",
            f"the lock has refused {MAX_REFUSED_PINS} PINs within an hour; after one more it may ban you, so none is "
            "tried until the hour is over",
            number=ErrorCode.BAD_PIN,
        )
    if is_ours:  # if it is refused `Admin` tells
        await admin_in(call).verify_pin(pin, call.timeout_s)
        return  # others stay refused: or else verifying ours in between would let somebody guess on
    # Before it is tried: nobody may have the bridge stop before the answer is there, and so guess on.
    refused_pins.note(call.bridge, call.member, call.lock, tried)
    open_pins.add(pin)
    try:
        await admin_in(call).verify_pin(pin, call.timeout_s)
    except OutcomeUnknown:
        raise  # it may have been refused
    except NukiError as error:
        open_pins.discard(pin)
        if not isinstance(error, LockError) or error.number != ErrorCode.BAD_PIN:
            refused_pins.forget(call.bridge, call.member, call.lock, tried)
        raise
    refused_pins.forget(call.bridge, call.member, call.lock)


def own(bridge: Bridge, member: Member) -> str | None:
    """The PIN to use: the configuration's, but for one that was replaced, here or in another run, by the stored one."""
    settings, paired = member.settings, member.paired
    configured = settings.pin.reveal() if settings is not None and settings.pin is not None else None
    stored = paired.pin if paired is not None else None
    if configured is None or (stored is not None and _is_replaced(bridge, member, configured)):
        return stored
    return configured


def _is_replaced(bridge: Bridge, member: Member, configured: str) -> bool:
    return member.paired is not None and bridge.store.replaced_pin(member.paired.name) == configured


def _warn_of_old(bridge: Bridge, member: Member) -> None:
    settings = member.settings
    if settings is not None and settings.pin is not None and own(bridge, member) != settings.pin.reveal():
        log.warning(
            "%s: the configuration is out of date: the security PIN in it (pin or pin_file) was replaced; "
            "the new one is used, correct the configuration",
            member.name,
        )


def _keep(call: Call, pin: str) -> dict[str, Any]:
    """Remember a PIN that the lock took, durably; says so if the configuration has another one."""
    member = call.member
    if member.paired is not None:
        pin_change.keep(call.bridge, member, pin)
    for each in (member.users, member.log_book):
        if each is not None:
            each.wake()
    call.bridge.publisher.lock(member)
    settings = member.settings
    if settings is not None and settings.pin is not None and settings.pin.reveal() != pin:
        return {"note": "the configuration still has the PIN from before (pin or pin_file); change it there, too"}
    return {}


REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "pin/verify": Declaration(Arguments({"pin": security_pin.meant("default: the one that is known")}), _verify),
    "pin/set": Declaration(Arguments(required={"pin": security_pin.meant("the new one")}), _set),
}
"""What can be asked of the security PIN."""
