"""`nuki-bridge import`: what other programs have paired is taken, and the daemon moves the lock with it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.store import UNKNOWN_NUKI_ID, Store
from tests.unit import other_programs
from tests.unit.house import CLASSIC, ULTRA, House
from tests.unit.import_desk import OPENER, OTHER, Desk, each_program
from tests.unit.intercom import OPENER as INTERCOM
from tests.unit.intercom import PIN, SETTINGS, Intercom
from tests.unit.other_programs import APP_ID, EXPORTS, paired
from tests.unit.stored import LOCK

# -- the daemon uses it -----------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "address"),
    [(program, CLASSIC) for program in EXPORTS]
    + [(program, ULTRA) for program in EXPORTS if program != "RaspiNukiBridge"],  # which cannot pair with one
)
async def test_the_daemon_locks_and_unlocks_with_an_imported_pairing(
    house: House, desk: Desk, program: str, address: str
) -> None:
    lock, pin = (house.classic, "1234") if address == CLASSIC else (house.ultra, "123456")
    other = await paired(house.radio, lock, pin)
    users = len(list(lock.authorizations))
    report = desk.take(EXPORTS[program](other), "--name", "front")
    assert [each["name"] for each in report["locks"]] == ["front"]
    async with house.running():
        await asyncio.sleep(10)
        for action, state in (("unlock", "unlocked"), ("lock", "locked")):
            assert (await house.ask("front/set", action))["status"] == "ok"
            await asyncio.sleep(5)
            assert house.on("front/state")[-1] == state
        assert house.on("front/availability")[-1] == "online"
        assert house.lock("front").paired.nuki_id == lock.nuki_id
        assert house.lock("front").paired.family is lock.device.family
        if program != "RaspiNukiBridge":
            assert (await house.ask("front/request/users/list"))["status"] == "ok", "the PIN came along"
    assert len(list(lock.authorizations)) == users, "nobody was added"
    (kept,) = desk.locks()
    assert (kept.nuki_id, kept.family) == (lock.nuki_id, lock.device.family)


async def test_the_ultra_and_the_classic_lock_of_one_export(house: House, desk: Desk) -> None:
    classic = await paired(house.radio, house.classic, "1234", IdType.APP, seed=9)
    ultra = await paired(house.radio, house.ultra, "123456", seed=10)
    names = [each["name"] for each in desk.take(other_programs.hass_nuki_bt(classic, ultra))["locks"]]
    assert names == ["front_door", "front_door_2"]
    async with house.running():
        await asyncio.sleep(10)
        assert house.lock("front_door").paired.id_type is IdType.APP
        for name in names:
            assert (await house.ask(f"{name}/set", "unlock"))["status"] == "ok"


@each_program
async def test_an_opener_is_met_as_one_at_first_contact(desk: Desk, program: str) -> None:
    """Only nuki_hub says what it is; until it is known nothing is sent: the same number is another action there."""
    house = Intercom(desk.state)
    other = await paired(house.radio, house.opener, PIN)
    desk.configure(f'locks:\n  - name: hall\n    address: "{INTERCOM}"\n')
    desk.take(EXPORTS[program](other))
    assert [each.family is Family.OPENER for each in desk.locks()] == [program == "nuki_hub"]
    async with house.running():
        early = await house.do("unlock" if program != "nuki_hub" else "open")
        assert early["status"] == ("ok" if program == "nuki_hub" else "error")
        await asyncio.sleep(60)
        assert house.sent() == house.strikes() == (program == "nuki_hub")
        assert house.state() == ("locked", "off")
        assert (house.status()["family"], house.status()["connection"]) == ("opener", "on-demand")
        assert house.opener.links == 0
        before = house.strikes()
        assert (await house.do("open"))["status"] == "ok"
        assert house.strikes() == before + 1
        assert (await house.do("unlock"))["error"] == "unknown_action"
        await asyncio.sleep(20)
        assert house.state() == ("locked", "off")
    assert [each.family for each in desk.locks()] == [Family.OPENER]


@pytest.mark.parametrize("action", ["unlock", "lock", "unlatch"])
async def test_what_was_asked_of_a_lock_is_not_sent_to_what_turns_out_to_be_an_opener(desk: Desk, action: str) -> None:
    """Its number would be ring to open to an Opener, or the strike."""
    house = Intercom(desk.state, replace(SETTINGS, connection="on-demand"))
    other = await paired(house.radio, house.opener, PIN)
    desk.take(other_programs.raspi_nuki_bridge(other), "--name", "hall")
    house.opener.out_of_range(True)
    async with house.running():
        asking = asyncio.create_task(house.do(action))
        await asyncio.sleep(5)
        house.opener.out_of_range(False)
        assert (await asking)["status"] == "error"
        await asyncio.sleep(60)
        assert (house.sent(), house.state()) == (0, ("locked", "off"))
        assert house.status()["family"] == "opener"


async def test_a_pairing_that_the_lock_does_not_know_is_told_at_first_contact(house: House, desk: Desk) -> None:
    desk.take(other_programs.nuki_hub(replace(OTHER, address=CLASSIC)), "--name", "front")
    async with house.running():
        await asyncio.sleep(10)
        assert house.on("front/availability")[-1] == "offline"
        (lock,) = (await house.ask("bridge/request/locks"))["data"]
        assert (lock["fault"]["code"], lock["state"]) == ("not_authorized", None)
        assert (await house.ask("front/set", "unlock"))["error"] == "not_authorized"


async def test_what_it_replaces_is_used_again_if_the_lock_refuses_the_new_one(house: House, desk: Desk) -> None:
    async with house.running():
        await house.pair(name="front")
    wrong = replace(OTHER, address=CLASSIC)
    report = desk.take(other_programs.raspi_nuki_bridge(wrong), "--replace")
    assert [(each["name"], each["change"]) for each in report["locks"]] == [("front", "replaced")]
    house = house.restarted()
    async with house.running():
        await asyncio.sleep(60)
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
    assert [each.shared_key for each in desk.locks()] != [wrong.shared_key]


async def test_what_it_replaces_is_forgotten_once_the_lock_has_answered(house: House, desk: Desk) -> None:
    async with house.running():
        await house.pair(name="front", **{"as": "app"})
        before = house.lock("front").paired
    other = await paired(house.radio, house.classic, "1234")
    desk.take(other_programs.nuki_hub(other), "--replace")
    house = house.restarted()
    async with house.running():
        await asyncio.sleep(10)
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert not house.store.has_former("front")
    (kept,) = desk.locks()
    assert kept.authorization_id == int.from_bytes(other.auth_id, "little") != before.authorization_id
    assert before.shared_key not in b"".join(desk.files().values())


# -- what is taken ----------------------------------------------------------------------------------------------------


@each_program
def test_every_field_is_taken_as_it_is_meant(desk: Desk, program: str) -> None:
    """The document's own keys, and what the bytes of ID and address mean."""
    report = desk.take(EXPORTS[program](replace(OTHER, auth_id=bytes.fromhex("01020304"))), "--name", "front")
    (lock,) = desk.locks()
    assert (lock.name, lock.address, lock.authorization_id) == ("front", "54:D2:72:2B:3C:4D", 0x04030201)
    assert lock.shared_key == OTHER.shared_key
    assert (lock.app_id, lock.id_type, lock.nuki_id) == (APP_ID, IdType.BRIDGE, UNKNOWN_NUKI_ID)
    assert lock.pin == (None if program == "RaspiNukiBridge" else "0815")
    assert report["program"] == program
    (told,) = report["locks"]
    assert told["pin"] is (program != "RaspiNukiBridge")
    assert any(f"{program} must not run" in each for each in report["warnings"])


