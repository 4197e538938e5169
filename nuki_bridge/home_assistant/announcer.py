"""Home Assistant's discovery topics kept right: published, brought from one form into the other, cleared.

A device (a lock, or the bridge) is announced once all is known of it, again when something of it changed, when the
broker was away, and when Home Assistant says that it has started.  What this installation has published and nobody
needs any more is cleared: the topics of a lock that is gone, also one that went while the bridge was away, those of the
other form or of another prefix, and all of them if discovery is switched off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from nuki_bridge.config import DiscoverySettings
from nuki_bridge.errors import StoreError
from nuki_bridge.home_assistant import discovery
from nuki_bridge.home_assistant.announced import Announced
from nuki_bridge.home_assistant.discovery import LockFacts, Messages
from nuki_bridge.home_assistant.entry_entities import LISTS
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.topics.topics import Publication

log = logging.getLogger(__name__)

MIGRATE_S = 3.0
"""Seconds that Home Assistant may take to unload a device's entities; the other form must not come before."""
BIRTH_S = 1.0
"""Seconds from Home Assistant's start until everything is published again; several starts within it count as one."""
CONFIRM_S = 10.0
"""Seconds that a connection must last after a topic was cleared before it counts as cleared."""
RETRY_S = 5.0
"""Seconds before a message that the broker did not take is published again."""
STORE_RETRY_S = 60.0
"""Seconds before a message that could not be noted in the database is published again."""


