"""`nuki-bridge import`: what other programs have paired, taken over, and the daemon moves the lock with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.command_line import cli
from nuki_bridge.errors import RequestError, StoreError
from nuki_bridge.migration.reading import read_export
from nuki_bridge.migration.state_owner import as_owner
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.store import UNKNOWN_NUKI_ID, PairedLock, Store
from tests.unit import other_programs
from tests.unit.house import CLASSIC, ULTRA, House
from tests.unit.other_programs import APP_ID, EXPORTS, OtherProgram, paired
from tests.unit.stored import LOCK

each_program = pytest.mark.parametrize("program", EXPORTS)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of the house; made by whoever runs this, so that nobody else's name is taken on."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


class Desk:
    """Where somebody calls `nuki-bridge import`."""

    def __init__(self, directory: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.state = state
        self.configuration = directory / "config.yaml"
        self.configure()
        self._capsys = capsys
        self.said: list[str] = []

    def configure(self, more: str = "") -> None:
        self.configuration.write_text(f"state_dir: {self.state}\n{more}")

    def run(self, export: str, *options: str) -> tuple[int, str, str]:
        """Import a file with this text; status, stdout and stderr."""
        file = self.directory / "export"
        file.write_text(export)
        file.chmod(0o600)
        status = cli.main(["import", str(file), "--config", str(self.configuration), *options])
        shown = self._capsys.readouterr()
        self.said += [shown.out, shown.err]
        return status, shown.out, shown.err

    def take(self, export: str, *options: str) -> dict[str, Any]:
        """The report as JSON about an import that succeeds."""
        status, out, err = self.run(export, "--json", *options)
        assert (status, err) == (0, "")
        report: dict[str, Any] = json.loads(out)
        return report

    def refused(self, export: str, *options: str) -> str:
        """The sentence about an import that fails, and changes nothing."""
        before = self.locks()
        status, out, err = self.run(export, *options)
        assert (status, out) == (1, "")
        assert err.count("\n") == 1
        assert self.locks() == before
        return err

    def locks(self) -> list[PairedLock]:
        return Store(self.state).peek()

    def put(self, *locks: PairedLock) -> None:
        store = Store(self.state)
        store.open()
        for each in locks:
            store.save_lock(each)
        store.close()

    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in self.state.iterdir()}


@pytest.fixture
def desk(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, state, capsys)


OTHER = OtherProgram(
    address="54:D2:72:2B:3C:4D",
    family=Family.CLASSIC,
    auth_id=bytes.fromhex("02000000"),
    secret=bytes.fromhex("8CAA54672307BFFDF5EA183FC607158D2011D008ECA6A1088614FF0853A5AA07"),
    device_public=bytes.fromhex("2FE57DA347CD62431528DAAC5FBB290730FFF684AFC4CFC2ED90995F58CB3B74"),
    shared_key=bytes.fromhex("217FCB0F18CAF284E9BDEA0B94B83B8D10867ED706BFDEDBD2381F4CB3B8F730"),
    id_type=IdType.BRIDGE,
    pin="0815",
)
"""The pairing in the document's own example."""
OPENER = replace(OTHER, address="54:D2:72:0A:0B:0C", family=Family.OPENER, auth_id=bytes.fromhex("0d010000"))


# -- the daemon uses it -----------------------------------------------------------------------------------------------


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


# -- nothing is lost, nothing is told ---------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_and_says_the_same(desk: Desk) -> None:
    dry = desk.take(other_programs.nuki_hub(OTHER), "--dry-run")
    assert desk.files() == {}
    desk.put(LOCK)
    before = desk.files()
    assert desk.take(other_programs.nuki_hub(OTHER), "--dry-run")["locks"] == dry["locks"]
    assert desk.files() == before
    assert dry["dry_run"] is True
    assert desk.take(other_programs.nuki_hub(OTHER))["locks"] == dry["locks"]


def test_while_the_daemon_runs_only_a_dry_run_is_made(desk: Desk) -> None:
    store = Store(desk.state)
    store.open()
    store.save_lock(LOCK)
    try:
        assert "stop it (sudo systemctl stop nuki-bridge)" in desk.refused(other_programs.nuki_hub(OTHER))
        assert desk.take(other_programs.hass_nuki_bt(OTHER), "--dry-run")["locks"][0]["name"] == "front_door_2"
    finally:
        store.close()
    assert desk.locks() == [LOCK]


