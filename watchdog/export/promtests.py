"""
Tests of the exported rules for `promtool test rules`: each fires on one history and is quiet on another.

Both are found by trying: figures around the thresholds, until all conditions hold, or the first does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import yaml

from watchdog.conditions import (
    ANY_SIGNAL,
    DEFAULT_WINDOW,
    Condition,
    Truth,
    all_of,
    any_of,
    compare,
    find_measure,
)
from watchdog.config import Config
from watchdog.export.prometheus import Variant, expressible, label_names
from watchdog.export.promql import BACK, measure_of, number, quoted
from watchdog.model import Kind, Value
from watchdog.naming import KNOWN_NAME, metric_name, part_label, series_name, word_label
from watchdog.rules import Rule
from watchdog.signals import SIGNALS

SHORTEST = timedelta(minutes=1)
MOST_STEPS = 30
OTHER = "something else"
STANDS_FOR_ANY = "heartbeat"
"""The kind of signal with which a rule on every signal is tried."""
HEADING = """\
# Tests of the exported rules. Made by: watchdog export prometheus --tests
# Run them: promtool test rules THIS_FILE

"""


@dataclass(frozen=True, slots=True)
class Span:
    """How long the histories are: so many *steps*, one *every* so often."""

    steps: int
    every: timedelta


@dataclass(frozen=True, slots=True)
class Knob:
    """A measure that can be set for a test: what of which signal."""

    kind: str
    measure: str


Setting = Mapping[Knob, float | str]


# ---- finding figures ---------------------------------------------------------------------------


def settings(rule: Rule) -> tuple[Setting, Setting] | None:
    """Return figures with which *rule* holds, and some with which it does not; None if there are none."""
    knobs: dict[Knob, dict[float | str, None]] = {}
    for condition in rule.conditions:
        for knob, candidates in _candidates(condition):
            knobs.setdefault(knob, {}).update(dict.fromkeys(candidates))
    tries = [dict(zip(knobs, chosen, strict=True)) for chosen in product(*knobs.values())]
    holds = next((one for one in tries if _truth(rule, one) is Truth.TRUE), None)
    fails = next((one for one in tries if _truth(rule, one) is Truth.FALSE), None)
    return None if holds is None or fails is None else (holds, fails)


def _candidates(condition: Condition) -> Iterator[tuple[Knob, Sequence[float | str]]]:
    term, measure, operand = condition.term, measure_of(condition), condition.operand
    if isinstance(operand, tuple):
        yield Knob(term.signal, term.measure), (*operand, *(measure.words or (OTHER,))[:3])
    elif measure.kind is Kind.COUNTER:
        enough = _rate(operand, term.window)
        yield Knob(term.signal, term.measure), (0.0, enough, 2 * enough)
    elif measure.kind is Kind.RATIO and term.window not in (None, DEFAULT_WINDOW):
        for part in measure.parts:
            yield Knob(term.signal, part), (0.0, 1.0, 10.0, 100.0)
    elif term.measure == "known":
        yield Knob(term.signal, term.measure), (1.0, 0.0)
    else:
        near = (operand - 1, operand, operand + 1, operand / 2, 2 * operand + 1)
        yield Knob(term.signal, term.measure), near


def _rate(count: float, window: timedelta | None) -> float:
    """Return how many a minute are more than *count* in the *window*."""
    minutes = (window or DEFAULT_WINDOW) / SHORTEST
    return float(math.floor(abs(count) / minutes) + 1)


def _truth(rule: Rule, setting: Setting) -> Truth:
    return all_of(any_of(compare(c, _value(c, setting)) for c in clause) for clause in rule.when)


def _value(condition: Condition, setting: Setting) -> Value:
    term, measure = condition.term, measure_of(condition)
    if measure.kind is Kind.RATIO and term.window not in (None, DEFAULT_WINDOW):
        part, whole = (setting[Knob(term.signal, name)] for name in measure.parts)
        assert isinstance(part, float)
        assert isinstance(whole, float)
        return part / whole if whole else None
    found = setting[Knob(term.signal, term.measure)]
    if measure.kind is Kind.COUNTER:
        assert isinstance(found, float)
        return found * ((term.window or DEFAULT_WINDOW) / SHORTEST)
    return found


# ---- the file ----------------------------------------------------------------------------------


def promtests_file(config: Config, rules: str) -> str:
    """Return the tests for the file that is called *rules*."""
    able, _ = expressible(config)
    names = label_names(config)
    long = max((v.rule.reach for v in able), default=SHORTEST) + BACK + 2 * SHORTEST
    every = max(SHORTEST, timedelta(minutes=math.ceil(long / MOST_STEPS / SHORTEST)))
    steps = math.ceil(long / every)
    series: dict[str, str] = {}
    asked = []
    for variant in able:
        found = settings(variant.rule)
        for setting, ending in zip(found or (), ("", " is quiet"), strict=False):
            labels = _labels(variant, names, ending)
            series.update(_series(variant.rule, setting, labels, names, Span(steps, every)))
            asked.append(_question(variant.rule, labels, fires=not ending, at=steps * every))
    body = {
        "rule_files": [rules],
        "evaluation_interval": _seconds(every),
        "tests": [
            {
                "name": "each rule fires, and stays quiet",
                "interval": _seconds(every),
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": asked,
            }
        ],
    }
    return HEADING + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=1_000)


def _labels(variant: Variant, names: Mapping[str, Sequence[str]], ending: str) -> dict[str, str]:
    """Return the labels of the alert's signal: those of a service that the rule is for, its own otherwise."""
    rule, mine = variant.rule, f"{variant.rule.alert}{ending}"
    kind = STANDS_FOR_ANY if rule.lead == ANY_SIGNAL else rule.lead
    own = {"signal": kind} if rule.lead == ANY_SIGNAL else {}
    service = variant.scope.only[0] if variant.scope.only else mine
    return {"service": service, **dict.fromkeys(names.get(kind, ()), mine), **own}