class Announcer:
    """Discovery of all devices; `publish` tells whether the broker will get the message, `fits` whether it is small
    enough, as far as is known.

    `base` and `installation` as in `publisher.Publisher`.
    """

    def __init__(
        self,
        settings: DiscoverySettings,
        base: str,
        installation: str,
        announced: Announced,
        publish: Callable[[Publication], bool],
        fits: Callable[[Publication], bool] = lambda publication: True,
    ) -> None:
        self._settings = settings
        self._base = base
        self._installation = installation
        self._announced = announced
        self._publish = publish
        self._fits = fits
        self._facts: dict[str, LockFacts] = {}
        self._wanted: dict[str, Messages] = {}
        self._connected = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read what earlier runs have published and announce the bridge; raises `StoreError`."""
        self._announced.load()
        self._announce_bridge()

    def _announce_bridge(self) -> None:
        enabled = self._settings.enabled
        messages = discovery.bridge_messages(self._settings, self._base, self._installation) if enabled else {}
        self._want(discovery.bridge_id(self._installation), messages)

    def use(self, settings: DiscoverySettings, base: str) -> None:
        """Take other settings or another base topic: announce the bridge anew, and each lock at its next `lock`."""
        self._settings, self._base = settings, base
        self._facts.clear()
        self._announce_bridge()

    def connected(self) -> None:
        """Publish everything, the bridge first: the locks' devices refer to it."""
        self._connected = True
        for device, facts in self._facts.items():
            self._wanted[device] = self._lock_messages(facts)
        for device in list(self._wanted):
            self._bring(device)

    def too_large(self, topic: str) -> None:
        """Publish in smaller messages what the broker did not take on this topic."""
        for device, facts in self._facts.items():
            if topic in self._wanted.get(device, ()):
                self._want(device, self._lock_messages(facts))

    def disconnected(self) -> None:
        """Keep everything until `connected`."""
        self._connected = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # -- what there is to say -----------------------------------------------------------------------------------------

    @property
    def is_enabled(self) -> bool:
        """Whether Home Assistant is told of anything."""
        return self._settings.enabled

    def lock(self, facts: LockFacts) -> None:
        """Announce a lock if something of it changed; cheap if not."""
        if not self._settings.enabled:
            return
        device = discovery.lock_id(facts.nuki_id)
        if facts != self._facts.get(device):
            self._facts[device] = facts
            self._want(device, self._lock_messages(facts))
            for of, listed in facts.lists:
                if listed is not None:
                    given = (self._settings, self._base, self._installation)
                    self._want(discovery.list_id(device, of), discovery.list_messages(facts, of, listed, *given))

    def _lock_messages(self, facts: LockFacts) -> Messages:
        """Return a lock's messages; one for each entity if that for the device does not fit."""
        given = (facts, self._settings, self._base, self._installation)
        messages = discovery.lock_messages(*given)
        if all(self._is_small(topic, payload) for topic, payload in messages.items()):
            return messages
        device = discovery.lock_id(facts.nuki_id)
        if len(self._wanted.get(device, ())) < 2:
            log.info("%s is announced in one message for each entity: the broker takes small ones only", facts.name)
        return discovery.lock_messages(*given, split=True)

    def only(self, nuki_ids: Collection[int]) -> None:
        """Take back every lock but these."""
        known = {discovery.bridge_id(self._installation)}
        for device in map(discovery.lock_id, nuki_ids if self._settings.enabled else ()):
            known |= {device, *(discovery.list_id(device, of) for of in LISTS)}
        for device in {*self._wanted, *self._announced.devices()} - known:
            self._facts.pop(device, None)
            self._want(device, {})

    def birth_topic(self) -> str | None:
        """Return the topic to subscribe to, if any."""
        return discovery.status_topic(self._settings) if self._settings.enabled else None

    def seen(self, message: Incoming) -> bool:
        """Publish everything again soon if Home Assistant has started; False for a message about something else."""
        if message.topic != self.birth_topic():
            return False
        if message.payload == b"online" and self._connected:
            self._later("birth", BIRTH_S, self.connected)
        return True

    # -- getting it to the broker -------------------------------------------------------------------------------------

    def _want(self, device: str, messages: Messages) -> None:
        if self._wanted.get(device) != messages:
            self._wanted[device] = messages
            if self._connected:
                self._bring(device)

    def _bring(self, device: str) -> None:
        """Make the broker hold a device's messages and nothing else of it."""
        if device in self._timers:
            return  # on its way from one form to the other, or to be tried again
        messages = self._wanted[device]
        old = self._announced.of(device) - messages.keys()
        other = [each for each in old if self._is_other_form(each, messages)]
        if not messages or not other:
            self._finish(device)
        elif all(self._send(topic, discovery.MIGRATE) for topic in other):
            style = discovery.style_of(next(iter(messages)))
            log.info("%s is announced to Home Assistant in %s style from now on", device, style)
            self._later(device, MIGRATE_S, self._finish, device)
        else:
            self._later(device, RETRY_S, self._bring, device)

    def _is_other_form(self, topic: str, messages: Messages) -> bool:
        style = discovery.style_of(next(iter(messages), ""))
        return topic.startswith(f"{self._settings.prefix}/") and discovery.style_of(topic) != style

    def _is_small(self, topic: str, payload: bytes) -> bool:
        return self._fits(Publication(topic, payload, retain=True))

    def _finish(self, device: str) -> None:
        """Clear what is of no more use, then publish the rest.

        In this order: of an entity that is there in its new form Home Assistant would say that a message of the old
        form, even an empty one, is in conflict with it.
        """
        messages = self._wanted[device]
        try:
            self._announced.add(device, messages)
        except StoreError as error:
            log.warning("Home Assistant is not told of %s: %s", device, error)
            self._later(device, STORE_RETRY_S, self._bring, device)
            return
        old = self._announced.of(device) - messages.keys()
        sent = [self._send(topic, b"") for topic in sorted(old)]
        # What is too large even so is left out: the broker's connection says so.
        sent += [self._send(*each) or not self._is_small(*each) for each in messages.items()]
        if not all(sent):
            self._later(device, RETRY_S, self._bring, device)
        elif old:
            self._later(f"{device} cleared", CONFIRM_S, self._cleared, device)

    def _cleared(self, device: str) -> None:
        """Take note that the broker has got it: the connection is still the same."""
        try:
            self._announced.remove(device, self._announced.of(device) - self._wanted[device].keys())
        except StoreError as error:
            log.warning("what was cleared of %s is cleared again at the next start: %s", device, error)

    def _send(self, topic: str, payload: bytes) -> bool:
        return self._publish(Publication(topic, payload, retain=True))

    def _later(self, name: str, delay_s: float, do: Callable[..., None], *given: str) -> None:
        """Call it once after the delay, which begins anew if it was to be called already; not if disconnected."""

        def call() -> None:
            del self._timers[name]
            do(*given)

        if timer := self._timers.get(name):
            timer.cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, call)