@each_program
def test_no_key_and_no_pin_is_shown(desk: Desk, program: str) -> None:
    export = EXPORTS[program](replace(OTHER, pin="481516"))
    desk.run(export, "--dry-run")
    desk.run(export)
    desk.put(replace(LOCK, name="another", address=OTHER.address))
    desk.run(export, "--json", "--replace")
    for each in OTHER.secrets[:3]:
        desk.run(export.replace(each, each[:-1] + "g"), "--replace")
        desk.run(export.replace(each, each[:-2]), "--replace")
    for said in desk.said:
        for secret in (*OTHER.secrets[:3], "481516", "hub-password", "wifi-password", "mqtt-password", "ab" * 32):
            assert secret not in said
            assert secret[:-2] not in said


FIELDS = {
    "nuki_hub": ("bleAddressLock", "secretKeyKLock", "authorizationIdLock", "deviceId"),
    "hass_nuki_bt": ("device_address", "auth_id", "device_public_key", "public_key", "private_key", "app_id"),
    "pyNukiBT": ("address", "nuki_public_key", "bridge_public_key", "bridge_private_key", "app_id"),
    "RaspiNukiBridge": ("address", "auth_id", "nuki_public_key", "bridge_public_key", "bridge_private_key", "app_id"),
}


def _damaged(value: object, name: str, damage: object) -> object:
    """Put `damage` into a field, wherever it stands; the field goes if that is None."""
    if isinstance(value, list):
        return [_damaged(each, name, damage) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _damaged(each, name, damage) for key, each in value.items()}
    if name in changed:
        changed[name] = damage
        if damage is None:
            del changed[name]
    return changed


@pytest.mark.parametrize(
    "damage", [None, "", "xyz-secret", ["xyz-secret"], True, {"a": "xyz-secret"}, "0" * 63, 1 << 70]
)
@pytest.mark.parametrize(("program", "name"), [(program, name) for program, names in FIELDS.items() for name in names])
def test_a_field_that_is_wrong_is_named_and_not_quoted(desk: Desk, program: str, name: str, damage: object) -> None:
    values = yaml.safe_load(EXPORTS[program](OTHER))
    sentence = desk.refused(json.dumps(_damaged(values, name, damage)))
    assert name in sentence or (name == "secretKeyKLock" and "secretKeyKOpener" in sentence), sentence
    assert "xyz" not in sentence
    assert "bad_export" in sentence


def test_keys_that_do_not_belong_together_are_told_from_a_wrong_one(desk: Desk) -> None:
    export = other_programs.pynukibt(OTHER).replace(OTHER.secret.hex(), "11" * 32)
    assert "bridge_public_key does not belong to bridge_private_key" in desk.refused(export)
    export = other_programs.pynukibt(OTHER).replace(OTHER.device_public.hex(), "00" * 32)
    assert "nuki_public_key is no public key" in desk.refused(export)


