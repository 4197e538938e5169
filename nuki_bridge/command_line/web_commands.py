"""The command `web`: serves the phone page, in a process of its own.

It needs no running daemon and knows nothing of the locks; `web setup` is `web_setup`'s.
"""

from __future__ import annotations

import argparse

from nuki_bridge.command_line import web_setup
from nuki_bridge.command_line.registration import Commands


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("web", "serve the page with which people open the door by phone", serve)
    add = commands.add_below(parser, "setup")
    web_setup.declare(add("setup", "ask three questions, write the configuration and show the page's address", _setup))


def _setup(arguments: argparse.Namespace) -> int:
    return web_setup.setup(arguments)


def serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; raises `ConfigError`, or `PageError` if the page cannot be served."""
    import asyncio

    from nuki_bridge.web import process, settings

    return asyncio.run(process.run(settings.load(arguments.config)))
