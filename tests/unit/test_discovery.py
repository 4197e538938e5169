"""What Home Assistant is told: the messages themselves.  That it makes of them what is meant, tests/system shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.config import DiscoverySettings
from nuki_bridge.home_assistant import discovery
from nuki_bridge.home_assistant.components import setting_trait
from nuki_bridge.home_assistant.discovery import LockFacts
from nuki_bridge.home_assistant.entities import (
    BRIDGE_ENTITIES,
    DENIED_EVENTS,
    KEYPAD_EVENTS,
    LOCK_ENTITIES,
    OPENER_ENTITIES,
)
from nuki_bridge.home_assistant.lock_entity import commands, lock_entity
from nuki_bridge.home_assistant.network_entities import NETWORK_ENTITIES
from nuki_bridge.home_assistant.opener_entities import OPENER_SETTING_ENTITIES, OPENER_SWITCHES
from nuki_bridge.home_assistant.setting_entities import SETTING_ENTITIES
from nuki_bridge.lock.profile import OPENER, SMART_LOCK, Profile
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.owner import lock_config
from nuki_bridge.protocol.codes import Action, LockState, OpenerAction, OpenerState, name_of
from nuki_bridge.topics import topics, tree

ALL_ACTIONS = {*SMART_LOCK.names.by_name}
EQUIPMENT = {
    "door",
    "battery_level",
    "charging",
    "voltage",
    "network",
    "keypad_battery",
    "door_sensor_battery",
    "keypad",
    "fob",
    "doorbell",
    "bolt",
    "pin",
}
CHECKS = {SMART_LOCK.kind: lock_config.checks(), OPENER.kind: lock_config.opener_checks()}
"""The checks of the settings of each kind of device."""
SETTINGS = {SMART_LOCK.kind: SETTING_ENTITIES, OPENER.kind: OPENER_SETTING_ENTITIES}
EQUIPMENT |= {setting_trait(name) for checks in CHECKS.values() for name in checks}
FULL = LockFacts(
    "front_door",
    "Front door",
    0x1A2B3C4D,
    "Smart Lock 3.0 or 4th generation",
    "3.5.11",
    "5.1",
    frozenset(ALL_ACTIONS | EQUIPMENT),
)
DEVICE = DiscoverySettings()
LEGACY = DiscoverySettings(style="legacy")
HERE = "0123456789abcdef"
TOPIC = "homeassistant/device/nuki_bridge_1a2b3c4d/config"

INTERCOM = replace(
    FULL,
    name="intercom",
    traits=frozenset(discovery.traits_of(OPENER, None) | EQUIPMENT),
    profile=OPENER,
)
ENTITIES = [*LOCK_ENTITIES, *BRIDGE_ENTITIES, *OPENER_ENTITIES]
LOCK = lock_entity(SMART_LOCK, ALL_ACTIONS, old=False)
BOTH = pytest.mark.parametrize("profile", [SMART_LOCK, OPENER], ids=lambda each: each.kind)


def without(*traits: str) -> LockFacts:
    return replace(FULL, traits=FULL.traits - set(traits))


def message(facts: LockFacts = FULL, base: str = "nuki") -> dict[str, Any]:
    """The one message of a lock."""
    [(topic, payload)] = discovery.lock_messages(facts, DEVICE, base, HERE).items()
    assert topic == TOPIC
    found: dict[str, Any] = json.loads(payload)
    return found


def there(facts: LockFacts) -> set[str]:
    """The entities that a lock has."""
    return {key for key, each in message(facts)["components"].items() if set(each) != {"platform"}}


# -- the table --------------------------------------------------------------------------------------------------------


def test_every_topic_is_one_of_the_program() -> None:
    """States are retained, so that Home Assistant knows them after a restart; events are not, for the same reason."""
    known = {each.pattern: each for each in tree.TABLE}
    configs = [LOCK, *(each.config for each in ENTITIES)]
    used = {(key, value, each is LOCK) for each in configs for key, value in each.items() if key.endswith("topic")}
    for key, pattern, _ in used:
        pattern = re.sub("/request/.*", "/request/<command>", pattern)
        assert known[pattern].direction == ("in" if key == "command_topic" else "out")
        assert known[pattern].retained == (key != "command_topic" and pattern != "<lock>/event")
    for entity in ENTITIES:
        for pattern in entity.available:
            assert known[pattern].retained


def test_keys_are_unique_and_fit_into_a_topic() -> None:
    for entities in (LOCK_ENTITIES, OPENER_ENTITIES, BRIDGE_ENTITIES):
        keys = ["lock", *(each.key for each in entities)]
        assert len(keys) == len(set(keys))
        assert all(re.fullmatch("[a-z0-9_]+", each) for each in keys)


def test_events_belong_to_event_entities() -> None:
    on_events = {each.platform for each in ENTITIES if each.config.get("state_topic") == "<lock>/event"}
    assert on_events == {"event"}


def test_every_state_of_the_lock_has_a_meaning() -> None:
    """Those that Home Assistant has no word for are unknown."""
    meant = set(re.findall(r"'(\w+)': '", LOCK["value_template"]))
    unknown = {"uncalibrated", "calibrating", "boot_run", "undefined"}
    assert meant | unknown == {name_of(each) for each in LockState}
    shown = set(re.findall(r": '(\w+)'", LOCK["value_template"]))
    assert {f"state_{each}" for each in shown} == {each for each in LOCK if re.match("state_(?!topic)", each)}
    assert all(LOCK[f"state_{each}"] == each for each in shown)


# -- a lock -----------------------------------------------------------------------------------------------------------


def test_a_lock_is_one_device_below_the_bridge() -> None:
    told = message()
    assert told["device"] == {
        "identifiers": ["nuki_bridge_1a2b3c4d"],
        "name": "Front door",
        "manufacturer": "Nuki",
        "model": "Smart Lock 3.0 or 4th generation",
        "serial_number": "1A2B3C4D",
        "sw_version": "3.5.11",
        "hw_version": "5.1",
        "via_device": "nuki_bridge_0123456789abcdef",
    }
    assert set(told["origin"]) == {"name", "sw_version"}
    assert told["availability"] == [{"topic": "nuki/bridge/state"}, {"topic": "nuki/front_door/availability"}]
    assert told["availability_mode"] == "all"


def test_the_lock_entity_takes_plain_words() -> None:
    entity = message()["components"]["lock"]
    assert entity["platform"] == "lock"
    assert entity["name"] is None
    assert entity["unique_id"] == "nuki_bridge_1a2b3c4d_lock"
    assert entity["state_topic"] == "nuki/front_door/state"
    assert entity["command_topic"] == "nuki/front_door/set"
    assert not entity["retain"]
    assert not entity["optimistic"]
    for payload, action in (("lock", Action.LOCK), ("unlock", Action.UNLOCK), ("open", Action.UNLATCH)):
        assert asked("nuki/front_door/set", entity[f"payload_{payload}"]).action is action


def test_commands_are_requests_that_the_bridge_takes() -> None:
    for entity in message()["components"].values():
        topic = entity.get("command_topic", "")
        payloads = [entity[key] for key in ("payload_press", "payload_on", "payload_off") if key in entity]
        assert payloads or entity["platform"] in ("lock", "number", "select", "text") or not topic
        for payload in payloads if topic else ():
            request = asked(topic, payload)
            assert request.action is not None or request.command in ("refresh", "config/set", "reboot", "calibrate")
            assert request.command != "config/set" or len(request.arguments) == 1


def asked(topic: str, payload: str) -> topics.Request:
    heard = Incoming(topic, payload.encode(), retain=False, received_at=0.0)
    request = topics.parse("nuki", heard, REQUESTS, lambda _: SMART_LOCK)
    assert request is not None
    return request


def test_unique_ids_are_made_of_the_nuki_id_alone() -> None:
    """Another name, another base topic, another bridge: the same entities."""
    ids = {key: each["unique_id"] for key, each in message()["components"].items() if "unique_id" in each}
    moved = replace(FULL, name="shed", label="Shed", firmware="4.0.0")
    again = message(moved, "home/nuki")["components"]
    assert {key: each["unique_id"] for key, each in again.items() if "unique_id" in each} == ids
    absent = {"state", "open"}  # the sensor in the place of the lock, and a button of the Opener
    assert set(ids) == {"lock", *(each.key for each in LOCK_ENTITIES)} - absent
    assert len(set(ids.values())) == len(ids)
    assert again["door"]["state_topic"] == "home/nuki/shed/door"


@pytest.mark.parametrize(
    ("trait", "keys"),
    [
        ("door", {"door", "door_sensor"}),
        ("battery_level", {"battery"}),
        ("keypad_battery", {"keypad_battery_critical"}),
        ("door_sensor_battery", {"door_sensor_battery_critical"}),
        ("keypad", {"keypad"}),
        ("charging", {"charging"}),
        ("voltage", {"battery_voltage"}),
        ("network", {each.key for each in NETWORK_ENTITIES}),
        ("doorbell", {"ring"}),
        ("fob", {"fob_action_1", "fob_action_2", "fob_action_3"}),
        ("lock_n_go", {"lock_n_go"}),
        ("lock_n_go_unlatch", {"lock_n_go_unlatch"}),
        ("unlatch", {"unlatch"}),
        (setting_trait("auto_lock_enabled"), {"auto_lock"}),
        (setting_trait("motor_speed"), {"motor_speed"}),
        ("pin", {"last_user", "keypad", "denied", "reboot", "calibrate", *(each.key for each in SETTING_ENTITIES)}),
    ],
)
def test_what_a_lock_lacks_is_taken_away(trait: str, keys: set[str]) -> None:
    """Home Assistant removes an entity that is named with its platform alone, and only then."""
    assert there(FULL) - there(without(trait)) == keys
    named = message(without(trait))["components"]
    assert set(named) == {"lock", *(each.key for each in LOCK_ENTITIES)}
    assert all(set(named[key]) == {"platform"} for key in keys)


def test_without_unlatch_there_is_no_open() -> None:
    assert "payload_open" not in message(without("unlatch"))["components"]["lock"]


def test_without_any_action_of_a_lock_its_state_is_a_sensor() -> None:
    facts = replace(FULL, traits=frozenset({"lock_n_go", "no_lock"}))
    assert "state" not in there(FULL)
    assert {"state", "lock_n_go"} <= there(facts)
    assert message(facts)["components"]["lock"] == {"platform": "lock"}


@BOTH
def test_what_a_button_asks_for_is_an_action_of_the_device(profile: Profile) -> None:
    """And it is there only where the device has the action and MQTT may ask for it."""
    assert set(commands(profile).values()) <= profile.names.by_name.keys()
    traits = discovery.traits_of(profile, None) | EQUIPMENT
    for entity in LOCK_ENTITIES if profile is SMART_LOCK else OPENER_ENTITIES:
        if entity.config.get("command_topic") == "<lock>/set" and traits.issuperset(entity.needs):
            for key in ("payload_press", "payload_on", "payload_off"):
                action = entity.config.get(key, entity.needs[0])
                assert action in profile.names.by_name
                assert action in entity.needs


def test_states_and_keypads_speak_of_what_a_lock_can_do() -> None:
    template = LOCK["value_template"]
    assert set(re.findall(r"'(\w+)':", template)) <= SMART_LOCK.states.keys()
    actions = SMART_LOCK.names.by_name.keys() | OPENER.names.by_name.keys()
    assert {*KEYPAD_EVENTS} - {*DENIED_EVENTS, "other"} <= actions


@pytest.mark.parametrize(
    ("allowed", "missing"),
    [(None, set()), ({Action.LOCK}, {"unlock", "unlatch", "lock_n_go"}), (set(), {"lock", "unlock", "unlatch"})],
)
def test_traits_are_the_actions_that_the_lock_has_and_mqtt_may_ask_for(
    allowed: set[Action] | None, missing: set[str]
) -> None:
    traits = discovery.traits_of(SMART_LOCK, allowed)
    assert not traits & missing
    assert ("no_lock" in traits) == (allowed == set())
    assert traits - {"no_lock", "bolt"} <= SMART_LOCK.names.by_name.keys()


# -- an Opener --------------------------------------------------------------------------------------------------------


def opener(*without: str) -> dict[str, Any]:
    """The entities of an Opener that lacks some traits."""
    [payload] = discovery.lock_messages(
        replace(INTERCOM, traits=INTERCOM.traits - set(without)), DEVICE, "nuki", HERE
    ).values()
    found: dict[str, Any] = json.loads(payload)["components"]
    return {key: each for key, each in found.items() if set(each) != {"platform"}}


def test_only_what_has_a_bolt_can_be_calibrated() -> None:
    assert "calibrate" in there(FULL)
    assert "calibrate" not in there(without("bolt"))
    assert "bolt" not in discovery.traits_of(OPENER, None)


def test_an_opener_is_a_lock_that_opens_and_that_a_ring_unlocks() -> None:
    """Unlocked is: whoever rings gets in.  The words of a Smart Lock would mean something else to it."""
    entity = opener()["lock"]
    asked = {key: entity[f"payload_{key}"] for key in ("lock", "unlock", "open")}
    assert asked == {"lock": "deactivate_rto", "unlock": "activate_rto", "open": "open"}
    assert re.findall(r"'(\w+)': '(\w+)'", entity["value_template"]) == [
        ("locked", "locked"),
        ("rto_active", "unlocked"),
        ("opening", "opening"),
        ("open", "open"),
    ]
    assert entity["state_topic"] == "nuki/intercom/status", "beside the state it tells the continuous mode"
    assert "value_json.nuki_state == 'continuous_mode'" in entity["value_template"]


def test_an_opener_has_its_modes_and_its_bell() -> None:
    there = opener()
    assert {"ring_to_open", "continuous_mode", "ring", "open", "refresh", "battery_critical", "last_action"} <= set(
        there
    )
    assert not {"unlatch", "lock_n_go", "lock_n_go_unlatch", "state", "auto_lock", "single_lock"} & set(there)
    assert (there["ring"]["platform"], there["ring"]["device_class"]) == ("event", "doorbell")
    assert there["ring"]["event_types"] == ["ring"]
    assert there["continuous_mode"]["state_topic"] == "nuki/intercom/continuous_mode"
    assert [each.key for each in OPENER_SWITCHES] == ["ring_to_open", "continuous_mode"]


@pytest.mark.parametrize(
    ("lacking", "gone"),
    [
        (("open",), {"open"}),
        (("activate_rto", "deactivate_rto"), {"ring_to_open"}),
        (("deactivate_continuous_mode",), {"continuous_mode"}),
        (("charging", "battery_level"), {"charging", "battery"}),
    ],
)
def test_what_wiring_or_configuration_forbid_is_not_offered(lacking: tuple[str, ...], gone: set[str]) -> None:
    assert set(opener()) - set(opener(*lacking)) == gone
    assert ("payload_open" in opener(*lacking)["lock"]) == ("open" not in gone)


def test_an_opener_that_may_do_nothing_of_a_lock_is_none() -> None:
    traits = discovery.traits_of(OPENER, {OpenerAction.ACTIVATE_CONTINUOUS_MODE})
    assert "no_lock" in traits
    [payload] = discovery.lock_messages(replace(INTERCOM, traits=frozenset(traits)), DEVICE, "nuki", HERE).values()
    assert json.loads(payload)["components"]["lock"] == {"platform": "lock"}


def test_every_state_of_an_opener_has_a_meaning() -> None:
    told = set(OPENER.plain.states) | {OpenerState.UNCALIBRATED, OpenerState.BOOT_RUN, OpenerState.UNDEFINED}
    assert told == set(OpenerState)


def test_settings_are_configuration_and_what_is_technical_is_diagnostic() -> None:
    components = message()["components"].values()
    for entity in (each for each in components if len(each) > 1):
        changes = entity.get("command_topic", "").endswith(("/config/set", "/reboot", "/calibrate"))
        assert (entity.get("entity_category") == "config") == changes
    assert message()["components"]["rssi"]["entity_category"] == "diagnostic"


# -- settings ---------------------------------------------------------------------------------------------------------


@BOTH
def test_each_setting_has_one_entity_that_reads_it_and_writes_it(profile: Profile) -> None:
    """All but the coordinates, which are in no retained topic."""
    for entity in SETTINGS[profile.kind]:
        [trait] = [each for each in entity.needs if each.startswith("setting_")]
        setting = trait.removeprefix("setting_")
        assert f"{{}})).{setting}" in entity.config["value_template"]
        written = entity.config.get("command_template") or entity.config["payload_on"] + entity.config["payload_off"]
        assert re.findall(r"""['"](\w+)['"]:""", written) in ([setting], [setting, setting])
    read = [each for entity in SETTINGS[profile.kind] for each in entity.needs if each.startswith("setting_")]
    settings = CHECKS[profile.kind].keys() - {"latitude", "longitude"}
    assert sorted(read) == sorted(map(setting_trait, settings))


