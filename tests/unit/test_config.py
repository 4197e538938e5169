"""The configuration: what it says, and what is said about its mistakes."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki_bridge import config
from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.bridge.running_lock import allowed_of, connection_of
from nuki_bridge.config import (
    BluetoothSettings,
    DiscoverySettings,
    LockSettings,
    MqttSettings,
    Secret,
    Settings,
    TlsSettings,
    load,
)
from nuki_bridge.errors import ConfigError
from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.topics import topics

EXAMPLE = Path(__file__).parents[2] / "etc" / "config.yaml"

MQTT_KEYS = "host, port, username, password, password_file, tls, base_topic, protocol, public_url, discovery"
LOCK_KEYS = "name, address, connection, pin, pin_file, actions, official_api, official_discovery, states_every, rings"
ALL_ACTIONS = (
    "unlock, lock, unlatch, lock_n_go, lock_n_go_unlatch, full_lock, fob_action_1, fob_action_2, fob_action_3, open, "
    "activate_rto, deactivate_rto, activate_continuous_mode or deactivate_continuous_mode"
)


def write(directory: Path, text: str | bytes, mode: int = 0o600, name: str = "config.yaml") -> Path:
    path = directory / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def loaded(directory: Path, text: str | bytes) -> Settings:
    return load(write(directory, text), {})


def mistakes(directory: Path, text: str | bytes) -> list[str]:
    """The mistakes in `text` as `LINE: path: sentence`, the file's name taken off and checked."""
    path = write(directory, text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert all(line.startswith(f"{path}:") for line in caught.value.mistakes)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    return [line.removeprefix(f"{path}:") for line in caught.value.mistakes]


# -- what it says -----------------------------------------------------------------------------------------------------


def test_every_key_is_read(tmp_path: Path) -> None:
    write(tmp_path, "hunter2\n", name="password")
    write(tmp_path, "012345\n", name="pin")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        write(tmp_path, "x", name=name)
    text = f"""
mqtt:
  host: broker.lan
  port: 8884
  username: nuki
  password_file: {tmp_path}/password
  tls: {{ca: {tmp_path}/ca.pem, cert: cert.pem, key: key.pem}}
  base_topic: home/nuki
  protocol: 3.1.1
  discovery: {{enabled: false, prefix: ha, style: legacy}}
bluetooth: {{adapter: hci1, backend: virtual}}
state_dir: /srv/nuki
locks:
  - name: front_door
    address: "54:d2:72:aa:bb:cc"
    connection: on-demand
    pin_file: pin
    actions: [lock, OPEN, Lock_N_Go]
    official_api: listen
  - name: shed-2
log_level: DEBUG
"""
    assert loaded(tmp_path, text) == Settings(
        mqtt=MqttSettings(
            host="broker.lan",
            port=8884,
            username="nuki",
            password=Secret("hunter2"),
            tls=TlsSettings(tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"),
            base_topic="home/nuki",
            protocol="3.1.1",
            discovery=DiscoverySettings(enabled=False, prefix="ha", style="legacy"),
        ),
        bluetooth=BluetoothSettings(adapter="hci1", backend="virtual"),
        state_dir=Path("/srv/nuki"),
        locks=(
            LockSettings(
                name="front_door",
                address="54:D2:72:AA:BB:CC",
                connection="on-demand",
                pin=Secret("012345"),
                actions=frozenset({"lock", "open", "lock_n_go"}),
                official_api="listen",
            ),
            LockSettings(name="shed-2"),
        ),
        log_level="debug",
        path=tmp_path / "config.yaml",
    )


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "{}", "mqtt:\nbluetooth:\nlocks:\n", "mqtt:\n  discovery:\n", "\ufeff# BOM\n"]
)
def test_file_without_content_means_defaults(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text) == Settings(path=tmp_path / "config.yaml")


