"""The command `config`: show and change a lock's settings."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line import lock_argument
from nuki_bridge.command_line.asking import ask, progress, show
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

_WORDS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
"""What a word stands for, in small letters, where a setting is true or false."""
_TEXTS = ("name", "timezone", "dst_mode", "doorbell_suppression")
"""Settings whose value is a word, whatever it looks like."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("config", "show or change a lock's settings", config)
    lock_argument.add_first(parser)
    parser.add_argument("what", choices=("get", "set"), nargs="?", default="get", help="default: get")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="such as pairing_enabled=false")


async def config(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Show a lock's settings, or change some of them."""
    if arguments.what == "set":
        settings = dict(setting(each) for each in arguments.settings)
        if not settings:
            raise RequestError("bad_arguments", "say what to set, such as pairing_enabled=false")
        await _set(client, arguments, settings)
    elif arguments.settings:
        raise RequestError("bad_arguments", "a setting is changed with set: nuki-bridge config LOCK set KEY=VALUE")
    else:
        await ask(client, arguments, "config/get", {}, "asking it for its settings")


async def _set(client: BridgeClient, arguments: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Change settings, and show them as the lock has them now; as JSON all that it has."""
    lock = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{lock}: changing its settings"):
        now = await client.ask(lock, "config/set", settings)
    if not arguments.json and isinstance(now, dict):
        now = {key: now.get(key) for key in settings}
    show(arguments, now)


def setting(text: str) -> tuple[str, Any]:
    """Return key and value of `KEY=VALUE`, the value with the type that it looks like; raises `RequestError`."""
    key, equals, word = text.partition("=")
    if not equals:
        raise RequestError("bad_arguments", f"{text!r:.40} is not KEY=VALUE, such as pairing_enabled=false")
    key = key.strip()
    if key in _TEXTS:
        return key, word
    if word.lower() in _WORDS:
        return key, _WORDS[word.lower()]
    try:
        number = json.loads(word)
    except (ValueError, RecursionError):
        return key, word
    return key, number if isinstance(number, int | float) else word