def _series(
    rule: Rule,
    setting: Setting,
    labels: Mapping[str, str],
    names: Mapping[str, Sequence[str]],
    span: Span,
) -> Iterator[tuple[str, str]]:
    """Yield the series that show *setting*, with their values."""
    value = next(iter(labels.values()))
    mine = next((text for name, text in labels.items() if name not in ("service", "signal")), value)
    for kind in dict.fromkeys(knob.kind for knob in setting):
        own = {name: text for name, text in labels.items() if name != "signal"}
        if kind not in (rule.lead, ANY_SIGNAL):
            own = {"service": labels["service"], **dict.fromkeys(names.get(kind, ()), mine)}
        known = setting.get(Knob(kind, "known"), 1.0)
        signal = STANDS_FOR_ANY if kind == ANY_SIGNAL else kind
        assert isinstance(known, float)
        yield _named(KNOWN_NAME, {**own, "signal": signal}), f"{number(known)}x{span.steps}"
        for knob, shown in setting.items():
            if knob.kind == kind and knob.measure != "known":
                yield from _shown(knob, shown, own, span)


def _shown(knob: Knob, shown: float | str, own: Mapping[str, str], span: Span) -> Iterator[tuple[str, str]]:
    measure = find_measure(knob.measure, SIGNALS[knob.kind].MEASURES)
    assert measure is not None
    part = part_label(knob.measure)
    labels = {**own, **({part[0]: part[1]} if part else {})}
    name = series_name(knob.kind, knob.measure, measure)
    if isinstance(shown, str):
        label = word_label(metric_name(knob.kind, knob.measure, measure))
        for word in dict.fromkeys((*measure.words, shown)):
            yield _named(name, {**labels, label: word}), f"{int(word == shown)}x{span.steps}"
    elif measure.kind is Kind.COUNTER:
        yield _named(name, labels), f"0+{number(shown * (span.every / SHORTEST))}x{span.steps}"
    else:
        yield _named(name, labels), f"{number(shown)}x{span.steps}"


def _named(name: str, labels: Mapping[str, str]) -> str:
    told = {**labels, "instance": "a", "job": "watchdog"}
    return f"{name}{{{','.join(f'{label}={quoted(text)}' for label, text in sorted(told.items()))}}}"


def _question(rule: Rule, labels: Mapping[str, str], *, fires: bool, at: timedelta) -> dict[str, Any]:
    told = {"alertname": rule.alert, "alertstate": "firing", "severity": str(rule.severity), **labels}
    who = f"ALERTS{{{','.join(f'{label}={quoted(text)}' for label, text in sorted(told.items()))}}}"
    return {
        "expr": who,
        "eval_time": _seconds(at),
        "exp_samples": [{"labels": who, "value": 1}] if fires else [],
    }


def _seconds(duration: timedelta) -> str:
    return f"{int(duration.total_seconds())}s"
