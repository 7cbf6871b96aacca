"""
A rule's conditions in PromQL: what makes them true, and what makes them false.

Both are needed. In the sidecar an answer is true, false or unknown, and only *false* ends an alert; in
Prometheus whatever is not there is simply not there. So every condition comes as a pair of vectors with
the labels of its signal, and what is in neither is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from watchdog.conditions import ANY_SIGNAL, DEFAULT_WINDOW, Condition, find_measure
from watchdog.errors import WatchdogError
from watchdog.model import Kind, Measure
from watchdog.naming import AWAY_NAME, KNOWN_NAME, metric_name, part_label, series_name, word_label
from watchdog.rules import KNOWN, Rule
from watchdog.signals import SIGNALS
from watchdog.units import write_duration

OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}
BACK = timedelta(minutes=5)
"""So far before a window the value at its beginning is looked for, as Prometheus itself does."""
SERVICE = "on (service, job, instance)"
"""Where conditions on two signals meet."""


class InexpressibleError(WatchdogError):
    """Say why a condition cannot be told by what is exported."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which services are meant: *only* these (none: all), *but* those."""

    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    @property
    def matchers(self) -> tuple[str, ...]:
        """Return it as it stands between the braces."""
        found = (among("service", self.only),) if self.only else ()
        return (*found, among("service", self.but, other=True)) if self.but else found


@dataclass(frozen=True, slots=True)
class Answers:
    """Two vectors: where a condition is true, and where it is false."""

    true: str
    false: str


