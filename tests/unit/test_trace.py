"""A trace shows how bridge and lock talk, and nothing that opens a door or names anybody."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.config import LockSettings, Secret
from nuki_bridge.lock.trace import MAX_ADVERTISEMENTS, Tap, Trace
from nuki_bridge.protocol import redaction, wire
from nuki_bridge.protocol.advertisement import APPLE, beacon_data, beacon_name, parse_advertisement
from nuki_bridge.protocol.codes import PAIRING_SERVICE, Command, Family
from nuki_bridge.protocol.messages import Challenge, LockAction
from nuki_bridge.protocol.redaction import advertised, shown
from nuki_bridge.protocol.wire import decode, encode
from tests.unit.house import CLASSIC, ULTRA, House
from tests.unit.intercom import OPENER, Intercom

NONCE = bytes(range(100, 132))
WORDS = ("Hildegard", "Wunibald", "Adelheid", "Vordertuer", "Kriemhild")
"""Names of people and things, none of which is a word of the trace."""
CODE, OTHER_CODE = "738291", "846573"
PINS = ("7391", "8264", "739158")
PLACE = (47.123456, 8.654321)

IN_A_TRACE: dict[str, tuple[dict[str, Any], ...]] = {
    "refresh": ({},),
    "battery/get": ({},),
    "battery/history": ({},),
    "users/list": ({},),
    "users/add": ({"name": WORDS[0]},),
    "users/update": ({"name": WORDS[0], "rename": WORDS[1], "access": {"until": "2027-01-01T00:00:00Z"}},),
    "users/remove": ({"name": WORDS[1]},),
    "invite/create": ({"name": WORDS[2]},),
    "invite/list": ({},),
    "invite/revoke": ({"name": WORDS[2]},),
    "config/get": ({},),
    "config/set": ({"name": WORDS[3], "latitude": PLACE[0], "longitude": PLACE[1], "auto_lock_timeout": 30},),
    "pin/verify": ({}, {"pin": PINS[0]}),
    "time/set": ({},),
    "keypad/add": ({"name": WORDS[4], "code": CODE},),
    "keypad/list": ({"codes": True},),
    "keypad/update": ({"name": WORDS[4], "code": OTHER_CODE},),
    "keypad/remove": ({"name": WORDS[4]},),
    "timecontrol/add": ({"time": "22:30", "action": "lock"},),
    "timecontrol/list": ({},),
    "timecontrol/update": ({"id": 0, "time": "22:31"}, {"id": 1, "time": "22:31"}),
    "timecontrol/remove": ({"id": 0}, {"id": 1}),
    "log/set": ({"enabled": True},),
    "log/get": ({},),
    "calibrate": ({},),
    "pause": ({"for": 1}, {"enabled": False}),
    "pin/set": ({"pin": PINS[1]},),
    "reboot": ({},),
}
"""Arguments for every request to a lock; with them every secret crosses the link."""


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """Every message that was shown, as it really was."""
    found: list[tuple[int, bytes]] = []

    def noting(command: int, payload: bytes, *rest: Any) -> redaction.Shown:
        found.append((command, payload))
        return shown(command, payload, *rest)

    monkeypatch.setattr(redaction, "shown", noting)
    return found


def forms(secret: bytes) -> set[str]:
    """How a secret may be written."""
    both = (secret, secret[::-1])
    return {
        *(each.hex() for each in both),
        *(base64.b64encode(each).decode().rstrip("=") for each in both),
        *(each.decode(errors="ignore") for each in both if secret.isascii() and len(secret) > 3),
    } - {""}


def held(text: str, secrets: dict[str, bytes]) -> list[str]:
    """What of it is in a text, in whatever form."""
    lower = text.lower()
    return [
        name for name, each in secrets.items() if any(form in text or form.lower() in lower for form in forms(each))
    ]


@pytest.mark.long
@pytest.mark.parametrize("size", [40_000, 10_000_000])
async def test_no_secret_is_in_a_trace(
    tmp_path: Path, crossed: list[tuple[int, bytes]], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request is made while it runs, and every secret is looked for raw, in hex, reversed and in base64."""
    monkeypatch.setattr("nuki_bridge.lock.trace.MAX_SIZE", size)
    monkeypatch.setattr("nuki_bridge.bridge.trace_commands.Trace", lambda clock: Trace(clock, size))
    assert IN_A_TRACE.keys() == REQUESTS.lock.keys()
    house = House(tmp_path / "state", LockSettings("front", CLASSIC, pin=Secret(PINS[0])))
    house.classic.device.pin_guard.pin = int(PINS[0])
    async with house.running():
        await house.pair(name="front")
        await house.pair(ULTRA, name="back", pin="123456")
        tracing = asyncio.create_task(house.ask("bridge/request/trace", {"for": 600}, wait_s=700))
        await asyncio.sleep(5.0)
        invitation = b""
        for name, several in IN_A_TRACE.items():
            answers = [await house.ask(f"front/request/{name}", arguments) for arguments in several]
            carried_out = [each for each in answers if each["status"] == "ok"]
            assert carried_out, (name, answers)
            if name == "invite/create":
                invitation = carried_out[0]["data"]["code"].encode()
        for action in ("unlock", {"action": "lock", "as": WORDS[0]}):
            await house.ask("front/set", action)
        await house.ask("back/set", "unlock")
        answer = await tracing
        paired = [house.lock(name).paired for name in ("front", "back")]
    assert answer["status"] == "ok"
    text = json.dumps(answer)
    nonces = {payload for command, payload in crossed if command == Command.CHALLENGE}
    assert len(nonces) > 20
    secrets = {f"nonce {number}": each for number, each in enumerate(nonces)}
    secrets |= {f"word {each}": each.encode() for each in WORDS}
    secrets |= {f"code {each}": int(each).to_bytes(4, "little") for each in (CODE, OTHER_CODE)}
    secrets |= {f"digits {each}": each.encode() for each in (CODE, OTHER_CODE, *PINS)}
    secrets |= {f"pin {each}": int(each).to_bytes(4, "little") for each in (*PINS, "123456")}
    secrets |= {f"place {each}": struct.pack("<f", each) for each in PLACE}
    secrets |= {f"place, written, {each}": f"{each:.3f}".encode() for each in PLACE}
    secrets["invitation"] = invitation
    for each in paired:
        secrets |= {f"key of {each.name}": each.shared_key, f"uuid of {each.name}": each.uuid}
        secrets[f"id of {each.name}"] = each.nuki_id.to_bytes(4, "big")
        secrets[f"id of {each.name}, written"] = f"{each.nuki_id:08x}".encode()
        secrets[f"address of {each.name}"] = bytes.fromhex(each.address.replace(":", ""))
        secrets[f"address of {each.name}, written"] = each.address.encode()
    assert held(text, secrets) == []
    # they did cross the link, so that there was something to hide
    raw = b"".join(payload for _, payload in crossed)
    for name in (f"word {WORDS[0]}", f"word {WORDS[4]}", f"code {CODE}", f"place {PLACE[0]}"):
        assert secrets[name] in raw, name
    if size > 40_000:
        assert answer["data"]["left_out"] == 0
        told = {each.get("message") for each in answer["data"]["notes"]}
        assert {"KeyturnerStates", "Config", "AddKeypadCode", "LogEntry", "SetSecurityPin", "LockAction"} <= told
    else:
        assert len(text) < 64_000
        assert answer["data"]["left_out"] > 0