def test_defaults_are_those_of_the_contract() -> None:
    found = Settings()
    assert found.mqtt == MqttSettings("localhost", 1883, None, None, None, "nuki", DiscoverySettings(), "auto")
    assert found.mqtt.discovery == DiscoverySettings(True, "homeassistant", "device")
    assert found.bluetooth == BluetoothSettings(None, "bluez")
    assert (found.state_dir, found.locks, found.log_level) == (Path("/var/lib/nuki-bridge"), (), "info")
    assert LockSettings("x") == LockSettings("x", None, None, None, None, "off")
    assert connection_of(LockSettings("x"), SMART_LOCK).value == "persistent"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "/var/lib/nuki-bridge"),
        ({"STATE_DIRECTORY": ""}, "/var/lib/nuki-bridge"),
        ({"STATE_DIRECTORY": "/var/lib/one"}, "/var/lib/one"),
        ({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}, "/var/lib/one"),
    ],
)
def test_state_dir_comes_from_systemd_unless_configured(tmp_path: Path, environ: dict[str, str], expected: str) -> None:
    assert load(write(tmp_path, ""), environ).state_dir == Path(expected)
    assert load(write(tmp_path, "state_dir: /srv/mine"), environ).state_dir == Path("/srv/mine")


def test_no_file_at_the_default_place_means_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.yaml")
    assert load(None, {"STATE_DIRECTORY": "/srv/x"}) == Settings(state_dir=Path("/srv/x"))


def test_file_at_the_default_place_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_PATH", write(tmp_path, "log_level: error"))
    assert load(None, {}) == Settings(log_level="error", path=tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("tls", "expected", "port"),
    [
        ("tls: true", TlsSettings(), 8883),
        ("tls: on", TlsSettings(), 8883),
        ("tls: {}", TlsSettings(), 8883),
        ("tls: false", None, 1883),
        ("tls: true\n  port: 1884", TlsSettings(), 1884),
        ("tls: true\n  port: 1883", TlsSettings(), 1883),
    ],
)
def test_tls_moves_the_default_port(tmp_path: Path, tls: str, expected: TlsSettings | None, port: int) -> None:
    found = loaded(tmp_path, f"mqtt:\n  {tls}\n").mqtt
    assert (found.tls, found.port) == (expected, port)


@pytest.mark.parametrize("pin", ["0123", '"0123"', "'0123'"])
def test_pin_keeps_its_leading_zero(tmp_path: Path, pin: str) -> None:
    lock = loaded(tmp_path, f"locks:\n  - name: door\n    pin: {pin}\n").locks[0]
    assert lock.pin is not None
    assert lock.pin.reveal() == "0123"


@pytest.mark.parametrize(("content", "secret"), [("a b \n", "a b "), ("ä\r\n", "ä"), ("x", "x")])
def test_secret_file_loses_only_its_newline(tmp_path: Path, content: str, secret: str) -> None:
    write(tmp_path, content, name="secret")
    assert loaded(tmp_path, "mqtt: {username: u, password_file: secret}").mqtt.password == Secret(secret)


@pytest.mark.parametrize(
    ("spelling", "profile"),
    [
        *((each, SMART_LOCK) for each in (*SMART_LOCK.names.by_name, *SMART_LOCK.names.aliases)),
        *((each, OPENER) for each in (*OPENER.names.by_name, *OPENER.names.aliases)),
        *((each, SMART_LOCK) for each in ("UNLOCK", "lockngo", "lock-n-go", "lockNgo", "Lock 'n' go", "fullLock")),
        *((each, OPENER) for each in ("Open", "activateRTO", "deactivate-rto", "Activate CM", "fobAction1")),
    ],
)
def test_actions_take_every_spelling_that_a_command_takes(tmp_path: Path, spelling: str, profile: Profile) -> None:
    heard = Incoming("nuki/front_door/set", spelling.encode(), retain=False, received_at=0.0)
    asked = topics.parse("nuki", heard, REQUESTS, lambda _: profile)
    assert asked is not None
    settings = loaded(tmp_path, f'locks: [{{name: door, actions: ["{spelling}"]}}]').locks[0]
    assert allowed_of(settings, profile) == {asked.action}


def test_an_action_of_one_kind_of_lock_allows_none_of_another(tmp_path: Path) -> None:
    """By their numbers lock is deactivate_rto, unlock is activate_rto, and unlatch acts on the strike."""
    text = "locks: [{name: door, actions: [lock, unlock, unlatch, lock_n_go]}, {name: hall, actions: [activate_rto]}]"
    door, hall = loaded(tmp_path, text).locks
    assert allowed_of(door, OPENER) == set()
    assert allowed_of(hall, SMART_LOCK) == set()
    assert (allowed_of(LockSettings("a"), OPENER), allowed_of(None, OPENER)) == (None, None)


