"""The whole story with a real broker, its shipped access list and the daemon: invite, redeem, act from elsewhere.

The guest has the guests' broker account and a directory of its own, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from nuki_bridge.sharing.invitation_code import key, lookup, read_code, seal
from tests.integration.command import Process, call, start
from tests.integration.daemon import CLASSIC
from tests.integration.guarded import GuardedBroker, password
from tests.integration.relayed import party

pytestmark = pytest.mark.real_time


async def test_anna_is_invited_redeems_and_unlocks_from_elsewhere(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        code = await house.invite(remote=True)
        redeemed = await house.guest("redeem", code)
        assert redeemed.status == 0, redeemed
        file = house.kept()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert list(file.parent.iterdir()) == [file]
        credential = json.loads(file.read_text())
        assert (credential["version"], credential["user"], credential["lock"]["address"]) == (1, "Anna", CLASSIC)
        assert credential["shared_key"] not in redeemed.out + redeemed.err

        done = await house.guest("guest", "unlock", broker=False)
        assert (done.status, done.out) == (0, "front: unlock: success\n"), done
        await house.until(lambda: house.last("front/state") == "unlocked")
        status = await house.guest("guest", "status", "--json")
        assert json.loads(status.out)["state"] == "unlocked"
        assert (await house.guest("guest", "lock", "front")).status == 0
        told = json.dumps([each for each in house.heard if "/relay/" not in each[0]])
        assert credential["shared_key"] not in told


async def test_a_code_can_be_redeemed_once_and_a_second_person_learns_it(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        code = await house.invite()
        assert (await house.guest("redeem", "-", stdin=f"{code.lower()}\n")).status == 0
        second = await house.guest("redeem", code, home="eve")
        assert second.status == 1
        assert "(redeemed)" in second.err
        assert not house.kept("eve").exists()


async def test_wrong_codes_say_what_is_wrong(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        mistyped = await house.guest("redeem", "ABCD-EFGH-JKMN-PQRU")
        assert mistyped.status == 2
        assert "mistyped" in mistyped.err
        assert "ABCD" not in mistyped.err
        unknown = await house.guest("redeem", "0000-0000-0000-0000")
        assert unknown.status == 1
        assert "(unknown)" in unknown.err


async def test_a_credential_is_never_overwritten(tmp_path: Path) -> None:
    """The code is not lost by that: the same device may ask again, for another file."""
    async with party(tmp_path) as house:
        assert (await house.guest("redeem", await house.invite("Anna"))).status == 0
        before = house.kept().read_text()
        code = await house.invite("Anna again")
        existing = await house.guest("redeem", code, "--credential", str(house.kept()))
        assert existing.status == 1
        assert "is there already" in existing.err
        default = await house.guest("redeem", code)
        assert default.status == 1
        assert "--credential FILE" in default.err
        assert house.kept().read_text() == before
        other = tmp_path / "elsewhere" / "second.json"
        third = await house.guest("redeem", code, "--credential", str(other))
        assert third.status == 0, third
        assert stat.S_IMODE(other.stat().st_mode) == 0o600
        assert json.loads(other.read_text())["user"] == "Anna again"
        assert (await house.guest("guest", "unlock", "--credential", str(other))).status == 0


async def test_a_guest_whose_answer_got_lost_asks_again(tmp_path: Path) -> None:
    """Killed right after it asked, it comes back as the same client."""
    async with party(tmp_path) as house:
        code = await house.invite()
        path = house.directory / "anna"
        path.mkdir()
        where = lookup(read_code(code))
        process = await start("redeem", code, "--broker", house.broker.url("guest"), HOME=str(path), XDG_CONFIG_HOME="")
        await house.until(lambda: house.on(f"invitation/{where}/redeem"))
        process.process.kill()
        await process.process.wait()
        if not house.kept().exists():
            again = await house.guest("redeem", code)
            assert again.status == 0, again
        assert (await house.guest("guest", "unlock")).status == 0


def shown_by_ps(process: Process) -> bytes:
    return Path(f"/proc/{process.process.pid}/cmdline").read_bytes()


async def test_the_code_is_not_shown_by_ps(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        house.daemon.kill()
        code = "0123-4567-89AB-CDEF"
        path = house.directory / "anna"
        path.mkdir()
        process = await start("redeem", code, "--broker", house.broker.url("guest"), HOME=str(path), XDG_CONFIG_HOME="")
        where = lookup(read_code(code))
        await house.until(lambda: house.on(f"invitation/{where}/redeem"))
        command_line = shown_by_ps(process)
        process.process.kill()
        await process.process.wait()
        assert b"redeem" in command_line
        assert code.encode() not in command_line
        assert password("guest").encode() not in command_line


async def test_the_guest_is_told_what_the_lock_and_the_owner_say(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        assert (await house.guest("redeem", await house.invite("Anna"))).status == 0
        assert (await house.guest("guest", "status")).status == 0

        await house.ask("front/simulate", {"block_motor": True})
        blocked = await house.guest("guest", "unlock")
        assert (blocked.status, "(motor_blocked)" in blocked.err) == (1, True), blocked
        await house.ask("front/simulate", {"block_motor": False})

        for change, code in (
            ({"access": {"from": "2031-01-01T00:00:00+00:00"}}, "time_not_allowed"),
            ({"access": None, "remote": False}, "remote_not_allowed"),
            ({"remote": True, "enabled": False}, "disabled"),
        ):
            answer = await house.ask("front/request/users/update", {"name": "Anna", **change})
            assert answer["status"] == "ok", answer
            refused = await house.guest("guest", "unlock", "--json")
            assert (refused.status, json.loads(refused.out)["error"]) == (1, code), refused
            assert ("limited it since you were invited" in refused.err) is (code == "time_not_allowed")
        await house.ask("front/request/users/remove", {"name": "Anna"})
        removed = await house.guest("guest", "unlock")
        assert removed.status == 1
        assert "ask for a new invitation" in removed.err
        assert "(not_authorized)" in removed.err


async def test_a_guest_who_comes_at_another_time_is_told_when_it_is_allowed(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        code = await house.invite("Anna", access={"weekdays": ["mo", "tu", "we"], "from": "2031-01-01T00:00:00"})
        assert (await house.guest("redeem", code)).status == 0
        refused = await house.guest("guest", "unlock")
        assert refused.status == 1
        assert "at this time; when you were invited it was mo-we, from 2031-01-01, which the owner may" in refused.err


async def test_guest_and_bridge_act_at_the_same_time(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        assert (await house.guest("redeem", await house.invite())).status == 0
        await house.ask("front/simulate", {"motor_s": 1.0})
        before = await house.movements()
        guest = asyncio.create_task(house.guest("guest", "unlock"))
        await house.until(lambda: any(topic.endswith("/indicate") for topic, _, _ in house.heard))
        answer = await house.ask("front/set", "lock")
        assert answer["status"] == "ok"
        assert (await guest).status == 0
        audit = await house.audit()
        # The turn is kept for a guest half a second between two frames: one who is slower comes second, and until then
        # there is nothing to lock.
        idle = [each for each in audit if each["detail"] == "nothing to do"]
        assert len(idle) <= 1
        assert await house.movements() == before + 2 - len(idle)
        assert not [each for each in audit if each["what"] == "action_refused"]


@pytest.mark.slow
async def test_without_a_bridge_the_guest_is_told_so(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        assert (await house.guest("redeem", await house.invite())).status == 0
        house.daemon.kill()
        result = await house.guest("guest", "unlock")
        assert result.status == 1
        assert "(timeout)" in result.err
        assert "the bridge is not running" in result.err


async def test_raw_frames_that_are_refused_are_answered(tmp_path: Path) -> None:
    async with party(tmp_path) as house, house.broker.peer("guest") as guest:
        session = "ab" * 16
        await guest.subscribe(f"nuki/front/relay/{session}/error")
        for payload, code in ((b"hello", "bad_frame"), (bytes(600), "payload_too_large")):
            guest.publish(f"nuki/front/relay/{session}/write", payload)
            told = json.loads((await guest.next()).payload)
            assert (told["status"], told["error"]) == ("error", code)
            assert told["message"]
        guest.publish(f"nuki/front/relay/{session}/write", b"hello", retain=True)
        assert json.loads((await guest.next()).payload)["error"] == "retained_command"


async def test_what_a_guest_leaves_retained_is_refused_and_removed(tmp_path: Path) -> None:
    """Also what was left while the bridge was away: it would come again with each connection."""
    async with party(tmp_path) as house, house.broker.peer("guest") as guest:
        code = read_code(await house.invite())
        relay, invitation = f"nuki/front/relay/{'ab' * 16}", f"nuki/invitation/{lookup(code)}"
        request = json.dumps({"client": "cd" * 16, "time": 0}).encode()
        sealed = seal(key(code), request, bytes(24))
        await guest.subscribe(f"{relay}/error")
        await guest.subscribe(f"{invitation}/response")
        house.daemon.kill()
        for topic, payload in ((f"{relay}/write", bytes(100)), (f"{invitation}/redeem", sealed)):
            guest.publish(topic, payload, retain=True)
        house.daemon.start()
        await house.online()
        told = [json.loads((await guest.next()).payload)["error"] for _ in range(2)]
        assert told == ["retained_command"] * 2
        assert [each["user"] for each in (await house.ask("front/request/invite/list"))["data"]] == ["Anna"]
        async with house.broker.peer("nuki") as later:
            for topic in (f"{relay}/write", f"{invitation}/redeem"):
                await later.subscribe(topic)
            with pytest.raises(TimeoutError):
                await later.next(1)


async def test_one_account_cannot_act_for_another_guest(tmp_path: Path) -> None:
    """All guests share an account: what one can see and send of another's is of no use to them."""
    async with party(tmp_path) as house, house.broker.peer("guest") as eve:
        assert (await house.guest("redeem", await house.invite())).status == 0
        await eve.subscribe("nuki/+/relay/+/indicate")
        await eve.subscribe("nuki/+/relay/+/write")
        await eve.subscribe("nuki/invitation/+/response")
        unlocked = await house.guest("guest", "unlock")
        assert unlocked.status == 0, unlocked
        before = await house.movements()
        seen = []
        with suppress(TimeoutError):
            while True:
                seen.append(await eve.next(2))
        assert seen, "the answers to a guest pass all guests by"
        assert {each.topic.rpartition("/")[2] for each in seen} == {"indicate"}, "what Anna wrote, nobody can read"
        shared_key = bytes.fromhex(json.loads(house.kept().read_text())["shared_key"])
        for each in seen:
            assert shared_key not in each.payload
            session = each.topic.split("/")[3]
            for topic in (each.topic.replace("indicate", "write"), f"nuki/front/relay/{'ef' * 16}/write"):
                eve.publish(topic, each.payload)
            assert len(session) == 32
        await asyncio.sleep(2)
        assert await house.movements() == before
        locked = await house.guest("guest", "lock")
        assert locked.status == 0, locked