@each_program
def test_an_app_stays_an_app_and_no_other_program_but_raspi_can_be_one(desk: Desk, program: str) -> None:
    desk.take(EXPORTS[program](replace(OTHER, id_type=IdType.APP)))
    (lock,) = desk.locks()
    assert lock.id_type is (IdType.BRIDGE if program == "RaspiNukiBridge" else IdType.APP)


def test_ultra_of_nuki_hub_is_an_app_with_its_six_digits(desk: Desk) -> None:
    desk.take(other_programs.nuki_hub(replace(OTHER, family=Family.ULTRA, pin="001234")))
    (lock,) = desk.locks()
    assert (lock.family, lock.id_type, lock.pin) == (Family.ULTRA, IdType.APP, "001234")


def test_an_export_of_nuki_hub_from_2024_has_no_app_id(desk: Desk) -> None:
    fields = json.loads(other_programs.nuki_hub(OTHER, nukiId=""))
    for later in ("deviceId", "deviceIdOp", "isUltra", "ultraPinCodeLock", "geminiPin", "geminiena"):
        del fields[later]
    desk.take(json.dumps(fields))
    (lock,) = desk.locks()
    assert (lock.app_id, lock.family, lock.name) == (0, Family.CLASSIC, "lock_2b3c4d")


def test_opener_of_nuki_hub_is_one_beside_its_lock(desk: Desk) -> None:
    report = desk.take(other_programs.nuki_hub(OTHER, OPENER, deviceIdOp="7", openerpin="1", regOpnAsApp="1"))
    opener, lock = sorted(desk.locks(), key=lambda each: each.family.value, reverse=True)
    assert (opener.family, opener.address, opener.authorization_id) == (Family.OPENER, OPENER.address, 0x010D)
    assert (opener.app_id, opener.id_type, opener.pin) == (7, IdType.APP, "0815")
    assert (lock.family, lock.app_id, lock.name) == (Family.CLASSIC, APP_ID, "lock_1a2b3c4d")
    assert opener.name == "opener_0a0b0c"
    assert len(report["locks"]) == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"securityPinCodeLock": 0}, False),
        ({"securityPinCodeLock": 65535}, False),
        ({"lockpin": "2"}, True),
    ],
    ids=["never given", "cleared", "refused by the lock"],
)
def test_pin_of_nuki_hub_that_is_none_is_not_taken(desk: Desk, changed: dict[str, Any], told: bool) -> None:
    report = desk.take(other_programs.nuki_hub(OTHER, **changed))
    assert [each.pin for each in desk.locks()] == [None]
    assert [each["pin"] for each in report["locks"]] == [False]
    assert any("PIN" in each and "refused" in each for each in report["warnings"]) is told


