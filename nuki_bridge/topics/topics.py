"""What comes in on the MQTT tree (`tree.py`) as a `Request`, and the answers to that; pure functions.

`parse` checks all that can be said of a message without knowing the locks; `done` and `refused` make the answers.
Which requests there are is told by `Requests`, which whoever parses brings along.  What a request does is the bridge's
business, what the published payloads look like is `report`'s.

A request is answered on its own topic's counterpart, or on the MQTT 5 Response Topic that it names.  The outcome of
`<lock>/set` is for everybody who watches the door and always goes to `<lock>/result`, besides to a Response Topic.
Whoever may publish requests could have the bridge publish answers where they may not, into what others wait for.  The
bridge is not told who asks: therefore a Response Topic below the base topic must be an inbox, whose name ends in 32
random hex digits that nobody but its owner knows; elsewhere the broker's access list decides what the bridge's account
may publish.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from nuki_bridge.errors import RequestError
from nuki_bridge.mqtt import payload
from nuki_bridge.records import frozen
from nuki_bridge.topics.set_arguments import SET, states_named
from nuki_bridge.topics.tree import INBOX, INCOMING, RequestKind

if TYPE_CHECKING:
    from nuki_bridge.arguments import Declaration
    from nuki_bridge.mqtt.message import Incoming
    from nuki_bridge.protocol.action_names import Words

MAX_PAYLOAD_SIZE = 16 * 1024
"""Largest payload in bytes of a command or request; larger ones are refused."""
COMMAND_DEADLINE_S = 15.0
"""Seconds within which a command must have been sent to the lock; after that it fails."""
KEEP_S = 60.0
"""Seconds for which an answer waits for a broker that is away."""


RETAINED = "a retained command is never carried out; publish it without retain"
"""What is said to whoever has published one."""


# -- requests ---------------------------------------------------------------------------------------------------------


@frozen
class Request:
    """What somebody asked: `lock` is None for the bridge itself, `command` names a request and is empty otherwise.

    `only_if` has the states in which an `action` may be carried out, `suffix` is who is named for it in the lock's log.
    `arguments` may hold a PIN.  `echo` is what goes back as it came: a `transaction`, and the `action`.  `received_at`
    and `deadline` are on the clock of the MQTT client.  `session` (or lookup) and
    `payload` are those of a guest's encrypted message.  `identity` is the same for two messages that ask for the same
    on the same topic with the same transaction; `again` says that the broker may have delivered this one before.
    `reads` is what its declaration says.
    """

    kind: RequestKind
    lock: str | None
    command: str
    reply_to: tuple[str, ...]
    received_at: float
    correlation_data: bytes | None = None
    expiry_s: int | None = None
    action: IntEnum | None = None
    only_if: frozenset[int] | None = None
    suffix: str | None = None
    session: str = ""
    payload: bytes = field(default=b"", repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    echo: Mapping[str, Any] = field(default_factory=dict, repr=False)
    identity: bytes = field(default=b"", repr=False)
    again: bool = False
    reads: bool = False

    @property
    def has_transaction(self) -> bool:
        """Its asker can tell it from others, so that a second one with the same is the same."""
        return self.echo.get("transaction") is not None

    @property
    def moves(self) -> bool:
        """It turns the lock or changes something, so that it must not be carried out twice."""
        return self.kind is RequestKind.SET or (self.kind is RequestKind.REQUEST and not self.reads)

    @property
    def deadline(self) -> float:
        """When it may no longer be sent to a lock."""
        expiry_s = math.inf if self.expiry_s is None else self.expiry_s
        return self.received_at + min(COMMAND_DEADLINE_S, expiry_s)


@frozen
class Requests:
    """What can be asked, by the rest of the topic: of the bridge itself, and of a lock."""

    bridge: Mapping[str, Declaration[Any]]
    lock: Mapping[str, Declaration[Any]]

    def of(self, request: Request) -> Mapping[str, Declaration[Any]]:
        """Return all that can be asked where this one was."""
        return self.bridge if request.lock is None else self.lock

    def know(self, request: Request) -> bool:
        """Return whether there is such a request at all."""
        return request.kind is not RequestKind.REQUEST or request.command in self.of(request)


class RefusedRequest(RequestError):
    """A message that is not carried out; `request` is as much of it as could be read, for the answer."""

    def __init__(self, request: Request, code: str, message: str) -> None:
        super().__init__(code, message)
        self.request = request


def parse(base: str, message: Incoming, requests: Requests, words: Callable[[str], Words]) -> Request | None:
    """Read a message; None if it is none of the bridge's business or only clears a retained command.

    `words` gives those of a lock's kind by its name, or raises `RequestError` if there is no such lock: the same word,
    and the same number, is another action on another kind.  Raises `RefusedRequest`.  What a lock may be asked is not
    known here.
    """
    request = addressed(base, message)
    if request is None:
        return None
    correlation = message.correlation_data or b""
    request = replace(
        request, identity=_digest(message.topic.encode(), correlation, message.payload), again=message.again
    )
    if message.retain:
        if not message.payload:
            return None  # somebody clears a retained command; nobody waits for an answer
        raise RefusedRequest(_unread(base, request, message), "retained_command", RETAINED)
    if request.kind is RequestKind.REDEEM and len(message.payload) <= MAX_PAYLOAD_SIZE:
        return replace(request, payload=message.payload)  # its answers have one topic, too
    if request.kind is RequestKind.RELAY:
        return replace(request, payload=message.payload)  # binary, and its answers have a topic of their own
    # a guest's answers have one topic, also those that refuse: no other of its choice
    if message.response_topic is not None and request.kind is not RequestKind.REDEEM:
        if not _may_answer_on(base, message.response_topic):
            raise RefusedRequest(_unread(base, request, message), "bad_request", _NOINBOX.format(base=base))
        request = _answered_on(request, message.response_topic)
    if len(message.payload) > MAX_PAYLOAD_SIZE:
        raise RefusedRequest(
            request,
            "payload_too_large",
            f"a payload has {MAX_PAYLOAD_SIZE} bytes at most, this one has {len(message.payload)}",
        )
    try:
        text = message.payload.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise RefusedRequest(request, "bad_request", "the payload is not UTF-8 text") from None
    request = (
        _parse_action(request, text, words)
        if request.kind is RequestKind.SET
        else _parse_request(request, text, requests)
    )
    if request.has_transaction:
        same = json.dumps([payload.read_object(text), request.echo], sort_keys=True)
        request = replace(request, identity=_digest(message.topic.encode(), same.encode()))
    return request


_NOINBOX = (
    "a response topic must be {base}/bridge/response/<account>/<32 random hex digits>, an inbox of the asker's own, "
    "or not below {base}"
)


def _answered_on(request: Request, topic: str) -> Request:
    to = (topic,)
    return replace(request, reply_to=request.reply_to + to if request.kind is RequestKind.SET else to)


def _unread(base: str, request: Request, message: Incoming) -> Request:
    """Return a request that is refused whatever it says, with what its asker knows the answer by, as far as it goes."""
    if request.kind in (RequestKind.RELAY, RequestKind.REDEEM):
        return request
    if message.response_topic is not None and _may_answer_on(base, message.response_topic):
        request = _answered_on(request, message.response_topic)
    if len(message.payload) > MAX_PAYLOAD_SIZE:
        return request
    try:
        values = payload.read_object(message.payload.decode("utf-8-sig"))
    except ValueError:
        return request
    return replace(request, echo={key: value for key, value in values.items() if key == "transaction"})


def _digest(*parts: bytes) -> bytes:
    """Return what stands for these parts; they may hold a PIN, which must not be kept for it."""
    return sha256(b"".join(len(each).to_bytes(4) + each for each in parts)).digest()


def addressed(base: str, message: Incoming) -> Request | None:
    """Return what a message asks for by its topic alone, answered on the topic that belongs to that."""
    below = message.topic.removeprefix(f"{base}/")
    if below == message.topic:
        return None
    for kind, regex in INCOMING:
        match = regex.fullmatch(below) or regex.fullmatch(f"{below}/")  # "+/request/#" fits "front_door/request", too
        if match is None:
            continue
        parts = match.groupdict()
        lock, command, session = parts.get("lock"), parts.get("command", ""), parts.get("session", "")
        lookup = parts.get("lookup", "")
        answers = {
            RequestKind.SET: f"{lock}/result",
            RequestKind.REQUEST: f"{'bridge' if lock is None else lock}/response/{command}",
            RequestKind.SIMULATE: f"{lock}/simulate/response",
            RequestKind.RELAY: f"{lock}/relay/{session}/error",
            RequestKind.REDEEM: f"invitation/{lookup}/response",
        }
        answer = f"{base}/{answers[kind]}".removesuffix("/")
        return Request(
            kind,
            lock,
            command,
            (answer,),
            message.received_at,
            message.correlation_data,
            message.message_expiry_s,
            session=session or lookup,
        )
    return None


def passed_on(lock: str, message: Incoming) -> Request:
    """Return the request for an action that came on a topic which is none of ours, without the action.

    Until it has one nobody here is told of it.
    """
    return Request(
        RequestKind.SET,
        lock,
        "",
        (),
        message.received_at,
        expiry_s=message.message_expiry_s,
        identity=_digest(message.topic.encode(), message.payload),
        again=message.again,
    )


def with_action(base: str, request: Request, action: IntEnum) -> Request:
    """Return such a request with its action; its outcome is told to everybody who watches the door."""
    return replace(
        request, action=action, echo={"action": action.name.lower()}, reply_to=(f"{base}/{request.lock}/result",)
    )


def _may_answer_on(base: str, topic: str) -> bool:
    """See the module's docstring; that it is a valid topic name has been checked by `mqtt`."""
    below = topic.removeprefix(f"{base}/")
    if topic.startswith("$") or topic == base:
        return False
    if below == topic:
        return True
    return INBOX.fullmatch(below) is not None


