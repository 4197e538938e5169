"""The virtual lock's owner: settings, PIN, clock, reboot, and users over the same link."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.protocol.authorizations import (
    AuthorizationEntry,
    AuthorizationEntryCount,
    RequestAuthorizationEntries,
    UpdateAuthorizationEntry,
)
from nuki_bridge.protocol.codes import Action, Command, ErrorCode, Family, IdType, LockState
from nuki_bridge.protocol.field_kinds import TimeLimit
from nuki_bridge.protocol.frames import authorization_id, open_frame
from nuki_bridge.protocol.messages import (
    Challenge,
    Config,
    ErrorReport,
    KeyturnerStates,
    LockAction,
    RequestConfig,
    RequestData,
    RequestReboot,
    SetConfig,
    SetSecurityPin,
    UpdateTime,
    VerifySecurityPin,
)
from nuki_bridge.protocol.wire import Message, decode
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.simulator.lock import VirtualLock
from tests.unit.virtual_client import (
    ACCEPTED,
    COMPLETE,
    FAMILIES,
    START,
    STATES,
    Client,
    HandClock,
    error_of,
    make_lock,
    pair,
    states_of,
)

SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)


def config_of(client: Client) -> Config:
    (config,) = client.ask(RequestConfig(nonce=client.challenge()))
    assert isinstance(config, Config)
    return config


def set_config(client: Client, *, pin: int = 1234, **changes: Any) -> list[Message]:
    """Read, change, write: as every client has to."""
    config = config_of(client)
    taken = {name for name, _, _ in SetConfig.layout} & {name for name, _, _ in Config.layout}
    values: dict[str, Any] = {name: getattr(config, name) for name in taken}
    return client.ask(SetConfig(**values | changes, nonce=client.challenge(), security_pin=pin))


def told(lock: VirtualLock, *kinds: str) -> list[tuple[str, int | None, str | None, str | None]]:
    return [(e.what, e.authorization_id, e.name, e.detail) for e in lock.audit if e.what in kinds]


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"name": "Haustür"}, "name"),
        ({"led_brightness": 0, "led_enabled": False}, "led_enabled, led_brightness"),
        ({"auto_unlatch": True}, "auto_unlatch"),
        ({"fob_action_1": 4, "fob_action_3": 0}, "fob_action_1, fob_action_3"),
        ({"single_lock": True, "advertising_mode": 3}, "single_lock, advertising_mode"),
        ({"latitude": -90.0, "longitude": 180.0}, "latitude, longitude"),
    ],
)
def test_settings_are_written_and_counted(changes: dict[str, Any], noted: str) -> None:
    lock, clock = make_lock()
    client = Client(lock, clock, name="bridge")
    counted, before = lock.config_update_count, config_of(client)
    assert set_config(client, **changes) == [COMPLETE]
    after = config_of(client)
    assert {name for name, _, _ in Config.layout if getattr(before, name) != getattr(after, name)} == set(changes)
    assert {name: getattr(after, name) for name in changes} == changes
    assert lock.config_update_count == counted + 1
    assert told(lock, "config_set") == [("config_set", 1, "bridge", noted)]


def test_writing_what_was_read_changes_nothing() -> None:
    lock, clock = make_lock(now=SUMMER)
    client = Client(lock, clock)
    for settings in ({}, {"timezone_id": 0xFFFF, "dst_mode": 1}):
        set_config(client, **settings)
        counted, config = lock.config_update_count, config_of(client)
        assert set_config(client) == [COMPLETE]
        assert lock.config_update_count == counted
        assert config_of(client) == config


@pytest.mark.parametrize(
    "changes",
    [
        {"led_brightness": 6},
        {"fob_action_2": 5},
        {"advertising_mode": 4},
        {"dst_mode": 2},
        {"timezone_id": 46},
        {"timezone_offset_min": 841},
        {"latitude": 90.5},
        {"longitude": math.nan},
    ],
)
def test_a_setting_out_of_range_changes_nothing(changes: dict[str, Any]) -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    before = lock.to_dict()
    assert error_of(set_config(client, name="other", **changes)) == ErrorCode.BAD_PARAMETER
    assert lock.to_dict() == before


@FAMILIES
def test_pairing_switched_off_holds_against_the_button(family: Family) -> None:
    pin = 123456 if family is Family.ULTRA else 1234
    lock, clock = make_lock(family, pin=pin)
    client = Client(lock, clock)
    lock.hold_button()
    assert set_config(client, pin=pin, pairing_enabled=False) == [COMPLETE]
    assert not lock.pairing_mode
    lock.hold_button()
    assert not lock.pairing_mode
    with pytest.raises(Exception, match="pairing mode"):
        pair(lock, clock, pin=pin)
    again = Client(lock, clock, link=2, id_type=IdType.APP)
    set_config(again, pin=pin, pairing_enabled=True)
    assert not lock.pairing_mode
    lock.hold_button()
    assert pair(lock, clock, pin=pin).authorization_id == again.id + 1


def test_pairing_switched_off_holds_for_a_factory_new_lock_too() -> None:
    lock = VirtualLock("54:D2:72:2B:3C:4D", 1, factory_new=True)
    lock.settings.pairing_enabled = False
    assert not lock.pairing_mode
    assert lock.service_data() == {}


# -- the wall clock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "now", "offset"),
    [
        ({}, START, 60),
        ({}, SUMMER, 120),
        ({}, datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), 60),
        ({}, datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC), 120),
        ({}, datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC), 120),
        ({}, datetime(2026, 10, 25, 1, 0, 0, tzinfo=UTC), 60),
        ({"timezone_id": 23}, SUMMER, 345),
        ({"timezone_id": 45}, SUMMER, -660),
        ({"timezone_id": 0xFFFF, "timezone_offset_min": 90}, SUMMER, 90),
        ({"timezone_id": 0xFFFF, "timezone_offset_min": 120, "dst_mode": 1}, SUMMER, 120),
        ({"timezone_id": 0xFFFF, "timezone_offset_min": -300}, START, -300),
    ],
)
def test_daylight_saving_and_the_offset_told(settings: dict[str, Any], now: datetime, offset: int) -> None:
    for in_force in (True, False):
        lock, clock = make_lock(now=now, tells_offset_in_force=in_force)
        client = Client(lock, clock)
        assert set_config(client, **settings) == [COMPLETE]
        (states,) = client.ask(STATES)
        assert isinstance(states, KeyturnerStates)
        told = offset if in_force or lock.settings.timezone_id == 0xFFFF else 0
        assert (states.timezone_offset_min, config_of(client).timezone_offset_min) == (told, told)
        assert lock.timezone_offset_min == offset


def test_without_a_timezone_the_dst_mode_moves_the_clock() -> None:
    lock, clock = make_lock(now=SUMMER)
    client = Client(lock, clock)
    set_config(client, timezone_id=0xFFFF, timezone_offset_min=120, dst_mode=1)
    lock.set_clock(START)
    assert config_of(client).timezone_offset_min == 60


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        (datetime(2026, 6, 30, 21, 59, tzinfo=UTC), False),  # Tuesday, 23:59 there
        (datetime(2026, 6, 30, 22, 0, tzinfo=UTC), True),  # Wednesday, 0:00
        (datetime(2026, 7, 1, 5, 59, tzinfo=UTC), True),  # 7:59
        (datetime(2026, 7, 1, 6, 0, tzinfo=UTC), False),
        (datetime(2026, 12, 1, 22, 30, tzinfo=UTC), False),  # Tuesday, 23:30
        (datetime(2026, 12, 2, 6, 59, tzinfo=UTC), True),  # Wednesday, 7:59
    ],
)
def test_weekday_and_time_of_day_are_those_of_the_wall_clock(now: datetime, allowed: bool) -> None:
    lock, clock = make_lock()
    guest = Client(lock, clock, id_type=IdType.APP)
    guest.entry.limit = TimeLimit(weekdays=0b0010000, time_from=time(0, 0), time_until=time(8, 0))
    lock.control({"clock": now.isoformat()})
    answers = guest.act(Action.UNLOCK)
    assert (answers[0] == ACCEPTED) is allowed
    assert allowed or error_of(answers) == ErrorCode.TIME_NOT_ALLOWED


def test_the_clock_can_be_set_by_the_owner() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock, name="bridge")

    def update(moment: datetime) -> list[Message]:
        return client.ask(UpdateTime(time=moment, nonce=client.challenge(), security_pin=1234))

    there = datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert update(there) == [COMPLETE]
    clock.advance(10)
    assert lock.now() == there + timedelta(seconds=10)
    assert told(lock, "clock_set") == [("clock_set", 1, "bridge", "2027-02-03T04:05:06+00:00")]
    assert error_of(update(datetime(1999, 1, 1, tzinfo=UTC))) == ErrorCode.BAD_PARAMETER
    nonsense = bytes(7) + client.challenge() + b"\xd2\x04"
    assert error_of(client.write(client.raw_frame(Command.UPDATE_TIME, nonsense))) == ErrorCode.BAD_PARAMETER
    assert lock.now() == there + timedelta(seconds=10)


# -- PIN --------------------------------------------------------------------------------------------------------------


def verify(client: Client, pin: int) -> list[Message]:
    return client.ask(VerifySecurityPin(nonce=client.challenge(), security_pin=pin))


@pytest.mark.parametrize(
    ("family", "old", "new", "too_long"), [(Family.CLASSIC, 1234, 9999, 10_000), (Family.ULTRA, 123456, 7, 1_000_000)]
)
def test_the_pin_can_be_replaced(family: Family, old: int, new: int, too_long: int) -> None:
    lock, clock = make_lock(family, pin=old)
    client = Client(lock, clock, name="bridge")

    def replace(pin: int, current: int) -> list[Message]:
        return client.ask(SetSecurityPin(new_pin=pin, nonce=client.challenge(), security_pin=current))

    assert error_of(replace(new, old + 1)) == ErrorCode.BAD_PIN
    assert error_of(replace(too_long, old)) == ErrorCode.BAD_PARAMETER
    assert verify(client, old) == [COMPLETE]
    assert replace(new, old) == [COMPLETE]
    assert verify(client, new) == [COMPLETE]
    assert error_of(verify(client, old)) == ErrorCode.BAD_PIN
    assert [entry[:3] for entry in told(lock, "pin_set", "pin_verified")] == [
        ("pin_verified", 1, "bridge"),
        ("pin_set", 1, "bridge"),
        ("pin_verified", 1, "bridge"),
    ]


def test_three_wrong_pins_ban_the_right_one_too_even_over_restart_reboot_and_clock() -> None:
    lock, clock = make_lock(pin_ban_s=300)
    client = Client(lock, clock)
    assert [error_of(verify(client, 1)) for _ in range(3)] == [ErrorCode.BAD_PIN] * 3
    assert error_of(verify(client, 1234)) == ErrorCode.TOO_MANY_PIN_ATTEMPTS
    assert error_of(set_config(client, name="x")) == ErrorCode.TOO_MANY_PIN_ATTEMPTS
    lock.set_clock(START + timedelta(days=1))
    lock.reboot()
    clock.advance(10)
    lock = VirtualLock.from_dict(json.loads(json.dumps(lock.to_dict())), behaviour=lock.behaviour, random=seeded(5))
    clock.lock = client.lock = lock
    lock.attach(clock)
    lock.connected(1)
    assert error_of(verify(client, 1234)) == ErrorCode.TOO_MANY_PIN_ATTEMPTS
    clock.advance(300)
    assert verify(client, 1234) == [COMPLETE]


def test_wrong_pins_are_counted_over_a_restart() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    saved: list[dict[str, Any]] = []
    lock.device.on_memory_changed = lambda: saved.append(lock.to_dict())
    verify(client, 1)
    assert VirtualLock.from_dict(saved[-1]).pin_guard.wrong == 1


# -- reboot -----------------------------------------------------------------------------------------------------------


def reboot(client: Client) -> list[Message]:
    return client.ask(RequestReboot(nonce=client.challenge(), security_pin=1234))


def test_a_reboot_answers_drops_every_link_and_is_back_after_a_while() -> None:
    lock, clock = make_lock(reboot_s=4, challenges_outlive_link=True)
    client, other = Client(lock, clock, name="bridge"), Client(lock, clock, link=2, id_type=IdType.APP)
    nonce = other.challenge()
    client.received()
    assert reboot(client) == [COMPLETE]
    assert (clock.dropped, lock.links, lock.advertising) == ([1, 2], 0, False)
    clock.advance(3.9)
    lock.connected(1)
    assert (lock.links, lock.advertising) == (0, False)
    clock.advance(0.2)
    assert lock.advertising
    lock.connected(2)
    assert error_of(other.act(Action.UNLOCK, nonce=nonce)) == ErrorCode.BAD_NONCE
    assert states_of(other.ask(STATES)) == [LockState.LOCKED]
    assert told(lock, "reboot") == [("reboot", 1, "bridge", None)]


def test_a_lock_whose_motor_turns_does_not_reboot() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock)
    client.act(Action.UNLOCK)
    assert error_of(reboot(client)) == ErrorCode.BUSY
    assert client.after(10)[-1] == COMPLETE


# -- users ------------------------------------------------------------------------------------------------------------


def entries(client: Client, offset: int = 0, count: int = 0xFFFF, id_type: IdType | None = None) -> list[Message]:
    pin = 123456 if client.lock.family is Family.ULTRA else 1234
    return client.ask(
        RequestAuthorizationEntries(
            offset=offset, count=count, id_type=id_type, nonce=client.challenge(), security_pin=pin
        )
    )


def fill(lock: VirtualLock, count: int, id_type: IdType = IdType.APP) -> None:
    for number in range(count):
        lock.add_user(b"k" * 32, id_type, 0, f"user {number}", full=ErrorCode.MAX_USER)


@FAMILIES
def test_two_hundred_users_are_listed_whole_and_in_pages(family: Family) -> None:
    lock, clock = make_lock(family, pin=123456 if family is Family.ULTRA else 1234)
    fill(lock, 100)
    client = Client(lock, clock)
    fill(lock, 99)
    order = [101, *range(1, 101), *range(102, 201)]
    count, *listed, end = entries(client)
    assert (count, end) == (AuthorizationEntryCount(count=200), COMPLETE)
    assert [e.authorization_id for e in listed] == order  # type: ignore[attr-defined]
    paged: list[int] = []
    for offset in range(0, 300, 64):
        _, *page, _ = entries(client, offset, 64)
        paged += [e.authorization_id for e in page]  # type: ignore[attr-defined]
    assert paged == order
    with pytest.raises(Exception, match="MAX_USER"):
        fill(lock, 1)


def test_the_filter_gives_one_kind_of_user() -> None:
    lock, clock = make_lock(Family.ULTRA, pin=123456)
    client = Client(lock, clock, id_type=IdType.APP)
    fill(lock, 2, IdType.FOB)
    _, *listed, _ = entries(client, id_type=IdType.FOB)
    assert [e.authorization_id for e in listed] == [2, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("behaviour", "sizes"),
    [
        ({}, [2, 56, 75, 1]),
        ({"tells_entry_count": False}, [56, 75, 1]),
        ({"list_end_missing": True}, [2, 56, 75]),
        ({"entry_tail_always": True}, [2, 75, 75, 1]),
    ],
)
def test_firmware_differs_in_how_it_lists_users(behaviour: dict[str, Any], sizes: list[int]) -> None:
    lock, clock = make_lock(**behaviour)
    client = Client(lock, clock)
    fill(lock, 1)
    lock.authorizations.get(2).limit = TimeLimit(weekdays=1)  # type: ignore[union-attr]
    nonce = client.challenge()
    before = len(clock.sent)
    request = RequestAuthorizationEntries(offset=0, count=9, id_type=None, nonce=nonce, security_pin=1234)
    listed = [e for e in client.ask(request) if isinstance(e, AuthorizationEntry)]
    assert [len(data) - 54 for _, _, data in clock.sent[before:]] == sizes
    assert [e.time_limited for e in listed] == [False, True]


@pytest.mark.parametrize("counts", [True, False])
def test_whether_a_change_of_users_can_be_seen_depends_on_the_firmware(counts: bool) -> None:
    lock, clock = make_lock(counts_user_changes=counts)
    fill(lock, 3)
    lock.device.state_changed = False
    counted = lock.config_update_count
    lock.set_enabled(2, False)
    lock.remove_authorization(3)
    lock.hold_button()
    pair(lock, clock)
    assert lock.config_update_count == counted + (3 if counts else 0)
    assert lock.state_changed is counts


def test_the_audit_trail_names_the_one_who_changed_and_the_one_who_was_changed() -> None:
    lock, clock = make_lock()
    client = Client(lock, clock, name="bridge")
    fill(lock, 1)
    client.ask(
        UpdateAuthorizationEntry(
            authorization_id=2,
            name="Anna",
            enabled=False,
            remote_allowed=True,
            time_limited=False,
            limit=TimeLimit(),
            nonce=client.challenge(),
            security_pin=1234,
        )
    )
    lock.control({"enable": 2})
    lock.control({"remove_authorization": 2})
    entries(client)
    assert told(lock, "updated", "removed", "entries_read") == [
        ("updated", 1, "bridge", "2 Anna, disabled"),
        ("updated", None, None, "2 Anna, enabled"),
        ("removed", None, None, "2 Anna"),
        ("entries_read", 1, "bridge", "1"),
    ]


# -- several authorizations over one link -----------------------------------------------------------------------------


class OneLink:
    """A relay's link: frames of several authorizations, told apart by the ID in their header."""

    def __init__(self, lock: VirtualLock, clock: HandClock, *people: Client) -> None:
        self.lock, self.clock = lock, clock
        self.people = {person.id: person for person in people}
        lock.connected(99)

    def ask(self, person: Client, message: Message) -> list[tuple[int, Message]]:
        self.lock.written(99, Channel.USDIO, person.frame(message))
        return self.received()

    def received(self) -> list[tuple[int, Message]]:
        """Who can read what came, and what it says; each message with the key of its header's ID alone."""
        sent, self.clock.sent = self.clock.sent, []
        answers = []
        for link, channel, data in sent:
            assert (link, channel) == (99, Channel.USDIO)
            person = self.people[authorization_id(data)]
            answers.append((person.id, decode(*open_frame(data, person.key), self.lock.family)))
        return answers

    def challenge(self, person: Client) -> bytes:
        ((number, answer),) = self.ask(person, RequestData(wanted=Command.CHALLENGE))
        assert number == person.id
        assert isinstance(answer, Challenge)
        return answer.nonce


