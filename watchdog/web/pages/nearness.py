"""The rules that watch a signal, each with its figures and how far it is from firing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import NamedTuple

from watchdog.alerts import Alert, Alerts, State
from watchdog.conditions import Truth, all_of, any_of, compare, explain, look_up
from watchdog.history import History
from watchdog.model import SignalKey
from watchdog.report import OF_SEVERITY, Status
from watchdog.rules import ZERO, Binding, Clause, Guard, Option, alert_labels
from watchdog.units import rfc3339, show_duration, write_duration

RISING = (">", ">=")
SIGNS = {Truth.TRUE: "holds", Truth.FALSE: "does not hold", Truth.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that must hold, with the figure that answers it."""

    text: str
    truth: Truth

    @property
    def holds(self) -> bool:
        """Say whether it holds."""
        return self.truth is Truth.TRUE

    @property
    def words(self) -> str:
        """Return in words whether it holds."""
        return SIGNS[self.truth]


@dataclass(frozen=True, slots=True)
class Guarding:
    """
    One rule on one signal. *words* say how near it is; *status* is how bad that is already.

    It is *near* if it holds, nobody can tell, or time alone will make it hold.
    """

    alertname: str
    severity: str
    wait: str
    parts: tuple[Part, ...]
    words: str
    status: Status
    fingerprint: str | None
    near: bool


def rules_on(
    key: SignalKey, binding: Binding, history: History, alerts: Alerts, now: datetime
) -> list[Guarding]:
    """Return the rules on *key*, those that fire first, then those that may soon."""
    found = [_guarding(key, guard, history, alerts, now) for guard in binding.guards.get(key, ())]
    return [guarding for _, guarding in sorted(found, key=lambda ranked: ranked[0])]


def thresholds_of(key: SignalKey, binding: Binding) -> Mapping[str, float]:
    """Return from which number on a rule holds of *key*, by measure, where a line can show that."""
    found: dict[str, float] = {}
    for guard in binding.guards.get(key, ()):
        for option in (option for clause in guard.clauses for option in clause):
            condition = option.condition
            plain = option.signal is None and condition.term.window is None
            if plain and condition.op in RISING and isinstance(condition.operand, float):
                found.setdefault(condition.term.measure, condition.operand)
    return found


def _guarding(
    key: SignalKey, guard: Guard, history: History, alerts: Alerts, now: datetime
) -> tuple[float, Guarding]:
    """Return the rule, and a number that is smaller the nearer it is."""
    labels = alert_labels(guard.rule, key)
    alert = alerts.get(labels)
    answers = [_answer(clause, key, history, now) for clause in guard.clauses]
    parts = tuple(answer.part for answer in answers)
    rank, words, status = _standing(guard, alert, answers, now)
    rule = guard.rule
    wait = write_duration(rule.for_) if rule.for_ else ""
    shown = labels.fingerprint if alert is not None else None
    return rank, Guarding(rule.alert, str(rule.severity), wait, parts, words, status, shown, rank < inf)


class Answer(NamedTuple):
    """What speaks for a clause, and in how many seconds time alone makes it true, None if it does not."""

    part: Part
    left: float | None


def _answer(clause: Clause, lead: SignalKey, history: History, now: datetime) -> Answer:
    """Ask all options of *clause*; the one that decides it speaks for it."""
    answers: list[Answer] = []
    for option in clause:
        condition = option.condition
        found = look_up(condition.term, option.signal or lead, option.measure, history, now)
        applies = found is not None or _applicable(option, option.signal or lead, history)
        truth, left = compare(condition, found) if applies else Truth.FALSE, None
        number, operand = found, condition.operand
        if option.measure.grows and isinstance(number, float) and isinstance(operand, float):
            left = operand - number if condition.op in RISING else None
        text = explain(condition, found)
        answers.append(
            Answer(Part(text if applies else text.replace("(unknown)", "(not applicable)"), truth), left)
        )
    truth = any_of(answer.part.truth for answer in answers)
    return next(answer for answer in answers if answer.part.truth is truth)


def _applicable(option: Option, signal: SignalKey, history: History) -> bool:
    """Say whether a measure without a value is unknown; if not, a good look found it not to apply."""
    latest, name = history.latest.get(signal), option.condition.term.measure
    if option.measure.windowed or name == "known" or latest is None or latest.known is None or latest.trouble:
        return True
    return name in latest.values


def _standing(
    guard: Guard, alert: Alert | None, answers: Sequence[Answer], now: datetime
) -> tuple[float, str, Status]:
    rule = guard.rule
    if alert is not None and alert.state is not State.RESOLVED:
        bad = OF_SEVERITY[rule.severity]
        if alert.state is State.PENDING:
            left = max(ZERO, rule.for_ - (now - alert.active_since)).total_seconds()
            return 0.0, f"holds, fires in {show_duration(round(left))}", bad
        seen = "" if alert.state is State.FIRING else ", cannot be seen now"
        return -1.0, f"fires since {_clock(alert.fired_at or alert.active_since)}{seen}", bad
    truth = all_of(answer.part.truth for answer in answers)
    if truth is Truth.UNKNOWN:
        return 1.0, "cannot be told", Status.UNKNOWN
    waits = list(_until(answers))
    if truth is Truth.FALSE and None not in waits:
        seconds = max(wait for wait in waits if wait is not None) + rule.for_.total_seconds()
        return seconds, f"fires in {show_duration(round(seconds))} if nothing happens", Status.OK
    return inf, "does not hold", Status.OK


def _until(answers: Sequence[Answer]) -> Iterator[float | None]:
    """Yield for each part that does not hold in how many seconds it will; None: time alone does nothing."""
    for answer in answers:
        if not answer.part.holds:
            yield answer.left


def _clock(moment: datetime) -> str:
    return rfc3339(moment.replace(microsecond=0)).replace("T", " ").removesuffix("Z") + " UTC"
