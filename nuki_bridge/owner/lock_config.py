"""A lock's own settings.

The lock has its settings in two messages, a basic one and an advanced one; outwards they are one list of names.  A
setting is changed in what the lock has at that moment, because the lock only takes a message as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from nuki_bridge.arguments import Arguments, Check, Declaration, flag, number, one_of, printable, whole, with_schema
from nuki_bridge.errors import LinkError, LockError, NukiError, ProtocolError, RequestError
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.lock import LOST_PAIRING
from nuki_bridge.owner import advanced_config, opener_config
from nuki_bridge.owner.call import Answer, Call, Handler
from nuki_bridge.owner.setting import READ_BACK_S, Setting, word, written
from nuki_bridge.protocol.common import AnyAdvancedConfig, BasicConfig
from nuki_bridge.protocol.messages import NAME_SIZE, Config, SetConfig, Status
from nuki_bridge.protocol.opener import OpenerConfig, SetOpenerConfig
from nuki_bridge.protocol.wire import OwnerRequest
from nuki_bridge.records import frozen

if TYPE_CHECKING:
    from nuki_bridge.lock.admin import Admin

FOB_ACTIONS: Final = ("none", "unlock", "lock", "lock_n_go", "intelligent")
ADVERTISING_MODES: Final = ("automatic", "normal", "slow", "slowest")
DST_MODES: Final = ("off", "european")
NO_TIMEZONE_NAME: Final = "none"
SILENT_S = 8.0
"""Seconds for which a lock that has never answered about its advanced configuration is asked before the basic one is
answered alone."""


# -- settings and their words -----------------------------------------------------------------------------------------


name: Final = printable(NAME_SIZE, "Name")
"""A name that a lock keeps whole."""


@with_schema({"type": "string"})
def _timezone(value: Any) -> int:
    if value == NO_TIMEZONE_NAME:
        return wall_clock.NO_TIMEZONE
    if not isinstance(value, str) or value not in wall_clock.TIMEZONES:
        raise ValueError(f"must be {NO_TIMEZONE_NAME} or one of {', '.join(wall_clock.TIMEZONES)}")
    return wall_clock.TIMEZONES[value]


def _timezone_to_json(value: int | None) -> str | int | None:
    if value is None or value == wall_clock.NO_TIMEZONE:
        return NO_TIMEZONE_NAME
    return wall_clock.timezone_name(value) or value


SETTINGS: Final[Mapping[str, Setting]] = {
    "name": Setting(name),
    "latitude": Setting(number(-90, 90, "degrees"), lambda value: round(value, 5)),
    "longitude": Setting(number(-180, 180, "degrees"), lambda value: round(value, 5)),
    "auto_unlatch": Setting(flag, bool),
    "pairing_enabled": Setting(flag, bool),
    "button_enabled": Setting(flag, bool),
    "led_enabled": Setting(flag, bool),
    "led_brightness": Setting(whole(0, 5).meant("0 off to 5 bright")),
    "fob_action_1": word(*FOB_ACTIONS),
    "fob_action_2": word(*FOB_ACTIONS),
    "fob_action_3": word(*FOB_ACTIONS),
    "single_lock": Setting(flag, bool),
    "advertising_mode": word(*ADVERTISING_MODES),
    "timezone": Setting(_timezone.meant("such as Europe/Berlin, or none"), _timezone_to_json, "timezone_id"),
    "timezone_offset_min": Setting(whole(-12 * 60, 14 * 60, "minutes").meant("minutes from UTC")),
    "dst_mode": word(*DST_MODES),
}
"""The basic settings by their names in JSON."""
_OPENER_SETTINGS: Final[Mapping[str, Setting]] = {
    **{name: each for name, each in SETTINGS.items() if name not in ("auto_unlatch", "led_brightness", "single_lock")},
    **opener_config.BASIC,
}
READ_ONLY: Final = ("nuki_id", "firmware", "hardware", "device_type", "has_fob", "has_keypad", "has_keypad_2", "time")


@frozen
class _Kind:
    """The settings of one kind of device, by the message in which it has each, and what writes the basic ones.

    `read_only` are those of the basic message that are only told, `told` those of the advanced one.
    """

    basic: Mapping[str, Setting]
    read_only: Mapping[str, Setting]
    advanced: Mapping[str, Setting]
    told: Mapping[str, Setting]
    request: type[OwnerRequest]

    @property
    def checks(self) -> dict[str, Check[Any]]:
        """The check of each setting by its name."""
        return {key: each.check for key, each in {**self.basic, **self.advanced}.items()}


_KINDS: Final[Mapping[type[BasicConfig], _Kind]] = {
    Config: _Kind(SETTINGS, {}, advanced_config.SETTINGS, advanced_config.READ_ONLY, SetConfig),
    OpenerConfig: _Kind(
        _OPENER_SETTINGS,
        opener_config.BASIC_READ_ONLY,
        opener_config.ADVANCED,
        opener_config.ADVANCED_READ_ONLY,
        SetOpenerConfig,
    ),
}
"""By the message in which each kind tells its basic settings."""


def to_json(config: BasicConfig) -> dict[str, Any]:
    """Return the basic configuration as JSON: what can be set, then what is read-only."""
    kind = _KINDS[type(config)]
    told = {**kind.basic, **kind.read_only}
    values = {key: each.to_json(getattr(config, each.field or key)) for key, each in told.items()}
    return {
        **{key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()},
        "nuki_id": f"{config.nuki_id:08X}",
        "firmware": ".".join(str(each) for each in config.firmware_version),
        "hardware": ".".join(str(each) for each in config.hardware_revision),
        "device_type": config.device_type,
        "has_fob": config.has_fob,
        "has_keypad": config.has_keypad,
        "has_keypad_2": config.has_keypad_2,
        "time": wall_clock.rfc3339(config.current_time, wall_clock.zone_of(config)),
    }


def names_of(config: BasicConfig, advanced: AnyAdvancedConfig | None) -> list[str]:
    """Return the settings that a device which has told this has and takes, by name."""
    return [*_KINDS[type(config)].basic, *(() if advanced is None else advanced_config.names_of(advanced))]


def checks() -> dict[str, Check[Any]]:
    """Return the check of each setting of a Smart Lock by its name, basic and advanced."""
    return _KINDS[Config].checks


def opener_checks() -> dict[str, Check[Any]]:
    """Return the check of each setting of an Opener by its name, basic and advanced."""
    return _KINDS[OpenerConfig].checks


def _both_checks() -> dict[str, Check[Any]]:
    """Return the check of each setting of any device; where their words differ, only whether it is one of either's."""
    lock, opener = checks(), opener_checks()
    return {**opener, **lock, **{name: _either(lock[name], opener[name]) for name in _with_other_words()}}


