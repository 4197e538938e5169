"""`nuki-bridge import`: what it refuses and leaves alone, what it never tells, and whose files it makes."""

from __future__ import annotations

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

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.command_line import cli
from nuki_bridge.errors import RequestError, StoreError
from nuki_bridge.migration.reading import read_export
from nuki_bridge.migration.state_owner import as_owner
from nuki_bridge.store import Store
from tests.unit import other_programs
from tests.unit.import_desk import OTHER, Desk, each_program
from tests.unit.other_programs import EXPORTS
from tests.unit.stored import LOCK

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
    "nuki_hub": ("bleAddressLock", "secretKeyKLock", "authorizationIdLock"),
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


@pytest.mark.long
@given(ANYTHING)
def test_no_content_does_more_than_be_refused(values: object) -> None:
    for text in (json.dumps(values), str(yaml.safe_dump(values))):
        with contextlib.suppress(RequestError):
            assert read_export(text.encode()).pairings


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        read_export(data)


def test_help_names_the_programs_and_warns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["import", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert [each for each in EXPORTS if each not in text] == []
    assert "two programs that use one authorization disturb each other" in text
    assert "The service has to be stopped" in text


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
    assert "every user can read" in desk.capsys.readouterr().out


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
