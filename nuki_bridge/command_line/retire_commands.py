"""The command `retire`: what the bridge keeps retained at the broker is cleared, before it is taken away for good.

It needs the state directory, which says what this bridge has published, and the broker as the daemon has it; the daemon
has to be stopped, because it would publish everything again.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import BrokerError, RequestError, StateInUse, StoreError

if TYPE_CHECKING:
    from nuki_bridge.bridge.retirement import Kept
    from nuki_bridge.config import Settings
    from nuki_bridge.home_assistant.announced import Announced
    from nuki_bridge.nuki_mqtt.served_record import ServedRecord
    from nuki_bridge.store import Store

_DESCRIPTION = """\
Clear everything that this bridge keeps retained at the broker: the states of bridge and locks, and what Home Assistant
was told, which takes the devices away there. The service has to be stopped; when it is started again, it publishes
everything anew. Paired locks and their keys are kept, and topics of other programs and other bridges are left alone.
Run it as root."""


def declare(commands: Commands) -> None:
    """Add the command with its arguments."""
    parser = commands.add("retire", "clear everything that this bridge keeps retained at the broker", retire)
    parser.description = _DESCRIPTION
    parser.add_argument("--yes", action="store_true", help="without asking")
    parser.add_argument("--dry-run", action="store_true", help="say what would be cleared, and change nothing")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def retire(arguments: argparse.Namespace) -> int:
    """Clear what is retained, and say what was cleared."""
    import asyncio
    import logging

    from nuki_bridge import config
    from nuki_bridge.bridge import retirement  # noqa: F401 - and all that it imports, before the owner's place is taken
    from nuki_bridge.home_assistant.announced import Announced
    from nuki_bridge.migration.state_owner import as_owner
    from nuki_bridge.nuki_mqtt.served_record import ServedRecord
    from nuki_bridge.store import Store

    if not arguments.yes and not arguments.dry_run and not sys.stdin.isatty():
        raise RequestError("bad_arguments", "nobody can be asked here; say --yes, or --dry-run to see what there is")
    settings = config.load(arguments.config, pins=False)
    logging.disable()  # what went wrong is said once
    store = Store(settings.state_dir)
    with as_owner(settings.state_dir, make=False):
        announced = _open(store, settings, Announced(store))
        names = {each.name for each in store.locks()} | {each.name for each in settings.locks}
        served = Served(ServedRecord(store), settings)
        app_id = store.app_id()
    try:
        return asyncio.run(_carry_out(arguments, settings, announced, served, names, app_id))
    finally:
        store.close()
        logging.disable(logging.NOTSET)


def _open(store: Store, settings: Settings, announced: Announced) -> Announced:
    """Open the database, which keeps a daemon from starting meanwhile, and read what Home Assistant was told."""
    if not store.path.exists():
        raise StoreError(
            f"there is no {store.path}, and nothing else says which topics at the broker are this bridge's;"
            " state_dir in the configuration has to be the directory that the service uses"
        )
    try:
        store.open()
    except StateInUse:
        raise StateInUse(
            f"{settings.state_dir} is in use, so nuki-bridge is running and would publish everything again; stop it"
            " first (sudo systemctl stop nuki-bridge); nothing was cleared"
        ) from None
    announced.load()
    return announced


class Served:
    """What is retained for locks that were served by Nuki's own MQTT API."""

    def __init__(self, record: ServedRecord, settings: Settings) -> None:
        from nuki_bridge.nuki_mqtt import served_discovery
        from nuki_bridge.nuki_mqtt.codes import STATE_TOPICS, topic

        self._record = record
        self._nuki_ids = record.nuki_ids()
        self.topics = tuple(topic(nuki_id, each) for nuki_id in sorted(self._nuki_ids) for each in STATE_TOPICS)
        is_announced = any(each.official_discovery for each in settings.locks)
        self.discovery = {
            each for nuki_id in self._nuki_ids for each in served_discovery.topics(nuki_id) if is_announced
        }

    def forget(self) -> None:
        """Take note that nothing of it is retained any more."""
        for nuki_id in self._nuki_ids:
            self._record.remove(nuki_id)


