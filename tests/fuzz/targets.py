"""What is fuzzed: each target gives some bytes to code that reads what strangers wrote, and says whether it took them.

An error that the code's docstring names means that the input was refused, which is well. Anything else that is raised
is a fault, and so is an input that keeps the code busy for seconds.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.config import load as load_config
from nuki_bridge.database import FILE_NAME
from nuki_bridge.errors import BadFrame, ConfigError, RequestError, StoreError
from nuki_bridge.guest.credential_file import load as load_credential
from nuki_bridge.home_assistant.announced import Announced
from nuki_bridge.lock.profile import OPENER, SMART_LOCK
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.mqtt.payload import dump, read_object
from nuki_bridge.owner.battery_history import BatteryDays
from nuki_bridge.protocol.advertisement import APPLE, parse_advertisement
from nuki_bridge.protocol.codes import INITIALIZATION_SERVICE, PAIRING_SERVICE, Family
from nuki_bridge.protocol.frames import MAX_FRAME_SIZE, Reassembler, open_frame, open_plain, seal
from nuki_bridge.protocol.session import Session
from nuki_bridge.protocol.wire import UnknownMessage, decode, encode
from nuki_bridge.sharing.invitation_code import client_of, key, lookup, read_code, unseal
from nuki_bridge.sharing.invitation_code import seal as seal_request
from nuki_bridge.sharing.invitation_store import Records
from nuki_bridge.store import Store
from nuki_bridge.topics import topics
from tests.fuzz.database import COLUMNS, filled

KEY = bytes(range(100, 132))
NONCE = bytes(24)
CODE = "0123456789ABCDEF"
FAMILIES = tuple(Family)

Target = Callable[[bytes], bool]


@cache
def _directory() -> Path:
    """A directory for the files that are read."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def clean() -> None:
    """Remove the files that the targets have made."""
    shutil.rmtree(_directory())
    _directory.cache_clear()


def frames(data: bytes) -> bool:
    """Byte 0: the size of the pieces, and whether plain frames are expected. The rest comes piece by piece."""
    if not data:
        return False
    size, pieces = (data[0] >> 1) or 1, Reassembler(encrypted=not data[0] & 1)
    stream, found, taken = data[1:], b"", False
    for at in range(0, len(stream), size):
        for frame in pieces.feed(stream[at : at + size]):
            found += frame
            with suppress(BadFrame):
                open_plain(frame) if data[0] & 1 or len(frame) == 7 else open_frame(frame, KEY)
                taken = True
        assert len(pieces.begun) <= MAX_FRAME_SIZE + size, "what is collected has a limit"
    assert len(found) + len(pieces.begun) <= len(stream), "nothing is made up"
    return taken


def session(data: bytes) -> bool:
    """Byte 0: the family, or from 128 on that the rest is the frame itself; else it is what a frame holds."""
    if not data:
        return False
    family = FAMILIES[data[0] % len(FAMILIES)]
    frame = data[1:] if data[0] >= 128 else seal(1, int.from_bytes(data[1:3], "little"), data[3:], KEY, NONCE)
    try:
        found = Session(1, KEY, family, bytes).receive(frame)
    except BadFrame:
        return False
    str(found)
    return not isinstance(found, UnknownMessage)


def messages(data: bytes) -> bool:
    """Byte 0: the family; 1 and 2: the identifier. What was read and is written is read and written as the same."""
    if len(data) < 3:
        return False
    family, command = FAMILIES[data[0] % len(FAMILIES)], int.from_bytes(data[1:3], "little")
    try:
        found = decode(command, data[3:], family)
    except BadFrame:
        return False
    if isinstance(found, UnknownMessage):
        return False
    str(found)
    written = encode(found, family)  # text that is not UTF-8, for one, becomes other bytes
    assert encode(decode(command, written, family), family) == written
    return True


