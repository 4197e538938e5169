"""The command `invite`: make an invitation and show its code, list the open ones, revoke one.

The code is printed here and nowhere else: on the terminal, as a QR code, and into a file only if one is asked for.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.arguments import duration
from nuki_bridge.command_line import access_options, letter, lock_argument
from nuki_bridge.command_line.asking import ID_OR_NAME, by_id_or_name, in_one_zone, progress, show
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

_COLUMNS = ("id", "user", "expires", "remote", "access")
"""What the table shows of each open invitation."""
_KINDS = (".svg", ".png")
"""Ends of the names of files that a QR code can be written to."""
_CUT = "-" * 60
"""A line above and below what is to be sent."""
_NO_ADDRESS = (
    "Only this computer reaches the broker yet, so the letter is of use here alone. `nuki-bridge web setup` gives\n"
    "invitations a link; or `mqtt.public_url` in the configuration says how guests reach the broker."
)
LIFETIME_S = 48 * 3600
"""Longest time in seconds for which a code may be redeemed, as the bridge has it."""
_ANY_LIFETIME_S = 10**12
"""More seconds than anybody means, so that a longer time is told the longest and not that it is none."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("invite", "invite somebody to use a lock, list open invitations, revoke one", invite)
    parser.epilog = "Without list or revoke it makes an invitation, for which --name is needed."
    lock_argument.add_first(parser)
    parser.add_argument("--name", metavar="NAME", help="whom you invite; the lock's log shows this name")
    parser.add_argument("--no-remote", dest="remote", action="store_false", help="only near the door, by Bluetooth")
    parser.add_argument(
        "--expires",
        type=_lifetime,
        metavar="TIME",
        help="how long the code may be redeemed: 24h, 30m (default and most: 48h)",
    )
    access_options.declare(parser)
    parser.add_argument(
        "--to-time",
        dest="until_time",
        type=access_options.end_of_day,
        metavar="HH:MM",
        help="the same as --until-time: each day not after, such as 20:00",
    )
    parser.add_argument(
        "--qr", type=Path, metavar="FILE", help="also write the QR code to FILE.svg or FILE.png, for you alone to read"
    )
    parser.add_argument(
        "--language",
        choices=letter.LANGUAGES,
        help="the letter's: en or de (default: that of this terminal, else en)",
    )
    add = commands.add_below(parser, "list|revoke")
    add("list", "the open invitations", list_invitations)
    revoke = add("revoke", "end an invitation that was not redeemed", revoke_invitation)
    revoke.add_argument("who", metavar="WHO", help=f"who was invited: {ID_OR_NAME}")


