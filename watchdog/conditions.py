"""
Conditions: ``signal.measure[window] op value``, answered true, false or unknown.

Three-valued logic after Kleene: a conjunction is false as soon as one part is false, and unknown
as long as an unknown part could still make it false.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from watchdog.errors import ConditionError
from watchdog.history import OTHER, History
from watchdog.model import AtLeast, Kind, Measure, SignalKey, Value, as_of
from watchdog.units import Unit, parse_duration, parse_number, show_number, write_duration

ANY_SIGNAL = "signal"
KNOWN = "known"
"""The measure that every signal has: whether it can be read."""
"""The signal name that stands for every signal: ``signal.known == 0``."""

DEFAULT_WINDOW = timedelta(minutes=10)
"""The window of a ratio or share for which none is written."""

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_TERM = r"(?P<signal>[A-Za-z_]\w*)\.(?P<measure>[A-Za-z_][\w.\-]*)(?:\[(?P<window>[^\]]*)\])?"
TERM = re.compile(_TERM)
_CONDITION = re.compile(rf"\s*{_TERM}\s*(?P<op>>=|<=|==|!=|>|<|\bin\b)\s*(?P<operand>.*?)\s*", re.DOTALL)
CLAIM = re.compile(r"1 (?:while|if) (?!.*\b[01]\b)")
"""How the help of a measure begins that is 1 where something is so, and 0 where it is not."""
_SHAPE = "write it like heartbeat.age > 5m or log.error_ratio[10m] > 10%"


class Truth(Enum):
    """The three answers a condition can give."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Term:
    """A measure of a signal, over a window if it is one that takes a window."""

    signal: str
    measure: str
    window: timedelta | None = None

    def __str__(self) -> str:
        window = f"[{write_duration(self.window)}]" if self.window else ""
        return f"{self.signal}.{self.measure}{window}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a term with a number, a word or a list of words."""

    term: Term
    op: str
    operand: float | tuple[str, ...]
    unit: Unit

    def __str__(self) -> str:
        if isinstance(self.operand, tuple):
            words = ", ".join(self.operand)
            return f"{self.term} {self.op} " + (f"[{words}]" if self.op == "in" else words)
        return f"{self.term} {self.op} {show_number(self.operand, self.unit)}"


# ---- reading -----------------------------------------------------------------------------------


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the cure for a misspelt *name*: the nearest of *known*, the first of several, or else all."""
    names = sorted(known)
    alike = [difflib.SequenceMatcher(None, each, name).ratio() for each in names]
    nearest = max(alike, default=0.0)
    if nearest >= 0.6:
        return f'did you mean "{names[alike.index(nearest)]}"?'
    return f"known: {', '.join(names)}" if names else ""


def find_measure(name: str, measures: Mapping[str, Measure]) -> Measure | None:
    """Return the measure called *name*; ``matches.trace`` is found under ``matches.*``."""
    family, dot, _ = name.partition(".")
    return measures.get(name) or (measures.get(f"{family}.*") if dot else None)


def parse_term(
    signal: str, measure: str, window: str | None, catalogue: Mapping[str, Mapping[str, Measure]]
) -> tuple[Term, Measure]:
    """Return the term and its measure as *catalogue* (signal → measures) knows it."""
    if signal not in catalogue:
        raise ConditionError(f'unknown signal "{signal}"', suggest(signal, catalogue))
    found = find_measure(measure, catalogue[signal])
    if found is None:
        raise ConditionError(
            f'signal {signal} has no measure "{measure}"', suggest(measure, catalogue[signal])
        )
    name = f"{signal}.{measure}"
    if window is None:
        if found.kind is Kind.COUNTER:
            raise ConditionError(f"{name} is a counter and needs a window", f"write {name}[10m]")
        return Term(signal, measure, DEFAULT_WINDOW if found.windowed else None), found
    if not found.windowed:
        raise ConditionError(f"{name} is a value now and takes no window", f"write {name}")
    try:
        span = parse_duration(window)
    except ValueError as exc:
        raise ConditionError(f"window of {name}: {exc}") from exc
    if not timedelta(0) < span <= timedelta(days=31):
        raise ConditionError(f"window of {name} is {window}", "choose one above 0s and at most 31d")
    return Term(signal, measure, span), found


def parse_condition(text: str, catalogue: Mapping[str, Mapping[str, Measure]]) -> Condition:
    """
    Read one comparison against the measures in *catalogue*.

    Raises ConditionError in the words of the file's author.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or not match["operand"]:
        raise ConditionError(f'"{text.strip()}" is not a condition', _SHAPE)
    term, measure = parse_term(match["signal"], match["measure"], match["window"], catalogue)
    op, operand = match["op"], match["operand"]
    if measure.unit is Unit.WORD:
        return Condition(term, op, _words(term, measure, op, operand), measure.unit)
    if op == "in":
        raise ConditionError(f'{term} is a number, and "in" compares words', f"write {term} > 5")
    try:
        return Condition(term, op, parse_number(operand, measure.unit), measure.unit)
    except ValueError as exc:
        raise ConditionError(f"{term}: {exc}") from exc


