"""The virtual lock against the published bytes, and its side of pairing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.errors import LockError
from nuki_bridge.protocol import crypto
from nuki_bridge.protocol.advertisement import parse_advertisement
from nuki_bridge.protocol.codes import (
    Command,
    ErrorCode,
    Family,
    IdType,
)
from nuki_bridge.protocol.frames import open_frame, seal_plain
from nuki_bridge.protocol.messages import (
    VerifySecurityPin,
)
from nuki_bridge.protocol.pairing import Pairing
from nuki_bridge.simulator.behaviour import Behaviour, seeded
from nuki_bridge.simulator.lock import VirtualLock
from tests.unit.vectors import VECTORS, frame_of, unhex
from tests.unit.virtual_client import (
    ADDRESS,
    COMPLETE,
    FAMILIES,
    NUKI_ID,
    Client,
    HandClock,
    make_lock,
    pair,
)

CLASSIC = VECTORS["pairing"]["classic_2016"], VECTORS["pairing"]["classic_2_3_0"]
ULTRA = VECTORS["pairing"]["ultra_2_3_0"]
DERIVED = {v["name"]: v for v in VECTORS["derived"]}
ENCRYPTED = {v["name"]: v for v in VECTORS["encrypted"]}


def script(*values: bytes) -> Callable[[int], bytes]:
    """A source of 'randomness' that gives the published values in order."""
    remaining = list(values)

    def random(size: int) -> bytes:
        value = remaining.pop(0)
        assert len(value) == size
        return value

    return random


class PublishedKeys:
    """The lock's secret key was never published: its public half, and the shared key from the client's side."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.public = unhex(keys["lock_public"])
        self._keys = keys

    def agree(self, peer_public: bytes) -> bytes:
        assert peer_public == unhex(self._keys["client_public"])
        return crypto.kdf1_dh1(unhex(self._keys["client_private"]), self.public)


def field(data: dict[str, Any], step: int, name: str) -> bytes:
    entry = next(s for s in data["steps"] if s["n"] == step)
    return unhex(entry[name] if name in entry else entry["fields"][name])


def published_lock(data: dict[str, Any], family: Family, random: Callable[[int], bytes], **more: Any) -> Any:
    clock = HandClock()
    lock = VirtualLock(
        ADDRESS, NUKI_ID, family=family, keys=PublishedKeys(data["keys"]), random=random, factory_new=True, **more
    )
    clock.lock = lock
    lock.attach(clock)
    lock.connected(1)

    def write(frame: bytes) -> bytes:
        lock.written(1, Channel.PAIRING, frame)
        ((link, channel, answer),) = clock.sent
        clock.sent.clear()
        assert (link, channel) == (1, Channel.PAIRING)
        return answer

    return lock, write


# -- the published bytes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", CLASSIC, ids=["2016", "2.3.0"])
def test_classic_pairing_answers_the_published_bytes(data: dict[str, Any]) -> None:
    fields = next(s for s in data["steps"] if s["n"] == 8)["fields"]
    random = script(field(data, 4, "nonce_k1"), field(data, 6, "nonce_k2"), field(data, 8, "nonce_k3"))
    lock, write = published_lock(
        data,
        Family.CLASSIC,
        random,
        uuid=unhex(fields["uuid"]),
        next_authorization_id=fields["authorization_id"],
    )
    for step in (1, 3, 5, 7, 9):
        assert write(frame_of(data, step)) == frame_of(data, step + 1)
    assert not lock.pairing_mode
    (entry,) = lock.authorizations
    assert entry.key == unhex(data["keys"]["kdf1_shared_key"])
    assert entry.authorization_id == fields["authorization_id"]


