"""The guest's side without a network: what a credential file may be, and the same lock code over any radio."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.errors import AdapterUnavailable, LockError, NukiError, RequestError
from nuki_bridge.guest import credential_file, guest
from nuki_bridge.guest.credential_file import Credential
from nuki_bridge.guest.relay_link import read_error
from nuki_bridge.lock.credential import credential
from nuki_bridge.protocol.codes import Action, ErrorCode, Family, IdType, LockState
from tests.unit.rig import Rig

KEY = bytes(range(32))


async def invited(rig: Rig) -> Credential:
    """The credential of somebody whom the lock knows."""
    paired = replace(await rig.pair(), name="front")
    entry = rig.virtual.add_user(KEY, IdType.APP, 0, "Anna", full=ErrorCode.TOO_MANY_ENTRIES)
    made = credential(paired, "nuki", authorization_id=entry.authorization_id, shared_key=KEY, user="Anna", remote=True)
    return credential_file.read_credential(json.loads(json.dumps(made)))


def data(**changes: Any) -> dict[str, Any]:
    lock = {"name": "front", "nuki_id": "1A2B3C4D", "address": "54:D2:72:2B:3C:4D", "type": "classic"}
    lock |= changes.pop("lock", {})
    whole = {"version": 1, "lock": lock, "authorization_id": 7, "shared_key": KEY.hex(), "user": "Anna"}
    return {**whole, "remote": True, "base_topic": "nuki", **changes}


# -- over Bluetooth ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Family.CLASSIC, Family.ULTRA])
async def test_a_guest_acts_directly(family: Family) -> None:
    rig = Rig(family)
    anna = await invited(rig)
    seen: list[int] = []
    outcome = await guest.over_radio(
        rig.radio, anna, lambda lock: lock.perform(Action.UNLOCK, 15.0), lambda states: seen.append(states.lock_state)
    )
    assert outcome.completion == "success"
    assert seen[0] == LockState.UNLOCKING
    assert seen[-1] == LockState.UNLOCKED
    assert rig.virtual.links == 0


async def test_what_the_lock_refuses_is_said_in_words_for_a_guest() -> None:
    rig = Rig()
    anna = await invited(rig)
    entry = rig.virtual.authorizations.get(anna.authorization_id)
    assert entry is not None
    entry.enabled = False
    with pytest.raises(RequestError, match="owner has disabled") as disabled:
        await guest.over_radio(rig.radio, anna, lambda lock: lock.perform(Action.UNLOCK, 15.0), lambda states: None)
    assert disabled.value.code == "disabled"
    rig.virtual.authorizations.remove(anna.authorization_id)
    with pytest.raises(RequestError, match="ask for a new invitation") as removed:
        await guest.over_radio(rig.radio, anna, lambda lock: lock.perform(Action.UNLOCK, 15.0), lambda states: None)
    assert removed.value.code == "not_authorized"
    assert rig.movements() == []


async def test_a_machine_without_an_adapter_says_so() -> None:
    rig = Rig()
    anna = await invited(rig)
    rig.radio.set_adapter(False)
    with pytest.raises(AdapterUnavailable):
        await guest.over_radio(rig.radio, anna, lambda lock: lock.refresh(15.0), lambda states: None)


# -- the file ---------------------------------------------------------------------------------------------------------


def test_a_credential_is_kept_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new" / "front.json"
    first = credential_file.read_credential(data())
    credential_file.store(path, first, "mqtt://guest:secret@host/nuki")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(RequestError) as existing:
        credential_file.store(path, credential_file.read_credential(data(user="Eve")), None)
    assert existing.value.code == "credential_exists"
    loaded = credential_file.load(path)
    assert (loaded.user, loaded.shared_key, loaded.broker) == ("Anna", KEY, "mqtt://guest:secret@host/nuki")
    assert list(path.parent.iterdir()) == [path]


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="is there already"):
        credential_file.refuse_existing(path)
    with pytest.raises(RequestError, match="is there already"):
        credential_file.store(path, credential_file.read_credential(data()), None)
    assert not (tmp_path / "elsewhere").exists()


def test_the_only_credential_needs_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(RequestError, match="redeem"):
        credential_file.find(None)
    front, back = (credential_file.directory() / f"{name}.json" for name in ("front", "back"))
    credential_file.store(front, credential_file.read_credential(data()), None)
    assert credential_file.find(None) == front
    credential_file.store(back, credential_file.read_credential(data(lock={"name": "back"})), None)
    with pytest.raises(RequestError, match="back, front") as several:
        credential_file.find(None)
    assert several.value.code == "lock_missing"
    assert credential_file.find("back") == back
    with pytest.raises(RequestError) as unknown:
        credential_file.find("../front")
    assert unknown.value.code == "unknown_lock"


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        data(version=2),
        data(shared_key="00"),
        data(shared_key="xy"),
        data(shared_key=None),
        data(authorization_id=-1),
        data(authorization_id="7"),
        data(base_topic="nuki/#"),
        data(broker=7),
        data(lock={"name": "../x"}),
        data(lock={"name": 7}),
        data(lock={"address": "nowhere"}),
        data(lock={"type": "fridge"}),
        data(lock={"nuki_id": "x"}),
        {**data(), "lock": 7},
    ],
)
def test_a_credential_that_makes_no_sense_is_refused(bad: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(bad))
    with pytest.raises(RequestError) as refused:
        credential_file.load(file)
    assert refused.value.code == "bad_credential"
    assert KEY.hex() not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "\0", "[" * 100000])
def test_a_file_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(RequestError, match=str(file)):
        credential_file.load(file)


def test_no_secret_shows_in_a_repr() -> None:
    shown = repr(credential_file.read_credential(data(broker="mqtt://guest:secret@host/nuki")))
    assert KEY.hex() not in shown
    assert repr(KEY) not in shown
    assert "secret" not in shown


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"status":"error","error":"disabled","message":"no"}', "disabled"),
        (b'{"error":7}', "failed"),
        (b'{"error":"Not A Code\\n"}', "failed"),
        (b"[]", "failed"),
        (b"\xff", "failed"),
    ],
)
def test_errors_are_read_as_far_as_possible(payload: bytes, code: str) -> None:
    assert read_error(payload).code == code


def test_other_errors_stay_as_they_are() -> None:
    error: NukiError = LockError("motor_blocked", "the motor is blocked")
    assert guest.for_guest(error) is error
