"""What a virtual lock does with a decrypted request: checks in the lock's order, then one function per command.

Order of the checks: known command, exact size, enabled, challenge, security PIN; then the command's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import (
    Action,
    Command,
    Completion,
    ErrorCode,
    Family,
    IdType,
    LockState,
    NukiState,
    StatusCode,
    name_of,
)
from nuki_bridge.protocol.messages import (
    NONCE_SIZE,
    AuthorizationDataInvite,
    AuthorizationEntry,
    AuthorizationEntryCount,
    AuthorizationIdInvite,
    BatteryReport,
    Challenge,
    Config,
    KeyturnerStates,
    LockAction,
    MostRecentCommand,
    OpeningsClosingsSummary,
    RemoveAuthorizationEntry,
    RequestAuthorizationEntries,
    RequestConfig,
    RequestData,
    SimpleLockAction,
    Status,
    UpdateAuthorizationEntry,
    VerifySecurityPin,
)
from nuki_bridge.protocol.wire import Message, decode
from nuki_bridge.simulator.authorizations import Authorization
from nuki_bridge.simulator.behaviour import Refused

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange, VirtualLock

ACCEPTED = Status(status=StatusCode.ACCEPTED)
COMPLETE = Status(status=StatusCode.COMPLETE)

ERRORS_BY_COMPLETION = {Completion.MOTOR_BLOCKED: ErrorCode.MOTOR_BLOCKED, Completion.CANCELED: ErrorCode.CANCELED}
"""How an action that failed is reported to whoever asked for it."""


def handle(exchange: Exchange, payload: bytes) -> None:
    """Check and carry out one request; raises `Refused`."""
    entry = _HANDLERS.get(exchange.command)
    if entry is None:
        raise Refused(ErrorCode.UNKNOWN)
    kind, handler = entry
    lock, authorization = exchange.lock, exchange.authorization
    if len(payload) not in request_sizes(kind, lock.family):
        raise Refused(ErrorCode.BAD_LENGTH)
    try:
        request: Any = decode(exchange.command, payload, lock.family)
    except BadFrame:
        raise Refused(ErrorCode.BAD_LENGTH) from None
    if isinstance(request, LockAction | SimpleLockAction):
        suffix = f", for {request.name_suffix}" if request.name_suffix else ""
        lock.note("action_received", authorization, command=exchange.command, detail=name_of(request.action) + suffix)
    if not authorization.enabled:
        raise Refused(ErrorCode.DISABLED)
    if hasattr(request, "nonce"):
        authorization.take_challenge(request.nonce)
    if hasattr(request, "security_pin"):
        lock.check_pin(request.security_pin)
    handler(exchange, request)


def request_sizes(kind: type[Message], family: Family) -> set[int]:
    """Payload sizes a lock accepts: exactly the required fields, or with all optional ones."""
    required = sum(kind.size(family) for _, kind, optional in kind.layout if not optional)
    every = sum(kind.size(family) for _, kind, _ in kind.layout)
    if kind is RequestAuthorizationEntries and family is not Family.ULTRA:
        return {required}
    return {required, every}


# -- section 11: reading ----------------------------------------------------------------------------------------------


def keyturner_states(lock: VirtualLock) -> KeyturnerStates:
    """All the lock can say; its firmware may cut the end off."""
    motor = lock.motor
    battery = int(lock.battery_critical)
    if lock.behaviour.states_size_of(lock.family) > 20:
        battery |= lock.battery_charging << 1 | lock.battery_percent // 2 << 2
    modern = lock.family is Family.ULTRA
    return KeyturnerStates(
        nuki_state=NukiState.PAIRING_MODE if lock.pairing_mode else NukiState.DOOR_MODE,
        lock_state=motor.state,
        trigger=motor.trigger,
        current_time=lock.now(),
        timezone_offset_min=lock.settings.timezone_offset_min,
        battery_state=battery,
        config_update_count=lock.config_update_count,
        lock_n_go_timer=motor.wait_left_s(),
        last_action=motor.last_action,
        last_trigger=motor.last_trigger,
        last_completion=motor.last_completion,
        door_state=lock.door,
        night_mode_active=False,
        accessory_battery_state=0,
        remote_access_status=0,
        ble_rssi=0,
        wifi_rssi=-47 if modern else 0,
        wifi_status=0xEF if modern else 0,
        mqtt_status=0,
        thread_status=0,
    )


def _send_states(exchange: Exchange) -> None:
    lock = exchange.lock
    exchange.reply(keyturner_states(lock), size=lock.behaviour.states_size_of(lock.family))
    lock.states_read(exchange.authorization)


def _send_challenge(exchange: Exchange) -> None:
    """One challenge per authorization: a new one replaces the last."""
    authorization = exchange.authorization
    authorization.challenge = exchange.lock.random(NONCE_SIZE)
    authorization.challenge_link = exchange.connection_id
    exchange.reply(Challenge(nonce=authorization.challenge))


def _send_battery_report(exchange: Exchange) -> None:
    lock = exchange.lock
    voltage_mv = 4000 + 20 * lock.battery_percent
    exchange.reply(
        BatteryReport(
            drain_mws=4200,
            voltage_mv=voltage_mv,
            critical=lock.battery_critical,
            last_action=lock.motor.last_action,
            start_voltage_mv=voltage_mv,
            lowest_voltage_mv=voltage_mv - 350,
            lock_distance_deg=380,
            start_temperature_c=21,
            max_turn_current_ma=310,
            resistance_mohm=650,
        )
    )


def _send_summary(exchange: Exchange) -> None:
    motor = exchange.lock.motor
    opened, closed = motor.openings & 0xFFFF, motor.closings & 0xFFFF
    exchange.reply(
        OpeningsClosingsSummary(
            openings_total=opened, closings_total=closed, openings_since_boot=opened, closings_since_boot=closed
        )
    )


_DATA: dict[int, Callable[[Exchange], None]] = {
    Command.KEYTURNER_STATES: _send_states,
    Command.CHALLENGE: _send_challenge,
    Command.BATTERY_REPORT: _send_battery_report,
    Command.MOST_RECENT_COMMAND: lambda exchange: exchange.reply(
        MostRecentCommand(last_command=exchange.lock.last_command)
    ),
    Command.OPENINGS_CLOSINGS_SUMMARY: _send_summary,
}


def _request_data(exchange: Exchange, request: RequestData) -> None:
    send = _DATA.get(request.wanted)
    if send is None:
        raise Refused(ErrorCode.BAD_PARAMETER)
    send(exchange)


def _request_config(exchange: Exchange, request: RequestConfig) -> None:
    lock = exchange.lock
    settings = lock.settings
    fields = {name: getattr(settings, name) for name in settings.__slots__}
    config = Config(nuki_id=lock.nuki_id, current_time=lock.now(), **fields)
    exchange.reply(config, size=lock.behaviour.config_size_of(lock.family))


# -- section 11: actions ----------------------------------------------------------------------------------------------

_MOTOR_ACTIONS = {
    Action.UNLOCK,
    Action.LOCK,
    Action.UNLATCH,
    Action.LOCK_N_GO,
    Action.LOCK_N_GO_UNLATCH,
    Action.FULL_LOCK,
}
_FOB_ACTIONS = {1: Action.UNLOCK, 2: Action.LOCK, 3: Action.LOCK_N_GO}


def _lock_action(exchange: Exchange, request: LockAction) -> None:
    _act(exchange, _resolve(exchange.lock, request.action))


def _simple_lock_action(exchange: Exchange, request: SimpleLockAction) -> None:
    if request.action not in (Action.UNLOCK, Action.LOCK):
        raise Refused(ErrorCode.BAD_PARAMETER)
    _act(exchange, Action(request.action))


def _act(exchange: Exchange, action: Action) -> None:
    exchange.authorization.check_time(exchange.lock.now(), exchange.lock.settings.timezone_offset_min)
    exchange.lock.perform(exchange, action)


def _resolve(lock: VirtualLock, action: int) -> Action:
    """What a fob's presses mean is set in the configuration: 4 turns the other way, 0 is nothing."""
    settings = lock.settings
    presses = {
        Action.FOB_ACTION_1: settings.fob_action_1,
        Action.FOB_ACTION_2: settings.fob_action_2,
        Action.FOB_ACTION_3: settings.fob_action_3,
    }
    if action in presses:
        press = presses[Action(action)]
        if press == 4:
            return Action.UNLOCK if lock.motor.state is LockState.LOCKED else Action.LOCK
        if press in _FOB_ACTIONS:
            return _FOB_ACTIONS[press]
    elif action in _MOTOR_ACTIONS:
        return Action(action)
    raise Refused(ErrorCode.BAD_PARAMETER)


