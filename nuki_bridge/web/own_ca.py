"""A certificate authority of one's own for the names in `own_ca`, made once, and the server's certificate under it.

It can vouch for nothing but these names and addresses (name constraints): who steals its key cannot play anybody's
bank.  Its key stays in the state directory, for this service alone to read.  The `openssl` program does the work, in a
child that is gone afterwards.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import ssl
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from nuki_bridge.errors import PageError

CA_DAYS = 3650
SERVER_DAYS = 180
"""Days for which a server's certificate is valid: phones accept 825 at most from an authority that their owner
installed."""
RENEW_DAYS = 60
"""How long before its end the server's certificate is renewed."""
FOLDER = "own-ca"
CA_FILE = "ca.pem"
CA_KEY_FILE = "ca.key"
SERVER_FILE = "server.pem"
"""The server's key and its certificate, in one file that is replaced as a whole."""
NAMES_FILE = "names"
_OPENSSL_S = 60.0


def prepare(state_dir: Path, names: Sequence[str]) -> Path:
    """Make the authority if there is none; gives its folder.  Raises `PageError`."""
    folder = state_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / CA_FILE).exists():
            _make(folder, names)
        allowed = (folder / NAMES_FILE).read_text().split()
    except OSError as error:
        raise PageError(f"{folder} cannot be used: {error.strerror}; the service has to own it") from None
    if outside := [each for each in names if not _is_below(each, allowed)]:
        raise PageError(
            f"the own CA in {folder} vouches for {', '.join(allowed)} only, not for {', '.join(outside)}: take that out"
            " of own_ca in web.yaml, or remove the folder for a new CA, which every phone has to install"
        )
    return folder


def issue(folder: Path, names: Sequence[str]) -> Path:
    """Return a new server certificate with its key for `names`; gives the file."""
    file = folder / SERVER_FILE
    with TemporaryDirectory(dir=folder) as place:
        csr, key, certificate = (Path(place) / each for each in ("csr", "key", "certificate"))
        config = _write_config(Path(place), names)
        _openssl("req", "-new", *_NEW_KEY, "-keyout", key, "-out", csr, "-config", config)
        _openssl(
            *("x509", "-req", "-in", csr, "-CA", folder / CA_FILE, "-CAkey", folder / CA_KEY_FILE),
            *("-set_serial", str(secrets.randbits(120) | 1), "-days", str(SERVER_DAYS), "-sha256"),
            *("-extfile", config, "-extensions", "server", "-out", certificate),
        )
        _put(file, key.read_bytes() + certificate.read_bytes())
    return file


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate as phones show it."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, 64, 2))


def _make(folder: Path, names: Sequence[str]) -> None:
    with TemporaryDirectory(dir=folder) as place:
        key, certificate = Path(place) / "key", Path(place) / "certificate"
        _openssl(
            *("req", "-x509", "-new", *_NEW_KEY, "-keyout", key, "-out", certificate),
            *("-days", str(CA_DAYS), "-sha256", "-config", _write_config(Path(place), names), "-extensions", "ca"),
        )
        _put(folder / CA_KEY_FILE, key.read_bytes())
        _put(folder / NAMES_FILE, "\n".join(names).encode())
        _put(folder / CA_FILE, certificate.read_bytes())  # last: it says that all is there


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _write_config(place: Path, names: Sequence[str]) -> Path:
    addresses = [each for each in names if _is_address(each)]
    hosts = [each for each in names if not _is_address(each)]
    lines = [
        "[req]",
        "distinguished_name = subject",
        "prompt = no",
        "[subject]",
        f"CN = {('Door page of ' + names[0])[:64]}",
        "[ca]",
        "basicConstraints = critical, CA:TRUE, pathlen:0",
        "keyUsage = critical, keyCertSign, cRLSign",
        "subjectKeyIdentifier = hash",
        "nameConstraints = critical, @permitted",
        "[server]",
        "basicConstraints = critical, CA:FALSE",
        "keyUsage = critical, digitalSignature",
        "extendedKeyUsage = serverAuth",
        "subjectKeyIdentifier = hash",
        "authorityKeyIdentifier = keyid",
        "subjectAltName = @names",
        "[names]",
        *(f"DNS.{number} = {each}" for number, each in enumerate(hosts)),
        *(f"IP.{number} = {each}" for number, each in enumerate(addresses)),
        "[permitted]",
        # A kind of name of which none is permitted would be free: so one is that nobody can have.
        *(f"permitted;DNS.{number} = {each}" for number, each in enumerate(hosts or ["nothing.invalid"])),
        *(f"permitted;IP.{number} = {_range(each)}" for number, each in enumerate(addresses or ["0.0.0.0"])),
        "permitted;email.0 = nothing.invalid",
    ]
    config = place / "openssl.cnf"
    config.write_text("\n".join([*lines, ""]))
    return config


def _range(address: str) -> str:
    """Return an address with the mask of all its bits."""
    ip = ipaddress.ip_address(address)
    return f"{ip}/255.255.255.255" if ip.version == 4 else f"{ip.exploded}/{':'.join(['ffff'] * 8)}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_below(name: str, allowed: Iterable[str]) -> bool:
    return any(name == each or (not _is_address(each) and name.endswith(f".{each}")) for each in allowed)


def _openssl(*arguments: object) -> None:
    try:
        ended = subprocess.run(
            ["openssl", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_OPENSSL_S,
            check=False,
            umask=0o077,
        )
    except FileNotFoundError:
        raise PageError("own_ca needs the program openssl; install it with: sudo apt install openssl") from None
    except subprocess.TimeoutExpired:
        raise PageError("openssl does not end; try again") from None
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:] or ["it does not say why"]
        raise PageError(f"openssl could not make a certificate: {last[0]}")


def _put(file: Path, content: bytes) -> None:
    """Replace a file as a whole, for this service alone to read."""
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(descriptor)
    new.replace(file)
