"""Prints one of the manual pages:  debian/manpage.py nuki-bridge.1|nuki-bridge-run.8|nuki-bridge.yaml.5

The first is made from the command line's own arguments, so that it lists all of them, the second from
docs/operations.md, the third from etc/config.yaml, whose comments say what each key means.
"""

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

ROOT = Path(__file__).parents[1]
END = r"""
.SH FILES
.TP
.I /etc/nuki-bridge/config.yaml
The configuration; every key is optional. See docs/configuration.md in
.IR /usr/share/doc/nuki-bridge ,
and
.B nuki-bridge check-config
for its mistakes. Only root, the service and its group can read it.
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
.BR nuki-bridge.yaml (5),
.BR nuki-bridge-run (8),
.BR bluetoothctl (1),
.BR mosquitto_pub (1),
.BR mosquitto (8)
"""
RUN = r"""
.SH FILES
.TP
.I /etc/nuki-bridge/config.yaml
The configuration, see
.BR nuki-bridge.yaml (5).
.TP
.I /var/lib/nuki-bridge
Paired locks and their keys. Whoever has a copy can open the door from nearby.
.SH SEE ALSO
.BR nuki-bridge (1),
.BR nuki-bridge.yaml (5),
.BR systemctl (1),
.BR journalctl (1)
"""
YAML = r"""
.SH FILES
.TP
.I /etc/nuki-bridge/config.yaml
The configuration. Only root, the service and the members of the group nuki\-bridge can read it.
.TP
.I /etc/nuki-bridge/client.yaml
A broker account for the command line alone, instead of the daemon's: a mapping
.B mqtt
with the keys above, for root and the members of the group to read.
.TP
.I /usr/share/doc/nuki-bridge/examples/config.yaml
The same as a file to copy from.
.SH SEE ALSO
.BR nuki-bridge (1),
.BR nuki-bridge-run (8)
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


def heading(name: str, section: int, volume: str) -> str:
    """The first lines of a page."""
    day = time.strftime("%Y-%m-%d", time.gmtime(int(environ.get("SOURCE_DATE_EPOCH", time.time()))))
    return f'.TH {plain(name.upper())} {section} {day} "nuki-bridge {__version__}" "{volume}"\n.nh\n.ad l'


def page() -> str:
    """The whole page of the command."""
    environ["COLUMNS"] = "10000"
    parser = cli._parser()
    formatter = parser._get_formatter()
    common = {formatter._format_action_invocation(action) for action in parser._actions}
    lines = [
        heading("nuki-bridge", 1, "User Commands"),
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


# -- from the documentation -------------------------------------------------------------------------------------------


def inline(text: str) -> str:
    """Markdown within a line: links by their text, code and emphasis in bold."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    return "".join(
        rf"\fB{plain(each.strip('`*'))}\fR" if each[:1] in ("`", "*") else plain(each) for each in parts if each
    )


def markdown(text: str) -> Iterator[str]:
    """A page of the documentation as roff: headings, paragraphs, lists, tables and code."""
    paragraph: list[str] = []
    code = False
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if not line.startswith("|") and rows:
            yield from table(rows)
            rows = []
        if line.strip().startswith("```"):
            code = not code
            yield from paragraph_of(paragraph)
            yield ".PP\n.nf\n.RS 4" if code else ".RE\n.fi"
        elif code:
            yield plain(line)
        elif line.startswith("|"):
            yield from paragraph_of(paragraph)
            rows.append([each.strip() for each in re.split(r"(?<!\\)\|", line.strip("|"))])
        elif line.startswith("#"):
            yield from paragraph_of(paragraph)
            yield f".SH {plain(line.lstrip('# ')).upper()}"
        elif (item := re.match(r"(?:[-*]|\d+\.) +(.*)", line)) is not None:
            yield from paragraph_of(paragraph)
            paragraph += [".IP \\(bu 3", item[1]]
        elif line.strip():
            paragraph.append(line.strip())
        else:
            yield from paragraph_of(paragraph)


def paragraph_of(lines: list[str]) -> Iterator[str]:
    """What has been gathered, which is empty afterwards."""
    if lines:
        first, rest = (lines[0], lines[1:]) if lines[0].startswith(".IP") else (".PP", lines)
        yield f"{first}\n{inline(' '.join(rest))}"
        lines.clear()


def table(rows: list[list[str]]) -> Iterator[str]:
    """A paragraph for each row: its first cell, and the others with the headings that they have."""
    titles, _, *body = rows
    for first, *others in body:
        said = [
            f"{title}: {cell}" if len(others) > 1 and title else cell
            for title, cell in zip(titles[1:], others, strict=True)
        ]
        yield f".TP\n{inline(first)}\n{inline('; '.join(said))}"


def run_page() -> str:
    """The page of the daemon."""
    _, text = (ROOT / "docs" / "operations.md").read_text().split("\n", 1)
    lines = [
        heading("nuki-bridge-run", 8, "System Manager's Manual"),
        ".SH NAME\nnuki-bridge-run \\- the daemon of nuki-bridge, and how it is looked after",
        ".SH SYNOPSIS\n.B nuki\\-bridge run [\\-\\-config FILE]",
        ".PP\n.B systemctl start|stop|restart|reload nuki\\-bridge",
        ".SH DESCRIPTION",
        *markdown(text),
    ]
    return "\n".join(lines) + RUN


def yaml_page() -> str:
    """The page of the configuration."""
    lines = [
        heading("nuki-bridge.yaml", 5, "File Formats"),
        ".SH NAME\nnuki-bridge.yaml \\- the configuration of nuki-bridge",
        ".SH SYNOPSIS\n.I /etc/nuki-bridge/config.yaml",
    ]
    said: list[str] = []
    above: list[tuple[int, str]] = []
    head, body = (ROOT / "etc" / "config.yaml").read_text().split("\n\n", 1)
    comment = [line.removeprefix("#").strip() for line in head.splitlines()]
    lines.append(".SH DESCRIPTION")
    lines += (f".PP\n{inline(' '.join(each.split(chr(10))))}" for each in "\n".join(comment).split("\n\n"))
    lines.append(".SH KEYS")
    for line in body.splitlines():
        key = re.match(r"#?( *)(- )?(\w+):(?: (.*))?$", line)
        if key is None or re.match(r"# (?! )", line):
            said.append(line.removeprefix("#").strip())
            continue
        depth = len(key[1] + (key[2] or ""))
        above = [each for each in above if each[0] < depth]
        path = ".".join([*(name for _, name in above), key[3]])
        above.append((depth, key[3] + ("[]" if key[3] == "locks" else "")))
        text = " ".join(said).strip() or ("As above." if key[4] else "The next keys are below this one.")
        lines.append(f".TP\n.B {plain(path)}{': ' + plain(key[4]) if key[4] else ''}\n{inline(text)}")
        said = []
    return "\n".join(lines) + YAML


PAGES = {"nuki-bridge.1": page, "nuki-bridge-run.8": run_page, "nuki-bridge.yaml.5": yaml_page}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