# -- section 11: authorizations ---------------------------------------------------------------------------------------


def _verify_pin(exchange: Exchange, request: VerifySecurityPin) -> None:
    exchange.reply(COMPLETE)


def _request_entries(exchange: Exchange, request: RequestAuthorizationEntries) -> None:
    """The asker first, then the others by ID."""
    asker = exchange.authorization
    entries = sorted(exchange.lock.authorizations, key=lambda e: (e is not asker, e.authorization_id))
    if request.id_type is not None:
        entries = [e for e in entries if e.id_type == request.id_type]
    entries = entries[request.offset : request.offset + request.count]
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
                limit=entry.limit,
            )
        )
    exchange.reply(COMPLETE)


def _remove_entry(exchange: Exchange, request: RemoveAuthorizationEntry) -> None:
    entry = exchange.lock.authorizations.remove(request.authorization_id)
    exchange.lock.note("removed", entry, detail=_by(exchange))
    exchange.lock.config_changed()
    exchange.reply(COMPLETE)


def _invite(exchange: Exchange, request: AuthorizationDataInvite) -> None:
    if request.id_type not in (IdType.APP, IdType.BRIDGE, IdType.FOB, IdType.KEYPAD):
        raise Refused(ErrorCode.BAD_PARAMETER)
    lock = exchange.lock
    entry = lock.add_user(request.shared_key, request.id_type, 0, request.name, full=ErrorCode.TOO_MANY_ENTRIES)
    entry.remote_allowed = request.remote_allowed
    entry.limit = request.limit if request.time_limited else None
    lock.note("invited", entry, detail=_by(exchange))
    lock.config_changed()
    exchange.reply(AuthorizationIdInvite(authorization_id=entry.authorization_id, created=entry.created))