def test_empty_list_of_actions_allows_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, "locks: [{name: door, actions: []}]").locks[0].actions == frozenset()


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    text = """
locks:
  - &first
    name: front
    connection: on-demand
    actions: &some [lock, unlock]
  - &second
    <<: *first
    name: back
    official_api: true
  - <<: [*second, *first]
    name: side
  - name: shed
    actions: *some
"""
    both = frozenset({"lock", "unlock"})
    assert loaded(tmp_path, text).locks == (
        LockSettings("front", connection="on-demand", actions=both),
        LockSettings("back", connection="on-demand", actions=both, official_api="serve"),
        LockSettings("side", connection="on-demand", actions=both, official_api="serve"),
        LockSettings("shed", actions=both),
    )


def test_alias_into_its_own_mapping_ends(tmp_path: Path) -> None:
    assert loaded(tmp_path, "mqtt: &m {host: a, <<: [*m, *m]}").mqtt.host == "a"


# -- what is said about mistakes --------------------------------------------------------------------------------------

OUTSIDE = "must be a topic outside of base_topic"
TOPIC = "must be a topic without + and #, without / at its ends, without $ at its start, up to 1024 bytes"
ADDRESS = 'must be six pairs of hex digits such as "54:D2:72:AA:BB:CC"'
PORT = "must be a whole number from 1 to 65535, without quotes"
PIN = "must be the 4 digits of the lock's security PIN, or 6 of an Ultra's, Go's or 5th generation's"
SLUG = "must be 1 to 32 characters out of a-z, 0-9, _ and -"


