"""Holds messages of the bridge to docs/asyncapi.yaml: an undocumented topic, payload or retain flag is a mistake.

Only what the bridge publishes is held to a schema; tests send it anything.  Answers on a Response Topic have no channel
of their own: they are held to the form that all answers have.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

PAGE = Path(__file__).parents[1] / "docs" / "asyncapi.yaml"
_ANSWER = re.compile(r"[^/]*/response(/.*)?", re.DOTALL)
_VENDORS = re.compile(r"[0-9A-Fa-f]{8}/")
"""Topics of Nuki's own MQTT API, which its maker describes."""


@functools.cache
def document() -> dict[str, Any]:
    """The whole description."""
    loaded: dict[str, Any] = yaml.load(PAGE.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def at(pointer: str) -> Any:
    """What stands at a place in the description, such as `/components/schemas/Error`."""
    return functools.reduce(lambda found, key: found[key], pointer.strip("/").split("/"), document())


def _whole(part: Any) -> Any:
    """A schema with every reference replaced by what it refers to, which is checked much faster."""
    if isinstance(part, dict):
        return _whole(at(part["$ref"][1:])) if "$ref" in part else {key: _whole(each) for key, each in part.items()}
    return [_whole(each) for each in part] if isinstance(part, list) else part


@functools.cache
def validator(pointer: str) -> Draft7Validator:
    """For the schema at a place in the description."""
    return Draft7Validator(_whole(at(pointer)))


@dataclass(frozen=True)
class Channel:
    """One topic below the base topic, as the description has it."""

    key: str
    below: str
    messages: Mapping[str, str]
    """Content type of each message by where its payload's schema stands."""
    sent: bool
    """By the bridge."""
    retained: bool

    @functools.cached_property
    def regex(self) -> re.Pattern[str]:
        """Topics below the base topic that are this channel."""
        levels = ("[^/]*" if level.startswith("{") else re.escape(level) for level in self.below.split("/"))
        return re.compile("/".join(levels))


@functools.cache
def channels() -> tuple[Channel, ...]:
    """Every channel, those with the fewest parameters first: that order finds what a topic is."""
    operations = {each["channel"]["$ref"].rpartition("/")[2]: each for each in document()["operations"].values()}
    found = []
    for key, channel in document()["channels"].items():
        messages = {}
        for name, message in channel["messages"].items():
            pointer = f"/channels/{key}/messages/{name}"
            if "$ref" in message:
                pointer = message["$ref"][1:]
                message = at(pointer)
            messages[f"{pointer}/payload"] = message.get("contentType", document()["defaultContentType"])
        operation = operations[key]
        retained = operation["bindings"]["mqtt"]["retain"]
        below = channel["address"].removeprefix("{base}/")
        found.append(Channel(key, below, messages, operation["action"] == "send", retained))
    return tuple(sorted(found, key=lambda each: each.below.count("{")))


def channel_of(below: str) -> Channel | None:
    """The channel of a topic below the base topic."""
    return next((each for each in channels() if each.regex.fullmatch(below)), None)


@functools.lru_cache(maxsize=4096)
def mistake(topic: str, payload: bytes, *, retained: bool | None = None, base: str = "nuki") -> str | None:
    """What is wrong with a message that was seen at the broker; None if it is documented, or not below `base`.

    `retained` is None if it is not known.
    """
    if not topic.startswith(f"{base}/"):
        return None
    below = topic.removeprefix(f"{base}/")
    if _VENDORS.match(below):
        return None
    channel = channel_of(below)
    if channel is None:
        return _wrong_answer(topic, payload) if _ANSWER.fullmatch(below) else f"{topic} is not documented"
    if not channel.sent:
        return None
    if retained is not None and retained != channel.retained:
        return f"{topic} is {'retained' if retained else 'not retained'}, and documented otherwise"
    if any(_fits(pointer, kind, payload) for pointer, kind in channel.messages.items()):
        return None
    wrong = [_wrong(pointer, kind, payload) for pointer, kind in channel.messages.items()]
    return f"{topic} {payload[:2000]!r}: {'; or '.join(str(each) for each in wrong)}"


def mistakes(messages: Iterable[tuple[str, bytes]]) -> list[str]:
    """Of messages as topic and payload."""
    return sorted({wrong for topic, payload in messages if (wrong := mistake(topic, payload)) is not None})


def _wrong_answer(topic: str, payload: bytes) -> str | None:
    """Of an answer on a Response Topic, or to a request that there is not.

    An empty one is the command line's own, which marks an end in its inbox with it.
    """
    if not payload and "/bridge/response/" in topic:
        return None
    try:
        answer = json.loads(payload)
        if answer["status"] == "ok" and not set(answer) - {"status", "data", "transaction"}:
            return None
    except (ValueError, TypeError, KeyError):
        pass
    wrong = [_wrong(f"/components/schemas/{name}", "application/json", payload) for name in ("Error", "ActionFailed")]
    done = _wrong("/components/schemas/ActionDone", "application/json", payload)
    return None if None in (*wrong, done) else f"{topic} {payload[:2000]!r} is no answer: {wrong[0]}"


def _value(content_type: str, payload: bytes) -> Any:
    if content_type == "application/json":
        return json.loads(payload)
    return payload.decode("latin-1" if content_type == "application/octet-stream" else "utf-8")


def _fits(pointer: str, content_type: str, payload: bytes) -> bool:
    """Whether there is no mistake, which is found out faster than all mistakes."""
    try:
        return next(validator(pointer).iter_errors(_value(content_type, payload)), None) is None
    except ValueError:
        return False


def _wrong(pointer: str, content_type: str, payload: bytes) -> str | None:
    try:
        value = _value(content_type, payload)
    except ValueError:
        return f"no {content_type}"
    errors = [f"{each.json_path}: {_short(each.message)}" for each in validator(pointer).iter_errors(value)]
    return f"{pointer} {', '.join(errors)}" if errors else None


def _short(text: str) -> str:
    return text if len(text) < 300 else f"{text[:140]} … {text[-140:]}"
