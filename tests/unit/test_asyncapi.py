"""docs/asyncapi.yaml describes what the program does: its channels, requests and words are those of the code.

That every message fits its schema is seen wherever tests run the bridge: see `documented.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import nuki_bridge
from nuki_bridge.arguments import Arguments
from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.lock import state_json
from nuki_bridge.protocol.action_names import ACTION_WORDS, LOCK_STATES, OPENER_ACTIONS, OPENER_STATES
from nuki_bridge.simulator import lock_control, opener_control
from nuki_bridge.topics import tree
from tests.documented import channels, document, mistake, validator

COMMANDS = {"bridge": REQUESTS.bridge, "<lock>": REQUESTS.lock}


def expected() -> set[tuple[str, str, bool]]:
    """Pattern, direction and retained of every topic, with each request on its own."""
    found: set[tuple[str, str, bool]] = set()
    for each in tree.TABLE:
        scope = each.pattern.partition("/")[0]
        patterns = [each.pattern]
        if "<command>" in each.pattern:
            patterns = [each.pattern.replace("<command>", command) for command in COMMANDS[scope]]
        found |= {(pattern, each.direction, each.retained) for pattern in patterns}
    return found


def test_channels_are_the_topics_of_the_program() -> None:
    described = {
        (re.sub(r"\{(\w+)\}", r"<\1>", each.below), "out" if each.sent else "in", each.retained) for each in channels()
    }
    assert described == expected()
    assert len(channels()) == len(document()["operations"])


def test_every_channel_is_below_the_base_topic_and_declares_its_parameters() -> None:
    for channel in document()["channels"].values():
        assert channel["address"].startswith("{base}/")
        assert set(channel["parameters"]) == set(re.findall(r"\{(\w+)\}", channel["address"]))


def test_a_request_names_the_channel_of_its_answer() -> None:
    addresses = {f"#/channels/{key}": each["address"] for key, each in document()["channels"].items()}
    for operation in document()["operations"].values():
        address = addresses[operation["channel"]["$ref"]]
        if "/request/" in address:
            answer = addresses[operation["reply"]["channel"]["$ref"]]
            assert answer == address.replace("/request/", "/response/")


def requests() -> Iterator[Any]:
    for scope, commands in COMMANDS.items():
        for command, declared in commands.items():
            yield pytest.param(f"{scope}/request/{command}", declared.arguments, id=f"{scope}-{command}")


def schema_of(pattern: str) -> tuple[str, dict[str, Any]]:
    """Where the schema of a request's payload stands, and the schema."""
    address = "{base}/" + pattern.replace("<lock>", "{lock}")
    key = next(key for key, each in document()["channels"].items() if each["address"] == address)
    return f"/channels/{key}/messages/request/payload", document()["channels"][key]["messages"]["request"]["payload"]


@pytest.mark.parametrize(("pattern", "takes"), [*requests()])
def test_a_request_takes_what_is_described(pattern: str, takes: Arguments) -> None:
    _, schema = schema_of(pattern)
    assert set(schema["properties"]) == {*takes.required, *takes.optional, "transaction"}
    assert set(schema.get("required", ())) == set(takes.required)
    assert schema["additionalProperties"] is False


CANDIDATES: list[Any] = [
    *(True, False, [], {}, ["mo"], {"from": None}, {"since": "x"}, {"weekdays": ["mo", "xx"]}, {"weekdays": []}),
    *(0, 1, 5, 6, -1, -91, 90.5, 181, 0.05, 300, 301, 500, 501, 601, 841, 999999, 1000000, 172801, 2**32, 1e30),
    *("", " ", "x", "x" * 32, "x" * 33, "x" * 201, "bridge", "app", "none", "unlock", "fly", "automatic", "european"),
    *("1234", "123456", "1234567", "12a4", "Europe/Berlin", "08:00", "24:00", "48h", "30m", "1d12h", "90", "soon"),
    *("54:d2:72:aa:bb:cc", "54-d2-72", "2026-12-01T10:00:00+01:00", "2026-12-01T10:00", "2026-12-01"),
    *({"time_from": "08:00", "time_until": "20:00"}, {"time_from": "8:00"}, {"until": "2026-12-01"}),
]


def is_loose(name: str, value: Any) -> bool:
    """The schema lets through what it cannot express: names of time zones, durations in words, digits of a number."""
    if name == "timezone":
        return isinstance(value, str)
    return (name, value) in (("expires_in", "1234567"), ("code", 172801))


@pytest.mark.parametrize(("pattern", "takes"), [*requests()])
def test_a_request_is_valid_where_the_program_takes_it(pattern: str, takes: Arguments) -> None:
    """For each argument and each of many values, the schema and the program's own check say the same."""
    pointer, _ = schema_of(pattern)
    rest = {name: example(name) for name in takes.required}
    for name, check in {**takes.required, **takes.optional}.items():
        for value in CANDIDATES:
            if is_loose(name, value):
                continue
            try:
                check(value)
                taken = True
            except ValueError:
                taken = False
            valid = validator(pointer).is_valid({**rest, name: value})
            assert valid == taken, f"{name}: {value!r} is {'taken' if taken else 'refused'} by the program"