async def test_no_secret_of_an_opener_is_in_a_trace(tmp_path: Path, crossed: list[tuple[int, bytes]]) -> None:
    """Its messages have layouts of their own."""
    settings = LockSettings("hall", OPENER, pin=Secret(PINS[0]))
    house = Intercom(tmp_path / "state", settings)
    house.opener.device.pin_guard.pin = int(PINS[0])
    requests = {name: each for name, each in IN_A_TRACE.items() if not name.startswith("config/")}
    requests["timecontrol/add"] = ({"time": "22:30", "action": "activate_rto"},)
    async with house.running():
        await house.paired()
        tracing = asyncio.create_task(house.ask("bridge/request/trace", {"for": 600}, wait_s=700))
        await asyncio.sleep(5.0)
        for name, several in requests.items():
            for arguments in several:
                await house.ask(f"hall/request/{name}", arguments)
        await house.do({"action": "open", "as": WORDS[0]})
        answer = await tracing
        lock = house.lock("hall")
        paired, config = lock.paired, lock.config
    assert config is not None
    text = json.dumps(answer)
    secrets = {f"word {each}": each.encode() for each in WORDS}
    secrets |= {
        f"nonce {number}": each for number, (command, each) in enumerate(crossed) if command == Command.CHALLENGE
    }
    secrets |= {f"code {each}": int(each).to_bytes(4, "little") for each in (CODE, OTHER_CODE)}
    secrets |= {f"place {each}": struct.pack("<f", each) for each in (config.latitude, config.longitude)}
    secrets |= {"key": paired.shared_key, "uuid": paired.uuid, "id": paired.nuki_id.to_bytes(4, "big")}
    assert held(text, secrets) == []
    raw = b"".join(payload for _, payload in crossed)
    assert all(secrets[name] in raw for name in (f"word {WORDS[0]}", f"code {CODE}", f"place {config.latitude}"))
    assert {"OpenerStates", "OpenerConfig"} <= {each.get("message") for each in answer["data"]["notes"]}


