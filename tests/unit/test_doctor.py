"""The doctor: each check with its good and its bad case, by facts that are handed in."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bluetooth.bluez import REFUSED
from nuki_bridge.bridge_http.server import NO_SUCH_CALL
from nuki_bridge.command_line import doctor_commands
from nuki_bridge.config import BluetoothSettings, MqttSettings, Settings
from nuki_bridge.database import FILE_NAME, Database
from nuki_bridge.doctor import bluetooth, bridge_api, broker, files, locks, machine
from nuki_bridge.doctor.bluetooth import BluezFacts, VersionFacts
from nuki_bridge.doctor.bluez_faults import FAULTS, faults_of, version_in
from nuki_bridge.doctor.bridge_api import ApiFacts, BrokerFacts
from nuki_bridge.doctor.broker import Access, AccessFacts, LoginFacts
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.files import ConfigFacts, DatabaseFacts, DiskFacts, ModeFacts
from nuki_bridge.doctor.finding import CouldNotLook, Finding, Verdict, ok, problem, unknown, warning
from nuki_bridge.doctor.machine import ClockFacts
from nuki_bridge.doctor.place import DaemonFacts, Place, run_program
from nuki_bridge.doctor.report import CHECKS, all_well, examine
from nuki_bridge.schema import MIGRATIONS

OK, WARNING, PROBLEM, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM, Verdict.UNKNOWN
NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


def verdicts(findings: Sequence[Finding]) -> list[Verdict]:
    """Every finding that is no `ok` says what to do, or why nobody could look."""
    for each in findings:
        assert each.sentence
        assert (each.advice is None) <= (each.verdict in (OK, UNKNOWN)), each
    return [each.verdict for each in findings]


def only(findings: Sequence[Finding], name: str) -> Finding:
    """The one finding of this name."""
    verdicts(findings)
    [found] = [each for each in findings if each.name == name]
    return found


# -- the machine ------------------------------------------------------------------------------------------------------


def test_versions_are_told_for_the_reader_of_a_report() -> None:
    [found] = machine.judge_versions(["nuki-bridge 1.2", "Python 3.13"])
    assert (found.verdict, found.sentence) == (OK, "nuki-bridge 1.2, Python 3.13")


@pytest.mark.parametrize(
    ("now", "synchronized", "verdict"),
    [
        (NOW, True, OK),
        (NOW, False, WARNING),
        (NOW, None, UNKNOWN),
        (datetime(2000, 1, 1, tzinfo=UTC), True, PROBLEM),
    ],
)
def test_the_clock(now: datetime, synchronized: bool | None, verdict: Verdict) -> None:
    findings = machine.judge_clock(ClockFacts(now, synchronized, "Europe/Berlin"))
    assert verdicts(findings) == [verdict, OK]
    assert only(findings, "time zone").sentence == "Europe/Berlin, +00:00 from UTC"


RUNS = {"LoadState": "loaded", "ActiveState": "active", "NRestarts": "0", "UnitFileState": "enabled"}


@pytest.mark.parametrize(
    ("changed", "verdict", "word"),
    [
        ({}, OK, "starts with the computer"),
        ({"NRestarts": "1"}, OK, ""),
        ({"NRestarts": "7"}, WARNING, "7 times"),
        ({"UnitFileState": "disabled"}, WARNING, "disabled"),
        ({"ActiveState": "failed", "Result": "exit-code"}, PROBLEM, "exit-code"),
        ({"LoadState": "not-found"}, UNKNOWN, ""),
    ],
)
def test_the_service(changed: dict[str, str], verdict: Verdict, word: str) -> None:
    [found] = machine.judge_service(RUNS | changed)
    assert found.verdict is verdict
    assert word in found.sentence


# -- files ------------------------------------------------------------------------------------------------------------


def test_each_mistake_of_the_configuration_is_a_line() -> None:
    assert verdicts(files.judge_configuration(ConfigFacts("config.yaml"))) == [OK]
    assert verdicts(files.judge_configuration(ConfigFacts(None))) == [OK]
    wrong = ConfigFacts("config.yaml", ("config.yaml:1: a: wrong", "config.yaml:2: b: wrong"), ("w",))
    assert verdicts(files.judge_configuration(wrong)) == [PROBLEM, PROBLEM, WARNING]


@pytest.mark.parametrize(
    ("mode", "own", "wanted"),
    [(0o700, True, [OK]), (0o750, True, [PROBLEM]), (0o700, False, [PROBLEM]), (0o777, False, [PROBLEM, PROBLEM])],
)
def test_file_modes(mode: int, own: bool, wanted: list[Verdict]) -> None:
    assert verdicts(files.judge_modes([ModeFacts("/var/lib/nuki-bridge", mode, "pi", own)])) == wanted


def test_without_a_state_directory_no_mode_is_wrong() -> None:
    assert verdicts(files.judge_modes([])) == [OK]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (DatabaseFacts("db", 0), OK),
        (DatabaseFacts("db", 3, None, 1), OK),
        (DatabaseFacts("db", 3, "is damaged"), PROBLEM),
    ],
)
def test_the_database(facts: DatabaseFacts, verdict: Verdict) -> None:
    assert verdicts(files.judge_database(facts)) == [verdict]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (DiskFacts(10 << 30, 1000, False), OK),
        (DiskFacts(10 << 30, None, False), OK),
        (DiskFacts(100 << 20, 1000, False), WARNING),
        (DiskFacts(10 << 20, 1000, False), PROBLEM),
        (DiskFacts(10 << 30, 0, False), PROBLEM),
        (DiskFacts(10 << 30, 1000, True), PROBLEM),
    ],
)
def test_the_disk(facts: DiskFacts, verdict: Verdict) -> None:
    assert verdicts(files.judge_disk(facts)) == [verdict]


def state(tmp_path: Path) -> Path:
    """A state directory as a daemon leaves it."""
    database = Database(tmp_path / "state")
    database.open()
    database.close()
    return tmp_path / "state"


def at(tmp_path: Path, **more: Any) -> Place:
    """A place whose configuration names the state directory in `tmp_path`."""
    config = tmp_path / "config.yaml"
    if not config.exists():
        config.write_text(f"state_dir: {tmp_path}/state\nbluetooth: {{backend: virtual}}\n")
    return Place(config=config, root=tmp_path, service_user="nobody-at-all", is_root=False, now=lambda: NOW, **more)


CHECK = {each.name: each for each in CHECKS}


async def examined(name: str, place: Place) -> list[Finding]:
    return await examine(place, [CHECK[name]])


@pytest.mark.real_time
async def test_the_database_is_looked_at_while_a_daemon_has_it(tmp_path: Path) -> None:
    """Nothing is locked, made or changed by looking."""
    database = Database(tmp_path / "state")
    database.open()
    before = {each.name: each.read_bytes() for each in (tmp_path / "state").iterdir()}
    [found] = await examined("database", at(tmp_path))
    assert (found.verdict, found.sentence) == (OK, f"it is sound, schema {len(MIGRATIONS)}, 0 locks paired")
    assert {each.name: each.read_bytes() for each in (tmp_path / "state").iterdir()} == before
    with database.transaction() as db:
        db.execute("CREATE TABLE another (a)")
    database.close()


@pytest.mark.real_time
async def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    file = state(tmp_path) / FILE_NAME
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    data = bytearray(file.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    file.write_bytes(data)
    assert "is damaged" in (await examined("database", at(tmp_path)))[0].sentence
    file.write_bytes(b"nothing of ours" * 100)
    assert "no SQLite database" in (await examined("database", at(tmp_path)))[0].sentence


@pytest.mark.real_time
async def test_modes_that_let_others_read_are_found(tmp_path: Path) -> None:
    directory = state(tmp_path)
    assert verdicts(await examined("file modes", at(tmp_path))) == [OK]
    os.chmod(directory / FILE_NAME, 0o644)
    [found] = await examined("file modes", at(tmp_path))
    assert (found.verdict, found.advice) == (PROBLEM, f"`sudo chmod 600 {directory}/{FILE_NAME}`")


async def test_a_configuration_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    place = at(tmp_path)
    file = tmp_path / "config.yaml"
    assert verdicts(await examined("configuration", place)) == [OK]
    file.write_text("mqtt: {username: nuki, password: hunter2}\n")
    file.chmod(0o644)
    [found] = await examined("configuration", at(tmp_path))
    assert found.verdict is WARNING
    assert "hunter2" not in found.sentence
    file.write_text("mqtt: {port: x}\n")
    assert verdicts(await examined("configuration", at(tmp_path))) == [PROBLEM]
    [found] = await examined("disk", at(tmp_path))
    assert found.sentence == "could not look: the configuration has mistakes"


@pytest.mark.real_time
async def test_who_is_not_root_is_told_what_could_not_be_looked_at(tmp_path: Path) -> None:
    state(tmp_path)
    place = at(tmp_path)
    (tmp_path / "config.yaml").chmod(0)
    as_root = os.geteuid() == 0
    try:
        if as_root:
            os.seteuid(65534)
        findings = await examine(place)
    finally:
        if as_root:
            os.seteuid(0)
    told = {each.name: each for each in findings}
    for name in ("configuration", "file modes", "database", "disk", "broker", "access list", "daemon", "locks"):
        assert told[name].verdict is UNKNOWN, told[name]
        assert told[name].sentence.startswith("could not look: this user cannot read ")
        assert told[name].advice == "call it with sudo"
    assert told["time zone"].verdict is OK


# -- Bluetooth --------------------------------------------------------------------------------------------------------

USABLE = BluezFacts(True, "hci0", None, False, "the service's user nuki-bridge")


def unusable(reason: str) -> BluezFacts:
    return BluezFacts(False, None, reason, False)


@pytest.mark.parametrize(
    ("facts", "permission", "adapter"),
    [
        (USABLE, OK, OK),
        (BluezFacts(True, None, None, False, virtual=True), OK, OK),
        (unusable(REFUSED), PROBLEM, UNKNOWN),
        (unusable("the system D-Bus cannot be reached (No such file)"), PROBLEM, PROBLEM),
        (unusable("bluetoothd is not running: `systemctl start bluetooth`"), UNKNOWN, PROBLEM),
        (unusable("no Bluetooth adapter found"), OK, PROBLEM),
        (unusable("adapter hci0 is powered off: `bluetoothctl power on`"), OK, PROBLEM),
    ],
)
def test_permission_and_adapter(facts: BluezFacts, permission: Verdict, adapter: Verdict) -> None:
    assert verdicts(bluetooth.judge_permission(facts)) == [permission]
    assert verdicts(bluetooth.judge_adapter(facts)) == [adapter]


def test_what_cures_an_adapter_is_the_advice() -> None:
    [found] = bluetooth.judge_adapter(unusable("adapter hci0 is blocked: `rfkill unblock bluetooth`"))
    assert (found.sentence, found.advice) == ("adapter hci0 is blocked", "`rfkill unblock bluetooth`")


@pytest.mark.parametrize(
    ("said", "version"),
    [("bluetoothctl: 5.82\n", (5, 82)), ("5.66", (5, 66)), ("6.1.0-21-amd64", (6, 1)), ("what?", None)],
)
def test_a_version_is_read(said: str, version: tuple[int, int] | None) -> None:
    assert version_in(said) == version


@pytest.mark.parametrize(
    ("version", "kernel", "monitors", "sources"),
    [
        ((5, 82), (6, 12), True, []),
        ((5, 55), (5, 10), True, []),
        ((5, 50), (5, 10), False, ["hbldh/bleak, README"]),
        ((5, 62), (6, 1), False, ["bluez/bluez issues 219 and 235"]),
        ((5, 63), (5, 15), True, ["bluez/bluez issue 357"]),
        ((5, 63), (5, 15), False, []),
        ((5, 63), (6, 1), True, []),
        ((5, 63), None, True, []),
        ((5, 69), (6, 1), True, ["bluez/bluez issue 652"]),
        ((5, 87), (6, 12), False, ["bluez/bluez issue 2282", "bluez/bluez issue 2221"]),
    ],
)
def test_known_faults_of_a_release(
    version: tuple[int, int], kernel: tuple[int, int] | None, monitors: bool, sources: list[str]
) -> None:
    assert [each.source for each in faults_of(version, kernel, monitors=monitors)] == sources


def test_the_faults_are_told_with_their_source() -> None:
    assert verdicts(bluetooth.judge_version(VersionFacts("5.82", ()))) == [OK]
    [found] = bluetooth.judge_version(VersionFacts("5.66", tuple(faults_of((5, 66), None, monitors=False))))
    assert found.verdict is WARNING
    assert "does not answer (tests of this project" in found.sentence


def test_the_documentation_lists_the_same_faults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
    for each in FAULTS:
        first, last = (".".join(map(str, version)) for version in (each.first, each.last))
        span = (
            f"before 5.{each.last[1] + 1}" if each.first == (0, 0) else first if first == last else f"{first}, {last}"
        )
        assert f"| {span} | {each.sentence} | {each.source} |" in page


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, OK),
        ({"Restart": "no"}, WARNING),
        ({"ActiveState": "inactive"}, PROBLEM),
        ({"LoadState": "not-found"}, PROBLEM),
    ],
)
def test_what_starts_bluetoothd_again(changed: dict[str, str], verdict: Verdict) -> None:
    loaded = {"LoadState": "loaded", "ActiveState": "active", "Restart": "on-failure", "NRestarts": "2"}
    [found] = bluetooth.judge_restart(loaded | changed)
    assert found.verdict is verdict
    assert ("started again 2 times" in found.sentence) is (verdict in (OK, WARNING))


async def test_systemd_is_asked_where_it_runs(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    async def run(command: list[str], user: str | None = None) -> str:
        asked.append(command)
        return "LoadState=loaded\nActiveState=active\nRestart=no\nNRestarts=0\n"

    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}/state\n")
    place = at(tmp_path, run=run)
    assert verdicts(await examined("bluetoothd", place)) == [UNKNOWN]
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert verdicts(await examined("bluetoothd", at(tmp_path, run=run))) == [WARNING]
    assert asked[0][:3] == ["systemctl", "show", "bluetooth.service"]


# -- the broker -------------------------------------------------------------------------------------------------------


def test_the_login() -> None:
    assert verdicts(broker.judge_login(LoginFacts("the account nuki", "5"))) == [OK, OK]
    assert verdicts(broker.judge_login(LoginFacts("the account nuki", "3.1.1"))) == [OK, OK]
    assert verdicts(broker.judge_login(LoginFacts("the account nuki", refused="connection refused"))) == [PROBLEM]


NEEDED = Access({each.topic: each.bridge for each in broker.PROBES})
FITTING = Access({each.topic: each.guest for each in broker.PROBES if each.guest})


def access(base: str = "nuki", **changed: Any) -> list[Finding]:
    return broker.judge_access(AccessFacts(base, **{"bridge": NEEDED, "guest": FITTING, **changed}))


def test_an_access_list_that_fits() -> None:
    assert verdicts(access()) == [OK, OK, OK]


def test_a_bridge_that_may_not_hear_commands() -> None:
    found = only(access(bridge=Access({}, {"<lock>/set": "r"})), "access list: the bridge")
    assert found.verdict is PROBLEM
    assert "it may not read commands to a lock (nuki/+/set)" in found.sentence


def test_a_broker_that_does_not_say_what_it_refuses() -> None:
    assert only(access(bridge=Access()), "access list: the bridge").verdict is UNKNOWN


def test_a_bridge_that_may_not_tell_home_assistant() -> None:
    assert only(access(discovery=False), "access list: the bridge").verdict is WARNING


def test_guests_that_may_do_too_much() -> None:
    found = only(access(guest=Access({**FITTING.may, "<lock>/set": "w"})), "access list: guests")
    assert found.verdict is PROBLEM
    assert "commands to a lock (nuki/+/set)" in found.sentence


def test_guests_that_may_open_a_door_by_nukis_own_topics() -> None:
    """Those begin with nuki, whatever the base topic is."""
    found = only(access(base="home", guest=Access({**FITTING.may, "<lock>/lockAction": "w"})), "access list: guests")
    assert found.verdict is PROBLEM
    assert "commands by Nuki's own MQTT API (nuki/+/lockAction)" in found.sentence


def test_guests_that_may_not_redeem() -> None:
    refused = Access({}, {"invitation/<session>/redeem": "w"})
    assert only(access(guest=refused), "access list: guests").verdict is WARNING


def test_an_account_of_guests_that_is_not_known() -> None:
    found = only(access(guest=None, why_no_guest="this user cannot read web.yaml"), "access list: guests")
    assert (found.verdict, found.advice) == (UNKNOWN, "call it with sudo")


def test_who_has_no_account() -> None:
    name = "access list: nobody"
    assert only(access(nobody=Access({}, {"<lock>/set": "wr"})), name).verdict is OK
    assert only(access(nobody=Access({"<lock>/set": "w"})), name).verdict is PROBLEM
    assert only(access(anonymous=True), name).verdict is WARNING
    assert only(access(anonymous=True, local=False), name).verdict is PROBLEM


async def test_another_account_than_the_daemons_is_not_tried(tmp_path: Path) -> None:
    [found] = await examined("access list", at(tmp_path, broker_named=MqttSettings()))
    assert found.verdict is UNKNOWN
    assert found.advice == "leave --broker out"


# -- daemon and locks -------------------------------------------------------------------------------------------------

TOLD: dict[str, Any] = {
    "name": "front",
    "reachable": True,
    "connected": True,
    "rssi": -60,
    "fault": None,
    "connection": "persistent",
    "reconnects": 3,
    "clock_off_s": 2,
    "timezone_offset_min": 60,
}
ADAPTER = {"name": "hci0", "available": True, "reason": None}
FULL = {"critical": False, "charging": False, "level": 80, "keypad_critical": None, "door_sensor_critical": False}


def daemon(*, battery: dict[str, Any] | None = None, missing: str | None = None, **changed: Any) -> DaemonFacts:
    health = {
        "version": "1",
        "uptime_s": 86400,
        "mqtt_version": "5",
        "adapter": changed.pop("adapter", ADAPTER),
        "locks": [TOLD | changed],
    }
    info = {"locks": [{"name": "front", "paired": True}]}
    retained = {} if battery is None else {"front/battery": json.dumps(battery).encode()}
    return DaemonFacts(missing, info, {} if missing else health, retained, 60)


def test_the_daemon() -> None:
    assert verdicts(locks.judge_daemon(daemon())) == [OK]
    gone = {"name": None, "available": False, "reason": "no Bluetooth adapter found"}
    assert verdicts(locks.judge_daemon(daemon(adapter=gone))) == [OK, PROBLEM]
    assert verdicts(locks.judge_daemon(daemon(missing="no nuki-bridge is running"))) == [PROBLEM]


def test_a_lock_that_is_well() -> None:
    findings = locks.judge_locks(daemon(battery=FULL))
    assert verdicts(findings) == [OK] * 5
    assert [each.name.removeprefix("lock front: ") for each in findings] == [
        *("battery", "link", "signal", "links", "clock"),
    ]


@pytest.mark.parametrize(
    ("name", "changed", "verdict"),
    [
        ("link", {"reachable": False}, PROBLEM),
        ("link", {"fault": {"code": "not_authorized", "message": "the lock does not know us"}}, PROBLEM),
        ("signal", {"rssi": None}, UNKNOWN),
        ("signal", {"rssi": -80}, OK),
        ("signal", {"rssi": -90}, WARNING),
        ("signal", {"rssi": -97}, PROBLEM),
        ("links", {"reconnects": 400}, WARNING),
        ("links", {"reconnects": 400, "connection": "on-demand"}, OK),
        ("clock", {"clock_off_s": None}, UNKNOWN),
        ("clock", {"clock_off_s": -600}, WARNING),
        ("clock", {"timezone_offset_min": 0}, WARNING),
        ("battery", {"battery": {**FULL, "critical": True}}, PROBLEM),
        ("battery", {"battery": {**FULL, "level": 12}}, WARNING),
        ("battery", {"battery": {**FULL, "level": 12, "charging": True}}, OK),
        ("battery", {"battery": {**FULL, "keypad_critical": True}}, WARNING),
        ("battery", {"battery": {**FULL, "level": None}}, OK),
        ("battery", {"battery": None}, UNKNOWN),
    ],
)
def test_a_lock_that_is_not(name: str, changed: dict[str, Any], verdict: Verdict) -> None:
    found = only(locks.judge_locks(daemon(**{"battery": FULL, **changed})), f"lock front: {name}")
    assert found.verdict is verdict


def test_a_daemon_that_has_gone_has_left_the_batteries() -> None:
    assert verdicts(locks.judge_locks(daemon(battery=FULL, missing="is offline"))) == [OK, UNKNOWN]


def test_without_a_paired_lock_there_is_something_to_do() -> None:
    assert verdicts(locks.judge_locks(DaemonFacts(info={"locks": []}))) == [WARNING]
    configured = DaemonFacts(info={"locks": [{"name": "back", "paired": False}]})
    assert verdicts(locks.judge_locks(configured)) == [WARNING]


# -- the Bridge HTTP API ----------------------------------------------------------------------------------------------

TAKEN = BrokerFacts("the account bridge_api", "nuki", "nuki", None, True, True)
API = ApiFacts("127.0.0.1:8081", True, None, "active", (), TAKEN)
OFFLINE_API = replace(API, answers=None)


@pytest.mark.parametrize(
    ("facts", "wanted", "word"),
    [
        (None, [OK], "off"),
        (API, [OK], "answers on 127.0.0.1:8081"),
        (replace(API, service=None), [OK], ""),
        (replace(API, answers=False), [PROBLEM], "another program"),
        (replace(OFFLINE_API, unusable=errno.EADDRINUSE), [PROBLEM], "another program"),
        (replace(OFFLINE_API, unusable=errno.EADDRNOTAVAIL), [PROBLEM], "no address of this computer"),
        (replace(OFFLINE_API, service="failed"), [PROBLEM], "is failed"),
        (OFFLINE_API, [PROBLEM], "does not answer"),
        (replace(OFFLINE_API, unusable=errno.EACCES), [PROBLEM], "does not answer"),
        (replace(OFFLINE_API, service=None), [UNKNOWN], "nobody answers"),
        (replace(API, hidden=("/a", "/b")), [PROBLEM, PROBLEM], "cannot read /a"),
        (replace(API, broker=replace(TAKEN, refused="bad password")), [PROBLEM], "in: bad password"),
        (replace(API, broker=replace(TAKEN, base="other", states=False)), [PROBLEM], "the daemon below nuki"),
        (replace(API, broker=replace(TAKEN, states=False)), [PROBLEM], "may not read"),
        (replace(API, broker=replace(TAKEN, commands=False)), [PROBLEM], "send commands to a lock (nuki/+/set)"),
        (replace(API, broker=replace(TAKEN, base_of_daemon=None, states=None, commands=None)), [OK], ""),
    ],
)
def test_the_bridge_api(facts: ApiFacts | None, wanted: list[Verdict], word: str) -> None:
    found = bridge_api.judge(facts)
    assert verdicts(found) == wanted
    assert word in found[0].sentence


def with_api(tmp_path: Path, port: int, *, file: str = "token", broker: int = 9) -> Place:
    """A place with the Bridge HTTP API on; nobody listens on the port of that broker."""
    (tmp_path / "token").write_text("0123456789abcdef0123\n")
    (tmp_path / "web.yaml").write_text(
        f"port: {port + 1}\nbroker: {{host: 127.0.0.1, port: {broker}}}\n"
        f"bridge_api: {{port: {port}, token_file: {file}}}\n"
    )
    return at(tmp_path, page_user="nobody")


@pytest.mark.real_time
@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"", b'HTTP/1.1 404 N\r\n\r\n{"error": "%s"}'])
async def test_who_is_on_the_port_of_the_bridge_api_gets_no_token(tmp_path: Path, answer: bytes) -> None:
    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer % NO_SUCH_CALL.encode() if b"%s" in answer else answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place = with_api(tmp_path, server.sockets[0].getsockname()[1])
    findings = await examined("bridge API", place)
    server.close()
    told = " ".join(each.sentence for each in findings)
    assert ("another program" in told) is (b"404" not in answer)
    assert "the broker does not let somebody without an account in" in told
    [call] = heard
    for part in (b"token", b"hash", b"nonce", b"0123456789"):
        assert part not in call
    assert "0123456789" not in told


@pytest.mark.real_time
async def test_secrets_of_the_bridge_api_that_its_service_cannot_read_are_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    place = with_api(tmp_path, port)
    (tmp_path / "token").chmod(0o600)
    findings = await examined("bridge API", place)
    hidden = f"its service cannot read {tmp_path}/token"
    assert hidden in [each.sentence for each in findings]
    assert "could not look: nobody answers" in " ".join(each.sentence for each in findings)
    place = with_api(tmp_path, port)
    place.page_user = "nobody-at-all"
    assert hidden not in [each.sentence for each in await examined("bridge API", place)]


async def test_the_bridge_api_is_left_alone_where_it_is_off_or_wrong(tmp_path: Path) -> None:
    assert [each.sentence for each in await examined("bridge API", at(tmp_path))] == ["it is off"]
    (tmp_path / "web.yaml").write_text("listen: 127.0.0.1\n")
    assert [each.sentence for each in await examined("bridge API", at(tmp_path))] == ["it is off"]
    (tmp_path / "web.yaml").write_text("bridge_api: {port: 8081}\n")
    [found] = await examined("bridge API", at(tmp_path))
    assert found.sentence == f"could not look: {tmp_path}/web.yaml has mistakes"
    [found] = await examined("configuration", at(tmp_path))
    assert "bridge_api.token: is missing" in found.sentence
    assert found.advice == "correct this line, then `sudo systemctl restart nuki-bridge-web`"


@pytest.mark.parametrize("name", ["broker", "access list"])
async def test_a_small_computer_is_slow_and_not_broken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer takes eight times as long as the slowest that is usual."""

    class Slow(broker.Visit):
        async def open(self) -> None:
            await asyncio.sleep(8 * 1.5)

        async def settled(self) -> None:
            await asyncio.sleep(8 * 0.5)

        async def close(self) -> None:
            await asyncio.sleep(8 * 0.1)

    monkeypatch.setattr(broker, "Visit", Slow)
    (tmp_path / "config.yaml").write_text("mqtt: {username: nuki, password: hunter2}\n")
    (tmp_path / "web.yaml").write_text("guest: {username: guest}\n")
    for each in await examined(name, at(tmp_path)):
        assert "longer" not in each.sentence
        assert "does not" not in each.sentence or "refuses" in each.sentence, each