def _update_entry(exchange: Exchange, request: UpdateAuthorizationEntry) -> None:
    lock = exchange.lock
    entry = lock.authorizations.get(request.authorization_id)
    if entry is None:
        raise Refused(ErrorCode.INVALID_AUTH_ID)
    entry.name = request.name
    entry.enabled = request.enabled
    entry.remote_allowed = request.remote_allowed
    entry.limit = request.limit if request.time_limited else None
    lock.note("updated", entry, detail=_by(exchange))
    lock.config_changed()
    exchange.reply(COMPLETE)


def _by(exchange: Exchange) -> str:
    by: Authorization = exchange.authorization
    return f"by {by.authorization_id}"


_Handler = Callable[["Exchange", Any], None]
_HANDLERS: dict[int, tuple[type[Message], _Handler]] = {
    kind.command: (kind, cast(_Handler, handler))
    for kind, handler in (
        (RequestData, _request_data),
        (RequestConfig, _request_config),
        (LockAction, _lock_action),
        (SimpleLockAction, _simple_lock_action),
        (VerifySecurityPin, _verify_pin),
        (RequestAuthorizationEntries, _request_entries),
        (RemoveAuthorizationEntry, _remove_entry),
        (AuthorizationDataInvite, _invite),
        (UpdateAuthorizationEntry, _update_entry),
    )
}
