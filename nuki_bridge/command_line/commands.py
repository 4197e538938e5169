"""The commands that talk to a running daemon: one coroutine each, from arguments to questions to what is printed.

Their arguments are declared in `cli`; the talking is done by `client`, the look of tables by `console`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from nuki_bridge.command_line import console
from nuki_bridge.command_line.client import ANSWER_TIMEOUT_S, Client
from nuki_bridge.errors import RequestError

SLACK_S = 45.0
"""What pairing may take after a lock was found, and scanning after its time is over."""
PRESS_BUTTON = "press the lock's button for 5 s until its ring lights up, or switch on pairing mode in the Nuki app"
NO_LOCK = "no lock is paired; see `nuki-bridge pair --help`"


async def scan(client: Client, arguments: argparse.Namespace) -> None:
    """List the locks in range."""
    seconds = arguments.timeout
    with progress(arguments, f"listening for locks for {seconds:g} s"):
        found = await client.ask("bridge", "scan", {"timeout": seconds}, seconds + SLACK_S)
    show(arguments, found, nothing="no lock was heard")


async def pair(client: Client, arguments: argparse.Namespace) -> None:
    """Pair the lock that is in pairing mode; asks for a PIN on the terminal if the lock wants one."""
    request: dict[str, Any] = {"as": arguments.id_type, "timeout": arguments.timeout}
    for key in ("address", "name"):
        if getattr(arguments, key) is not None:
            request[key] = getattr(arguments, key)
    if arguments.pin_file is not None:
        request["pin"] = read_pin(arguments.pin_file)
    try:
        paired = await _pair(client, arguments, request)
    except RequestError as error:
        if error.code != "pin_required" or "pin" in request or not sys.stdin.isatty():
            raise
        request["pin"] = ask_pin()
        paired = await _pair(client, arguments, request)
    show(arguments, paired)


async def _pair(client: Client, arguments: argparse.Namespace, request: dict[str, Any]) -> Any:
    with progress(arguments, f"waiting up to {arguments.timeout:g} s for a lock in pairing mode: {PRESS_BUTTON}"):
        return await client.ask("bridge", "pair", request, arguments.timeout + SLACK_S)


async def unpair(client: Client, arguments: argparse.Namespace) -> None:
    """Make the daemon forget a lock; the lock's own entry for it stays."""
    name = client.lock_name(arguments.lock)
    with progress(arguments, f"unpairing {name}"):
        answer = await client.ask("bridge", "unpair", {"name": name})
    show(
        arguments,
        answer,
        nothing=f"{name} is forgotten here; its entry on the lock stays until it is deleted in the app",
    )


async def locks(client: Client, arguments: argparse.Namespace) -> None:
    """List the paired locks."""
    show(arguments, await client.ask("bridge", "locks", {}), nothing="no lock is paired; see `nuki-bridge pair --help`")


async def status(client: Client, arguments: argparse.Namespace) -> None:
    """Everything known about one lock, or a line for each."""
    names = client.lock_names()
    one = arguments.lock is not None or len(names) == 1
    if one:
        names = [client.lock_name(arguments.lock)]
    retained = await client.read(*(f"{name}/{topic}" for name in names for topic in ("status", "availability")))
    found = [_status_of(name, retained) for name in names]
    if arguments.json or one:
        show(arguments, found[0] if one else found)
    else:
        show(arguments, [_overview(each) for each in found], nothing=NO_LOCK)


def _overview(known: dict[str, Any]) -> dict[str, Any]:
    """A line of the table of all locks."""
    columns = ("name", "availability", "state", "door", "battery", "rssi", "updated")
    line = {column: known.get(column) for column in columns}
    battery = known.get("battery")
    if isinstance(battery, dict):
        level = battery.get("level")
        line["battery"] = "critical" if battery.get("critical") else "ok" if level is None else f"{level} %"
    return line


def _status_of(name: str, retained: dict[str, bytes]) -> dict[str, Any]:
    known = _value(retained.get(f"{name}/status", b"{}"))
    availability = _value(retained.get(f"{name}/availability", b"null"))
    return {"name": name, "availability": availability, **(known if isinstance(known, dict) else {})}


