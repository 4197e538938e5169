"""etc/node-red/flows.json, as far as it can be read: only core nodes, nothing retained, no secret; one way in.

What it does is tested with a real Node-RED in tests/system.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NODES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "etc" / "node-red" / "flows.json").read_text(encoding="utf-8")
)
BY_ID = {each["id"]: each for each in NODES}
CORE = {
    *("tab", "group", "inject", "debug", "function", "switch", "change", "template", "status", "link in", "link out"),
    *("mqtt in", "mqtt out", "mqtt-broker", "http in", "http response"),
}


def of(kind: str) -> list[dict[str, Any]]:
    return [each for each in NODES if each["type"] == kind]


def after(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [BY_ID[each] for output in node.get("wires", []) for each in output] + [
        BY_ID[each] for each in node.get("links", []) if node["type"] == "link out"
    ]


def test_it_takes_nothing_but_node_red_itself() -> None:
    assert {each["type"] for each in NODES} <= CORE
    assert {lib["module"] for each in of("function") for lib in each["libs"]} == {"crypto"}


def test_it_is_whole() -> None:
    assert len(BY_ID) == len(NODES)
    (tab,) = of("tab")
    assert {each["z"] for each in NODES if each["type"] != "tab"} == {tab["id"]}
    grouped = [each for group in of("group") for each in group["nodes"]]
    for node in NODES:
        after(node)
        if "x" in node and node["type"] != "group":
            assert grouped.count(node["id"]) == 1, node["name"]
            assert node["id"] in BY_ID[node["g"]]["nodes"]


def test_nothing_is_retained_or_sent_twice() -> None:
    assert {(each["qos"], each["retain"]) for each in of("mqtt out")} == {("0", "false")}
    (broker,) = of("mqtt-broker")
    assert (broker["cleansession"], broker["protocolVersion"]) == (True, "5")
    assert not any(broker[f"{each}Topic"] for each in ("birth", "close", "will"))
    for each in of("function"):
        assert "retain: true" not in each["func"]


def test_it_holds_no_password_and_opens_nothing_by_itself() -> None:
    variables = {each["name"]: each for each in of("tab")[0]["env"]}
    assert variables["NUKI_PASSWORD"] == {"name": "NUKI_PASSWORD", "value": "", "type": "cred"}
    assert (variables["NUKI_PAGE"]["value"], variables["NUKI_BUTTONS"]["value"]) == ("off", "off")
    for each in NODES:
        values = each.get("credentials", {}).values()
        assert all(value.startswith("${") for value in values)
        assert not each.get("once"), "nothing happens at a start"


def test_everything_over_http_passes_one_gate() -> None:
    (gate,) = (each for each in of("function") if each["name"] == "allowed?")
    assert sorted(each["method"] for each in of("http in")) == ["get", "post"]
    for each in of("http in"):
        assert after(each) == [gate]


def test_one_node_sends_commands() -> None:
    (out,) = (each for each in of("mqtt out") if each["name"] == "to the lock")
    (command,) = (each for each in NODES if out in after(each))
    assert command["name"] == "send one command"


def test_it_locks_at_23_by_the_clock_on_the_wall() -> None:
    (night,) = (each for each in of("inject") if each["crontab"])
    assert (night["name"], night["crontab"]) == ("23:00", "00 23 * * *")
    (rule,) = after(night)
    assert rule["name"] == "lock if the door is closed"


def test_topics_are_made_of_the_base_topic_and_the_locks_name() -> None:
    topics = {each["topic"] for each in of("mqtt in")}
    assert topics == {"${NUKI_TOPICS}", "${NUKI_RINGS}", "${NUKI_BRIDGE}", "${NUKI_INBOX}"}
    variables = {each["name"]: each["value"] for each in of("tab")[0]["env"]}
    assert variables["NUKI_TOPICS"] == "${NUKI_BASE}/${NUKI_LOCK}/+"
    assert variables["NUKI_RINGS"] == "${NUKI_BASE}/${NUKI_DOORBELL}/event"
    assert variables["NUKI_DOORBELL"] == "", "no topic has an empty name: nothing comes twice from the lock itself"
    assert variables["NUKI_BRIDGE"] == "${NUKI_BASE}/bridge/state"
    assert variables["NUKI_INBOX"] == "${NUKI_BASE}/bridge/response/${NUKI_USER}/${NUKI_RANDOM}"
