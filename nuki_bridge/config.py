"""The configuration file as typed, frozen settings.

Every mistake is found in one pass and told as `FILE:LINE: path.to.key: what is wrong, what is allowed`; `yamlpage`
finds the lines, this module knows the keys.  Secrets come out as `Secret`.  What the settings do is for others to know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nuki_bridge import kinds
from nuki_bridge.errors import ConfigError
from nuki_bridge.kinds import MQTT_TLS_PORT as MQTT_TLS_PORT
from nuki_bridge.kinds import Secret as Secret
from nuki_bridge.kinds import TlsSettings as TlsSettings
from nuki_bridge.kinds import fold_file, host, password, password_file, port, tls, topic
from nuki_bridge.lock_name import lock_name_mistake
from nuki_bridge.protocol.action_names import ACTION_WORDS, action_word
from nuki_bridge.records import frozen
from nuki_bridge.yamlpage import Kind, Page, Wrong, boolean, choice, is_a, is_mapping, line_of, text

if TYPE_CHECKING:
    from nuki_bridge.yamlpage import Node

DEFAULT_PATH = Path("/etc/nuki-bridge/config.yaml")
CLIENT_PATH = Path("/etc/nuki-bridge/client.yaml")
"""Where the command line's own broker account may stand, for root and the members of a group."""
CREDENTIALS_OF_SERVICE = Path("/run/credentials/nuki-bridge.service")
"""Where systemd keeps the service's credentials while it runs; root may read them there."""
DEFAULT_STATE_DIR = Path("/var/lib/nuki-bridge")
GUESTS = "guest"
"""The account of all guests at the broker, unless `mqtt.public_url` names another."""
STATES_EVERY_S = (10, 86400)
"""Shortest and longest `states_every`, in seconds."""


# -- what others read -------------------------------------------------------------------------------------------------


@frozen
class DiscoverySettings:
    """Home Assistant's MQTT discovery."""

    enabled: bool = True
    prefix: str = "homeassistant"
    style: Literal["device", "legacy"] = "device"


@frozen
class MqttSettings:
    """The broker and our place in its topics.

    `public_url` is how guests without the phone page reach it, as `mqtts://guest@broker.example.net:8883`.
    """

    host: str = "localhost"
    port: int = 1883
    username: str | None = None
    password: Secret | None = None
    tls: TlsSettings | None = None
    base_topic: str = "nuki"
    discovery: DiscoverySettings = DiscoverySettings()
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    public_url: str | None = None


@frozen
class BluetoothSettings:
    """Which radio; `adapter` None is the first powered one."""

    adapter: str | None = None
    backend: Literal["bluez", "virtual"] = "bluez"


@frozen
class LockSettings:
    """One lock; `address` is `AA:BB:CC:DD:EE:FF`, `connection` None is what suits its kind,
    `pin` 4 or 6 digits, `actions` None allows every one; the lock's kind tells what each of these words means.

    `official_api` is what becomes of Nuki's own MQTT topics: `listen` to a lock that speaks them itself, `serve` them
    for one that does not; `official_discovery` has a served one announce itself to Home Assistant as a real one does.
    `states_every` (seconds) None leaves it to the lock's habits how often its states are read.  Without `rings` a
    doorbell's rings are told to nobody.
    """

    name: str
    address: str | None = None
    connection: Literal["persistent", "on-demand", "auto"] | None = None
    pin: Secret | None = None
    actions: frozenset[str] | None = None
    official_api: Literal["off", "listen", "serve"] = "off"
    official_discovery: bool = False
    states_every: int | None = None
    rings: bool = True


@frozen
class WebSettings:
    """The phone page; `url` is where phones find it, with which invitation links begin."""

    url: str | None = None


@frozen
class Settings:
    """The whole configuration.

    `path` is the file it came from, None for plain defaults.  `warnings` are sentences about files that others can
    read, in the form of mistakes.
    """

    mqtt: MqttSettings = MqttSettings()
    bluetooth: BluetoothSettings = BluetoothSettings()
    state_dir: Path = DEFAULT_STATE_DIR
    locks: tuple[LockSettings, ...] = ()
    web: WebSettings = WebSettings()
    log_level: str = "info"
    path: Path | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    state_dir_place: str = field(default="state_dir: ", compare=False)
    """Where `state_dir` stands in the file, as a mistake begins."""


