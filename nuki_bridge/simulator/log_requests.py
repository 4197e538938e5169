"""The owner's requests about the log (smartlock.md 11)."""

from __future__ import annotations

from nuki_bridge.protocol.codes import LogType
from nuki_bridge.protocol.log_entries import EnableLogging, LogEntryCount, RequestLogEntries
from nuki_bridge.simulator.client_request import ClientRequest, Handlers
from nuki_bridge.simulator.log import padded


def _enable_logging(request: ClientRequest, message: EnableLogging) -> None:
    """Switch the log on or off, and write that into it, too; the entries stay."""
    device = request.device
    if message.enabled != device.log.enabled:
        device.log.enabled = True
        device.write_log(LogType.LOGGING, message.enabled, by=request.authorization)
        device.log.enabled = message.enabled
        device.on_memory_changed()
    request.note("logging", "on" if message.enabled else "off")
    request.complete()


def _request_log(request: ClientRequest, message: RequestLogEntries) -> None:
    device = request.device
    entries = device.log.select(message.start, descending=message.descending)
    request.note("log_read", str(min(len(entries), message.count)))
    has_sensor, is_kept = device.door_sensor()
    if message.total_count:
        request.reply(
            LogEntryCount(
                logging_enabled=device.log.enabled,
                count=min(len(entries), 0xFFFF),
                door_sensor_enabled=has_sensor,
                door_sensor_logging_enabled=is_kept,
            ),
            size=device.behaviour.log_count_size,
        )
    for entry in entries[: message.count]:
        request.reply(padded(entry, device.family) if device.behaviour.log_data_padded else entry)
    request.end_list()


HANDLERS: Handlers = {
    EnableLogging: _enable_logging,
    RequestLogEntries: _request_log,
}
"""The owner's requests about the log."""
