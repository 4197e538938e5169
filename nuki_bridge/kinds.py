"""What both configuration files have: the daemon's and the phone page's name a broker, files and secrets alike.

`yamlpage` finds the lines; which keys there are is for `config` and `web/settings.py` to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.records import frozen
from nuki_bridge.yamlpage import Kind, Page, Wrong, boolean, is_a, is_mapping, line_of, string, text

if TYPE_CHECKING:
    from nuki_bridge.yamlpage import Node

MQTT_TLS_PORT = 8883


class Secret:
    """A text that `repr`, `str` and `format` hide; `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@frozen
class TlsSettings:
    """Files for TLS to the broker; without `ca` the system's certificate authorities are trusted."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


# -- kinds of values --------------------------------------------------------------------------------------------------


def host(page: Page, node: Node, path: str) -> str:
    """A host name or an IP address."""
    host = text(page, node, path)
    if host.startswith("[") and host.endswith("]"):  # an IPv6 address as it stands in a URL
        host = host[1:-1]
    if "/" in host or " " in host or host.count(":") == 1:
        raise Wrong("must be a host name or an IP address alone; the port has a key of its own")
    return host


def port(page: Page, node: Node, path: str) -> int:
    """A port number."""
    digits = node.value if is_a(node, "int") else ""
    if not re.fullmatch(r"[1-9][0-9]{0,4}", digits) or int(digits) > 65535:
        raise Wrong("must be a whole number from 1 to 65535, without quotes")
    return int(digits)


def file(page: Page, node: Node, path: str) -> Path:
    """A file that this program can read."""
    return page.named_file(node, path, private=False)[0]


def private_file(page: Page, node: Node, path: str) -> Path:
    """The same, for nobody else to read."""
    return page.named_file(node, path, private=True)[0]


def password(page: Page, node: Node, path: str) -> Secret:
    """A password in the configuration itself."""
    page.note_inline_secret(node, path)
    return one_line(string(node))


def password_file(page: Page, node: Node, path: str) -> Secret:
    """A password in a file of its own."""
    return one_line(page.secret_file(node, path))


def one_line(password: str) -> Secret:
    """A password that can be sent."""
    if re.search(r"[\0\r\n\ud800-\udfff]", password):  # lone surrogates cannot be sent either
        raise Wrong("must be a single line of text")
    return Secret(password)


def tls(page: Page, node: Node, path: str) -> TlsSettings | None:
    """True, false, or a mapping of `TLS`."""
    if is_a(node, "bool"):
        return TlsSettings() if boolean(page, node, path) else None
    if not is_mapping(node):
        raise Wrong("must be true, false or a mapping of ca, cert and key")
    values, nodes = page.section(node, path, TLS)
    for key, other in (("cert", "key"), ("key", "cert")):
        if key in nodes and other not in nodes:
            page.mistake(line_of(nodes[key]), f"{path}.{key}", f"needs {other} beside it")
    return TlsSettings(**values)


def fold_file(page: Page, path: str, values: dict[str, Any], nodes: Mapping[str, Node], key: str) -> None:
    """Make `key` and `key`_file one value; both at once are a mistake."""
    file_key = f"{key}_file"
    if key in nodes and file_key in nodes:
        page.mistake(line_of(nodes[file_key]), f"{path}.{file_key}", f"give either {key} or {file_key}, not both")
    if file_key in values:
        values[key] = values.pop(file_key)


TLS: dict[str, Kind] = {"ca": file, "cert": file, "key": private_file}


def topic(page: Page, node: Node, path: str) -> str:
    """Return an MQTT topic without wildcards, in up to 1024 bytes."""
    value = text(page, node, path)
    if "+" in value or "#" in value or value[0] in "/$" or value[-1] == "/" or len(value.encode()) > 1024:
        raise Wrong("must be a topic without + and #, without / at its ends, without $ at its start, up to 1024 bytes")
    return value
