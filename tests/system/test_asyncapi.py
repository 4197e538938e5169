"""docs/asyncapi.yaml through the official parser: it is AsyncAPI 3, with no error and no warning."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.documented import PAGE, document
from tests.system.node_red import TREE

_SCRIPT = """
const {Parser} = require("@asyncapi/parser");
const {readFileSync} = require("fs");
new Parser().parse(readFileSync(process.argv[1], "utf8")).then(({document, diagnostics}) => {
    const wrong = diagnostics.filter((each) => each.severity <= 1 && each.code !== "asyncapi-latest-version")
        .map((each) => `${each.path.join("/")}: ${each.message}`);
    const channels = document ? document.channels().all().map((each) => each.address()) : [];
    console.log(JSON.stringify({wrong, channels}));
});
"""


def parse(page: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        ["node", "-e", _SCRIPT, str(page)], cwd=TREE, capture_output=True, text=True, timeout=300, check=True
    )
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


def test_the_official_parser_takes_it() -> None:
    told = parse(PAGE)
    assert told["wrong"] == []
    assert sorted(told["channels"]) == sorted(each["address"] for each in document()["channels"].values())


def test_the_official_parser_would_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(PAGE.read_text().replace("action: receive", "action: get", 1))
    assert parse(tmp_path / "wrong.yaml")["wrong"] != []
