"""The `nuki-bridge` command: puts the commands together, and makes one line and an exit status of every failure.

Status 0 done, 1 refused or failed, 2 wrong usage or configuration, 130 interrupted.  What a command does and takes is
in the module of its subject, such as `lock_commands`.  Whatever is heavy is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nuki_bridge import HOMEPAGE, ISSUES, __version__
from nuki_bridge.command_line import daemon_commands, lock_argument, web_commands, words
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import ConfigError, NukiError, UnusableState

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings

DONE = 0
"""Exit status of a command that did what it was asked for."""
FAILED = 1
"""Exit status of a command that was refused or failed."""
WRONG_USAGE = 2
"""Exit status after wrong arguments or a wrong configuration."""
INTERRUPTED = 130
"""Exit status after Ctrl-C."""
BROKER_VARIABLE = "NUKI_BRIDGE_BROKER"
"""Environment variable that holds the URL of the broker."""
TRACEBACK_VARIABLE = "NUKI_BRIDGE_TRACEBACK"
"""Environment variable that has an internal error shown with its traceback."""
COMPLETE = "__complete"
"""First argument of a call by a shell that wants to know what can stand next."""
_USAGE_CODES = ("bad_arguments", "bad_broker_url", "bad_code", "bad_pin_file", "lock_missing")
"""Error codes of the command line itself that mean wrong usage rather than failure."""

_EMPTY = re.compile(r"\s*|--[a-z-]+=\s*")
"""An argument without a value, as a variable that is not set leaves it in a script."""

_EPILOG = f"""\
A command that talks to the daemon finds the broker in --broker, else in ${BROKER_VARIABLE}, else in --config, else in
/etc/nuki-bridge/client.yaml if that is there, else in the configuration.
A password is better kept there or in the environment: a command line can be seen by other users of the machine until
the program has hidden it. Exit status: 0 done, 1 refused or failed, 2 wrong usage or configuration."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); return the exit status; argparse may exit by itself."""
    return _quiet(lambda: _guarded(argv))


def ended(run: Callable[[], int]) -> int:
    """Return the exit status of what runs, and say what has gone wrong as of any command."""
    return _quiet(lambda: _carried_out(run, as_json=False))


def _quiet(run: Callable[[], int]) -> int:
    """Return the exit status, also if whoever sits there has interrupted it or read enough."""
    try:
        status = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough; Python's own flush at the end must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _guarded(argv: Sequence[str] | None) -> int:
    given = sys.argv[1:] if argv is None else argv
    if list(given[:1]) == [COMPLETE]:
        return _complete(given[1:])
    arguments = parse(argv)
    return _carried_out(lambda: arguments.run(arguments), as_json=getattr(arguments, "json", False))


def _carried_out(run: Callable[[], int], *, as_json: bool) -> int:
    try:
        return run()
    except ConfigError as error:
        told = "\n".join(error.mistakes)
        _show_error(error, told, as_json=as_json)
        print(told, file=sys.stderr)
        return WRONG_USAGE
    except UnusableState as error:  # systemd does not try again after this status
        return _complain(words.in_options(str(error)), WRONG_USAGE)
    except NukiError as error:
        sentence = words.in_options(str(error))
        _show_error(error, sentence, as_json=as_json)
        return _complain(f"{sentence} ({error.code})", WRONG_USAGE if error.code in _USAGE_CODES else FAILED)
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        kind = type(error).__name__
        return _complain(f"internal error: {kind}: {error} ({TRACEBACK_VARIABLE}=1 shows where)", FAILED)


def _complete(words: Sequence[str]) -> int:
    """Print what the last word may become, for a shell; nothing if the line is wrong."""

    from nuki_bridge.command_line import completion

    def broker() -> MqttSettings:
        common = _common_options()[1]
        return _broker(common.parse_known_args(words[:-1], argparse.Namespace(config=None, broker=None))[0])

    found = completion.complete(_parser(), words, lambda: completion.lock_names(broker))
    print("\n".join(found))
    return DONE


def _show_error(error: NukiError, told: str, *, as_json: bool) -> None:
    if as_json:
        from nuki_bridge.command_line import console

        console.show({"status": "error", "error": error.code, "message": told}, as_json=True)


def _complain(sentence: str, status: int) -> int:
    line = "".join(sign if sign.isprintable() else " " for sign in sentence)
    print(f"nuki-bridge: {line}", file=sys.stderr)
    return status


# -- how the commands run ---------------------------------------------------------------------------------------------


def _run_here(arguments: argparse.Namespace) -> int:
    """Run a command that needs no running daemon; its handler gives the exit status."""
    status: int = arguments.handler(arguments)
    return status


def _talk(arguments: argparse.Namespace) -> int:
    """Run a command that talks to the running daemon; its handler gets the conversation and the arguments."""
    import asyncio
    import logging

    from nuki_bridge.command_line import client, console

    settings = _broker(arguments)
    logging.disable()  # what went wrong is said once, by `_complain`

    async def talk() -> None:
        conversation = client.BridgeClient(settings)
        try:
            with console.progress(f"connecting to {settings.host}:{settings.port}", quiet=arguments.json):
                await conversation.open()
            await arguments.handler(conversation, arguments)
        finally:
            await conversation.close()

    asyncio.run(talk())
    return DONE


def _visit(arguments: argparse.Namespace) -> int:
    """Run a guest's command; its handler gets the arguments and a function that returns the broker."""
    import asyncio
    import logging

    logging.disable()
    if code := getattr(arguments, "code", None):
        _hide(code, "", code)
    asyncio.run(arguments.handler(arguments, lambda url: _broker_and_url(arguments, url)))
    return DONE


