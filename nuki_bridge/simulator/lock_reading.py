"""The requests that only read and that only a Smart Lock knows: Config, and the summary of openings and closings."""

from __future__ import annotations

from nuki_bridge.protocol.codes import Command
from nuki_bridge.protocol.messages import Config, OpeningsClosingsSummary, RequestConfig
from nuki_bridge.simulator.client_request import Handlers, LockRequest
from nuki_bridge.simulator.reading_requests import DATA, handlers


def _send_summary(request: LockRequest) -> None:
    motor = request.motion.motor
    opened, closed = motor.openings & 0xFFFF, motor.closings & 0xFFFF
    request.reply(
        OpeningsClosingsSummary(
            openings_total=opened, closings_total=closed, openings_since_boot=opened, closings_since_boot=closed
        )
    )


def _request_config(request: LockRequest, message: RequestConfig) -> None:
    device = request.device
    values = device.settings.values() | {"timezone_offset_min": device.told_offset_min}
    config = Config(nuki_id=device.nuki_id, current_time=device.clock.told(), **values)
    request.reply(config, size=device.behaviour.config_size_of(device.family))


HANDLERS: Handlers = {
    **handlers({**DATA, Command.OPENINGS_CLOSINGS_SUMMARY: _send_summary}),
    RequestConfig: _request_config,
}
"""The requests of a Smart Lock that only read."""
