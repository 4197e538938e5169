"""`bridge/info`: which bridge this is, and which locks it has."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from nuki_bridge import __version__
from nuki_bridge.bridge import report
from nuki_bridge.bridge.adapter import Adapter
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.publisher import Publisher


def installation_id(app_id: int) -> str:
    """Return what tells this installation from another one on the same broker, without giving the app ID away."""
    return sha256(b"nuki-bridge installation %d" % app_id).hexdigest()[:16]


class Info:
    """Publishes `bridge/info`; `protocol` gives the MQTT version in use.

    `published` is called each time, because locks may have come or gone.
    """

    def __init__(
        self,
        members: Members,
        adapter: Adapter,
        publisher: Publisher,
        protocol: Callable[[], str | None],
        published: Callable[[], None],
    ) -> None:
        self._members = members
        self._adapter = adapter
        self._publisher = publisher
        self._protocol = protocol
        self._published = published

    def publish(self) -> None:
        """Publish `bridge/info` if it changed."""
        info = {
            "version": __version__,
            "adapter": self._adapter.describe(),
            "mqtt_version": self._protocol(),
            "locks": [summary(each) for each in self._members],
        }
        self._publisher.info(info, {each.paired.nuki_id for each in self._members if each.paired is not None})
        self._published()


def summary(member: Member) -> dict[str, Any]:
    """Return which lock it is, for people and programs that choose one."""
    identity = report.identity(member.paired) if member.paired is not None else {"address": member.address}
    return {"name": member.name, **identity, "connection": member.connection, "paired": member.paired is not None}
