"""Holds what a client was told against the lock's own record; never believes the client.

Each rule has a name, under which what breaks it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nuki_bridge.errors import NukiError
from nuki_bridge.protocol.codes import Completion, name_of
from nuki_bridge.simulator.behaviour import AuditEntry
from tests.faults.record import Deed, deeds, seconds, was_there

RULES = {
    "one start": "at most one motor start for a command",
    "unasked": "no motor start that nobody asked for",
    "deadline": "no motor start after the command's deadline",
    "success": "success means that the lock did it, to its end, or that there was nothing to do",
    "failure": "a failure is the one that the lock had in this action",
    "refusal": "what was refused, not executed or timed out never starts",
    "errors": "only errors of ours, and none that nobody took",
    "in time": "an answer in time",
    "states": "no state is told that the lock did not have, none long after",
    "reachable": "60 s after the last fault the lock is reachable",
    "agree": "300 s after the last fault the states agree",
    "healthy": "with nothing wrong a command succeeds, if the lock says that it has it",
    "rings": "a ring of an Opener's bell is told once, and with the log nothing else is told as one",
    "withheld": "a guest's frame that was held back is never carried out late",
    "redeemed": "an invitation is redeemed on one device",
    "documented": "what is published is as the documents have it",
    "left": "no task, timer or link is left after stopping",
}

ANSWER_S = 165.0
"""Beyond its deadline a command may take so long: the longest action and the search for a lost lock."""
UNHEARD_S = 50.0
"""The same for a command that the lock never got."""
OLD_S = 20.0
"""A report may be so much older than its telling: a late indication within the time an answer may take."""

UNKNOWN = frozenset({"outcome_unknown", "stopped"})
"""Answers that say nothing of what the lock did."""
NOT_STARTED = frozenset(
    {
        *("not_executed", "timeout", "adapter_unavailable", "disconnected", "link_error", "not_found"),
        *("protocol_error", "too_many_requests", "unknown_lock", "not_paired", "bad_request", "retained_command"),
        *("bad_frame", "challenge_expired", "pin_required", "not_heard"),
    }
)
"""Answers that are not the lock's words and mean that it did nothing."""
_ENDS = frozenset(name_of(each) for each in Completion) | {"motor_timeout"}
_NOT_OURS = "error of no kind of ours"


@dataclass(slots=True)
class Command:
    """One command and its answer; times are on the loop's clock."""

    suffix: str
    action: str
    asked_at: float
    deadline: float
    answered_at: float | None = None
    word: str = "none"
    """`success` or the code of an error."""
    message: str = ""
    slack_s: float = 0.0
    """It may start so long after its deadline, if somebody held it back."""
    kept: bool = False
    """The answer has waited for the broker."""
    tampered: bool = False
    """Somebody had his hands on its messages, or another device with the same key asked for something meanwhile: what
    its asker believes may be wrong then."""

    def answer(self, now: float, error: BaseException | None = None) -> None:
        """Take the answer."""
        self.answered_at = now
        self.message = str(error or "")
        self.word = "success" if error is None else error.code if isinstance(error, NukiError) else _NOT_OURS
        if self.word in (_NOT_OURS, "internal"):
            self.message = f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, and in which way."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(slots=True)
class Case:
    """What is held against what: commands, the lock's record, the numbers of our authorizations."""

    commands: list[Command]
    audit: list[AuditEntry]
    ours: frozenset[int]
    start: str
    """The state at first."""
    slack_s: float
    """How long a write may be on its way."""
    found: list[Violation] = field(default_factory=list)

    def judge(self) -> list[Violation]:
        """Every broken rule about commands."""
        known = deeds(self.audit)
        asked = {command.suffix for command in self.commands}
        for entry in self.audit:
            acted = entry.what in ("action_started", "motor") and entry.authorization_id in self.ours
            if acted and entry.suffix not in asked:
                self._add("unasked", f"{entry.detail} for {entry.suffix!r} at {seconds(entry.time):.3f}")
        for command in self.commands:
            self._judge(command, known.get(command.suffix, Deed()))
        return self.found

    def _add(self, rule: str, text: str) -> None:
        self.found.append(Violation(rule, text))

    def _judge(self, command: Command, deed: Deed) -> None:
        name = f"{command.suffix} ({command.action})"
        if len(deed.started) > 1:
            self._add("one start", f"{name} started at {_times(deed.started)}, and its answer is {command.word}")
        late = [at for at in deed.started if at > command.deadline + command.slack_s + self.slack_s]
        if late:
            self._add(
                "withheld" if command.slack_s else "deadline",
                f"{name} started at {_times(late)}, its deadline was {command.deadline:.3f}",
            )
        if deed.action is not None and deed.action not in (command.action, "unlatch"):
            self._add("unasked", f"{name} made the lock {deed.action}")
        if command.answered_at is None:
            self._add("in time", f"{name} has no answer at all")
            return
        limit = command.deadline + (ANSWER_S if deed.received else UNHEARD_S)
        if command.answered_at > limit and not command.kept:
            self._add("in time", f"{name} was answered only {command.answered_at - command.deadline:.1f} s later")
        if not command.tampered:
            self._judge_word(name, command, deed, command.answered_at)

    def _judge_word(self, name: str, command: Command, deed: Deed, at: float) -> None:
        word, record = command.word, f"the lock's record: {_told(deed)}"
        if word == "success":
            idle = was_there(self.audit, self.start, command.action, command.asked_at, at)
            if not deed.carried_out(at) and not (idle and not deed.started):
                self._add("success", f"{name} was told to have succeeded at {at:.3f}; {record}")
        elif word in UNKNOWN:
            pass
        elif word in (_NOT_OURS, "internal"):
            self._add("errors", f"{name} ended with {command.message}")
        elif word == "incomplete":
            if not deed.started or deed.carried_out(at):
                self._add("failure", f"{name} was told to be incomplete at {at:.3f}; {record}")
        elif word in NOT_STARTED:
            if deed.started:
                self._add("refusal", f"{name} was answered {word} ({command.message}); {record}")
        elif deed.started:
            if not deed.failed_as(word, at):
                rule = "failure" if word in _ENDS else "refusal"
                self._add(rule, f"{name} was told to have failed by {word}; {record}")
        else:
            heard = [e for e in self.audit if command.asked_at <= seconds(e.time) <= at + 0.001]
            refused = {e.detail for e in heard if "refused" in e.what and e.authorization_id in self.ours}
            said = refused | {how for _, how in deed.ended}
            if word not in said:
                self._add("failure", f"{name} was told to be refused by {word}; the lock never said so")


def _told(deed: Deed) -> str:
    parts = [f"started at {_times(deed.started)}" if deed.started else "never started"]
    parts += [f"{how} at {at:.3f}" for at, how in deed.ended]
    parts += [f"refused as {how} at {at:.3f}" for at, how in deed.refused]
    parts += [f"over as {how} at {at:.3f}" for at, how in deed.rested]
    return ", ".join(parts)


def _times(times: Iterable[float]) -> str:
    return " and ".join(f"{at:.3f}" for at in times)