def load(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    *,
    other_files: bool = True,
    pins: bool = True,
    secrets: bool = True,
) -> Settings:
    """Read the file at `path`, or the default one if there is one; raises `ConfigError` with every mistake.

    Of `environ` it takes the directories that systemd names: of the state, and of the service's credentials.  Without
    `other_files` those that the configuration names are left alone, and what would be in them is absent.  Without
    `pins` only files of PINs are, without `secrets` those of PINs, passwords and keys.  The service's credentials are
    there only while it runs; others of this program find them there, too, if they read its configuration as root.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    place = Path(credentials) if credentials else CREDENTIALS_OF_SERVICE if path in (None, DEFAULT_PATH) else None
    page = Page(path or DEFAULT_PATH, place, other_files=other_files, pins=pins, secrets=secrets)
    try:
        root = page.compose()
    except FileNotFoundError:
        if path is None:
            return Settings(state_dir=_default_state_dir(environ))
        page.mistake(1, "", "there is no such file")
        root = None
    values, nodes = page.section(root, "", _SETTINGS) if root is not None else ({}, {})
    if page.mistakes:
        raise ConfigError([line for _, line in sorted(page.mistakes, key=lambda mistake: mistake[0])])
    page.warn_of_inline_secret()
    if "state_dir" in values:
        values["state_dir_place"] = page.place(nodes["state_dir"].start_mark.line + 1, "state_dir")
    values.setdefault("state_dir", _default_state_dir(environ))
    return Settings(**values, path=page.path, warnings=tuple(page.warnings))


def load_broker(path: Path | None, environ: Mapping[str, str] = os.environ) -> MqttSettings:
    """Return the broker that the command line talks to; raises `ConfigError`.

    It stands in the configuration at `path`; without that in the file at `CLIENT_PATH`, which has `mqtt` alone, or if
    there is none in the default configuration.  No lock's PIN is read for that.
    """
    if path is not None or not CLIENT_PATH.exists():
        return load(path, environ, pins=False).mqtt
    page = Page(CLIENT_PATH, None)
    root = page.compose()
    values, _ = page.section(root, "", {"mqtt": _mqtt}) if root is not None else ({}, {})
    page.warn_of_inline_secret()
    mistakes = [line for _, line in sorted(page.mistakes, key=lambda mistake: mistake[0])] + page.warnings
    if mistakes:  # a password that every user can read is one here: what it opens is for the group alone
        raise ConfigError(mistakes)
    settings: MqttSettings = values.get("mqtt", MqttSettings())
    return settings


def _default_state_dir(environ: Mapping[str, str]) -> Path:
    first = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else DEFAULT_STATE_DIR


# -- kinds of values --------------------------------------------------------------------------------------------------


def _url(page: Page, node: Node, path: str) -> str:
    url = text(page, node, path)
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url) or not url.isascii():
        raise Wrong("must be where phones find the page, such as https://door.example.net, without ? # @")
    return url.rstrip("/")


def _public_url(page: Page, node: Node, path: str) -> str:
    url = text(page, node, path).rstrip("/")
    host = r"(?:[A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])"
    match = re.fullmatch(rf"(mqtts?)://(?:([A-Za-z0-9_.-]+)@)?({host}(?::([1-9][0-9]{{0,4}}))?)", url)
    if not match or int(match[4] or 1) > 65535:
        raise Wrong("must be how guests reach the broker, such as mqtts://broker.example.net:8883, without a password")
    return f"{match[1]}://{match[2] or GUESTS}@{match[3]}"


def _protocol(page: Page, node: Node, path: str) -> str:
    word = str(node.value).lower() if is_a(node, "str") or is_a(node, "int") else ""
    if word not in ("auto", "5", "3.1.1"):
        raise Wrong("must be auto, 5 or 3.1.1")
    return word


def _path(page: Page, node: Node, path: str) -> Path:
    return page.directory / text(page, node, path)


def _pin(page: Page, node: Node, path: str) -> Secret:
    page.note_inline_secret(node, path)
    # YAML reads 0123 as an octal number; what counts are the digits as they were written.
    return _digits(node.value if is_a(node, "str") or is_a(node, "int") else "")


def _pin_file(page: Page, node: Node, path: str) -> Secret:
    return _digits(page.pin_file(node, path))


def _digits(pin: str) -> Secret:
    if not re.fullmatch(r"[0-9]{4}|[0-9]{6}", pin):
        raise Wrong("must be the 4 digits of the lock's security PIN, or 6 of an Ultra's, Go's or 5th generation's")
    return Secret(pin)


def _adapter(page: Page, node: Node, path: str) -> str:
    adapter = text(page, node, path)
    if not re.fullmatch(r"hci[0-9]{1,3}", adapter):
        raise Wrong("must be the name of an adapter such as hci0")
    return adapter


def _address(page: Page, node: Node, path: str) -> str:
    address = text(page, node, path).upper()
    if not re.fullmatch(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}", address):
        raise Wrong('must be six pairs of hex digits such as "54:D2:72:AA:BB:CC"')
    return address


def _name(page: Page, node: Node, path: str) -> str:
    name = text(page, node, path)
    if mistake := lock_name_mistake(name):
        raise Wrong(mistake)
    return name


def _actions(page: Page, node: Node, path: str) -> frozenset[str]:
    if node.id != "sequence":
        raise Wrong("must be a list such as [lock, unlock]; without the key every action is allowed")
    actions = set()
    for index, item in enumerate(node.value):
        action = action_word(item.value) if is_a(item, "str") else None
        if action is not None:
            actions.add(action)
        else:
            *most, last = ACTION_WORDS
            page.mistake(line_of(item), f"{path}[{index}]", f"must be {', '.join(most)} or {last}")
    return frozenset(actions)


def _states_every(page: Page, node: Node, path: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", str(node.value).lower()) if is_a(node, "str") else None
    seconds = int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0
    if not STATES_EVERY_S[0] <= seconds <= STATES_EVERY_S[1]:
        raise Wrong("must be a duration such as 30s, 10m or 2h, from 10s to 24h")
    return seconds


def _official_api(page: Page, node: Node, path: str) -> str:
    word = node.value.lower() if is_a(node, "str") or is_a(node, "bool") else ""
    if is_a(node, "bool"):  # so YAML reads a bare off
        return "serve" if word in ("true", "yes", "on") else "off"
    if word not in ("off", "listen", "serve"):
        raise Wrong("must be off, listen or serve; true is serve, false is off")
    return str(word)


# -- the sections -----------------------------------------------------------------------------------------------------


def _mqtt(page: Page, node: Node, path: str) -> MqttSettings:
    values, nodes = page.section(node, path, _MQTT)
    fold_file(page, path, values, nodes, "password")
    for key in ("password", "password_file"):
        if key in nodes and "username" not in nodes:  # MQTT 3.1.1 has no password without a username
            page.mistake(line_of(nodes[key]), f"{path}.{key}", "needs username beside it")
    if values.get("tls") and "port" not in nodes:
        values["port"] = MQTT_TLS_PORT
    settings = MqttSettings(**values)
    if settings.discovery.enabled and f"{settings.discovery.prefix}/".startswith(f"{settings.base_topic}/"):
        where = nodes.get("discovery") or nodes["base_topic"]
        page.mistake(line_of(where), f"{path}.discovery.prefix", "must be a topic outside of base_topic")
    return settings


def _discovery(page: Page, node: Node, path: str) -> DiscoverySettings:
    return DiscoverySettings(**page.section(node, path, _DISCOVERY)[0])


def _bluetooth(page: Page, node: Node, path: str) -> BluetoothSettings:
    return BluetoothSettings(**page.section(node, path, _BLUETOOTH)[0])


def _web(page: Page, node: Node, path: str) -> WebSettings:
    return WebSettings(**page.section(node, path, _WEB)[0])


def _locks(page: Page, node: Node, path: str) -> tuple[LockSettings, ...]:
    if is_a(node, "null"):
        return ()
    if node.id != "sequence":
        raise Wrong("must be a list, that is entries that start with `- name: ...`")
    locks = []
    used: dict[str, int] = {}
    for index, item in enumerate(node.value):
        below = f"{path}[{index}]"
        values, nodes = page.section(item, below, _LOCK)
        fold_file(page, below, values, nodes, "pin")
        if values.get("official_discovery") and values.get("official_api") != "serve":
            place = f"{below}.official_discovery"
            page.mistake(line_of(nodes["official_discovery"]), place, "needs official_api: serve beside it")
        if "name" not in nodes and (is_mapping(item) or is_a(item, "null")):
            page.mistake(line_of(item), f"{below}.name", "is missing; every lock needs a name")
        for key in ("name", "address"):
            if key in values and values[key] in used:
                first = used[values[key]]
                page.mistake(line_of(nodes[key]), f"{below}.{key}", f"is taken by the lock in line {first}")
            elif key in values:
                used[values[key]] = line_of(nodes[key])
        locks.append(LockSettings(**{"name": "", **values}))
    return tuple(locks)


_TLS = kinds.TLS
_DISCOVERY: dict[str, Kind] = {"enabled": boolean, "prefix": topic, "style": choice("device", "legacy")}
_MQTT: dict[str, Kind] = {
    "host": host,
    "port": port,
    "username": text,
    "password": password,
    "password_file": password_file,
    "tls": tls,
    "base_topic": topic,
    "protocol": _protocol,
    "public_url": _public_url,
    "discovery": _discovery,
}
_BLUETOOTH: dict[str, Kind] = {"adapter": _adapter, "backend": choice("bluez", "virtual")}
_WEB: dict[str, Kind] = {"url": _url}
_LOCK: dict[str, Kind] = {
    "name": _name,
    "address": _address,
    "connection": choice("persistent", "on-demand", "auto"),
    "pin": _pin,
    "pin_file": _pin_file,
    "actions": _actions,
    "official_api": _official_api,
    "official_discovery": boolean,
    "states_every": _states_every,
    "rings": boolean,
}
_SETTINGS: dict[str, Kind] = {
    "mqtt": _mqtt,
    "bluetooth": _bluetooth,
    "state_dir": _path,
    "locks": _locks,
    "web": _web,
    "log_level": choice("debug", "info", "warning", "error", any_case=True),
}