@BOTH
def test_what_an_entity_offers_the_bridge_takes(profile: Profile) -> None:
    for entity in SETTINGS[profile.kind]:
        [setting] = [each.removeprefix("setting_") for each in entity.needs if each.startswith("setting_")]
        check = CHECKS[profile.kind][setting]
        if entity.platform == "switch":
            offered = [json.loads(entity.config[f"payload_{each}"])[setting] for each in ("on", "off")]
            assert sorted(offered) == [False, True]
        elif entity.platform == "select":
            offered = entity.config["options"]
            assert len(set(offered)) == len(offered) > 1
        elif entity.platform == "number":
            offered = [entity.config["min"], entity.config["max"]]
        else:
            offered = ["22:00" if "pattern" in entity.config else "x" * entity.config["max"]]
        for value in offered:
            check(value)


def test_the_way_to_brick_a_lock_has_to_be_looked_for() -> None:
    """An installer's settings, and the calibration, which moves the bolt, are disabled until somebody enables them."""
    disabled = {each.key for each in ENTITIES if each.config.get("enabled_by_default") is False}
    assert {"calibrate", "locked_position", "detached_cylinder", "utc_offset", "name", "battery_type"} <= disabled
    assert not disabled & {"pairing", "auto_lock", "night_mode_start", "led", "unlatch_duration", "reboot", "unlatch"}


