"""`nuki-bridge doctor` as a process: a real mosquitto with the shipped access list, and BlueZ played on a D-Bus."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import patience
from tests.integration.bluez_rig import PrivateBus
from tests.integration.bridge_house import TOKEN, serving
from tests.integration.broker import Broker, free_port
from tests.integration.command import Result, call
from tests.integration.daemon import PIN, Daemon
from tests.integration.guarded import GuardedBroker, password
from tests.radio.bluez import StandInBluez

pytestmark = pytest.mark.real_time


async def doctor(config: Path, *arguments: str, **environment: str) -> tuple[dict[str, Any], Result]:
    """The report by the names of its findings, and how the process ended."""
    result = await call("doctor", "--json", "--config", str(config), *arguments, **environment)
    assert result.lines == []
    report = json.loads(result.out)
    assert result.status == (0 if report["all_well"] else 1)
    return {each["name"]: each for each in report["findings"]}, result


def written(directory: Path, port: int, more: str = "", *, backend: str = "virtual") -> Path:
    """A configuration with an account, a password and a PIN."""
    config = directory / "config.yaml"
    config.write_text(
        f'mqtt: {{host: 127.0.0.1, port: {port}, username: nuki, password: "{password("nuki")}"}}\n'
        f"bluetooth: {{backend: {backend}}}\n"
        f"state_dir: {directory}/state\n"
        f'locks: [{{name: front, pin: "{PIN}"}}]\n{more}'
    )
    config.chmod(0o600)
    return config


def guests(directory: Path) -> None:
    """The phone page's configuration, which names the guests' account."""
    page = directory / "web.yaml"
    page.write_text(f'guest: {{username: guest, password: "{password("guest")}"}}\n')
    page.chmod(0o600)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[GuardedBroker]:
    (tmp_path / "broker").mkdir()
    with GuardedBroker(tmp_path / "broker") as running:
        yield running


SECRETS = (PIN, *(password(each) for each in ("nuki", "guest", "owner")))


async def test_with_the_shipped_access_list_all_is_well_and_nothing_is_left(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    """The daemon runs, and what it is asked on the way moves no door."""
    config = written(tmp_path, guarded.port)
    guests(tmp_path)
    daemon = Daemon(tmp_path, guarded.port)
    written(tmp_path, guarded.port)
    daemon.start()
    try:
        async with guarded.peer("everybody") as peer:
            await peer.subscribe("nuki/bridge/state")
            while (await peer.next()).payload != b"online":
                pass
            await peer.subscribe("#")
            found, result = await doctor(config)
            names = [each for each in found if found[each]["verdict"] != "unknown"]
            assert {each: found[each]["verdict"] for each in names} == dict.fromkeys(
                [
                    *("versions", "time zone", "configuration", "file modes", "database", "disk"),
                    *("D-Bus permission", "adapter", "broker", "MQTT version"),
                    *("access list: the bridge", "access list: guests", "access list: nobody", "bridge API", "daemon"),
                ],
                "ok",
            ) | {"lock front": "warning"}, result.out
            assert found["lock front"]["advice"] == "`sudo nuki-bridge pair front`"
            assert found["access list: nobody"]["sentence"] == "nobody is let in without an account"
            for secret in SECRETS:
                assert secret not in result.out
        async with guarded.peer("everybody") as later:
            await later.subscribe("#")
            await later.subscribe("end")
            later.publish("end", b"")
            topics = []
            while (message := await later.next()).topic != "end":
                topics.append(message.topic)
        assert [each for each in topics if "doctor" in each] == []
    finally:
        daemon.kill()


async def test_a_bridge_api_that_works_and_one_whose_account_may_do_nothing(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, guarded.port)
    config = written(tmp_path, guarded.port)
    daemon.start()

    async def until(words: str) -> str:
        ends = patience.now() + patience.HANG_S
        while True:
            found, result = await doctor(config)
            for secret in (*SECRETS, TOKEN, password("bridge_api")):
                assert secret not in result.out
            sentence = f"{found['bridge API']['verdict']}: {found['bridge API']['sentence']}"
            if words in sentence:
                return sentence
            assert patience.now() < ends, result.out

    try:
        async with serving(tmp_path, guarded, free_port()):
            assert "lets the account bridge_api in" in await until("ok: it answers on 127.0.0.1:")
            acl = guarded.directory / "etc" / "nuki-bridge.acl"
            acl.write_text(acl.read_text().replace("user bridge_api", "user bridge_api\ntopic deny nuki/#"))
            guarded.stop()
            guarded.run(guarded.directory / "etc" / "mosquitto.conf")
            sentence = await until("problem: the account bridge_api may not read what the daemon tells below nuki")
            assert "send commands to a lock (nuki/+/set)" in sentence
    finally:
        daemon.kill()


async def test_an_access_list_with_holes_is_seen_through(guarded: GuardedBroker, tmp_path: Path) -> None:
    config = written(tmp_path, guarded.port)
    guests(tmp_path)
    acl = guarded.directory / "etc" / "nuki-bridge.acl"
    text = acl.read_text()
    acl.write_text(
        text.replace("topic readwrite nuki/#", "topic write nuki/#\ntopic read nuki/+/request/#").replace(
            "topic write nuki/invitation/+/redeem", "topic write nuki/+/set"
        )
    )
    guarded.stop()
    guarded.run(guarded.directory / "etc" / "mosquitto.conf")
    found, _ = await doctor(config)
    bridge, guest = found["access list: the bridge"], found["access list: guests"]
    assert bridge["verdict"] == "problem"
    assert "may not read commands to a lock (nuki/+/set)" in bridge["sentence"]
    assert "requests" not in bridge["sentence"]
    assert guest["verdict"] == "problem"
    assert "commands to a lock (nuki/+/set); " in guest["sentence"]


async def test_guests_that_may_open_doors_are_a_problem(guarded: GuardedBroker, tmp_path: Path) -> None:
    config = written(tmp_path, guarded.port)
    guests(tmp_path)
    acl = guarded.directory / "etc" / "nuki-bridge.acl"
    acl.write_text(
        acl.read_text().replace("user guest", "user guest\ntopic write nuki/+/set\ntopic read nuki/+/status")
    )
    guarded.stop()
    guarded.run(guarded.directory / "etc" / "mosquitto.conf")
    found, _ = await doctor(config)
    assert found["access list: guests"]["verdict"] == "problem"
    assert (
        "commands to a lock (nuki/+/set), states of a lock (nuki/+/status)" in found["access list: guests"]["sentence"]
    )
    assert found["access list: the bridge"]["verdict"] == "ok"


async def test_a_broker_that_lets_everybody_in(tmp_path: Path) -> None:
    """With an account of its own the bridge is not safer there than without."""
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        found, _ = await doctor(written(tmp_path, broker.port))
        assert found["access list: nobody"]["verdict"] == "problem"
        config = tmp_path / "config.yaml"
        config.write_text(
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}, protocol: 3.1.1}}\nbluetooth: {{backend: virtual}}\n"
        )
        found, _ = await doctor(config)
        assert found["access list: nobody"]["verdict"] == "warning"
        assert found["MQTT version"]["sentence"].startswith("3.1.1")
        assert found["access list: the bridge"]["verdict"] == "ok"
        assert found["daemon"]["verdict"] == "problem"


async def test_without_a_broker_each_check_says_so(tmp_path: Path) -> None:
    found, result = await doctor(written(tmp_path, free_port()))
    assert found["broker"]["verdict"] == "problem"
    for name in ("access list", "daemon", "locks"):
        assert found[name]["sentence"].startswith("could not look: ")
    assert result.status == 1


async def test_a_wrong_password_is_a_problem_and_not_told(guarded: GuardedBroker, tmp_path: Path) -> None:
    config = written(tmp_path, guarded.port)
    config.write_text(config.read_text().replace(password("nuki"), "not-that-one"))
    found, result = await doctor(config)
    assert found["broker"]["verdict"] == "problem"
    assert "not-that-one" not in result.out


async def test_another_broker_is_looked_at_by_its_url(guarded: GuardedBroker, tmp_path: Path) -> None:
    found, result = await doctor(written(tmp_path, free_port()), "--broker", guarded.url("owner"))
    assert found["broker"]["sentence"] == "it lets the account owner in"
    assert found["access list"]["advice"] == "leave --broker out"
    assert password("owner") not in result.out


async def test_a_configuration_with_mistakes_stops_no_other_check(tmp_path: Path) -> None:
    config = written(tmp_path, free_port(), "nonsense: true\n")
    found, _ = await doctor(config)
    assert found["configuration"]["verdict"] == "problem"
    assert "nonsense" in found["configuration"]["sentence"]
    assert found["versions"]["verdict"] == "ok"
    assert found["broker"]["sentence"] == "could not look: the configuration has mistakes"


# -- BlueZ ------------------------------------------------------------------------------------------------------------

needs_dbus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    running = PrivateBus(tmp_path)
    running.start()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", running.address)
    yield running
    running.stop()


@needs_dbus
async def test_what_bluetoothd_says_is_told(bus: PrivateBus, tmp_path: Path) -> None:
    config = written(tmp_path, free_port(), backend="bluez")
    found, _ = await doctor(config)
    assert found["adapter"]["sentence"] == "bluetoothd is not running"
    assert found["D-Bus permission"]["verdict"] == "unknown"
    bluez = StandInBluez()
    await bluez.start()
    try:
        found, _ = await doctor(config)
        assert found["adapter"]["sentence"] == "no Bluetooth adapter found"
        assert found["D-Bus permission"]["verdict"] == "ok"
        bluez.add_adapter("hci1", powered=False)
        found, _ = await doctor(config)
        assert found["adapter"]["advice"] == "`bluetoothctl power on`"
        bluez.power(True, "hci1")
        found, _ = await doctor(config)
        assert (found["adapter"]["verdict"], found["adapter"]["sentence"]) == ("ok", "hci1 is there and powered")
    finally:
        await bluez.kill()
    bus.stop()
    found, _ = await doctor(config)
    assert found["D-Bus permission"]["verdict"] == "problem"


class RefusingBus(PrivateBus):
    """One whose policies let nobody talk to BlueZ."""

    def start(self) -> None:
        text = self._config.read_text()
        self._config.write_text(text.replace("</policy>", '<deny send_destination="org.bluez"/></policy>'))
        super().start()


@needs_dbus
async def test_a_dbus_that_refuses_access_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = RefusingBus(tmp_path)
    bus.start()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bluez = StandInBluez()
    await bluez.start()
    try:
        found, _ = await doctor(written(tmp_path, free_port(), backend="bluez"))
        assert found["D-Bus permission"]["verdict"] == "problem"
        assert "policy" in found["D-Bus permission"]["advice"]
        assert found["adapter"]["verdict"] == "unknown"
    finally:
        await bluez.kill()
        bus.stop()


@needs_dbus
async def test_a_bluetoothd_that_hangs_holds_up_nothing(bus: PrivateBus, tmp_path: Path) -> None:
    config = written(tmp_path, free_port(), backend="bluez")
    bluez = StandInBluez()
    await bluez.start()
    bluez.add_adapter()
    bluez.hang("GetManagedObjects")
    try:
        found, _ = await asyncio.wait_for(doctor(config), 60)
        assert found["adapter"]["verdict"] == "problem"
        assert "does not answer" in found["adapter"]["sentence"]
    finally:
        await bluez.kill()
