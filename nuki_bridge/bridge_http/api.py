"""Nuki's Bridge HTTP API as a part of the page's process: builds its objects, starts and stops them.

It has no key and nothing of the daemon's state: it is one more client of the broker, with an account of its own.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time

from nuki_bridge.bridge_http.callbacks import Callbacks
from nuki_bridge.bridge_http.commands import Commands
from nuki_bridge.bridge_http.endpoints import Endpoints
from nuki_bridge.bridge_http.house import House
from nuki_bridge.bridge_http.memory import Memory
from nuki_bridge.bridge_http.server import ApiServer
from nuki_bridge.bridge_http.token import Tokens
from nuki_bridge.bridge_http.turns import Turns
from nuki_bridge.config import MqttSettings
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.mqtt.mqtt import Client
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.web.settings import BridgeApiSettings, BrokerSettings

log = logging.getLogger(__name__)

HEARD_S = 5.0
"""Seconds after a connection to the broker by which the daemon's retained topics are there."""


class BridgeApi:
    """All of it; `open` it, then `run` it."""

    def __init__(self, settings: BridgeApiSettings, broker: BrokerSettings, memory: Memory) -> None:
        self._settings = settings
        self._broker = broker
        self._memory = memory
        self._callbacks = Callbacks(memory, self._told)
        self._house = House(broker.base_topic, changed=self._callbacks.tell, clock=time.monotonic)
        self._commands = Commands(broker.base_topic, self._publish, self._is_there)
        self._turns = Turns(self._commands, time.monotonic)
        self._client = self._new_client()
        self._tokens: Tokens | None = None
        self._endpoints: Endpoints | None = None
        self._server: ApiServer | None = None
        self._silent = False

    def open(self) -> int:
        """Listen; gives the port.  Raises `PageError` if that cannot be."""
        memory, settings = self._memory, self._settings
        memory.load()
        self._tokens = Tokens(
            settings.token,
            plain=settings.plain_token,
            clock=time.time,
            used_until=memory.used_until,
            reserve=self._reserve,
        )
        self._endpoints = Endpoints(
            self._house, self._commands, self._turns, self._callbacks, number=memory.number, clock=time.monotonic
        )
        self._server = ApiServer(self._endpoints, self._tokens, settings.token, time.monotonic)
        port = self._server.open(settings.listen, settings.port)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._server.open_auth)
        log.info("Nuki's Bridge HTTP API is on port %d", port)
        return port

    async def run(self) -> None:
        """Serve until cancelled."""
        assert self._server is not None
        assert self._endpoints is not None
        self._callbacks.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._server.run(), name="bridge api")
                group.create_task(self._client.run(), name="bridge api: mqtt")
                group.create_task(self._answer_at_the_end(), name="bridge api: end")
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)
            self._house.close()
            await asyncio.gather(self._turns.close(), self._endpoints.close(), self._callbacks.close())
            assert self._tokens is not None
            self._memory.used_until = self._tokens.latest
            self._memory.save()

    async def _answer_at_the_end(self) -> None:
        """Once cancelled, tell those who wait; the server gives them the time to take it."""
        try:
            await asyncio.Event().wait()
        finally:
            self._commands.stopped()

    # -- the broker ---------------------------------------------------------------------------------------------------

    def _new_client(self) -> Client:
        broker, settings = self._broker, self._settings
        return Client(
            MqttSettings(broker.host, broker.port, settings.username, settings.password, broker.tls, broker.base_topic),
            will=None,
            subscriptions=[
                *(Subscription(each) for each in self._house.topics),
                *(Subscription(each, stored=False) for each in self._commands.topics),
            ],
            on_message=self._take,
            on_connection=self._connection,
            on_refused=self._refused,
        )

    def _take(self, message: Incoming) -> None:
        if message.topic.endswith(("/result", "/response/refresh")):
            self._commands.take(message)
        else:
            self._house.take(message)
            if message.topic == f"{self._broker.base_topic}/bridge/state" and message.payload != b"online":
                self._commands.doubt()

    def _connection(self, connected: bool, reason: str | None) -> None:
        if connected:
            asyncio.get_running_loop().call_later(HEARD_S, self._look)
        else:
            self._house.lost()
            self._commands.lost()

    def _look(self) -> None:
        """Tell of a daemon that is not there, once: a broker does not say that it keeps its topics from an account."""
        silent = self._client.connected and not self._house.online
        if silent and not self._silent:
            log.warning(
                "nothing is heard of nuki-bridge below %s: it does not run, or the account %s at the broker may not"
                " read there; see etc/mosquitto/nuki-bridge.acl",
                self._broker.base_topic,
                self._settings.username or "(none)",
            )
        self._silent = silent

    def _refused(self, topic: str) -> None:
        log.error("the broker does not let this account publish on %s; see etc/mosquitto/nuki-bridge.acl", topic)
        self._commands.refused(topic)

    def _publish(self, topic: str, payload: bytes | str, *, expiry_s: int | None = None) -> bool:
        return self._client.publish(topic, payload, expiry_s=expiry_s)

    def _is_there(self) -> bool:
        return self._client.connected and self._house.online

    def _told(self, nuki_id: int) -> bytes | None:
        device = self._house.get(nuki_id)
        if device is None:
            return None
        return dump({"nukiId": nuki_id, "deviceType": device.device_type, **device.shown(time.monotonic())})

    # -- memory -------------------------------------------------------------------------------------------------------

    def _reserve(self, until: int) -> None:
        self._memory.used_until = until
        self._memory.save()
