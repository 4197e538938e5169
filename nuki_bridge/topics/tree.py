"""The MQTT tree: every topic once, in one table, and the filters that follow from it; pure functions."""

from __future__ import annotations

import enum
import re
from typing import Final, Literal

from nuki_bridge.records import frozen


class RequestKind(enum.StrEnum):
    """What a topic asks for."""

    SET = "set"
    REQUEST = "request"
    SIMULATE = "simulate"
    RELAY = "relay"
    REDEEM = "redeem"


@frozen
class Topic:
    """One topic below the base topic; `<lock>` stands for a lock's name, `<command>` for the rest of the topic."""

    pattern: str
    direction: Literal["in", "out"]
    retained: bool
    meaning: str
    virtual: bool = False
    """Whether the topic exists only with `backend: virtual`."""


def _in(pattern: str, meaning: str, *, virtual: bool = False) -> Topic:
    return Topic(pattern, "in", False, meaning, virtual)


def _out(pattern: str, meaning: str, *, retained: bool = False, virtual: bool = False) -> Topic:
    return Topic(pattern, "out", retained, meaning, virtual)


TABLE: Final = (
    _out("bridge/state", "`online` or `offline` (last will): is the bridge there", retained=True),
    _out("bridge/info", "JSON: version, adapter, locks, MQTT version", retained=True),
    _out(
        "bridge/event",
        "JSON: lock paired or unpaired, Bluetooth adapter lost or found, guests not heard now, another bridge is there",
    ),
    _in(
        "bridge/request/<command>",
        "a request to the bridge, as JSON: scan, pair, unpair, locks, health, restart, trace",
    ),
    _out("bridge/response/<command>", "the answer to such a request, as JSON"),
    _out("<lock>/availability", "`online` or `offline`: can a command reach the lock now", retained=True),
    _out(
        "<lock>/state",
        "what the lock itself reported: `locked`, `unlocking`, `unlocked` …, of an Opener `rto_active`, `open` …",
        retained=True,
    ),
    _out(
        "<lock>/continuous_mode",
        "`on` or `off`: does the Opener open whenever it rings; of an Opener only",
        retained=True,
    ),
    _out(
        "<lock>/door",
        "`closed`, `open`, `unknown`, `deactivated`, `unavailable`, `calibrating`, `uncalibrated`, `tampered`;"
        " with a door sensor only",
        retained=True,
    ),
    _out("<lock>/battery", "JSON: critical, charging, level in percent, accessories", retained=True),
    _out("<lock>/status", "JSON: everything known about the lock", retained=True),
    _out("<lock>/users", "JSON: the lock's users, without secrets; only with the security PIN", retained=True),
    _out(
        "<lock>/keypad",
        "JSON: the codes of the lock's keypad, without their digits; only with the security PIN",
        retained=True,
    ),
    _out(
        "<lock>/event",
        "JSON: a lock action ended, the door moved, the doorbell rang, a keypad was used, an invitation was redeemed;"
        " with who it was",
    ),
    _in(
        "<lock>/set",
        "a lock action: `lock`, `unlock`, `unlatch` …, of an Opener `open`, `activate_rto` …; or JSON with `action`,"
        " `only_if`, `as` and `transaction`",
    ),
    _out("<lock>/result", "the outcome of a lock action, as JSON"),
    _in("<lock>/request/<command>", "a request to the lock, as JSON"),
    _out("<lock>/response/<command>", "the answer to such a request, as JSON"),
    _in("<lock>/relay/<session>/write", "a guest's message to the lock, encrypted end to end (binary)"),
    _out("<lock>/relay/<session>/indicate", "the lock's message to that guest, likewise"),
    _out("<lock>/relay/<session>/news", "empty: the lock's state changed, an open page asks again"),
    _out("<lock>/relay/<session>/error", "JSON: the guest's message was not passed on, or its answer is missing"),
    _out("<lock>/invitations", "JSON: the lock's open invitations, never their codes", retained=True),
    _in("invitation/<lookup>/redeem", "a guest's request for an invitation's credential, encrypted (binary)"),
    _out("invitation/<lookup>/response", "the credential, encrypted, or JSON: why there is none"),
    _in("<lock>/simulate", "a control for a virtual lock, as JSON", virtual=True),
    _out("<lock>/simulate/response", "the answer to such a control, as JSON", virtual=True),
)
"""Every topic below the base topic."""


def _regex(pattern: str) -> re.Pattern[str]:
    parts = {"<lock>": "(?P<lock>[^/]*)", "<command>": "(?P<command>.*)", "<session>": "(?P<session>[^/]*)"}
    parts["<lookup>"] = "(?P<lookup>[^/]*)"
    return re.compile("/".join(parts.get(level, re.escape(level)) for level in pattern.split("/")), re.DOTALL)


def _filter(topic: Topic) -> str:
    return re.sub("<(lock|session|lookup)>", "+", topic.pattern).replace("<command>", "#")


def _kind(topic: Topic) -> RequestKind:
    return next(kind for kind in RequestKind if kind.value in topic.pattern.split("/"))


INCOMING = [(_kind(each), _regex(each.pattern)) for each in TABLE if each.direction == "in"]
"""What comes in: what it asks for, and the pattern of its topic below the base topic."""
INBOX = re.compile(r"bridge/response/([^/]+/)?[0-9A-Fa-f]{32}")
"""Pattern of the topics to which answers may be sent: an inbox of the asker's own, below the name of its account if it
has one."""
_RETAINED_OF_LOCK = [each.pattern for each in TABLE if each.retained and each.pattern.startswith("<lock>")]


def _without_overlaps(filters: list[str]) -> list[str]:
    """Leave out what another filter covers: a broker may deliver a message once for each filter that fits it, and a
    command that comes twice turns the motor twice."""
    return [each for each in filters if not ("+" not in each and f"+/{each.partition('/')[2]}" in filters)]


def command_filters(base: str, *, virtual: bool = False) -> list[str]:
    """Return the topic filters for everything that the bridge is asked; no message fits two of them."""
    chosen = [_filter(each) for each in TABLE if each.direction == "in" and (virtual or not each.virtual)]
    return [f"{base}/{each}" for each in _without_overlaps(chosen)]


def retained_filters(base: str) -> list[str]:
    """Return the topic filters for what the bridge itself retains, to see what became of it at the broker."""
    return [f"{base}/{each}" for each in _without_overlaps([_filter(each) for each in TABLE if each.retained])]


def retained_topics(base: str, lock: str) -> list[str]:
    """Return every retained topic that a lock can have."""
    return [f"{base}/{pattern.replace('<lock>', lock)}" for pattern in _RETAINED_OF_LOCK]
