"""The owner's modules in node: every request is there, every setting, words for each error, and how much they weigh."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nuki_bridge.bridge import bridge_commands, pairing_commands
from nuki_bridge.bridge.requests import TABLES
from nuki_bridge.lock.wall_clock import TIMEZONES
from nuki_bridge.owner import lock_config, opener_config
from tests.page.known import PAGE, ROOT
from tests.page.modules import guest_files, imported, node, owner_paths, weights

OWNER_SIZE = 120 * 1024
"""Bytes that an owner's page may have in all, each file compressed as it travels."""
OWNER = PAGE / "owner"

NOT_ASKED: dict[str, str] = {}
"""Requests that the page does not make, each with the reason."""


def scripts() -> str:
    return "\n".join(path.read_text() for path in sorted(OWNER.glob("*.js")))


def requests() -> set[str]:
    """Every request that an owner may make."""
    tables = (*TABLES, bridge_commands.REQUESTS, pairing_commands.REQUESTS)
    return {name for table in tables for name in table}


def owner_table() -> Any:
    return node("const { TABLE } = await load('owner/texts.js'); console.log(JSON.stringify(TABLE));")


def guest_table() -> Any:
    return node("const { table } = await load('texts.js'); console.log(JSON.stringify(table));")


def test_the_page_can_do_everything_that_mqtt_can() -> None:
    asked = set(re.findall(r'house\.request\([^,]+, "([a-z/]+)"', scripts()))
    assert asked == requests() - set(NOT_ASKED)


def test_arguments_of_each_request_are_those_that_the_bridge_takes() -> None:
    """Every argument that the bridge takes is named where the page makes the request."""
    text = scripts()
    for table in (*TABLES, bridge_commands.REQUESTS, pairing_commands.REQUESTS):
        for name, declared in table.items():
            if name == "config/set":
                continue  # its settings stand in a table of their own
            for argument in {**declared.arguments.required, **declared.arguments.optional}:
                if (name, argument) not in OTHERWISE:
                    sent = rf"\b{argument}: |asked\.{argument} =|[{{,] {argument}(,| }})"
                    assert re.search(sent, text), f"{name}: {argument}"


OTHERWISE = {
    ("log/get", "after"): "the page reads from the newest backwards",
}
"""Arguments that are not used, each with the reason."""


def test_every_setting_is_there_with_words() -> None:
    groups = node("const { GROUPS } = await load('owner/settings_table.js'); console.log(JSON.stringify(GROUPS));")
    settings = {name: each for group in groups.values() for name, each in group.items()}
    assert set(settings) == set(lock_config.checks())
    table = owner_table()
    for name, check in lock_config.checks().items():
        each = settings[name]
        assert f"owner.set.{name}" in table
        if each["kind"] == "flag":
            assert check(True) is not None
        elif each["kind"] == "number":
            check(each["low"])
            check(each["high"])
            for outside in (each["low"] - 1, each["high"] + 1):
                with pytest.raises(ValueError, match="must be"):
                    check(outside)
        elif each["kind"] == "word":
            assert check.schema.get("enum", each["words"]) == each["words"], name
            for word in each["words"]:
                check(word)
                assert f"owner.word.{word}" in table or word in TIMEZONES, word
        else:
            check({"time": "22:00", "text": "Front"}[each["kind"]])
    assert settings["timezone"]["words"] == ["none", *sorted(TIMEZONES)]


def test_an_openers_settings_are_its_own_with_words() -> None:
    groups = node(
        "const { OPENER_GROUPS } = await load('owner/settings_table.js');console.log(JSON.stringify(OPENER_GROUPS));"
    )
    settings = {name: each for group in groups.values() for name, each in group.items()}
    table = owner_table()
    assert {*opener_config.BASIC, *opener_config.ADVANCED} <= set(settings)
    assert {f"owner.group.{name}" for name in groups} | {f"owner.set.{name}" for name in settings} <= set(table)
    assert settings["doorbell_suppression"]["words"] == list(opener_config.SUPPRESSIONS)
    for name in ("single_button_press_action", "double_button_press_action"):
        assert settings[name]["words"] == list(opener_config.BUTTON_ACTIONS)
    for number in (1, 2, 3):
        assert settings[f"fob_action_{number}"]["words"] == list(opener_config.FOB_ACTIONS.values())
    for name, each in settings.items():
        if each["kind"] == "word" and name != "timezone":
            assert {f"owner.word.{word}" for word in each["words"]} <= set(table), name


def test_each_error_has_words_for_an_owner() -> None:
    table = {**guest_table(), **owner_table()}
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| ([^|]+) \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    codes = [code for code, said_by in rows if "bridge" in said_by or "lock" in said_by]
    assert len(codes) > 50
    assert [each for each in codes if f"owner.error.{each}" not in table and f"error.{each}" not in table] == []


def test_no_error_sends_an_owner_to_the_owner() -> None:
    """What the guest's words leave to the owner has other words here."""
    guest, owner = guest_table(), owner_table()
    sent_on = {key for key, words in guest.items() if key.startswith("error.") and ("Tell the owner" in words[0])}
    others = {"error.bad_password", "error.bad_credential", "error.redeemed"}
    """A login says `bad_login`; the others come of redeeming alone."""
    assert {key for key in sent_on - others if f"owner.{key}" not in owner} == set()


def test_every_word_has_two_languages_and_every_key_words() -> None:
    table, guest = owner_table(), guest_table()
    for key, words in table.items():
        assert len(list(filter(None, words))) == 2, key
        names = [sorted(re.findall(r"\{(\w+)\}", each)) for each in words]
        assert names[0] == names[1], key
    assert not set(table) & set(guest)
    used = set(re.findall(r'\bt\("([a-z][a-z0-9._-]+)"', scripts()))
    assert len(used) > 100
    assert used <= set(table) | set(guest), used - set(table) - set(guest)
    for name in re.findall(r'entry\("[a-z]+", "([a-z]+)"\)', scripts()):
        assert {f"owner.{name}", f"owner.{name}.below"} <= set(table)


def test_an_owners_page_is_small_and_a_guest_loads_nothing_of_it() -> None:
    assert not [name for name in guest_files() if name.startswith("owner/")]
    owners = imported("owner/main.js") | {"owner/owner.css"}
    assert {path.name for path in OWNER.iterdir()} == {
        name.removeprefix("owner/") for name in owners if name.startswith("owner/")
    }
    sizes = weights(owner_paths())
    assert sum(sizes.values()) <= OWNER_SIZE, sizes


def test_no_secret_is_kept() -> None:
    """Nothing but the account is ever put into the browser's storage, and that only in one place."""
    for path in OWNER.glob("*.js"):
        text = path.read_text()
        assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", text), path
        assert len(re.findall(r"keepAccount", text)) == (path.name == "account.js"), path
    whole = "\n".join(path.read_text() for path in PAGE.rglob("*.js"))
    written = set(re.findall(r"localStorage\.setItem\(([^,]+),", whole))
    assert written == {'"language"', '"sweep"'}, "what stands in localStorage stays on the disk"


def test_a_span_is_told_in_the_unit_that_people_would_say_it_in() -> None:
    told = node(
        "const { span } = await load('owner/words.js');"
        "console.log(JSON.stringify([59, 60, 3599, 3600, 172799, 172800, 31536000].map(span)));"
    )
    assert told == ["0 minutes", "1 minute", "59 minutes", "1 hour", "47 hours", "2 days", "365 days"]