def two_on_one_link(**behaviour: Any) -> tuple[VirtualLock, OneLink, Client, Client]:
    lock, clock = make_lock(**behaviour)
    bridge = Client(lock, clock, name="bridge")
    guest = Client(lock, clock, link=2, id_type=IdType.APP, name="Anna")
    for link in (1, 2):
        lock.disconnected(link)
    return lock, OneLink(lock, clock, bridge, guest), bridge, guest


def test_each_authorization_has_its_own_challenge_and_answers_on_a_shared_link() -> None:
    lock, link, bridge, guest = two_on_one_link()
    first, second = link.challenge(bridge), link.challenge(guest)
    started = link.ask(guest, LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=second))
    refused = link.ask(bridge, LockAction(action=Action.LOCK, app_id=0, flags=0, name_suffix=None, nonce=first))
    assert refused == [
        (bridge.id, ErrorReport(error=ErrorCode.BUSY, failed_command=Command.LOCK_ACTION)),
    ]
    link.clock.advance(10)
    rest = link.received()
    assert {number for number, _ in started + rest} == {guest.id}
    assert states_of([m for _, m in started + rest]) == [LockState.UNLOCKING, LockState.UNLOCKED]
    assert rest[-1] == (guest.id, COMPLETE)
    nonce = link.challenge(bridge)
    answers = link.ask(bridge, LockAction(action=Action.LOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce))
    link.clock.advance(10)
    answers += link.received()
    assert {number for number, _ in answers} == {bridge.id}
    assert answers[-1] == (bridge.id, COMPLETE)
    assert [(m.authorization_id, m.name) for m in lock.movements()] == [(2, "Anna"), (1, "bridge")]


