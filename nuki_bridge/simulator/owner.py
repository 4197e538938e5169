"""What a virtual lock does for whoever knows the security PIN: users, settings, log, clock (smartlock.md 11).

The checks that are common to all requests have been made in `requests.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.protocol.codes import DoorState, ErrorCode, Family, IdType, LogType, StatusCode
from nuki_bridge.protocol.messages import (
    AuthorizationDataInvite,
    AuthorizationEntry,
    AuthorizationEntryCount,
    AuthorizationIdInvite,
    EnableLogging,
    LogEntryCount,
    RemoveAuthorizationEntry,
    RequestAuthorizationEntries,
    RequestCalibration,
    RequestLogEntries,
    RequestReboot,
    SetConfig,
    SetSecurityPin,
    Status,
    UpdateAuthorizationEntry,
    UpdateTime,
    VerifySecurityPin,
)
from nuki_bridge.protocol.wire import Message, TimeLimit, time_limit
from nuki_bridge.simulator import timezones
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.log import padded

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange, VirtualLock

COMPLETE = Status(status=StatusCode.COMPLETE)


def note(exchange: Exchange, what: str, detail: str | None = None) -> None:
    """Write a line of the audit trail for whoever asks."""
    exchange.lock.note(what, exchange.authorization, command=exchange.command, detail=detail)


def end_list(exchange: Exchange) -> None:
    """Say that the list is over, unless this firmware does not."""
    if not exchange.lock.behaviour.list_end_missing:
        exchange.reply(COMPLETE)


def idle(lock: VirtualLock, limit: TimeLimit | None) -> TimeLimit | None:
    """A limit that does not count, if it is told: because there is something in it, or by all firmware of this kind."""
    if limit is not None and any(time_limit.pack(limit, Family.CLASSIC)):
        return limit
    return TimeLimit() if lock.behaviour.entry_tail_always else None


# -- authorizations ---------------------------------------------------------------------------------------------------


def _request_entries(exchange: Exchange, request: RequestAuthorizationEntries) -> None:
    """The asker first, then the others by ID; offset and count are places in this order."""
    asker, lock = exchange.authorization, exchange.lock
    entries = sorted(lock.authorizations, key=lambda e: (e is not asker, e.authorization_id))
    if request.id_type is not None:
        entries = [e for e in entries if e.id_type == request.id_type]
    entries = entries[request.offset : request.offset + request.count]
    note(exchange, "entries_read", str(len(entries)))
    if lock.behaviour.tells_entry_count:
        exchange.reply(AuthorizationEntryCount(count=len(entries)))
    for entry in entries:
        exchange.reply(
            AuthorizationEntry(
                authorization_id=entry.authorization_id,
                id_type=entry.id_type,
                name=entry.name,
                enabled=entry.enabled,
                remote_allowed=entry.remote_allowed,
                created=entry.created,
                last_active=entry.last_active,
                lock_count=entry.lock_count,
                time_limited=entry.limit is not None,
                limit=entry.limit or idle(lock, entry.idle_limit),
            )
        )
    end_list(exchange)


def _remove_entry(exchange: Exchange, request: RemoveAuthorizationEntry) -> None:
    entry = exchange.lock.authorizations.remove(request.authorization_id)
    note(exchange, "removed", entry.label)
    exchange.lock.users_changed()
    exchange.reply(COMPLETE)


def _invite(exchange: Exchange, request: AuthorizationDataInvite) -> None:
    if request.id_type not in (IdType.APP, IdType.BRIDGE, IdType.FOB, IdType.KEYPAD):
        raise Refused(ErrorCode.BAD_PARAMETER)
    lock = exchange.lock
    entry = lock.add_user(request.shared_key, request.id_type, 0, request.name, full=ErrorCode.TOO_MANY_ENTRIES)
    entry.remote_allowed = request.remote_allowed
    entry.set_limit(request.limit, request.time_limited)
    note(exchange, "invited", entry.label)
    lock.users_changed()
    exchange.reply(AuthorizationIdInvite(authorization_id=entry.authorization_id, created=entry.created))


def _update_entry(exchange: Exchange, request: UpdateAuthorizationEntry) -> None:
    """All of it is written, also what has not changed."""
    entry = exchange.lock.authorizations.get(request.authorization_id)
    if entry is None:
        raise Refused(ErrorCode.INVALID_AUTH_ID)
    entry.name = request.name
    entry.enabled = request.enabled
    entry.remote_allowed = request.remote_allowed
    entry.set_limit(request.limit, request.time_limited)
    note(exchange, "updated", f"{entry.label}, {'enabled' if entry.enabled else 'disabled'}")
    exchange.lock.users_changed()
    exchange.reply(COMPLETE)


# -- settings ---------------------------------------------------------------------------------------------------------

_RANGES = {
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "led_brightness": (0, 5),
    "timezone_offset_min": (-12 * 60, 14 * 60),
    "dst_mode": (0, 1),
    "fob_action_1": (0, 4),
    "fob_action_2": (0, 4),
    "fob_action_3": (0, 4),
    "advertising_mode": (0, 3),
}


def _set_config(exchange: Exchange, request: SetConfig) -> None:
    """Written as a whole; the config update count rises only if something is different then.

    Without a timezone ID the offset is the one that Config tells, with daylight saving in it, so that writing what was
    read changes nothing; beside one it does not count.
    """
    lock = exchange.lock
    settings = lock.settings
    values = {name: getattr(request, name) for name, _, _ in SetConfig.layout if name not in ("nonce", "security_pin")}
    in_range = all(low <= values[name] <= high for name, (low, high) in _RANGES.items())
    if not in_range or not timezones.known(request.timezone_id):
        raise Refused(ErrorCode.BAD_PARAMETER)
    if request.timezone_id == timezones.NONE:
        values["timezone_offset_min"] -= timezones.daylight_min(request.dst_mode, lock.now())
    else:
        del values["timezone_offset_min"]
    kinds = {name: kind for name, kind, _ in SetConfig.layout}
    changed = [
        name
        for name, value in values.items()
        if kinds[name].pack(value, lock.family) != kinds[name].pack(getattr(settings, name), lock.family)
    ]
    for name in changed:
        setattr(settings, name, values[name])
    if not settings.pairing_enabled:
        lock.leave_pairing_mode()
    note(exchange, "config_set", ", ".join(changed) or "nothing new")
    if changed:
        lock.config_changed()
        lock.auto_lock_watch.clock_changed()  # it may have moved into another time zone
    exchange.reply(COMPLETE)


def _verify_pin(exchange: Exchange, request: VerifySecurityPin) -> None:
    note(exchange, "pin_verified")
    exchange.reply(COMPLETE)


def _set_pin(exchange: Exchange, request: SetSecurityPin) -> None:
    """As many decimal digits as the family's PIN has at most."""
    lock = exchange.lock
    if request.new_pin >= (1_000_000 if lock.family.pin_size == 4 else 10_000):
        raise Refused(ErrorCode.BAD_PARAMETER)
    lock.pin_guard.change(request.new_pin)
    note(exchange, "pin_set")
    lock.on_memory_changed()
    exchange.reply(COMPLETE)