def test_pin_of_odd_length_is_not_taken_and_said(desk: Desk) -> None:
    report = desk.take(other_programs.hass_nuki_bt(replace(OTHER, pin="12345")))
    assert [each.pin for each in desk.locks()] == [None]
    assert any("neither 4 digits nor 6" in each for each in report["warnings"])


@pytest.mark.parametrize(("number", "pin"), [(815, "0815"), (4711, "4711"), (0, None), (123456, "123456"), (-5, None)])
def test_pin_that_was_kept_as_a_number_gets_its_zeros_back(desk: Desk, number: int, pin: str | None) -> None:
    desk.take(other_programs.hass_nuki_bt(OTHER).replace('"pin": "0815"', f'"pin": {number}'))
    assert [each.pin for each in desk.locks()] == [pin]


def test_what_is_not_taken_is_said_by_field(desk: Desk) -> None:
    hub = desk.take(other_programs.nuki_hub(OTHER))["not_taken"]
    fields = [name for each in hub for name in each["fields"]]
    assert {"mqttbroker", "mqttpass", "wifiPass", "aclLckOpn", "mqttpath"} <= set(fields)
    assert not {"secretKeyKLock", "geminiPin", "deviceId"} & set(fields)
    assert len(fields) == len(set(fields))
    raspi = desk.take(other_programs.raspi_nuki_bridge(OTHER))["not_taken"]
    assert ["server.host", "server.port", "server.token"] in [each["fields"] for each in raspi]
    hass = desk.take(other_programs.hass_nuki_bt(OTHER))["not_taken"]
    assert [each["why"] for each in hass if "entries of other integrations: 1" in each["why"]]


def test_the_hex_digits_of_an_id_are_no_number(desk: Desk) -> None:
    """YAML reads 00000010 as eight and 12345678 as a number where nobody has put quotes."""
    text = other_programs.raspi_nuki_bridge(replace(OTHER, auth_id=bytes.fromhex("00000010"))).replace("'", "")
    assert "auth_id: 00000010" in text
    desk.take(text)
    assert [each.authorization_id for each in desk.locks()] == [0x10000000]


def test_standard_input_is_an_export_too(desk: Desk) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "nuki_bridge", "import", "-", "--config", str(desk.configuration)],
        input=other_programs.nuki_hub(OTHER),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "lock_1a2b3c4d" in ran.stdout
    assert "sudo systemctl start nuki-bridge" in ran.stdout
    assert len(desk.locks()) == 1


# -- names, and what is there already ---------------------------------------------------------------------------------


def test_the_configurations_name_for_the_address_is_the_locks(desk: Desk) -> None:
    desk.configure(f'locks:\n  - name: front\n    address: "{OTHER.address}"\n')
    report = desk.take(other_programs.hass_nuki_bt(OTHER))
    assert [each["name"] for each in report["locks"]] == ["front"]


def test_secrets_that_only_the_running_service_has_are_not_needed(desk: Desk) -> None:
    """The service is stopped meanwhile, and with it systemd takes its credentials away."""
    gone = "/run/credentials/nuki-bridge.service"
    desk.configure(
        f"mqtt:\n  username: nuki\n  password_file: {gone}/mqtt-password\n"
        f"  tls: {{ca: {gone}/ca, cert: {gone}/cert, key: {gone}/key}}\n"
        f'locks:\n  - name: hall\n    address: "{OTHER.address.lower()}"\n    pin_file: hall-pin\n'
    )
    assert [each["name"] for each in desk.take(other_programs.nuki_hub(OTHER))["locks"]] == ["hall"]
    desk.configure("mqtt:\n  password_file: mqtt-password\n")
    status, _, err = desk.run(other_programs.nuki_hub(OTHER))
    assert (status, "needs username beside it" in err) == (2, True), "other mistakes are told"


