"""The README's picture of the page: an owner's, an invited person's and a guest's view, each at a phone's size.

`python -m tests.page.picture [FILE]` takes it anew, from a real Chromium with the whole project behind it.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from tests.integration.guarded import password
from tests.page.known import ROOT
from tests.page.phone import chromium
from tests.page.stage import Stage

PICTURE = ROOT / "docs" / "page.webp"
MAX_SIZE = 60 * 1024
"""Bytes that a picture in the repository may take."""
WIDTH, HEIGHT = 360, 600
"""Pixels of each view."""
VIEWS = 3
GAP = 12
"""Pixels around each view."""


def take(stage: Stage, profiles: Path) -> bytes:
    """The three views side by side, as WebP; `profiles` is where the two phones keep theirs."""
    url = f"http://door.test:{stage.port}/"
    owner = chromium(url, profiles / "owner", height=HEIGHT, ratio=1.0)
    guest = chromium(url, profiles / "guest", height=HEIGHT, ratio=1.0)
    try:
        for phone in (owner, guest):
            phone.cdp("Emulation.setScrollbarsHidden", hidden=True)
        owner.open()
        owner.tap("I am the owner")
        owner.until(lambda: owner.find("[autocomplete=username]")).clear()
        owner.find("[autocomplete=username]").send_keys("owner")
        owner.find("[autocomplete=current-password]").send_keys(password("owner"))
        owner.find("form .primary").click()
        owner.shows("Locked")
        views = [owner.driver.get_screenshot_as_png()]
        guest.open(f"#code={stage.invite('Anna')['code']}")
        guest.shows("You are invited")
        views.append(guest.driver.get_screenshot_as_png())
        guest.tap("Get the key")
        guest.shows("You have the key")
        guest.open()
        guest.says("Locked")
        guest.until(lambda: "stale" not in str(guest.find(".state").get_attribute("class")))
        views.append(guest.driver.get_screenshot_as_png())
        return _side_by_side(guest.driver, views)
    finally:
        owner.quit()
        guest.quit()


def _side_by_side(driver: WebDriver, views: list[bytes]) -> bytes:
    """One picture of several, drawn by the browser."""
    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(view).decode()}">' for view in views)
    style = f"margin:0;background:#fff;padding:{GAP}px;display:flex;gap:{GAP}px"
    width, height = VIEWS * (WIDTH + GAP) + GAP, HEIGHT + 2 * GAP
    driver.get("about:blank")
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.execute_script(
        "document.body.style = arguments[0]; document.body.innerHTML = arguments[1];"
        "for (const each of document.images)"
        " each.style = 'border: 1px solid #bbb; border-radius: 16px; box-sizing: border-box';",
        style,
        images,
    )
    driver.execute_async_script("Promise.all([...document.images].map((each) => each.decode())).then(arguments[0])")
    answer = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "webp", "quality": 85})
    return base64.b64decode(answer["data"])


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "stage").mkdir()
        stage = Stage(Path(directory) / "stage")
        try:
            picture = take(stage, Path(directory))
        finally:
            stage.stop()
    file.write_bytes(picture)
    print(f"{file}: {len(picture)} bytes")


if __name__ == "__main__":
    main()