async def _carry_out(
    arguments: argparse.Namespace,
    settings: Settings,
    announced: Announced,
    served: Served,
    names: set[str],
    app_id: int,
) -> int:
    """Return the exit status."""
    from nuki_bridge.bridge.info import installation_id
    from nuki_bridge.bridge.retirement import Retirement
    from nuki_bridge.command_line import console

    told = {topic for device in announced.devices() for topic in announced.of(device)} | served.discovery
    retirement = Retirement(settings.mqtt, installation_id(app_id), names, served.topics)
    where = f"{settings.mqtt.host}:{settings.mqtt.port}"
    try:
        with console.progress(f"connecting to {where}", quiet=arguments.json):
            await retirement.open()
            kept = await retirement.find(told)
        something = bool(kept.topics or kept.served or kept.discovery)
        if something and not arguments.yes and not arguments.dry_run and not _agreed(settings, kept):
            print("nuki-bridge: nothing was cleared", file=sys.stderr)
            return 1
        cleared = something and not arguments.dry_run
        if cleared:
            with console.progress("clearing", quiet=arguments.json):
                _complain_of(await retirement.clear(kept))
    finally:
        await retirement.close()
    if cleared:
        _forget(settings, announced, served, set(kept.discovery))
    _show(arguments, settings, kept, cleared=cleared)
    return 0


def _agreed(settings: Settings, kept: Kept) -> bool:
    """Say what there is and ask whether to clear it."""
    print(_sentence(settings, kept, "found:"), flush=True)
    print("Clear it? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _complain_of(left: list[str]) -> None:
    """Raise `BrokerError` if there is something left."""
    if left:
        some = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        raise BrokerError(
            f"{len(left)} topics could not be cleared, perhaps because the broker's access list does not let this"
            f" account: {some}"
        )


def _forget(settings: Settings, announced: Announced, served: Served, topics: set[str]) -> None:
    """Take note that nobody is told anything any more."""
    from nuki_bridge.migration.state_owner import as_owner

    with as_owner(settings.state_dir, make=False):
        for device in announced.devices():
            announced.remove(device, topics)
        served.forget()


def _show(arguments: argparse.Namespace, settings: Settings, kept: Kept, *, cleared: bool) -> None:
    from nuki_bridge.command_line import console

    if arguments.json:
        answer: dict[str, Any] = {
            "status": "ok",
            "cleared": cleared,
            "topics": [*kept.topics, *kept.served],
            "discovery": list(kept.discovery),
            "other_bridge": kept.other,
        }
        console.show(answer, as_json=True)
        return
    if not (kept.topics or kept.served or kept.discovery):
        lines = [f"this bridge keeps nothing at {settings.mqtt.host}:{settings.mqtt.port}"]
    elif cleared:
        lines = [_sentence(settings, kept, "cleared:")]
        lines += [
            f"Paired locks and their keys are still in {settings.state_dir}: a start of the service publishes anew."
        ]
    else:
        lines = [_sentence(settings, kept, "would be cleared:")]
        lines += [f"  {each}" for each in (*kept.topics, *kept.served, *kept.discovery)]
    if kept.other is not None:
        info = f"{settings.mqtt.base_topic}/bridge/info"
        lines += [f"{info} is another bridge's ({kept.other}); what that one has is left alone"]
    print("\n".join(console.printable(line) for line in lines), flush=True)


def _sentence(settings: Settings, kept: Kept, verb: str) -> str:
    """Return what there is, in one line that begins with `verb`."""
    whose = "the bridge" if kept.other is None else "this bridge's locks"
    whose += f" and {', '.join(kept.locks)}" if kept.locks and kept.other is None else ""
    whose += f" ({', '.join(kept.locks)})" if kept.locks and kept.other is not None else ""
    parts = [f"{len(kept.topics)} topics of {whose} below {settings.mqtt.base_topic}/"] if kept.topics else []
    parts += [f"{len(kept.served)} topics of Nuki's own MQTT API"] if kept.served else []
    messages = "message" if len(kept.discovery) == 1 else "messages"
    parts += [f"{len(kept.discovery)} {messages} for Home Assistant"] if kept.discovery else []
    return f"{verb} {' and '.join(parts)} at {settings.mqtt.host}:{settings.mqtt.port}"