@pytest.mark.parametrize(
    ("written", "version"),
    [("5", "5"), ("'5'", "5"), ("3.1.1", "3.1.1"), ('"3.1.1"', "3.1.1"), ("auto", "auto"), ("AUTO", "auto")],
)
def test_the_protocol_version_is_a_number_or_a_text(tmp_path: Path, written: str, version: str) -> None:
    assert loaded(tmp_path, f"mqtt: {{protocol: {written}}}").mqtt.protocol == version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", ["1: must be a mapping, that is lines of the form `key: value`"]),
        ("just text", ["1: must be a mapping, that is lines of the form `key: value`"]),
        ("\nmqtt: yes", ["2: mqtt: must be a mapping, that is lines of the form `key: value`"]),
        (
            "mqtt:\n  hots: a",
            [f"2: mqtt.hots: unknown key, did you mean host? allowed here: {MQTT_KEYS}"],
        ),
        ("zzz: 1", ["1: zzz: unknown key, allowed here: mqtt, bluetooth, state_dir, locks, web, log_level"]),
        ("mqtt:\n  host: a\n\n  host: b", ["4: mqtt.host: is given twice, first in line 2"]),
        ("mqtt: {host: 10}", ["1: mqtt.host: must be text, but YAML reads a number here; put it in quotes"]),
        (
            "mqtt: {username: no}",
            ["1: mqtt.username: must be text, but YAML reads true or false here; put it in quotes"],
        ),
        (
            "mqtt: {username: 2026-01-01}",
            ["1: mqtt.username: must be text, but YAML reads a date here; put it in quotes"],
        ),
        ("mqtt:\n  host:\n", ["2: mqtt.host: has no value; give one or remove the key"]),
        ("mqtt: {host: ''}", ["1: mqtt.host: must not be empty"]),
        ("mqtt: {host: [a]}", ["1: mqtt.host: must be text, not a list or a mapping"]),
        ('mqtt: {host: "a\\0"}', ["1: mqtt.host: must not hold control characters, nor spaces at its ends"]),
        (
            "mqtt: {host: 'mqtt://a'}",
            ["1: mqtt.host: must be a host name or an IP address alone; the port has a key of its own"],
        ),
        (
            "mqtt: {host: 'a:1883'}",
            ["1: mqtt.host: must be a host name or an IP address alone; the port has a key of its own"],
        ),
        ("mqtt: {port: 0}", [f"1: mqtt.port: {PORT}"]),
        ("mqtt: {port: 65536}", [f"1: mqtt.port: {PORT}"]),
        ("mqtt: {port: 01883}", [f"1: mqtt.port: {PORT}"]),
        ("mqtt: {port: '1883'}", [f"1: mqtt.port: {PORT}"]),
        ("mqtt: {port: 1883.0}", [f"1: mqtt.port: {PORT}"]),
        ("mqtt: {port: !!int [1]}", [f"1: mqtt.port: {PORT}"]),
        *(
            (f"mqtt: {{base_topic: '{topic}'}}", [f"1: mqtt.base_topic: {TOPIC}"])
            for topic in ("a/+", "a#", "/a", "a/", "$a")
        ),
        *(
            (f"mqtt: {{protocol: {version}}}", ["1: mqtt.protocol: must be auto, 5 or 3.1.1"])
            for version in ("3", "4", "5.0", "3.1", "true", "[5]", "v5", "05")
        ),
        ("mqtt: {discovery: {prefix: ha/}}", [f"1: mqtt.discovery.prefix: {TOPIC}"]),
        ("mqtt: {discovery: {enabled: 1}}", ["1: mqtt.discovery.enabled: must be true or false, without quotes"]),
        ("mqtt: {discovery: {enabled: 'true'}}", ["1: mqtt.discovery.enabled: must be true or false, without quotes"]),
        ("mqtt: {discovery: {prefix: nuki/ha}}", [f"1: mqtt.discovery.prefix: {OUTSIDE}"]),
        ("mqtt: {base_topic: homeassistant}", [f"1: mqtt.discovery.prefix: {OUTSIDE}"]),
        ("mqtt: {base_topic: a/b, discovery: {prefix: a/b}}", [f"1: mqtt.discovery.prefix: {OUTSIDE}"]),
        ("mqtt: {discovery: {style: Device}}", ["1: mqtt.discovery.style: must be device or legacy"]),
        ("mqtt: {tls: ca.pem}", ["1: mqtt.tls: must be true, false or a mapping of ca, cert and key"]),
        ("mqtt:\n  tls:", ["2: mqtt.tls: must be true, false or a mapping of ca, cert and key"]),
        ("bluetooth: {adapter: usb0}", ["1: bluetooth.adapter: must be the name of an adapter such as hci0"]),
        ("bluetooth: {backend: windows}", ["1: bluetooth.backend: must be bluez or virtual"]),
        ("log_level: loud", ["1: log_level: must be debug, info, warning or error"]),
        ("log_level: off", ["1: log_level: must be debug, info, warning or error"]),
        ("state_dir: 5", ["1: state_dir: must be text, but YAML reads a number here; put it in quotes"]),
        ("locks: {name: a}", ["1: locks: must be a list, that is entries that start with `- name: ...`"]),
        ("locks:\n  - front", ["2: locks[0]: must be a mapping, that is lines of the form `key: value`"]),
        ("locks:\n  -\n", ["2: locks[0].name: is missing; every lock needs a name"]),
        ("locks:\n  - address: AA:BB:CC:DD:EE:FF", ["2: locks[0].name: is missing; every lock needs a name"]),
        *(
            (f"locks: [{{name: {name}}}]", [f"1: locks[0].name: {SLUG}"])
            for name in ("Front", "a b", "tür", "a/b", "x" * 33)
        ),
        (
            "locks: [{name: deadbeef}]",
            ["1: locks[0].name: must not be 8 hex digits, because those are Nuki IDs"],
        ),
        (
            "locks: [{name: 12345678}]",
            ["1: locks[0].name: must be text, but YAML reads a number here; put it in quotes"],
        ),
        (
            "locks: [{name: bridge}]",
            ["1: locks[0].name: must not be one of the reserved words bridge, invitation"],
        ),
        (
            "locks: [{name: invitation}]",
            ["1: locks[0].name: must not be one of the reserved words bridge, invitation"],
        ),
        (
            "locks:\n- name: a\n  address: 54:D2:72:AA:BB:CC\n- name: b\n- name: a\n  address: 54:d2:72:aa:bb:cc",
            [
                "5: locks[2].name: is taken by the lock in line 2",
                "6: locks[2].address: is taken by the lock in line 3",
            ],
        ),
        ("locks: [{name: a, address: 54-D2-72-AA-BB-CC}]", [f"1: locks[0].address: {ADDRESS}"]),
        ("locks: [{name: a, address: '54:D2:72:AA:BB'}]", [f"1: locks[0].address: {ADDRESS}"]),
        (
            "locks:\n- name: a\n  address: 54:01:22:33:44:55",
            ["3: locks[0].address: must be text, but YAML reads a number here; put it in quotes"],
        ),
        ("locks: [{name: a, connection: no}]", ["1: locks[0].connection: must be persistent, on-demand or auto"]),
        *(
            (f"locks: [{{name: a, pin: {pin}}}]", [f"1: locks[0].pin: {PIN}"])
            for pin in (
                "1234567",
                "12345",
                "70000",
                "123",
                "12_34",
                "-123",
                "0x12",
                "12:34",
                "'12 34'",
                "12.5",
                "true",
                "[1]",
                "''",
                "'١٢'",
            )
        ),
        (
            "locks: [{name: a, actions: lock}]",
            ["1: locks[0].actions: must be a list such as [lock, unlock]; without the key every action is allowed"],
        ),
        (
            "locks:\n- name: a\n  actions:\n",
            ["3: locks[0].actions: must be a list such as [lock, unlock]; without the key every action is allowed"],
        ),
        (
            "locks:\n- name: a\n  actions:\n  - lock\n  - fob_no_action\n  - [x]",
            [f"5: locks[0].actions[1]: must be {ALL_ACTIONS}", f"6: locks[0].actions[2]: must be {ALL_ACTIONS}"],
        ),
        *(
            (
                f"locks: [{{name: a, states_every: {value}}}]",
                ["1: locks[0].states_every: must be a duration such as 30s, 10m or 2h, from 10s to 24h"],
            )
            for value in ("600", "9s", "25h", "10", "ten minutes", "0m", "-10m", "1.5h", "[10m]", "~", "true")
        ),
        *(
            (
                f"locks: [{{name: a, official_api: {value}}}]",
                ["1: locks[0].official_api: must be off, listen or serve; true is serve, false is off"],
            )
            for value in ("maybe", "1", "[listen]", "~", '"true"', "{}")
        ),
        ("mqtt: {password: x}", ["1: mqtt.password: needs username beside it"]),
        ("mqtt:\n  <<: 5", ["2: mqtt: must be a mapping, that is lines of the form `key: value`"]),
        (
            "locks:\n- &a {name: a, pni: 1}",
            [f"2: locks[0].pni: unknown key, did you mean pin? allowed here: {LOCK_KEYS}"],
        ),
    ],
)
def test_mistake_is_told_with_its_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert mistakes(tmp_path, text) == expected