def _lifetime(text: str) -> int:
    """Return how many seconds a code may be redeemed; a bare number is none: nobody means 5 seconds by it."""
    if re.fullmatch(r"\s*\d+\s*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"needs a unit: {text.strip()}h for hours, {text.strip()}m for minutes")
    try:
        seconds = duration(_ANY_LIFETIME_S)(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be such as 24h, 30m or 1d12h, 48h at most") from None
    if seconds > LIFETIME_S:
        raise argparse.ArgumentTypeError("must be 48h at most")
    return seconds


async def invite(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Make an invitation and show its code."""
    if not arguments.name:
        raise RequestError("bad_arguments", "say whom you invite: --name NAME")
    if arguments.qr is not None:
        _check_new(arguments.qr)
    request: dict[str, Any] = {"name": arguments.name, "remote": arguments.remote}
    if arguments.expires is not None:
        request["expires_in"] = arguments.expires
    if access := access_options.access_of(arguments):
        request["access"] = access
    name = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{name}: making the invitation"):
        made = await client.ask(name, "invite/create", request)
    if arguments.json:
        show(arguments, made)
    else:
        language = arguments.language or letter.language(os.environ)
        print(_told(client, name, made, request, language), flush=True)
    if arguments.qr is not None:
        _write_qr(arguments.qr, made["link"])
        if not arguments.json:
            print(f"\nThe QR code is in {arguments.qr}; whoever reads it can redeem the invitation.", flush=True)


async def list_invitations(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """List the open invitations."""
    name = client.lock_name(arguments.lock or None)
    found = await client.ask(name, "invite/list", {})
    columns: tuple[str, ...] = _COLUMNS
    if not arguments.json and isinstance(found, list):
        rows = [{**each, "access": access_options.in_words(each.get("access"))} for each in found]
        found, columns = await in_one_zone(client, name, rows, _COLUMNS)
    show(arguments, found, nothing="no invitation is open", columns=columns)


async def revoke_invitation(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Revoke an invitation."""
    name = client.lock_name(arguments.lock or None)
    with progress(arguments, f"{name}: revoking the invitation"):
        answer = await client.ask(name, "invite/revoke", by_id_or_name(arguments.who))
    text = f"{name}: the invitation of {answer.get('user')} is revoked"
    if not answer.get("removed_on_lock"):
        text += "; the lock is out of reach and forgets the user when it is back"
    show(arguments, answer if arguments.json else text)


# -- what is shown ----------------------------------------------------------------------------------------------------


def _told(client: BridgeClient, lock: str, made: dict[str, Any], asked: dict[str, Any], language: str) -> str:
    """Return the code large, until when it holds, a letter to send, and the QR code; `asked` is what was asked for."""
    from nuki_bridge.command_line.console import printable

    code, link, user = (printable(made.get(key)) for key in ("code", "link", "user"))
    broker = made.get("broker") or client.url_for("guest")
    text = letter.Letter(
        name=user,
        lock=lock,
        expires=printable(made.get("expires")),
        code=code,
        link=link,
        remote=asked["remote"],
        access=asked.get("access"),
        broker=None if broker is None else printable(broker),
        is_opener=client.is_opener(lock),
    )
    until = letter.moment(text.expires, "en")
    wide = "   ".join(" ".join(group) for group in code.split("-"))
    lines = [f"{user} can redeem this invitation to {lock} once, until {until}:", "", *_framed(wide), ""]
    if broker is None and link.startswith("nuki-bridge:"):
        lines += [_NO_ADDRESS, ""]
    lines += ["To send as it is; whoever has it first gets the key:", _CUT, text.text(language), _CUT]
    if link.startswith("nuki-bridge:"):
        lines.append(f"As a link and QR code: {link}")
    if _draws():
        lines += ["", qr_text(link)]
    return "\n".join(lines)


def _framed(text: str) -> list[str]:
    """Return `text` in a frame, bold on a terminal."""
    blank = " " * (len(text) + 6)
    shown = f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text
    if not _draws():
        return [f"   {shown}"]
    edge = "─" * len(blank)
    return [f"┌{edge}┐", f"│{blank}│", f"│   {shown}   │", f"│{blank}│", f"└{edge}┘"]


def _draws() -> bool:
    """Return whether standard output can show the signs that frames and QR codes are made of."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def qr_text(link: str) -> str:
    """Return the QR code of `link` as lines of text."""
    import io

    import segno

    text = io.StringIO()
    segno.make_qr(link, error="m").terminal(text, border=2, compact=True)
    lines = text.getvalue().rstrip("\n").split("\n")
    if sys.stdout.isatty():
        # white on black whatever the terminal's colours are: many a phone does not read an inverted code
        lines = [f"\x1b[38;5;231;48;5;16m{line}\x1b[0m" for line in lines]
    return "\n".join(lines)


def _check_new(file: Path) -> None:
    if file.suffix.lower() not in _KINDS or os.path.lexists(file):
        raise RequestError("bad_arguments", "--qr takes a new file whose name ends in .svg or .png")


def _write_qr(file: Path, link: str) -> None:
    """Write the QR code to a new file that only its owner can read; raises `RequestError`."""
    import segno

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as opened:
            # a drawing without a background cannot be read on a dark one
            segno.make_qr(link, error="m").save(opened, kind=file.suffix[1:].lower(), scale=8, light="white")
    except OSError as error:
        raise RequestError(
            "qr_not_written",
            f"{file} cannot be written: {error.strerror}; the invitation is made, and its code is valid",
        ) from None
