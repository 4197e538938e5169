"""The server's certificate: read, checked, and read again when it changes or has been renewed, without a restart."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import logging
import re
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nuki_bridge.errors import PageError
from nuki_bridge.records import frozen
from nuki_bridge.web import own_ca
from nuki_bridge.web.settings import WebSettings

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds between two looks at the files."""
SOON_DAYS = 14
"""How long before its end a certificate is warned of, once a day."""
MAX_UNKNOWN = 20
"""Most names that phones asked for and the certificate does not have; each is logged once."""
_BUFFER_SIZE = 16384
"""Bytes that asyncio reads of a TLS connection at a time; by itself it takes 256 KiB for each, for good."""
_NO_CHECK_TIME = 0x200000
_DAY_S = 86400.0


@frozen
class Certificate:
    """What phones check of it; times in seconds since 1970."""

    file: Path
    names: tuple[str, ...]
    begins: float
    ends: float

    def mistake(self, names: Sequence[str], now: float) -> str | None:
        """Why phones would refuse it, and what to do, in one sentence; `names` are those that it should have."""
        if now >= self.ends:
            return f"the certificate {self.file} has expired on {_day(self.ends)}; renew it"
        if now < self.begins:
            return f"the certificate {self.file} begins on {_day(self.begins)} only; is this computer's clock right?"
        if missing := [each for each in names if not self.has(each)]:
            return (
                f"the certificate {self.file} does not have the name {missing[0]}, only {', '.join(self.names)}; take"
                " another certificate, or use a name that it has"
            )
        return None

    def has(self, name: str) -> bool:
        """It holds for this name or address."""
        wildcard = f"*.{name.partition('.')[2]}"
        return name in self.names or wildcard in self.names


def read(cert: Path, key: Path | None) -> tuple[ssl.SSLContext, Certificate]:
    """Return the files as a server uses them, and what they say; raises `PageError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password="")
        text = cert.read_text("latin-1")
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror
        if why == "KEY_VALUES_MISMATCH":
            raise PageError(
                f"the key {key} does not belong to the certificate {cert}; give those made together"
            ) from None
        raise PageError(f"the certificate {cert} with the key {key or cert} cannot be used: {why}") from None
    match = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    assert match is not None  # it was loaded
    told = _told(context, match[0])
    found = tuple(str(name).lower() for kind, name in told.get("subjectAltName", ()) if kind in ("DNS", "IP Address"))
    begins, ends = (ssl.cert_time_to_seconds(told[each]) for each in ("notBefore", "notAfter"))
    return context, Certificate(cert, tuple(map(_plain, found)), begins, ends)


def _told(context: ssl.SSLContext, leaf: str) -> dict[str, Any]:
    """Return the certificate's content, as a client sees it that trusts this one alone: a handshake in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(int(ssl.VERIFY_X509_PARTIAL_CHAIN) | _NO_CHECK_TIME)
    client.load_verify_locations(cadata=leaf)
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(theirs, ours)
    far = context.wrap_bio(ours, theirs, server_side=True)
    done = False
    for _ in range(10):
        for each in (near, far):
            try:
                each.do_handshake()
                done |= each is near
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                raise PageError(f"the certificate cannot be used by phones: {error.reason}") from None
        if done:
            break
    told = near.getpeercert()
    assert told is not None
    return dict(told)


def check(settings: WebSettings) -> str | None:
    """Return what is wrong with the certificate that the settings name, in one sentence."""
    if settings.tls is None:
        return None
    try:
        _, certificate = read(settings.tls.cert, settings.tls.key)
    except PageError as error:
        return str(error)
    return certificate.mistake(settings.names, time.time())


class Certificates:
    """The TLS context for new connections; `load` it, then `run` it."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._wanted = settings.own_ca or settings.names
        self._context: ssl.SSLContext | None = None
        self._certificate: Certificate | None = None
        self._seen: tuple[object, ...] = ()
        self._unknown: set[str] = set()
        self._warned_at = 0.0

    def context(self) -> ssl.SSLContext | None:
        """For a connection that begins now; None without TLS."""
        return self._context

    @property
    def authority(self) -> Path | None:
        """The own authority's certificate, if there is one."""
        return self._settings.state_dir / own_ca.FOLDER / own_ca.CA_FILE if self._settings.own_ca else None

    def load(self) -> None:
        """Raises `PageError` if there is no certificate that can be used at all."""
        if not self._settings.secure:
            return
        asyncio.sslproto.SSLProtocol.max_size = _BUFFER_SIZE
        if self._settings.own_ca:
            own_ca.prepare(self._settings.state_dir, self._settings.own_ca)
        self._take()
        self._judge()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while self._settings.secure:
            await asyncio.sleep(LOOK_S)
            try:
                if (self._settings.own_ca and self._is_due()) or self._signature() != self._seen:
                    await asyncio.to_thread(self._take)
                    log.info("the certificate is another one now")
            except (PageError, OSError) as error:
                log.error("%s; the one before stays in use", error)
                self._seen = self._signature()
            self._judge()

    def _files(self) -> tuple[Path, Path | None]:
        if self._settings.tls is not None:
            return self._settings.tls.cert, self._settings.tls.key
        return self._settings.state_dir / own_ca.FOLDER / own_ca.SERVER_FILE, None

    def _take(self) -> None:
        """Read the files; an own certificate is made first if it is due."""
        cert, key = self._files()
        if self._settings.own_ca:
            if cert.exists():
                self._certificate = read(cert, key)[1]
            if self._is_due():
                own_ca.issue(cert.parent, self._settings.own_ca)
        self._seen = self._signature()
        context, self._certificate = read(cert, key)
        context.sni_callback = self._asked
        self._context = context

    def _is_due(self) -> bool:
        """The own certificate has to be made."""
        certificate, now = self._certificate, time.time()
        return certificate is None or (
            set(certificate.names) != set(self._settings.own_ca)
            or not certificate.begins <= now < certificate.ends - own_ca.RENEW_DAYS * _DAY_S
        )

    def _signature(self) -> tuple[object, ...]:
        found: list[object] = []
        for each in self._files():
            if each is not None and each.exists():
                status = each.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _judge(self) -> None:
        """Tell what phones would complain of, once a day."""
        now = time.time()
        if self._certificate is None or now - self._warned_at < _DAY_S:
            return
        if mistake := self._certificate.mistake(self._wanted, now):
            log.error("%s", mistake)
        elif self._certificate.ends - now < SOON_DAYS * _DAY_S:
            log.warning("the certificate %s ends on %s; renew it", self._certificate.file, _day(self._certificate.ends))
        else:
            return
        self._warned_at = now

    def _asked(self, connection: object, name: str | None, context: ssl.SSLContext) -> None:
        """A phone has asked for this name."""
        certificate = self._certificate
        if name is None or certificate is None or certificate.has(name.lower()) or name in self._unknown:
            return
        if len(self._unknown) < MAX_UNKNOWN:
            self._unknown.add(name)
            shown = "".join(each if each.isprintable() else "?" for each in name[:80])
            log.warning(
                "a phone asked for %s, a name that the certificate does not have; it has %s",
                shown,
                ", ".join(certificate.names),
            )


def _plain(name: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _day(seconds: float) -> str:
    return time.strftime("%d %B %Y", time.gmtime(seconds))