def test_every_mistake_is_told_at_once_in_order_of_lines(tmp_path: Path) -> None:
    text = """\
mqtt:
  port: 99999
  tls: maybe
  discovery:
    prefix: "#"
locks:
  - name: Front Door
    pin: abc
  - conection: persistent
log_level: chatty
"""
    assert [line.split(": ")[:2] for line in mistakes(tmp_path, text)] == [
        ["2", "mqtt.port"],
        ["3", "mqtt.tls"],
        ["5", "mqtt.discovery.prefix"],
        ["7", "locks[0].name"],
        ["8", "locks[0].pin"],
        ["9", "locks[1].conection"],
        ["9", "locks[1].name"],
        ["10", "log_level"],
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("mqtt:\n\thost: a", 2, "tabs"),
        ("mqtt:\n  host: %a", 2, "quotes"),
        ("mqtt:\n  host: `a`", 2, "quotes"),
        ("mqtt:\n  host: *a", 2, "quotes"),
        ("mqtt:\n  host: !a!b c", 2, "quotes"),
        ("mqtt:\n  host: &a b\n  username: &a b", 3, "anchor"),
        ("mqtt:\n  host: a: b", 2, "quotes"),
        ("mqtt:\n  host: a\n   port: 1", 3, "indentation"),
        ("mqtt:\n  - host\n  port: 1", 3, "indentation"),
        ("mqtt:\n  host: a\n  port\n", 4, "space after the colon"),
        ("mqtt:\n  host: 'a\n  port: 1\n\n", 2, "never closed"),
        ("mqtt:\n  host: [a\n", 2, "not closed"),
        ('mqtt:\n  host: "\\q"', 2, "escape"),
        ("log_level: info\n---\nlog_level: info", 2, "second document"),
        ("log_level: |info", 1, "cannot be understood"),
        ('\nlog_level: "\\U99999999"', 1, "escape"),
        ("[" * 5000, 1, "nested"),
    ],
)
def test_broken_yaml_is_told_in_plain_words(tmp_path: Path, text: str, line: int, word: str) -> None:
    [mistake] = mistakes(tmp_path, text)
    assert mistake.startswith(f"{line}: is not valid YAML: ")
    assert word in mistake


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\n\nlog_level: \xff\n", "3: is not UTF-8; save the file in that encoding"),
        (b"\nlog_level: \x07\n", "2: holds a control character; remove it"),
        (b"#" * (1 << 20) + b"\n", "1: is larger than 1 MiB; that is no configuration file"),
    ],
)
def test_bytes_that_are_no_text_are_told(tmp_path: Path, data: bytes, expected: str) -> None:
    assert mistakes(tmp_path, data) == [expected]


