"""What a virtual lock does with a decrypted request: it makes the common checks, then calls the handler of its subject.

The order of the checks: known command, exact size, enabled, challenge, security PIN; then the handler's own.
"""

from __future__ import annotations

from typing import Any

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.advanced_config import SetAdvancedConfig
from nuki_bridge.protocol.authorizations import RequestAuthorizationEntries
from nuki_bridge.protocol.codes import ErrorCode, Family, name_of
from nuki_bridge.protocol.messages import LockAction, SimpleLockAction
from nuki_bridge.protocol.wire import Message, decode
from nuki_bridge.simulator import (
    action_requests,
    advanced_requests,
    config_requests,
    keypad_requests,
    log_requests,
    reading_requests,
    time_control_requests,
    user_requests,
)
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest

_TABLES = (
    reading_requests.HANDLERS,
    action_requests.HANDLERS,
    user_requests.HANDLERS,
    config_requests.HANDLERS,
    advanced_requests.HANDLERS,
    log_requests.HANDLERS,
    keypad_requests.HANDLERS,
    time_control_requests.HANDLERS,
)
_HANDLERS = {kind.command: (kind, handler) for table in _TABLES for kind, handler in table.items()}


def handle(request: ClientRequest, payload: bytes) -> None:
    """Check and carry out one request; raise `Refused`."""
    entry = _HANDLERS.get(request.command)
    device, authorization = request.device, request.authorization
    if entry is None or not advanced_requests.known(device, request.command):
        raise Refused(ErrorCode.UNKNOWN)
    kind, handler = entry
    sizes = {advanced_requests.set_size(device)} if kind is SetAdvancedConfig else request_sizes(kind, device.family)
    if len(payload) not in sizes:
        raise Refused(ErrorCode.BAD_LENGTH)
    try:
        message: Any = decode(request.command, payload, device.family)
    except BadFrame:
        raise Refused(ErrorCode.BAD_LENGTH) from None
    if isinstance(message, LockAction | SimpleLockAction):
        suffix = f", for {message.name_suffix}" if message.name_suffix else ""
        request.suffix = message.name_suffix
        request.note("action_received", name_of(message.action) + suffix)
    if not authorization.enabled:
        raise Refused(ErrorCode.DISABLED)
    if hasattr(message, "nonce"):
        authorization.take_challenge(message.nonce)
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
