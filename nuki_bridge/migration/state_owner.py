"""The state directory's owner: who writes there as root would leave files that the service cannot read."""

from __future__ import annotations

import os
import pwd
import urllib.parse  # noqa: F401 - else pathlib imports it in the block, where Python's own files may be out of reach
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nuki_bridge.errors import StoreError

SERVICE_USER = "nuki-bridge"
"""The system user of the packaged service."""


@contextmanager
def as_owner(directory: Path, *, make: bool) -> Iterator[None]:
    """As root, do what is in the block as the owner of the state directory; only what is imported already can be used.

    `make`: a directory that is not there is made for the service's user, if there is one.  Anybody else has to be the
    owner already; raises `StoreError`.
    """
    root = os.geteuid() == 0
    try:
        if not root:
            _refuse_others(directory)
        elif make and not directory.exists():
            _make(directory)
    except OSError as error:
        raise StoreError(f"{error.filename or directory} cannot be used: {error.strerror}") from None
    if not root or not directory.exists():
        yield
        return
    owner, groups, group = directory.stat(), os.getgroups(), os.getegid()
    try:
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _make(directory: Path) -> None:
    try:
        account = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        return  # whoever opens the database makes it
    directory.mkdir(mode=0o700, parents=True)
    os.chown(directory, account.pw_uid, account.pw_gid)


def _refuse_others(directory: Path) -> None:
    try:
        owner = directory.stat().st_uid
    except FileNotFoundError:
        return  # whoever may make it becomes its owner
    if owner != os.geteuid():
        raise StoreError(f"{directory} belongs to {_user_name(owner)}; run this as root, with sudo")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
