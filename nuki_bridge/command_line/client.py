"""The other end of the daemon's MQTT topics, for the command line: ask, act, read what is retained, watch.

A `BridgeClient` is one short conversation (`mqtt/conversation.py`).  How answers look is up to `console`.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from nuki_bridge.command_line import words
from nuki_bridge.config import MQTT_TLS_PORT, MqttSettings, Secret, TlsSettings
from nuki_bridge.errors import BrokerError, RequestError, TimedOut
from nuki_bridge.mqtt.conversation import Conversation
from nuki_bridge.mqtt.message import Incoming, Subscription

ANSWER_TIMEOUT_S = 30.0
"""Seconds to wait for most answers."""
LIST_TIMEOUT_S = 330.0
"""Seconds to wait where a long list may have to be read over a slow link, which the daemon gives 300 s."""
LISTS = frozenset(
    {
        "users/list",
        "users/add",
        "users/update",
        "users/remove",
        "keypad/list",
        "keypad/update",
        "keypad/remove",
        "log/get",
    }
)
"""Requests that may have to read a long list; their answer gets `LIST_TIMEOUT_S`."""
COMMAND_EXPIRY_S = 15
"""Seconds until the broker drops a command that it could not deliver, so that it is not carried out later."""
ACTION_TIMEOUT_S = 170.0
"""Seconds to wait: 15 s until the lock has the action, 120 s of lock 'n' go, 30 s of search after a lost answer."""
MAX_ANSWER_SIZE = 16 * 1024 * 1024
"""Largest packet in bytes that is accepted: a long log or many users make a long answer."""
MARKER_TIMEOUT_S = 2.0
"""Seconds to wait for a message to ourselves, which an access list may keep away."""
LATE_RETAINED_S = 0.5
"""Seconds by which brokers that work in parallel may send a retained message after one that was published later."""


class BridgeOffline(BrokerError):
    """The broker is there, but the daemon is not."""

    code = "bridge_offline"


def parse_broker_url(url: str) -> MqttSettings:
    """Read `mqtt[s]://user:password@host:port/base_topic`, for TLS with `?ca=FILE` if need be.

    User and password are percent-decoded.  Raises `RequestError` with a sentence that never quotes the password.
    """
    form = "a broker URL looks like mqtt[s]://user:password@host:port/base_topic"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url(f"{form}; the host or the port is wrong, or a / in the password is not written as %2F") from None
    query = parse_qsl(parts.query, keep_blank_values=True)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise _bad_url(f"{form}; it needs mqtt or mqtts, and a host")
    if "#" in url or any(key != "ca" for key, _ in query) or (query and parts.scheme == "mqtt"):
        raise _bad_url(f"{form}; after it only ?ca=FILE is allowed, and that with mqtts (write # as %23, ? as %3F)")
    if parts.password and not parts.username:
        raise _bad_url(f"{form}; there is a password but no user")
    base_topic = unquote(parts.path).strip("/") or "nuki"
    if re.search(r"[+#\0]", base_topic) or base_topic.startswith("$"):
        raise _bad_url(f"{form}; a base topic has no + and # and no $ at its start")
    tls = None
    if parts.scheme == "mqtts":
        tls = TlsSettings(ca=Path(query[0][1]) if query else None)
    return MqttSettings(
        host=parts.hostname,
        port=port or (MQTT_TLS_PORT if tls else 1883),
        username=unquote(parts.username) if parts.username else None,
        password=Secret(unquote(parts.password)) if parts.password else None,
        tls=tls,
        base_topic=base_topic,
    )


def _bad_url(sentence: str) -> RequestError:
    return RequestError("bad_broker_url", sentence)


class BridgeClient(Conversation):
    """A conversation with a running daemon."""

    def __init__(self, settings: MqttSettings) -> None:
        self.retained: dict[str, bytes] = {}
        """Last payload of each subscribed topic of the daemon, without the base topic."""
        self._base = settings.base_topic
        # A topic that nobody can guess, and below the account's name so that the broker's access list can keep other
        # accounts from it: an answer may hold an invitation's code.
        account = f"{settings.username}/" if settings.username and re.fullmatch(r"[^/+#\0]+", settings.username) else ""
        self._inbox = f"bridge/response/{account}{secrets.token_hex(16)}"
        self._filters = ["bridge/state", "bridge/info", self._inbox]
        super().__init__(
            settings,
            subscriptions=lambda: [Subscription(self._topic(each)) for each in self._filters],
            on_message=self._on_message,
            on_refused=self._on_refused,
            max_packet_size=MAX_ANSWER_SIZE,
        )
        self._marker: asyncio.Future[None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._watch: asyncio.Queue[tuple[str, bytes]] | None = None
        self._on_state: tuple[str, Callable[[str], None]] | None = None
        self._daemon_seen = False

    async def open(self) -> None:
        """Connect, and make sure that a daemon is there.

        Raises `BrokerError` if the broker cannot be reached or does not let us in, `BridgeOffline` without a daemon.
        """
        await super().open()
        await self._settle()
        if not {"bridge/state", "bridge/info"} <= set(self.retained):
            await self.unless_over(asyncio.sleep(LATE_RETAINED_S))
        if self.retained.get("bridge/state") != b"online":
            raise self._no_daemon("is offline" if "bridge/state" in self.retained else "is empty")
        self._daemon_seen = True

    # -- for commands -------------------------------------------------------------------------------------------------

    @property
    def info(self) -> dict[str, Any]:
        """The daemon's `bridge/info`; empty if it cannot be read."""
        return _json_object(self.retained.get("bridge/info", b""))

    def url_for(self, account: str) -> str | None:
        """Return the broker's URL for somebody else's account, without password; None if it is on this computer."""
        settings = self._settings
        if re.match(r"localhost$|127\.|::1$", settings.host):
            return None
        scheme, usual = ("mqtts", MQTT_TLS_PORT) if settings.tls else ("mqtt", 1883)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        port = "" if settings.port == usual else f":{settings.port}"
        return f"{scheme}://{account}@{host}{port}/{self._base}"

    def is_opener(self, lock: str) -> bool:
        """Return whether the lock of this name is an Opener, as far as the daemon tells."""
        locks = self.info.get("locks", [])
        return any(
            isinstance(each, dict) and (each.get("name"), each.get("family")) == (lock, "opener") for each in locks
        )

    async def timezone(self, lock: str) -> str | None:
        """Return the name of a lock's time zone, None if the daemon does not tell one."""
        topic = f"{lock}/status"
        settings = _json_object((await self.read(topic)).get(topic, b"")).get("config")
        name = settings.get("timezone") if isinstance(settings, dict) else None
        return name if isinstance(name, str) and "/" in name else None

    def lock_names(self) -> list[str]:
        """Return the names of the locks that the daemon knows, in its order."""
        locks = self.info.get("locks", [])
        names = [each.get("name") if isinstance(each, dict) else each for each in locks]
        return [name for name in names if isinstance(name, str)]

    def lock_name(self, name: str | None) -> str:
        """Return `name` if there is such a lock, without a name the only lock; else raise `RequestError`."""
        names = self.lock_names()
        known = ", ".join(names) or "none, see `nuki-bridge pair`"
        if name in names:
            return name
        if name is not None:
            raise RequestError(
                "unknown_lock",
                f"there is no lock {name!r}{words.instead(name, names) or ';'} the bridge knows: {known}",
            )
        if len(names) != 1:
            raise RequestError("lock_missing", f"say which lock; the bridge knows: {known}")
        return names[0]

    async def ask(self, scope: str, command: str, data: dict[str, Any], timeout_s: float | None = None) -> Any:
        """Send a request to `scope` (`bridge` or a lock's name) and await the answer's `data`.

        Raises `RequestError` with the code and sentence of an error answer, `TimedOut`, or what ended the conversation.
        """
        if timeout_s is None:
            timeout_s = LIST_TIMEOUT_S if command in LISTS else ANSWER_TIMEOUT_S
        await self._subscribe(f"{scope}/response/{command}")
        answer = await self._exchange(f"{scope}/request/{command}", data, timeout_s)
        return answer.get("data")

    async def perform(
        self, lock: str, action: str, on_state: Callable[[str], None], more: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Publish a lock action with what `more` has, and await its result; `on_state` is told each state in between.

        Raises `RequestError` when the result is an error, `TimedOut`, or what ended the conversation.
        """
        await self._subscribe(f"{lock}/result", f"{lock}/state")
        self._on_state = (f"{lock}/state", on_state)
        try:
            # Without a response topic: the result is for everybody who watches the door.
            return await self._exchange(
                f"{lock}/set",
                {"action": action, **(more or {})},
                ACTION_TIMEOUT_S,
                respond=False,
                expiry_s=COMMAND_EXPIRY_S,
            )
        except (BrokerError, TimedOut) as error:
            raise type(error)(f"{error}; nobody knows now whether {lock} has carried it out") from None

    async def read(self, *filters: str) -> dict[str, bytes]:
        """Return what is retained under these topic filters (without the base topic), by topic."""
        before = len(self.retained)
        await self._subscribe(*filters)
        if len(self.retained) == before:
            await self.unless_over(asyncio.sleep(LATE_RETAINED_S))
        return {topic: payload for topic, payload in self.retained.items() if not topic.startswith("bridge/")}

    async def watch(self, *filters: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield each message under these filters and each `bridge/state`, retained ones first; ends with the broker.

        A topic that is published again unchanged is left out, but for events, which are not retained.
        """
        self._watch = asyncio.Queue()
        await self._subscribe(*filters)
        while True:
            yield await self.unless_over(self._watch.get())

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _exchange(
        self, topic: str, data: dict[str, Any], timeout_s: float, *, respond: bool = True, expiry_s: int | None = None
    ) -> dict[str, Any]:
        transaction = secrets.token_hex(8)
        self._answers[transaction] = asyncio.get_running_loop().create_future()
        sent = self.publish(
            self._topic(topic),
            json.dumps({**data, "transaction": transaction}),
            response_topic=self._topic(self._inbox) if respond else None,
            correlation_data=transaction.encode() if respond else None,
            expiry_s=expiry_s,
        )
        if not sent:
            raise BrokerError("the broker did not take the message")
        try:
            answer = await self.unless_over(self._answers[transaction], timeout_s)
        except TimeoutError:
            raise TimedOut(f"no answer on {self._topic(topic)} within {timeout_s:g} s") from None
        if answer.get("status") != "ok":
            code = answer.get("error")
            raise RequestError(str(code or "failed"), str(answer.get("message") or code or "it failed"))
        answer.pop("transaction", None)
        return answer

    async def _subscribe(self, *filters: str) -> None:
        fresh = [each for each in filters if each not in self._filters]
        self._filters += fresh
        self.subscribe(*(Subscription(self._topic(each)) for each in fresh))
        await self._settle()

    async def _settle(self) -> None:
        """Wait until the broker has worked off our subscriptions: a message to ourselves comes after what is retained.

        An access list may keep that message away; then a moment has to do.
        """
        self._marker = asyncio.get_running_loop().create_future()
        self.publish(self._topic(self._inbox), b"")
        with suppress(TimeoutError):
            await self.unless_over(self._marker, MARKER_TIMEOUT_S)

    def _no_daemon(self, what: str) -> BridgeOffline:
        unread = ", or this account may not read it" if what == "is empty" else ""
        return BridgeOffline(f"no nuki-bridge is running on this broker ({self._topic('bridge/state')} {what}{unread})")

    def _topic(self, topic: str) -> str:
        return f"{self._base}/{topic}"

    def _on_refused(self, topic: str) -> None:
        if topic != self._topic(self._inbox):  # that one is only a marker
            self.end_as_forbidden(topic)

    def _on_message(self, message: Incoming) -> None:
        topic = message.topic.removeprefix(f"{self._base}/")
        if topic == self._inbox and not message.payload:
            if self._marker is not None and not self._marker.done():
                self._marker.set_result(None)
        elif topic == self._inbox or "/response/" in topic or topic.endswith("/result"):
            self._on_answer(message)
            if self._watch is not None and topic.endswith("/result") and not message.retain:
                self._watch.put_nowait((topic, message.payload))
        else:
            self._on_report(topic, message.payload)

    def _on_answer(self, message: Incoming) -> None:
        """Take an answer to one of our own questions; those of other clients come here too."""
        answer = _json_object(message.payload)
        transaction = answer.get("transaction") or (message.correlation_data or b"").decode(errors="replace")
        waiting = self._answers.get(transaction) if isinstance(transaction, str) and not message.retain else None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _on_report(self, topic: str, payload: bytes) -> None:
        unchanged = self.retained.get(topic) == payload
        self.retained[topic] = payload
        if self._watch is not None:
            if not unchanged or topic.endswith("/event"):
                self._watch.put_nowait((topic, payload))
        elif topic == "bridge/state" and payload != b"online" and self._daemon_seen:
            self.end(self._no_daemon("went offline"))
        if self._on_state is not None and topic == self._on_state[0] and not unchanged:
            self._on_state[1](payload.decode(errors="replace"))


def _json_object(payload: bytes) -> dict[str, Any]:
    """Return the JSON object in `payload`; empty if there is none."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