def test_named_file_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "absent.yaml", {})
    assert caught.value.mistakes == [f"{tmp_path}/absent.yaml:1: there is no such file"]


def test_directory_in_place_of_the_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert caught.value.mistakes == [f"{tmp_path}:1: cannot be read: Is a directory"]


# -- files that the configuration names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "{file} is empty; it must hold the secret"),
        (b"\n", "{file} is empty; it must hold the secret"),
        (b"nuki\nhunter2\n", "must be a single line of text"),
        (b"\xff\xfe", "{file} is not UTF-8 text"),
        (b"x" * 65536, "{file} is too large for a secret; at most 65535 bytes are allowed"),
    ],
)
def test_bad_password_file_is_a_mistake(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = write(tmp_path, content, name="secret")
    [mistake] = mistakes(tmp_path, "mqtt:\n  username: u\n  password_file: secret\n")
    assert mistake == f"3: mqtt.password_file: {sentence.format(file=file)}"


def test_pin_file_must_hold_digits(tmp_path: Path) -> None:
    write(tmp_path, "12a4\n", name="pin")
    assert mistakes(tmp_path, "locks:\n- name: a\n  pin_file: pin") == [f"3: locks[0].pin_file: {PIN}"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mqtt: {username: u, password_file: absent}", "mqtt.password_file"),
        ("locks: [{name: a, pin_file: absent}]", "locks[0].pin_file"),
        ("mqtt: {tls: {ca: absent}}", "mqtt.tls.ca"),
    ],
)
def test_missing_file_is_a_mistake_that_says_why(tmp_path: Path, text: str, key: str) -> None:
    why = f"cannot read this file: No such file or directory; a relative path starts at {tmp_path}"
    assert mistakes(tmp_path, text) == [f"1: {key}: {why}"]


# -- credentials of the service ---------------------------------------------------------------------------------------

WITH_SECRETS = "mqtt: {username: u, password_file: mqtt-password}\nlocks: [{name: a, pin_file: a-pin}]"


