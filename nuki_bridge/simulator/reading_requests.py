"""The requests that only read: states, challenge, battery, Config (smartlock.md 11).

States, Config and the summary of openings and closings are those of a Smart Lock.
"""

from __future__ import annotations

from collections.abc import Callable

from nuki_bridge.protocol.codes import Command, ErrorCode
from nuki_bridge.protocol.messages import (
    BatteryReport,
    Challenge,
    Config,
    MostRecentCommand,
    OpeningsClosingsSummary,
    RequestConfig,
    RequestData,
)
from nuki_bridge.protocol.wire import NONCE_SIZE
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers
from nuki_bridge.simulator.states import keyturner_states


def _send_states(request: ClientRequest) -> None:
    device = request.device
    request.reply(keyturner_states(device, request.motion.motor), size=device.behaviour.states_size_of(device.family))
    device.states_read(request.authorization)


def _send_challenge(request: ClientRequest) -> None:
    """Send a new challenge, which replaces the last one of the same authorization."""
    authorization = request.authorization
    authorization.challenge = request.device.random(NONCE_SIZE)
    authorization.challenge_link = request.connection_id
    request.reply(Challenge(nonce=authorization.challenge))


def _send_battery_report(request: ClientRequest) -> None:
    device = request.device
    voltage_mv = 4000 + 20 * device.battery_percent
    request.reply(
        BatteryReport(
            drain_mws=4200,
            voltage_mv=voltage_mv,
            critical=device.battery_critical,
            last_action=request.motion.motor.last_action,
            start_voltage_mv=voltage_mv,
            lowest_voltage_mv=voltage_mv - 350,
            lock_distance_deg=380,
            start_temperature_c=21,
            max_turn_current_ma=310,
            resistance_mohm=650,
        )
    )


def _send_summary(request: ClientRequest) -> None:
    motor = request.motion.motor
    opened, closed = motor.openings & 0xFFFF, motor.closings & 0xFFFF
    request.reply(
        OpeningsClosingsSummary(
            openings_total=opened, closings_total=closed, openings_since_boot=opened, closings_since_boot=closed
        )
    )


_DATA: dict[int, Callable[[ClientRequest], None]] = {
    Command.KEYTURNER_STATES: _send_states,
    Command.CHALLENGE: _send_challenge,
    Command.BATTERY_REPORT: _send_battery_report,
    Command.MOST_RECENT_COMMAND: lambda request: request.reply(
        MostRecentCommand(last_command=request.device.last_command)
    ),
    Command.OPENINGS_CLOSINGS_SUMMARY: _send_summary,
}


def _request_data(request: ClientRequest, message: RequestData) -> None:
    send = _DATA.get(message.wanted)
    if send is None:
        raise Refused(ErrorCode.BAD_PARAMETER)
    send(request)


def _request_config(request: ClientRequest, message: RequestConfig) -> None:
    device = request.device
    settings = device.settings
    fields = {name: getattr(settings, name) for name in settings.__slots__}
    fields["timezone_offset_min"] = device.told_offset_min
    config = Config(nuki_id=device.nuki_id, current_time=device.now(), **fields)
    request.reply(config, size=device.behaviour.config_size_of(device.family))


HANDLERS: Handlers = {
    RequestData: _request_data,
    RequestConfig: _request_config,
}
"""The requests that only read."""
