"""What an entity in Home Assistant is made of: its topics and the templates that render their payloads.

Keys and templates are those of Home Assistant's MQTT integration (each platform's DISCOVERY_SCHEMA).  A value whose key
ends in `topic` is one of `tree.TABLE`.  In a template `value` is the payload's text and `value_json` its JSON; `None`
makes the entity's state unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from nuki_bridge.records import frozen

SET: Final = "<lock>/set"
STATE: Final = "<lock>/state"
STATUS: Final = "<lock>/status"
BATTERY: Final = "<lock>/battery"
EVENT: Final = "<lock>/event"
USERS: Final = "<lock>/users"
KEYPAD: Final = "<lock>/keypad"
CONFIG_SET: Final = "<lock>/request/config/set"
REACHABLE: Final = ("bridge/state", "<lock>/availability")
BRIDGE_ONLINE: Final = ("bridge/state",)


@frozen
class Entity:
    """One entity: `key` is its part of the unique ID and never changes, nor does its `platform`.

    `needs` are the traits (see `discovery.LockFacts`) without which it is not there.  It is available while all of
    `available` are `online`.
    """

    key: str
    platform: str
    config: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    available: tuple[str, ...] = field(default=REACHABLE)


def sensor(name: str, topic: str, template: str, **more: Any) -> dict[str, Any]:
    """Return what a sensor's state is rendered from; `more` are further keys."""
    return {"name": name, "state_topic": topic, "value_template": if_json(template), **more}


def if_json(template: str, otherwise: str = "") -> str:
    """Return a template that renders nothing where there is no JSON.

    Topics are cleared when a lock goes, shortly before its entities are gone.
    """
    if "value_json" not in template:
        return template
    last = f"{{% else %}}{otherwise}" if otherwise else ""
    return f"{{% if value_json is defined %}}{template}{last}{{% endif %}}"


def binary(name: str, topic: str, expression: str, device_class: str, **more: Any) -> dict[str, Any]:
    """Return a binary sensor that is on while `expression` is true, and unknown where it is neither true nor false."""
    template = f"{{{{ {{true: 'ON', false: 'OFF'}}.get({expression}, 'None') }}}}"
    return sensor(name, topic, template, device_class=device_class, **more)


def last(name: str, what: str, icon: str, **more: Any) -> dict[str, Any]:
    """Return a sensor for a part of the last lock action; the status holds it, so that it outlives a restart."""
    template = "{{ (value_json.last_lock_action | default({}, true))." + what + " | default('unknown', true) }}"
    return sensor(name, STATUS, template, icon=icon, **more)


def action_button(name: str, action: str, icon: str) -> dict[str, Any]:
    """Return a button for an action of the lock."""
    return {"name": name, "command_topic": SET, "payload_press": action, "icon": icon}


def setting(name: str, icon: str, template: str, **more: Any) -> dict[str, Any]:
    """Return a setting of the lock: the status shows it, `config/set` changes it."""
    topics = {"state_topic": STATUS, "command_topic": CONFIG_SET}
    return {
        "name": name,
        "icon": icon,
        "entity_category": "config",
        **topics,
        "value_template": if_json(template),
        **more,
    }


def setting_trait(name: str) -> str:
    """Return the trait of a lock that has told the setting of that name."""
    return f"setting_{name}"


SIGNAL: Final[Mapping[str, Any]] = {
    "device_class": "signal_strength",
    "unit_of_measurement": "dBm",
    "state_class": "measurement",
    "entity_category": "diagnostic",
}


def switch(name: str, key: str, icon: str, *, on: bool = True) -> dict[str, Any]:
    """Return a switch; `on` is the setting's value when the switch is on."""
    yes, no = ("true", "false") if on else ("false", "true")
    return setting(
        name,
        icon,
        f"{{{{ {{{yes}: 'ON', {no}: 'OFF'}}.get((value_json.config | default({{}})).{key}, 'None') }}}}",
        payload_on=f'{{"{key}":{yes}}}',
        payload_off=f'{{"{key}":{no}}}',
        state_on="ON",
        state_off="OFF",
    )


def number(name: str, key: str, icon: str, between: tuple[int, int], **more: str) -> dict[str, Any]:
    """Return a setting that is a whole number between two, both included."""
    return setting(
        name,
        icon,
        f"{{{{ (value_json.config | default({{}})).{key} | default('None') }}}}",
        min=between[0],
        max=between[1],
        step=1,
        command_template=f"{{{{ {{'{key}': value | int}} | to_json }}}}",
        **more,
    )


SECONDS: Final[Mapping[str, Any]] = {"mode": "box", "unit_of_measurement": "s", "device_class": "duration"}


def choice(name: str, key: str, icon: str, options: tuple[str, ...]) -> dict[str, Any]:
    """Return a setting that is one of `options`; another value of the lock is shown as unknown."""
    return setting(
        name,
        icon,
        f"{{% set now = (value_json.config | default({{}})).{key} %}}{{{{ now if now in {options!r} else 'None' }}}}",
        options=list(options),
        command_template=f"{{{{ {{'{key}': value}} | to_json }}}}",
    )


def words(name: str, key: str, icon: str, *, most: int, **more: str) -> dict[str, Any]:
    """Return a setting that is a text of up to `most` characters; it is empty where the lock has none."""
    return setting(
        name,
        icon,
        f"{{{{ (value_json.config | default({{}})).{key} | default('', true) }}}}",
        max=most,
        command_template=f"{{{{ {{'{key}': value}} | to_json }}}}",
        **more,
    )
