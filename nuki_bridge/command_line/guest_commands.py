"""The commands of an invited person, who has a broker account for guests and no access to the bridge.

`broker` in each of them reads the common options (`cli`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nuki_bridge.command_line import access_options
from nuki_bridge.command_line.asking import progress, show
from nuki_bridge.command_line.registration import Commands
from nuki_bridge.errors import RequestError

if TYPE_CHECKING:
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.guest.credential_file import Credential
    from nuki_bridge.lock.lock import Lock

Broker = Callable[[str | None], "tuple[MqttSettings, str | None]"]
"""Return the broker to use, given the URL that a credential remembers; and its URL, if it was given as one."""

ACTIONS = ("lock", "unlock", "unlatch", "lock-n-go", "open", "activate-rto", "deactivate-rto")
"""The actions that a guest can ask for; which of them there are depends on the device."""

_LINE = 500
"""Characters of a letter's line that are looked at."""
_LINES = 40
"""Lines of a letter that are read to find the code: more than `invite` prints before it."""

T = TypeVar("T")


def declare(commands: Commands) -> None:
    """Add the commands with their arguments."""
    _declare_redeem(commands.add("redeem", "redeem an invitation on this device", redeem))
    _declare_guest(commands.add("guest", "use a lock with a redeemed invitation", guest))


def _declare_redeem(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "code",
        metavar="CODE",
        nargs="?",
        help="the invitation's code or link; better left out, it is asked for then, or the whole letter (- or no "
        "terminal: read from standard input): others on this machine can see a command line until the program has "
        "hidden the code",
    )
    parser.add_argument(
        "--credential", type=Path, metavar="FILE", help="where to keep the credential; must not be there yet"
    )


