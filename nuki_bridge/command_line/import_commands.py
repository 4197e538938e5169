"""The command `import`: another program's pairing, taken over without a button being pressed.

It needs the state directory and not the running daemon: keys cross no broker and stand in no command line.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import RequestError, StateInUse

if TYPE_CHECKING:
    from nuki_bridge.config import Settings
    from nuki_bridge.migration.export import Export
    from nuki_bridge.migration.takeover import Taking
    from nuki_bridge.store import Store

MAX_SIZE = 8 << 20
"""Largest export in bytes; Home Assistant's list of entries is the largest."""
_COLUMNS = ("name", "address", "type", "authorization_id", "as", "pin", "change")
"""What the table shows of each pairing that is taken over."""
_DESCRIPTION = """\
Take over a pairing made by nuki_hub (its JSON export with pairing data), hass_nuki_bt (Home Assistant's
.storage/core.config_entries), pyNukiBT (its values as JSON or YAML) or RaspiNukiBridge (nuki.yaml): without pairing
again, and without touching the lock. The service has to be stopped meanwhile, and the other program for good:
two programs that use one authorization disturb each other. Run it as root."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("import", "take over a pairing made by another program", take_over)
    parser.description = _DESCRIPTION
    parser.add_argument("file", metavar="FILE", help="the other program's export, - for standard input")
    parser.add_argument(
        "--name", help="what to call the lock in topics: a-z, 0-9, _ and - (default: made from what the export says)"
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        help="only the device with this Bluetooth address, such as 54:D2:72:AA:BB:CC, out of several",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="also for a lock that is paired already; its pairing is kept until the lock has accepted the other one",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def take_over(arguments: argparse.Namespace) -> int:
    """Take over what is in an export, and say what was taken and what was not."""
    from nuki_bridge import config
    from nuki_bridge.migration import takeover
    from nuki_bridge.migration.reading import read_export
    from nuki_bridge.migration.state_owner import as_owner
    from nuki_bridge.store import Store

    settings = config.load(arguments.config, other_files=False)
    data, warnings = _read(arguments.file)
    export = read_export(data)
    if arguments.address is not None:
        export = export.only(arguments.address.upper())
    store = Store(settings.state_dir)
    with as_owner(settings.state_dir, make=not arguments.dry_run):
        if not arguments.dry_run:
            _open(store, settings)
        stored = store.peek() if arguments.dry_run else store.locks()
    try:
        takings = takeover.plan(
            export, stored, settings.locks, wanted=arguments.name, replace=arguments.replace, now=datetime.now(UTC)
        )
        if not arguments.dry_run:
            with as_owner(settings.state_dir, make=False):
                takeover.carry_out(takings, store)
    finally:
        store.close()
    known = {each.name for each in stored} | {each.name for each in takings}
    unclear = takeover.without_address(settings.locks, known)
    if unclear:
        warnings.append(
            f"the configuration has {', '.join(unclear)} without an address: if that is a lock of this export, give"
            " --name or write its address there"
        )
    _show(_report(export, takings, warnings, dry_run=arguments.dry_run), as_json=arguments.json)
    return 0


def _read(name: str) -> tuple[bytes, list[str]]:
    """Return an export's bytes, and what there is to say about the file."""
    warnings = []
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_SIZE + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_SIZE + 1)
                if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                    warnings.append(f"every user can read {name}, which holds a key of the door; delete it afterwards")
    except OSError as error:
        raise RequestError("bad_export", f"{name} cannot be read: {error.strerror}") from None
    if len(data) > MAX_SIZE:
        raise RequestError("bad_export", f"{name} is larger than 8 MiB; that is no export")
    return data, warnings


def _open(store: Store, settings: Settings) -> None:
    try:
        store.open()
    except StateInUse:
        raise StateInUse(
            f"{settings.state_dir} is in use, so nuki-bridge is running; stop it (sudo systemctl stop nuki-bridge),"
            " import, then start it again; nothing was changed"
        ) from None


def _report(export: Export, takings: Sequence[Taking], warnings: Sequence[str], *, dry_run: bool) -> dict[str, Any]:
    """Return all that there is to say, without a key or a PIN."""
    from nuki_bridge.migration.takeover import Change
    from nuki_bridge.protocol.codes import name_of

    said = [
        f"{export.program} must not run any more: two programs that use one authorization disturb each other",
        *warnings,
    ]
    for each in takings:
        if each.found.pin_note is not None:
            said.append(
                f"the PIN of {each.name} in the export is not taken: {each.found.pin_note}; give pin_file in the"
                f" configuration, or nuki-bridge pin {each.name} verify"
            )
        if each.found.family is None:
            said.append(f"the export does not say which kind of device {each.name} is; it shows that at first contact")
    changed = any(each.change is not Change.UNCHANGED for each in takings)
    return {
        "status": "ok",
        "program": export.program,
        "dry_run": dry_run,
        "locks": [
            {
                "name": each.name,
                "address": each.paired.address,
                "type": None if each.found.family is None else each.found.family.value,
                "authorization_id": each.paired.authorization_id,
                "as": name_of(each.paired.id_type),
                "pin": each.takes_pin,
                "change": each.change.value,
            }
            for each in takings
        ],
        "not_taken": [{"fields": list(each.fields), "why": each.why} for each in export.not_taken],
        "warnings": said,
        "next": ["sudo systemctl start nuki-bridge", "sudo nuki-bridge locks"] if changed and not dry_run else [],
    }


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    from nuki_bridge.command_line import console

    if as_json:
        console.show(report, as_json=True)
        return
    verb = "would be taken" if report["dry_run"] else "taken"
    lines = [f"{verb} from {report['program']}:", console.table(report["locks"], _COLUMNS)]
    if report["not_taken"]:
        lines += ["", "not taken:"]
        lines += [f"  {each['why']} ({_some(each['fields'])})" for each in report["not_taken"]]
    lines += ["", *(f"warning: {each}" for each in report["warnings"])]
    if report["next"]:
        lines += ["", "next, to see the lock answer:", *(f"  {each}" for each in report["next"])]
    print("\n".join(console.printable(line) for line in lines for line in line.splitlines() or [""]), flush=True)


def _some(names: Sequence[str]) -> str:
    """Return the first names of many."""
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:6])} and {len(names) - 6} more"
