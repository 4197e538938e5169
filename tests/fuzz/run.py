"""One target under atheris:  python -m tests.fuzz.run TARGET [LIBFUZZER'S OPTIONS] [CORPUS...]"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["nuki_bridge", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    logging.disable()
    target = TARGETS[sys.argv.pop(1)]

    def run(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, run)
    atheris.Fuzz()