def test_ultra_pairing_answers_the_published_bytes() -> None:
    reply = DERIVED["ultra: encrypted Authorization-ID reply"]
    fields = next(s for s in ULTRA["steps"] if s["n"] == 8)["fields"]
    random = script(field(ULTRA, 4, "nonce_k1"), unhex(reply["nonce"]))
    lock, write = published_lock(
        ULTRA, Family.ULTRA, random, uuid=unhex(fields["uuid"]), next_authorization_id=fields["authorization_id"]
    )
    for step in (1, 3, 5):
        assert write(frame_of(ULTRA, step)) == frame_of(ULTRA, step + 1)
    assert write(unhex(DERIVED["ultra: encrypted Authorization Data"]["message"])) == unhex(reply["message"])
    assert not lock.pairing_mode
    (entry,) = lock.authorizations
    assert (entry.name, entry.id_type) == ("Testapp", IdType.APP)


def test_ultra_tells_that_a_pin_is_set_in_the_bytes_seen_in_the_field() -> None:
    _, write = published_lock(ULTRA, Family.ULTRA, script(field(ULTRA, 4, "nonce_k1")), uuid=bytes(16), pin=123456)
    for step in (1, 3):
        write(frame_of(ULTRA, step))
    assert write(frame_of(ULTRA, 5)) == unhex("4C000171B4")


def test_published_requests_get_the_published_answers() -> None:
    shared = unhex(ENCRYPTED["request challenge"]["shared_key"])
    nonces = [
        unhex(ENCRYPTED["keyturner states reply"]["nonce"]),
        unhex(ENCRYPTED["challenge reply"]["payload"]),
        unhex(ENCRYPTED["challenge reply"]["nonce"]),
    ]
    clock = HandClock(datetime(2016, 3, 7, 8, 15, 30, tzinfo=UTC))
    random = script(*nonces, *(bytes([n]) * 24 for n in range(4)))
    behaviour = Behaviour(states_size=15, tells_offset_in_force=True)
    lock = VirtualLock(
        ADDRESS, NUKI_ID, behaviour=behaviour, random=random, keys=PublishedKeys(CLASSIC[0]["keys"]), uuid=bytes(16)
    )
    clock.lock = lock
    lock.attach(clock)
    lock.authorizations.next_id = 2
    lock.add_user(shared, IdType.APP, 0, "Marc (Test)", full=ErrorCode.MAX_USER)
    lock.connected(1)
    lock.device.config_update_count = 32
    lock.motor.wait_left_s = lambda: 10  # type: ignore[method-assign]  # the example counts down while locked
    for request, answer in (
        ("request keyturner states", "keyturner states reply"),
        ("request challenge", "challenge reply"),
    ):
        lock.written(1, Channel.USDIO, unhex(ENCRYPTED[request]["message"]))
        assert clock.sent.pop() == (1, Channel.USDIO, unhex(ENCRYPTED[answer]["message"]))
    lock.written(1, Channel.USDIO, unhex(ENCRYPTED["lock action unlock"]["message"]))
    assert [e.detail for e in lock.movements()] == ["unlock: unlocking"]
    sent = [open_frame(data, shared)[1] for _, _, data in clock.sent]
    assert sent[0] == b"\x01"
    assert sent[1][:3] == b"\x02\x02\x00"


def test_beacon_is_the_constructed_one() -> None:
    lock, _ = make_lock()
    for changed, suffix in ((False, "0"), (True, "1")):
        lock.device.state_changed = changed
        name = f"iBeacon manufacturer data (company 0x004C), Nuki ID 1A2B3C4D, state changed = {suffix}"
        assert lock.manufacturer_data() == {0x004C: unhex(DERIVED[name]["manufacturer_data"])}


# -- pairing ----------------------------------------------------------------------------------------------------------


def pairing_error(lock: VirtualLock, clock: HandClock, **options: Any) -> int:
    with pytest.raises(LockError) as caught:
        pair(lock, clock, **options)
    return caught.value.number


@FAMILIES
def test_outside_pairing_mode_nobody_is_paired(family: Family) -> None:
    lock, clock = make_lock(family, pin=123456)
    assert pairing_error(lock, clock) == ErrorCode.NOT_PAIRING
    assert len(lock.authorizations) == 0