def advertisement(data: bytes) -> bool:
    """Byte 0: what is there; then the size and the bytes of Apple's, of the pairing service's, and of the name."""
    parts = []
    flags, rest = data[:1] or b"\0", data[1:]
    for _ in range(2):
        parts.append(rest[1 : 1 + rest[0]] if rest else b"")
        rest = rest[1 + rest[0] :] if rest else b""
    found = parse_advertisement(
        "54:d2:72:aa:bb:cc",
        rest.decode(errors="replace") if flags[0] & 1 else None,
        -60,
        {APPLE: parts[0]} if flags[0] & 2 else {},
        {PAIRING_SERVICE: parts[1]} if flags[0] & 4 else {},
        (INITIALIZATION_SERVICE,) if flags[0] & 8 else (),
    )
    if found is None:
        return False
    assert found.nuki_id is None or 0 <= found.nuki_id < 2**32
    return True


def message(data: bytes) -> bool:
    """First line: r for retained; second: topic below "nuki/"; third: Response Topic; the rest is the payload."""
    retained, topic, answer, payload = (data.split(b"\n", 3) + [b""] * 4)[:4]
    heard = Incoming(
        f"nuki/{topic.decode(errors='replace')}",
        payload,
        retain=retained == b"r",
        received_at=1.0,
        response_topic=answer.decode(errors="replace") or None,
    )
    try:
        request = topics.parse("nuki", heard, REQUESTS, lambda lock: OPENER if lock == "o" else SMART_LOCK)
    except topics.RefusedRequest as refused:
        said = topics.refused(refused.request, refused.code, str(refused))
    else:
        if request is None:
            return False
        said = topics.done(request)
    for each in said:
        told = json.loads(each.payload)
        assert told["status"] in ("ok", "error")
    return bool(said) and json.loads(said[0].payload)["status"] == "ok"


def payload(data: bytes) -> bool:
    """The text of a payload. What is said of it in an answer can be read again and is the same."""
    try:
        found = read_object(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    assert json.loads(dump(found)) == found
    return True


def config(data: bytes) -> bool:
    """A configuration file."""
    file = _directory() / "config.yaml"
    file.write_bytes(data)
    try:
        load_config(file, {})
    except ConfigError:
        return False
    return True


def credential(data: bytes) -> bool:
    """A credential file."""
    file = _directory() / "credential.json"
    file.write_bytes(data)
    try:
        found = load_credential(file)
    except RequestError:
        return False
    found.paired()
    return True


def database(data: bytes) -> bool:
    """Byte 0: which column of all rows has the rest as its text, after the last one: places of the file are changed.

    These are 4 bytes each: where, little-endian in units of 2 bytes and modulo the size, and what to change there.
    """
    directory = _directory() / "state"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    which = data[0] % (len(COLUMNS) + 1) if data else len(COLUMNS)
    if which < len(COLUMNS):
        (directory / FILE_NAME).write_bytes(filled(COLUMNS[which], data[1:]))
    else:
        content = bytearray(filled())
        for at in range(1, len(data) - 3, 4):
            content[2 * int.from_bytes(data[at : at + 3], "little") % len(content)] ^= data[at + 3]
        (directory / FILE_NAME).write_bytes(content)
    store = Store(directory)
    try:
        store.open()
        for lock in store.locks():
            store.log_position(lock)
            store.refused_pins(lock)
            store.equipment(lock)
            BatteryDays(store).of(lock, "", "z")
            store.new_pin(lock.name)
            store.replaced_pin(lock.name)
            store.has_former(lock.name)
            store.restore_former(lock.name)
        Records(store).all()
        Announced(store).load()
    except StoreError:
        return False
    finally:
        store.close()
    return True


def invitation(data: bytes) -> bool:
    """A code as somebody typed it, or after the first byte 1 the request itself, after 2 what it holds when opened."""
    text = data.decode(errors="replace")
    with suppress(ValueError):
        assert len(lookup(read_code(text))) == 32
        return True
    try:
        sealed = data[1:] if data[:1] == b"\1" else seal_request(key(CODE), data[1:], NONCE)
        return len(client_of(unseal(key(CODE), sealed))) == 16
    except (BadFrame, ValueError):
        return False


TARGETS: dict[str, Target] = {
    "frames": frames,
    "session": session,
    "messages": messages,
    "advertisement": advertisement,
    "topics": message,
    "payload": payload,
    "config": config,
    "credential": credential,
    "database": database,
    "invitation": invitation,
}