# -- lock actions -----------------------------------------------------------------------------------------------------


def _parse_action(request: Request, text: str, words: Callable[[str], Words]) -> Request:
    word: object = text
    only_if: frozenset[str] | None = None
    if text[:1] in ("{", "[", '"'):
        values, request = _read_object(request, text)
        try:
            checked = SET.check({key: value for key, value in values.items() if key != "action"})
        except ValueError as error:
            raise RefusedRequest(request, "bad_request", str(error)) from None
        only_if = checked.get("only_if")
        request = replace(request, suffix=checked.get("as"))
        word = values.get("action")
        if not isinstance(word, str):
            raise RefusedRequest(request, "bad_request", "action is missing or not a text; it names a lock action")
    assert isinstance(word, str)
    assert request.lock is not None
    try:
        known = words(request.lock)
    except RequestError as error:
        raise RefusedRequest(request, error.code, str(error)) from None
    action = known.names.find(word)
    if action is None:
        raise RefusedRequest(
            request, "unknown_action", f"there is no such lock action; allowed are {', '.join(known.names.by_name)}"
        )
    request = replace(request, action=action, echo={"action": action.name.lower(), **request.echo})
    if only_if is None:
        return request
    try:
        return replace(request, only_if=states_named(only_if, known.states))
    except ValueError as error:
        raise RefusedRequest(request, "bad_request", str(error)) from None


