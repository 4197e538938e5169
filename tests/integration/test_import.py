"""A pairing that another program has exported, taken over beside the true daemon and a real mosquitto."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from nuki_bridge.store import Store
from tests.integration.broker import Broker
from tests.integration.command import call
from tests.integration.daemon import CLASSIC, running
from tests.unit.other_programs import OtherProgram, nuki_hub

pytestmark = pytest.mark.real_time


async def test_a_pairing_is_taken_over_while_the_service_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        async with running(broker, tmp_path) as home:
            await home.pair(CLASSIC, "front")
            (known,) = Store(tmp_path / "state").peek()
            assert (await home.ask("bridge/request/unpair", {"name": "front"}))["status"] == "ok"
            other = OtherProgram(
                known.address,
                known.family,
                known.authorization_id.to_bytes(4, "little"),
                bytes(32),
                bytes(32),
                known.shared_key,
                known.id_type,
                "1234",
            )
            export = tmp_path / "nuki_hub_settings.json"
            export.write_text(nuki_hub(other))
            line = ("import", str(export), "--config", str(home.daemon.config), "--name", "door")

            running_still = await call(*line)
            assert (running_still.status, "sudo systemctl stop nuki-bridge" in running_still.err) == (1, True)
            dry = await call(*line, "--dry-run")
            assert (dry.status, "would be taken from nuki_hub" in dry.out) == (0, True)
            home.daemon.signal(signal.SIGTERM)
            assert await home.daemon.ended(10) == 0
            assert Store(tmp_path / "state").peek() == []
            taken = await call(*line)
            assert (taken.status, taken.lines) == (0, [])
            assert known.shared_key.hex() not in taken.out + dry.out + running_still.err

            home.daemon.start()
            await home.until(lambda: home.last("door/state") == "locked")
            assert (await home.ask("door/set", "unlock"))["status"] == "ok"
            assert (await home.ask("door/request/pin/verify"))["status"] == "ok", "the PIN came along"
            [entry] = (await home.ask("door/request/users/list"))["data"]
            assert (entry["id"], entry["self"]) == (known.authorization_id, True)
            assert known.shared_key.hex() not in home.daemon.log