# -- the whole --------------------------------------------------------------------------------------------------------


async def _hangs(_: Place) -> None:
    await asyncio.Event().wait()


async def _fails(_: Place) -> None:
    raise ValueError("the password is hunter2")


async def _cannot(_: Place) -> None:
    raise CouldNotLook("it is dark", "light a lamp")


async def _looks(_: Place) -> None:
    await asyncio.sleep(1.0)


async def test_no_check_holds_up_or_breaks_the_others(tmp_path: Path) -> None:
    table: list[Check[Any]] = [
        Check(name, "", look, lambda _: [ok("looks", "it is there")])
        for name, look in (("hangs", _hangs), ("fails", _fails), ("cannot", _cannot), ("looks", _looks))
    ]
    before = asyncio.get_running_loop().time()
    findings = await examine(at(tmp_path), table, limit_s=5.0)
    assert asyncio.get_running_loop().time() - before == pytest.approx(5.0, abs=0.1)
    assert [(each.name, each.verdict) for each in findings] == [
        *(("hangs", UNKNOWN), ("fails", UNKNOWN), ("cannot", UNKNOWN), ("looks", OK)),
    ]
    assert findings[0].sentence == "could not look: it takes longer than 5 s"
    assert findings[1].sentence == "could not look: an internal error, ValueError"
    assert findings[2].advice == "light a lamp"


