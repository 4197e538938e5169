"""Home Assistant's MQTT discovery: what is published of a lock and of the bridge, and on which topics; pure functions.

There is one device for each lock and one for the bridge.  `style: device` puts a device into one message with all its
entities (Home Assistant 2024.11 or newer), `legacy` each entity into a message of its own, as those of users and keypad
codes are in any style.  Unique IDs are made of the
Nuki ID, so that a lock keeps its entities under another name, in another form and with another bridge.  Messages hold
topics and names, no secrets.  `entities.py` holds what is in a message, `announcer` when it goes
out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal

from nuki_bridge import __version__
from nuki_bridge.config import DiscoverySettings
from nuki_bridge.home_assistant.components import REACHABLE, Entity
from nuki_bridge.home_assistant.entities import BRIDGE_ENTITIES, ENTITIES_OF
from nuki_bridge.home_assistant.entry_entities import Entry, List, entries
from nuki_bridge.home_assistant.entry_entities import entity as entry_entity
from nuki_bridge.home_assistant.lock_entity import LOCK_KEY, commands, lock_entity
from nuki_bridge.lock.profile import SMART_LOCK, Profile
from nuki_bridge.lock_name import slug
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.owner.owned_lock import OwnedLock
from nuki_bridge.protocol.codes import Family
from nuki_bridge.records import frozen

Style = Literal["device", "legacy"]
Messages = dict[str, bytes]
"""Retained messages by topic."""

MIGRATE: Final = dump({"migrate_discovery": True})
"""Payload that has Home Assistant unload the entities of a topic and keep their settings: the other form follows."""
LABEL_SIZE: Final = 64
"""Most characters of a device's name."""

_MODELS: Final = {
    2: "Opener",
    3: "Smart Door",
    4: "Smart Lock 3.0 or 4th generation",
    5: "Smart Lock Ultra",
}


# -- what is known of a lock ------------------------------------------------------------------------------------------


@frozen
class LockFacts:
    """What a lock's messages are made of: `name` is that in topics, `label` one for people.

    `traits` are those of its kind (`traits_of`) and of its equipment (`bridge/equipment.py`), and `pin` if the security
    PIN is known.
    """

    name: str
    label: str
    nuki_id: int
    model: str
    firmware: str
    hardware: str
    traits: frozenset[str]
    lists: tuple[tuple[List, tuple[Entry, ...] | None], ...] = ()
    """Who is in the lock's lists; None is not known yet."""
    profile: Profile = SMART_LOCK
    """That of its kind."""


def facts_of(owned: OwnedLock, equipment: Collection[str], allowed: Collection[int] | None) -> LockFacts | None:
    """Return the facts of a lock, None until its states and configuration are known.

    Before that nothing is known of what it can do, and a message with less would take entities away.  `equipment` are
    the traits of what it has, `allowed` the actions that MQTT may ask for, None for all.
    """
    lock = owned.lock
    if lock.states is None or lock.config is None or not lock.config_is_complete:
        return None
    config = lock.config
    possible = lock.profile.possible(config.wiring)
    traits = set(equipment) | traits_of(lock.profile, possible if allowed is None else possible.intersection(allowed))
    if owned.admin.has_pin:
        traits.add("pin")
    if not owned.log_book.bell.wanted():
        traits.discard("doorbell")
    return LockFacts(
        owned.name,
        label(owned.name, config.name, config.nuki_id),
        lock.paired.nuki_id,
        _model(lock.paired.family, lock.profile, config.device_type),
        ".".join(str(each) for each in config.firmware_version),
        ".".join(str(each) for each in config.hardware_revision),
        frozenset(traits),
        (("users", _listed(owned, owned.users.listed)), ("keypad", _listed(owned, owned.keypad.to_json))),
        lock.profile,
    )


def _model(family: Family, profile: Profile, device_type: int | None) -> str:
    """Return what is printed on the box, as far as that is known; old firmware tells no type."""
    kind = profile.kind.partition(" ")[2]
    old = f"{kind} 1.0 or 2.0" if family is Family.CLASSIC else kind
    return _MODELS.get(device_type, kind) if device_type else old


def _listed(owned: OwnedLock, told: Callable[[], list[dict[str, Any]] | None]) -> tuple[Entry, ...] | None:
    """Return who is in a list; nobody without the PIN, which it takes to read it and to change an entry."""
    return entries(told()) if owned.admin.has_pin else ()


def traits_of(profile: Profile, allowed: Collection[int] | None) -> set[str]:
    """Return the traits of this kind of device and its actions.

    `allowed` are the actions that MQTT may ask for, None for all.  Without any that a lock has in Home Assistant there
    is `no_lock`.
    """
    traits = {name for name, each in profile.names.by_name.items() if allowed is None or each in allowed}
    if traits.isdisjoint(commands(profile).values()):
        traits.add("no_lock")
    if profile.rings:
        traits.add("doorbell")
    if profile.has_bolt:
        traits.add("bolt")
    return traits


def label(name: str, name_in_lock: str, nuki_id: int) -> str:
    """Return a name for people: that of the maker's app if the name in topics was made of it, else that with spaces."""
    told = " ".join("".join(each if each.isprintable() else " " for each in name_in_lock).split())
    if told and slug(told, nuki_id) == name:
        return told[:LABEL_SIZE]
    words = re.sub(r"[_-]+", " ", name).strip()
    return words[:1].upper() + words[1:] or name


# -- messages ---------------------------------------------------------------------------------------------------------


