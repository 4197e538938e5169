"""Prints the manual page nuki-bridge(1), made from the command line's own arguments, so that it lists all of them."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from os import environ
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nuki_bridge import __version__
from nuki_bridge.command_line import cli

END = r"""
.SH FILES
.TP
.I /etc/nuki-bridge/config.yaml
The configuration; every key is optional. See README.md in
.IR /usr/share/doc/nuki-bridge ,
and
.B nuki-bridge check-config
for its mistakes. Only root and the service can read it.
.TP
.I /etc/nuki-bridge/web.yaml
The configuration of the phone page, which
.B nuki-bridge web setup
writes.
.TP
.I /var/lib/nuki-bridge-web
The page's own certificate authority, if it has one.
.TP
.I /var/lib/nuki-bridge
Paired locks and their keys. Whoever has a copy can open the door from nearby.
.SH ENVIRONMENT
.TP
.B NUKI_BRIDGE_BROKER
URL of the broker, for commands that talk to the daemon.
.TP
.B NUKI_BRIDGE_TRACEBACK
If it is set, an internal error shows where it happened.
.SH EXAMPLES
.TP
.B sudo nuki-bridge pair \-\-name front_door
Pair the lock whose button is held until its ring lights up.
.TP
.B sudo nuki-bridge lock front_door
Lock the door, wait for the motor and tell what became of it.
.TP
.B journalctl \-u nuki-bridge
Read the daemon's log.
.SH SEE ALSO
.BR bluetoothctl (1),
.BR mosquitto_pub (1),
.BR mosquitto (8)
"""


def plain(text: str) -> str:
    """Text that roff takes literally."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def usage(parser: argparse.ArgumentParser) -> str:
    """How to call `parser`'s command, in one line, without the options that all have in common."""
    line = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return re.sub(r" \[(?:-h|--config FILE|--broker URL|--json|--version)\]", "", line)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of the commands directly below `parser`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def arguments(parser: argparse.ArgumentParser, known: set[str]) -> Iterator[str]:
    """A paragraph for each argument of `parser` that says something about itself and is not in `known`."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        name = formatter._format_action_invocation(action)
        if name in known or not action.help or isinstance(action, argparse._SubParsersAction):
            continue
        yield f".TP\n.B {plain(name)}\n{plain(formatter._expand_help(action))}"


def command(parser: argparse.ArgumentParser, known: set[str]) -> Iterator[str]:
    """The section of one command, and of those below it."""
    yield f".SS {plain(parser.prog.partition(' ')[2])}\n.B {plain(usage(parser))}"
    if parser.description:
        yield f".PP\n{plain(parser.description)}"
    yield from arguments(parser, known)
    for below in subcommands(parser):
        yield from command(below, known)


def page() -> str:
    """The whole manual page."""
    environ["COLUMNS"] = "10000"
    parser = cli._parser()
    day = time.strftime("%Y-%m-%d", time.gmtime(int(environ.get("SOURCE_DATE_EPOCH", time.time()))))
    formatter = parser._get_formatter()
    common = {formatter._format_action_invocation(action) for action in parser._actions}
    lines = [
        f'.TH NUKI-BRIDGE 1 {day} "nuki-bridge {__version__}" "User Commands"\n.nh\n.ad l',
        ".SH NAME\nnuki-bridge \\- run Nuki door locks from MQTT over Bluetooth",
        f".SH SYNOPSIS\n.B {plain(usage(parser).replace(' COMMAND', ' [OPTIONS] COMMAND'))}",
        f".SH DESCRIPTION\n{plain(parser.description or '')}\n.PP\n{plain(parser.epilog or '')}",
        ".SH OPTIONS\nThese may stand before or behind the command.",
        *arguments(parser, set()),
        ".SH COMMANDS",
    ]
    for each in subcommands(parser):
        lines += command(each, common)
    return "\n".join(lines) + END


if __name__ == "__main__":
    sys.stdout.write(page())
