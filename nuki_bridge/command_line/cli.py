"""The `nuki-bridge` command: its arguments, and how every failure becomes one line and an exit status.

Status 0 done, 1 refused or failed, 2 wrong usage or configuration, 130 interrupted.  What a command does that talks
to the running daemon is in `commands`.  Whatever is heavy is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nuki_bridge import __version__
from nuki_bridge.command_line import guest_commands, keypad_commands, owner_commands, owner_invite
from nuki_bridge.errors import ConfigError, NukiError, UnusableState

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings

DONE = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130

BROKER_VARIABLE = "NUKI_BRIDGE_BROKER"
TRACEBACK_VARIABLE = "NUKI_BRIDGE_TRACEBACK"

_USAGE_CODES = ("bad_arguments", "bad_broker_url", "bad_code", "bad_pin_file", "lock_missing")
"""Refusals of our own that mean wrong usage rather than failure."""

_EPILOG = f"""\
A command that talks to the daemon finds the broker in --broker, else in ${BROKER_VARIABLE}, else in the configuration.
A password is better kept there or in the environment: a command line can be seen by other users of the machine until
the program has hidden it. Exit status: 0 done, 1 refused or failed, 2 wrong usage or configuration."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); returns the exit status, argparse may exit itself."""
    try:
        status = _guarded(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough; Python's own flush at the end must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _guarded(argv: Sequence[str] | None) -> int:
    arguments = parse(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except ConfigError as error:
        print("\n".join(error.mistakes), file=sys.stderr)
        return WRONG_USAGE
    except NukiError as error:
        if error.code in _USAGE_CODES or isinstance(error, UnusableState):  # systemd does not try again after that
            return _complain(str(error), WRONG_USAGE)
        if getattr(arguments, "json", False):
            from nuki_bridge.command_line import console

            console.show({"status": "error", "error": error.code, "message": str(error)}, as_json=True)
        return _complain(f"{error} ({error.code})", FAILED)
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        kind = type(error).__name__
        return _complain(f"internal error: {kind}: {error} ({TRACEBACK_VARIABLE}=1 shows where)", FAILED)


def _complain(sentence: str, status: int) -> int:
    line = "".join(sign if sign.isprintable() else " " for sign in sentence)
    print(f"nuki-bridge: {line}", file=sys.stderr)
    return status


# -- what the commands run --------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    import asyncio

    from nuki_bridge import config
    from nuki_bridge.daemon import daemon

    return asyncio.run(daemon.run(config.load(arguments.config), read=lambda: config.load(arguments.config)))


def _check_config(arguments: argparse.Namespace) -> int:
    from nuki_bridge import config

    settings = config.load(arguments.config)
    if (wrong := _state_dir_mistake(settings.state_dir)) is not None:
        raise UnusableState(f"state_dir: {settings.state_dir} {wrong}")
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if settings.path is None:
        print(f"there is no {config.DEFAULT_PATH}; that is fine, every key has a default")
    else:
        print(f"{settings.path} is valid")
    return DONE


def _state_dir_mistake(directory: Path) -> str | None:
    """Why the service cannot keep anything there, as the rest of a sentence; None if nothing tells against it."""
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


def _demo(arguments: argparse.Namespace) -> int:
    import asyncio

    from nuki_bridge.command_line import demo

    return asyncio.run(demo.run(arguments.port))


def _talk(arguments: argparse.Namespace) -> int:
    import asyncio
    import logging

    from nuki_bridge.command_line import client, commands, console

    settings = _broker(arguments)
    logging.disable()  # what went wrong is said once, by `_complain`

    async def talk() -> None:
        conversation = client.Client(settings)
        try:
            with console.progress(f"connecting to {settings.host}:{settings.port}", quiet=arguments.json):
                await conversation.open()
            groups = (commands, owner_commands, owner_invite, keypad_commands)
            run = next(each.COMMANDS[arguments.command] for each in groups if arguments.command in each.COMMANDS)
            await run(conversation, arguments)
        finally:
            await conversation.close()

    asyncio.run(talk())
    return DONE


def _visit(arguments: argparse.Namespace) -> int:
    import asyncio
    import logging

    logging.disable()
    if code := getattr(arguments, "code", None):
        _hide(code, "", code)
    asyncio.run(guest_commands.COMMANDS[arguments.command](arguments, lambda url: _broker_and_url(arguments, url)))
    return DONE


def _broker(arguments: argparse.Namespace) -> MqttSettings:
    return _broker_and_url(arguments, None)[0]


def _broker_and_url(arguments: argparse.Namespace, remembered: str | None) -> tuple[MqttSettings, str | None]:
    """The broker to use, and its URL unless the configuration tells of it; `remembered` is one to fall back upon."""
    from nuki_bridge import config
    from nuki_bridge.command_line import client

    if arguments.broker:
        _hide_password(arguments.broker)
    url = arguments.broker or ((os.environ.get(BROKER_VARIABLE) or remembered) if arguments.config is None else None)
    if url:
        return client.parse_broker_url(url), url
    return config.load(arguments.config).mqtt, None


def _hide_password(url: str) -> None:
    """Make `ps` show stars in place of the password in `url`, which stands in this process's command line."""
    before, _, rest = url.partition("://")
    user, colon, password = rest.rpartition("@")[0].partition(":")
    if password:
        _hide(url, f"{before}://{user}{colon}", password)


def _hide(argument: str, before: str, secret: str) -> None:
    """Make `ps` show stars in place of `secret`, which stands behind `before` in an argument of this process."""
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, see proc(5)
        found = ctypes.string_at(start, end - start).find(os.fsencode(argument))
        if found >= 0:
            ctypes.memset(start + found + len(os.fsencode(before)), ord("*"), len(os.fsencode(secret)))
    except (OSError, ValueError, IndexError):
        return  # no Linux, or a /proc that hides this: nothing is lost but the stars


# -- the arguments ----------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(re.sub(r"://\S*@", "://***@", message))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments with their defaults; exits with status 2 if they are wrong."""
    # Defaults of the common options come from here: argparse would set them again at each of their two places.
    argv = owner_commands.with_lock(sys.argv[1:] if argv is None else argv)
    return _parser().parse_args(argv, argparse.Namespace(config=None, broker=None, json=False))


def _parser() -> argparse.ArgumentParser:
    file, common = _common_options()
    parser = _Parser(
        prog="nuki-bridge",
        description="Run Nuki door locks from MQTT over Bluetooth, without a cloud.",
        epilog=_EPILOG,
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nuki-bridge {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, run: Any, options: _Parser | None) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            parents=[options] if options else [],
            allow_abbrev=False,
        )
        command.set_defaults(run=run)
        return command

    def talk(name: str, text: str) -> argparse.ArgumentParser:
        return add(name, text, _talk, common)

    add("run", "the daemon", _run, file)
    add("check-config", "find every mistake in the configuration", _check_config, file)
    demo = add("demo", "everything on this machine without hardware: a broker, a virtual lock, the daemon", _demo, None)
    demo.add_argument("--port", type=_port, help="loopback port of the private broker (default: a free one)")

    scan = talk("scan", "list the locks in range")
    scan.add_argument(
        "--timeout", type=_seconds(300), default=10.0, metavar="S", help="how long to listen (default: 10)"
    )

    pair = talk("pair", "pair the lock that is in pairing mode")
    pair.add_argument("--address", help="only the lock with this Bluetooth address")
    pair.add_argument(
        "--name", help="what to call it in topics: a-z, 0-9, _ and - (default: made from the lock's own name)"
    )
    pair.add_argument("--as", dest="id_type", choices=("bridge", "app"), default="bridge", help="kind of authorization")
    pair.add_argument(
        "--pin-file",
        metavar="FILE",
        help="file with the lock's security PIN, - for standard input; without it a lock that needs its PIN for "
        "pairing makes this command ask on the terminal",
    )
    pair.add_argument("--timeout", type=_seconds(600), default=60.0, metavar="S", help="how long to wait (default: 60)")

    talk("unpair", "forget a lock; the lock's own entry for the bridge is removed in the Nuki app").add_argument(
        "lock", metavar="LOCK"
    )
    talk("locks", "list the paired locks")
    _optional_lock(talk("status", "show what is known about a lock"))
    _optional_lock(talk("watch", "print states and events as they come, until Ctrl-C"))
    for name in ("lock", "unlock", "unlatch"):
        _lock_action(talk(name, f"{name} the door"))
    lock_n_go = talk("lock-n-go", "unlock the door, and lock it again after a while")
    lock_n_go.add_argument("--unlatch", action="store_true", help="pull the latch too")
    _lock_action(lock_n_go)
    _optional_lock(talk("refresh", "ask the lock itself for its state"))
    _optional_lock(talk("battery", "ask the lock itself for its battery report"))
    talk("health", "show how the daemon, its radio and its locks are")
    owner_commands.declare(talk, common)
    owner_invite.declare(talk)
    keypad_commands.declare(talk, common)
    guest_commands.declare(lambda name, text: add(name, text, _visit, common))
    return parser


def _common_options() -> tuple[_Parser, _Parser]:
    """Options of commands that read the configuration, and of those that talk to the daemon.

    They may stand before or after the command; suppressed defaults keep the second place from undoing the first.
    """
    absent: Any = argparse.SUPPRESS
    file = _Parser(add_help=False)
    file.add_argument(
        "--config", type=Path, default=absent, metavar="FILE", help="default: /etc/nuki-bridge/config.yaml"
    )
    common = _Parser(add_help=False, parents=[file])
    common.add_argument(
        "--broker", default=absent, metavar="URL", help="mqtt[s]://user:password@host:port/base_topic[?ca=FILE]"
    )
    common.add_argument("--json", action="store_true", default=absent, help="print JSON")
    return file, common


def _lock_action(parser: argparse.ArgumentParser) -> None:
    _optional_lock(parser)
    parser.add_argument(
        "--only-if",
        action="append",
        metavar="STATE",
        help="only if the lock says that it is in this state, such as unlocked; may be given more than once",
    )
    parser.add_argument("--as", dest="suffix", metavar="NAME", help="who is named for it in the lock's log, 20 bytes")


def _optional_lock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lock", nargs="?", metavar="LOCK", help="may be left out if there is only one")


def _seconds(longest: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0
        if not 1 <= seconds <= longest:
            raise argparse.ArgumentTypeError(f"must be a number of seconds from 1 to {longest:g}")
        return seconds

    return read


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError("must be a port number from 1 to 65535")
    return int(text)
