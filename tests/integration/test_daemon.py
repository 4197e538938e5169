"""The daemon as a process of its own, with a real mosquitto and virtual locks, seen by an independent MQTT client."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests import patience
from tests.integration.broker import Broker, Peer
from tests.integration.daemon import CLASSIC, OPENER, PIN, ULTRA, Daemon, Home, running

pytestmark = pytest.mark.real_time


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    with Broker(directory) as broker:
        yield broker


async def test_scan_pair_and_act_on_both_families(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        found = (await home.ask("bridge/request/scan", {"timeout": 1.5}))["data"]
        assert {each["address"]: each["pairing_mode"] for each in found} == {
            CLASSIC: True,
            ULTRA: True,
            OPENER: False,
        }
        await home.pair(CLASSIC, "front")
        await home.pair(ULTRA, "back", pin=PIN)
        for name in ("front", "back"):
            for action, state in (("unlock", "unlocked"), ("LOCK", "locked"), ("open", "unlocked")):
                answer = await home.ask(f"{name}/set", action)
                assert (answer["status"], answer["completion"]) == ("ok", "success")
                assert home.last(f"{name}/state") == state
            assert await home.movements(name) == 3
        assert [json.loads(each)["action"] for each in home.on("front/event")] == ["unlock", "lock", "unlatch"]
        assert PIN not in "".join(payload for topic, payload, _ in home.heard if "/request/" not in topic)
        assert PIN not in home.daemon.log


async def test_retained_command_is_refused_at_once_and_after_a_reconnect(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        answer = await home.ask("front/set", "unlock", retain=True)
        assert answer["error"] == "retained_command"
        before = len(home.on("front/result"))
        home.daemon.signal(signal.SIGTERM)
        await home.daemon.ended(3.0)
        home.daemon.start()
        await home.until(lambda: len(home.on("front/result")) > before)
        assert json.loads(home.on("front/result")[before])["error"] == "retained_command"
        await home.until(lambda: home.last("front/availability") == "online")
        assert home.last("front/state") == "locked"
        assert await home.movements() == 0


async def test_command_with_an_expiry_is_dropped_when_it_is_over(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        await home.ask("front/simulate", {"out_of_range": True})
        started, real = patience.now(), time.monotonic()
        answer = await home.ask("front/set", "unlock", MessageExpiryInterval=2)
        assert answer["error"] == "timeout"
        assert time.monotonic() - real > 1.0
        assert patience.now() - started < 4.0
        await home.ask("front/simulate", {"out_of_range": False})
        await home.until(lambda: home.last("front/availability") == "online")
        assert await home.movements() == 0


async def test_malformed_messages_are_answered_and_change_nothing(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        for payload, error in (
            (b"\xff", "bad_request"),
            (b'{"action":"unlock"', "bad_request"),
            (b'{"action":"fly"}', "unknown_action"),
            (b"", "unknown_action"),
            (b"unlock" + b" " * 20000, "payload_too_large"),
            (b"[" * 10000, "bad_request"),
        ):
            assert (await home.ask("front/set", payload))["error"] == error
        assert (await home.ask("nosuch/set", "unlock"))["error"] == "unknown_lock"
        assert (await home.ask("front/request/fly"))["error"] == "unknown_command"
        assert (await home.ask("bridge/request/pair", {"pin": "12x4"}))["error"] == "bad_request"
        assert await home.movements() == 0
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"


async def test_response_topic_and_correlation_data_are_honoured(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.peer.subscribe("me/+")
        for number, (request, answer) in enumerate(
            (("bridge/request/health", "bridge/response/health"), ("bridge/request/fly", "bridge/response/fly"))
        ):
            home.peer.publish(
                f"nuki/{request}", '{"transaction":7}', ResponseTopic="me/inbox", CorrelationData=b"\0%d" % number
            )
            await home.until(partial(lambda number: len(home.on("me/inbox")) > number, number))
            assert json.loads(home.on("me/inbox")[-1])["transaction"] == 7
            assert [each for topic, _, each in home.heard if topic == "me/inbox"][-1] == b"\0%d" % number
            await home.ask("bridge/request/locks")  # behind which nothing more comes to the one before
            assert home.on(answer) == []


async def test_broker_restart_brings_everything_back(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        broker.stop()
        await asyncio.sleep(0.5)
        broker.start()
        again = Peer(broker)
        await again.subscribe("nuki/#")
        fresh = Home(broker, home.daemon, again)
        await fresh.online()
        await fresh.until(lambda: fresh.last("front/state") == "locked")
        assert (await fresh.ask("front/set", "unlock"))["status"] == "ok"
        fresh.close()


async def test_lost_retained_topic_comes_back(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        for topic in ("front/state", "bridge/info", "bridge/state"):
            before = home.last(topic)
            home.peer.publish(f"nuki/{topic}", b"", retain=True)
            await home.until(partial(lambda topic, before: home.on(topic)[-2:] == ["", before], topic, before))


async def test_sigterm_says_goodbye_in_time(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        home.daemon.signal(signal.SIGHUP)
        started = patience.now()
        home.daemon.signal(signal.SIGTERM)
        assert await home.daemon.ended(3.0) == 0
        assert patience.now() - started < 3.0
        await home.until(lambda: home.last("bridge/state") == "offline")
        assert home.last("front/availability") == "offline"


async def test_sigterm_in_the_middle_of_an_action_is_answered(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        await home.ask("front/simulate", {"motor_s": 30})
        home.peer.publish("nuki/front/set", "unlock")
        await home.until(lambda: home.last("front/state") == "unlocking")
        home.daemon.signal(signal.SIGTERM)
        await home.daemon.ended(3.0)
        await home.until(lambda: home.last("bridge/state") == "offline")
        assert json.loads(home.on("front/result")[-1])["error"] == "stopped"


async def test_kill_leaves_offline_through_the_last_will(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        home.daemon.kill()
        await home.until(lambda: home.last("bridge/state") == "offline")


async def test_pairing_survives_a_kill(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        home.daemon.kill()
        await home.until(lambda: home.last("bridge/state") == "offline")
        home.daemon.start()
        await home.online()
        await home.until(lambda: home.last("front/availability") == "online")
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"


async def test_renamed_lock_leaves_nothing_behind(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair(name="old")
        home.daemon.signal(signal.SIGTERM)
        await home.daemon.ended(3.0)
        with home.daemon.config.open("a") as file:
            file.write(f'locks: [{{name: new, address: "{CLASSIC}"}}]\n')
        home.daemon.start()
        await home.until(lambda: home.last("new/state") == "locked")
        for kind in ("availability", "state", "door", "battery", "status"):
            await home.until(partial(lambda kind: home.last(f"old/{kind}") == "", kind))


async def test_unpair_clears_the_topics(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        assert (await home.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
        for kind in ("availability", "state", "door", "battery", "status"):
            assert home.last(f"front/{kind}") == ""


async def test_restart_request_ends_the_process_for_its_supervisor(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        assert (await home.ask("bridge/request/restart"))["status"] == "ok"
        assert await home.daemon.ended(3.0) == 1
        await home.until(lambda: home.last("bridge/state") == "offline")


async def test_without_a_broker_it_stays_up_says_so_once_and_recovers(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    daemon = Daemon(tmp_path, broker.port)
    daemon.start()
    try:
        await patience.until(lambda: "WARNING" in daemon.log)
        await asyncio.sleep(5.0)
        assert daemon.process is not None
        assert daemon.process.poll() is None
        assert len(re.findall("WARNING.*MQTT", daemon.log)) == 1
        with broker:
            peer = Peer(broker)
            await peer.subscribe("nuki/#")
            home = Home(broker, daemon, peer)
            await home.until(lambda: home.last("bridge/state") == "online")
            home.close()
    finally:
        daemon.kill()


async def test_second_daemon_on_the_same_state_is_refused(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        second = Daemon(tmp_path, broker.port)
        second.start()
        try:
            assert await second.ended(patience.HANG_S) == 1
        finally:
            second.kill()
        assert "in use by another nuki-bridge" in home.daemon.log


async def test_memory_stays_small(broker: Broker, tmp_path: Path) -> None:
    async with running(broker, tmp_path) as home:
        await home.pair()
        assert (await home.ask("front/set", "unlock"))["status"] == "ok"
        assert home.daemon.memory_kib() < 40 * 1024
