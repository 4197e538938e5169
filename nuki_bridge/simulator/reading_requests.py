"""The requests that only read: states, challenge, battery, last command (smartlock.md 11).

They are the same for every device; `lock_reading` has those that only a Smart Lock knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nuki_bridge.protocol.codes import Command, ErrorCode
from nuki_bridge.protocol.field_kinds import NONCE_SIZE
from nuki_bridge.protocol.messages import (
    BatteryReport,
    Challenge,
    MostRecentCommand,
    RequestData,
)
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest, Handlers


def _send_states(request: ClientRequest) -> None:
    device = request.device
    request.reply(request.motion.states(), size=device.behaviour.states_size_of(device.family))
    device.states_read(request.authorization)


def _send_challenge(request: ClientRequest) -> None:
    """Send a new challenge, which replaces the last one of the same authorization."""
    authorization = request.authorization
    authorization.challenge = request.device.random(NONCE_SIZE)
    authorization.challenge_link = request.connection_id
    authorization.challenge_time = request.device.transport.now()
    request.reply(Challenge(nonce=authorization.challenge))


def _send_battery_report(request: ClientRequest) -> None:
    device = request.device
    voltage_mv = 4000 + 20 * device.battery_percent
    request.reply(
        BatteryReport(
            drain_mws=4200,
            voltage_mv=voltage_mv,
            critical=device.battery_critical,
            last_action=request.motion.last_action,
            start_voltage_mv=voltage_mv,
            lowest_voltage_mv=voltage_mv - 350,
            lock_distance_deg=380,
            start_temperature_c=21,
            max_turn_current_ma=310,
            resistance_mohm=650,
        )
    )


Send = Callable[[Any], None]
"""Answers a request for one kind of data."""
DATA: Mapping[int, Send] = {
    Command.KEYTURNER_STATES: _send_states,
    Command.CHALLENGE: _send_challenge,
    Command.BATTERY_REPORT: _send_battery_report,
    Command.MOST_RECENT_COMMAND: lambda request: request.reply(
        MostRecentCommand(last_command=request.device.last_command)
    ),
}
"""What every device can be asked for, by the command of the answer."""


def handlers(data: Mapping[int, Send]) -> Handlers:
    """Return the request for data, for a device that can be asked for `data`."""

    def request_data(request: ClientRequest, message: RequestData) -> None:
        send = data.get(message.wanted)
        if send is None:
            raise Refused(ErrorCode.BAD_PARAMETER)
        send(request)

    return {RequestData: request_data}