def test_reading_in_between_leaves_the_other_ones_challenge_valid() -> None:
    _, link, bridge, guest = two_on_one_link()
    nonce = link.challenge(guest)
    assert isinstance(link.ask(bridge, STATES)[0][1], KeyturnerStates)
    link.challenge(bridge)
    answers = link.ask(guest, LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce))
    assert answers[0] == (guest.id, ACCEPTED)


def test_a_challenge_of_another_on_the_same_link_is_refused() -> None:
    lock, link, bridge, guest = two_on_one_link()
    nonce = link.challenge(bridge)
    link.challenge(guest)
    ((number, answer),) = link.ask(
        guest, LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce)
    )
    assert (number, answer) == (2, ErrorReport(error=ErrorCode.BAD_NONCE, failed_command=Command.LOCK_ACTION))
    assert lock.movements() == []


def test_the_end_of_the_link_ends_every_challenge_on_it() -> None:
    lock, link, bridge, guest = two_on_one_link()
    nonces = {person: link.challenge(person) for person in (bridge, guest)}
    lock.disconnected(99)
    lock.connected(99)
    for person, nonce in nonces.items():
        action = LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce)
        ((_, answer),) = link.ask(person, action)
        assert answer == ErrorReport(error=ErrorCode.BAD_NONCE, failed_command=Command.LOCK_ACTION)


def test_firmware_that_pushes_states_tells_everybody_on_a_shared_link() -> None:
    lock, link, bridge, guest = two_on_one_link(pushes_states_of_others=True)
    link.ask(bridge, STATES)
    nonce = link.challenge(guest)
    answers = link.ask(guest, LockAction(action=Action.UNLOCK, app_id=0, flags=0, name_suffix=None, nonce=nonce))
    link.clock.advance(10)
    answers += link.received()
    for person in (bridge, guest):
        mine = [m for number, m in answers if number == person.id]
        assert states_of(mine) == [LockState.UNLOCKING, LockState.UNLOCKED]
    assert (bridge.id, COMPLETE) not in answers
    assert lock.motor.state is LockState.UNLOCKED
