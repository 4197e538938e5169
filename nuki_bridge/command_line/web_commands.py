"""The command `web`: serves the phone page, in a process of its own.

It needs no running daemon and knows nothing of the locks; `web setup` is `web_setup`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from nuki_bridge.command_line.registration import Commands
    from nuki_bridge.web.process import Part
    from nuki_bridge.web.settings import WebSettings

_WAYS = ("files", "own-ca", "vpn", "local")
"""The ways to a certificate, or to do without one."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("web", "serve the page with which people open the door by phone", serve)
    add = commands.add_below(parser, "setup")
    _declare_setup(add("setup", "ask three questions, write the configuration and show the page's address", _setup))


def _declare_setup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", help="name or IP address under which phones find this computer, such as door.example.net"
    )
    parser.add_argument("--certificate", choices=_WAYS, metavar="WAY", help=f"{', '.join(_WAYS)}")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="with `files`: the certificate with its chain")
    parser.add_argument("--key", type=Path, metavar="FILE", help="with `files`: its key")
    parser.add_argument("--guest", metavar="USER", help="the guests' account at the broker")
    parser.add_argument("--no-guests", action="store_true", help="only whoever has an account at the broker")
    parser.add_argument(
        "--guest-password-file", type=Path, metavar="FILE", help="its password, in one line (- reads it)"
    )
    parser.add_argument("--port", type=int, help="default: 443, or 8443 if that is taken; 8080 without a certificate")
    parser.add_argument(
        "--replace", action="store_true", help="replace a configuration that is there, but for bridge_api"
    )
    parser.add_argument("--show", action="store_true", help="only show the address of the page that is set up")


def _setup(arguments: argparse.Namespace) -> int:
    from nuki_bridge.command_line import web_setup

    return web_setup.setup(arguments)


def serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; raises `ConfigError`, or `PageError` if the page cannot be served."""
    return serve_page(arguments.config)


def serve_page(file: Path | None) -> int:
    """Serve with the configuration in `file` (None: in the usual place); raises as `serve` does."""
    import asyncio

    from nuki_bridge.web import process, settings

    found = settings.load(file)
    return asyncio.run(process.run(found, beside=_beside(found)))


def _beside(settings: WebSettings) -> list[Part]:
    """Return what is to be served beside the page."""
    if settings.bridge_api is None:
        return []
    from nuki_bridge.bridge_http.api import BridgeApi
    from nuki_bridge.bridge_http.memory import Memory

    return [BridgeApi(settings.bridge_api, settings.broker, Memory(settings.state_dir))]
