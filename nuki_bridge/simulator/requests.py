"""What a virtual lock does with a decrypted request: checks in the lock's order, then one function per command.

Order of the checks: known command, exact size, enabled, challenge, security PIN; then the command's own.  What the
owner alone may do, with the security PIN, is in `owner.py`, `advanced_config.py`, `keypad.py` and `time_control.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.advanced_config import SetAdvancedConfig
from nuki_bridge.protocol.codes import (
    Action,
    Command,
    Completion,
    ErrorCode,
    Family,
    NukiState,
    StatusCode,
    Trigger,
    name_of,
)
from nuki_bridge.protocol.messages import (
    NONCE_SIZE,
    BatteryReport,
    Challenge,
    Config,
    KeyturnerStates,
    LockAction,
    MostRecentCommand,
    OpeningsClosingsSummary,
    RequestAuthorizationEntries,
    RequestConfig,
    RequestData,
    SimpleLockAction,
    Status,
)
from nuki_bridge.protocol.wire import Message, decode
from nuki_bridge.simulator import advanced_config, keypad, owner, time_control
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.motor import MOTOR_ACTIONS

if TYPE_CHECKING:
    from nuki_bridge.simulator.lock import Exchange, VirtualLock

ACCEPTED = Status(status=StatusCode.ACCEPTED)

ERRORS_BY_COMPLETION = {Completion.MOTOR_BLOCKED: ErrorCode.MOTOR_BLOCKED, Completion.CANCELED: ErrorCode.CANCELED}
"""How an action that failed is reported to whoever asked for it."""


def handle(exchange: Exchange, payload: bytes) -> None:
    """Check and carry out one request; raises `Refused`."""
    entry = _HANDLERS.get(exchange.command)
    lock, authorization = exchange.lock, exchange.authorization
    if entry is None or not advanced_config.known(lock, exchange.command):
        raise Refused(ErrorCode.UNKNOWN)
    kind, handler = entry
    sizes = {advanced_config.set_size(lock)} if kind is SetAdvancedConfig else request_sizes(kind, lock.family)
    if len(payload) not in sizes:
        raise Refused(ErrorCode.BAD_LENGTH)
    try:
        request: Any = decode(exchange.command, payload, lock.family)
    except BadFrame:
        raise Refused(ErrorCode.BAD_LENGTH) from None
    if isinstance(request, LockAction | SimpleLockAction):
        suffix = f", for {request.name_suffix}" if request.name_suffix else ""
        exchange.suffix = request.name_suffix
        exchange.note("action_received", name_of(request.action) + suffix)
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
        timezone_offset_min=lock.told_offset_min,
        battery_state=battery,
        config_update_count=lock.config_update_count,
        lock_n_go_timer=motor.wait_left_s(),
        last_action=motor.last_action,
        last_trigger=motor.last_trigger,
        last_completion=motor.last_completion,
        door_state=lock.door,
        night_mode_active=lock.auto_lock_watch.is_night,
        accessory_battery_state=lock.accessory_battery_state,
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
    fields["timezone_offset_min"] = lock.told_offset_min
    config = Config(nuki_id=lock.nuki_id, current_time=lock.now(), **fields)
    exchange.reply(config, size=lock.behaviour.config_size_of(lock.family))


# -- section 11: actions ----------------------------------------------------------------------------------------------

_REFUSED_IN_LOG = {ErrorCode.TIME_NOT_ALLOWED: Completion.REJECTED, ErrorCode.BUSY: Completion.BUSY}


def _lock_action(exchange: Exchange, request: LockAction) -> None:
    _act(exchange, _resolve(exchange.lock, request.action), request.name_suffix, request.flags)


def _simple_lock_action(exchange: Exchange, request: SimpleLockAction) -> None:
    if request.action not in (Action.UNLOCK, Action.LOCK):
        raise Refused(ErrorCode.BAD_PARAMETER)
    _act(exchange, Action(request.action), request.name_suffix, 0)


def _act(exchange: Exchange, action: Action, suffix: str | None, flags: int) -> None:
    lock, who = exchange.lock, exchange.authorization
    try:
        if not who.may_act(lock.now(), lock.timezone_offset_min):
            raise Refused(ErrorCode.TIME_NOT_ALLOWED)
        lock.perform(exchange, action, suffix, flags)
    except Refused as refusal:
        completion = _REFUSED_IN_LOG.get(refusal.error)
        if completion is not None and lock.behaviour.logs_refusals:
            lock.log_action(action, Trigger.SYSTEM, completion, by=who, suffix=suffix, flags=flags)
        raise


def _resolve(lock: VirtualLock, action: int) -> Action:
    """What a fob's presses mean is set in the configuration."""
    settings = lock.settings
    presses = {
        Action.FOB_ACTION_1: settings.fob_action_1,
        Action.FOB_ACTION_2: settings.fob_action_2,
        Action.FOB_ACTION_3: settings.fob_action_3,
    }
    if action in presses:
        press = lock.fob_action(presses[Action(action)])
        if press is not None:
            return press
    elif action in MOTOR_ACTIONS:
        return Action(action)
    raise Refused(ErrorCode.BAD_PARAMETER)


_READING_AND_ACTING: tuple[tuple[type[Message], Callable[..., Any]], ...] = (
    (RequestData, _request_data),
    (RequestConfig, _request_config),
    (LockAction, _lock_action),
    (SimpleLockAction, _simple_lock_action),
)
_ALL = (
    *_READING_AND_ACTING,
    *owner.HANDLERS,
    *advanced_config.HANDLERS,
    *keypad.HANDLERS,
    *time_control.HANDLERS,
)
_HANDLERS = {kind.command: (kind, handler) for kind, handler in _ALL}