def _words(term: Term, measure: Measure, op: str, operand: str) -> tuple[str, ...]:
    if op not in ("==", "!=", "in"):
        raise ConditionError(
            f'{term} is a word and cannot be compared with "{op}"', "use ==, != or in [a, b]"
        )
    listed = operand.startswith("[") and operand.endswith("]")
    if listed != (op == "in"):
        raise ConditionError(f'"{operand}" does not fit {op}', f"write {term} in [a, b] or {term} == a")
    items = operand[1:-1].split(",") if listed else [operand]
    words = tuple(item.strip().strip("\"'") for item in items)
    if not all(words):
        raise ConditionError(f"{term} is compared with nothing", "name at least one word")
    for name in words:
        if measure.words and name not in measure.words:
            raise ConditionError(f'{term} is never "{name}"', suggest(name, measure.words))
    return words


# ---- answering ---------------------------------------------------------------------------------


def look_up(term: Term, signal: SignalKey, measure: Measure, history: History, at: datetime) -> Value:
    """
    Return what *term* is for *signal* as of *at*; None where that cannot be told.

    A failed look leaves everything unknown, also what the history could still answer.
    """
    latest = history.latest.get(signal)
    if latest is None:
        return None
    if term.measure == KNOWN:
        known = history.known(signal)
        return None if known is None else float(known)
    if latest.trouble is not None or latest.down is not None or term.measure in latest.gaps:
        return None
    if not measure.windowed:
        return as_of(latest.values.get(term.measure), history.seen_until(signal, at))
    window = term.window or DEFAULT_WINDOW
    if measure.kind is Kind.COUNTER:
        return history.increase(signal, term.measure, window, at)
    if measure.kind is Kind.RATIO:
        part, whole = (history.increase(signal, name, window, at) for name in measure.parts)
        return _divide(part, whole)
    variants = [v for v in history.variants(signal, measure.parts[0], window, at) if v[0] != OTHER]
    if measure.kind is Kind.TOP:
        return variants[0][0] if variants else None
    whole = history.increase(signal, measure.parts[1], window, at)
    return _divide(variants[0][1] if variants else 0.0, whole)


def _divide(part: Value, whole: Value) -> Value:
    """Return the share; of what was seen when the window is not covered, unknown when nothing was."""
    bottom = whole.number if isinstance(whole, AtLeast) else whole
    top = part.number if isinstance(part, AtLeast) else part
    if not isinstance(top, float) or not isinstance(bottom, float) or bottom <= 0:
        return None
    return None if isinstance(whole, AtLeast) else top / bottom


def compare(condition: Condition, found: Value) -> Truth:
    """Say whether *found* satisfies *condition*; a lower bound decides what it can."""
    if found is None:
        return Truth.UNKNOWN
    if isinstance(condition.operand, tuple):
        inside = str(found) in condition.operand
        return Truth.TRUE if inside != (condition.op == "!=") else Truth.FALSE
    if isinstance(found, str):
        return Truth.UNKNOWN
    if not isinstance(found, AtLeast):
        return Truth.TRUE if OPERATORS[condition.op](found, condition.operand) else Truth.FALSE
    return _compare_bound(condition.op, found.number, condition.operand)


def _compare_bound(op: str, least: float, operand: float) -> Truth:
    """Answer for a number of which only ``number >= least`` is known."""
    if op in (">", ">="):
        return Truth.TRUE if OPERATORS[op](least, operand) else Truth.UNKNOWN
    if op in ("<", "<="):
        return Truth.UNKNOWN if OPERATORS[op](least, operand) else Truth.FALSE
    if least <= operand:
        return Truth.UNKNOWN
    return Truth.FALSE if op == "==" else Truth.TRUE


def all_of(truths: Iterable[Truth]) -> Truth:
    """Return the conjunction of *truths* in Kleene's logic."""
    found = Truth.TRUE
    for truth in truths:
        if truth is Truth.FALSE:
            return truth
        if truth is Truth.UNKNOWN:
            found = truth
    return found


def any_of(truths: Iterable[Truth]) -> Truth:
    """Return the disjunction of *truths* in Kleene's logic."""
    found = Truth.FALSE
    for truth in truths:
        if truth is Truth.TRUE:
            return truth
        if truth is Truth.UNKNOWN:
            found = truth
    return found


def show_value(found: Value, unit: Unit) -> str:
    """Return *found* as a person reads it; a bound says that it is one."""
    if found is None:
        return "unknown"
    if isinstance(found, AtLeast):
        return f"at least {show_number(found.number, unit)}"
    return found if isinstance(found, str) else show_number(found, unit)


def in_words(condition: Condition, found: Value, help_: str) -> str:
    """
    Return the figure that answered *condition*, named by *help_*, its measure's help, and not by its name.

    ``time since the last success: 2h 5m (executions.age > 1h)``; what is 1 or 0 is yes or no.
    """
    meaning, _, _ = help_.replace(":", ";").partition(";")
    shown = show_value(found, condition.unit)
    if (claim := CLAIM.match(meaning)) and shown in ("0", "1"):
        meaning, shown = meaning[claim.end() :], "yes" if shown == "1" else "no"
    else:
        meaning = meaning[:1].lower() + meaning[1:]
    window = condition.term.window
    over = f" in {write_duration(window)}" if window is not None else ""
    return f"{meaning}{over}: {shown} ({condition})"


def explain(condition: Condition, found: Value) -> str:
    """Return the condition with the figure that answered it: ``executions.age (2h 5m) > 1h``."""
    _, _, rest = str(condition).partition(f"{condition.term} ")
    return f"{condition.term} ({show_value(found, condition.unit)}) {rest}"
