"""`official_api: serve`: the bridge plays Nuki's MQTT API 1.5, over a real mosquitto in MQTT 3.1.1 and 5.

Whoever drives it here knows only the document.  What moved is read from the virtual lock's own audit trail.
"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any, Literal

import pytest

from nuki_bridge.protocol.codes import Action, DoorState, LockState
from tests import patience
from tests.integration.broker import Broker
from tests.integration.daemon import OPENER, Daemon, Home, running, watching
from tests.integration.hybrid import ID, Hybrid, hybrid, true_states, was_never_so

pytestmark = pytest.mark.real_time

Protocol = Literal["5", "3.1.1"]
BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
STATES = {"locked": "1", "unlocking": "2", "unlocked": "3", "locking": "4", "unlatched": "5", "unlocked_lock_n_go": "6"}
STATES |= {"unlatching": "7", "motor_blocked": "254", "undefined": "255", "uncalibrated": "0"}
OPENER_ID = "3E4F5061"


def serving(directory: Path, **more: Any) -> Any:
    return hybrid(directory, official_api="serve", own=False, **more)


async def up(home: Home, nuki_id: str = ID) -> None:
    await home.until(lambda: home.last(f"{nuki_id}/connected") == "true")


def send(home: Home, topic: str, payload: str | bytes, **more: Any) -> None:
    """Publish as a client of the API does."""
    home.peer.publish(f"nuki/{ID}/{topic}", payload, **more)


async def answered(home: Home, topic: str, payload: str, nuki_id: str = ID, **more: Any) -> int:
    """Send a command and return what `commandResponse` says of it."""
    before = len(home.on(f"{nuki_id}/commandResponse"))
    home.peer.publish(f"nuki/{nuki_id}/{topic}", payload, **more)
    await home.until(lambda: len(home.on(f"{nuki_id}/commandResponse")) > before)
    return int(home.on(f"{nuki_id}/commandResponse")[before])


def moved(home: Hybrid) -> list[str]:
    return [each.partition(":")[0] for each in home.turns]


async def nothing_more(home: Hybrid) -> None:
    """Wait until what was sent before this has had its turn."""
    await home.ask("front/request/refresh")
    await home.at_rest()


@BOTH
async def test_every_topic_of_the_document_is_there(tmp_path: Path, protocol: Protocol) -> None:
    async with serving(tmp_path, protocol=protocol) as home:
        await up(home)
        expected = {
            "deviceType": "4",
            "name": home.lock.settings.name,
            "firmware": "3.5.11",
            "mode": "2",
            "state": "1",
            "batteryCritical": "false",
            "batteryChargeState": "84",
            "batteryCharging": "false",
            "doorsensorState": "2",
            "connected": "true",
        }
        for topic, payload in expected.items():
            await home.until(lambda topic=topic, payload=payload: home.last(f"{ID}/{topic}") == payload)
        assert (home.last(f"{ID}/timestamp") or "")[10] == "T"
        sent = [each for each in home.broker.log.splitlines() if "Received PUBLISH" in each and f"'nuki/{ID}/" in each]
        levels = {line.partition(f"nuki/{ID}/")[2].split("'")[0]: line for line in sent}
        for topic, line in levels.items():
            assert "r1" in line, line
            assert "q0" in line or topic == "connected", line
        assert home.last(f"{ID}/ringactionTimestamp") is None


@BOTH
async def test_each_action_moves_the_bolt_once_and_is_answered(tmp_path: Path, protocol: Protocol) -> None:
    async with serving(tmp_path, protocol=protocol, unlatch_s=0.1, lock_n_go_s=0.2) as home:
        await up(home)
        for code, turns, state in (
            (1, ["unlock"], "3"),
            (2, ["lock"], "1"),
            (3, ["unlatch"], "3"),
            (6, ["full_lock"], "1"),
            (4, ["lock_n_go", "lock_n_go"], "1"),
            (5, ["lock_n_go_unlatch", "lock_n_go_unlatch"], "1"),
        ):
            before, events = len(home.turns), len(home.on(f"{ID}/lockActionEvent"))
            assert await answered(home, "lockAction", str(code)) == 0
            await home.at_rest()
            await home.until(lambda state=state: home.last(f"{ID}/state") == state)
            assert moved(home)[before:] == turns
            await home.until(lambda events=events: len(home.on(f"{ID}/lockActionEvent")) > events)
            assert home.on(f"{ID}/lockActionEvent")[events:] == [f"{code},172,0,0,0"]
        await home.ask("front/request/log/get")
        assert len(home.on(f"{ID}/lockActionEvent")) == 6
        assert len(home.on("front/result")) == 6
        shown = [each for each in home.on(f"{ID}/state") if each]
        assert (wrong := was_never_so(shown, [STATES[each] for each in true_states(home.lock)])) is None, wrong


async def test_simple_actions_go_by_auto_unlatch(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        assert await answered(home, "unlock", "true") == 0
        assert await answered(home, "lock", "true") == 0
        assert moved(home) == ["unlock", "lock"]
        assert (await home.ask("front/request/config/set", {"auto_unlatch": True}))["status"] == "ok"
        assert await answered(home, "unlock", "true") == 0
        await home.at_rest()
        assert moved(home)[2:] == ["unlatch"]


async def test_what_is_no_command_moves_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        for topic, payload in (
            *(
                ("lockAction", each)
                for each in ("0", "7", "80", "-1", "1.0", "0x1", "unlock", "true", "", " ", "9" * 99)
            ),
            *(("unlock", each) for each in ("false", "", "1", "TRUE?", "{}")),
            *(("lock", each) for each in ("false", "", "2")),
        ):
            send(home, topic, payload)
        send(home, "lockAction", b"\xff\x00")
        send(home, "lockAction", b"1" * 20_000)
        await nothing_more(home)
        assert home.turns == []
        assert await answered(home, "lockAction", "1") == 0


@BOTH
async def test_a_retained_command_is_never_carried_out(tmp_path: Path, protocol: Protocol) -> None:
    async with serving(tmp_path, protocol=protocol) as home:
        await up(home)
        send(home, "lockAction", "1")  # what is not retained is
        await home.until(lambda: home.turns == ["unlock: unlocking"])
        await nothing_more(home)
        await home.stop_bridge()
        await home.until(lambda: home.last(f"{ID}/connected") == "false")
        send(home, "lockAction", "2", retain=True)
        send(home, "unlock", "true", retain=True)
        send(home, "lock", "true", retain=True)
        await home.start_bridge()
        await up(home)
        await nothing_more(home)
        assert home.turns == ["unlock: unlocking"]
        # Somebody clears them, and the bridge goes on as if nothing had been.
        for topic in ("lockAction", "lock", "unlock"):
            send(home, topic, "", retain=True)
        assert await answered(home, "lockAction", "2") == 0
        assert moved(home) == ["unlock", "lock"]


async def test_a_command_that_is_retained_now_is_refused_where_the_flag_is_seen(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        send(home, "lockAction", "3", retain=True)
        await nothing_more(home)
        assert home.turns == []


async def test_actions_of_the_configuration_count(tmp_path: Path) -> None:
    async with serving(tmp_path, lock=", actions: [lock]") as home:
        await up(home)
        for topic, payload in (("lockAction", "1"), ("lockAction", "3"), ("lockAction", "5"), ("unlock", "true")):
            assert await answered(home, topic, payload) != 0
        assert home.turns == []
        home.lock.turn_by_hand(LockState.UNLOCKED)
        assert await answered(home, "lock", "true") == 0
        assert moved(home) == ["lock"]


async def test_with_auto_unlatch_the_simple_unlock_is_an_unlatching(tmp_path: Path) -> None:
    """Whoever allowed `unlock` and not `unlatch` did not allow a door that swings open."""
    async with serving(tmp_path, lock=", actions: [lock, unlock]") as home:
        await up(home)
        assert (await home.ask("front/request/config/set", {"auto_unlatch": True}))["status"] == "ok"
        assert await answered(home, "unlock", "true") != 0
        assert home.turns == []


@pytest.mark.slow
@BOTH
async def test_a_lock_out_of_reach_is_not_connected_and_gets_nothing_late(tmp_path: Path, protocol: Protocol) -> None:
    async with serving(tmp_path, protocol=protocol) as home:
        await up(home)
        home.lock.out_of_range()
        await home.until(lambda: home.last(f"{ID}/connected") == "false")
        assert await answered(home, "lockAction", "1") != 0
        home.lock.out_of_range(False)
        await up(home)
        await nothing_more(home)
        assert home.turns == []


@pytest.mark.slow
async def test_a_command_that_has_expired_is_not_carried_out(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        home.lock.out_of_range()
        started = patience.now()
        assert await answered(home, "lockAction", "1", MessageExpiryInterval=1) != 0
        assert patience.now() - started < 6.0
        home.lock.out_of_range(False)
        await up(home)
        await nothing_more(home)
        assert home.turns == []


async def test_what_goes_wrong_has_bluetooths_code(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        home.lock.block_motor()
        assert await answered(home, "lockAction", "1") == 66
        assert home.last(f"{ID}/state") == "254"
        home.lock.block_motor(False)
        home.lock.uncalibrate()
        assert await answered(home, "lockAction", "1") == 71


@pytest.mark.slow
async def test_commands_of_both_kinds_at_once_move_the_bolt_once_each(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        for _ in range(3):
            before = len(home.turns)
            send(home, "lockAction", "3")
            home.peer.send("nuki/front/set", "unlatch")
            results, responses = len(home.on("front/result")), len(home.on(f"{ID}/commandResponse"))
            await home.until(lambda results=results: len(home.on("front/result")) >= results + 2)
            await home.until(lambda responses=responses: len(home.on(f"{ID}/commandResponse")) > responses)
            await home.at_rest()
            done = [each for each in map(json.loads, home.on("front/result")[results:]) if each["status"] == "ok"]
            assert len(home.turns) - before == len(done)
            assert await answered(home, "lockAction", "2") == 0


@pytest.mark.slow
async def test_what_others_do_is_told_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        home.lock.press_fob(1)
        await home.until(lambda: home.on(f"{ID}/lockActionEvent"))
        await home.at_rest()
        await home.ask("front/request/log/get")
        home.lock.press_button()
        await home.until(lambda: len(home.on(f"{ID}/lockActionEvent")) > 1)
        await home.at_rest()
        await home.ask("front/request/log/get")
        fob, *_ = (each.authorization_id for each in home.lock.authorizations if each.name == "Fob")
        first, second = home.on(f"{ID}/lockActionEvent")
        assert first.split(",")[:3] == ["1", "3", str(fob)], first
        assert second.split(",")[:2] == ["2", "2"], second
        assert (await home.act("unlock"))["status"] == "ok"
        await home.ask("front/request/log/get")
        await home.until(lambda: len(home.on(f"{ID}/lockActionEvent")) == 3)
        home.lock.turn_by_hand(LockState.LOCKED)
        home.lock.set_door(DoorState.OPEN)
        await home.until(lambda: home.last(f"{ID}/doorsensorState") == "3")
        home.lock.use_keypad(Action.UNLOCK, accepted=False)
        await home.ask("front/request/log/get")
        assert len(home.on(f"{ID}/lockActionEvent")) == 3


async def test_a_flood_moves_nothing_much_and_does_not_keep_others_out(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        for _ in range(300):
            home.peer.send(f"nuki/{ID}/lockAction", "9")
        for _ in range(100):
            home.peer.send(f"nuki/{ID}/lockAction", "1")
        answer = await home.act("lock")
        await nothing_more(home)
        assert len(home.turns) <= 20, home.turns
        assert answer["status"] == "ok" or home.turns


async def test_a_lock_whose_own_api_is_on_is_not_served_a_second_time(tmp_path: Path) -> None:
    """Both would take a command: the bolt would move twice."""
    async with serving(tmp_path) as home:
        await up(home)
        await home.own.start()
        await home.until(lambda: "WARNING" in home.daemon.log or "ERROR" in home.daemon.log)
        await home.until(lambda: any(ID in line and "WARNING" in line for line in home.daemon.log.splitlines()))
        home.peer.publish(f"nuki/{ID}/lockAction", "3")
        await home.until(lambda: home.own.commands)
        await home.at_rest()
        await nothing_more(home)
        assert moved(home) == ["unlatch"]
        assert home.own.taken == 1
        await asyncio.sleep(1.0)
        said = [each for each in home.daemon.log.splitlines() if ID in each and each.startswith("WARNING")]
        assert len(said) == 1, said
        assert home.last(f"{ID}/state") == "3"  # the lock's own topics are not cleared


async def test_after_a_broker_restart_everything_is_there_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as home:
        await up(home)
        home.broker.stop()
        home.broker.start()
        await home.until(lambda: f"nuki/{ID}/connected" in home.broker.log.rpartition("mosquitto version")[2])
        await home.until(lambda: f"2 nuki/{ID}/lockAction" in home.broker.log.rpartition("mosquitto version")[2])
        before = len(home.on(f"{ID}/commandResponse"))
        send(home, "lockAction", "1")
        await home.until(lambda: len(home.turns) == 1)
        await home.at_rest()
        assert before == 0


# -- the process ------------------------------------------------------------------------------------------------------


class Settings:
    """The daemon as a process whose configuration changes."""

    def __init__(self, home: Home) -> None:
        self.daemon: Daemon = home.daemon

    def serve(self, how: str) -> None:
        text = self.daemon.config.read_text()
        for each in ("off", "listen", "serve"):
            text = text.replace(f"official_api: {each}", f"official_api: {how}")
        self.daemon.config.write_text(text)
        self.daemon.signal(signal.SIGHUP)


FRONT = 'locks: [{name: front, address: "54:D2:72:2B:3C:4D", pin: "1234", official_api: serve}]\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "broker").mkdir()
    return tmp_path


def kept(home: Home) -> dict[str, str]:
    """What is retained of the API, as far as was seen."""
    last = {topic: payload for topic, payload, _ in home.heard if topic.startswith(f"{ID}/")}
    never = ("commandResponse", "lockActionEvent", "lockAction", "lock", "unlock")
    return {topic: payload for topic, payload in last.items() if payload and topic.partition("/")[2] not in never}


async def test_the_will_tells_of_a_killed_bridge(directory: Path) -> None:
    with Broker(directory / "broker") as broker:
        async with running(broker, directory, FRONT) as home:
            await home.pair()
            await up(home)
            home.daemon.kill()
            await home.until(lambda: home.last(f"{ID}/connected") == "false")
            home.daemon.start()
            await up(home)
            home.daemon.signal(signal.SIGTERM)
            await home.daemon.ended(5.0)
            await home.until(lambda: home.last(f"{ID}/connected") == "false")


async def test_switched_off_and_on_while_it_runs(directory: Path) -> None:
    with Broker(directory / "broker") as broker:
        async with running(broker, directory, FRONT) as home:
            await home.pair()
            await up(home)
            Settings(home).serve("off")
            await home.until(lambda: not kept(home))
            send(home, "lockAction", "1")
            await home.ask("front/request/refresh")
            assert await home.movements() == 0
            Settings(home).serve("serve")
            await up(home)
            assert await answered(home, "lockAction", "1") == 0
            assert await home.movements() == 1
            assert (await home.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
            await home.until(lambda: not kept(home))


async def test_an_opener_is_served_with_its_own_codes(directory: Path) -> None:
    entry = f'locks: [{{name: gate, address: "{OPENER}", pin: "1234", official_api: serve}}]\n'
    with Broker(directory / "broker") as broker:
        async with running(broker, directory, entry) as home:
            await home.ask(f"{OPENER_ID}/simulate", {"hold_button": True})
            assert (await home.ask("bridge/request/pair", {"address": OPENER, "name": "gate"}))["status"] == "ok"
            await up(home, OPENER_ID)
            await home.until(lambda: home.last(f"{OPENER_ID}/deviceType") == "2")
            assert await answered(home, "lockAction", "1", OPENER_ID) == 0
            await home.until(lambda: home.last(f"{OPENER_ID}/state") == "3")
            assert await answered(home, "lock", "true", OPENER_ID) == 0
            await home.until(lambda: home.last(f"{OPENER_ID}/state") == "1")
            assert await answered(home, "lockAction", "4", OPENER_ID) == 0
            await home.until(lambda: home.last(f"{OPENER_ID}/mode") == "3")
            assert await answered(home, "lockAction", "5", OPENER_ID) == 0
            await home.until(lambda: home.last(f"{OPENER_ID}/mode") == "2")
            assert await home.movements("gate") == 0
            assert await answered(home, "unlock", "true", OPENER_ID) == 0
            assert await home.movements("gate") == 1
            assert await answered(home, "lockAction", "6", OPENER_ID) != 0
            assert await home.movements("gate") == 1


async def test_a_second_look_by_a_new_client_sees_everything_retained(directory: Path) -> None:
    with Broker(directory / "broker") as broker:
        async with running(broker, directory, FRONT) as home:
            await home.pair()
            await up(home)
            assert await answered(home, "lockAction", "1") == 0
            again = await watching(broker, home.daemon)
            try:
                await again.until(lambda: again.last(f"{ID}/connected") == "true")
                await again.until(lambda: again.last(f"{ID}/state") == "3")
                assert not again.on(f"{ID}/commandResponse")
                assert not again.on(f"{ID}/lockActionEvent")
                assert not again.on(f"{ID}/lockAction")
            finally:
                again.close()
