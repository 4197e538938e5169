"""mosquitto with the files in etc/mosquitto as they are shipped."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.integration.broker import Broker, Peer

SHIPPED = Path(__file__).parents[2] / "etc" / "mosquitto"
ACCOUNTS = ("nuki", "owner", "home", "guest", "bridge_api")
LISTENER = "listener 1883 127.0.0.1"
EVERYBODY = ("user everybody", "topic readwrite #")
"""An account that the test adds, to publish what is read and to read what is published."""
OPTIONAL = "#topic write nuki/+/request/"
"""How a line begins that is there to be taken into use."""


class GuardedBroker(Broker):
    """mosquitto with the shipped files, as its README lines install them; only port and directory are others."""

    options_used = False

    def start(self) -> None:
        directory = self.directory / "etc"
        (directory / "conf.d").mkdir(parents=True)
        for file in SHIPPED.iterdir():
            text = file.read_text()
            if file.suffix == ".conf":
                assert LISTENER in text.splitlines()
                assert "/etc/mosquitto/" in text
                text = text.replace(LISTENER, LISTENER.replace("1883", str(self.port)))
                text = text.replace("_file /etc/mosquitto/", f"_file {directory}/")
            if file.suffix == ".acl":
                assert f"\n{OPTIONAL}" in text
                text = text.replace(OPTIONAL, OPTIONAL[1:]) if self.options_used else text
                text = "\n".join([text, *EVERYBODY, ""])
            (directory / ("conf.d" if file.suffix == ".conf" else "") / file.name).write_text(text)
        passwords = directory / "nuki-bridge.passwd"
        for account in (*ACCOUNTS, "everybody"):
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), account, password(account)], check=True)
        main = directory / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""  # else it drops root and cannot read this directory
        main.write_text(f"{user}persistence false\nlog_type all\ninclude_dir {directory}/conf.d\n")
        self.run(main)

    def url(self, account: str) -> str:
        """How the command line reaches it."""
        return f"mqtt://{account}:{password(account)}@127.0.0.1:{self.port}/nuki"

    def peer(self, account: str) -> Peer:
        """An MQTT client that uses an account."""
        return Peer(self, username=account, password=password(account))


def password(account: str) -> str:
    return f"{account}'s-secret"