async def test_an_account_that_may_not_ask_is_told_so_at_once(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        for account, arguments, code in (
            ("home", ("users", "list"), "broker_forbids"),
            ("home", ("invite", "--name", "Ben"), "broker_forbids"),
            ("guest", ("lock",), "bridge_offline"),
            ("owner", ("redeem", "0" * 16), "broker_forbids"),
        ):
            refused = await call(*arguments, "--broker", house.broker.url(account), HOME=str(tmp_path))
            assert (refused.status, f"({code})" in refused.err) == (1, True), refused
            assert password(account) not in refused.err


async def owner_invites(broker: GuardedBroker) -> str:
    """As the command line asks: over an inbox of its own."""
    async with broker.peer("owner") as owner:
        inbox = f"nuki/bridge/response/owner/{'cd' * 16}"
        await owner.subscribe(inbox)
        owner.publish("nuki/front/request/invite/create", json.dumps({"name": "Ben"}), ResponseTopic=inbox)
        answer = json.loads((await owner.next()).payload)
        code: str = answer["data"]["code"]
        return code


async def test_the_owners_answers_stay_with_the_owner(tmp_path: Path) -> None:
    """Home automation listens to everything it can while the owner invites somebody from the command line."""
    async with party(tmp_path) as house, house.broker.peer("home") as home:
        for topic in ("#", "nuki/bridge/response/#", "nuki/+/response/#", "nuki/bridge/response/owner/#"):
            await home.subscribe(topic)
        code = await owner_invites(house.broker)
        house.peer.publish("nuki/front/response/refresh", "end")
        heard = b""
        while b"end" not in heard[-3:]:
            heard += (await home.next()).payload
        assert code.encode() not in heard
        assert code.replace("-", "").encode() not in heard


async def test_the_command_line_works_for_owner_and_home(tmp_path: Path) -> None:
    async with party(tmp_path) as house:
        for account in ("owner", "home"):
            result = await call("refresh", "front", "--json", "--broker", house.broker.url(account))
            assert result.status == 0, result
            assert json.loads(result.out)["state"] == "locked"
            assert result.seconds < 10


async def test_guests_through_a_link_that_is_made_on_demand(tmp_path: Path) -> None:
    async with party(tmp_path, ", connection: on-demand") as house:
        assert (await house.guest("redeem", await house.invite())).status == 0
        await asyncio.sleep(3.0)
        assert (await house.guest("guest", "unlock")).status == 0