def example(name: str) -> Any:
    values = {"name": "Anna", "pin": "123456", "code": "345678", "id": 1, "time": "08:00", "action": "lock"}
    return values.get(name, True)


def test_null_is_what_the_program_takes_it_for() -> None:
    pointer, _ = schema_of("<lock>/request/users/update")
    assert validator(pointer).is_valid({"id": 17, "name": None, "access": None})
    assert not validator(schema_of("<lock>/request/invite/create")[0]).is_valid({"name": None})


# -- words ------------------------------------------------------------------------------------------------------------


def words(name: str) -> list[str]:
    found: list[str] = document()["components"]["schemas"][name]["enum"]
    return found


def test_states_and_actions_are_those_of_the_program() -> None:
    assert words("LockState") == list(dict.fromkeys((*LOCK_STATES, *OPENER_STATES)))
    assert set(words("DoorState")) == {*state_json._DOOR_WORDS.values(), "unknown"}
    assert set(words("Action")) == set(ACTION_WORDS)


@pytest.mark.parametrize(
    "word",
    [
        *ACTION_WORDS,
        *OPENER_ACTIONS.aliases,
        "activateRTO",
        "deactivateCM",
        "electricStrikeActuation",
        "LOCK",
        "lock n go",
        "Lock 'n' go",
        "lockngo",
        "lockNgoUnlatch",
        "fullLock",
        "fobAction1",
        " unlock\n",
    ],
)
def test_spellings_that_the_program_takes_are_described(word: str) -> None:
    assert validator("/components/schemas/ActionAsked").is_valid(word)
    assert not validator("/components/schemas/ActionAsked").is_valid(f"{word} now")


def test_controls_of_a_virtual_lock_are_described() -> None:
    assert set(document()["components"]["schemas"]["Simulate"]["properties"]) == {
        *lock_control.CONTROLS,
        *opener_control.CONTROLS,
        "transaction",
    }


def test_it_describes_this_version() -> None:
    assert document()["info"]["version"] == nuki_bridge.__version__


# -- the schemas themselves -------------------------------------------------------------------------------------------


def inside(value: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in the description, with its place."""
    if isinstance(value, dict):
        yield place, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in children:
        yield from inside(each, f"{place}/{key}")


def test_no_object_takes_fields_that_are_not_described() -> None:
    for place, each in inside(document()):
        if isinstance(each.get("properties"), dict) and "/examples/" not in place:
            assert each["additionalProperties"] is False, place


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = set()
    for place, each in inside(document()):
        if isinstance(target := each.get("$ref"), str):
            found: Any = document()
            for part in target.removeprefix("#/").split("/"):
                assert part in found, f"{place} refers to {target}"
                found = found[part]
            used.add(target)
    assert {f"#/components/schemas/{name}" for name in document()["components"]["schemas"]} <= used


def messages() -> Iterator[tuple[str, dict[str, Any]]]:
    for key, channel in document()["channels"].items():
        for name, message in channel["messages"].items():
            if "$ref" not in message:
                yield f"/channels/{key}/messages/{name}", message
    for name, message in document()["components"]["messages"].items():
        yield f"/components/messages/{name}", message


def test_examples_are_valid() -> None:
    count = 0
    for pointer, message in messages():
        for each in message.get("examples", ()):
            count += 1
            validator(f"{pointer}/payload").validate(each["payload"])
    assert count > 60


def test_examples_tell_no_secret() -> None:
    text = json.dumps([message.get("examples") for _, message in messages()])
    assert set(re.findall(r'"code": "(.*?)"', text)) <= {"XXXX-XXXX-XXXX-XXXX"}
    assert set(re.findall(r'"shared_key": "(.*?)"', text)) <= {"0" * 64}
    assert '"pin"' not in text


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("nuki/front/state", b"locked", True),
        ("nuki/front/state", b"", True),
        ("nuki/bridge/state", b"online", True),
        ("nuki/front/set", b"whatever anybody sends", False),
        ("nuki/bridge/response/owner/inbox", b'{"status":"ok","data":[]}', False),
        ("nuki/front/response/fly", b'{"status":"error","error":"unknown_command","message":"no"}', False),
        ("elsewhere/x", b"x", False),
    ],
)
def test_what_is_documented_passes(topic: str, payload: bytes, retained: bool) -> None:
    assert mistake(topic, payload, retained=retained) is None


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("nuki/front/colour", b"red", True),
        ("nuki/front/state", b"ajar", True),
        ("nuki/front/state", b"locked", False),
        ("nuki/bridge/state", b"away", True),
        ("nuki/front/result", b'{"action":"lock","status":"ok","completion":"success","key":"x"}', False),
        ("nuki/front/result", b"lock", False),
        ("nuki/front/response/users/list", b'{"status":"ok","data":[{"id":1}]}', False),
        ("nuki/front/response/fly", b'{"status":"perhaps"}', False),
        ("nuki/front/relay/00/indicate", b"short", False),
    ],
)
def test_what_is_not_documented_is_found(topic: str, payload: bytes, retained: bool) -> None:
    assert mistake(topic, payload, retained=retained) is not None
