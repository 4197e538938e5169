"""Frames against the published bytes, over every chunking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol import crypto, frames
from nuki_bridge.protocol.codes import Family
from nuki_bridge.protocol.frames import Reassembler
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.wire import decode
from tests.unit.vectors import VECTORS, unhex

PLAIN = [unhex(v["message"]) for v in VECTORS["crc"]["unencrypted_messages"]]
ENCRYPTED = VECTORS["encrypted"]
CHUNKINGS = [1, 3, 20, 244, 10_000]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def collect(reassembler: Reassembler, chunks: list[bytes]) -> list[bytes]:
    return [frame for chunk in chunks for frame in reassembler.feed(chunk)]


def test_crc_has_the_check_value() -> None:
    assert frames.crc(b"123456789") == (0x29B1).to_bytes(2, "little")


@pytest.mark.parametrize("vector", VECTORS["crc"]["unencrypted_messages"], ids=lambda v: v["message"][:12])
def test_plain_frame_is_read_and_written(vector: dict[str, str]) -> None:
    frame = unhex(vector["message"])
    command, payload = frames.open_plain(frame)
    assert command == int(vector["command"], 16)
    assert frames.seal_plain(command, payload) == frame


@pytest.mark.parametrize("vector", VECTORS["crc"]["plaintexts_inside_encrypted_messages"])
def test_crc_inside_covers_the_authorization_id(vector: dict[str, str]) -> None:
    plaintext = unhex(vector["plaintext"])
    assert frames.crc(plaintext[:-2]) == unhex(vector["crc_wire"])


@pytest.mark.parametrize("vector", ENCRYPTED, ids=lambda v: v["name"])
def test_encrypted_frame_is_read_and_written(vector: dict[str, object]) -> None:
    key, nonce, frame = (unhex(str(vector[k])) for k in ("shared_key", "nonce", "message"))
    command, payload = int(str(vector["command"]), 16), unhex(str(vector["payload"]))
    assert frames.open_frame(frame, key) == (command, payload)
    assert frames.seal(int(str(vector["authorization_id"])), command, payload, key, nonce) == frame
    assert frames.authorization_id(frame) == vector["authorization_id"]
    assert frames.frame_size(frame) == len(frame)


@pytest.mark.parametrize("vector", VECTORS["derived"][:2], ids=lambda v: v["name"])
def test_ultra_pairing_frame_is_read(vector: dict[str, str]) -> None:
    plaintext = unhex(vector["plaintext"])
    command, payload = frames.open_frame(unhex(vector["message"]), unhex(vector["shared_key"]))
    assert command == int.from_bytes(plaintext[4:6], "little")
    assert payload == plaintext[6:-2]


def test_ultra_reply_without_prefix_is_read() -> None:
    """The published example has no authorization ID in front and a CRC over just the rest."""
    published = frame = unhex(VECTORS["pairing"]["ultra_2_3_0"]["steps"][-1]["message_as_published"])
    key = bytes(range(32))
    box = crypto.e1(published, bytes(24), key)
    frame = bytes(24) + b"\xff\xff\xff\x7f" + len(box).to_bytes(2, "little") + box
    assert frames.open_frame(frame, key) == (7, published[2:-2])


def test_zero_crc_inside_an_authentic_frame_passes() -> None:
    key = bytes(range(32))
    box = crypto.e1(bytes(4) + b"\x0e\x00\x00" + b"\0\0", bytes(24), key)
    frame = bytes(28) + len(box).to_bytes(2, "little") + box
    assert frames.open_frame(frame, key) == (0x0E, b"\0")


@pytest.mark.parametrize("wrong", ["key", "tag", "length", "crc", "short"])
def test_a_damaged_encrypted_frame_is_a_bad_frame(wrong: str) -> None:
    vector = ENCRYPTED[1]
    key, frame = bytearray(unhex(vector["shared_key"])), bytearray(unhex(vector["message"]))
    if wrong == "key":
        key[0] ^= 1
    elif wrong == "tag":
        frame[30] ^= 1
    elif wrong == "length":
        frame[28] ^= 1
    elif wrong == "short":
        del frame[-1]
    else:
        box = crypto.e1(b"\x02\0\0\0\x0e\x00\x00\x12\x34", bytes(24), bytes(key))
        frame[:] = bytes(24) + b"\x02\0\0\0" + len(box).to_bytes(2, "little") + box
    with pytest.raises(BadFrame):
        frames.open_frame(bytes(frame), bytes(key))


@pytest.mark.parametrize("size", CHUNKINGS)
def test_plain_messages_come_together_over_any_chunking(size: int) -> None:
    reassembler = Reassembler(encrypted=False)
    for frame in PLAIN:
        assert collect(reassembler, pieces(frame, size)) == [frame]


@pytest.mark.parametrize("size", CHUNKINGS)
def test_encrypted_messages_come_together_over_any_chunking(size: int) -> None:
    """Two and more messages in one indication, too."""
    reassembler = Reassembler(encrypted=True)
    all_frames = [unhex(v["message"]) for v in ENCRYPTED]
    assert collect(reassembler, pieces(b"".join(all_frames), size)) == all_frames


@pytest.mark.parametrize("vector", [v for v in ENCRYPTED if "fragments" in v], ids=lambda v: v["name"])
def test_published_fragments_come_together(vector: dict[str, object]) -> None:
    chunks = [unhex(str(f)) for f in vector["fragments"]]  # type: ignore[attr-defined]
    assert collect(Reassembler(encrypted=True), chunks) == [unhex(str(vector["message"]))]


def test_plain_error_report_is_recognised_where_encrypted_frames_are_expected() -> None:
    report = unhex("120020000013D7")
    assert collect(Reassembler(encrypted=True), [report]) == [report]


@pytest.mark.parametrize("vector", VECTORS["field_observed"], ids=lambda v: v["message"])
def test_reports_seen_in_the_field_are_read(vector: dict[str, str]) -> None:
    command, payload = frames.open_plain(unhex(vector["message"]))
    message = decode(command, payload, Family.ULTRA)
    assert message.command == command
    if isinstance(message, ErrorReport):
        assert message.error in (0x20, 0xFD)


def test_after_garbage_the_next_message_is_read() -> None:
    frame = unhex(ENCRYPTED[1]["message"])
    reassembler = Reassembler(encrypted=True)
    assert collect(reassembler, [b"\xff" * 40]) == []
    assert collect(reassembler, [frame]) == [frame]
    reassembler = Reassembler(encrypted=False)
    assert collect(reassembler, [b"\xff" * 3]) == []
    assert collect(reassembler, [PLAIN[1]]) == [PLAIN[1]]


def test_clear_forgets_an_unfinished_message() -> None:
    reassembler = Reassembler(encrypted=True)
    frame = unhex(ENCRYPTED[3]["message"])
    assert collect(reassembler, [frame[:50]]) == []
    reassembler.clear()
    assert collect(reassembler, [frame]) == [frame]


@given(st.lists(st.binary(max_size=80), max_size=30), st.booleans())
def test_reassembler_survives_anything_and_stays_small(chunks: list[bytes], encrypted: bool) -> None:
    reassembler = Reassembler(encrypted=encrypted)
    for frame in collect(reassembler, chunks):
        assert len(frame) <= frames.MAX_FRAME_SIZE
    assert len(reassembler._buffer) <= frames.MAX_FRAME_SIZE + 80


@given(st.binary(max_size=120), st.binary(min_size=32, max_size=32))
def test_random_bytes_are_only_ever_a_bad_frame(data: bytes, key: bytes) -> None:
    for read in (frames.open_plain, lambda frame: frames.open_frame(frame, key)):
        try:
            read(data)
        except BadFrame:
            continue
        assert read is frames.open_plain
        assert frames.crc(data[:-2]) == data[-2:]
