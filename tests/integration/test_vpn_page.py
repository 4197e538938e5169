"""docs/vpn.md as it stands: its openssl commands, its listeners, and a client that trusts the authority they make."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.broker import Broker
from tests.integration.command import call
from tests.integration.guarded import LISTENER, GuardedBroker, password

pytestmark = pytest.mark.real_time

PAGE = (Path(__file__).parents[2] / "docs" / "vpn.md").read_text()


def block(beginning: str) -> str:
    """The code block that begins so."""
    found = re.search(rf"^```\w*\n({re.escape(beginning)}.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no block begins with {beginning}"
    return found[1]


class WithTls(GuardedBroker):
    """The shipped files with the page's TLS listener; only address, port and directory are others."""

    def run(self, configuration: Path) -> None:
        directory = self.directory / "etc"
        commands = block("openssl req -x509").replace("IP:192.168.1.10", "IP:127.0.0.1")
        commands = "\n".join(line for line in commands.splitlines() if not line.startswith("sudo"))
        subprocess.run(commands, shell=True, check=True, cwd=directory, capture_output=True)
        listener = block("listener 8883").replace("/etc/mosquitto/certs", str(directory))
        listener = listener.replace("listener 8883 192.168.1.10", f"listener {self.port} 127.0.0.1")
        file = directory / "conf.d" / "nuki-bridge.conf"
        plain = LISTENER.replace("1883", str(self.port))
        text = file.read_text()
        assert plain in text.splitlines()
        file.write_text(text.replace(plain, listener))
        super().run(configuration)


def test_the_listeners_of_the_page_are_those_of_the_shipped_file() -> None:
    shipped = (Path(__file__).parents[2] / "etc" / "mosquitto" / "nuki-bridge.conf").read_text().splitlines()
    first, second = block("listener 1883 127.0.0.1").splitlines()
    assert first in shipped
    assert f"#{second}" in shipped


async def test_tls_as_the_page_sets_it_up(tmp_path: Path) -> None:
    with WithTls(tmp_path) as broker:
        url = f"mqtts://owner:{password('owner')}@127.0.0.1:{broker.port}/nuki"
        trusted = await call("locks", "--broker", f"{url}?ca={tmp_path / 'etc' / 'ca.crt'}")
        assert (trusted.status, "(bridge_offline)" in trusted.err) == (1, True), trusted  # let in; nobody is there
        for wrong in (url, f"{url.replace('127.0.0.1', 'localhost')}?ca={tmp_path / 'etc' / 'ca.crt'}"):
            refused = await call("locks", "--broker", wrong)
            assert (refused.status, "(broker_error)" in refused.err, "TLS" in refused.err) == (1, True, True), refused
        assert isinstance(broker, Broker)
