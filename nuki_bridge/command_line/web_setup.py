"""`nuki-bridge web setup`: three questions, then web.yaml with its secrets, and the page's address with a QR code.

What an option says is not asked.  Files are written for root and the page's service alone to read; nothing that is
there is replaced unless `--replace` says so, and that leaves the section of the Bridge HTTP API as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import grp
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nuki_bridge.errors import BrokerError, ConfigError, RequestError

if TYPE_CHECKING:
    from nuki_bridge.web.settings import WebSettings

SERVICE = "nuki-bridge-web"
"""Name of the service, and of its user and group."""
PASSWORD_FILE = "web-guest-password"
"""File beside web.yaml with the password of the guests' account."""
CERT_FILE, KEY_FILE = "page-cert.pem", "page-key.pem"
"""Files beside web.yaml with copies of the certificate and its key."""
HOOK = Path("/etc/letsencrypt/renewal-hooks/deploy/nuki-bridge-web")
"""Script that copies a certificate of Let's Encrypt again after each renewal."""
OTHER_TLS_PORT = 8443
"""Port of the page where 443 is taken."""

WAYS = {
    "files": "a certificate that I have, such as one of Let's Encrypt: the only one that is fit for guests",
    "own-ca": "an authority of this computer's own, which my family's phones have to install",
    "vpn": "none, because phones come over a VPN that protects what they send",
    "local": "none, to try the page on this computer alone",
}


def setup(arguments: argparse.Namespace) -> int:
    """Ask, write the files, and tell the address.

    Raises `RequestError` if something is missing that nobody can be asked for.
    """
    from nuki_bridge.web import settings as web_settings

    file = arguments.config or web_settings.DEFAULT_PATH
    if arguments.show:
        _show(web_settings.load(file))
        return 0
    if file.exists() and not arguments.replace:
        raise RequestError("bad_arguments", f"{file} is there already; --show shows the address, --replace replaces it")
    if not os.access(file.parent, os.W_OK):
        raise RequestError("bad_arguments", f"{file.parent} cannot be written; call this with sudo")
    kept, taken = _bridge_api(file)
    lines = [*_asked(arguments, file.parent, taken), *kept]
    _write(file, "\n".join([*lines, ""]).encode())
    settings = web_settings.load(file)
    _tell_bridge(file.with_name("config.yaml"), url_of(settings))
    _start()
    _show(settings)
    return 0


# -- the questions ----------------------------------------------------------------------------------------------------


def _asked(arguments: argparse.Namespace, directory: Path, taken: int | None) -> list[str]:
    """Return the lines of web.yaml; the port `taken` is the Bridge HTTP API's."""
    from nuki_bridge.web.settings import PLAIN_PORT

    if taken is not None and arguments.port == taken:
        raise RequestError("bad_arguments", f"port {taken} is that of bridge_api in web.yaml; give another one")
    name = arguments.name or _ask("Under which name or IP address do phones find this computer?", _own_name())
    way = arguments.certificate or _choose("Which certificate shall the page have?", WAYS)
    lines = ["# Written by `nuki-bridge web setup`; the example with all keys is beside the documentation."]
    secure = way in ("files", "own-ca")
    port = arguments.port or (_free_tls_port() if secure else PLAIN_PORT)
    port += port == taken
    if way == "files":
        cert = arguments.cert or Path(
            _ask("File of the certificate with its chain?", f"/etc/letsencrypt/live/{name}/fullchain.pem")
        )
        key = arguments.key or Path(_ask("File of its key?", str(cert.with_name("privkey.pem"))))
        cert, key = _readable(cert, key, directory)
        lines += ["tls:", f"  cert: {_quoted(cert)}", f"  key: {_quoted(key)}", f"names: [{_quoted(name)}]"]
    elif way == "own-ca":
        lines += [f"own_ca: [{_quoted(name)}]"]
    elif way == "vpn":
        lines += ["insecure: true", f"names: [{_quoted(name)}]"]
        lines += [f"listen: {_quoted(_own_address(name))}"]
    lines += [f"port: {port}", *_broker_lines(directory / "config.yaml")]
    if not arguments.no_guests:
        guest = arguments.guest or _ask("The guests' account at the broker?", "guest")
        password = _password(arguments)
        lines += ["guest:", f"  username: {_quoted(guest)}"]
        if password:
            secret = directory / PASSWORD_FILE
            _write(secret, f"{password}\n".encode())
            lines.append(f"  password_file: {_quoted(secret)}")
    return lines


def _ask(question: str, default: str) -> str:
    if not sys.stdin.isatty():
        raise RequestError(
            "bad_arguments", f"there is no terminal to ask: {question} Give the options; --help lists them"
        )
    return input(f"{question} [{default}] ").strip() or default


