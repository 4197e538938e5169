"""The process is killed at every durable step of an invitation, and the next one finds a world that makes sense."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.sharing.invitation_code import key, read_code
from tests import patience
from tests.unit import invitation_run
from tests.unit.invitation_run import CLIENT, LOCKS, TOLD, Doomed, Recording
from tests.unit.invited import Guest, names, open_ones

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([invitation_run.__name__])  # imports take longer than a life
MOMENTS = ("commit", "done", "lock")


def run(directory: Path, end: str, step: int, moment: str) -> bool:
    """Live until the given step; False if there are not that many."""
    directory.mkdir()
    process = PROCESSES.Process(target=invitation_run.main, args=(directory, end, step, moment))
    process.start()
    with suppress(AssertionError):
        patience.blocking_until(lambda: process.exitcode is not None)
    status = process.exitcode
    process.kill()
    process.join()
    assert status in (0, -signal.SIGKILL), "it does not end" if status is None else "see its traceback in stderr"
    return status != 0


def told(directory: Path) -> list[tuple[str, bytes]]:
    lines = (directory / TOLD).read_text().splitlines()
    return [(each["topic"], bytes.fromhex(each["payload"])) for each in map(json.loads, lines)]


def invited(directory: Path) -> dict[str, Any] | None:
    """What the owner was answered, if the answer left in time."""
    answers = [json.loads(payload) for topic, payload in told(directory) if topic.endswith("invite/create")]
    return answers[0]["data"] if answers else None


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("end", ["redeem", "revoke", "expire"])
async def test_killed_at_any_step_nothing_is_doubled_or_lost(tmp_path: Path, end: str, moment: str) -> None:
    step = 0
    while run(tmp_path / str(step), end, step, moment):
        await check(tmp_path / str(step), end, step)
        step += 1
    assert step >= (1 if moment == "lock" else 4), f"only {step} steps were seen"


async def check(directory: Path, end: str, step: int) -> None:
    """What a start after the kill must find; virtual time begins anew, a minute or so after the pairing."""
    assert (directory / LOCKS).exists()
    data = invited(directory)
    delivered = [payload for topic, payload in told(directory) if "/invitation/" in topic]
    revoked = any(topic.endswith("invite/revoke") for topic, _ in told(directory))
    house = Recording(directory, Doomed(0, "never"))
    async with house.running():
        await asyncio.sleep(100.0)
        if data is None:
            # Nobody has the code: an open invitation can be revoked, anything else has left the lock.
            for each in open_ones(house):
                assert (await house.ask("front/request/invite/revoke", {"id": each["id"]}))["status"] == "ok"
            await asyncio.sleep(60.0)
            assert names(house) == [], f"step {step}"
            return
        first, second = Guest(data["code"], CLIENT), Guest(data["code"])
        answers = {"first": first.redeem(house), "second": second.redeem(house)}
        winners = [name for name, answer in answers.items() if isinstance(answer, dict)]
        losers = {answer for answer in answers.values() if isinstance(answer, str)}
        if end == "redeem":
            # `first` wins, now or before, unless its ten minutes or even the seven days are over.
            assert winners in (["first"], []), f"step {step}: {answers}"
            assert losers <= {"redeemed", "unknown"}
            if not delivered:
                assert winners == ["first"], f"step {step}: the invitation is lost"
            await asyncio.sleep(60.0)
            assert names(house) == ["Anna"], f"step {step}"
        elif winners:
            # Not yet ended, hence open for whoever came first.
            assert winners == ["first"], f"step {step}"
            assert losers == {"redeemed"}
            assert not revoked
            assert names(house) == ["Anna"], f"step {step}"
        else:
            assert losers <= {"revoked", "expired", "unknown"}, f"step {step}: {answers}"
            await asyncio.sleep(60.0)
            assert names(house) == [], f"step {step}"
            assert house.bridge.invitations.pending("front") == set()
            files = b"".join(file.read_bytes() for file in (directory / "state").iterdir())
            assert key(read_code(data["code"])) not in files, f"step {step}: the key outlives the invitation"
