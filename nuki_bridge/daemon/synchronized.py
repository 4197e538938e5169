"""Whether this computer's clock is right: a Raspberry Pi has none that outlives a power cut, until it is set over NTP.

systemd-timesyncd leaves a file when it has set the clock.  Of any other NTP client systemd's timedated tells over D-Bus
whether the kernel counts the clock as synchronized; the service may not ask the kernel itself (`ProtectClock=`).
Whatever cannot be found out counts as no.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final

log = logging.getLogger(__name__)

TIMESYNCD_FILE: Final = "/run/systemd/timesync/synchronized"
"""What systemd-timesyncd leaves behind once it has set the clock since the computer was started."""
TIMEDATED: Final = "org.freedesktop.timedate1"
"""The name of systemd-timedated on D-Bus, and of its interface."""
D_BUS_S: Final = 5.0
"""Longest wait in seconds for its answer; it is started for the question."""


async def ask_timedated() -> bool:
    """Return what systemd-timedated says; raises anything that D-Bus does."""
    from dbus_fast import BusType, Message, MessageType
    from dbus_fast.aio import MessageBus

    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        await bus.connect()
        question = Message(
            destination=TIMEDATED,
            path="/org/freedesktop/timedate1",
            interface="org.freedesktop.DBus.Properties",
            member="Get",
            signature="ss",
            body=[TIMEDATED, "NTPSynchronized"],
        )
        answer = await bus.call(question)
    finally:
        bus.disconnect()
    return answer is not None and answer.message_type is MessageType.METHOD_RETURN and answer.body[0].value is True


async def is_synchronized(
    was_set: Callable[[], bool] = lambda: os.path.exists(TIMESYNCD_FILE),
    timedated: Callable[[], Awaitable[bool]] = ask_timedated,
) -> bool:
    """Return whether this computer's clock has been set by a time server, as far as that can be found out."""
    if was_set():
        return True
    try:
        async with asyncio.timeout(D_BUS_S):
            return await timedated()
    except Exception as error:
        # whatever D-Bus or its absence brings: the clock is not known to be right, and nothing else comes of it
        log.debug("systemd-timedated cannot be asked: %s", error)
        return False