def test_a_secret_is_first_looked_for_among_the_credentials(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "from systemd\n", mode=0o400, name="mqtt-password")
    write(tmp_path, "beside the file", name="mqtt-password")
    write(tmp_path, "1234", name="a-pin")
    found = load(write(tmp_path, WITH_SECRETS), {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert found.mqtt.password == Secret("from systemd")
    assert found.locks[0].pin == Secret("1234")
    assert loaded(tmp_path, WITH_SECRETS).mqtt.password == Secret("beside the file")


@pytest.mark.parametrize("named", ["./mqtt-password", "{directory}/mqtt-password"])
def test_a_secret_that_is_named_with_a_directory_is_that_file(tmp_path: Path, named: str) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "from systemd", name="mqtt-password")
    write(tmp_path, "this one", name="mqtt-password")
    text = f"mqtt: {{username: u, password_file: {named.format(directory=tmp_path)}}}"
    found = load(write(tmp_path, text), {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert found.mqtt.password == Secret("this one")


def test_what_is_no_secret_is_no_credential(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "x", name="ca.pem")
    path = write(tmp_path, "mqtt: {tls: {ca: ca.pem}}")
    with pytest.raises(ConfigError, match="No such file"):
        load(path, {"CREDENTIALS_DIRECTORY": str(credentials)})


def test_unreadable_secret_file_is_a_mistake() -> None:
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        path = write(directory, "mqtt: {username: u, password_file: secret}", mode=0o644)
        write(directory, "x", mode=0, name="secret")
        if root:
            os.seteuid(65534)  # root may read everything
        try:
            with pytest.raises(ConfigError, match=r":1: mqtt\.password_file: cannot read this file: Permission denied"):
                load(path, {})
        finally:
            if root:
                os.seteuid(0)


def test_secret_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    write(tmp_path, "1234", name="secret")
    text = "mqtt:\n  username: u\n  password: x\n  password_file: secret\n"
    text += "locks:\n- name: a\n  pin_file: secret\n  pin: 1234\n"
    assert mistakes(tmp_path, text) == [
        "4: mqtt.password_file: give either password or password_file, not both",
        "7: locks[0].pin_file: give either pin or pin_file, not both",
    ]


def test_client_certificate_and_key_need_each_other(tmp_path: Path) -> None:
    write(tmp_path, "x", name="file")
    assert mistakes(tmp_path, "mqtt: {tls: {cert: file}}") == ["1: mqtt.tls.cert: needs key beside it"]
    assert mistakes(tmp_path, "mqtt: {tls: {key: file}}") == ["1: mqtt.tls.key: needs cert beside it"]


def test_secret_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    for name in ("password", "key"):
        write(tmp_path, "x", mode=0o644, name=name)
    write(tmp_path, "x", mode=0o640, name="cert")
    text = "mqtt:\n  username: u\n  password_file: password\n  tls: {cert: cert, key: key}\n"
    text += "locks:\n- name: a\n  pin: 1234\n"
    path = write(tmp_path, text, mode=0o644)
    assert load(path, {}).warnings == (
        f"{path}:3: mqtt.password_file: every user can read {tmp_path}/password; chmod o-r {tmp_path}/password",
        f"{path}:4: mqtt.tls.key: every user can read {tmp_path}/key; chmod o-r {tmp_path}/key",
        f"{path}:7: locks[0].pin: every user can read this secret; chmod o-r {path}",
    )


def test_file_without_secrets_may_be_open_to_all(tmp_path: Path) -> None:
    assert load(write(tmp_path, "mqtt: {host: a}", mode=0o644), {}).warnings == ()


# -- secrets stay secret ----------------------------------------------------------------------------------------------


def test_secret_hides_from_every_way_of_printing(tmp_path: Path) -> None:
    found = loaded(tmp_path, "mqtt: {username: u, password: hunter2}\nlocks: [{name: a, pin: 987654}]")
    secret = found.mqtt.password
    assert secret is not None
    for shown in (repr(found), str(found), f"{secret}", f"{secret!r:>40}", "%s" % secret, str([secret])):  # noqa: UP031
        assert "hunter2" not in shown
        assert "987654" not in shown
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    "value",
    [
        "*hunter2",
        "&hunter2",
        "&hunter2 x",
        "!hunter2",
        "!hunter2 x",
        "!hunter2!x y",
        "%hunter2",
        "@hunter2",
        "`hunter2",
        "|hunter2",
        "hunter2: x",
        "'hunter2",
        '"hunter2\\q"',
        '"hunter2\\0"',
        "[hunter2]",
        "[hunter2",
        "{hunter2}",
        "{hunter2: x}",
        "{x: hunter2",
        "hunter2\n hunter2",
        "- hunter2",
        "? hunter2",
        "!!binary hunter2",
        "!!bool hunter2",
        "!!null hunter2",
        "!!int hunter2",
        "|\n    hunter2\n",
        "hunter2\n  pin: hunter2\n  hunter2",
    ],
)
@pytest.mark.parametrize("key", ["password", "password_file", "pin", "pin_file", "passwort"])
def test_no_mistake_quotes_a_secret(tmp_path: Path, key: str, value: str) -> None:
    assert "hunter2" not in " ".join(mistakes(tmp_path, f"mqtt:\n  {key}: {value}\n"))
    assert "hunter2" not in " ".join(mistakes(tmp_path, f"locks:\n- name: a\n  {key}: {value}\n"))


@pytest.mark.parametrize("text", ["mqtt: {password:hunter}", "mqtt: {password: a,hunter}", "locks: [{pin:123456}]"])
def test_piece_of_a_secret_taken_for_a_key_is_not_quoted(tmp_path: Path, text: str) -> None:
    told = " ".join(mistakes(tmp_path, text))
    assert "hunter" not in told
    assert "123456" not in told


@given(
    cuts=st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.integers(0, 20),
            st.sampled_from([*"&*!|>%@`?:-,#~'\"{}[]\n\t\\", "<<: *a", "&a ", "- ", "---\n", "!!int ", "no", "0123"]),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gives_settings_or_lines(tmp_path: Path, cuts: list[tuple[int, int, str]]) -> None:
    text = uncommented(EXAMPLE.read_text(encoding="utf-8"))
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for start, length, piece in cuts:
        start %= len(text)
        text = text[:start] + piece + text[start + length :]
    path = write(tmp_path, text)
    told: list[str] = []
    try:
        load(path, {})
    except ConfigError as error:
        told = error.mistakes
    assert all(re.fullmatch(re.escape(str(path)) + r":[1-9][0-9]*: .+", line) for line in told)


def test_config_error_does_not_carry_the_parsers_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, "mqtt: {password: *hunter2}"), {})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


# -- the example ------------------------------------------------------------------------------------------------------


def uncommented(text: str) -> str:
    """Take the `#` off every setting; explanations are `# ` and a word."""
    return re.sub(r"^#(?! \S)", "", text, flags=re.MULTILINE)


def test_example_as_it_is_means_defaults() -> None:
    assert load(EXAMPLE, {}) == Settings(path=EXAMPLE)


def test_example_uncommented_shows_every_key_with_its_default(tmp_path: Path) -> None:
    text = uncommented(EXAMPLE.read_text(encoding="utf-8"))
    write(tmp_path, "hunter2\n", name="mqtt-password")
    write(tmp_path, "1234\n", name="front_door-pin")
    found = loaded(tmp_path, text.replace("/etc/nuki-bridge/", f"{tmp_path}/"))
    public_url = "mqtts://guest@broker.example.net:8883"
    assert found.mqtt == MqttSettings(username="nuki", password=Secret("hunter2"), public_url=public_url)
    assert found.bluetooth == BluetoothSettings(adapter="hci0")
    every_action = frozenset(SMART_LOCK.names.by_name)
    assert found.locks == (
        LockSettings(
            "front_door", "54:D2:72:AA:BB:CC", "persistent", pin=Secret("1234"), actions=every_action, states_every=600
        ),
    )
    assert (found.state_dir, found.log_level) == (config.DEFAULT_STATE_DIR, "info")
    assert found.warnings == ()
    for kinds in (config._SETTINGS, config._MQTT, config._TLS, config._DISCOVERY, config._BLUETOOTH, config._LOCK):
        assert all(f"{key}:" in text for key in kinds)


def test_a_windows_editors_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbfhunter2\r\n")
    assert loaded(tmp_path, "mqtt: {username: u, password_file: secret}").mqtt.password == Secret("hunter2")


@pytest.mark.parametrize("url", ["https://door.example.net", "http://10.8.0.1:8080/", "https://example.net/door"])
def test_the_page_has_a_url(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f"web: {{url: '{url}'}}").web.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["door.example.net", "ftp://door", "https://", "https://a/#b", "https://u:p@a", "https://a/?b"]
)
def test_the_pages_url_is_one_that_a_link_can_begin_with(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.url: must be where phones find the page"):
        loaded(tmp_path, f"web: {{url: '{url}'}}")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("mqtts://broker.example.net:8883", "mqtts://guest@broker.example.net:8883"),
        ("mqtt://10.8.0.1/", "mqtt://guest@10.8.0.1"),
        ("mqtts://visitors@[fd00::1]:8884", "mqtts://visitors@[fd00::1]:8884"),
    ],
)
def test_the_brokers_public_url_is_for_the_guests_account(tmp_path: Path, url: str, kept: str) -> None:
    assert loaded(tmp_path, f"mqtt: {{public_url: '{url}'}}").mqtt.public_url == kept


