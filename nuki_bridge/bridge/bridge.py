"""The bridge joins locks and topics: a lock's report in, topics out; what comes in is `intake.py`'s.

It is handed a way to publish and a radio, and knows neither paho nor BlueZ.  It builds its parts and is handed to none.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial

from nuki_bridge.bluetooth.link import Radio, RadioStatus
from nuki_bridge.bridge.adapter import Adapter
from nuki_bridge.bridge.answers import Answers
from nuki_bridge.bridge.bridge_commands import BridgeCommands
from nuki_bridge.bridge.floodgate import Floodgate, guest_filters
from nuki_bridge.bridge.info import Info, installation_id
from nuki_bridge.bridge.intake import Intake, Subjects
from nuki_bridge.bridge.lock_commands import LockCommands
from nuki_bridge.bridge.members import Member, Members
from nuki_bridge.bridge.pairing_commands import PairingCommands
from nuki_bridge.bridge.ports import Ports
from nuki_bridge.bridge.publisher import Publisher
from nuki_bridge.bridge.requests import carried_out_by
from nuki_bridge.bridge.running_lock import Common
from nuki_bridge.bridge.running_locks import RunningLocks
from nuki_bridge.bridge.served_locks import ServedLocks
from nuki_bridge.bridge.tasks import Tasks
from nuki_bridge.bridge.trace_commands import TraceCommands
from nuki_bridge.config import DiscoverySettings, Settings
from nuki_bridge.home_assistant.announced import Announced
from nuki_bridge.home_assistant.announcer import Announcer
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.nuki_mqtt.served_record import ServedRecord
from nuki_bridge.nuki_mqtt.vendor_topics import VendorTopics
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.sharing.invitation_store import Invitation, Records
from nuki_bridge.sharing.invitations import Invitations
from nuki_bridge.sharing.invite_commands import InviteCommands
from nuki_bridge.store import Store
from nuki_bridge.topics import tree

log = logging.getLogger(__name__)


class Bridge:
    """All locks of this installation; `run` it, feed it with `handle` and `connection_changed`."""

    def __init__(self, settings: Settings, store: Store, radio: Radio, ports: Ports) -> None:
        self.settings = settings
        self.store = store
        self.ports = ports
        base = settings.mqtt.base_topic
        installation = installation_id(store.app_id())
        self.members = Members(settings.locks, store.locks())
        self.announcer = Announcer(
            settings.mqtt.discovery, base, installation, Announced(store), ports.publish, ports.fits
        )
        self._tasks = Tasks()
        self.served = ServedLocks(
            self.members,
            self._tasks,
            ports,
            ServedRecord(store),
            take=lambda name, message, read, asker: self.intake.take(name, message, read, asker),
        )
        self.publisher = Publisher(base, installation, secrets.token_hex(8), ports, self.announcer, self.served)
        for member in self.members:
            self.publisher.lock(member.name)  # what an earlier run retained of others is cleared
        self.invitations = Invitations(
            Records(store),
            self._base,
            lock_of=self.members.with_nuki_id,
            on_change=self._invitation_changed,
            clock=ports.clock,
            now=ports.now,
            random=ports.random,
        )
        self.floodgate = Floodgate(
            self._base,
            watch=ports.watch,
            unwatch=ports.unwatch,
            tell=partial(self.publisher.event, "bridge"),
            sweep=lambda filters: ports.sweep(filters, self.intake.swept),
            clock=ports.clock,
        )
        answers = Answers(ports.publish, ports.clock)
        invite_commands = InviteCommands(
            self.invitations, ports.publish, lambda: self.settings.web.url, self._guests_broker
        )
        self._vendor_topics = VendorTopics(ports.watch, ports.unwatch, lambda name: self.members.get(name) is not None)
        common = Common(ports, store, self.publisher, self.invitations, invite_commands, answers, self._vendor_topics)
        self._adapter_available: bool | None = None
        self._adapter = Adapter(radio, ports.clock, on_sighting=self._sighted, on_status=self._radio_changed)
        self._info = Info(self.members, self._adapter, self.publisher, ports.protocol, self.served.settle)
        self._running = RunningLocks(self.members, common, self._adapter, self._info, self._tasks)
        traces = TraceCommands(self.members, self._adapter, ports)
        requests = carried_out_by(
            PairingCommands(self.members, self._running, self._adapter, self._info, common, traces.handshake),
            BridgeCommands(self.members, self._adapter, ports),
            traces,
            LockCommands(self.publisher.lock),
            invite_commands,
        )
        self.intake = Intake(
            self.members,
            Subjects(requests, invite_commands, answers, self.floodgate),
            ports,
            self._tasks,
            base=self._base,
            seen=self._seen,
            begun=self.served.begun,
        )

    def _base(self) -> str:
        return self.publisher.base

    def _guests_broker(self) -> str | None:
        """Return the URL with which guests without the page reach the broker, None if nobody has said so."""
        url = self.settings.mqtt.public_url
        return f"{url}/{self._base()}" if url is not None else None

    @property
    def radio(self) -> Radio:
        """The radio in use."""
        return self._adapter.radio

    @property
    def radio_known(self) -> asyncio.Event:
        """Set once the radio has said for the first time whether there is an adapter."""
        return self._adapter.known

    @property
    def pairing(self) -> asyncio.Lock:
        """Held while a lock is paired, or while another configuration is taken into use."""
        return self._running.changing

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Talk to the locks until cancelled; afterwards no link is left."""
        self.invitations.load()
        self.announcer.start()
        try:
            async with self._tasks:
                self.publish_info()  # first, because it names the locks whose topics follow
                for member in self.members:
                    self.start(member)
                self._tasks.keep_up("the invitations", self.invitations.run)
                self._tasks.keep_up("the floodgate", self.floodgate.run)
                self.publisher.online()
                await self._run_radio()
        finally:
            self.publisher.disconnected()

    async def _run_radio(self) -> None:
        await self._adapter.run()

    def start(self, member: Member) -> None:
        """Publish what there is to say of a lock and, if it is paired, keep in touch with it from now on."""
        self._running.start(member)

    async def stop(self, member: Member) -> None:
        """Leave a lock alone: give up its commands, drop its link."""
        await self._running.stop(member)

    async def leave(self) -> None:
        """Give up what is under way, with an answer, and publish that neither bridge nor locks can be reached."""
        await self.intake.leave()
        self.publisher.leave()
        await self.served.leave()

    # -- another configuration ----------------------------------------------------------------------------------------

    def use(self, settings: Settings) -> None:
        """Hold these settings from now on; whoever reads them has each change made."""
        self.settings = settings

    async def use_radio(self, radio: Radio) -> None:
        """Take another radio: every link is dropped, and made anew over that one."""
        await self._running.use_radio(radio)

    def move(self, base: str) -> None:
        """Have all topics below another base topic, from the next connection on."""
        self.publisher.move(base)

    def announce(self, settings: DiscoverySettings) -> None:
        """Announce everything to Home Assistant anew, with these settings and below the present base topic."""
        self.announcer.use(settings, self.publisher.base)
        for member in self.members:
            self._running.show(member)
        if birth := self.announcer.birth_topic():
            self.ports.watch([birth])

    # -- told by the broker -------------------------------------------------------------------------------------------

    def filters(self) -> list[str]:
        """Return the topic filters to subscribe to at every connection; `ports.watch` is given more of them later."""
        base = self.publisher.base
        commands = tree.command_filters(base, virtual=self.ports.simulate is not None)
        if not (self.floodgate.is_open and self.ports.protocol() == "5"):
            guests = guest_filters(base)
            commands = [each for each in commands if each not in guests]
        birth = self.announcer.birth_topic()
        return [*commands, f"{base}/bridge/info", *([birth] if birth else []), *self._vendor_topics.filters()]

    def connection_changed(self, connected: bool) -> None:
        """Tell the broker everything anew: it was found, with all `filters` subscribed, or lost."""
        self.ports.changed()
        self._vendor_topics.connection_changed(connected)
        if not connected:
            self.publisher.disconnected()
            self.intake.disconnected()
            return
        self.floodgate.connected(listening=self.ports.protocol() == "5")
        self.publish_info()
        self.publisher.connected()
        self.served.connected()
        for member in self.members:
            if member.owned is not None:
                member.owned.log_book.schedule()
        self.ports.watch(self.publisher.watched())

    def too_large(self, topic: str) -> None:
        """Take note that what was published on this topic has turned out to be larger than the broker takes."""
        self.publisher.too_large(topic)

    def handle(self, message: Incoming) -> None:
        """Take in one message; every answer comes later, by itself."""
        if not self._vendor_topics.takes(message):
            self.intake.handle(message)

    def _seen(self, message: Incoming) -> None:
        self.publisher.seen(message, retain_is_kept=self.ports.protocol() == "5")

    # -- told by the radio and the invitations ------------------------------------------------------------------------

    def _sighted(self, sighting: Sighting) -> None:
        member = self.members.at(sighting.address)
        if member is not None and member.lock is not None:
            member.lock.sighted(sighting)

    def _radio_changed(self, status: RadioStatus) -> None:
        before, self._adapter_available = self._adapter_available, status.available
        self.ports.changed()
        if status.available:
            log.info("Bluetooth adapter %s is ready", status.adapter)
        else:
            log.warning("Bluetooth cannot be used: %s", status.reason)
        if before is not None and before != status.available:
            found = {"type": "adapter_found", "adapter": status.adapter}
            lost = {"type": "adapter_lost", "reason": status.reason}
            self.publisher.event("bridge", found if status.available else lost)
        for member in self.members:
            if member.lock is not None:
                member.lock.radio_changed(status)
        self.publish_info()

    def _invitation_changed(self, row: Invitation) -> None:
        member = self.members.with_nuki_id(row.nuki_id)
        if member is not None and member.running is not None:
            member.running.invitation_changed(row)

    def publish_info(self) -> None:
        """Publish `bridge/info` if it changed."""
        self._info.publish()