SOUNDS_SECRET = re.compile(
    r"name|pin$|(^|_)(key|nonce|code|pin|uuid|latitude|longitude|authenticator|app_id|nuki_id)($|_)"
)
HARMLESS = {"code_id", "pin_is_set", "timezone_id"}
"""Names that only sound so."""


def all_messages() -> list[tuple[int, Family, type[Any]]]:
    """Every message that this program knows, of each family."""
    return [(command, family, cls) for (command, family), found in wire._CLASSES.items() for _, cls in found]


@pytest.mark.parametrize("family", Family)
def test_no_field_that_sounds_secret_is_shown(family: Family) -> None:
    """Of a new message, too, whose fields nobody has marked."""
    seen = 0
    for command, of, cls in all_messages():
        if of is not family or (redaction._is_about_somebody(cls) and command not in redaction.CONFIGURATIONS):
            continue
        for field in dataclasses.fields(cls):
            seen += 1
            if SOUNDS_SECRET.search(field.name) and field.name not in HARMLESS:
                assert redaction._is_hidden(field), f"{cls.__name__}.{field.name} would be shown"
    assert seen > 50


def test_secrets_would_be_found_in_every_form() -> None:
    """The search above can fail."""
    secret = bytes.fromhex("00112233445566778899aabbccddeeff")
    for form in (secret.hex(), secret[::-1].hex(), base64.b64encode(secret).decode()):
        assert held(f"x{form}y", {"it": secret}) == ["it"]
    assert held("that is Hildegard", {"it": b"Hildegard"}) == ["it"]
    assert held("that is nobody", {"it": b"Hildegard"}) == []


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_of_a_challenge_only_its_size_is_shown() -> None:
    seen = shown(Command.CHALLENGE, encode(Challenge(nonce=NONCE), Family.CLASSIC), Family.CLASSIC)
    assert (seen.name, seen.size, seen.payload, seen.hidden) == ("Challenge", 32, None, ("nonce",))


def test_of_an_action_its_bytes_are_shown_but_for_who_asked() -> None:
    action = decode(Command.LOCK_ACTION, bytes([1]) + bytes(4) + bytes([0]) + NONCE, Family.CLASSIC)
    assert isinstance(action, LockAction)
    seen = shown(Command.LOCK_ACTION, encode(action, Family.CLASSIC), Family.CLASSIC)
    assert seen.payload == "01" + ".." * 4 + "00" + ".." * 32
    named = encode(LockAction(action=1, app_id=7, flags=0, name_suffix="Anna", nonce=NONCE), Family.CLASSIC)
    seen = shown(Command.LOCK_ACTION, named, Family.CLASSIC)
    assert seen.payload == "01" + ".." * 4 + "00" + ".." * 52
    assert seen.hidden == ("app_id", "name_suffix", "nonce")


def test_states_are_shown_whole_also_what_newer_firmware_adds() -> None:
    states = bytes.fromhex("0201000707e80c010a00003c00") + bytes(14)
    seen = shown(Command.KEYTURNER_STATES, states + b"\xab\xcd", Family.CLASSIC)
    assert seen.payload == (states + b"\xab\xcd").hex()


