"""What paho is loaded without, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = "import sys; from nuki_bridge.mqtt import paho_loader; paho_loader.load(tls=False); "
LOAD_TLS = LOAD.replace("False", "True")


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
    assert said(first + LOAD + "import ssl; print(ssl.create_default_context.__module__)") == "ssl"


def test_a_connection_without_tls_does_not_load_it() -> None:
    assert said(LOAD + "print('ssl' in sys.modules)") == "False"


@pytest.mark.parametrize("first", ["", "import ssl; ", LOAD, LOAD + "import ssl; "])
def test_paho_has_the_real_one_as_soon_as_tls_is_wanted(first: str) -> None:
    code = first + LOAD_TLS + "import ssl; print(sys.modules['paho.mqtt.client'].ssl is ssl)"
    assert said(code) == "True"


def test_a_socket_without_tls_that_would_block_is_told_as_such() -> None:
    """Both ways: paho asks for TLS's exceptions first."""
    code = (
        "from nuki_bridge.daemon import no_openssl; no_openssl.load(); "
        + LOAD
        + (
            "import socket; from nuki_bridge.mqtt.paho import PahoOnSocket\n"
            "ours, theirs = socket.socketpair(); ours.setblocking(False)\n"
            "client = PahoOnSocket(ours, client_id='x', five=True); client._sock = ours\n"
            "fill = lambda: [client._sock_send(bytes(1 << 20)) for _ in range(99)]\n"
            "for way in (lambda: client._sock_recv(1), fill):\n"
            "    try: way()\n"
            "    except BlockingIOError: print('blocked', end=' ')\n"
            "print('ssl' in sys.modules)"
        )
    )
    assert said(code) == "blocked blocked False"
