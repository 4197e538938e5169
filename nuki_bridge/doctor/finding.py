"""What one check of the doctor comes to: a verdict, a sentence, and what to do.

No finding holds a secret, an address or a place: a bug report quotes them all.
"""

from __future__ import annotations

import enum

from nuki_bridge.records import frozen


class Verdict(enum.StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and something is to be done all the same."""
    PROBLEM = "problem"
    """It does not work, or doors are open to others."""
    UNKNOWN = "unknown"
    """Nobody could look."""


@frozen
class Finding:
    """One line of the report; `advice` says what to do, None where nothing is."""

    name: str
    verdict: Verdict
    sentence: str
    advice: str | None = None


def ok(name: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(name, Verdict.OK, sentence)


def warning(name: str, sentence: str, advice: str) -> Finding:
    """It works for now."""
    return Finding(name, Verdict.WARNING, sentence, advice)


def problem(name: str, sentence: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(name, Verdict.PROBLEM, sentence, advice)


def unknown(name: str, why: str, advice: str | None = None) -> Finding:
    """Nobody could look; `why` ends the sentence."""
    return Finding(name, Verdict.UNKNOWN, f"could not look: {why}", advice)


class CouldNotLook(Exception):
    """The facts that a check needs cannot be had here; the text says why, `advice` how they could."""

    def __init__(self, why: str, advice: str | None = None) -> None:
        super().__init__(why)
        self.advice = advice
