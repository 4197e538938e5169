"""Where somebody calls `nuki-bridge import`, and what other programs have paired."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.command_line import cli
from nuki_bridge.protocol.codes import Family, IdType
from nuki_bridge.store import PairedLock, Store
from tests.unit.other_programs import EXPORTS, OtherProgram

each_program = pytest.mark.parametrize("program", EXPORTS)


class Desk:
    """Where somebody calls `nuki-bridge import`."""

    def __init__(self, directory: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.state = state
        self.configuration = directory / "config.yaml"
        self.configure()
        self.capsys = capsys
        self.said: list[str] = []

    def configure(self, more: str = "") -> None:
        self.configuration.write_text(f"state_dir: {self.state}\n{more}")

    def run(self, export: str, *options: str) -> tuple[int, str, str]:
        """Import a file with this text; status, stdout and stderr."""
        file = self.directory / "export"
        file.write_text(export)
        file.chmod(0o600)
        status = cli.main(["import", str(file), "--config", str(self.configuration), *options])
        shown = self.capsys.readouterr()
        self.said += [shown.out, shown.err]
        return status, shown.out, shown.err

    def take(self, export: str, *options: str) -> dict[str, Any]:
        """The report as JSON about an import that succeeds."""
        status, out, err = self.run(export, "--json", *options)
        assert (status, err) == (0, "")
        report: dict[str, Any] = json.loads(out)
        return report

    def refused(self, export: str, *options: str) -> str:
        """The sentence about an import that fails, and changes nothing."""
        before = self.locks()
        status, out, err = self.run(export, *options)
        assert (status, out) == (1, "")
        assert err.count("\n") == 1
        assert self.locks() == before
        return err

    def locks(self) -> list[PairedLock]:
        return Store(self.state).peek()

    def put(self, *locks: PairedLock) -> None:
        store = Store(self.state)
        store.open()
        for each in locks:
            store.save_lock(each)
        store.close()

    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in self.state.iterdir()}


OTHER = OtherProgram(
    address="54:D2:72:2B:3C:4D",
    family=Family.CLASSIC,
    auth_id=bytes.fromhex("02000000"),
    secret=bytes.fromhex("8CAA54672307BFFDF5EA183FC607158D2011D008ECA6A1088614FF0853A5AA07"),
    device_public=bytes.fromhex("2FE57DA347CD62431528DAAC5FBB290730FFF684AFC4CFC2ED90995F58CB3B74"),
    shared_key=bytes.fromhex("217FCB0F18CAF284E9BDEA0B94B83B8D10867ED706BFDEDBD2381F4CB3B8F730"),
    id_type=IdType.BRIDGE,
    pin="0815",
)
"""The pairing in the document's own example."""
OPENER = replace(OTHER, address="54:D2:72:0A:0B:0C", family=Family.OPENER, auth_id=bytes.fromhex("0d010000"))