async def watch(client: Client, arguments: argparse.Namespace) -> None:
    """Print each change of state, door and availability, and each event, until interrupted."""
    name = "+" if arguments.lock is None else client.lock_name(arguments.lock)
    kinds = ("state", "door", "availability", "event")
    async for topic, payload in client.watch(*(f"{name}/{kind}" for kind in kinds)):
        lock, _, kind = topic.partition("/")
        if kind not in kinds:
            continue
        value = _value(payload)
        time = datetime.now().astimezone()
        if arguments.json:
            line = {"time": time.isoformat(timespec="seconds"), "lock": lock, "topic": kind, "value": value}
            console.show(line, as_json=True)
        else:
            print(f"{time:%H:%M:%S}  {lock}  {kind}  {console.printable(value)}", flush=True)


async def action(client: Client, arguments: argparse.Namespace) -> None:
    """Carry out the lock action that the command is named after."""
    name = client.lock_name(arguments.lock)
    wanted = arguments.command.replace("-", "_") + ("_unlatch" if getattr(arguments, "unlatch", False) else "")
    more = {"only_if": arguments.only_if, "as": arguments.suffix}
    given = {key: value for key, value in more.items() if value is not None}
    with progress(arguments, f"{name}: waiting for {wanted}") as tell:
        result = await client.perform(name, wanted, lambda state: tell(f"{name}: {state}"), given)
    show(arguments, result if arguments.json else f"{name}: {wanted}: {result.get('completion', 'success')}")


async def refresh(client: Client, arguments: argparse.Namespace) -> None:
    """Ask the lock itself for its state."""
    await _ask_lock(client, arguments, "refresh", "asking it for its state")


async def battery(client: Client, arguments: argparse.Namespace) -> None:
    """Ask the lock itself for its battery report."""
    await _ask_lock(client, arguments, "battery/get", "asking it for its battery")


async def health(client: Client, arguments: argparse.Namespace) -> None:
    """How the daemon, its radio and its locks are."""
    show(arguments, await client.ask("bridge", "health", {}))


COMMANDS: dict[str, Callable[[Client, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "scan": scan,
    "pair": pair,
    "unpair": unpair,
    "locks": locks,
    "status": status,
    "watch": watch,
    "lock": action,
    "unlock": action,
    "unlatch": action,
    "lock-n-go": action,
    "refresh": refresh,
    "battery": battery,
    "health": health,
}


# -- the PIN, which never stands in a command line --------------------------------------------------------------------


def read_pin(file: str) -> str:
    """The PIN in the first line of `file` (`-`: of stdin); raises `RequestError` without quoting it."""
    try:
        if file == "-":
            line = sys.stdin.readline(100)
        else:
            with Path(file).open(encoding="utf-8", errors="replace") as opened:
                line = opened.readline(100)
    except OSError as error:
        raise RequestError("bad_pin_file", f"{file} cannot be read: {error.strerror}") from None
    return _checked_pin(line)


def ask_pin(prompt: str = "The lock's security PIN (it is not shown): ") -> str:
    """Ask for the PIN on the terminal; raises `RequestError`."""
    import getpass

    try:
        return _checked_pin(getpass.getpass(prompt))
    except EOFError:
        raise RequestError("pin_required", "this lock is paired with its security PIN") from None


def _checked_pin(text: str) -> str:
    pin = text.strip()
    if not (pin.isascii() and pin.isdigit() and len(pin) in (4, 6)):
        raise RequestError("bad_pin_file", "the security PIN must be 4 or 6 digits and nothing else")
    return pin


# -- small parts ------------------------------------------------------------------------------------------------------


async def _ask_lock(client: Client, arguments: argparse.Namespace, command: str, doing: str) -> None:
    name = client.lock_name(arguments.lock)
    with progress(arguments, f"{name}: {doing}"):
        answer = await client.ask(name, command, {}, ANSWER_TIMEOUT_S)
    show(arguments, answer, nothing="done")


def progress(arguments: argparse.Namespace, text: str) -> AbstractContextManager[Callable[[str], None]]:
    """A progress line, unless JSON is wanted."""
    return console.progress(text, quiet=arguments.json)


def show(arguments: argparse.Namespace, data: Any, *, nothing: str = "nothing", columns: Sequence[str] = ()) -> None:
    """Print an answer; for people `nothing` in place of an empty one, and of a table only `columns`."""
    console.show(data if data or arguments.json else nothing, as_json=arguments.json, columns=columns)


def _value(payload: bytes) -> Any:
    """A payload as JSON if it is an object, a list or null, else as the word it is."""
    text = payload.decode(errors="replace")
    if text[:1] in ("{", "[") or text == "null":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return text
