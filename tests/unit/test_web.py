"""The phone page's server where no network is needed: requests, origins, first packets, limits, files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.allowance import Allowance
from nuki_bridge.errors import PageError
from nuki_bridge.web import files, http
from nuki_bridge.web.bundle import bundled
from nuki_bridge.web.first_packet import (
    MAX_GUEST_PACKET_SIZE,
    BadPacket,
    Packets,
    find_connect,
    is_accepted,
    read_connect,
)
from nuki_bridge.web.http import BadRequest, parse
from nuki_bridge.web.limits import MAX_ADDRESSES, Limits
from nuki_bridge.web.origin import is_ours

# -- requests ---------------------------------------------------------------------------------------------------------


def request(line: str = "GET / HTTP/1.1", *fields: str) -> bytes:
    return "\r\n".join([line, *(fields or ("Host: door",)), "", ""]).encode()


def test_a_request_is_read() -> None:
    head = parse(request("GET /a.js?v=1 HTTP/1.1", "Host: door", "Accept-Encoding: br, gzip", "Connection: close"))
    assert (head.method, head.path, head.closes) == ("GET", "/a.js", True)
    assert head.names("accept-encoding", "gzip")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\r\n\r\n", 400),
        (request("GET http://door/ HTTP/1.1"), 400),
        (request("GET / HTTP/2"), 400),
        (request("get / HTTP/1.1"), 400),
        (request("GET / HTTP/1.1", "Accept: x"), 400),
        (request("GET / HTTP/1.1", "Host: a", "Host: b"), 400),
        (request("GET / HTTP/1.1", "Host: a", "Origin: http://a", "Origin: http://b"), 400),
        (request("GET / HTTP/1.1", "Host: a", " folded"), 400),
        (request("GET / HTTP/1.1", "Host : a"), 400),
        (request("POST /forget HTTP/1.1", "Host: a", "Content-Length: 5"), 413),
        (request("POST /forget HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), 413),
        (request("GET / HTTP/1.1", "Host: a", *(f"X-{number}: 1" for number in range(100))), 431),
    ],
)
def test_what_no_browser_sends_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as error:
        parse(data)
    assert error.value.status == status


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    with suppress(BadRequest):
        assert parse(data + b"\r\n\r\n").path.startswith("/")


# -- whose page -------------------------------------------------------------------------------------------------------

NAMES = ("door.example.net", "pi")


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("https://door.lan", "door.lan", True),
        ("https://door.lan:8443", "door.lan:8443", True),
        ("https://door.lan", "door.lan:443", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", False),
        ("http://[fd00::1]:8080", "[fd00::1]:8080", False),
        ("http://localhost:8080", "localhost:8080", False),
        ("https://door.example.net", "127.0.0.1:8080", False),  # a reverse proxy that tells its own name for us
        ("https://Door.Example.net", "door.example.net", False),
        ("http://pi:8080", "pi:8080", False),
    ],
)
def test_our_own_page_may_use_the_tunnel(origin: str, host: str, secure: bool) -> None:
    assert is_ours(origin, host, secure=secure, names=NAMES)


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        (None, "door.lan", True),
        ("null", "door.lan", True),
        ("https://evil.example", "door.lan", True),
        ("http://door.lan", "door.lan", True),
        ("https://door.lan:8443", "door.lan", True),
        ("https://door.example.net.evil.example", "door.lan", True),
        ("https://door.lan@evil.example", "door.lan", True),
        ("file://", "door.lan", True),
        ("http://evil.example:8080", "evil.example:8080", False),  # a name of theirs that means this machine
        ("http://127.0.0.1:9000", "127.0.0.1:8080", False),
        ("http://127.0.0.1:8080", "", False),
    ],
)
def test_a_page_of_others_may_not(origin: str | None, host: str, secure: bool) -> None:
    assert not is_ours(origin, host, secure=secure, names=NAMES)


# -- the first packet -------------------------------------------------------------------------------------------------


def text(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def packet(body: bytes, kind: int = 0x10) -> bytes:
    assert len(body) < 128 * 128
    length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
    return bytes((kind,)) + length + body


def connect(flags: int, *rest: bytes, version: int = 5, properties: bytes = b"") -> bytes:
    block = bytes((len(properties),)) + properties if version == 5 else b""
    return packet(text(b"MQTT") + bytes((version, flags)) + b"\0\x1e" + block + b"".join(rest))


@pytest.mark.parametrize("version", [4, 5])
def test_who_brings_no_account_gets_the_guests(version: int) -> None:
    found = read_connect(connect(0x02, text(b"phone"), version=version))
    assert not found.has_account
    made = read_connect(found.as_guest("guest", "s3cret", "nuki-page-1"))
    assert (made.version, made.has_account, made.keep_alive) == (version, True, b"\0\x1e")
    assert made.whole.endswith(text(b"nuki-page-1") + text(b"guest") + text(b"s3cret"))
    assert made.whole == connect(0xC2, text(b"nuki-page-1"), text(b"guest"), text(b"s3cret"), version=version)


def test_what_would_stay_at_the_broker_is_left_out_for_guests() -> None:
    """A will, a session that outlives the connection, and the client ID of somebody else, who would be thrown out."""
    kept = b"\x21\0\x05" + b"\x27\0\0\x10\0"
    found = read_connect(
        connect(
            0x04 | 0x20,
            text(b"nuki-bridge"),
            b"\0" + text(b"nuki/front/set") + text(b"unlock"),
            properties=b"\x11\xff\xff\xff\xff" + kept + b"\x26" + text(b"a") + text(b"b"),
        )
    )
    made = found.as_guest("guest", None, "ours")
    assert made == connect(0x82, text(b"ours"), text(b"guest"), properties=kept)
    assert b"unlock" not in made
    assert b"nuki-bridge" not in made


def test_who_brings_an_account_passes_as_they_are() -> None:
    whole = connect(0xC2, text(b"phone"), text(b"owner"), text(b"secret"))
    found = read_connect(whole)
    assert found.has_account
    assert found.whole == whole
    assert read_connect(connect(0x42, text(b"phone"), text(b"secret"))).has_account


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        packet(b"", 0x30),
        b"\x10\xff\xff\xff\xff\x01",
        b"\x10\xff\xff\xff\x7f",
        packet(b""),
        packet(text(b"MQIsdp") + b"\x03\x02\0\x1e" + text(b"x")),
        packet(text(b"MQTT") + b"\x06\x02\0\x1e\0" + text(b"x")),
        connect(0x02),
        connect(0x03, text(b"x")),
        connect(0x02, text(b"x"), b"more"),
        connect(0x04, text(b"x"), b"\0" + text(b"topic") + b"\xff\xff"),  # a will that would swallow what follows
        connect(0x02, text(b"x"), properties=b"\x99\0"),
    ],
)
def test_what_is_no_connect_is_refused(data: bytes) -> None:
    def read() -> None:
        assert find_connect(data) == len(data)
        read_connect(data)

    with pytest.raises(BadPacket):
        read()


@given(st.binary(max_size=200))
def test_any_first_packet_is_read_or_refused(data: bytes) -> None:
    body = packet(text(b"MQTT") + data)
    try:
        found = read_connect(body)
    except BadPacket:
        return
    assert read_connect(found.as_guest("guest", "secret", "id")).has_account


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(1, 17))
def test_packets_are_counted_however_they_are_cut(sizes: list[int], step: int) -> None:
    stream = b"".join(packet(bytes(size), 0x30) for size in sizes)
    packets = Packets()
    assert sum(packets.feed(stream[at : at + step]) for at in range(0, len(stream), step)) == len(sizes)


@pytest.mark.parametrize("header", [b"\x30\xff\xff\xff\x7f", b"\x30\xff\xff\xff\xff\x01", b"\x30\xff\xff\x01"])
def test_a_giant_packet_is_refused_by_its_header(header: bytes) -> None:
    with pytest.raises(BadPacket):
        Packets().feed(header)


def test_a_login_is_accepted_or_not() -> None:
    assert is_accepted(b"\x20\x02\0\0") is True
    assert is_accepted(b"\x20\x02\0\x05") is False
    assert is_accepted(b"\x20\x03\0\x86\0") is False
    assert is_accepted(b"\x20\x02\0") is None
    assert is_accepted(b"HTTP") is False


# -- limits -----------------------------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_address_cannot_take_all_places() -> None:
    limits = Limits(Clock(), in_all=10, of_one=4)
    assert [limits.place("192.0.2.1") is not None for _ in range(6)] == [True] * 4 + [False] * 2
    assert limits.place("192.0.2.2") is not None


def test_one_home_is_one_address_also_over_ipv6() -> None:
    limits = Limits(Clock(), in_all=10, of_one=1)
    assert limits.place("2001:db8::1") is not None
    assert limits.place("2001:db8::2") is None
    assert limits.place("2001:db8:0:1::2") is not None
    assert limits.place("192.0.2.1") is not None
    assert limits.place("::ffff:192.0.2.1") is None


def test_when_all_places_are_taken_those_that_no_broker_has_accepted_give_way() -> None:
    limits = Limits(Clock(), in_all=3, of_one=3)
    gone: list[str] = []
    for name in ("phone", "first", "second"):
        place = limits.place(f"192.0.2.{len(gone) + 1}")
        assert place is not None
        place.established = name == "phone"
        place.give_way = lambda name=name: gone.append(name)  # type: ignore[misc]
    assert limits.place("192.0.2.9") is not None
    assert gone == ["first"]
    assert len(limits) == 3
    for place in list(limits._places):
        place.established = True
    assert limits.place("192.0.2.10") is None


def test_a_storm_of_new_connections_is_slowed_down_and_forgiven() -> None:
    clock = Clock()
    limits = Limits(clock)
    made = 0
    for _ in range(200):
        place = limits.place("192.0.2.1")
        made += place is not None
        if place is not None:
            limits.leave(place)
    assert made == 60
    clock.now += 10
    assert limits.place("192.0.2.1") is not None


def test_a_proxy_on_this_machine_counts_in_all_only() -> None:
    limits = Limits(Clock(), in_all=100, of_one=2)
    assert all(limits.place("127.0.0.1") for _ in range(100))


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    limits = Limits(Clock())
    for number in range(3 * MAX_ADDRESSES):
        place = limits.place(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert place is not None
        limits.leave(place)
    assert len(limits._clients) <= MAX_ADDRESSES


def test_who_sends_too_much_has_to_wait_as_long_as_it_takes() -> None:
    clock = Clock()
    allowance = Allowance(10, 2.0, clock)
    assert allowance.owe(10) == 0
    assert allowance.owe(4) == 2.0
    clock.now += 2.0
    assert allowance.owe(0) == 0


def test_guests_share_an_allowance_below_what_the_bridge_takes_for_a_flood() -> None:
    clock = Clock()
    limits = Limits(clock)
    sent = 0
    places = [limits.place(f"192.0.2.{number}") for number in range(50)]
    tunnels = [limits.tunnel() for _ in places]
    while clock.now < 1005.0:
        for place, tunnel in zip(places, tunnels, strict=True):
            assert place is not None
            if limits.wait_s(place, tunnel, 0) == 0 and not limits.guests.empty:
                limits.guests.owe(1)
                limits.wait_s(place, tunnel, 1)
                sent += 1
        clock.now += 0.01
    assert 200 < sent <= 650
    assert sent * MAX_GUEST_PACKET_SIZE < 1000 * 1024


# -- files ------------------------------------------------------------------------------------------------------------

SCRIPT = b"export const answer = 42;\n" * 100


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with stand-ins for its files."""
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "nacl-fast.js").write_bytes(SCRIPT)
    monkeypatch.setattr(files, "TWEETNACL_SHA256", hashlib.sha256(SCRIPT).hexdigest())
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "app.js").write_bytes(SCRIPT)
    (tmp_path / "jsconfig.ts").write_text("not served")
    return tmp_path