# -- requests with arguments ------------------------------------------------------------------------------------------


def _parse_request(request: Request, text: str, requests: Requests) -> Request:
    values, request = _read_object(request, text or "{}")
    if request.kind is RequestKind.SIMULATE:
        return replace(request, arguments=values)
    known = requests.of(request)
    declared = known.get(request.command)
    if declared is None:
        raise RefusedRequest(request, "unknown_command", f"there is no such request; allowed are {', '.join(known)}")
    try:
        return replace(request, arguments=declared.arguments.check(values), reads=declared.reads)
    except ValueError as error:
        raise RefusedRequest(request, "bad_request", str(error)) from None


def _read_object(request: Request, text: str) -> tuple[dict[str, Any], Request]:
    """Return the object in `text` without its transaction, and the request that echoes it; raises `RefusedRequest`."""
    try:
        values = payload.read_object(text)
    except ValueError as error:
        raise RefusedRequest(request, "bad_request", f"the payload {error}") from None
    if "transaction" in values:
        request = replace(request, echo={"transaction": values.pop("transaction")})
    return values, request


# -- answers ----------------------------------------------------------------------------------------------------------


@frozen
class Publication:
    """One message to publish; for `keep_s` seconds it waits for the broker if that is away.

    After `expiry_s` seconds the broker delivers it to nobody any more (MQTT 5).
    """

    topic: str
    payload: bytes = field(repr=False)
    retain: bool = False
    correlation_data: bytes | None = None
    keep_s: float = 0.0
    qos: int = 1
    expiry_s: int | None = None


def done(request: Request, **body: Any) -> list[Publication]:
    """Return the answer to a request that went well: `completion=` for a lock action, `data=` for the others."""
    return _answer(request, {"status": "ok", **body})


def refused(request: Request, code: str, message: str) -> list[Publication]:
    """Return the answer to a request that was refused or failed."""
    return _answer(request, {"status": "error", "error": code, "message": message})


def _answer(request: Request, body: dict[str, Any]) -> list[Publication]:
    first = {"action": request.echo["action"]} if "action" in request.echo else {}
    told = payload.dump({**first, **body, **request.echo})
    keep_s = KEEP_S if request.kind in (RequestKind.SET, RequestKind.REQUEST) else 0.0  # guests ask again by themselves
    return [Publication(topic, told, False, request.correlation_data, keep_s) for topic in request.reply_to]
