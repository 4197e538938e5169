"""The settings that nuki_hub exports as JSON, with its pairings.

Read from technyon/nuki_hub at commit 5cbb7e2 (version 9.15): `exportNukiHubJson` in src/ImportExport.cpp writes the
file, src/PreferencesKeys.h has the names of the settings, src/enums/NukiPinState.h what is known of a PIN; and from
iranl/NukiBleEsp32 at commit e2edfa2: `saveCredentials` in src/NukiBle.cpp stores the address with its most significant
byte first, the authorization ID as it came, and the shared key.  All settings are text, empty where there is none, but
for the PINs, which are numbers.  The keys of a pairing have been the same since July 2024; until commit fd23897 the
App-ID was left out, and nuki_hub itself sends 0 with its lock actions (src/NukiWrapper.cpp).  Whether a device was
paired as an App is a setting of nuki_hub that can be changed afterwards; it is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nuki_bridge.errors import RequestError
from nuki_bridge.migration.export import Export, Fields, FoundPairing, NotTaken, pin_of
from nuki_bridge.protocol.codes import Family, IdType

PROGRAM = "nuki_hub"

_KEYS = {"Lock": "secretKeyKLock", "Opener": "secretKeyKOpener"}
_NO_KEY = "0" * 64
_INVALID = "2"
"""The state of a PIN that the device has refused."""
_REFUSED = "nuki_hub notes that the device refused it"

_READ = (
    *("bleAddressLock", "secretKeyKLock", "authorizationIdLock", "securityPinCodeLock", "ultraPinCodeLock", "isUltra"),
    *("bleAddressOpener", "secretKeyKOpener", "authorizationIdOpener", "securityPinCodeOpener", "geminiPin"),
    *("geminiena", "deviceId", "deviceIdOp", "nukiId", "nukidOp", "regAsApp", "regOpnAsApp", "lockpin", "openerpin"),
)

_LEFT_OUT = (
    (
        "mqttbroker mqttport mqttuser mqttpass mqttSSLena mqtt_ssl.ca mqtt_ssl.crt mqtt_ssl.key",
        "the broker: give it as mqtt in config.yaml",
    ),
    ("mqttpath", "its topics: those of this program have other names and payloads, see docs/topics.md"),
    (
        "hassena hassdiscovery hassdevdisc hassConfigUrl",
        "Home Assistant finds the locks of this program by itself; delete nuki_hub's device there",
    ),
    (
        "offHybrid hybridAct hybridRtry hybridTimer hybridRbtLck",
        "hybrid mode: this program does not need the lock's own connection to the broker",
    ),
    (
        "aclLckOpn confLckBasAcl confLckAdvAcl confOpnBasAcl confOpnAdvAcl",
        "what MQTT may do: give actions for the lock in config.yaml",
    ),
    (
        "lockStInterval configInterval batInterval kpInterval",
        "how often it reads: found out by itself; states_every of the lock sets it",
    ),
    ("gpiocfg retGpio", "GPIO pins: this program has none"),
)


_IDS = {"Lock": ("deviceId", "nukiId"), "Opener": ("deviceIdOp", "nukidOp")}
"""The fields of our App-ID and of the device's Nuki ID, by its kind."""


def is_export(data: object) -> bool:
    """Return whether this looks like settings of nuki_hub, with or without pairings."""
    return isinstance(data, Mapping) and not {*_KEYS.values(), "confVersion", "nukihubId"}.isdisjoint(data)


def read(data: Mapping[str, Any]) -> Export:
    """Return what is in an export; raises `RequestError` for one without a pairing, or with a field that is wrong."""
    fields = Fields(data)
    if all(key not in data for key in _KEYS.values()):
        raise RequestError(
            "bad_export",
            "secretKeyKLock and secretKeyKOpener are missing: this export of nuki_hub has no pairing data; make one"
            ' with "Export with redacted settings and pairing data"',
        )
    paired = [kind for kind, key in _KEYS.items() if fields.text(key) not in (None, _NO_KEY)]
    if not paired:
        key = next(each for each in _KEYS.values() if each in data)
        raise RequestError("bad_export", f"{key} is empty: nuki_hub was not paired when it made this export")
    readers = {"Lock": _lock, "Opener": _opener}
    return Export(PROGRAM, tuple(readers[kind](fields) for kind in paired), tuple(_left_out(fields.given())))


def _lock(fields: Fields) -> FoundPairing:
    gemini = fields.text("geminiena") == "1"
    family = Family.ULTRA if fields.text("isUltra") == "1" or ("isUltra" not in fields and gemini) else Family.CLASSIC
    number = _number(fields, "securityPinCodeLock")
    if family is Family.ULTRA:  # nuki_hub uses the setting, if there is one
        number = (_number(fields, "geminiPin") if gemini else 0) or _number(fields, "ultraPinCodeLock")
    pin, note = pin_of(number, family, _REFUSED if fields.text("lockpin") == _INVALID else None)
    as_app = family is Family.ULTRA or fields.text("regAsApp") == "1"  # there every client is an App
    return _pairing(fields, "Lock", family, as_app, pin, note)


def _opener(fields: Fields) -> FoundPairing:
    number = _number(fields, "securityPinCodeOpener")
    pin, note = pin_of(number, Family.OPENER, _REFUSED if fields.text("openerpin") == _INVALID else None)
    as_app = fields.text("regOpnAsApp") == "1"
    return _pairing(fields, "Opener", Family.OPENER, as_app, pin, note)


def _pairing(
    fields: Fields, kind: str, family: Family, as_app: bool, pin: str | None, pin_note: str | None
) -> FoundPairing:
    app_id, nuki_id = _IDS[kind]
    return FoundPairing(
        address=fields.address(f"bleAddress{kind}"),
        authorization_id=fields.authorization_id(f"authorizationId{kind}"),
        shared_key=fields.hex(_KEYS[kind], size=32),
        app_id=_number(fields, app_id),
        id_type=IdType.APP if as_app else IdType.BRIDGE,
        family=family,
        noun=kind.lower(),
        nuki_id=_number(fields, nuki_id) or None,
        pin=pin,
        pin_note=pin_note,
    )


def _number(fields: Fields, name: str) -> int:
    return fields.u32(name) if fields.text(name) is not None else 0


def _left_out(given: list[str]) -> list[NotTaken]:
    rest = [each for each in given if each not in _READ]
    found = []
    for names, why in _LEFT_OUT:
        there = tuple(each for each in names.split() if each in rest)
        if there:
            found.append(NotTaken(there, why))
            rest = [each for each in rest if each not in there]
    if rest:
        found.append(NotTaken(tuple(rest), "settings of nuki_hub's own device, network and web page"))
    return found
