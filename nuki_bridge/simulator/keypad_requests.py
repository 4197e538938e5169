"""The owner's requests about keypad codes (smartlock.md 11)."""

from __future__ import annotations

from nuki_bridge.protocol.keypad_codes import (
    AddKeypadCode,
    KeypadCode,
    KeypadCodeCount,
    KeypadCodeId,
    RemoveKeypadCode,
    RequestKeypadCodes,
    UpdateKeypadCode,
)
from nuki_bridge.simulator.authorizations import told_limit
from nuki_bridge.simulator.client_request import ClientRequest, Handlers


def _request_codes(request: ClientRequest, message: RequestKeypadCodes) -> None:
    device = request.device
    codes = sorted(device.codes, key=lambda each: each.code_id)[message.offset : message.offset + message.count]
    request.note("codes_read", str(len(codes)))
    request.reply(KeypadCodeCount(count=len(codes)))
    for each in codes:
        request.reply(
            KeypadCode(
                code_id=each.code_id,
                code=each.digits,
                name=each.name,
                enabled=each.enabled,
                created=each.created,
                last_active=each.last_active,
                lock_count=each.lock_count,
                time_limited=each.limit is not None,
                limit=each.limit or told_limit(each.idle_limit, device.behaviour),
            )
        )
    request.end_list()


def _add(request: ClientRequest, message: AddKeypadCode) -> None:
    device = request.device
    limit = message.limit if message.time_limited else None
    code = device.codes.add(message.code, message.name, limit, device.now(), device.behaviour.max_codes)
    request.note("code_added", f"{code.code_id} {code.name}")
    device.config_changed()
    request.reply(KeypadCodeId(code_id=code.code_id, created=code.created))


def _update(request: ClientRequest, message: UpdateKeypadCode) -> None:
    limit = message.limit if message.time_limited else None
    code = request.device.codes.change(message.code_id, message.code, message.name, message.enabled, limit)
    code.idle_limit = None if message.time_limited else message.limit
    request.note("code_updated", f"{code.code_id} {code.name}, {'enabled' if code.enabled else 'disabled'}")
    request.device.config_changed()
    request.complete()


def _remove(request: ClientRequest, message: RemoveKeypadCode) -> None:
    code = request.device.codes.remove(message.code_id)
    request.note("code_removed", f"{code.code_id} {code.name}")
    request.device.config_changed()
    request.complete()


HANDLERS: Handlers = {
    RequestKeypadCodes: _request_codes,
    AddKeypadCode: _add,
    UpdateKeypadCode: _update,
    RemoveKeypadCode: _remove,
}
"""The owner's requests about codes."""
