"""Where the `nuki-bridge` command begins: a service starts without the parser of what people type.

That parser would take more than a megabyte for as long as the service runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); return the exit status; argparse may exit by itself."""
    given = sys.argv[1:] if argv is None else argv
    serve = service(given)
    if serve is None:
        from nuki_bridge.command_line import cli

        return cli.main(given)
    try:
        status = serve()
        sys.stdout.flush()
    except BaseException as error:
        return _told(error)
    return status


def service(argv: Sequence[str]) -> Callable[[], int] | None:
    """Return what runs the service that this starts, None if it is any other command, or a mistake."""
    name, *options = argv or [""]
    if name not in ("run", "web") or (options and not _names_file(options)):
        return None
    file = Path(options[1]) if options else None
    if name == "run":
        from nuki_bridge.command_line import daemon_commands

        return partial(daemon_commands.run_daemon, file)
    from nuki_bridge.command_line import web_commands

    return partial(web_commands.serve_page, file)


def _names_file(options: Sequence[str]) -> bool:
    return len(options) == 2 and options[0] == "--config" and options[1].strip() != "" and options[1][0] != "-"


def _told(error: BaseException) -> int:
    """Say what has ended a service as the command line says it of any command; return the exit status."""
    from nuki_bridge.command_line import cli

    def again() -> NoReturn:
        raise error

    return cli.ended(again)
