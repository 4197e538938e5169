"""What the benchmark prints: how far the aims are, and what has moved since the result that was kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import compare
from tests.bench.compare import Figure, figures, moved, obstacle
from tests.bench.table import render, spread


def contender(end_ms: float, cpu_s: float = 0.1) -> dict[str, Any]:
    """What is measured of one; each time strays by 1 ms."""
    times = {
        name: spread([ms - 1, ms, ms + 1])
        for name, ms in (("accepted_ms", end_ms / 4), ("complete_ms", end_ms / 2), ("end_ms", end_ms))
    }
    return {
        "actions": 3,
        **times,
        "writes_before_motor": spread([1.0]),
        "att_until_end": spread([10.0]),
        "att_per_action": 12.0,
        "att_rounds": spread([12.0, 12.0]),
        "cpu_s_per_action": cpu_s,
        "cpu_s_rounds": spread([cpu_s - 0.001, cpu_s, cpu_s + 0.001]),
        "rss_mib": 30.0,
    }


def result(**changed: Any) -> dict[str, Any]:
    """A result that reaches every aim."""
    few = spread([1.0, 2.0])
    held = ("persistent", "back_to_back", "bare held", "relay", "relay ahead")
    return {
        **{name: contender(80.0, 0.05) for name in held},
        **{name: contender(200.0, 0.05) for name in ("bare alone", "pynukibt alone")},
        "on-demand": contender(160.0, 0.05),
        "idle_cpu_percent": {"persistent": 0.2, "on-demand": 0.1},
        "rss_mib": {"after_1": 30.0, "after_1000": 30.5},
        "floor_write_ms": spread([20.0, 21.0]),
        "floor_echo_ms": spread([39.0, 40.0, 41.0]),
        "floor_rounds_ms": [40.0],
        "online_ms": spread([4000.0, 4100.0]),
        "listing": {"users": 100, "link_ms": spread([900.0]), "answer_ms": few, "att": spread([50.0])},
        "inviting": {"invitations": 5, "create_ms": few, "redeem_ms": few, "create_s": 1.0, "redeem_s": 1.0},
        "native": {
            name: spread([3.0, 4.0]) for name in ("relay_ms", "relay_ahead_ms", "own_ms", "direct_ms", "online_ms")
        },
        "machine": {"processors": 2, "architecture": "x86_64", "others": 0.0, "kind": "qemu", "clock": "time"},
        "time": "2026-11-30T00:00:00+00:00",
        **changed,
    }


def row(text: str, name: str) -> list[str]:
    """The words behind a name at the beginning of a line."""
    [found] = [line.removeprefix(name).split() for line in text.splitlines() if line.startswith(name)]
    return found


def test_a_result_that_reaches_every_aim_misses_none() -> None:
    text = render(result())

    assert "aim" in text
    assert "missed" not in text


@pytest.mark.parametrize(
    ("changed", "aim"),
    [
        ({"persistent": contender(101.0)}, "publish to result, persistent"),
        ({"back_to_back": contender(121.0, 0.05)}, "  of a second command right behind the first"),
        ({"on-demand": contender(181.0, 0.05)}, "publish to accepted, on-demand"),
        ({"persistent": contender(80.0, 0.061)}, "processor time of an action, persistent"),
        ({"idle_cpu_percent": {"persistent": 0.31, "on-demand": 0.1}}, "idle, persistent"),
        ({"idle_cpu_percent": {"persistent": 0.2, "on-demand": 0.16}}, "idle, on-demand"),
        ({"online_ms": spread([5001.0])}, "process start to online"),
        ({"rss_mib": {"after_1": 36.0, "after_1000": 36.1}}, "daemon's memory after 1 / 1000"),
    ],
)
def test_an_aim_that_is_missed_is_named(changed: dict[str, Any], aim: str) -> None:
    missed = [line for line in render(result(**changed)).splitlines() if line.endswith("missed")]

    assert any(line.startswith(f"{aim}  ") for line in missed)


def test_back_to_back_has_its_ratio_to_the_floor() -> None:
    table = render(result()).partition("Medians")[0]
    [line] = [each for each in table.splitlines() if each.startswith("  back to back")]

    assert "2.00x" in line


def test_a_figure_has_moved_when_it_is_further_away_than_the_noise_of_both() -> None:
    old = Figure(100.0, 2.0, "time")

    assert not moved(old, Figure(104.0, 2.0, "time"))
    assert moved(old, Figure(104.1, 2.0, "time"))
    assert moved(old, Figure(95.0, 2.0, "time"))


def test_a_figure_without_noise_is_never_said_to_have_moved() -> None:
    assert not moved(Figure(100.0, None, "memory"), Figure(200.0, 1.0, "memory"))
    assert not moved(Figure(100.0, 1.0, "memory"), Figure(200.0, None, "memory"))


def test_one_measurement_tells_no_noise_but_counts_that_agree_do() -> None:
    found = figures(result())

    assert found["nuki-bridge, persistent: memory, MiB"].noise is None
    assert found["users: link, ms"].noise is None
    assert found["nuki-bridge, persistent: ATT an action"].noise == 0
    assert found["nuki-bridge, persistent: end, ms"] == Figure(80.0, 1.0, "time")


def test_each_figure_stands_beside_the_old_one_and_what_moved_is_marked() -> None:
    text = compare.render(result(), result(persistent=contender(60.0, 0.05)))

    assert row(text, "nuki-bridge, persistent: end, ms") == ["80", "60", "0.75", "moved"]
    assert row(text, "nuki-bridge, on-demand: end, ms") == ["160", "160", "1.00"]


def test_a_result_compared_with_itself_has_moved_nowhere() -> None:
    text = compare.render(result(), result())

    assert not [line for line in text.splitlines() if line.endswith("moved")]
    assert "not compared" not in text


def test_clocks_that_count_different_things_are_never_mixed() -> None:
    counted = result(machine=result()["machine"] | {"clock": "instructions"})

    text = compare.render(result(), counted)

    assert obstacle(result(), counted)[1] == {"memory", "count"}
    assert "the machine's clock was 'time' and is 'instructions'" in text
    assert "end, ms " not in text.partition("not compared")[0]
    assert "processor, s" not in text.partition("not compared")[0]
    assert row(text, "nuki-bridge, persistent: ATT an action")[:3] == ["12", "12", "1.00"]


def test_times_of_another_machine_are_compared_as_ratios_to_its_floor() -> None:
    slow = result(persistent=contender(160.0), floor_echo_ms=spread([79.0, 80.0, 81.0]))

    text = compare.render(result(), slow)

    assert "the floor was 40.0 ms and is 80.0 ms" in text
    assert row(text, "nuki-bridge, persistent: end, x floor")[:3] == ["2", "2", "1.00"]
    assert "processor, s" not in text.partition("not compared")[0]


def test_a_kept_result_of_another_architecture_says_nothing_of_memory() -> None:
    other = result(machine=result()["machine"] | {"architecture": "aarch64"})

    assert "memory" not in obstacle(result(), other)[1]
    assert "processor" not in obstacle(result(), other)[1]


def test_what_only_one_result_has_is_named() -> None:
    without = {name: each for name, each in result().items() if name != "pynukibt alone"}

    text = compare.render(without, result())

    assert "pyNukiBT, no link: end, ms (new)" in text
    assert "pyNukiBT, no link: end, ms (not measured now)" in compare.render(result(), without)


def test_processor_time_by_cause_has_the_noise_of_its_samples() -> None:
    part = {"cpu_ms": 100.0, "samples": {"JSON": 50, "bleak": 50}}
    causes = {"persistent": {"sampled": {"action": part}, "counted": {"action": {"counts": {"MQTT publishes": 6.0}}}}}

    found = figures(result(causes=causes | {"time": "now"}))

    assert found["persistent: JSON, ms an action"].value == 50.0
    assert found["persistent: JSON, ms an action"].noise == pytest.approx(10.0)
    assert found["persistent: MQTT publishes, an action"].value == 6.0