def _choose(question: str, ways: dict[str, str]) -> str:
    names = list(ways)
    if sys.stdin.isatty():
        print(question)
        for number, name in enumerate(names, 1):
            print(f"  {number}  {ways[name]} ({name})")
    while True:
        answer = _ask("Number?", "1")
        if answer in names:
            return answer
        if answer.isdigit() and 1 <= int(answer) <= len(names):
            return names[int(answer) - 1]


def _password(arguments: argparse.Namespace) -> str:
    file = arguments.guest_password_file
    if file is None:
        if not sys.stdin.isatty():
            return ""
        return getpass.getpass("Its password (empty if the broker wants none): ")
    try:
        return (sys.stdin.readline() if str(file) == "-" else file.read_text()).rstrip("\r\n")
    except OSError as error:
        raise RequestError("bad_arguments", f"{file} cannot be read: {error.strerror}") from None


def _own_name() -> str:
    return f"{os.uname().nodename.partition('.')[0]}.local"


def _own_address(name: str) -> str:
    """Return the IP address of this machine that `name` is or has; plain http must not be served on all of them."""
    try:
        for _, _, _, _, (address, *_) in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
            with contextlib.suppress(OSError), socket.create_server((str(address), 0), family=_family(str(address))):
                return str(address)
    except OSError:
        pass
    raise RequestError(
        "bad_arguments",
        f"{name} is no address of this machine now; start the VPN first, and give the machine's address or name in it",
    )


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _free_tls_port() -> int:
    try:
        with socket.create_server(("", 443)):
            return 443
    except OSError as error:
        return OTHER_TLS_PORT if error.errno == 98 else 443


def _broker_lines(config_file: Path) -> list[str]:
    """Return the lines that say where the broker is, as the bridge's own configuration does."""
    from nuki_bridge import config

    try:
        mqtt = config.load(config_file, secrets=False).mqtt if config_file.exists() else config.MqttSettings()
    except ConfigError:
        return []
    if (mqtt.host, mqtt.port, mqtt.tls, mqtt.base_topic) == ("localhost", 1883, None, "nuki"):
        return []
    tls: list[str] = []
    if mqtt.tls is not None:
        tls = ["  tls: true"] if mqtt.tls.ca is None else [f"  tls: {{ca: {_quoted(mqtt.tls.ca)}}}"]
    topic = [] if mqtt.base_topic == "nuki" else [f"  base_topic: {_quoted(mqtt.base_topic)}"]
    return ["broker:", f"  host: {_quoted(mqtt.host)}", f"  port: {mqtt.port}", *topic, *tls]


def _bridge_api(file: Path) -> tuple[list[str], int | None]:
    """Return the section of the Bridge HTTP API that a file has, line by line, and its port."""
    import yaml

    from nuki_bridge.web.settings import PLAIN_PORT

    try:
        text = file.read_text()
        root = yaml.compose(text, yaml.SafeLoader)
        pairs = root.value if isinstance(root, yaml.MappingNode) else ()
        spans = [(key.start_mark.index, value.end_mark.index) for key, value in pairs if key.value == "bridge_api"]
        if not spans:
            return [], None
        section = text[slice(*spans[0])].rstrip()
        values = yaml.safe_load(section)["bridge_api"]
        port = values.get("port", PLAIN_PORT) if isinstance(values, dict) else None
        return section.splitlines(), port if isinstance(port, int) else None
    except FileNotFoundError:
        return [], None
    except (OSError, ValueError, yaml.YAMLError):  # without its text, which may quote a secret
        raise RequestError(
            "bad_arguments", f"bridge_api in {file} could not be read, to be kept; move the file away first"
        ) from None


def _quoted(value: object) -> str:
    """Return a scalar of YAML, whatever it holds."""
    return "'" + str(value).replace("'", "''") + "'"


# -- files ------------------------------------------------------------------------------------------------------------


def _group() -> int | None:
    """Return the service's group, if this user may give files to it."""
    try:
        return grp.getgrnam(SERVICE).gr_gid if os.geteuid() == 0 else None
    except KeyError:
        return None


