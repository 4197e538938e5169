"""The client's side of pairing, byte for byte against the published handshakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.errors import BadFrame, LockError, NukiError, UnexpectedMessage
from nuki_bridge.protocol import crypto
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.protocol.frames import seal
from nuki_bridge.protocol.pairing import Pairing
from tests.unit.vectors import VECTORS, frame_of, unhex

CLASSIC = VECTORS["pairing"]["classic_2016"], VECTORS["pairing"]["classic_2_3_0"]
ULTRA = VECTORS["pairing"]["ultra_2_3_0"]
DERIVED = {v["name"]: v for v in VECTORS["derived"]}


def script(*values: bytes) -> Callable[[int], bytes]:
    """A source of 'randomness' that gives the published values in order."""
    remaining = list(values)

    def random(size: int) -> bytes:
        value = remaining.pop(0)
        assert len(value) == size
        return value

    return random


def classic(data: Any) -> Pairing:
    fields = next(s for s in data["steps"] if s["n"] == 7)["fields"]
    random = script(unhex(data["keys"]["client_private"]), unhex(fields["nonce_abf"]))
    name = unhex(fields["name_wire"]).rstrip(b"\0").decode()
    return Pairing(
        Family.CLASSIC, name=name, id_type=IdType(fields["id_type"]), app_id=fields["app_id"], pin=None, random=random
    )


@pytest.mark.parametrize("data", [*CLASSIC, ULTRA], ids=["2016", "2.3.0", "ultra"])
def test_key_agreement(data: Any) -> None:
    keys = {name: unhex(value) for name, value in data["keys"].items()}
    assert crypto.public_key(keys["client_private"]) == keys["client_public"]
    assert crypto.dh1(keys["client_private"], keys["lock_public"]) == keys["dh1"]
    assert crypto.kdf1_dh1(keys["client_private"], keys["lock_public"]) == keys["kdf1_shared_key"]


@pytest.mark.parametrize("data", CLASSIC, ids=["2016", "2.3.0"])
def test_classic_pairing_sends_the_published_bytes(data: Any) -> None:
    pairing = classic(data)
    assert pairing.start() == frame_of(data, 1)
    assert pairing.receive(frame_of(data, 2)) == frame_of(data, 3)
    assert pairing.receive(frame_of(data, 4)) == frame_of(data, 5)
    assert pairing.receive(frame_of(data, 6)) == frame_of(data, 7)
    assert pairing.receive(frame_of(data, 8)) == frame_of(data, 9)
    assert pairing.receive(frame_of(data, 10)) is None
    fields = next(s for s in data["steps"] if s["n"] == 8)["fields"]
    assert pairing.result is not None
    assert pairing.result.authorization_id == fields["authorization_id"]
    assert pairing.result.uuid == unhex(fields["uuid"])
    assert pairing.result.shared_key == unhex(data["keys"]["kdf1_shared_key"])


def ultra() -> Pairing:
    random = script(unhex(ULTRA["keys"]["client_private"]), bytes(range(24)))
    return Pairing(Family.ULTRA, name="Testapp", id_type=IdType.APP, app_id=0, pin=123456, random=random)


def test_ultra_pairing_sends_the_published_bytes() -> None:
    pairing = ultra()
    assert pairing.start() == frame_of(ULTRA, 1)
    assert pairing.receive(frame_of(ULTRA, 2)) == frame_of(ULTRA, 3)
    assert pairing.receive(frame_of(ULTRA, 4)) == frame_of(ULTRA, 5)
    assert not pairing.expects_encrypted
    assert pairing.receive(frame_of(ULTRA, 6)) == unhex(DERIVED["ultra: encrypted Authorization Data"]["message"])
    assert pairing.expects_encrypted
    assert pairing.receive(unhex(DERIVED["ultra: encrypted Authorization-ID reply"]["message"])) is None
    assert pairing.result is not None
    assert pairing.result.authorization_id == 34808
    assert pairing.result.uuid == unhex("8127D49A5F985C4483884720B3061453")


def test_ultra_pairing_takes_the_reply_as_published() -> None:
    pairing = ultra()
    pairing.start()
    for step in (2, 4, 6):
        pairing.receive(frame_of(ULTRA, step))
    plaintext = unhex(ULTRA["steps"][-1]["message_as_published"])
    box = crypto.e1(plaintext, bytes(24), unhex(ULTRA["keys"]["kdf1_shared_key"]))
    assert pairing.receive(bytes(24) + b"\xff\xff\xff\x7f" + len(box).to_bytes(2, "little") + box) is None
    assert pairing.result is not None
    assert pairing.result.authorization_id == 34808


def test_a_wrong_proof_of_the_lock_aborts() -> None:
    """Otherwise somebody between us and the lock could end up with our key."""
    pairing = classic(CLASSIC[1])
    pairing.start()
    for step in (2, 4, 6):
        pairing.receive(frame_of(CLASSIC[1], step))
    from nuki_bridge.protocol.frames import open_plain, seal_plain

    command, payload = open_plain(frame_of(CLASSIC[1], 8))
    with pytest.raises(BadFrame, match="proof"):
        pairing.receive(seal_plain(command, bytes([payload[0] ^ 1]) + payload[1:]))
    assert pairing.result is None


def test_refusal_outside_pairing_mode_says_what_to_press() -> None:
    pairing = classic(CLASSIC[0])
    pairing.start()
    with pytest.raises(LockError, match="hold its button") as refused:
        pairing.receive(bytes.fromhex("1200100100") + _crc("1200100100"))
    assert refused.value.code == "not_pairing"


def _crc(text: str) -> bytes:
    from nuki_bridge.protocol.frames import crc

    return crc(bytes.fromhex(text))


@pytest.mark.parametrize(("error", "code"), [(0x21, "bad_pin"), (0x28, "too_many_pin_attempts")])
@pytest.mark.parametrize("encrypted", [False, True])
def test_ultra_refuses_a_wrong_pin(error: int, code: str, encrypted: bool) -> None:
    pairing = ultra()
    pairing.start()
    for step in (2, 4, 6):
        pairing.receive(frame_of(ULTRA, step))
    payload = bytes([error, 6, 0])
    report = b"\x12\x00" + payload
    frame = report + _crc(report.hex())
    if encrypted:
        frame = seal(1, 0x12, payload, unhex(ULTRA["keys"]["kdf1_shared_key"]), bytes(24))
    with pytest.raises(LockError) as refused:
        pairing.receive(frame)
    assert refused.value.code == code
    assert pairing.result is None


def test_a_message_out_of_order_aborts() -> None:
    pairing = classic(CLASSIC[0])
    pairing.start()
    with pytest.raises(UnexpectedMessage, match="Challenge"):
        pairing.receive(frame_of(CLASSIC[0], 4))


def test_a_weak_public_key_is_refused() -> None:
    pairing = classic(CLASSIC[0])
    pairing.start()
    weak = b"\x03\x00" + bytes(32)
    with pytest.raises(BadFrame, match="Curve25519"):
        pairing.receive(weak + _crc(weak.hex()))


def test_the_ultra_family_needs_a_pin() -> None:
    with pytest.raises(ValueError, match="PIN"):
        Pairing(Family.ULTRA, name="x", id_type=IdType.APP, app_id=1, pin=None, random=bytes)


@given(st.sampled_from([*CLASSIC, ULTRA]), st.integers(0, 4), st.data())
def test_mutated_handshakes_end_in_our_own_errors_and_without_a_key(
    vectors: dict[str, dict[str, str]], where: int, data: st.DataObject
) -> None:
    """Whatever a lock, or somebody in its place, sends: no crash, and no authorization out of a broken exchange."""
    pairing = ultra() if vectors is ULTRA else classic(vectors)
    pairing.start()
    steps = [frame_of(vectors, n) for n in (2, 4, 6)]
    steps.append(
        unhex(DERIVED["ultra: encrypted Authorization-ID reply"]["message"])
        if vectors is ULTRA
        else frame_of(vectors, 8)
    )
    for index, frame in enumerate(steps):
        if index == where:
            position = data.draw(st.integers(0, len(frame) - 1))
            flip = data.draw(st.integers(1, 255))
            frame = frame[:position] + bytes([frame[position] ^ flip]) + frame[position + 1 :]
            try:
                pairing.receive(frame)
            except NukiError:
                assert pairing.result is None
            return
        pairing.receive(frame)
