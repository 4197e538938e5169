"""The commands that show a lock and move it: `status`, `watch`, the lock actions, `refresh` and `battery`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Final

from nuki_bridge.command_line import lock_argument
from nuki_bridge.command_line.asking import given, in_local_time, progress, show
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import RequestError
from nuki_bridge.lock_name import PROBE, is_nuki_id

if TYPE_CHECKING:
    from nuki_bridge.command_line.client import BridgeClient

NO_LOCK = "no lock is paired; see `nuki-bridge pair --help`"
"""What is shown while there is no lock."""

OPENER_ACTIONS: Final = {
    "open": "have an Opener open the door; of another lock, unlatch it",
    "activate-rto": "have an Opener open the door the next time that it rings (ring to open)",
    "deactivate-rto": "end ring to open",
    "activate-continuous-mode": "have an Opener open the door whenever it rings",
    "deactivate-continuous-mode": "end continuous mode",
}
"""The commands for an Opener, and what they are for."""


def declare(commands: Commands) -> None:
    """Add the commands with their arguments."""
    shown = commands.add("status", "show what is known about a lock, or a line for each lock", status)
    lock_argument.add_last(shown, "default: a line for each lock; the only one, if there is one")
    shown.add_argument("--all", action="store_true", help="all that is known of it, its settings too; so does --json")
    watching = commands.add("watch", "print states and events as they come, until Ctrl-C", watch)
    lock_argument.add_last(watching, "default: all locks")
    for name in ("lock", "unlock", "unlatch"):
        _declare_action(commands.add(name, f"{name} the door", act))
    lock_n_go = commands.add("lock-n-go", "unlock the door, and lock it again after a while", act)
    lock_n_go.add_argument("--unlatch", action="store_true", help="pull the latch too")
    _declare_action(lock_n_go)
    for name, what in OPENER_ACTIONS.items():
        _declare_action(commands.add(name, what, act))
    lock_argument.add_last(commands.add("refresh", "ask the lock itself for its state", refresh))
    report = commands.add("battery", "ask the lock itself for its battery report, or show the days before", battery)
    lock_argument.add_last(report)
    report.add_argument("--history", action="store_true", help="how it was, a line for each day; the newest first")
    report.add_argument(
        "--days", type=int, metavar="N", help="with --history: how many days (default: 90, at most 400)"
    )


def _declare_action(parser: argparse.ArgumentParser) -> None:
    lock_argument.add_last(parser)
    parser.add_argument(
        "--only-if",
        action="append",
        metavar="STATE",
        help="only if the lock says that it is in this state, such as unlocked; may be given more than once",
    )
    parser.add_argument("--as", dest="suffix", metavar="NAME", help="who is named for it in the lock's log, 20 bytes")


async def status(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Show how one lock is, all that is known with `--all`, or a line for each."""
    from nuki_bridge.command_line import told

    names = client.lock_names()
    one = arguments.lock is not None or len(names) == 1
    if one:
        names = [client.lock_name(arguments.lock)]
    retained = await client.read(*(f"{name}/{topic}" for name in names for topic in ("status", "availability")))
    found = [_status_of(name, retained) for name in names]
    if arguments.json or one:
        brief = one and not arguments.json and not arguments.all
        show(arguments, told.in_brief(found[0]) if brief else found[0] if one else found)
    else:
        show(arguments, in_local_time([_overview(each) for each in found]), nothing=NO_LOCK)


def _overview(known: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the table of all locks."""
    from nuki_bridge.command_line import told

    columns = ("name", "availability", "state", "door", "battery", "rssi", "updated")
    return {column: known.get(column) for column in columns} | {"battery": told.battery(known.get("battery"))}


def _status_of(name: str, retained: dict[str, bytes]) -> dict[str, Any]:
    known = _value(retained.get(f"{name}/status", b"{}"))
    availability = _value(retained.get(f"{name}/availability", b"null"))
    return {"name": name, "availability": availability, **(known if isinstance(known, dict) else {})}


async def watch(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Print each change of state, door and availability, each event and each command that failed, until interrupted."""
    from datetime import datetime

    from nuki_bridge.command_line import console, told

    name = "+" if arguments.lock is None else client.lock_name(arguments.lock)
    kinds = ("state", "door", "availability", "event", "result")
    async for topic, payload in client.watch(*(f"{name}/{kind}" for kind in kinds)):
        lock, _, kind = topic.partition("/")
        if kind not in kinds or is_nuki_id(lock) or lock.startswith(PROBE):
            continue  # Nuki's own topics are no lock of the bridge, nor are the doctor's
        value = _value(payload)
        sentence = told.happened(kind, value)
        if kind == "result" and sentence is None:
            continue  # what succeeded is an event, too
        time = datetime.now().astimezone()
        if arguments.json:
            line = {"time": time.isoformat(timespec="seconds"), "lock": lock, "topic": kind, "value": value}
            console.show(line, as_json=True)
        elif sentence is not None:
            print(f"{time:%H:%M:%S}  {console.printable(lock)}  {sentence}", flush=True)


async def act(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Carry out the lock action that the command is named after."""
    name = client.lock_name(arguments.lock)
    wanted = arguments.command.replace("-", "_") + ("_unlatch" if getattr(arguments, "unlatch", False) else "")
    more = {"only_if": arguments.only_if, "as": arguments.suffix}
    given = {key: value for key, value in more.items() if value is not None}
    with progress(arguments, f"{name}: waiting for {wanted}") as tell:
        result = await client.perform(name, wanted, lambda state: tell(f"{name}: {state}"), given)
    show(arguments, result if arguments.json else f"{name}: {wanted}: {result.get('completion', 'success')}")


async def refresh(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Ask the lock itself for its state."""
    await _ask_lock(client, arguments, "refresh", "asking it for its state")


async def battery(client: BridgeClient, arguments: argparse.Namespace) -> None:
    """Ask the lock itself for its battery report, or the bridge how the batteries were on each day."""
    if arguments.days is not None and not arguments.history:
        raise RequestError("bad_arguments", "--days goes with --history")
    if not arguments.history:
        await _ask_lock(client, arguments, "battery/get", "asking it for its battery")
        return
    from nuki_bridge.command_line import told

    days = await client.ask(client.lock_name(arguments.lock), "battery/history", given(arguments, "days"))
    nothing = "nothing is known yet; the bridge keeps a line for each day from now on"
    show(arguments, days if arguments.json else told.battery_days(days), nothing=nothing)


async def _ask_lock(client: BridgeClient, arguments: argparse.Namespace, command: str, doing: str) -> None:
    """Ask the lock; unlike with `asking.ask`, an empty name is no name of a lock and not the only lock."""
    name = client.lock_name(arguments.lock)
    with progress(arguments, f"{name}: {doing}"):
        answer = await client.ask(name, command, {})
    show(arguments, answer, nothing="done")


def _value(payload: bytes) -> Any:
    """Return a payload as JSON if it is an object, a list or null, else as the word it is."""
    text = payload.decode(errors="replace")
    if text[:1] in ("{", "[") or text == "null":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text
