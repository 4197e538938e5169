"""Inputs of strangers, mutated by the million: `make fuzz`.  `corpus` has those that were worth keeping, in files."""

from pathlib import Path

NAMES = (
    *("frames", "session", "messages", "advertisement", "topics"),
    *("payload", "config", "credential", "database", "invitation"),
)
CORPUS = Path(__file__).parent / "corpus"
HANG_S = 20
"""An input that takes so many seconds hangs the program."""
