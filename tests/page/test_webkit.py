"""The core of a guest's story in WebKitGTK: redeem, see, lock, hold; the rest is Chromium's (test_guest.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.known import CHECKS, known, vectors
from tests.page.owner import go, log_in
from tests.page.stage import Stage
from tests.page.webkit import WebKitPhone, webkit

SHORT_MS = 150
"""Too short for `unlock`."""


@pytest.fixture
def phone(stage: Stage, tmp_path: Path) -> Iterator[WebKitPhone]:
    with webkit(stage.url, tmp_path / "phone") as started:
        yield started


def test_a_guest_opens_the_link_and_then_the_door(stage: Stage, phone: WebKitPhone) -> None:
    code = stage.invite("Anna")["code"]
    phone.open(f"#code={code}")
    phone.shows("You are invited")
    assert phone.driver.current_url == stage.url
    phone.tap("Get the key")
    phone.shows("You have the key: Front")
    phone.says("Locked")
    before = stage.movements()
    phone.hold("unlock", SHORT_MS)
    phone.shows("until the ring is full")
    assert stage.movements() == before
    phone.hold("unlock")
    phone.says("Unlocked")
    phone.tap("Lock")
    phone.says("Locked")
    assert stage.movements() == before + 2

    phone.open()
    phone.says("Locked")
    assert code not in phone.driver.page_source

    phone.driver.execute_script("document.querySelector('.hold.unlatch').click()")
    phone.tap(phone.until(lambda: phone.find("dialog .plain")))
    phone.until(lambda: not phone.driver.find_elements("css selector", "dialog"))
    assert stage.movements() == before + 2, "a click without a hand asks first"

    phone.tap(phone.until(lambda: phone.find("[aria-label=Details]")))
    phone.tap("Forget this door")
    phone.tap(phone.until(lambda: phone.find("dialog .danger")))
    phone.shows("Front is forgotten.")
    phone.redeem(code)
    phone.until(lambda: phone.find(".note.failed"))
    assert stage.movements() == before + 2


def test_an_owner_logs_in_and_goes_through_the_main_views(stage: Stage, phone: WebKitPhone) -> None:
    log_in(phone)
    phone.shows("Front")
    lock = "nuki/front"
    go(phone, "lock", lock)
    if phone.word() != "Locked":
        phone.tap("Lock")
    phone.says("Locked")
    before = stage.movements()
    phone.hold("unlock")
    phone.says("Unlocked")
    phone.tap("Lock")
    phone.says("Locked")
    assert stage.movements() == before + 2
    for view, words in (
        ("users", "People and devices"), ("log", "Log"), ("battery", "Battery"), ("settings", "Bluetooth pairing"),
        ("keypad", "Keypad codes"), ("timecontrol", "Time control"), ("maintenance", "Restart"), ("invite", "Name"),
    ):  # fmt: skip
        go(phone, view, lock)
        phone.shows(words)
        text = phone.run("return document.getElementById('view').textContent")
        assert not any(wrong in text for wrong in ("owner.", "undefined", "[object", "NaN")), (view, text)
    phone.driver.execute_script(
        "const field = document.querySelector('input[maxlength=\"32\"]'); field.value = 'Wilma';"
    )
    phone.find("form .primary").click()
    code = phone.until(lambda: phone.find(".code")).text
    assert len(code) == 19


def test_modules_compute_the_known_answers(phone: WebKitPhone) -> None:
    phone.open()
    count = phone.run(
        f"const checks = {CHECKS}\nreturn await checks((name) => import('/' + name), args[0], args[1]);",
        vectors(),
        known(),
    )
    assert count > 200
