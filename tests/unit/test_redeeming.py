"""Redeeming a code while others write to the same topics: what is sealed with the code's key is believed at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.errors import RequestError
from nuki_bridge.guest.credential_file import Credential
from nuki_bridge.guest.guest import Redemption
from nuki_bridge.sharing.invitation_code import key, lookup, seal, unseal
from tests.unit.credentials import data

CODE = "0123456789ABCDEF"


class Mail:
    """The broker as a guest sees it: `answers` come for each request, in this order."""

    def __init__(self, *answers: bytes | float) -> None:
        self.answers = answers
        self.requests: list[bytes] = []

    def read(self, topic: str, reader: Callable[[bytes], None]) -> None:
        assert topic == f"nuki/invitation/{lookup(CODE)}/response"
        self.reader = reader

    def publish(self, topic: str, payload: bytes, expiry_s: int) -> bool:
        assert topic == f"nuki/invitation/{lookup(CODE)}/redeem"
        self.requests.append(payload)
        delay = 0.01
        for answer in self.answers:
            if isinstance(answer, float):
                delay += answer
            else:
                asyncio.get_running_loop().call_later(delay, self.reader, answer)
        return True

    async def unless_over(self, awaitable: Awaitable[Any]) -> Any:
        return await awaitable


def sealed(told: object) -> bytes:
    return seal(key(CODE), json.dumps(told).encode(), bytes(24))


def refusal(code: str) -> bytes:
    return json.dumps({"status": "error", "error": code}).encode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "nuki-bridge" / "guest"


def notes(home: Path) -> list[Path]:
    return list(home.glob(".redeem-*"))


async def redeem(mail: Mail) -> Credential:
    return await Redemption(CODE).ask(mail, "nuki")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "before",
    [
        (refusal("redeemed"),),
        (refusal("revoked"), refusal("expired")),
        (b"", b"noise", bytes(100), b"{", b"[]", b'{"status":"ok"}', refusal("A b")),
        (sealed(data())[:-1],),
    ],
)
async def test_forged_answers_do_not_keep_the_credential_away(home: Path, before: tuple[bytes, ...]) -> None:
    """They are not sealed: whoever made them does not have the code."""
    assert (await redeem(Mail(*before, 0.2, sealed(data())))).user == "Anna"


async def test_a_refusal_is_believed_when_nothing_else_comes(home: Path) -> None:
    with pytest.raises(RequestError, match="already") as error:
        await redeem(Mail(b"noise", refusal("redeemed")))
    assert error.value.code == "redeemed"


async def test_a_forged_refusal_does_not_lose_the_client_number(home: Path) -> None:
    """The bridge knows only that number: with another one the credential could never be had again."""
    first, second = Mail(refusal("redeemed")), Mail(sealed(data()))
    with pytest.raises(RequestError):
        await redeem(first)
    await redeem(second)
    numbers = {json.loads(unseal(key(CODE), each.requests[0]))["client"] for each in (first, second)}
    assert len(numbers) == 1


async def test_client_numbers_of_codes_that_came_to_nothing_are_forgotten(home: Path) -> None:
    with pytest.raises(RequestError):
        await redeem(Mail(refusal("unknown")))
    [note] = notes(home)
    week_old = note.stat().st_mtime - 9 * 24 * 3600
    other = note.with_name(".redeem-" + "0" * 32)
    other.write_text("1" * 32)
    os.utime(other, (week_old, week_old))
    with pytest.raises(RequestError):
        await redeem(Mail(refusal("unknown")))
    assert notes(home) == [note]


async def test_an_answer_to_somebody_else_who_has_the_code_is_none_for_us(home: Path) -> None:
    theirs = sealed({**data(), "client": "0" * 32})
    with pytest.raises(RequestError) as caught:
        await redeem(Mail(theirs, refusal("redeemed")))
    assert caught.value.code == "redeemed"


async def test_an_answer_to_our_own_client_number_is_taken_and_the_number_not_kept(home: Path) -> None:
    redemption = Redemption(CODE)
    mail = Mail(sealed({**data(), "client": redemption.client()}))
    credential = await redemption.ask(mail, "nuki")  # type: ignore[arg-type]
    assert credential.user == data()["user"]
    assert "client" not in credential.data
