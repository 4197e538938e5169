"""Fuzz targets with atheris:  python -m tests.fuzz [--seconds N] [TARGET...]

Each target runs in a process of its own. What it finds on its way goes to build/fuzz/TARGET; an input that breaks it
to build/fuzz/TARGET-crash-..., with a traceback on the terminal. An input that is worth keeping, above all one that
broke something, is copied to tests/fuzz/corpus/TARGET, from where `make test` replays it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz import CORPUS, HANG_S, NAMES

TREE = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all of them if none")
    options = parser.parse_args()
    broken = []
    for name in options.targets or NAMES:
        print(f"== {name}: {options.seconds} s", flush=True)
        found = TREE / "build" / "fuzz" / name
        found.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "tests.fuzz.run", name),
            f"-max_total_time={options.seconds}",
            f"-timeout={HANG_S}",
            f"-artifact_prefix={found}-",
            *("-print_final_stats=1", "-max_len=4096", "-verbosity=0"),
            *(str(found), str(CORPUS / name)),
        ]
        if subprocess.run(command, cwd=TREE, check=False).returncode != 0:
            broken.append(name)
    print(f"{len(broken)} targets broke: {', '.join(broken)}" if broken else "no target broke")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
