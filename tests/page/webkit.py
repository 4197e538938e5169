"""WebKitGTK as a phone, the nearest to Safari that runs here: MiniBrowser on a screen of its own that nobody sees.

Its driver knows no touch, no console and no offline start: its session is private and ends with it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import WebKitGTK
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from tests.page.phone import Phone

DRIVER = "/usr/bin/WebKitWebDriver"


class WebKitPhone(Phone):
    """The same hands and eyes; a finger is a mouse."""

    scrolls_to = "center"

    def console(self) -> list[str]:
        return []

    def pointer(self) -> PointerInput:
        return PointerInput(interaction.POINTER_MOUSE, "mouse")

    def finger(self, element: WebElement, *, down: bool) -> None:
        actions = ActionBuilder(self.driver, mouse=self.pointer(), duration=0)
        if down:
            actions.pointer_action.move_to(element).pointer_down()
        else:
            actions.pointer_action.pointer_up()
        actions.perform()


@contextmanager
def screen() -> Iterator[str]:
    """A screen that nobody sees, as DISPLAY has it."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "400x800x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def webkit(url: str, directory: Path, *, language: str = "en_US") -> Iterator[WebKitPhone]:
    """WebKitGTK with the page; `directory` has what it writes."""
    directory.mkdir(parents=True, exist_ok=True)
    with screen() as display:
        env = {
            **os.environ,
            "DISPLAY": display,
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory),
            "LANG": f"{language}.UTF-8",
            "LANGUAGE": language,
            "GDK_BACKEND": "x11",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        }
        driver = WebKitGTK(options=Options(), service=Service(DRIVER, env=env))
        try:
            driver.set_script_timeout(60)
            yield WebKitPhone(driver, url, directory)
        finally:
            driver.quit()