# ---- spelling ----------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """Return *text* as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def among(label: str, words: Sequence[str], *, other: bool = False) -> str:
    """Return the matcher for *label* being one of *words*, or any *other*."""
    if len(words) == 1:
        return f"{label}{'!=' if other else '='}{quoted(words[0])}"
    pattern = "|".join(re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", word) for word in words)
    return f"{label}{'!~' if other else '=~'}{quoted(pattern)}"


def selector(name: str, *matchers: str) -> str:
    """Return the series called *name* that fit all *matchers*."""
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def number(value: float) -> str:
    """Return *value* as PromQL has it."""
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def joined(expressions: Iterable[str], word: str) -> str:
    """Return *expressions* joined by *word*, each in brackets if there are several."""
    found = list(dict.fromkeys(expressions))
    return found[0] if len(found) == 1 else f" {word} ".join(f"({one})" for one in found)


# ---- counters ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Gain:
    """What a counter gained over a window; recorded, because several rules and both answers ask for it."""

    series: str
    window: timedelta

    @property
    def exact(self) -> str:
        """Return the name of the increase, there while the window is covered."""
        return f"signal:{self.series.removesuffix('_total')}:increase{write_duration(self.window)}"

    @property
    def at_least(self) -> str:
        """Return the name of the increase as far as it was seen, be the window covered or not."""
        return f"signal:{self.series.removesuffix('_total')}:seen{write_duration(self.window)}"

    def records(self) -> tuple[tuple[str, str], ...]:
        """
        Return the recording rules, as name and expression.

        `increase` alone extrapolates: 19 of 40 scrapes are told as 19.5, and the first step after the
        window's beginning is lost. Counts are exact, so two samples are subtracted; `increase` helps only
        where the counter began anew in between, which a difference cannot see.
        """
        x, window = self.series, write_duration(self.window)
        start = f"last_over_time({x}[{write_duration(BACK)}] offset {window})"
        anew = f"resets({x}[{write_duration(self.window + BACK)}]) > 0"
        exact = f"({x} - {start} unless {anew})\nor\n(round(increase({x}[{window}])) and {x} and {start})"
        seen = (
            f"{self.exact}\nor\n({x} - min_over_time({x}[{window}]) unless resets({x}[{window}]) > 0)"
            f"\nor\n(round(increase({x}[{window}])) and {x})"
        )
        return (self.exact, exact), (self.at_least, seen)


def measure_of(condition: Condition) -> Measure:
    """Return what *condition* asks for."""
    term = condition.term
    if term.measure == "known":
        return KNOWN
    found = find_measure(term.measure, SIGNALS[term.signal].MEASURES)
    assert found is not None, term  # the condition was read against the same catalogue
    return found


def gains_of(condition: Condition) -> tuple[Gain, ...]:
    """Return the increases that *condition* asks for."""
    term, measure = condition.term, measure_of(condition)
    window = term.window or DEFAULT_WINDOW
    if measure.kind is Kind.COUNTER:
        return (Gain(series_name(term.signal, term.measure, measure), window),)
    if measure.kind is Kind.RATIO and window != DEFAULT_WINDOW:
        counters = {part: SIGNALS[term.signal].MEASURES.get(part) for part in measure.parts}
        found = [Gain(series_name(term.signal, part, c), window) for part, c in counters.items() if c]
        return tuple(found) if len(found) == len(counters) else ()
    return ()


# ---- one condition -----------------------------------------------------------------------------


def answers(condition: Condition, scope: Scope) -> Answers:
    """Return where *condition* is true and where false, with the labels of its signal."""
    measure = measure_of(condition)
    if condition.term.measure == "known":
        return _knowledge(condition, scope)
    if measure.kind is Kind.TOP:
        raise InexpressibleError(f"{condition.term} is a word without end, which makes no metric")
    if measure.kind is Kind.WORD:
        return _or_not_applicable(_word(condition, measure, scope), condition, measure, scope)
    if measure.kind is Kind.COUNTER:
        return _count(condition, scope)
    if measure.windowed and condition.term.window not in (None, DEFAULT_WINDOW):
        return _ratio(condition, scope)
    asked = _series(condition, metric_name(condition.term.signal, condition.term.measure, measure), scope)
    found = _compared(asked, condition)
    return found if measure.windowed else _or_not_applicable(found, condition, measure, scope)


def signals_known(kind: str, scope: Scope, *more: str) -> str:
    """Return how much is known of each signal of *kind*, with the labels of its other series."""
    known = selector(KNOWN_NAME, f"signal={quoted(kind)}", *scope.matchers)
    return f"max without (signal) ({known}{''.join(more)})"


def _series(condition: Condition, name: str, scope: Scope) -> str:
    """Return the series *name* for what is asked, with no label that its signal does not have."""
    part = part_label(condition.term.measure)
    if part is None:
        return selector(name, *scope.matchers)
    label, value = part
    return f"max without ({label}) ({selector(name, f'{label}={quoted(value)}', *scope.matchers)})"


def _compared(asked: str, condition: Condition) -> Answers:
    assert isinstance(condition.operand, float)
    than = number(condition.operand)
    return Answers(f"{asked} {condition.op} {than}", f"{asked} {OPPOSITE[condition.op]} {than}")


def _or_not_applicable(found: Answers, condition: Condition, measure: Measure, scope: Scope) -> Answers:
    """Return *found*; where all is known of a signal but not this measure, it does not apply: false."""
    term = condition.term
    name = metric_name(term.signal, term.measure, measure)
    if measure.kind is Kind.WORD:
        there = f"max without ({word_label(name)}) ({selector(name, *scope.matchers)})"
    else:
        there = _series(condition, name, scope)
    all_known = signals_known(term.signal, scope, " == 1")
    return Answers(found.true, f"({found.false}) or ({all_known} unless {there})")


def _word(condition: Condition, measure: Measure, scope: Scope) -> Answers:
    assert isinstance(condition.operand, tuple)
    name = metric_name(condition.term.signal, condition.term.measure, measure)
    label = word_label(name)

    def holds(*, other: bool) -> str:
        series = selector(name, among(label, condition.operand, other=other), *scope.matchers)  # type: ignore[arg-type]
        return f"max without ({label}) ({series} == 1)"

    is_not = condition.op == "!="
    return Answers(holds(other=is_not), holds(other=not is_not))


def _count(condition: Condition, scope: Scope) -> Answers:
    """What was seen decides upwards at once; downwards only a window that is covered decides."""
    (gain,) = gains_of(condition)
    exact, seen = _series(condition, gain.exact, scope), _series(condition, gain.at_least, scope)
    op, than = condition.op, number(condition.operand)  # type: ignore[arg-type]
    if op in (">", ">="):
        return Answers(f"{seen} {op} {than}", f"{exact} {OPPOSITE[op]} {than}")
    if op in ("<", "<="):
        return Answers(f"{exact} {op} {than}", f"{seen} {OPPOSITE[op]} {than}")
    same, differs = f"{exact} == {than}", f"({seen} > {than}) or ({exact} < {than})"
    return Answers(same, differs) if op == "==" else Answers(differs, same)


def _ratio(condition: Condition, scope: Scope) -> Answers:
    gains = gains_of(condition)
    if not gains:
        raise InexpressibleError(
            f"{condition.term} needs the count of each word, which is exported"
            f" for {write_duration(DEFAULT_WINDOW)} only"
        )
    part, whole = (selector(gain.exact, *scope.matchers) for gain in gains)
    return _compared(f"{part} / ({whole} > 0)", condition)


def _knowledge(condition: Condition, scope: Scope) -> Answers:
    """Whether a signal is known is itself unknown while its whole source is away."""
    if condition.term.signal != ANY_SIGNAL:
        raise InexpressibleError(f"{condition.term} is asked of every signal: write signal.known")
    asked, away = selector(KNOWN_NAME, *scope.matchers), selector(AWAY_NAME, *scope.matchers)
    found = _compared(asked, condition)
    return Answers(f"{found.true} unless {away}", f"{found.false} unless {away}")


# ---- a rule ------------------------------------------------------------------------------------


def whole(rule: Rule, scope: Scope) -> Answers:
    """Return where all conditions of *rule* are true, and where one is false, by its leading signals."""
    clauses = [_clause(alternatives, rule.lead, scope) for alternatives in rule.when]
    ours = [found for found, elsewhere in clauses if not elsewhere]
    theirs = [found for found, elsewhere in clauses if elsewhere]
    true = joined((found.true for found in ours), "and")
    if theirs:
        true = f"({true})" + "".join(f" and {SERVICE} ({found.true})" for found in theirs)
        leads = signals_known(rule.lead, scope)
        ours += [Answers("", f"{leads} and {SERVICE} ({found.false})") for found in theirs]
    return Answers(true, joined((found.false for found in ours), "or"))


def _clause(alternatives: Sequence[Condition], lead: str, scope: Scope) -> tuple[Answers, bool]:
    """Return the answers of one item of `when`, and whether they are of another signal than the lead."""
    kinds = dict.fromkeys(condition.term.signal for condition in alternatives)
    by_kind: dict[str, Answers] = {}
    for kind in kinds:
        found = [answers(condition, scope) for condition in alternatives if condition.term.signal == kind]
        by_kind[kind] = _either(found)
    others = {kind: _of_any(kind, found, scope) for kind, found in by_kind.items() if kind != lead}
    if len(kinds) == 1:
        return (others[next(iter(kinds))], True) if others else (by_kind[lead], False)
    leads = signals_known(lead, scope)
    own = [by_kind[lead]] if lead in by_kind else []
    met = [
        Answers(f"{leads} and {SERVICE} ({found.true})", f"{leads} and {SERVICE} ({found.false})")
        for found in others.values()
    ]
    return _either(own + met), False


def _either(found: Sequence[Answers]) -> Answers:
    return Answers(joined((f.true for f in found), "or"), joined((f.false for f in found), "and"))


def _of_any(kind: str, found: Answers, scope: Scope) -> Answers:
    """One signal of *kind* suffices to make it true; false it is if none may still be true."""
    unsure = signals_known(kind, scope, " == 0")
    return Answers(found.true, f"({found.false}) unless {SERVICE} ({found.true}) unless {SERVICE} ({unsure})")