def lock_id(nuki_id: int) -> str:
    """Return what Home Assistant knows the lock by; it is also a part of its topics."""
    return f"nuki_bridge_{nuki_id:08x}"


def bridge_id(installation: str) -> str:
    """Return the same for the bridge; `installation` has 16 hex digits."""
    return f"nuki_bridge_{installation}"


def _device(facts: LockFacts, installation: str) -> dict[str, Any]:
    return {
        "identifiers": [lock_id(facts.nuki_id)],
        "name": facts.label,
        "manufacturer": "Nuki",
        "model": facts.model,
        "serial_number": f"{facts.nuki_id:08X}",
        "sw_version": facts.firmware,
        "hw_version": facts.hardware,
        "via_device": bridge_id(installation),
    }


def lock_messages(
    facts: LockFacts, settings: DiscoverySettings, base: str, installation: str, *, split: bool = False
) -> Messages:
    """Return a lock's messages; `split`: one for each entity in any style, for a broker that takes only small ones."""
    device = _device(facts, installation)
    entity = lock_entity(facts.profile, facts.traits, old=settings.style == "legacy")
    the_lock = Entity(LOCK_KEY, "lock", entity)
    entities = ENTITIES_OF[facts.profile.kind]
    there = [each for each in entities if facts.traits.issuperset(each.needs)]
    there = there if "no_lock" in facts.traits else [the_lock, *there]
    if split or settings.style == "legacy":
        return _of_entities(device, there, settings, base, facts.name)
    absent = [each for each in (the_lock, *entities) if each not in there]
    return _of_device(device, there, absent, settings, base, facts.name)


def list_id(device: str, of: List) -> str:
    """Return what stands for the entries of one of a lock's lists among those who have messages."""
    return f"{device}/{of}"


def list_messages(
    facts: LockFacts, of: List, listed: Iterable[Entry], settings: DiscoverySettings, base: str, installation: str
) -> Messages:
    """Return the messages of a list's entries, one for each in any style: they come and go.

    Their topics have a node of their own: below the device's, Home Assistant takes them for parts of its message, and
    would unload them with it.
    """
    there = [entry_entity(of, each) for each in listed]
    node = f"{lock_id(facts.nuki_id)}_{of}"
    return _of_entities(_device(facts, installation), there, settings, base, facts.name, node=node)


def bridge_messages(settings: DiscoverySettings, base: str, installation: str) -> Messages:
    """Return the messages of the bridge itself."""
    device = {
        "identifiers": [bridge_id(installation)],
        "name": "Nuki bridge",
        "manufacturer": "nuki-bridge",
        "model": "nuki-bridge",
        "sw_version": __version__,
    }
    if settings.style == "legacy":
        return _of_entities(device, BRIDGE_ENTITIES, settings, base, "bridge")
    return _of_device(device, BRIDGE_ENTITIES, (), settings, base, "bridge")


def _of_entities(
    device: Mapping[str, Any],
    there: Iterable[Entity],
    settings: DiscoverySettings,
    base: str,
    name: str,
    *,
    node: str | None = None,
) -> Messages:
    """Return a message for each entity of a device; `node` stands for the device in their topics, by default its ID."""
    object_id = device["identifiers"][0]
    return {
        f"{settings.prefix}/{each.platform}/{node or object_id}/{each.key}/config": dump(
            {
                **_component(each, object_id, base, name),
                **_availability(each.available, base, name),
                **_about(device),
            }
        )
        for each in there
    }


def _of_device(
    device: Mapping[str, Any],
    there: Iterable[Entity],
    absent: Iterable[Entity],
    settings: DiscoverySettings,
    base: str,
    name: str,
) -> Messages:
    """Return the message for a whole device.

    It names `absent` entities, too: Home Assistant removes only those named without more.
    """
    object_id = device["identifiers"][0]
    components: dict[str, Any] = {}
    for each in there:
        own = {} if each.available == REACHABLE else _availability(each.available, base, name)
        components[each.key] = {"platform": each.platform, **_component(each, object_id, base, name), **own}
    components |= {each.key: {"platform": each.platform} for each in absent}
    shared = _availability(REACHABLE, base, name) if name != "bridge" else {}
    message = {**_about(device), **shared, "components": components}
    return {f"{settings.prefix}/device/{object_id}/config": dump(message)}


def _about(device: Mapping[str, Any]) -> dict[str, Any]:
    return {"device": device, "origin": {"name": "nuki-bridge", "sw_version": __version__}}


def _component(entity: Entity, object_id: str, base: str, name: str) -> dict[str, Any]:
    config = {
        key: _topic(value, base, name) if key.endswith("topic") else value for key, value in entity.config.items()
    }
    return {**config, "unique_id": f"{object_id}_{entity.key}", "qos": 1}


def _availability(topics: tuple[str, ...], base: str, name: str) -> dict[str, Any]:
    """Return the topics with `online` and `offline`, which are Home Assistant's own defaults."""
    if not topics:
        return {}
    return {"availability": [{"topic": _topic(each, base, name)} for each in topics], "availability_mode": "all"}


def _topic(pattern: str, base: str, name: str) -> str:
    return f"{base}/{pattern.replace('<lock>', name)}"


# -- topics -----------------------------------------------------------------------------------------------------------


def status_topic(settings: DiscoverySettings) -> str:
    """Return the topic where Home Assistant says that it is there."""
    return f"{settings.prefix}/status"


def style_of(topic: str) -> Style:
    """Return the form of a message by its topic."""
    return "device" if topic.split("/")[-3:-2] == ["device"] else "legacy"