def test_an_unknown_message_is_shown_by_number_and_length_alone() -> None:
    seen = shown(0x0777, b"who knows", Family.CLASSIC)
    assert (seen.name, seen.number, seen.size, seen.payload) == ("unknown", 0x0777, 9, None)


@pytest.mark.parametrize(
    "command", [Command.LOG_ENTRY, Command.AUTHORIZATION_ENTRY, Command.KEYPAD_CODE, Command.AUTHORIZATION_DATA_INVITE]
)
@pytest.mark.parametrize("family", [Family.CLASSIC, Family.ULTRA])
def test_of_messages_about_people_no_byte_is_shown(command: Command, family: Family) -> None:
    assert shown(command, bytes(200), family).payload is None


def config() -> bytes:
    place = struct.pack("<ff", *PLACE)
    return (0x1A2B3C4D).to_bytes(4, "little") + b"Front".ljust(32, b"\0") + place + bytes(range(1, 36))


def test_the_configuration_is_shown_without_name_and_place() -> None:
    lengths = [size for size in range(60, 90) if shown(Command.CONFIG, config()[:size], Family.CLASSIC).payload]
    assert lengths
    for size in lengths:
        seen = shown(Command.CONFIG, config()[:size], Family.CLASSIC)
        assert seen.payload is not None
        assert seen.payload.startswith(".." * 44 + "0102030405")
        assert seen.hidden[:4] == ("nuki_id", "name", "latitude", "longitude")


def test_a_configuration_of_another_layout_is_not_shown() -> None:
    """The name would stand where something else is expected."""
    assert shown(Command.CONFIG, config() + bytes(40), Family.CLASSIC).payload is None
    assert shown(Command.CONFIG, config()[:50], Family.CLASSIC).payload is None


def test_known_secrets_are_hidden_wherever_they_stand() -> None:
    states = bytes.fromhex("0201000707e80c010a00003c00") + bytes(14) + b"Hildegard" + b"drageduH"[::-1]
    seen = shown(Command.KEYTURNER_STATES, states, Family.CLASSIC, [b"Hildegard", b"\0"])
    assert seen.payload is not None
    assert b"Hildegard".hex() not in seen.payload
    assert seen.payload.startswith("0201000707e8")


def test_a_message_that_is_too_short_is_not_shown() -> None:
    assert shown(Command.UPDATE_TIME, b"\1\2", Family.CLASSIC).payload is None


# -- advertisements ---------------------------------------------------------------------------------------------------

NUKI_ID = 0x1A2B3C4D


def test_a_beacon_is_shown_without_the_locks_id() -> None:
    sighting = parse_advertisement(
        CLASSIC, beacon_name(NUKI_ID), -60, {APPLE: beacon_data(NUKI_ID, state_changed=True)}, {}
    )
    assert sighting is not None
    assert advertised(sighting) == {
        "name": "Nuki_........",
        "manufacturer_004c": f"0215{PAIRING_SERVICE.replace('-', '').replace('a92ee100', 'a92ee200')}........c9",
    }


def test_what_is_not_understood_is_shown_by_its_length() -> None:
    sighting = parse_advertisement(
        CLASSIC, "Hildegard", -60, {APPLE: b"\x06\x31secret"}, {PAIRING_SERVICE: NUKI_ID.to_bytes(4, "big") + b"\1"}
    )
    assert sighting is not None
    assert advertised(sighting) == {
        "name": "9 characters",
        "manufacturer_004c": "8 bytes",
        f"service_{PAIRING_SERVICE}": "........01",
    }


def test_the_same_advertisement_is_noted_once_and_never_too_many() -> None:
    trace = Trace(lambda: 0.0)
    for number in range(200):
        data = NUKI_ID.to_bytes(4, "big") + number.to_bytes(2, "big")
        sighting = parse_advertisement(CLASSIC, None, -60, {}, {PAIRING_SERVICE: data})
        assert sighting is not None
        trace.heard(sighting)
        trace.heard(sighting)
    assert len(trace.notes) == MAX_ADVERTISEMENTS
    assert {each["device"] for each in trace.notes} == {1}


# -- the notes --------------------------------------------------------------------------------------------------------


def test_notes_are_bounded_and_what_is_left_out_is_counted() -> None:
    trace = Trace(lambda: 0.0, max_size=1000)
    for _ in range(100):
        trace.note(1, "connected")
    assert len(json.dumps(trace.notes)) <= 1000
    assert len(trace.notes) + trace.left_out == 100


