"""A phone: Chromium (or WebKitGTK) with the page, driven as a hand would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions import interaction
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from tests import patience
from tests.page.known import NPM

T = TypeVar("T")
CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_RING = """
const [button] = arguments;
let isHeld = false;
window.ringHasEnded = new Promise((resolve) => new MutationObserver((_, observer) => {
  const was = isHeld;
  isHeld = button.classList.contains("holding");
  if (!was || isHeld) return;
  observer.disconnect();
  resolve();
}).observe(button, { attributeFilter: ["class"] }));
"""
"""Has the page tell when a button that is held lets go of its ring: it was full, or was given up."""
USER_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"
)


HANDS = ("finger", "mouse", "key")


class Phone:
    """One browser with a profile of its own in `profile`; `quit` ends it, and another may go on with the profile."""

    scrolls_to = "nearest"
    """Where an element stands before it is touched."""

    def __init__(self, driver: WebDriver, url: str, profile: Path) -> None:
        self.driver, self.url, self.profile = driver, url, profile
        self.heard: list[str] = []
        """What its console has said until it ended."""
        self.runs = True

    def open(self, fragment: str = "") -> None:
        """Open the page, anew."""
        self.driver.get("about:blank")
        self.driver.get(self.url + fragment)

    def quit(self) -> None:
        """End it; nothing happens if it has ended."""
        if self.runs:
            self.runs = False
            self.console()
            self.driver.quit()

    # -- what can be seen ---------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """All that the page shows."""
        return str(self.driver.find_element(By.ID, "view").text)

    def until(self, what: Callable[[], T | None], timeout_s: float = 30.0) -> T:
        """Wait until something is so."""
        deadline = patience.now() + timeout_s
        while True:
            try:
                found = what()
            except (NoSuchElementException, StaleElementReferenceException):
                found = None
            if found:
                return found
            assert patience.now() < deadline, f"the page shows:\n{self.text}\nand logged:\n{self.console()}"
            time.sleep(0.03)

    def shows(self, words: str, timeout_s: float = 30.0) -> None:
        """Wait until the page shows these words."""
        self.until(lambda: words in self.text, timeout_s)

    def word(self) -> str:
        """The lock's state in large letters."""
        return str(self.find(".state .word").text)

    def says(self, word: str, timeout_s: float = 30.0) -> None:
        """Wait until that is so."""
        self.until(lambda: self.word() == word, timeout_s)

    def fresh(self, timeout_s: float = 30.0) -> None:
        """Wait until there is a connection, and nothing that keeps the lock's state from being read."""
        self.until(lambda: "stale" not in str(self.find(".state").get_attribute("class")), timeout_s)

    def idle(self) -> None:
        """Wait until the last action has ended: its end is told later than the state that it leads to."""
        self.until(lambda: self.find(".hold").get_attribute("aria-disabled") == "false")

    def still(self) -> None:
        """Wait until nothing in the view has been replaced for half a second: what moves is not where it was found."""
        self.run(
            "await new Promise((resolve) => {"
            " let timer; const observer = new MutationObserver(() => wait());"
            " const wait = () => { clearTimeout(timer); timer = setTimeout(resolve, 500); };"
            " observer.observe(document.getElementById('view'), {childList: true, subtree: true}); wait(); })"
        )

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def button(self, words: str) -> WebElement:
        """The button with these words, as soon as it is there."""
        return self.until(
            lambda: next(
                (
                    each
                    for each in self.driver.find_elements(By.TAG_NAME, "button")
                    if words in each.text and each.is_displayed()
                ),
                None,
            )
        )

    def console(self) -> list[str]:
        """What the console has said since the last time."""
        new = [entry["message"] for entry in self.driver.get_log("browser")]
        self.heard += new
        return new

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script with `await` gives."""
        text = (
            f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments)"
            ".then((value) => done({ value }), (error) => done({ error: String(error && error.stack || error) }));"
        )
        answer = self.driver.execute_async_script(text, *arguments)
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def axe(self) -> list[str]:
        """What axe-core finds wrong with what is shown."""
        self.driver.execute_script((NPM / "axe-core" / "axe.min.js").read_text())
        found = self.run(
            "const kinds = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];"
            "return (await axe.run(document, {runOnly: kinds})).violations.map((each) => each.id + ': '"
            " + each.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | '))"
        )
        return list(found)

    def overflow(self) -> list[str]:
        """Elements that are wider than the page, or whose text does not fit."""
        return list(
            self.driver.execute_script(
                "const found = []; const width = document.documentElement.clientWidth;"
                "for (const each of document.querySelectorAll('body *')) {"
                " if (each.closest('.unseen, svg') || !each.checkVisibility()) continue;"
                " const box = each.getBoundingClientRect();"
                " const isCut = each.clientWidth && each.scrollWidth > each.clientWidth + 1;"
                " if (box.right > width + 0.5 || box.left < -0.5 || isCut)"
                "  found.push(each.outerHTML.slice(0, 120) + ' ' + [box.left, box.right, each.scrollWidth]); }"
                "return found;"
            )
        )

    # -- hands --------------------------------------------------------------------------------------------------------

    def tap(self, target: str | WebElement, ms: int = 90) -> None:
        """Touch a button, given by its words, for as long as a finger does."""

        def tapped() -> bool:
            self.touch(self.button(target) if isinstance(target, str) else target, ms)
            return True

        if isinstance(target, str):
            self.until(tapped)  # which finds it again if the page has replaced it before the finger was there
        else:
            tapped()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Freeze the page, as a phone does that goes to sleep: no timer runs and nothing is heard until it thaws."""
        ticks = "return (window.ticks ??= (setInterval(() => window.ticks++, 50), 1))"
        self.driver.execute_script(ticks)
        self.cdp("Page.setWebLifecycleState", state="frozen")

        def ticked() -> int:
            return int(self.cdp("Runtime.evaluate", expression="window.ticks")["result"]["value"])

        def is_asleep() -> bool:
            before = ticked()
            time.sleep(0.2)
            return ticked() == before

        try:
            patience.blocking_until(is_asleep)
            before = ticked()
            yield
            assert ticked() - before <= 1, "it was not asleep"
        finally:
            self.cdp("Page.setWebLifecycleState", state="active")
            page = self.driver.current_window_handle
            self.driver.switch_to.new_window("tab")  # what thaws stays hidden until another tab was in front
            self.driver.close()
            self.driver.switch_to.window(page)

    def pointer(self) -> PointerInput:
        """What touches for a given time."""
        return PointerInput(interaction.POINTER_TOUCH, "finger")

    def finger(self, element: WebElement, *, down: bool) -> None:
        """Put a finger on the middle of an element, or take it away."""
        if down:
            box = self.driver.execute_script("return arguments[0].getBoundingClientRect()", element)
            point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
            self.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        else:
            self.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def touch(self, element: WebElement, ms: int | None = None) -> None:
        """Hold a finger on an element for so long, or else until the element's ring is full."""

        def is_free() -> bool:
            try:
                return str(element.get_attribute("aria-disabled")) != "true"
            except StaleElementReferenceException:
                return True  # whoever touches it is told

        self.until(is_free)
        self.driver.execute_script("arguments[0].scrollIntoView({block: arguments[1]})", element, self.scrolls_to)
        if ms is None:
            self.driver.execute_script(_RING, element)
            self.finger(element, down=True)
            self.driver.execute_async_script("window.ringHasEnded.then(arguments[0])")
            self.finger(element, down=False)
            return
        actions = ActionBuilder(self.driver, mouse=self.pointer(), duration=0)
        actions.pointer_action.move_to(element).pointer_down().pause(ms / 1000).pointer_up()
        actions.perform()

    def press(self, element: WebElement, hand: str) -> None:
        """Press a button for a moment, with one of the hands that there are."""
        if hand == "key":
            element.send_keys(Keys.SPACE)
        elif hand == "finger":
            self.touch(element, 90)
        else:
            mouse = PointerInput(interaction.POINTER_MOUSE, "mouse")
            actions = ActionBuilder(self.driver, mouse=mouse, duration=0)
            actions.pointer_action.move_to(element).pointer_down().pause(0.09).pointer_up()
            actions.perform()

    def hold(self, kind: str, ms: int | None = None) -> None:
        """Hold the button `unlock` or `unlatch` until its ring is full, or only for so long."""
        self.touch(self.find(f".hold.{kind}"), ms)

    def enter(self, code: str) -> None:
        """Type a code and go on."""
        field = self.until(lambda: self.find("#code"))
        field.clear()
        field.send_keys(code)
        self.tap(self.find("form button"))

    def redeem(self, code: str) -> None:
        """Open the link of an invitation and take the key; what comes of it is to be seen."""
        self.open(f"#code={code}")
        self.tap(self.until(lambda: self.find("button.primary")))

    def cdp(self, command: str, **arguments: Any) -> Any:
        """A command of Chromium's own."""
        return self.driver.execute_cdp_cmd(command, arguments)


