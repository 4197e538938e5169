"""What an MQTT connection takes and gives: messages and subscriptions; data and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from nuki_bridge.records import frozen


def is_topic_name(topic: str) -> bool:
    """Return whether one can publish to `topic`: 1 to 65535 bytes, no wildcard, no NUL."""
    return 0 < len(topic.encode(errors="replace")) <= 0xFFFF and not set("+#\0") & set(topic)


@frozen
class Incoming:
    """One received PUBLISH.

    `received_at` is on the clock given to `mqtt.Client`: now, or, when the event loop had stood still (suspend,
    SIGSTOP, swap) or the network had, the moment at which all was well last, because the message may have been
    published at any time since.  `retain`: the broker kept the message; with MQTT 5 also, its publisher asked for that.
    `again`: the broker says that it may have delivered this message before (DUP), and it may be of any age.
    """

    topic: str
    payload: bytes
    retain: bool
    received_at: float
    response_topic: str | None = None
    correlation_data: bytes | None = None
    message_expiry_s: int | None = None
    again: bool = False


@frozen
class Subscription:
    """A topic filter; `no_local` (MQTT 5 only) leaves out what this client published itself.

    Without `stored` (MQTT 5 only) what the broker has retained already is not delivered.
    """

    topic: str
    no_local: bool = False
    qos: int = 1
    stored: bool = True


@frozen
class Outgoing:
    """One PUBLISH to send; `properties` by paho's names, MQTT 5 only.

    Until `keep_until`, on the clock given to `mqtt.Client`, it is sent again on the next connection if this one ends
    before the broker has acknowledged it.
    """

    topic: str
    payload: bytes = field(repr=False)
    retain: bool
    qos: int
    properties: Mapping[str, Any]
    keep_until: float