def test_only_what_can_be_done_makes_the_status_one() -> None:
    assert all_well([ok("a", "b"), unknown("c", "d")])
    assert not all_well([ok("a", "b"), warning("c", "d", "e")])
    assert not all_well([problem("c", "d", "e")])


async def _names(_: Place) -> None:
    pass


async def test_no_address_is_in_a_report(tmp_path: Path) -> None:
    """It tells which lock it is; its maker may be told."""
    sentence = "54:D2:72:AA:BB:CC: not seen within 8 s"
    [found] = await examine(at(tmp_path), [Check("it", "", _names, lambda _: [ok("it", sentence)])])
    assert found.sentence == "54:D2:72:…: not seen within 8 s"


def test_the_documentation_says_what_is_looked_at() -> None:
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
    [table] = re.findall(r"^\| It looks at \| What \|\n((?:\|.*\n)+)", page, re.MULTILINE)
    subjects = {each.strip() for row in table.splitlines()[1:] for each in row.split("|")[1].split(",")}
    assert {each.name for each in CHECKS} <= subjects


@pytest.mark.real_time
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run something as another user")
async def test_a_program_runs_as_the_services_user() -> None:
    assert (await run_program(["id", "-un"], user="nobody")).strip() == "nobody"
    with pytest.raises(CouldNotLook, match="cannot be run"):
        await run_program(["id"], user="nobody-at-all")


