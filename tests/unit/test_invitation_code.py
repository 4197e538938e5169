"""The code of an invitation: how it is made, read and what is derived from it."""

from __future__ import annotations

import hashlib

import pytest

from nuki_bridge.errors import BadFrame
from nuki_bridge.sharing import invitation_code
from nuki_bridge.sharing.invitation_code import ALPHABET, grouped, key, link, lookup, make_code, read_code, seal, unseal

CODE = "0123456789ABCDEF"


def test_all_eighty_bits_are_in_the_code() -> None:
    assert make_code(bytes(10)) == "0" * 16
    assert make_code(b"\xff" * 10) == "Z" * 16
    assert make_code(bytes(9) + b"\x01") == "0" * 15 + "1"
    assert make_code(b"\x80" + bytes(9)) == "G" + "0" * 15
    codes = {make_code((1 << bit).to_bytes(10, "big")) for bit in range(80)}
    assert len(codes) == 80
    assert set(ALPHABET) == set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") - set("ILOU")


def test_derivation_is_sha512_over_the_plain_characters() -> None:
    digest = hashlib.sha512(b"nuki-bridge/invitation/1:0123456789ABCDEF").digest()
    assert lookup(CODE) == digest[:16].hex()
    assert key(CODE) == digest[32:]
    assert len(key(CODE)) == 32


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        "0123-4567-89AB-CDEF",
        " 0123 4567 89ab cdef\n",
        "o123-4567-89ab-cdef",
        "OI23456789abcdef",
        "0l23456789abcdef",
        "0123–4567–89AB–CDEF",
        "nuki-bridge:invite?code=0123-4567-89AB-CDEF",
        "NUKI-BRIDGE:invite?x=1&code=0123-4567-89ab-cdef&y=2",
    ],
)
def test_a_code_is_read_as_people_write_it(text: str) -> None:
    assert read_code(text) == CODE


def test_what_is_shown_and_linked_is_read_again() -> None:
    code = make_code(b"ten bytes!")
    assert grouped(code).count("-") == 3
    assert read_code(grouped(code)) == read_code(link(code)) == code
    assert read_code(link(code, "https://door.example.net:8443")) == code
    assert read_code(f" HTTPS://door.example.net/#code={code.lower()}&lang=de") == code


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0123-4567-89AB-CDEU", "character 16"),
        ("0123-4567-8*AB-CDEF", "character 10"),
        ("0123-4567-89AB-CDEÖ", "character 16"),
        ("0123-4567-89AB-CDE", "15 characters"),
        ("0123-4567-89AB-CDEF-0", "17 characters"),
        ("", "0 characters"),
        ("nuki-bridge:invite", "0 characters"),
    ],
)
def test_a_mistyped_code_is_said_to_be_mistyped_without_showing_it(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="mistyped") as error:
        read_code(text)
    assert told in str(error.value)
    assert "4567" not in str(error.value)


def test_what_is_sealed_opens_with_the_same_key_alone() -> None:
    sealed = seal(key(CODE), b"content", b"n" * 24)
    assert sealed[:24] == b"n" * 24
    assert unseal(key(CODE), sealed) == b"content"
    for wrong in (sealed[:-1], sealed[:30], b"", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(BadFrame):
            unseal(key(CODE), wrong)
    with pytest.raises(BadFrame):
        unseal(key("0" * 16), sealed)


def test_a_code_is_made_of_ten_bytes() -> None:
    with pytest.raises(ValueError, match="10"):
        invitation_code.make_code(b"short")
