"""What an entry of the journal carries, and what it must not; and the lines where there is no journal."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge import logs
from nuki_bridge.config import LockSettings
from nuki_bridge.logs import MAX_TRANSACTION_SIZE, about
from tests.unit.house import CLASSIC, House

log = logging.getLogger("nuki_bridge.test")


class Journal:
    """Takes the place of libsystemd's socket."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def send(self, message: str, **fields: Any) -> None:
        self.entries.append({"MESSAGE": message, **fields})

    def with_message(self, start: str) -> dict[str, Any]:
        return next(each for each in self.entries if each["MESSAGE"].startswith(start))


@pytest.fixture
def journal() -> Iterator[Journal]:
    pytest.importorskip("systemd.journal")
    journal = Journal()
    handler = logs._journal_handler(journal.send)
    assert handler is not None
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield journal
    root.removeHandler(handler)
    root.setLevel(before)


def test_an_entry_says_where_it_comes_from(journal: Journal) -> None:
    log.warning("the lock is %d m away", 7)
    entry = journal.entries[0]
    assert (entry["MESSAGE"], entry["PRIORITY"]) == ("the lock is 7 m away", "4")
    assert entry["CODE_FILE"] == __file__
    assert entry["CODE_FUNC"] == "test_an_entry_says_where_it_comes_from"
    assert isinstance(entry["CODE_LINE"], int)
    assert entry["LOGGER"] == "nuki_bridge.test"
    assert entry["SYSLOG_IDENTIFIER"] == "nuki-bridge"


def test_an_entry_carries_nothing_beside_the_known_fields(journal: Journal) -> None:
    """What a line was put together from may say more than the line: its repr is not what was to be shown."""
    try:
        raise ValueError("no such thing")
    except ValueError:
        log.exception("%s failed", "it")
    log.info("%s", "hidden")
    known = {
        "MESSAGE",
        "PRIORITY",
        "LOGGER",
        "THREAD_NAME",
        "PROCESS_NAME",
        "CODE_FILE",
        "CODE_LINE",
        "CODE_FUNC",
        "SYSLOG_IDENTIFIER",
    }
    assert [each.keys() - known for each in journal.entries] == [set(), set()]
    assert "Traceback" in journal.entries[0]["MESSAGE"]


def test_lock_and_transaction_stand_in_fields_of_their_own(journal: Journal) -> None:
    with about("front_door", 7):
        log.info("one")
        with about("shed"):
            log.info("two")
        log.info("three")
    log.info("four")
    assert [(each.get("NUKI_LOCK"), each.get("NUKI_TRANSACTION")) for each in journal.entries] == [
        ("front_door", "7"),
        ("shed", None),
        ("front_door", "7"),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("transaction", "field"),
    [
        ("abc", "abc"),
        (7, "7"),
        (False, "false"),
        ({"a": [1, "ü"]}, '{"a": [1, "\\u00fc"]}'),
        ("one\nMESSAGE=two\0", "one?MESSAGE=two?"),
        ("\ud800x", "?x"),
        ("x" * 100, "x" * MAX_TRANSACTION_SIZE),
    ],
)
def test_a_transaction_is_anybodys_text(journal: Journal, transaction: object, field: str) -> None:
    with about("front_door", transaction):
        log.info("one")
    assert journal.entries[0]["NUKI_TRANSACTION"] == field


async def test_a_command_is_found_by_its_lock_and_transaction(journal: Journal, tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front_door", CLASSIC))
    async with house.running():
        await house.pair(name="front_door")
        await house.ask("front_door/set", {"action": "unlock", "transaction": "evening 1"})
        await house.ask("front_door/set", {"action": "fly", "transaction": 8})
        await asyncio.sleep(60.0)
    done = journal.with_message("front_door: unlock: done")
    assert (done["NUKI_LOCK"], done["NUKI_TRANSACTION"]) == ("front_door", "evening 1")
    refused = journal.with_message("front_door: set refused")
    assert (refused["NUKI_LOCK"], refused["NUKI_TRANSACTION"]) == ("front_door", "8")
    received = [each for each in journal.entries if each["MESSAGE"].startswith("received")]
    assert {each.get("NUKI_LOCK") for each in received} >= {"front_door"}


async def test_what_happens_to_a_lock_by_itself_bears_its_name(journal: Journal, tmp_path: Path) -> None:
    house = House(tmp_path / "state", LockSettings("front_door", CLASSIC))
    async with house.running():
        await house.pair(name="front_door")
        before = len(journal.entries)
        await asyncio.sleep(60.0)
        sent = [each for each in journal.entries[before:] if each["MESSAGE"].startswith("send")]
        assert sent
        assert {each["NUKI_LOCK"] for each in sent} == {"front_door"}
        assert not any("NUKI_TRANSACTION" in each for each in sent)


# -- without the journal ----------------------------------------------------------------------------------------------


def stream_of(file: Any) -> dict[str, str]:
    status = os.fstat(file.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_plain_lines_where_stderr_is_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stderr", err)
        logs.set_up("info", {"JOURNAL_STREAM": "1:2"})
        with about("front_door", 7):
            log.warning("one")
            log.debug("two")
    written = (tmp_path / "err").read_text()
    assert written.endswith("WARNING one\n")
    assert written.count("\n") == 1


def test_priorities_where_systemd_python_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    with (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stderr", err)
        logs.set_up("debug", stream_of(err))
        log.error("one\ntwo")
        log.debug("three")
    assert (tmp_path / "err").read_text() == "<3>one\n<3>two\n<7>three\n"


def test_libraries_that_log_messages_to_the_lock_are_kept_quiet() -> None:
    logs.set_up("debug", {})
    assert not logging.getLogger("dbus_fast").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("bleak.backends").isEnabledFor(logging.DEBUG)
    logs.set_level("error")
    assert not logging.getLogger("bleak").isEnabledFor(logging.WARNING)
    assert not log.isEnabledFor(logging.WARNING)