def test_another_name_than_the_configurations_is_refused(desk: Desk) -> None:
    desk.configure(f'locks:\n  - name: front\n    address: "{OTHER.address}"\n')
    assert "the configuration calls the lock" in desk.refused(other_programs.hass_nuki_bt(OTHER), "--name", "back")


def test_a_name_of_another_lock_is_refused_if_asked_for_else_numbered(desk: Desk) -> None:
    desk.put(replace(LOCK, name="front_door", address="54:D2:72:AA:BB:CC"))
    assert "front_door is the name of the lock 54:D2:72:AA:BB:CC" in desk.refused(
        other_programs.nuki_hub(OTHER), "--name", "front_door"
    )
    desk.configure('locks:\n  - name: back\n    address: "54:D2:72:00:00:02"\n')
    assert "back is the name of the lock 54:D2:72:00:00:02" in desk.refused(
        other_programs.nuki_hub(OTHER), "--name", "back"
    )
    report = desk.take(other_programs.hass_nuki_bt(OTHER, title="Front Door"))
    assert [each["name"] for each in report["locks"]] == ["front_door_2"]


@pytest.mark.parametrize("name", ["Front Door", "bridge", "1a2b3c4d", "x" * 33])
def test_a_name_that_cannot_be_one_is_refused(desk: Desk, name: str) -> None:
    assert "the name must" in desk.refused(other_programs.nuki_hub(OTHER), "--name", name)


def test_one_name_is_not_for_two_devices_and_one_can_be_chosen(desk: Desk) -> None:
    both = other_programs.nuki_hub(OTHER, OPENER)
    assert OPENER.address in desk.refused(both, "--name", "front")
    desk.take(both, "--name", "front", "--address", OTHER.address.lower())
    assert [(each.name, each.address) for each in desk.locks()] == [("front", OTHER.address)]
    assert "has no device 54:D2:72:00:00:09" in desk.refused(both, "--address", "54:D2:72:00:00:09")


def test_a_configured_lock_without_address_is_asked_about(desk: Desk) -> None:
    desk.configure("locks:\n  - name: front\n")
    export = other_programs.nuki_hub(OTHER)
    warnings = desk.take(export, "--dry-run")["warnings"]
    assert [each for each in warnings if "front without an address" in each and "--name" in each]
    warnings = desk.take(export, "--name", "front")["warnings"]
    assert not [each for each in warnings if "without an address" in each]


def test_a_paired_lock_is_not_overwritten_without_being_asked(desk: Desk) -> None:
    present = replace(LOCK, address=OTHER.address, pin="4711", family=Family.CLASSIC)
    desk.put(present)
    sentence = desk.refused(other_programs.nuki_hub(OTHER))
    assert f"front_door ({OTHER.address}) is paired already, as authorization 2" in sentence
    assert "--replace" in sentence
    assert "leave the name out" in desk.refused(other_programs.nuki_hub(OTHER), "--replace", "--name", "back")
    report = desk.take(other_programs.nuki_hub(OTHER), "--replace")
    (lock,) = desk.locks()
    assert (lock.name, lock.nuki_id, lock.uuid) == (present.name, present.nuki_id, present.uuid)
    assert lock.shared_key == OTHER.shared_key
    assert lock.pin == "4711", "what is known here may be proven already"
    assert [each["pin"] for each in report["locks"]] == [False]
    store = Store(desk.state)
    store.open()
    assert store.restore_former("front_door") == present
    store.close()


def test_the_same_pairing_twice_changes_nothing(desk: Desk) -> None:
    desk.take(other_programs.hass_nuki_bt(OTHER))
    before = desk.files()
    report = desk.take(other_programs.pynukibt(OTHER))
    assert [(each["name"], each["change"]) for each in report["locks"]] == [("front_door", "unchanged")]
    assert (report["next"], desk.files()) == ([], before)


def test_two_pairings_with_one_lock_are_refused(desk: Desk) -> None:
    twice = other_programs.hass_nuki_bt(OTHER, replace(OTHER, auth_id=bytes.fromhex("03000000")))
    assert "2 pairings with 54:D2:72:2B:3C:4D" in desk.refused(twice)