def chromium(
    url: str,
    profile: Path,
    *,
    language: str = "en",
    width: int = 360,
    height: int = 740,
    ratio: float = 2.0,
    dark: bool = False,
    offline: bool = False,
    bluetooth: bool = False,
) -> Phone:
    """Start Chromium as a phone."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP door.test 127.0.0.1",
        f"--user-data-dir={profile}",
        f"--lang={language}",
        f"--accept-lang={language}",
    ):
        options.add_argument(argument)
    if bluetooth:
        options.add_argument("--enable-features=WebBluetooth")
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    metrics = {"width": width, "height": height, "pixelRatio": ratio, "touch": True}
    options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics, "userAgent": USER_AGENT})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    driver.set_script_timeout(60)
    if dark:
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
    return Phone(driver, url, profile)


def secrets_on_disk(profile: Path, *secrets: bytes) -> list[str]:
    """Files of a profile that hold any of these bytes."""
    found = []
    for path in profile.rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # a browser that runs removes what it needs no more
            found += [str(path.relative_to(profile)) for each in secrets if each in content]
    return found


def credential_of(phone: Phone) -> dict[str, Any]:
    """What the phone keeps of its first door."""
    text = phone.run(
        "const { Store } = await import('/store.js');"
        "return JSON.stringify((await new Store().doors())[0]?.credential ?? null)"
    )
    found: dict[str, Any] = json.loads(text)
    return found


NewPhone = Callable[..., Phone]
"""Starts a phone: its name, and the options of `chromium`."""
