"""When somebody may act, as options of a command: `--until 2026-12-24`, `--weekdays mo-fr`, `--from-time 08:00` …

And the way back, in words for a table or a letter.
"""

from __future__ import annotations

import argparse
import re
from datetime import datetime
from typing import Any

WEEKDAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
"""The days of a week as requests name them, from Monday on."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--from",
        dest="since",
        type=lambda text: _moment(text, "00:00:00"),
        metavar="TIME",
        help="not before: a day such as 2026-12-24, or a moment such as 2026-12-24T18:00 in the lock's local time",
    )
    parser.add_argument(
        "--until",
        type=lambda text: _moment(text, "23:59:59"),
        metavar="TIME",
        help="not after: a day such as 2026-12-24, which counts whole, or a moment such as 2026-12-24T18:00",
    )
    parser.add_argument("--weekdays", type=weekdays, metavar="DAYS", help="such as mo-fr or mo,we,sa-su")
    parser.add_argument("--from-time", type=time_of_day, metavar="HH:MM", help="each day not before, such as 8:00")
    parser.add_argument(
        "--until-time", type=end_of_day, metavar="HH:MM", help="each day not after; 22:00 to 06:00 spans midnight"
    )


def access_of(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return `access` for a request; None if no option was given."""
    parts = {
        "from": arguments.since,
        "until": arguments.until,
        "weekdays": arguments.weekdays,
        "time_from": arguments.from_time,
        "time_until": arguments.until_time,
    }
    return {key: each for key, each in parts.items() if each is not None} or None


def in_words(access: Any) -> str | None:
    """Return `access` of an answer in one line, in the lock's local time: `mo-fr 08:00–20:00, until 2026-12-24`."""
    if not isinstance(access, dict) or not access:
        return None
    daily = [days_in_words(access["weekdays"])] if isinstance(access.get("weekdays"), list) else []
    start, end = access.get("time_from"), access.get("time_until")
    if start or end:
        daily.append(f"{start or '00:00'}–{end or '24:00'}")
    parts = [" ".join(daily)] if daily else []
    for word, whole in (("from", "00:00:00"), ("until", "23:59:59")):
        if access.get(word):
            parts.append(f"{word} {_short(str(access[word]), whole)}")
    return ", ".join(parts)


def _short(moment: str, whole: str) -> str:
    """Return the day of a moment, with its time of day unless that is `whole`, at which the day begins or ends."""
    match = re.match(r"(\d{4}-\d\d-\d\d)T((\d\d:\d\d):\d\d)", moment)
    if not match:
        return moment
    return match[1] if match[2] == whole else f"{match[1]} {match[3]}"


def days_in_words(chosen: list[Any]) -> str:
    """Return days in a row as `mo-fr`, others with commas."""
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(run) for run in runs_of(chosen))


def runs_of(chosen: list[Any]) -> list[list[str]]:
    """Return the days that are chosen, those that follow each other together."""
    runs: list[list[str]] = []
    for day in WEEKDAYS:
        if day not in chosen:
            continue
        if runs and WEEKDAYS.index(runs[-1][-1]) + 1 == WEEKDAYS.index(day):
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def weekdays(text: str) -> list[str]:
    """Return the days in `mo-fr,su`, from Monday on; a range may go over the end of the week."""
    chosen = set()
    for part in text.lower().split(","):
        match = re.fullmatch(r"\s*([a-z]{2})(?:\s*-\s*([a-z]{2}))?\s*", part)
        if not match or not {match[1], match[2] or match[1]} <= set(WEEKDAYS):
            raise argparse.ArgumentTypeError(f"must be days such as mo-fr or mo,we,sa-su out of {', '.join(WEEKDAYS)}")
        first, last = WEEKDAYS.index(match[1]), WEEKDAYS.index(match[2] or match[1])
        chosen |= {WEEKDAYS[(first + place) % 7] for place in range((last - first) % 7 + 1)}
    return [day for day in WEEKDAYS if day in chosen]


def time_of_day(text: str) -> str:
    """Return a time of day as requests have it: `8:00` is 08:00."""
    match = re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError("must be a time of day from 00:00 to 23:59, such as 8:00")
    return f"{int(match[1]):02}:{match[2]}"


def end_of_day(text: str) -> str:
    """Return a time of day at which something ends, which may be 24:00."""
    return "24:00" if text.strip() == "24:00" else time_of_day(text)


def _moment(text: str, at: str) -> str:
    """Return a day, as it is at the time `at`, or a moment."""
    whole = f"{text.strip()}T{at}" if re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", text, re.ASCII) else text.strip()
    try:
        datetime.fromisoformat(whole.upper())
    except ValueError:
        sentence = "must be a day such as 2026-12-24, or with its time: 2026-12-24T18:00"
        raise argparse.ArgumentTypeError(sentence) from None
    return whole
