"""What an owner does first on a phone, in several tests: log in, and go to a view."""

from __future__ import annotations

import json

from selenium.webdriver.common.by import By

from tests.integration.guarded import password
from tests.page.phone import Phone


def log_in(phone: Phone, account: str = "owner", *, keeps: bool = False) -> None:
    """Log in with an account at the broker."""
    phone.open()
    phone.touch(phone.until(lambda: phone.find("form ~ .plain")), 90)
    phone.until(lambda: phone.find("[autocomplete=username]")).clear()
    phone.find("[autocomplete=username]").send_keys(account)
    phone.find("[autocomplete=current-password]").send_keys(password(account))
    if keeps:
        phone.find("[role=switch]").click()
    phone.find("form .primary").click()
    phone.until(lambda: phone.find(".card"))


def set_out(phone: Phone, *path: str) -> None:
    """Go to a view, as by its button."""
    state = json.dumps({"view": "owner", "path": list(path)})
    before = phone.driver.find_elements(By.CSS_SELECTOR, ".view.owner")
    phone.run(f"history.pushState({state}, ''); dispatchEvent(new PopStateEvent('popstate', {{state: {state}}}))")
    phone.until(lambda: phone.driver.find_elements(By.CSS_SELECTOR, ".view.owner") != before)


def go(phone: Phone, *path: str) -> None:
    """Go to a view, and wait until it has been filled."""
    set_out(phone, *path)
    phone.until(lambda: not phone.driver.find_elements(By.CSS_SELECTOR, ".words progress"))
