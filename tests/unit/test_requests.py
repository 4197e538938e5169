"""What a request takes and what it does stand in two tables, which know the same requests."""

from __future__ import annotations

from nuki_bridge.bridge import bridge_commands, lock_commands
from nuki_bridge.topics import arguments


def test_every_request_to_the_bridge_has_arguments_and_a_handler() -> None:
    """One without arguments would be refused as unknown, one without a handler be an internal error."""
    assert set(arguments.BRIDGE_COMMANDS) == set(bridge_commands.COMMANDS)


def test_every_request_to_a_lock_has_arguments_and_a_handler() -> None:
    assert set(arguments.LOCK_COMMANDS) == set(lock_commands.COMMANDS)


def test_requests_that_only_read_exist() -> None:
    """A wrong name there would have a reading request be answered from memory."""
    assert {*arguments.BRIDGE_COMMANDS, *arguments.LOCK_COMMANDS} >= arguments.READING
