"""What a virtual device does with a decrypted request: the common checks, then it calls the handler of its subject.

The order of the checks: known command, exact size, enabled, challenge, security PIN; then the handler's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.advanced_config import SetAdvancedConfig
from nuki_bridge.protocol.authorizations import RequestAuthorizationEntries
from nuki_bridge.protocol.codes import Command, ErrorCode, Family
from nuki_bridge.protocol.messages import LockAction, SimpleLockAction
from nuki_bridge.protocol.opener_advanced_config import SetOpenerAdvancedConfigA
from nuki_bridge.protocol.wire import Message, decode
from nuki_bridge.simulator import (
    action_requests,
    advanced_requests,
    config_requests,
    keypad_requests,
    lock_reading,
    log_requests,
    opener_requests,
    time_control_requests,
    user_requests,
)
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers
from nuki_bridge.simulator.device import Device

_EVERY_DEVICE = (
    action_requests.REBOOT,
    user_requests.HANDLERS,
    config_requests.HANDLERS,
    log_requests.HANDLERS,
    keypad_requests.HANDLERS,
    time_control_requests.HANDLERS,
)
_SMART_LOCK = (
    *_EVERY_DEVICE,
    lock_reading.HANDLERS,
    action_requests.HANDLERS,
    config_requests.LOCK_HANDLERS,
    advanced_requests.HANDLERS,
)


def _joined(tables: Iterable[Handlers]) -> dict[int, tuple[type[Message], Callable[[Any, Any], None]]]:
    return {kind.command: (kind, handler) for table in tables for kind, handler in table.items()}


_HANDLERS = {
    Family.CLASSIC: _joined(_SMART_LOCK),
    Family.ULTRA: _joined(_SMART_LOCK),
    Family.OPENER: _joined((*_EVERY_DEVICE, opener_requests.HANDLERS)),
}
_SET_SIZES: dict[type[Message], Callable[[Device], int]] = {
    SetAdvancedConfig: advanced_requests.set_size,
    SetOpenerAdvancedConfigA: opener_requests.set_advanced_size,
}
_ABOUT_ADVANCED_CONFIG = (Command.REQUEST_ADVANCED_CONFIG, Command.SET_ADVANCED_CONFIG)


def handle(request: ClientRequest, payload: bytes) -> None:
    """Check and carry out one request; raise `Refused`."""
    device, authorization = request.device, request.authorization
    entry = _HANDLERS[device.family].get(request.command)
    has_advanced = device.behaviour.advanced_config_size_of(device.family) > 0
    if entry is None or (request.command in _ABOUT_ADVANCED_CONFIG and not has_advanced):
        raise Refused(ErrorCode.UNKNOWN)
    kind, handler = entry
    set_size = _SET_SIZES.get(kind)
    if len(payload) not in (request_sizes(kind, device.family) if set_size is None else {set_size(device)}):
        raise Refused(ErrorCode.BAD_LENGTH)
    try:
        message: Any = decode(request.command, payload, device.family)
    except BadFrame:
        raise Refused(ErrorCode.BAD_LENGTH) from None
    if isinstance(message, LockAction | SimpleLockAction):
        suffix = f", for {message.name_suffix}" if message.name_suffix else ""
        request.suffix = message.name_suffix
        request.note("action_received", device.action_name(message.action) + suffix)
    if not authorization.enabled:
        raise Refused(ErrorCode.DISABLED)
    if hasattr(message, "nonce"):
        authorization.take_challenge(message.nonce, device.transport.now(), device.behaviour.challenge_s)
    if hasattr(message, "security_pin"):
        device.check_pin(message.security_pin)
    handler(request, message)


def request_sizes(kind: type[Message], family: Family) -> set[int]:
    """Return the payload sizes that a lock accepts: the required fields alone, or with all optional ones."""
    required = sum(kind.size(family) for _, kind, optional in kind.layout if not optional)
    every = sum(kind.size(family) for _, kind, _ in kind.layout)
    if kind is RequestAuthorizationEntries and family is not Family.ULTRA:
        return {required}
    return {required, every}