# -- the bridge -------------------------------------------------------------------------------------------------------


def test_the_bridge_is_a_device_whose_connection_is_always_told() -> None:
    [(topic, payload)] = discovery.bridge_messages(DEVICE, "nuki", HERE).items()
    told = json.loads(payload)
    assert topic == "homeassistant/device/nuki_bridge_0123456789abcdef/config"
    assert told["device"]["identifiers"] == [message()["device"]["via_device"]]
    assert set(told["components"]) == {"connectivity", "adapter", "version"}
    assert "availability" not in told
    assert "availability" not in told["components"]["connectivity"]
    assert told["components"]["version"]["availability"] == [{"topic": "nuki/bridge/state"}]


# -- the old form -----------------------------------------------------------------------------------------------------


def test_in_the_old_form_each_entity_is_a_whole_message() -> None:
    told = discovery.lock_messages(FULL, LEGACY, "nuki", HERE)
    new = message()
    for key in there(FULL):
        entity = json.loads(
            told.pop(f"homeassistant/{new['components'][key]['platform']}/nuki_bridge_1a2b3c4d/{key}/config")
        )
        assert entity["device"] == new["device"]
        assert entity["unique_id"] == new["components"][key]["unique_id"]
        assert entity["availability_mode"] == "all"
        assert "platform" not in entity
    assert told == {}


