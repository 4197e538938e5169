"""A daemon without OpenSSL, in a process of its own."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys

import pytest

LOAD = "import sys; from nuki_bridge.daemon import no_openssl; no_openssl.load(); "


def said(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_hashes_are_the_same() -> None:
    data, key = b"front door" * 50, bytes(range(32))
    code = LOAD + (
        "import hashlib, hmac\n"
        f"data, key = {data!r}, {key!r}\n"
        "print(hashlib.sha256(data).hexdigest(), hashlib.sha512(data).hexdigest())\n"
        "print(hmac.digest(key, data, 'sha256').hex(), *(hmac.compare_digest(b'a', each) for each in (b'a', b'b')))\n"
        "print('_hashlib' in sys.modules)"
    )
    digests = f"{hashlib.sha256(data).hexdigest()} {hashlib.sha512(data).hexdigest()}"
    assert said(code) == f"{digests}\n{hmac.digest(key, data, 'sha256').hex()} True False\nFalse"


def test_asyncio_runs_without_it() -> None:
    code = LOAD + (
        "import asyncio\n"
        "async def talk():\n"
        "    server = await asyncio.start_server(lambda r, w: (w.write(b'hello'), w.close()), '127.0.0.1', 0)\n"
        "    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())\n"
        "    print((await reader.read()).decode(), 'ssl' in sys.modules)\n"
        "    writer.close(); server.close()\n"
        "asyncio.run(talk())"
    )
    assert said(code) == "hello False"


@pytest.mark.parametrize("first", ["", "import ssl; ", "import asyncio; ", "import hashlib; "])
def test_whoever_needs_it_gets_the_real_one(first: str) -> None:
    code = LOAD + "import ssl, _hashlib; print(ssl.create_default_context.__module__, _hashlib.openssl_sha256.__name__)"
    assert said(first + code) == "ssl openssl_sha256"