def _update_time(exchange: Exchange, request: UpdateTime) -> None:
    lock = exchange.lock
    try:
        lock.set_clock(request.time)
    except (ValueError, AttributeError):
        raise Refused(ErrorCode.BAD_PARAMETER) from None
    note(exchange, "clock_set", lock.now().isoformat())
    exchange.reply(COMPLETE)


def _calibrate(exchange: Exchange, request: RequestCalibration) -> None:
    """Answered as a lock action is: accepted, states, complete."""
    exchange.lock.calibrate(exchange)


def _reboot(exchange: Exchange, request: RequestReboot) -> None:
    """Answered first, then every link drops."""
    lock = exchange.lock
    if lock.busy:
        raise Refused(ErrorCode.BUSY)
    note(exchange, "reboot")
    exchange.reply(COMPLETE)
    lock.reboot()


# -- the log ----------------------------------------------------------------------------------------------------------


def _enable_logging(exchange: Exchange, request: EnableLogging) -> None:
    """Both turns of the switch are themselves in the log; what it holds stays."""
    lock = exchange.lock
    if request.enabled != lock.log.enabled:
        lock.log.enabled = True
        lock.write_log(LogType.LOGGING, request.enabled, by=exchange.authorization)
        lock.log.enabled = request.enabled
        lock.on_memory_changed()
    note(exchange, "logging", "on" if request.enabled else "off")
    exchange.reply(COMPLETE)


def _request_log(exchange: Exchange, request: RequestLogEntries) -> None:
    lock = exchange.lock
    entries = lock.log.select(request.start, descending=request.descending)
    note(exchange, "log_read", str(min(len(entries), request.count)))
    if request.total_count:
        exchange.reply(
            LogEntryCount(
                logging_enabled=lock.log.enabled,
                count=min(len(entries), 0xFFFF),
                door_sensor_enabled=lock.door not in (DoorState.UNAVAILABLE, DoorState.DEACTIVATED),
                door_sensor_logging_enabled=lock.door_logging,
            ),
            size=lock.behaviour.log_count_size,
        )
    for entry in entries[: request.count]:
        exchange.reply(padded(entry) if lock.behaviour.log_data_padded else entry)
    end_list(exchange)


HANDLERS: tuple[tuple[type[Message], Callable[..., Any]], ...] = (
    (VerifySecurityPin, _verify_pin),
    (SetSecurityPin, _set_pin),
    (RequestAuthorizationEntries, _request_entries),
    (RemoveAuthorizationEntry, _remove_entry),
    (AuthorizationDataInvite, _invite),
    (UpdateAuthorizationEntry, _update_entry),
    (SetConfig, _set_config),
    (UpdateTime, _update_time),
    (RequestCalibration, _calibrate),
    (RequestReboot, _reboot),
    (EnableLogging, _enable_logging),
    (RequestLogEntries, _request_log),
)
"""The requests that end with the PIN."""