def test_the_old_form_knows_nothing_of_open() -> None:
    """Home Assistant before 2024.10 ignores states that it does not know: the lock would stay `locked`."""
    entity = json.loads(
        discovery.lock_messages(FULL, LEGACY, "nuki", HERE)["homeassistant/lock/nuki_bridge_1a2b3c4d/lock/config"]
    )
    assert "'unlatched': 'unlocked'" in entity["value_template"]
    assert "'unlatching': 'unlocking'" in entity["value_template"]
    assert "state_open" not in entity
    assert entity["payload_open"] == "unlatch"


def test_the_form_is_seen_by_the_topic() -> None:
    for settings in (DEVICE, LEGACY, DiscoverySettings(prefix="a/device", style="legacy")):
        for topic in discovery.lock_messages(FULL, settings, "nuki", HERE):
            assert discovery.style_of(topic) == settings.style


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "in_lock", "label"),
    [
        ("haustuer", "Haustür", "Haustür"),
        ("front_door", "Front Door", "Front Door"),
        ("front_door", "Nuki_1A2B3C4D", "Front door"),
        ("front-door_2", "Front Door", "Front door 2"),
        ("nuki_1a2b3c4d", "Nuki_1A2B3C4D", "Nuki_1A2B3C4D"),
        ("haus_tuer", "Haus\x00\x1b\u202etür\n", "Haus tür"),
        ("_", "", "_"),
        ("lock_1a2b3c4d", "門", "門"),
        ("lock_1a2b3c4d", "門" * 100, "門" * 64),
    ],
)
def test_the_label_is_the_locks_own_name_where_the_topic_was_made_of_it(name: str, in_lock: str, label: str) -> None:
    assert discovery.label(name, in_lock, 0x1A2B3C4D) == label
