"""An owner and guests in tests of invitations: what they ask for and how they redeem."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from nuki_bridge.sharing.invitation_code import key, lookup, read_code, seal, unseal
from tests.unit.house import House


class Guest:
    """Somebody with a code and a client number of their own."""

    def __init__(self, code: str, client: str | None = None) -> None:
        self.code = read_code(code)
        self.client = client or secrets.token_hex(16)

    @property
    def topic(self) -> str:
        return f"invitation/{lookup(self.code)}"

    def request(self, **changes: Any) -> bytes:
        """A sealed request."""
        content = json.dumps({"client": self.client, "time": 1_790_000_000, **changes}).encode()
        return seal(key(self.code), content, secrets.token_bytes(24))

    def read(self, answer: bytes) -> Any:
        """A credential, or the word of an error in clear."""
        if answer.startswith(b"{"):  # never the first byte of a sealed answer
            told = json.loads(answer)
            assert told.keys() == {"status", "error"}
            assert told["status"] == "error"
            return told["error"]
        return json.loads(unseal(key(self.code), answer))

    def redeem(self, house: House, payload: bytes | None = None, **fields: Any) -> Any:
        """What the bridge answers at once; None if nothing."""
        start = len(house.published)
        house.send(f"{self.topic}/redeem", self.request() if payload is None else payload, **fields)
        answers = [each for each in house.published[start:] if each.topic == f"nuki/{self.topic}/response"]
        assert len(answers) <= 1
        assert not any(each.retain for each in answers)
        return self.read(answers[0].payload) if answers else None


async def invite(house: House, lock: str = "front", **arguments: Any) -> dict[str, Any]:
    """The data of a created invitation."""
    answer = await house.ask(f"{lock}/request/invite/create", {"name": "Anna", **arguments})
    assert answer["status"] == "ok", answer
    data: dict[str, Any] = answer["data"]
    return data


def names(house: House) -> list[str]:
    """Who is on the lock, but for the bridge."""
    return [each.name for each in house.classic.authorizations if not each.name.startswith("nuki-bridge")]


def open_ones(house: House, lock: str = "front") -> list[dict[str, Any]]:
    """The retained list of open invitations."""
    found: list[dict[str, Any]] = json.loads(house.retained[f"nuki/{lock}/invitations"])
    return found


async def settle(seconds: float = 40.0) -> None:
    """Let background work be done."""
    await asyncio.sleep(seconds)


HOUR_S = 3600.0


async def paired(house: House) -> None:
    await house.pair(name="front", pin="1234")