def _declare_guest(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Without --broker it is the one that the invitation was redeemed with."
    parser.add_argument(
        "action", choices=(*ACTIONS, "status"), metavar="ACTION", help=f"{', '.join(ACTIONS)} or status"
    )
    parser.add_argument("lock", nargs="?", metavar="LOCK", help="may be left out if there is only one credential")
    parser.add_argument("--credential", type=Path, metavar="FILE", help="default: the one kept by redeem")
    parser.add_argument(
        "--bluetooth", action="store_true", help="directly, near the door, without the bridge and without a broker"
    )
    parser.add_argument("--adapter", metavar="NAME", help="with --bluetooth: such as hci0 (default: the first powered)")


async def redeem(arguments: argparse.Namespace, broker: Broker) -> None:
    """Get the credential of an invitation and keep it."""
    from nuki_bridge.guest import credential_file
    from nuki_bridge.guest.guest import Redemption
    from nuki_bridge.guest.relay_link import GuestConnection
    from nuki_bridge.sharing.invitation_code import read_code

    try:
        redemption = Redemption(read_code(_code(arguments.code)))
    except ValueError as error:
        raise RequestError("bad_code", str(error)) from None
    if arguments.credential is not None:
        credential_file.refuse_existing(arguments.credential)
    credential_file.refuse_unwritable(arguments.credential or credential_file.directory() / "new.json")
    settings, url = _with_password(*broker(None))
    connection = GuestConnection(settings)
    try:
        with progress(arguments, "asking the bridge for the credential"):
            await connection.open()
            credential = await redemption.ask(connection, settings.base_topic)
    finally:
        await connection.close()
    path = arguments.credential or credential_file.directory() / f"{credential.name}.json"
    try:
        credential_file.store(path, credential, url)
    except RequestError as error:
        raise RequestError(error.code, f"{error}; call this again within 10 minutes with --credential FILE") from None
    redemption.done()
    found = {"lock": credential.name, "user": credential.user, "remote": credential.remote, "credential": str(path)}
    where = "" if arguments.credential is None else f" --credential {path}"
    example = "open" if credential.family.value == "opener" else "unlock"
    text = (
        f"{credential.name}: {credential.user} can use this lock now, for example: nuki-bridge guest {example}{where}"
    )
    show(arguments, found if arguments.json else text)


def _with_password(settings: MqttSettings, url: str | None) -> tuple[MqttSettings, str | None]:
    """Ask for the password of an account that the broker's URL names without one; needs a terminal for that."""
    if url is None or settings.username is None or settings.password is not None or not sys.stdin.isatty():
        return settings, url
    import getpass
    from dataclasses import replace
    from urllib.parse import quote

    from nuki_bridge.config import Secret

    password = getpass.getpass(f"The password of {settings.username} at {settings.host} (empty if it has none): ")
    if not password:
        return settings, url
    scheme, _, rest = url.partition("://")
    account, _, place = rest.partition("@")
    return replace(settings, password=Secret(password)), f"{scheme}://{account}:{quote(password, safe='')}@{place}"


def _code(argument: str | None) -> str:
    """Return the code as it was given; of a letter pasted or piped whole, the line that has it."""
    if argument not in (None, "-"):
        assert argument is not None
        return argument
    from nuki_bridge.sharing.invitation_code import in_letter

    asks = sys.stdin.isatty()
    if asks:
        print("The invitation's code, or the letter: ", end="", file=sys.stderr, flush=True)
    first = sys.stdin.readline(_LINE)
    line, lines = first, 1
    while (code := in_letter(line)) is None and line and lines < _LINES and first.strip():
        line, lines = sys.stdin.readline(_LINE), lines + 1
    if asks:
        _drop_typed()  # else the rest of a letter goes to the shell, as commands
    return first if code is None else code


def _drop_typed() -> None:
    import termios

    with suppress(termios.error, ValueError, OSError):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


async def guest(arguments: argparse.Namespace, broker: Broker) -> None:
    """Act on the lock, or show its state, with a credential."""
    from nuki_bridge.guest import credential_file

    credential = credential_file.load(arguments.credential or credential_file.find(arguments.lock))
    if arguments.lock not in (None, credential.name) and arguments.credential is not None:
        raise RequestError("unknown_lock", f"this credential is for {credential.name}, not for {arguments.lock}")
    name, action = credential.name, arguments.action
    with progress(arguments, f"{name}: waiting for {action}") as tell:
        if action == "status":
            show(arguments, await _status(arguments, credential, broker))
            return
        completion = await _act(arguments, credential, broker, tell)
    word = action.replace("-", "_")
    result = {"lock": name, "action": word, "status": "ok", "completion": completion}
    show(arguments, result if arguments.json else f"{name}: {word}: {completion}")


async def _status(arguments: argparse.Namespace, credential: Credential, broker: Broker) -> dict[str, Any]:
    from nuki_bridge.guest.guest import SEND_TIMEOUT_S
    from nuki_bridge.lock import state_json
    from nuki_bridge.lock.profile import profile_of

    states = await _with_lock(
        arguments, credential, broker, lambda lock: lock.refresh(SEND_TIMEOUT_S), lambda state: None
    )
    return {
        "lock": credential.name,
        "state": profile_of(credential.family).state_word(states.lock_state),
        "door": state_json.door_word(states),
        "battery": state_json.battery(states),
    }


async def _act(
    arguments: argparse.Namespace, credential: Credential, broker: Broker, tell: Callable[[str], None]
) -> str:
    from nuki_bridge.guest.guest import SEND_TIMEOUT_S
    from nuki_bridge.lock.profile import profile_of

    profile = profile_of(credential.family)
    action = profile.names.find(arguments.action)
    if action is None:
        raise RequestError(
            "unknown_action",
            f"{credential.name} has no action {arguments.action}; it has {', '.join(profile.names.by_name)}",
        )
    outcome = await _with_lock(
        arguments,
        credential,
        broker,
        lambda lock: lock.perform(action, SEND_TIMEOUT_S),
        lambda state: tell(f"{credential.name}: {state}"),
        twice=profile.is_repeatable(action),
    )
    return outcome.completion


async def _with_lock(
    arguments: argparse.Namespace,
    credential: Credential,
    broker: Broker,
    work: Callable[[Lock], Awaitable[T]],
    on_state: Callable[[str], None],
    *,
    twice: bool = False,
) -> T:
    from nuki_bridge.guest import guest
    from nuki_bridge.lock.profile import profile_of

    def on_states(states: Any) -> None:
        on_state(profile_of(credential.family).state_word(states.lock_state))

    try:
        if arguments.bluetooth:
            from nuki_bridge.bluetooth.radio import BluezRadio

            return await guest.over_radio(BluezRadio(arguments.adapter), credential, work, on_states)
        return await guest.over_relay(broker(credential.broker)[0], credential, work, on_states, twice=twice)
    except RequestError as error:
        if error.code != "time_not_allowed":
            raise
        raise RequestError(error.code, f"{error}; {_when_allowed(credential)}") from None


def _when_allowed(credential: Credential) -> str:
    """Return when a credential opens the door, as far as the guest has been told."""
    limits = access_options.in_words(credential.data.get("access"))
    if limits is None:
        return "the owner has limited it since you were invited: ask when it is"
    return f"when you were invited it was {limits}, which the owner may have changed"