@FAMILIES
def test_pairing_mode_is_advertised_and_ends_with_the_pairing(family: Family) -> None:
    lock, clock = make_lock(family, pin=123456)
    assert lock.service_data() == {}
    lock.hold_button()
    assert list(lock.service_data().values()) == [b"\x1a\x2b\x3c\x4d"]
    seen = parse_advertisement(ADDRESS, lock.name, -50, lock.manufacturer_data(), lock.service_data())
    assert seen is not None
    assert (seen.pairing, seen.nuki_id) == (family, NUKI_ID)
    pair(lock, clock)
    assert lock.service_data() == {}
    assert pairing_error(lock, clock) == ErrorCode.NOT_PAIRING


def test_pairing_mode_times_out() -> None:
    lock, clock = make_lock(pairing_mode_s=30)
    lock.hold_button()
    clock.advance(29)
    assert lock.pairing_mode
    clock.advance(1)
    assert not lock.pairing_mode


def test_pairing_mode_held_twice_lasts_from_the_second_time() -> None:
    lock, clock = make_lock(pairing_mode_s=30)
    lock.hold_button()
    clock.advance(20)
    lock.hold_button()
    clock.advance(20)
    assert lock.pairing_mode


def test_pairing_can_be_switched_off() -> None:
    lock, _ = make_lock()
    lock.settings.pairing_enabled = False
    lock.hold_button()
    assert not lock.pairing_mode


def test_a_factory_new_lock_is_in_pairing_mode_until_somebody_has_paired() -> None:
    lock, clock = make_lock()
    lock.device.factory_new = True
    clock.advance(86400)
    assert lock.pairing_mode
    pair(lock, clock)
    assert not lock.pairing_mode
    lock.remove_authorization(1)
    assert not lock.pairing_mode


@pytest.mark.parametrize(("step", "error"), [(2, ErrorCode.BAD_AUTHENTICATOR), (3, ErrorCode.BAD_AUTHENTICATOR)])
def test_a_wrong_authenticator_is_refused(step: int, error: ErrorCode) -> None:
    lock, clock = make_lock()
    lock.hold_button()
    assert pairing_error(lock, clock, spoil=step) == error
    assert len(lock.authorizations) == 0
    assert lock.pairing_mode


def test_a_wrong_confirmation_does_not_end_pairing_mode() -> None:
    lock, clock = make_lock()
    lock.hold_button()
    assert pairing_error(lock, clock, spoil=4) == ErrorCode.BAD_AUTHENTICATOR
    assert lock.pairing_mode


def test_the_authenticator_covers_the_name_as_written() -> None:
    """A name cut in the middle of a character must not be written anew before the check."""
    lock, clock = make_lock()
    lock.hold_button()
    lock.connected(1)
    client = Pairing(Family.CLASSIC, name="x", id_type=IdType.APP, app_id=0, pin=None, random=seeded(5))
    frame: bytes | None = client.start()
    for _ in range(3):
        assert frame is not None
        lock.written(1, Channel.PAIRING, frame)
        frame = client.receive(clock.sent[-1][2])
    assert frame is not None
    key, nonce_k2 = client._key, clock.sent[-1][2][2:-2]
    body = b"\x00" + bytes(4) + b"\xff\xc3".ljust(32, b"\0") + bytes(32)
    payload = crypto.h1(key, body, nonce_k2) + body
    lock.written(1, Channel.PAIRING, seal_plain(Command.AUTHORIZATION_DATA, payload))
    assert clock.sent[-1][2][:2] == b"\x07\x00"


def test_a_full_user_table_refuses() -> None:
    lock, clock = make_lock(max_users=2)
    for number in (1, 2):
        lock.hold_button()
        pair(lock, clock, id_type=IdType.APP, app_id=number)
    lock.hold_button()
    assert pairing_error(lock, clock, id_type=IdType.APP, app_id=3) == ErrorCode.MAX_USER
    pair(lock, clock, id_type=IdType.APP, app_id=2)
    assert len(lock.authorizations) == 2