def test_a_message_that_cannot_be_shown_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> redaction.Shown:
        raise RuntimeError("Hildegard")

    monkeypatch.setattr(redaction, "shown", fails)
    trace = Trace(lambda: 0.0)
    Tap(trace, 1, lambda: Family.CLASSIC, list).message(0x0C, b"Hildegard", 60, sent=False)
    assert trace.notes == [
        {"at": 0.0, "device": 1, "what": "received", "number": "0x000c", "size": 9, "error": "RuntimeError"}
    ]


async def test_a_trace_ends_by_itself_and_reads_what_takes_no_pin(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        before = asyncio.get_running_loop().time()
        answer = await house.ask("bridge/request/trace", {"for": 30, "name": "front"})
        assert 30.0 <= asyncio.get_running_loop().time() - before < 31.0
        data = answer["data"]
        [device] = data["devices"]
        assert (device["device"], device["family"], device["firmware"]) == (1, "classic", house_firmware(house))
        told = [(each["what"], each.get("message")) for each in data["notes"]]
        for each in (("sent", "RequestData"), ("received", "KeyturnerStates"), ("received", "Config")):
            assert each in told
        assert house.lock().exchange._tap is None
        assert (await house.ask("front/set", "unlock"))["status"] == "ok"
        assert "Hildegard" not in json.dumps(answer)


def house_firmware(house: House) -> str:
    config = house.lock().config
    assert config is not None
    return ".".join(str(each) for each in config.firmware_version)


async def test_a_trace_moves_nothing_and_needs_no_lock(house: House) -> None:
    async with house.running():
        answer = await house.ask("bridge/request/trace", {"for": 20})
        assert (answer["status"], answer["data"]["devices"]) == ("ok", [])
        heard = [each for each in answer["data"]["notes"] if each["what"] == "advertisement"]
        assert {each["device"] for each in heard} == {1, 2}
        assert {each["maker"] for each in heard} == {"54:D2:72"}
        await house.pair(name="front")
        turns = house.classic.movements
        await house.ask("bridge/request/trace", {"for": 20})
        assert house.classic.movements == turns


async def test_only_a_lock_that_is_there_is_traced(house: House) -> None:
    async with house.running():
        answer = await house.ask("bridge/request/trace", {"name": "elsewhere"})
        assert answer["error"] == "unknown_lock"
        assert (await house.ask("bridge/request/trace", {"for": 601}))["error"] == "bad_request"


async def test_a_pairing_is_in_the_trace_without_its_keys(house: House, crossed: list[tuple[int, bytes]]) -> None:
    async with house.running():
        tracing = asyncio.create_task(house.ask("bridge/request/trace", {"for": 60}))
        await asyncio.sleep(1.0)
        await house.pair(name="front")
        await house.pair(ULTRA, name="back", pin="123456")
        answer = await tracing
        keys = [house.lock(name).paired.shared_key for name in ("front", "back")]
    notes = answer["data"]["notes"]
    assert {"PublicKey", "AuthorizationAuthenticator", "AuthorizationData"} <= {each.get("message") for each in notes}
    assert "encrypted" in {each.get("message") for each in notes}
    assert [each["services"] for each in notes if each["what"] == "services"] == [{}, {}]
    text = json.dumps(answer)
    secrets = {f"key {number}": key for number, key in enumerate(keys)}
    public = {payload for command, payload in crossed if command == Command.PUBLIC_KEY}
    assert len(public) >= 2
    secrets |= {f"public key {number}": key for number, key in enumerate(public)}
    assert held(text, secrets) == []
    assert "nuki-bridge pi" not in text
    assert house.bridge.pairing.locked() is False


async def test_a_bridge_that_is_stopped_ends_its_trace(house: House) -> None:
    async with house.running():
        await house.pair(name="front")
        tracing = asyncio.create_task(house.ask("bridge/request/trace", {"for": 600}))
        await asyncio.sleep(5.0)
        exchange = house.lock().exchange
        assert exchange._tap is not None
        await house.bridge.leave()
        await asyncio.sleep(1.0)
        assert exchange._tap is None
        tracing.cancel()