@pytest.mark.real_time
async def test_a_program_that_fails_or_is_not_there_could_not_look() -> None:
    with pytest.raises(CouldNotLook, match="ends with status 1"):
        await run_program(["false"])
    with pytest.raises(CouldNotLook, match="cannot be run"):
        await run_program(["/no/such/program"])


async def test_where_root_asks_bluez_is_asked_as_the_services_user(tmp_path: Path) -> None:
    """Root may always talk to BlueZ."""
    asked: list[tuple[list[str], str | None]] = []

    async def run(command: list[str], user: str | None = None) -> str:
        asked.append((command[1:], user))
        return bluetooth.told(unusable(REFUSED))

    (tmp_path / "config.yaml").write_text("bluetooth: {adapter: hci1}\n")
    place = at(tmp_path, run=run)
    place.is_root, place.service_user = True, "nobody"
    findings = await examine(place, [CHECK["D-Bus permission"], CHECK["adapter"]])
    assert asked == [(["-m", "nuki_bridge.doctor.ask_bluez", "hci1"], "nobody")]
    assert findings[0].sentence == "D-Bus lets the service's user nobody not talk to BlueZ"
    assert verdicts(findings) == [PROBLEM, UNKNOWN]


def test_each_finding_is_one_line() -> None:
    told = doctor_commands.line(problem("lock front\x1b[2J", "it\nis away", "batteries"))
    assert told == "problem  lock front?[2J: it?is away -> batteries"


def test_the_last_line_says_how_much_there_is_to_do() -> None:
    assert doctor_commands.summary([ok("a", "b")]) == "nothing to do"
    assert doctor_commands.summary([ok("a", "b"), unknown("c", "d")]) == "nothing to do; 1 could not be looked at"
    both = [warning("a", "b", "c"), problem("c", "d", "e"), unknown("c", "d")]
    assert doctor_commands.summary(both) == "2 to do; 1 could not be looked at"


def test_names_of_checks_are_told_once() -> None:
    assert len({each.name for each in CHECKS}) == len(CHECKS)
    assert all(each.looks_at for each in CHECKS)


def test_without_a_configuration_bluetooth_is_looked_at_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("nonsense: true\n")
    assert at(tmp_path).bluetooth() == BluetoothSettings()
    (tmp_path / "config.yaml").write_text("bluetooth: {adapter: hci3}\n")
    assert at(tmp_path).configured() == Settings(
        bluetooth=BluetoothSettings(adapter="hci3"), path=tmp_path / "config.yaml"
    )