@pytest.mark.parametrize(
    ("export", "sentence"),
    [
        (other_programs.nuki_hub(), "has no pairing data"),
        (other_programs.nuki_hub(replace(OTHER, shared_key=bytes(32))), "was not paired"),
        (other_programs.nuki_hub(replace(OTHER, auth_id=bytes(4))), "authorizationIdLock is zero"),
        (other_programs.hass_nuki_bt(), "data.entries has no entry of hass_nuki_bt"),
        ('{"data": {"entries": 5}}', "data.entries must be a list"),
        ("server: {app_id: 5}", "smartlock is missing"),
        ("server: {app_id: 5}\nsmartlock: []", "smartlock is empty"),
        ("server: {app_id: 5}\nsmartlock: [7]", "smartlock[0] must be a mapping"),
        ("{", "line 1 is not valid JSON"),
        ('{"a": 1,\n"b": }', "line 2 is not valid JSON"),
        ("a: b\n c: d", "line 2 is not valid YAML"),
        ("", "no export that is known"),
        ("[]", "no export that is known"),
        ("hello", "no export that is known"),
        ("[" * 100_000, "nested too deeply"),
        ("a: \x07", "neither JSON nor YAML"),
        ("a: &a {b: *a}", "line 1 is not valid YAML"),
        ("a: &a []\nb: *a", "no export that is known"),
        ('{"a": ' + "1" * 5000 + "}", "too long"),
    ],
)
def test_what_is_no_export_is_told_in_a_sentence(desk: Desk, export: str, sentence: str) -> None:
    assert sentence in desk.refused(export)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=70)
    | st.sampled_from(["0", "1", "00" * 32, "01000000"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted({name for names in FIELDS.values() for name in names} | {"server", "smartlock", "data"})
            )
            | st.sampled_from(
                ["entries", "domain", "isUltra", "geminiPin", "securityPinCodeLock", "pin", "client_type"]
            ),
            inner,
            max_size=9,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_no_content_does_more_than_be_refused(values: object) -> None:
    for text in (json.dumps(values), str(yaml.safe_dump(values))):
        with contextlib.suppress(RequestError):
            assert read_export(text.encode()).pairings


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        read_export(data)


def test_a_file_that_cannot_be_read_is_told(desk: Desk) -> None:
    assert cli.main(["import", str(desk.directory / "none"), "--config", str(desk.configuration)]) == 1
    (desk.directory / "binary").write_bytes(b"a\n\xff")
    assert cli.main(["import", str(desk.directory / "binary"), "--config", str(desk.configuration)]) == 1
    assert cli.main(["import", "/dev/zero", "--config", str(desk.configuration)]) == 1


def test_an_export_that_everybody_can_read_is_warned_of(desk: Desk) -> None:
    assert not any("every user" in each for each in desk.take(other_programs.nuki_hub(OTHER))["warnings"])
    open_file = desk.directory / "open"
    open_file.write_text(other_programs.nuki_hub(OTHER))
    open_file.chmod(0o644)
    cli.main(["import", str(open_file), "--config", str(desk.configuration)])
    assert "every user can read" in desk._capsys.readouterr().out


# -- whose files they are ---------------------------------------------------------------------------------------------


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory whose parents every user may enter."""
    path = Path(tempfile.mkdtemp(prefix="nuki-bridge-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _as_root(public: Path, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Import in a process of its own, which may become somebody else for good."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    config, export = public / "config.yaml", public / "export"
    config.write_text(f"state_dir: {public / 'state'}\n")
    export.write_text(other_programs.nuki_hub(OTHER))
    export.chmod(0o600)
    code = f"import os, sys\n{before}\nfrom nuki_bridge.command_line import cli\nsys.exit(cli.main(sys.argv[1:]))"
    arguments = ["import", str(export), "--config", str(config), *options]
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_root_writes_as_the_state_directorys_owner(public: Path) -> None:
    state = public / "state"
    state.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(state, 65534, 65534)
    ran = _as_root(public)
    assert (ran.returncode, ran.stderr) == (0, "")
    owners = {each.name: each.stat().st_uid for each in state.iterdir()}
    assert owners["nuki-bridge.db"] == 65534
    assert set(owners.values()) == {65534}
    assert (state / "nuki-bridge.db").stat().st_mode & 0o777 == 0o600


def test_a_state_directory_that_is_missing_is_made_for_the_services_user(public: Path) -> None:
    service = "import pwd; pwd.getpwnam = lambda name: pwd.getpwuid(65534)"
    ran = _as_root(public, before=service)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {each.stat().st_uid for each in (public / "state", *(public / "state").iterdir())} == {65534}
    assert (public / "state").stat().st_mode & 0o777 == 0o700


def test_a_dry_run_makes_no_directory(public: Path) -> None:
    assert _as_root(public, "--dry-run").returncode == 0
    assert not (public / "state").exists()


def test_another_user_is_told_to_be_root(public: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    os.seteuid(65534)
    try:
        with (
            pytest.raises(StoreError, match="belongs to root; run this as root, with sudo"),
            as_owner(public, make=True),
        ):
            pytest.fail("the block is not entered")
    finally:
        os.seteuid(0)


def test_root_is_root_again_afterwards(public: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    os.chown(public, 65534, 65534)
    before = os.geteuid(), os.getegid(), os.getgroups()
    with as_owner(public, make=False):
        (public / "file").touch()
    with pytest.raises(FileExistsError), as_owner(public, make=False):
        (public / "file").touch(exist_ok=False)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert (public / "file").stat().st_uid == (public / "file").stat().st_gid == 65534