def test_a_second_bridge_replaces_the_first() -> None:
    lock, clock = make_lock()
    for app_id in (1, 2):
        lock.hold_button()
        pair(lock, clock, app_id=app_id)
    assert [e.app_id for e in lock.authorizations] == [2]
    assert [e.authorization_id for e in lock.audit if e.what == "replaced"] == [1]


def test_the_same_app_id_overwrites_and_zero_does_not() -> None:
    lock, clock = make_lock()
    results = []
    for app_id in (5, 5, 0, 0):
        lock.hold_button()
        results.append(pair(lock, clock, id_type=IdType.APP, app_id=app_id))
    assert [r.authorization_id for r in results] == [1, 1, 2, 3]
    assert results[0].shared_key == results[1].shared_key  # the same seeded client key, so the same agreement
    assert len(lock.authorizations) == 3


def test_wrong_pins_at_an_ultra_lead_to_a_ban_that_even_the_right_one_does_not_lift() -> None:
    lock, clock = make_lock(Family.ULTRA, pin=123456, pin_attempts=3, pin_ban_s=300)
    lock.behaviour.pairing_mode_s = 10_000
    lock.hold_button()
    errors = [pairing_error(lock, clock, pin=111111) for _ in range(4)]
    assert errors == [ErrorCode.BAD_PIN] * 3 + [ErrorCode.TOO_MANY_PIN_ATTEMPTS]
    assert pairing_error(lock, clock) == ErrorCode.TOO_MANY_PIN_ATTEMPTS
    clock.advance(301)
    assert pair(lock, clock).authorization_id == 1


def test_a_right_pin_takes_the_wrong_ones_back() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    pins = [1, 1, 1234, 1, 1, 1234]
    answers = [client.ask(VerifySecurityPin(nonce=client.challenge(), security_pin=pin)) for pin in pins]
    assert [a == [COMPLETE] for a in answers] == [False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("frame", "error", "command"),
    [
        ("0100030027A8", ErrorCode.BAD_CRC, 1),
        ("01000300", ErrorCode.BAD_CRC, 1),
        ("0100", ErrorCode.BAD_LENGTH, 0),
        ("", ErrorCode.BAD_LENGTH, 0),
        (seal_plain(1, b"\x03").hex(), ErrorCode.BAD_LENGTH, 1),
        (seal_plain(1, b"\x04\x00").hex(), ErrorCode.BAD_PARAMETER_PAIRING, 1),
        (seal_plain(3, bytes(32)).hex(), ErrorCode.BAD_PARAMETER_PAIRING, 3),
        (seal_plain(0x1234, b"").hex(), ErrorCode.BAD_PARAMETER_PAIRING, 0x1234),
    ],
)
def test_bad_pairing_messages_are_answered(frame: str, error: ErrorCode, command: int) -> None:
    lock, clock = make_lock()
    lock.hold_button()
    lock.connected(1)
    lock.written(1, Channel.PAIRING, bytes.fromhex(frame))
    ((_, channel, answer),) = clock.sent
    assert channel is Channel.PAIRING
    assert answer == seal_plain(Command.ERROR_REPORT, bytes([error]) + command.to_bytes(2, "little"))


def test_a_damaged_first_request_gets_the_bytes_seen_in_the_field() -> None:
    lock, clock = make_lock()
    lock.connected(1)
    lock.written(1, Channel.PAIRING, unhex("0100030027A8"))
    assert clock.sent[-1][2] == unhex("1200FD0100E7C3")


def test_a_weak_public_key_is_refused() -> None:
    lock, clock = make_lock()
    lock.hold_button()
    lock.connected(1)
    lock.written(1, Channel.PAIRING, unhex("0100030027A7"))
    lock.written(1, Channel.PAIRING, seal_plain(Command.PUBLIC_KEY, bytes(32)))
    assert clock.sent[-1][2][:3] == b"\x12\x00\x12"