def _write(file: Path, content: bytes) -> None:
    """Replace a file as a whole, for root and the service to read."""
    group, new = _group(), file.with_name(f".{file.name}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as opened:
            opened.write(content)
            if group is not None:
                os.fchown(descriptor, 0, group)
                os.fchmod(descriptor, 0o640)
        new.replace(file)
    except OSError as error:
        raise RequestError("bad_arguments", f"{file} cannot be written: {error.strerror}") from None


def _readable(cert: Path, key: Path, directory: Path) -> tuple[Path, Path]:
    """Return the certificate's files where the service can read them: copies, renewed by a hook, if only root can."""
    from nuki_bridge.web import certificate

    certificate.read(cert, key)
    group = _group()
    if group is None or all(_may_read(each, group) for each in (cert, key)):
        return cert.absolute(), key.absolute()
    copies = directory / CERT_FILE, directory / KEY_FILE
    for source, copy in zip((cert, key), copies, strict=True):
        _write(copy, source.read_bytes())
    if cert.parent.parent == Path("/etc/letsencrypt/live") and HOOK.parent.is_dir():
        HOOK.write_text(_hook(cert.parent, cert.name, key.name, *copies))
        HOOK.chmod(0o755)
        print(f"The certificate is copied for the service, and again after each renewal by {HOOK}.")
    else:
        print(f"The certificate is copied for the service: call this again when {cert} is another one.")
    return copies


def _may_read(file: Path, group: int) -> bool:
    places = [file.resolve(), *file.resolve().parents, *file.absolute().parents]
    for place in places:
        status = place.stat()
        bits = status.st_mode >> 3 if status.st_gid == group else status.st_mode
        if not bits & (0o4 if place == places[0] else 0o1):
            return False
    return True


def _hook(lineage: Path, cert: str, key: str, cert_copy: Path, key_copy: Path) -> str:
    return f"""#!/bin/sh
# Written by `nuki-bridge web setup`: the phone page's service takes a renewed certificate by itself.
[ "$RENEWED_LINEAGE" = {lineage} ] || exit 0
umask 027
for each in {cert}:{cert_copy} {key}:{key_copy}; do
    to=${{each#*:}}
    install -m 640 -g {SERVICE} "$RENEWED_LINEAGE/${{each%%:*}}" "$to.new" && mv "$to.new" "$to"
done
"""


def _tell_bridge(file: Path, url: str) -> None:
    """Have invitations link to the page, unless the bridge's configuration says something already."""
    from nuki_bridge import config

    try:
        said = config.load(file, other_files=False).web.url if file.exists() else None
        text = file.read_text() if file.exists() else ""
        if said == url:
            return
        if said is not None or any(line.startswith("web:") for line in text.splitlines()) or not file.exists():
            print(f"For links in invitations, {file} needs:\nweb:\n  url: {url}")
            return
        status = file.stat()
        with file.open("a") as opened:
            opened.write(f"{'' if text.endswith(chr(10)) or not text else chr(10)}\nweb:\n  url: {_quoted(url)}\n")
        try:
            config.load(file, other_files=False)
        except ConfigError:
            os.truncate(file, status.st_size)
            raise
    except (OSError, ConfigError):
        print(f"{file} could not be changed; for links in invitations it needs:\nweb:\n  url: {url}")
        return
    print(f"Invitations link to the page from now on ({file}, web.url).")
    _systemctl("try-reload-or-restart", "nuki-bridge")


# -- the end ----------------------------------------------------------------------------------------------------------


def _start() -> None:
    _systemctl("restart", SERVICE)


def _systemctl(*arguments: str) -> None:
    if Path("/run/systemd/system").is_dir() and shutil.which("systemctl") and os.geteuid() == 0:
        subprocess.run(["systemctl", "--quiet", *arguments], check=False)


def url_of(settings: WebSettings) -> str:
    """Return where phones find the page."""
    name = (settings.names or settings.own_ca or ("127.0.0.1",))[0]
    host = f"[{name}]" if ":" in name else name
    standard = 443 if settings.secure else 80
    port = "" if settings.port == standard else f":{settings.port}"
    return f"http{'s' if settings.secure else ''}://{host}{port}"


def _show(settings: WebSettings) -> None:
    """Print the address, what is wrong yet, and the QR code."""
    from nuki_bridge.command_line.invite_commands import qr_text
    from nuki_bridge.web import certificate, own_ca

    url = url_of(settings)
    for complain in (_guest_mistake, certificate.check):
        if mistake := complain(settings):
            print(f"Not right yet: {mistake}.", file=sys.stderr)
    print(f"\nThe page: {url}/")
    if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8":
        print(f"\n{qr_text(f'{url}/')}")
    if settings.own_ca:
        authority = settings.state_dir / own_ca.FOLDER / own_ca.CA_FILE
        print(f"\nFirst install the certificate authority on your phones: {url}/ca")
        try:
            print(f"Its fingerprint (SHA-256):\n  {own_ca.fingerprint(authority)}")
        except OSError:
            print("`sudo nuki-bridge web setup --show` shows its fingerprint once the service runs.")


def _guest_mistake(settings: WebSettings) -> str | None:
    """Return why the broker does not take the guests, None if it does."""
    import asyncio
    import logging

    from nuki_bridge.web.broker import Broker, try_account

    guest = settings.guest
    if guest is None:
        return None

    async def ask() -> str | None:
        try:
            await try_account(Broker(settings.broker), guest)
        except BrokerError as error:
            return str(error)
        return None

    logging.disable()
    try:
        return asyncio.run(ask())
    finally:
        logging.disable(logging.NOTSET)
