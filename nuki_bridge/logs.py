"""The log: lines on stderr, or entries of systemd's journal that carry the lock and the transaction as fields.

    journalctl NUKI_LOCK=front_door
    journalctl NUKI_TRANSACTION=7

Nothing but the fields named here is added to an entry: what a line was put together from stays out of it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LOCK_FIELD = "NUKI_LOCK"
TRANSACTION_FIELD = "NUKI_TRANSACTION"
MAX_TRANSACTION_SIZE = 64
"""Most characters of a transaction that are kept: it may be anything that somebody put into a command."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_CHATTY = ("asyncio", "bleak", "dbus_fast")
"""Loggers that write whole D-Bus messages at DEBUG, and so what goes to the lock and comes from it."""
_about: ContextVar[Mapping[str, str]] = ContextVar("about")


@contextmanager
def about(lock: str | None, transaction: object = None) -> Iterator[None]:
    """What is logged in this block, and by tasks that it starts, concerns that lock and that transaction."""
    fields = {LOCK_FIELD: lock, TRANSACTION_FIELD: None if transaction is None else _text(transaction)}
    token = _about.set({name: _printable(value) for name, value in fields.items() if value is not None})
    try:
        yield
    finally:
        _about.reset(token)


def _text(transaction: object) -> str:
    return transaction if isinstance(transaction, str) else json.dumps(transaction)


def _printable(value: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in value[:MAX_TRANSACTION_SIZE])


def set_up(level: str, environ: Mapping[str, str] = os.environ) -> None:
    """Log from `level` (`debug`, `info`, `warning`, `error`) on: to the journal if stderr is it, else to stderr."""
    to_journal = _stderr_is_the_journal(environ.get("JOURNAL_STREAM", ""))
    handler = _journal_handler() if to_journal else None
    if handler is None:
        handler = logging.StreamHandler(sys.stderr)
        plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
        handler.setFormatter(_PriorityFormatter("%(message)s") if to_journal else plain)
    logging.basicConfig(handlers=[handler], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Log from `level` on."""
    logging.getLogger().setLevel(level.upper())
    for library in _CHATTY:
        logging.getLogger(library).setLevel(max(logging.INFO, logging.getLogger().level))


def _stderr_is_the_journal(stream: str) -> bool:
    """Return whether systemd connected stderr to the journal; a child that redirected it inherits the variable, too."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


class _PriorityFormatter(logging.Formatter):
    """Lines for a journal that is reached through stderr: the priority stands in front of each."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def _journal_handler(send: Callable[..., None] | None = None) -> logging.Handler | None:
    """systemd-python's handler with our fields; None if that is not installed.  `send` may take libsystemd's place."""
    try:
        from systemd import journal  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return None
    to_journal = send or journal.send

    def send_fields(message: str, /, **fields: Any) -> None:
        # The handler adds every attribute of the record; the journal knows upper-case names only.
        to_journal(message, **{name: value for name, value in fields.items() if name.isupper()})

    class Handler(journal.JournalHandler):  # type: ignore[misc]
        def emit(self, record: logging.LogRecord) -> None:
            # Without its arguments and exception, which the handler would add as fields of their own.
            bare = logging.LogRecord(
                record.name, record.levelno, record.pathname, record.lineno, self.format(record), None, None
            )
            bare.funcName, bare.threadName = record.funcName, record.threadName
            vars(bare).update(_about.get({}))
            super().emit(bare)

    handler: logging.Handler = Handler(sender_function=send_fields, SYSLOG_IDENTIFIER="nuki-bridge")
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler
