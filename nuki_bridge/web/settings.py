"""The phone page's configuration file, `web.yaml`, as typed, frozen settings.

Like `config`, every mistake is told with its line.  What phones reach has a file of its own: it holds no lock's PIN and
names no state of the bridge.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.errors import ConfigError
from nuki_bridge.kinds import (
    MQTT_TLS_PORT,
    Secret,
    TlsSettings,
    file,
    fold_file,
    host,
    password,
    password_file,
    port,
    private_file,
    tls,
    topic,
)
from nuki_bridge.records import frozen
from nuki_bridge.yamlpage import Kind, Page, Wrong, boolean, choice, is_a, is_mapping, line_of, string, text

if TYPE_CHECKING:
    from nuki_bridge.yamlpage import Node

DEFAULT_PATH = Path("/etc/nuki-bridge/web.yaml")
CREDENTIALS_OF_SERVICE = Path("/run/credentials/nuki-bridge-web.service")
"""Where systemd keeps the service's credentials while it runs; root may read them there."""
DEFAULT_STATE_DIR = Path("/var/lib/nuki-bridge-web")
TLS_PORT = 443
PLAIN_PORT = 8080
LOOPBACK = ("127.0.0.1", "::1")
TOKEN_SIZES = range(6, 21)
"""How many characters the token of the Bridge HTTP API may have: what clients take."""
GOOD_TOKEN_SIZE = 16
"""Characters from which on a random token cannot be found by trying."""
MAX_NAMES = 20


@frozen
class CertificateFiles:
    """A certificate with its chain, and its key; read again when they change."""

    cert: Path
    key: Path


@frozen
class BrokerSettings:
    """The broker's ordinary TCP port, and the base topic of the bridge, which the page is told."""

    host: str = "localhost"
    port: int = 1883
    tls: TlsSettings | None = None
    base_topic: str = "nuki"


@frozen
class GuestSettings:
    """The broker account of whoever has none."""

    username: str
    password: Secret | None = None


@frozen
class BridgeApiSettings:
    """Nuki's Bridge HTTP API for other programs: where it listens, its token, and its account at the broker."""

    token: Secret
    listen: tuple[str, ...] = LOOPBACK
    port: int = PLAIN_PORT
    plain_token: bool = False
    username: str | None = None
    password: Secret | None = None


