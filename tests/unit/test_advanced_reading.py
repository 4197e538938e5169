"""The advanced configuration is read beside the basic one, and never at the cost of anything else."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.profile import SMART_LOCK
from nuki_bridge.lock.timetable import ADVANCED_TRIES, CONFIG_RETRY_S, Timetable
from nuki_bridge.protocol.advanced_config import AdvancedConfig
from nuki_bridge.protocol.codes import Action, Command, ErrorCode, Family
from nuki_bridge.simulator import requests
from nuki_bridge.simulator.behaviour import Refused
from nuki_bridge.simulator.client_request import ClientRequest
from tests.unit.rig import MODES, Rig


class Asked:
    """Counts what virtual locks are asked for; `refusals` are the next answers."""

    def __init__(self) -> None:
        self.times = 0
        self.refusals: list[ErrorCode] = []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The requests for an advanced configuration."""
    counted, whole = Asked(), requests.handle

    def handle(request: ClientRequest, payload: bytes) -> None:
        if request.command == Command.REQUEST_ADVANCED_CONFIG:
            counted.times += 1
            if counted.refusals:
                raise Refused(counted.refusals.pop())
        whole(request, payload)

    monkeypatch.setattr(requests, "handle", handle)
    return counted


def silent(rig: Rig) -> None:
    """Have the lock never answer a request for it."""
    lock = rig.virtual
    whole = lock.connections.send_encrypted

    def send(connection_id: int, to: Any, message: Any, size: int | None = None) -> None:
        if message.command != Command.ADVANCED_CONFIG:
            whole(connection_id, to, message, size)

    lock.connections.send_encrypted = send  # type: ignore[method-assign]


# -- when it is due ---------------------------------------------------------------------------------------------------


def test_it_is_due_once_the_basic_one_is_read() -> None:
    due = Timetable(SMART_LOCK, 5.0, clears_bit=True)
    assert due.advanced_at == 5.0
    due.config_asked(5.0)
    assert due.advanced_at == 5.0 + CONFIG_RETRY_S
    due.config_read()
    assert due.advanced_at == 5.0
    due.advanced_read()
    assert (due.advanced_at, due.advanced_is_done) == (math.inf, True)
    due.config_changed(9.0)
    assert (due.config_at, due.advanced_at, due.advanced_is_done) == (9.0, 9.0, False)


def test_it_is_asked_for_in_vain_a_few_times() -> None:
    due = Timetable(SMART_LOCK, 0.0, clears_bit=True)
    due.config_read()
    for _ in range(ADVANCED_TRIES - 1):
        due.advanced_asked(1.0)
        assert due.advanced_at == 1.0 + CONFIG_RETRY_S
    due.advanced_asked(1.0)
    assert due.advanced_is_done
    due.config_changed(2.0)
    assert not due.advanced_is_done


# -- read -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection", MODES)
@pytest.mark.parametrize("family", [Family.CLASSIC, pytest.param(Family.ULTRA, marks=pytest.mark.long)])
async def test_it_is_read_after_connecting_and_not_again(
    connection: ConnectionMode, family: Family, asked: Asked
) -> None:
    rig = Rig(family)
    async with rig.running(connection) as lock:
        assert lock.config is not None
        assert isinstance(lock.advanced_config, AdvancedConfig)
        assert (lock.advanced_config.motor_speed is not None) == (family is Family.ULTRA)
        assert (asked.times, lock.config_is_complete, lock.reconnects) == (1, True, 1)
        for action in (Action.UNLOCK, Action.LOCK):
            await lock.perform(action, 15.0)
        await asyncio.sleep(7200)
        assert asked.times == 1


async def test_it_is_read_again_when_the_configuration_has_changed(asked: Asked) -> None:
    rig = Rig()
    async with rig.running() as lock:
        rig.virtual.advanced.lock_n_go_timeout = 33
        rig.virtual.config_changed()
        await asyncio.sleep(30)
        assert isinstance(lock.advanced_config, AdvancedConfig)
        assert lock.advanced_config.lock_n_go_timeout == 33
        assert asked.times == 2


async def test_firmware_that_refuses_it_is_not_asked_again(asked: Asked) -> None:
    rig = Rig(advanced_config_size=0)
    async with rig.running() as lock:
        assert (lock.advanced_config, lock.config_is_complete, lock.reconnects) == (None, True, 1)
        for _ in range(5):
            rig.virtual.config_changed()
            await asyncio.sleep(60)
        assert await lock.read_advanced_config(15.0) is None
        assert (asked.times, lock.reconnects, lock.fault) == (1, 1, None)


async def test_other_firmware_is_asked_again() -> None:
    rig = Rig(advanced_config_size=0)
    async with rig.running() as lock:
        rig.virtual.settings.firmware_version = b"\x04\x00\x00"
        rig.virtual.behaviour.advanced_config_size = 31
        rig.virtual.config_changed()
        await asyncio.sleep(60)
        assert lock.advanced_config is not None


@pytest.mark.parametrize("connection", MODES)
async def test_a_lock_that_is_silent_about_it_is_reached_as_before(connection: ConnectionMode, asked: Asked) -> None:
    rig = Rig()
    silent(rig)
    async with rig.running(connection, settle=False) as lock:
        await asyncio.sleep(20)
        assert lock.states is not None
        assert lock.config is not None
        assert (lock.reachable, lock.config_is_complete, lock.advanced_config) == (True, True, None)
        assert asked.times == 1, "whoever waits for it goes on without it"
        await lock.perform(Action.UNLOCK, 15.0)
        for _ in range(40):
            rig.virtual.device.changed()  # what makes a lock on demand be asked for its states
            await asyncio.sleep(90)
            await lock.refresh(15.0)
        assert lock.reachable
        assert lock.config_is_complete
        assert asked.times == ADVANCED_TRIES
        before = lock.reconnects
        if connection is ConnectionMode.PERSISTENT:
            await asyncio.sleep(3600)
            assert lock.reconnects == before


async def test_a_lock_that_is_busy_is_asked_later(asked: Asked) -> None:
    rig = Rig()
    asked.refusals = [ErrorCode.BUSY]
    async with rig.running() as lock:
        assert (lock.advanced_config, lock.fault, lock.reconnects) == (None, None, 1)
        await asyncio.sleep(CONFIG_RETRY_S + 1)
        assert lock.advanced_config is not None
        assert asked.times == 2


async def test_the_longest_times_that_can_be_set_are_waited_for() -> None:
    rig = Rig()
    rig.virtual.advanced.unlatch_duration, rig.virtual.advanced.lock_n_go_timeout = 30, 60
    async with rig.running() as lock:
        outcome = await lock.perform(Action.LOCK_N_GO_UNLATCH, 15.0)
        assert outcome.completion == "success"
        assert rig.movements() == ["lock_n_go_unlatch: unlatching", "lock_n_go_unlatch: locking"]
