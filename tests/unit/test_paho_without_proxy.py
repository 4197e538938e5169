"""What paho is loaded without, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = "import sys; from nuki_bridge.mqtt import paho_without_proxy; paho_without_proxy.load(); "


def said(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_is_loaded_that_only_proxies_need() -> None:
    loaded = said(LOAD + "import nuki_bridge.mqtt.paho; print(*sys.modules)").split()
    assert "paho.mqtt.client" in loaded
    assert not {"urllib.request", "http.client", "email"} & set(loaded)


@pytest.mark.parametrize(
    "first", ["", "import urllib.request; ", "import paho.mqtt.client; "], ids=["alone", "urllib first", "paho first"]
)
def test_whoever_needs_it_gets_the_real_one(first: str) -> None:
    assert said(first + LOAD + "import urllib.request; print(urllib.request.urlopen.__module__)") == "urllib.request"