@pytest.mark.parametrize(
    "url", ["broker.example.net", "https://broker", "mqtt://a:hunter2@b", "mqtt://b/nuki", "mqtt://b:70000", "mqtt://"]
)
def test_the_brokers_public_url_has_no_password_and_no_topic(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.public_url: must be how guests reach the broker") as refused:
        loaded(tmp_path, f"mqtt: {{public_url: '{url}'}}")
    assert "hunter2" not in str(refused.value)


def test_an_ipv6_address_may_stand_in_brackets(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'mqtt: {host: "[::1]"}').mqtt.host == "::1"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("off", "off"),
        ("'off'", "off"),
        ("false", "off"),
        ("no", "off"),
        ("listen", "listen"),
        ("LISTEN", "listen"),
        ("serve", "serve"),
        ("true", "serve"),
        ("on", "serve"),
    ],
)
def test_nukis_own_topics_are_left_alone_listened_to_or_served(tmp_path: Path, given: str, read: str) -> None:
    """A bare off or on is a boolean to YAML."""
    settings = loaded(tmp_path, f"locks: [{{name: a, official_api: {given}}}]")
    assert settings.locks == (LockSettings("a", official_api=read),)  # type: ignore[arg-type]
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("given", "seconds"), [("10s", 10), ("10m", 600), ("2h", 7200), ("24H", 86400), ("1440m", 86400)]
)
def test_states_every_is_a_duration(tmp_path: Path, given: str, seconds: int) -> None:
    [lock] = loaded(tmp_path, f"locks: [{{name: a, states_every: {given}}}]").locks
    assert lock.states_every == seconds
    assert loaded(tmp_path, "locks: [{name: a}]").locks[0].states_every is None