@frozen
class WebSettings:
    """The whole of it.

    `listen` has the addresses to listen on.  `tls` or `own_ca` (names and IP addresses of the certificate) or none of
    both; `names` are others under which phones find the page, through a proxy for example.  `guest` None: only whoever
    has an account of their own gets to the broker.
    """

    listen: tuple[str, ...] = LOOPBACK
    port: int = PLAIN_PORT
    tls: CertificateFiles | None = None
    own_ca: tuple[str, ...] = ()
    insecure: bool = False
    names: tuple[str, ...] = ()
    broker: BrokerSettings = BrokerSettings()
    guest: GuestSettings | None = None
    bridge_api: BridgeApiSettings | None = None
    state_dir: Path = DEFAULT_STATE_DIR
    log_level: str = "info"
    path: Path | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def secure(self) -> bool:
        """Phones come over TLS that ends here."""
        return self.tls is not None or bool(self.own_ca)


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> WebSettings:
    """Read the file at `path`, or the default one; raises `ConfigError` with every mistake.

    The service's credentials are there only while it runs; who checks its configuration as root finds them there, too.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    place = Path(credentials) if credentials else CREDENTIALS_OF_SERVICE if path in (None, DEFAULT_PATH) else None
    page = Page(path or DEFAULT_PATH, place)
    try:
        root = page.compose()
    except FileNotFoundError:
        page.mistake(1, "", "there is no such file; `nuki-bridge web setup` writes it")
        root = None
    values, nodes = page.section(root, "", _WEB) if root is not None else ({}, {})
    _check(page, values, nodes)
    if page.mistakes:
        raise ConfigError([line for _, line in sorted(page.mistakes, key=lambda mistake: mistake[0])])
    page.warn_of_inline_secret()
    secure = bool(values.get("tls") or values.get("own_ca"))
    values.setdefault("port", TLS_PORT if secure else PLAIN_PORT)
    if secure or values.get("insecure"):
        values.setdefault("listen", ("0.0.0.0", "::"))
    state_dir = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    values.setdefault("state_dir", Path(state_dir) if state_dir else DEFAULT_STATE_DIR)
    _check_ports(page, values, nodes)
    if page.mistakes:
        raise ConfigError([line for _, line in page.mistakes])
    return WebSettings(**values, path=page.path, warnings=tuple(page.warnings))


def _check(page: Page, values: dict[str, Any], nodes: Mapping[str, Node]) -> None:
    """What no key shows by itself."""
    if "tls" in nodes and "own_ca" in nodes:
        page.mistake(line_of(nodes["own_ca"]), "own_ca", "give either tls or own_ca, not both")
    if "tls" in nodes or "own_ca" in nodes:
        if values.get("insecure"):
            page.mistake(
                line_of(nodes["insecure"]), "insecure", "has no meaning with tls or own_ca; remove one of them"
            )
        return
    if not values.get("insecure") and not all(
        ipaddress.ip_address(each).is_loopback for each in values.get("listen", ())
    ):
        page.mistake(
            line_of(nodes["listen"]),
            "listen",
            "must be a loopback address such as 127.0.0.1 without tls or own_ca; `insecure: true` says that a VPN"
            " protects what phones send",
        )


def _check_ports(page: Page, values: Mapping[str, Any], nodes: Mapping[str, Node]) -> None:
    """The page and the Bridge HTTP API are two servers."""
    api: BridgeApiSettings | None = values.get("bridge_api")
    if api is None or api.port != values["port"]:
        return
    everywhere = {"0.0.0.0", "::"}
    ours, others = set(values.get("listen", LOOPBACK)), set(api.listen)
    if ours & others or ours & everywhere or others & everywhere:
        page.mistake(
            line_of(nodes["bridge_api"]),
            "bridge_api.port",
            f"{api.port} is the page's port already; give this one, or `port`, another value, such as {api.port + 1}",
        )


# -- kinds of values --------------------------------------------------------------------------------------------------


def _listen(page: Page, node: Node, path: str) -> tuple[str, ...]:
    address = text(page, node, path)
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        return (str(ipaddress.ip_address(address)),)
    except ValueError:
        raise Wrong("must be an IP address of this machine, such as 127.0.0.1, 0.0.0.0 for all, or 10.8.0.1") from None


def _files(page: Page, node: Node, path: str) -> CertificateFiles | None:
    if not is_mapping(node):
        raise Wrong("must be a mapping of cert and key")
    values, nodes = page.section(node, path, _FILES)
    missing = [each for each in _FILES if each not in nodes]
    for each in missing:
        page.mistake(line_of(node), f"{path}.{each}", "is missing; cert and key belong together")
    return None if missing or len(values) < len(_FILES) else CertificateFiles(**values)


def _name(page: Page, node: Node, path: str) -> str:
    name = text(page, node, path).lower().rstrip(".")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        label = "(?!-)[a-z0-9-]{1,63}(?<!-)"
        if len(name) > 253 or not re.fullmatch(rf"{label}(\.{label})*", name) or re.fullmatch(r"[0-9.]+", name):
            raise Wrong(
                "must be a host name such as door.example.net or an IP address, without https:// and port"
            ) from None
        return name


def _names(page: Page, node: Node, path: str) -> tuple[str, ...]:
    if node.id != "sequence":
        return (_name(page, node, path),)
    found = []
    for index, item in enumerate(node.value):
        try:
            found.append(_name(page, item, path))
        except Wrong as wrong:
            page.mistake(line_of(item), f"{path}[{index}]", str(wrong))
    if not 1 <= len(node.value) <= MAX_NAMES:
        raise Wrong(f"must be a list of 1 to {MAX_NAMES} names or IP addresses")
    return tuple(dict.fromkeys(found))


def _broker(page: Page, node: Node, path: str) -> BrokerSettings:
    values, nodes = page.section(node, path, _BROKER)
    if values.get("tls") and "port" not in nodes:
        values["port"] = MQTT_TLS_PORT
    return BrokerSettings(**values)


def _guest(page: Page, node: Node, path: str) -> GuestSettings | None:
    if is_a(node, "null"):
        return None
    values, nodes = page.section(node, path, _GUEST)
    fold_file(page, path, values, nodes, "password")
    if "username" not in nodes and is_mapping(node):
        page.mistake(line_of(node), f"{path}.username", "is missing; it is the guests' account at the broker")
    return GuestSettings(**{"username": "", **values})


def _token(page: Page, node: Node, path: str) -> Secret:
    page.note_inline_secret(node, path)
    return _checked_token(page, node, path, string(node))


def _token_file(page: Page, node: Node, path: str) -> Secret:
    return _checked_token(page, node, path, page.secret_file(node, path))


def _checked_token(page: Page, node: Node, path: str, token: str) -> Secret:
    if len(token) not in TOKEN_SIZES or not re.fullmatch(r"[!-~]+", token):
        raise Wrong(
            f"must be {TOKEN_SIZES[0]} to {TOKEN_SIZES[-1]} letters, digits and other printable ASCII characters"
            " without spaces"
        )
    if len(token) < GOOD_TOKEN_SIZE:
        page.warn(
            line_of(node),
            path,
            f"whoever records one call can try all short tokens; {TOKEN_SIZES[-1]} random characters are better",
        )
    return Secret(token)


def _bridge_api(page: Page, node: Node, path: str) -> BridgeApiSettings | None:
    if is_a(node, "null"):
        return None
    values, nodes = page.section(node, path, _BRIDGE_API)
    fold_file(page, path, values, nodes, "password")
    fold_file(page, path, values, nodes, "token")
    if is_mapping(node) and not {"token", "token_file"} & nodes.keys():
        page.mistake(line_of(node), f"{path}.token", "is missing, as is token_file; other programs have to know it")
    if "username" not in nodes and values.get("password"):
        page.mistake(line_of(node), f"{path}.username", "is missing; it is the account at the broker")
    return BridgeApiSettings(**values) if values.get("token") else None


def _path(page: Page, node: Node, path: str) -> Path:
    return page.directory / text(page, node, path)


_FILES: dict[str, Kind] = {"cert": file, "key": private_file}
_BROKER: dict[str, Kind] = {"host": host, "port": port, "tls": tls, "base_topic": topic}
_GUEST: dict[str, Kind] = {"username": text, "password": password, "password_file": password_file}
_BRIDGE_API: dict[str, Kind] = {
    "listen": _listen,
    "port": port,
    "token": _token,
    "token_file": _token_file,
    "plain_token": boolean,
    "username": text,
    "password": password,
    "password_file": password_file,
}
_WEB: dict[str, Kind] = {
    "listen": _listen,
    "port": port,
    "tls": _files,
    "own_ca": _names,
    "insecure": boolean,
    "names": _names,
    "broker": _broker,
    "guest": _guest,
    "bridge_api": _bridge_api,
    "state_dir": _path,
    "log_level": choice("debug", "info", "warning", "error", any_case=True),
}
