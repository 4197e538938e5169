"""The letter of an invitation: nothing is left to fill in, and it is in the words and dates of whoever reads it."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nuki_bridge import HOMEPAGE
from nuki_bridge.command_line import guest_commands, letter
from nuki_bridge.command_line.letter import LANGUAGES, Letter
from nuki_bridge.sharing.invitation_code import read_code

CODE = "7K3M-PQ4R-9TVW-XYZ1"
ANNA = Letter(
    name="Anna",
    lock="front_door",
    expires="2026-12-02T14:30:00+01:00",
    code=CODE,
    link=f"https://door.example.net/#code={CODE}",
    remote=True,
    access={
        "weekdays": ["mo", "tu", "we", "th", "fr"],
        "time_from": "08:00",
        "time_until": "20:00",
        "until": "2026-12-24T23:59:59",
    },
    broker="mqtts://guest@broker.example.net:8883/nuki",
)
BY_CODE = replace(ANNA, link=f"nuki-bridge:invite?code={CODE}")
PAGE = Path(__file__).parents[2] / "nuki_bridge" / "web" / "page" / "owner" / "texts.js"


def test_with_the_page_in_english() -> None:
    assert ANNA.text("en").splitlines() == [
        "Anna, this link gives your phone a key to “Front door”. It works once, "
        "until Wednesday, 2 December 2026, 14:30:",
        "",
        f"  https://door.example.net/#code={CODE}",
        "",
        "You may use the key Mon–Fri 08:00–20:00, until 24 December 2026.",
        f"You need no app and no account. If the page asks for a code, it is {CODE}",
    ]


def test_with_the_page_in_german() -> None:
    assert replace(ANNA, lock="haustür").text("de").splitlines() == [
        "Anna, dieser Link gibt deinem Handy einen Schlüssel für „Haustür“. Er gilt einmal, "
        "bis Mittwoch, 2. Dezember 2026, 14:30 Uhr:",
        "",
        f"  https://door.example.net/#code={CODE}",
        "",
        "Du darfst den Schlüssel benutzen: Mo–Fr 08:00–20:00, bis 24. Dezember 2026.",
        f"Du brauchst keine App und kein Konto. Fragt die Seite nach einem Code, ist es {CODE}",
    ]


def test_without_the_page_it_says_what_to_install_and_what_to_type() -> None:
    lines = replace(BY_CODE, access=None).text("en").splitlines()
    assert lines[2:] == [
        f"  {CODE}",
        "",
        f"You need Linux and the program nuki-bridge. How to install it: {HOMEPAGE}",
        "Then type this. It asks for the code, and for a password that I tell you in another way:",
        "",
        "  nuki-bridge redeem --broker mqtts://guest@broker.example.net:8883/nuki",
        "",
        "From then on this unlocks the door, wherever you are:",
        "",
        "  nuki-bridge guest unlock",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("made", [ANNA, BY_CODE, replace(BY_CODE, remote=False), replace(BY_CODE, broker=None)])
def test_nothing_is_left_to_fill_in(made: Letter, language: str) -> None:
    text = made.text(language)
    assert not re.search(r"PASSWORD|HOST|None|[{}<>…]|\d{4}-\d\d-\d\d", text)
    assert text.count(CODE) == (2 if made.link.startswith("https") else 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_near_the_door_only_is_said(language: str) -> None:
    assert "Bluetooth" in replace(ANNA, remote=False).text(language)
    assert "Bluetooth" not in ANNA.text(language)
    assert "nuki-bridge guest unlock --bluetooth" in replace(BY_CODE, remote=False).text(language)


def test_an_opener_opens() -> None:
    assert "  nuki-bridge guest open" in replace(BY_CODE, is_opener=True).text("en")
    assert "öffnet dies die Tür, wo du auch bist:" in replace(BY_CODE, is_opener=True).text("de")


@pytest.mark.parametrize(
    ("access", "english", "german"),
    [
        ({"weekdays": ["mo", "we", "sa", "su"]}, "Mon, Wed, Sat–Sun", "Mo, Mi, Sa–So"),
        ({"time_from": "22:00"}, "22:00–24:00", "22:00–24:00"),
        ({"from": "2026-12-24T00:00:00"}, "from 24 December 2026", "ab 24. Dezember 2026"),
        ({"until": "2026-12-24T18:00:00"}, "until 24 December 2026, 18:00", "bis 24. Dezember 2026, 18:00 Uhr"),
    ],
)
def test_limits_are_in_the_languages_words(access: dict[str, object], english: str, german: str) -> None:
    assert f"You may use the key {english}." in replace(ANNA, access=access).text("en")
    assert f"Du darfst den Schlüssel benutzen: {german}." in replace(ANNA, access=access).text("de")


def test_its_sentences_are_those_that_the_page_shares() -> None:
    table = dict.fromkeys(("owner.invite.message", "owner.invite.message.near", "owner.invite.message.end"), ("", ""))
    for key in table:
        found = re.search(rf'"{re.escape(key)}": \[\s*"([^"]+)",\s*"([^"]+)",?\s*\]', PAGE.read_text())
        assert found, key
        table[key] = (found[1], found[2])
    shared = zip(*table.values(), strict=True)
    written = [letter._WORDS[each] for each in LANGUAGES]
    assert list(shared) == [(each.link, each.nearby, each.no_app) for each in written]


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "de"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "den_XX"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_terminal(environ: dict[str, str], language: str) -> None:
    assert letter.language(environ) == language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("invitation", [ANNA, BY_CODE], ids=["with the page", "without it"])
@pytest.mark.parametrize("before", ["", "Anna can redeem this invitation to front_door once, until Wed:\n\n", "> "])
def test_the_whole_letter_can_be_pasted_where_the_code_is_asked_for(
    language: str, invitation: Letter, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(before + invitation.text(language)))
    assert read_code(guest_commands._code(None)) == read_code(CODE)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("\n", "0 characters"),
        ("7K3M-PQ4R-9TVW\n7K3M-PQ4R-9TVW-XYZ1\n", "12 characters"),
        ("7K3M-PQ4R-9TVW-XYZU\n", "character 16"),
        ("7K3M-PQ4R-9TVW-XYZ1-00\n", "18 characters"),
        ("a letter in which there is no code at all\n", "mistyped"),
        ("", "0 characters"),
    ],
)
def test_a_mistyped_code_is_told_at_once_and_not_waited_for(
    typed: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    with pytest.raises(ValueError, match=told):
        read_code(guest_commands._code(None))


@pytest.mark.parametrize("typed", [CODE, CODE.lower(), f"  {CODE.replace('-', ' ')} ", BY_CODE.link, f"│  {CODE}  │"])
def test_the_code_alone_is_taken_as_ever(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\nrest\n"))
    assert read_code(guest_commands._code("-")) == read_code(CODE)
