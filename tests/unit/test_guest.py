"""The guest's side without a network: what a credential file may be, and the same lock code over any radio."""

from __future__ import annotations

import errno
import json
import os
import stat
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from nuki_bridge.command_line import guest_commands, user_commands
from nuki_bridge.errors import AdapterUnavailable, LockError, NukiError, RequestError
from nuki_bridge.guest import credential_file, guest
from nuki_bridge.guest.credential_file import Credential
from nuki_bridge.guest.relay_link import read_error
from nuki_bridge.lock.credential import credential
from nuki_bridge.protocol.codes import Action, ErrorCode, Family, IdType, LockState
from tests.unit.credentials import KEY, data
from tests.unit.rig import Rig

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient


async def invited(rig: Rig) -> Credential:
    """The credential of somebody whom the lock knows."""
    paired = replace(await rig.pair(), name="front")
    entry = rig.virtual.add_user(KEY, IdType.APP, 0, "Anna", full=ErrorCode.TOO_MANY_ENTRIES)
    made = credential(paired, "nuki", authorization_id=entry.authorization_id, shared_key=KEY, user="Anna", remote=True)
    return credential_file.read_credential(json.loads(json.dumps(made)))


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


NO_LINKS = [errno.EPERM, errno.ENOTSUP, errno.EACCES, errno.ENOSYS]


@pytest.mark.parametrize("number", NO_LINKS, ids=errno.errorcode.get)
def test_a_credential_is_kept_where_there_are_no_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "new" / "front.json"
    credential_file.store(path, credential_file.read_credential(data()), None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(RequestError) as existing:
        credential_file.store(path, credential_file.read_credential(data(user="Eve")), None)
    assert existing.value.code == "credential_exists"
    assert credential_file.load(path).user == "Anna"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_credential_that_cannot_be_written_whole_leaves_nothing(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [] if links else [None]  # the second file is the one that counts

    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def full(_: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left.pop()

    if not links:
        monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RequestError, match="No space left"):
        credential_file.store(tmp_path / "front.json", credential_file.read_credential(data()), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_directory_that_cannot_be_made_durable_is_no_reason_to_lose_a_credential(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system has no such thing; a disk that fails is told."""
    fsync = os.fsync

    def only_files(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    path = tmp_path / "front.json"
    with nullcontext() if number == errno.EINVAL else pytest.raises(RequestError):
        credential_file.store(path, credential_file.read_credential(data()), None)


@pytest.mark.parametrize("where", ["in a file", "read-only", "by default"])
async def test_nobody_is_asked_for_a_credential_that_could_not_be_kept(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invitation can be redeemed once, and a user that was added has one key."""
    if where == "in a file":
        (tmp_path / "directory").write_text("no directory")
    else:

        def read_only(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = None if where == "by default" else tmp_path / "directory" / "front.json"

    def broker(_: str | None) -> NoReturn:
        raise AssertionError("the bridge is asked")

    with pytest.raises(RequestError) as redeemed:
        await guest_commands.redeem(Namespace(code="0" * 16, credential=path, json=True), broker)
    assert redeemed.value.code == "bad_credential"
    if path is not None:
        wanted = Namespace(credential=path, name="Tablet", remote=None, lock="front", json=True)
        with pytest.raises(RequestError) as added:
            await user_commands.add_user(cast("BridgeClient", None), wanted)
        assert added.value.code == "bad_credential"


def test_trying_whether_a_credential_can_be_kept_leaves_nothing(tmp_path: Path) -> None:
    credential_file.refuse_unwritable(tmp_path / "new" / "front.json")
    assert list((tmp_path / "new").iterdir()) == []


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
