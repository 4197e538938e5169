"""Why a broker refused or ended a connection, for people; and the reason codes of MQTT 5 that mean something here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # paho costs 4 MiB and is loaded by the first connection
    from paho.mqtt.client import DisconnectFlags
    from paho.mqtt.reasoncodes import ReasonCode

UNSUPPORTED_VERSION = 0x84
KEEPALIVE_TIMEOUT = 0x8D
PACKET_TOO_LARGE = 0x95
_BAD_CREDENTIALS = 0x86
_NOT_AUTHORIZED = 0x87


def refusal_text(reason: ReasonCode, where: str, *, has_name: bool) -> str:
    """Return why the broker at `where` refused a connection; `has_name`: we gave it a user name."""
    if reason.value not in (_BAD_CREDENTIALS, _NOT_AUTHORIZED):
        return f"the broker at {where} refused the connection: {reason.getName()}"
    if not has_name:
        return f"the broker at {where} wants a user name and password"
    return f"the broker at {where} refused user name or password"


def end_text(flags: DisconnectFlags, reason: ReasonCode, where: str, *, answered: bool, trouble: str) -> str:
    """Return why a connection to the broker at `where` is over.

    `answered`: the broker had accepted it before; `trouble` is what paho complained of last about the socket.
    """
    if flags.is_disconnect_packet_from_server:
        return f"the broker at {where} ended the connection: {reason.getName()}"
    if reason.value == KEEPALIVE_TIMEOUT:
        return f"the broker at {where} stopped answering"
    if answered:
        return f"the broker at {where} closed the connection"
    why = trouble.rpartition("socket: ")[2]
    return f"the broker at {where} closed the connection without an answer{why and f' ({why})'}"
