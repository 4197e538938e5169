"""The commands `run`, `check-config` and `demo`, which need no running daemon.

Each returns the exit status.  Whatever is heavy is imported by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nuki_bridge.errors import ConfigError, UnusableState

if TYPE_CHECKING:
    import argparse

    from nuki_bridge.command_line.registration import Commands


def declare(commands: Commands) -> None:
    """Add `run` and `check-config`."""
    commands.add("run", "the daemon", run)
    commands.add("check-config", "find every mistake in the configuration", check_config)


def declare_demo(commands: Commands) -> None:
    """Add `demo`, which reads no configuration."""
    parser = commands.add(
        "demo", "everything on this machine without hardware: a broker, a virtual lock, the daemon", demo
    )
    parser.add_argument("--port", type=_port, help="loopback port of the private broker (default: a free one)")


def _port(text: str) -> int:
    import argparse

    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError("must be a port number from 1 to 65535")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon until it is told to stop."""
    return run_daemon(arguments.config)


def run_daemon(file: Path | None) -> int:
    """Run the daemon with the configuration in `file` (None: in the usual place) until it is told to stop."""
    from nuki_bridge.daemon import no_openssl

    no_openssl.load()
    import asyncio

    from nuki_bridge import config
    from nuki_bridge.daemon import daemon

    return asyncio.run(daemon.run(config.load(file), read=lambda: config.load(file)))


def check_config(arguments: argparse.Namespace) -> int:
    """Print every mistake and warning of the configuration, and of the phone page's beside it.

    Raises `ConfigError` or `UnusableState`.
    """
    from nuki_bridge import config

    page = _page_mistakes((arguments.config or config.DEFAULT_PATH).with_name("web.yaml"))
    try:
        settings = config.load(arguments.config)
    except ConfigError as error:
        raise ConfigError(error.mistakes + page) from None
    if (wrong := _state_dir_mistake(settings.state_dir)) is not None:
        raise UnusableState(f"{settings.state_dir_place}{settings.state_dir} {wrong}")
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if settings.path is None:
        print(f"there is no {config.DEFAULT_PATH}; that is fine, every key has a default")
    else:
        print(f"{settings.path} is valid")
    if page:
        raise ConfigError(page)
    return 0


def _page_mistakes(file: Path) -> list[str]:
    """Return what is wrong with the phone page's configuration, if there is one; print its warnings."""
    if not file.exists():
        return []
    if not os.access(file, os.R_OK):
        print(f"{file} is not checked: this user cannot read it")
        return []
    from nuki_bridge.web import certificate
    from nuki_bridge.web import settings as web_settings

    try:
        settings = web_settings.load(file)
    except ConfigError as error:
        return error.mistakes
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if mistake := certificate.check(settings):
        return [f"{file}:1: tls: {mistake}"]
    print(f"{file} is valid")
    return []


def _state_dir_mistake(directory: Path) -> str | None:
    """Return why the service cannot keep anything there, as the rest of a sentence; None if nothing is known."""
    import pwd

    try:
        place = next(each for each in (directory.absolute(), *directory.absolute().parents) if each.exists())
        found = place.stat()
    except OSError:
        return None  # this user may not look
    if not place.is_dir():
        return f"cannot be used: {place} is not a directory"
    try:
        account = pwd.getpwnam("nuki-bridge")  # of the packaged service
        user, uid, groups = account.pw_name, account.pw_uid, os.getgrouplist(account.pw_name, account.pw_gid)
    except KeyError:
        user, uid, groups = "this user", os.geteuid(), [os.getegid(), *os.getgroups()]
    shift = 6 if uid == found.st_uid else 3 if found.st_gid in groups else 0
    made_by_systemd = place != directory.absolute() and str(place) == "/var/lib"
    if uid == 0 or made_by_systemd or found.st_mode >> shift & 0o3 == 0o3:
        return None
    return f"cannot be written by {user}; make it that user's with chown, or leave state_dir out"


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo until it is interrupted."""
    import asyncio

    from nuki_bridge.command_line.demo import run

    return asyncio.run(run(arguments.port))