def _examine(arguments: argparse.Namespace) -> int:
    """Run a command that looks at this machine; its handler gets the arguments and what gives the broker of a URL."""
    status: int = arguments.handler(arguments, lambda: _named_broker(arguments))
    return status


def _named_broker(arguments: argparse.Namespace) -> MqttSettings | None:
    """Return the broker that a URL names, None where the configuration does."""
    if not arguments.broker and (arguments.config is not None or not os.environ.get(BROKER_VARIABLE)):
        return None
    return _broker(arguments)


def _broker(arguments: argparse.Namespace) -> MqttSettings:
    return _broker_and_url(arguments, None)[0]


def _broker_and_url(arguments: argparse.Namespace, remembered: str | None) -> tuple[MqttSettings, str | None]:
    """Return the broker to use, and its URL unless it comes from the configuration; `remembered` is used last."""
    from nuki_bridge import config
    from nuki_bridge.command_line import client

    if arguments.broker:
        _hide_password(arguments.broker)
    url = arguments.broker or ((os.environ.get(BROKER_VARIABLE) or remembered) if arguments.config is None else None)
    if url:
        return client.parse_broker_url(url), url
    try:
        return config.load_broker(arguments.config), None
    except ConfigError as error:
        raise ConfigError([*error.mistakes, *_who_may_read(error.mistakes)]) from None


def _who_may_read(mistakes: Sequence[str]) -> list[str]:
    """Return what to do about files that this user may not read or find, if that is among the mistakes."""
    from nuki_bridge import config

    if any(os.strerror(errno.EACCES) in each for each in mistakes):
        return [
            "nuki-bridge: root and members of the group nuki-bridge may read the configuration: put sudo in front, or"
            ' `sudo adduser "$USER" nuki-bridge` once and log in anew; a secret that only root may read stays closed to'
            f" the group, which may have a broker account of its own in {config.CLIENT_PATH}"
        ]
    secrets = ("mqtt.password_file: ", "mqtt.tls.key: ")
    if any(os.strerror(errno.ENOENT) in each and any(key in each for key in secrets) for each in mistakes):
        return [
            "nuki-bridge: a secret that systemd hands to the service (LoadCredential) is there for root, and while the"
            " service runs: put sudo in front; or name the broker with its account, by --broker URL,"
            f" ${BROKER_VARIABLE} or {config.CLIENT_PATH}"
        ]
    return []


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

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            sentence = words.not_a_choice(action, str(value))
            is_command = isinstance(action, argparse._SubParsersAction)
            raise argparse.ArgumentError(None if is_command else action, sentence)


class _Version(argparse.Action):
    """Prints what argparse's own action would break into lines as it likes."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"nuki-bridge {__version__}\n{HOMEPAGE}\nProblems and ideas: {ISSUES}")
        parser.exit()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments with their defaults; exit with status 2 if they are wrong."""
    # Defaults of the common options come from here: argparse would set them again at each of their two places.
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser()
    if any(_EMPTY.fullmatch(argument) for argument in argv):
        parser.error("an argument is empty; give its value, or leave it out")  # it must not mean the only lock
    argv = lock_argument.in_place(argv, parser)
    arguments, surplus = parser.parse_known_args(argv, argparse.Namespace(config=None, broker=None, json=False))
    if surplus:
        option = surplus[0].partition("=")[0]
        hint = words.instead(option, words.options_of(parser, arguments)) if option.startswith("--") else ""
        parser.error(f"unrecognized arguments: {' '.join(surplus)}{hint}")
    return arguments


@functools.cache
def _parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from nuki_bridge.command_line import all_commands, doctor_commands, guest_commands

    file, common = _common_options()
    parser = _Parser(
        prog="nuki-bridge",
        description="Run Nuki door locks from MQTT over Bluetooth, without a cloud.",
        epilog=_EPILOG,
        parents=[common],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, where to get it and to report")
    parsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    daemon_commands.declare(Commands(parsers, _run_here, file))
    web_commands.declare(Commands(parsers, _run_here, _config_option("/etc/nuki-bridge/web.yaml")))
    daemon_commands.declare_demo(Commands(parsers, _run_here, None))
    all_commands.declare_here(Commands(parsers, _run_here, file))
    all_commands.declare_talking(Commands(parsers, _talk, common))
    doctor_commands.declare(Commands(parsers, _examine, common))
    guest_commands.declare(Commands(parsers, _visit, common))
    return parser


def _common_options() -> tuple[_Parser, _Parser]:
    """Return the options of commands that read the configuration, and of those that talk to the daemon.

    They may stand before or after the command; suppressed defaults keep the second place from undoing the first.
    """
    absent: Any = argparse.SUPPRESS
    file = _config_option("/etc/nuki-bridge/config.yaml")
    common = _Parser(add_help=False, parents=[file])
    common.add_argument(
        "--broker", default=absent, metavar="URL", help="mqtt[s]://user:password@host:port/base_topic[?ca=FILE]"
    )
    common.add_argument("--json", action="store_true", default=absent, help="print JSON")
    return file, common


def _config_option(default: str) -> _Parser:
    file = _Parser(add_help=False)
    absent: Any = argparse.SUPPRESS
    file.add_argument("--config", type=Path, default=absent, metavar="FILE", help=f"default: {default}")
    return file