def test_files_are_served_with_their_kind_their_tag_and_packed(page: Path) -> None:
    found = files.load(page)
    assert set(found) == {"/", "/index.html", "/app.js", "/vendor/nacl-fast.js"}
    answer = found["/app.js"].respond(
        parse(request("GET /app.js HTTP/1.1", "Host: a", "Accept-Encoding: gzip")), closes=False
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: text/javascript; charset=utf-8" in head
    assert gzip.decompress(body) == SCRIPT
    [tag] = [line.partition(b": ")[2].decode() for line in head.split(b"\r\n") if line.startswith(b"ETag")]
    again = found["/app.js"].respond(
        parse(request("GET /app.js HTTP/1.1", "Host: a", "Accept-Encoding: gzip", f"If-None-Match: {tag}")),
        closes=False,
    )
    assert again.startswith(b"HTTP/1.1 304 ")
    assert again.endswith(b"\r\n\r\n")
    plain = found["/app.js"].respond(parse(request("GET /app.js HTTP/1.1")), closes=False)
    assert plain.endswith(SCRIPT)
    assert found["/app.js"].respond(parse(request("HEAD /app.js HTTP/1.1")), closes=False).endswith(b"\r\n\r\n")


def test_modules_travel_as_one_script() -> None:
    """Each after what it imports, once; what comes later gets their names from there."""
    scripts = {
        "/app.js": 'import { b } from "./views/b.js";\nimport {\n  a,\n  count,\n} from "./a.js";\nb(a, count);\n',
        "/a.js": "export let count = 0;\nexport const a = () => count++;\n",
        "/views/b.js": 'import * as all from "../a.js";\nexport async function b() {\n  all.a();\n'
        '  return import("./later.js");\n}\n',
        "/views/later.js": 'import { a } from "../a.js";\nimport { c } from "./c.js";\nc(a);\n',
        "/views/c.js": "export class c {}\n",
        "/sw.js": 'const FILES = [\n  "./", "app.js", "a.js",\n  "views/b.js", "views/c.js",\n];\n',
    }
    found = bundled(scripts)
    assert found["/app.js"] == (
        "let count = 0;\nconst a = () => count++;\nconst all = { count, a };\nasync function b() {\n  all.a();\n"
        '  return import("./views/later.js");\n}\nb(a, count);\nexport { a };\n'
    )
    assert found["/views/later.js"] == ('import { a } from "../app.js";\nimport { c } from "./c.js";\nc(a);\n')
    assert found["/sw.js"] == 'const FILES = [\n  "./", "app.js", \n  "views/c.js",\n];\n'
    assert {path: script for path, script in found.items() if script == scripts[path]}.keys() == {
        "/a.js",
        "/views/b.js",
        "/views/c.js",
    }


def test_every_answer_carries_the_pages_headers(page: Path) -> None:
    for status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
        head = http.answer(status, b"x").decode()
        for name, value in http.HEADERS.items():
            assert f"\r\n{name}: {value}\r\n" in head
    assert "default-src 'none'" in http.POLICY


def test_a_missing_or_changed_tweetnacl_is_told_in_one_sentence(page: Path) -> None:
    nacl = page / "vendor" / "nacl-fast.js"
    nacl.write_bytes(SCRIPT + b" ")
    with pytest.raises(PageError, match=r"nacl-fast\.js is not nacl-fast\.js of tweetnacl 1\.0\.3"):
        files.load(page)
    nacl.unlink()
    with pytest.raises(PageError, match=r"tweetnacl's nacl-fast\.js, is not in .*`make nacl` fetches"):
        files.load(page)


def test_a_page_without_its_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="the page's files are not in"):
        files.load(tmp_path)
