"""What the daemon tells whoever runs it: log lines on stderr, and systemd's readiness, status and watchdog."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_CHATTY = ("asyncio", "bleak", "dbus_fast")
"""They log whole D-Bus messages at DEBUG, and with them what goes to the lock and comes from it."""


class _JournalFormatter(logging.Formatter):
    """Lines for the journal: it keeps the time itself, the priority stands in front of each line."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def set_up_logging(level: str, environ: Mapping[str, str] = os.environ) -> None:
    """Log to stderr from `level` (`debug`, `info`, `warning`, `error`) on."""
    handler = logging.StreamHandler(sys.stderr)
    if _stderr_is_the_journal(environ.get("JOURNAL_STREAM", "")):
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in _CHATTY:
        logging.getLogger(library).setLevel(max(logging.INFO, logging.getLogger().level))


def _stderr_is_the_journal(stream: str) -> bool:
    """Is stderr what systemd connected to the journal?  A child that redirected it inherits the variable, too."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def notifier(environ: Mapping[str, str] = os.environ) -> Callable[[str], None]:
    """A function that sends a line such as `READY=1` to systemd; it does nothing elsewhere."""
    if "NOTIFY_SOCKET" not in environ:
        return lambda line: None
    try:
        from systemd.daemon import notify
    except ImportError:
        logging.getLogger(__name__).warning("systemd waits to be told, but python3-systemd is not installed")
        return lambda line: None
    return lambda line: notify(line) and None


async def feed_watchdog(notify: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> None:
    """Show systemd's watchdog at half its interval that the event loop runs; ends at once if there is none."""
    try:
        interval_s = int(environ["WATCHDOG_USEC"]) / 1e6
        mine = int(environ.get("WATCHDOG_PID", os.getpid())) == os.getpid()
    except (KeyError, ValueError):
        return
    while mine and interval_s > 0:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s / 2)