def _with_other_words() -> frozenset[str]:
    """The settings that a Smart Lock and an Opener have with different values."""
    lock, opener = checks(), opener_checks()
    return frozenset(name for name in lock.keys() & opener.keys() if lock[name].schema != opener[name].schema)


def _either(lock: Check[Any], opener: Check[Any]) -> Check[str]:
    words = dict.fromkeys((*lock.schema["enum"], *opener.schema["enum"]))
    return one_of(*words).meant("words of a Smart Lock or of an Opener")


def read_only() -> frozenset[str]:
    """Return the names that are told and cannot be set."""
    opener = (*opener_config.BASIC_READ_ONLY, *opener_config.ADVANCED_READ_ONLY)
    return frozenset((*READ_ONLY, *advanced_config.READ_ONLY, *opener)) - checks().keys()


# -- configuration ----------------------------------------------------------------------------------------------------


async def _get(call: Call) -> Answer:
    config = await call.lock.read_config(call.timeout_s)
    return {"data": _together(config, await _advanced(call, max(call.left_s(), READ_BACK_S)))}


async def _set(call: Call) -> Answer:
    """Change single settings; answers with all of them as the lock has them then.

    Each of the two messages is read and written only if it holds one of them; everything is checked before the first
    is written.
    """
    kind = _KINDS[call.lock.profile.config]
    values = _of_kind(kind, call.lock.profile.kind, call.arguments)
    basic = {key: value for key, value in values.items() if key in kind.basic}
    advanced = {key: value for key, value in values.items() if key not in kind.basic}
    lock, admin = call.lock, call.admin
    deadline = lock.clock() + call.timeout_s
    async with call.exclusive():
        new_basic = new_advanced = None
        if basic:
            new_basic = _patched(kind, await lock.read_config(deadline - lock.clock()), basic)
        if advanced:
            found = await lock.read_advanced_config(deadline - lock.clock())
            new_advanced = advanced_config.patched(found, advanced)
        if new_basic is not None:
            await _write(kind, admin, new_basic, deadline - lock.clock())
        if new_advanced is not None:
            try:
                await advanced_config.write(admin, new_advanced, deadline - lock.clock())
            except NukiError as error:
                if basic:
                    error.args = (f"{error}; what has been set all the same: {', '.join(basic)}",)
                raise
        # It is written: reading it back may take longer than the request was given.
        written = await lock.read_config(max(deadline - lock.clock(), READ_BACK_S))
        return {"data": _together(written, await _advanced(call, max(deadline - lock.clock(), READ_BACK_S)))}


def _of_kind(kind: _Kind, called: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as a device of this kind, `called` so, has them on the wire; raises `RequestError`."""
    known, differing = kind.checks, _with_other_words()
    missing = [name for name in arguments if name not in known]
    if told := [name for name in missing if name in kind.told]:
        raise RequestError("bad_request", f"{', '.join(told)}: read-only here; allowed: {', '.join(known)}")
    if missing or not arguments:
        one = "it" if len(missing) == 1 else "them"
        wrong = f"{', '.join(missing)}: {called} does not have {one}" if missing else "nothing to set"
        raise RequestError("bad_request", f"{wrong}; allowed: {', '.join(known)}")
    values = dict(arguments)
    for name in differing & arguments.keys():
        try:
            values[name] = known[name](arguments[name])
        except ValueError as error:
            raise RequestError("bad_request", f"{name} of {called} {error}") from None
    return values


async def _write(kind: _Kind, admin: Admin, config: BasicConfig, timeout_s: float) -> None:
    """Write the basic configuration, whole: all of `config` that can be written; raises as `Admin.ask`."""
    values = written(kind.request, config)
    if values["timezone_id"] is None:
        values["timezone_id"] = wall_clock.NO_TIMEZONE
    await admin.ask(kind.request(**values), Status, timeout_s)


def _patched(kind: _Kind, config: BasicConfig, values: Mapping[str, Any]) -> BasicConfig:
    if config.timezone_id is None and "timezone" in values:
        raise RequestError("bad_request", "timezone is not known to this lock's firmware; set timezone_offset_min")
    had_zone = config.timezone_id not in (None, wall_clock.NO_TIMEZONE)
    if had_zone and values.get("timezone") == wall_clock.NO_TIMEZONE and "timezone_offset_min" not in values:
        # the lock need not tell the right one beside a timezone
        raise RequestError("bad_request", "without a timezone the offset counts: give timezone_offset_min, too")
    fields = {kind.basic[key].field or key: value for key, value in values.items()}
    changed: BasicConfig = replace(cast(Any, config), **fields)
    return changed


def _together(basic: BasicConfig, advanced: AnyAdvancedConfig | None) -> dict[str, Any]:
    return to_json(basic) | ({} if advanced is None else advanced_config.to_json(advanced))


async def _advanced(call: Call, timeout_s: float) -> AnyAdvancedConfig | None:
    """Return the advanced configuration, None if this lock has none or has never told it."""
    lock = call.lock
    try:
        return await lock.read_advanced_config(min(timeout_s, SILENT_S) if lock.advanced_config is None else timeout_s)
    except (LockError, LinkError, ProtocolError) as error:
        if lock.advanced_config is not None or (isinstance(error, LockError) and error.number in LOST_PAIRING):
            raise
        return None


REQUESTS: Final[Mapping[str, Declaration[Handler]]] = {
    "config/get": Declaration(Arguments(), _get, reads=True),
    "config/set": Declaration(Arguments(_both_checks(), read_only=read_only()), _set),
}
"""What can be asked of the settings."""
