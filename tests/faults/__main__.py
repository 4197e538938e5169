"""`python -m tests.faults`: seeds by the thousand on every processor, or one seed with all that happened in it."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from types import FrameType

from tests.faults.alone import play as alone
from tests.faults.house import play as in_house
from tests.faults.judge import RULES, Violation
from tests.faults.opener import play as at_opener
from tests.faults.stage import Report

HANGS_S = 60
"""A run takes some hundredths of a second; one that takes so long hangs, with the virtual clock standing still."""
SHOWN = 5
"""Seeds shown for each broken rule."""


def _hangs(number: int, frame: FrameType | None) -> None:
    raise RuntimeError("the run hangs: its clock stands still")


def safely(seed: int, play: Callable[..., Report]) -> Report:
    """Play a seed; whatever breaks the run itself is a broken rule, too."""
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(HANGS_S)
    try:
        report = play(seed)
    except Exception:
        report = Report(seed, [Violation("errors", traceback.format_exc(limit=-4))])
    finally:
        signal.alarm(0)
    report.trace.clear()
    return report


PLAYS: dict[str, tuple[Callable[..., Report], int, str]] = {
    "": (alone, 10_000, "one lock alone"),
    " --house": (in_house, 1_000, "a house"),
    " --opener": (at_opener, 1_000, "an Opener"),
}
"""By option: what is played, how many seeds, and what it is called."""


def campaign(seeds: range, jobs: int, option: str) -> int:
    """Play all `seeds` and sum up; how many broke a rule."""
    began = time.monotonic()
    play = PLAYS[option][0]
    answers: Counter[str] = Counter()
    broken: dict[str, list[tuple[int, Violation]]] = {}
    failed = 0
    with ProcessPoolExecutor(jobs, initializer=gc.freeze) as pool:
        for report in pool.map(partial(safely, play=play), seeds, chunksize=20):
            answers += report.answers
            failed += bool(report.violations)
            for each in report.violations:
                broken.setdefault(each.rule, []).append((report.seed, each))
    for rule, found in broken.items():
        seeds_of = sorted({seed for seed, _ in found})
        print(f"\n{rule}: {RULES[rule]}: broken by {len(seeds_of)} seeds")
        for seed, each in found[:SHOWN]:
            print(f"  {each.text}\n    replay: python -m tests.faults{option} --seed {seed}")
    total = answers.total()
    print(f"\n{total} commands:", ", ".join(f"{word} {n}" for word, n in answers.most_common()))
    print(f"outcome_unknown: {100 * answers['outcome_unknown'] / max(total, 1):.1f} %")
    print(f"{len(seeds)} runs, {failed} broke a rule, {time.monotonic() - began:.0f} s")
    return failed


def main() -> int:
    """Exit status 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one and show all that happened in it")
    parser.add_argument("--house", action="store_true", help="the whole bridge with owner, guests and broker")
    parser.add_argument("--opener", action="store_true", help="the whole bridge with an Opener and its visitors")
    parser.add_argument("--first", type=int, default=1, help="the first seed (%(default)s)")
    parser.add_argument(
        "--count", type=int, help="how many seeds (10000 of one lock alone, 1000 of a house and of an Opener)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (%(default)s)")
    args = parser.parse_args()
    chosen = " --house" if args.house else " --opener" if args.opener else ""
    if args.seed is None:
        failed = 0
        for option in (chosen,) if chosen else PLAYS:
            _, count, what = PLAYS[option]
            print(f"== {what}")
            failed += campaign(range(args.first, args.first + (args.count or count)), args.jobs, option)
        return int(failed > 0)
    report = PLAYS[chosen][0](args.seed, traced=True)
    print("\n".join(report.trace))
    print("\n" + ("\n".join(map(str, report.violations)) or "no rule was broken"))
    return int(bool(report.violations))


if __name__ == "__main__":
    sys.exit(main())
