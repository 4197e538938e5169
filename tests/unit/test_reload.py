"""Another configuration is taken into use: what changed is done anew, what did not keeps its link.  In virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.config import BluetoothSettings, DiscoverySettings, LockSettings, Secret, Settings
from nuki_bridge.errors import StoreError
from nuki_bridge.store import PairedLock
from tests.unit.house import CLASSIC, ULTRA, House
from tests.unit.reloading import Reloading

FRONT = LockSettings("front", CLASSIC)
SHED = LockSettings("shed", ULTRA)


@pytest.fixture
def both(tmp_path: Path) -> Reloading:
    return Reloading(House(tmp_path / "state", FRONT, SHED))


async def pair_both(reloading: Reloading) -> None:
    await reloading.house.pair(name="front")
    await reloading.house.pair(ULTRA, name="shed", pin="123456")


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == level and "reload" in each.name]


async def test_systemd_learns_when_the_reload_began_and_that_it_is_over(both: Reloading) -> None:
    async with both.running():
        await both.use()
        assert both.told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert int(both.told[0].rpartition("=")[2]) > 0
        assert both.told[1] == "READY=1"


async def test_nothing_changed_changes_nothing(both: Reloading, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with both.running():
        await pair_both(both)
        links = both.link("front"), both.link("shed")
        published = len(both.house.published)
        await both.use()
        assert (both.link("front"), both.link("shed")) == links
        news = {each.topic for each in both.house.published[published:]}
        assert news <= {"nuki/front/status", "nuki/shed/status"}
        assert both.broker.changes == []
        assert messages(caplog, logging.INFO) == ["the configuration has been read again: nothing changed"]


async def test_a_configuration_with_mistakes_is_refused_and_the_old_one_stays(
    both: Reloading, caplog: pytest.LogCaptureFixture
) -> None:
    async with both.running():
        await pair_both(both)
        links = both.link("front"), both.link("shed")
        both.mistakes = ["config.yaml:3: locks[0].name: is missing", "config.yaml:9: mqtt.port: must be a number"]
        await both.use(log_level="debug")
        assert messages(caplog, logging.ERROR) == [
            *both.mistakes,
            "the configuration has mistakes; the one before stays in use",
        ]
        assert both.reload.refused
        assert (both.link("front"), both.link("shed")) == links
        assert both.house.bridge.settings.log_level == "info"
        both.mistakes = []
        await both.use()
        assert not both.reload.refused


async def test_a_file_that_is_gone_is_a_mishap_and_no_wish_for_the_defaults(
    both: Reloading, caplog: pytest.LogCaptureFixture
) -> None:
    both.settings = both.house.settings = replace(both.settings, path=Path("/etc/nuki-bridge/config.yaml"))
    async with both.running():
        await pair_both(both)
        await both.use(locks=(), path=None)
        assert messages(caplog, logging.ERROR)[0] == "/etc/nuki-bridge/config.yaml: there is no such file any more"
        assert (await both.house.ask("front/set", "unlock"))["status"] == "ok"
        assert both.house.bridge.settings.locks == (FRONT, SHED)


async def test_a_database_that_cannot_be_read_changes_nothing(
    both: Reloading, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both.running():
        await pair_both(both)

        def fail() -> list[PairedLock]:
            raise StoreError("nuki-bridge.db is locked by another program; close that one")

        with monkeypatch.context() as patch:
            patch.setattr(both.house.store, "locks", fail)
            await both.use(locks=(replace(FRONT, actions=frozenset({"lock"})), SHED))
        assert "cannot be taken into use: nuki-bridge.db is locked" in caplog.text
        assert (await both.house.ask("front/set", "unlock"))["status"] == "ok"
        await both.use()
        assert (await both.house.ask("front/set", "unlock"))["error"] == "action_not_allowed"


async def test_the_log_level_changes_at_once(both: Reloading) -> None:
    root = logging.getLogger()
    before = root.level
    try:
        async with both.running():
            await both.use(log_level="debug")
            assert root.level == logging.DEBUG
            await both.use(log_level="error")
            assert root.level == logging.ERROR
    finally:
        root.setLevel(before)


# -- locks ------------------------------------------------------------------------------------------------------------


async def test_actions_count_at_once_and_keep_the_link(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        links = both.link("front"), both.link("shed")
        await both.use(locks=(replace(FRONT, actions=frozenset({"lock"})), SHED))
        assert (await both.house.ask("front/set", "unlock"))["error"] == "action_not_allowed"
        assert (await both.house.ask("shed/set", "unlock"))["status"] == "ok"
        await both.use(locks=(FRONT, SHED))
        assert (await both.house.ask("front/set", "unlock"))["status"] == "ok"
        assert (both.link("front"), both.link("shed")) == links


async def test_another_pin_counts_at_once_and_keeps_the_link(both: Reloading, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with both.running():
        await pair_both(both)
        link = both.link("front")
        assert (await both.house.ask("front/request/users/list"))["error"] == "pin_required"
        await both.use(locks=(replace(FRONT, pin=Secret("1234")), SHED))
        assert (await both.house.ask("front/request/users/list"))["status"] == "ok"
        await both.use(locks=(replace(FRONT, pin=Secret("4321")), SHED))
        assert (await both.house.ask("front/request/users/list"))["error"] == "bad_pin"
        await both.use(locks=(replace(FRONT, pin=Secret("1234")), SHED))
        assert (await both.house.ask("front/request/users/list"))["status"] == "ok"
        await both.use(locks=(FRONT, SHED))
        assert (await both.house.ask("front/request/users/list"))["error"] == "pin_required"
        assert both.link("front") == link
        assert "front: pin changed" in caplog.text
        assert "4321" not in caplog.text


async def test_a_pin_that_was_refused_is_not_tried_again_by_going_back_to_it(both: Reloading) -> None:
    wrong = (replace(FRONT, pin=Secret("4321")), SHED)
    async with both.running():
        await pair_both(both)
        for locks in (wrong, (FRONT, SHED), wrong, (FRONT, SHED), wrong):
            await both.use(locks=locks)
            await both.house.ask("front/request/users/list")
        tries = [entry for entry in both.house.classic.audit if "bad_pin" in str(entry.detail).lower()]
        assert len(tries) == 1


async def test_another_way_to_keep_in_touch_drops_no_link_before_its_time(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        lock, reconnects = both.link("front")
        await both.use(locks=(replace(FRONT, connection="on-demand"), SHED))
        assert not lock.connected  # type: ignore[attr-defined]
        assert both.house.retained["nuki/front/availability"] == "online"
        assert json.loads(both.house.retained["nuki/front/status"])["connection"] == "on-demand"
        await both.use(locks=(FRONT, SHED))
        assert lock.connected  # type: ignore[attr-defined]
        assert both.link("front") == (lock, reconnects + 1)


async def test_a_new_lock_appears_and_a_removed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    reloading = Reloading(House(tmp_path / "state", FRONT))
    async with reloading.running():
        house = reloading.house
        await house.pair(name="front")
        link = reloading.link("front")
        await reloading.use(locks=(FRONT, SHED))
        assert house.retained["nuki/shed/availability"] == "offline"
        assert [each["name"] for each in json.loads(house.retained["nuki/bridge/info"])["locks"]] == ["front", "shed"]
        await reloading.use(locks=(FRONT,))
        assert not [topic for topic in house.retained if topic.startswith("nuki/shed/")]
        assert (await house.ask("shed/set", "unlock"))["error"] == "unknown_lock"
        assert reloading.link("front") == link


async def test_a_paired_lock_that_leaves_the_configuration_stays_paired(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        link = both.link("front")
        await both.use(locks=(SHED,))
        assert both.link("front") == link
        assert (await both.house.ask("front/set", "unlock"))["status"] == "ok"


async def test_another_name_moves_the_topics_of_that_lock_alone(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        link = both.link("shed")
        await both.use(locks=(replace(FRONT, name="hall"), SHED))
        assert not [topic for topic in both.house.retained if topic.startswith("nuki/front/")]
        assert both.house.retained["nuki/hall/availability"] == "online"
        assert (await both.house.ask("hall/set", "unlock"))["status"] == "ok"
        assert both.link("shed") == link


async def test_it_waits_for_the_end_of_a_pairing(both: Reloading, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with both.running():
        both.house.send("bridge/request/pair", {"address": CLASSIC, "timeout": 100})
        await asyncio.sleep(1.0)
        both.settings = replace(both.settings, locks=(FRONT,))
        both.reload.ask()
        await asyncio.sleep(10.0)
        assert both.house.bridge.members.get("shed") is not None
        both.house.classic.hold_button()
        await asyncio.sleep(20.0)
        assert both.house.bridge.members.get("shed") is None
        assert (await both.house.ask("front/set", "unlock"))["status"] == "ok"


# -- broker and adapter -----------------------------------------------------------------------------------------------


async def test_another_broker_gets_a_farewell_from_us_and_keeps_the_links(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        links = both.link("front"), both.link("shed")
        before = len(both.house.published)
        await both.use(mqtt=replace(both.settings.mqtt, host="broker.example", password=Secret("x")))
        farewell = {each.topic: each.payload for each in both.house.published[before:]}
        for topic in ("nuki/bridge/state", "nuki/front/availability", "nuki/shed/availability"):
            assert farewell[topic] == b"offline"
        assert [each.host for each in both.broker.changes] == ["broker.example"]
        both.house.bridge.connection_changed(True)
        assert both.house.retained["nuki/front/availability"] == "online"
        assert both.house.retained["nuki/bridge/state"] == "online"
        assert (both.link("front"), both.link("shed")) == links


async def test_another_base_topic_takes_everything_along(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        links = both.link("front"), both.link("shed")
        await both.use(mqtt=replace(both.settings.mqtt, base_topic="home/doors"))
        assert not [topic for topic in both.house.retained if topic.startswith("nuki/")]
        both.house.bridge.connection_changed(True)
        assert both.house.retained["home/doors/front/state"] == "locked"
        assert both.house.retained["home/doors/bridge/state"] == "online"
        assert not [each for each in both.house.bridge.filters() if each.startswith("nuki/")]
        found = {topic: payload for topic, payload in both.house.retained.items() if topic.startswith("homeassistant/")}
        assert len(found) == 3
        assert all('"home/doors/' in payload and '"nuki/' not in payload for payload in found.values())
        assert (both.link("front"), both.link("shed")) == links


async def test_discovery_is_switched_off_and_on_without_another_connection(both: Reloading) -> None:
    def announced() -> list[str]:
        return sorted(topic for topic in both.house.retained if topic.startswith(("homeassistant/", "ha/")))

    async with both.running():
        await pair_both(both)
        await asyncio.sleep(10.0)
        links, before = (both.link("front"), both.link("shed")), announced()
        assert len(before) == 3
        mqtt = both.settings.mqtt
        await both.use(mqtt=replace(mqtt, public_url="mqtts://guest@broker.example.net"))
        assert announced() == before
        await both.use(mqtt=replace(mqtt, discovery=DiscoverySettings(enabled=False)))
        assert announced() == []
        await both.use(mqtt=replace(mqtt, discovery=DiscoverySettings(prefix="ha")))
        assert announced() == [topic.replace("homeassistant/", "ha/") for topic in before]
        assert "ha/status" in both.house.watched
        await both.use(mqtt=mqtt)
        assert announced() == before
        assert both.broker.changes == []
        assert (both.link("front"), both.link("shed")) == links


async def test_another_adapter_makes_every_link_anew(both: Reloading) -> None:
    async with both.running():
        await pair_both(both)
        await both.use(bluetooth=BluetoothSettings(adapter="hci1"))
        assert both.house.bridge.radio is both.radios[0]
        for name in ("front", "shed"):
            assert both.house.retained[f"nuki/{name}/availability"] == "online"
            assert (await both.house.ask(f"{name}/set", "unlock"))["status"] == "ok"
        await asyncio.sleep(60.0)
        assert both.house.watchdog.stuck() == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda settings: {"state_dir": settings.state_dir / "other"}, "state_dir"),
        (lambda settings: {"bluetooth": BluetoothSettings(backend="virtual")}, "bluetooth.backend"),
    ],
)
async def test_what_takes_a_restart_is_said(
    change: Callable[[Settings], dict[str, Any]], key: str, both: Reloading, caplog: pytest.LogCaptureFixture
) -> None:
    async with both.running():
        before = both.house.bridge.settings
        await both.use(**change(both.settings))
        assert messages(caplog, logging.WARNING) == [f"{key}: a change takes effect when nuki-bridge is started again"]
        assert both.house.bridge.settings == before
        assert both.radios == []
