"""
The reference as values: what each signal, measure, rule, receiver and key is, for pages and for terminals.

All of it is said elsewhere, once: keys by their models, measures by their signals, rules as they are written,
what an alert means by its runbook. Here it is brought together, each with what belongs to it.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from watchdog.builtin import BUILTIN, runbook_of
from watchdog.conditions import ANY_SIGNAL, TERM
from watchdog.filekeys import ANY_NAME, Key, keys_of
from watchdog.model import Kind, Measure
from watchdog.naming import KNOWN_NAME, part_label, series_name
from watchdog.notifiers import NOTIFIERS
from watchdog.rulebook import CATALOGUE
from watchdog.rules import Rule
from watchdog.runbooks import in_a_sentence, read_runbook
from watchdog.schema import IMPLICIT
from watchdog.shape import signal_field
from watchdog.signals import SIGNALS
from watchdog.units import write_duration

KINDS: Mapping[Kind, str] = {
    Kind.COUNTER: "counter",
    Kind.RATIO: "ratio over a window",
    Kind.SHARE: "share over a window",
    Kind.TOP: "word over a window",
    Kind.WORD: "word",
}
"""What measures of a kind are called; a plain value is called by its unit."""


@dataclass(frozen=True, slots=True)
class MeasurePage:
    """One measure of a signal, the series it is exported as, and the built-in rules that ask for it."""

    signal: str
    name: str
    kind: str
    meaning: str
    words: tuple[str, ...]
    windowed: bool
    series: str
    rules: tuple[str, ...]

    @property
    def whole(self) -> str:
        """Return it as a condition names it."""
        return f"{self.signal}.{self.name}"


@dataclass(frozen=True, slots=True)
class SignalPage:
    """One signal: what it does, its keys and measures; *always* names the service that has it unasked."""

    name: str
    meaning: str
    always: str
    keys: tuple[Key, ...]
    measures: tuple[MeasurePage, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RulePage:
    """One built-in rule, and in one sentence what its alert means."""

    name: str
    when: tuple[str, ...]
    for_: str
    severity: str
    summary: str
    meaning: str
    runbook: str
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReceiverPage:
    """One kind of receiver and its keys."""

    name: str
    meaning: str
    keys: tuple[Key, ...]


# ---- signals and their measures ----------------------------------------------------------------


def signal_pages() -> tuple[SignalPage, ...]:
    """Return all signals, in the order in which one would look for them."""
    return tuple(map(signal_page, SIGNALS))


def signal_page(name: str) -> SignalPage:
    """Return the signal called *name*."""
    signal = SIGNALS[name]
    measures = tuple(_measure_page(name, each, found) for each, found in signal.MEASURES.items())
    known = brought_along().items()
    rules = (alert for alert, rule in known if name in {term[0] for term in _terms(rule["when"])})
    keys = () if name in IMPLICIT else keys_of(_keys_model(name), f"services.{ANY_NAME}.{name}")
    return SignalPage(name, first_paragraph(signal), IMPLICIT.get(name, ""), keys, measures, tuple(rules))


def _keys_model(name: str) -> type[BaseModel]:
    """Return the model of what a service may say of the signal *name*."""
    annotation, _ = signal_field(name)
    model: type[BaseModel] = typing.get_args(annotation)[0]
    return model


def measure_pages(name: str) -> tuple[MeasurePage, ...]:
    """Return the measures that *name* may mean: one of a signal, or all that are called so."""
    signal, dot, measure = name.partition(".")
    kinds = [signal] if dot and signal in CATALOGUE else [] if dot else [*SIGNALS, ANY_SIGNAL]
    found = ((kind, _called(measure if dot else name, CATALOGUE[kind])) for kind in kinds)
    return tuple(_measure_page(kind, called, CATALOGUE[kind][called]) for kind, called in found if called)


def measure_names() -> tuple[str, ...]:
    """Return all measures as conditions name them."""
    return tuple(f"{kind}.{name}" for kind, measures in CATALOGUE.items() for name in measures)


def kind_in_words(measure: Measure) -> str:
    """Return what a measure is: its kind, or of a plain value its unit."""
    return KINDS.get(measure.kind) or measure.unit.value or "number"


def _measure_page(signal: str, name: str, found: Measure) -> MeasurePage:
    series = KNOWN_NAME if name == "known" else series_name(signal, name, found)
    part = part_label(name)
    label = f"{{{part[0]}}}" if part else ""
    asking = (alert for alert, rule in brought_along().items() if (signal, name) in _terms(rule["when"]))
    exported = "" if found.kind is Kind.TOP else f"{series}{label}"
    kind = kind_in_words(found)
    return MeasurePage(signal, name, kind, found.help, found.words, found.windowed, exported, tuple(asking))


def _called(name: str, measures: Mapping[str, Measure]) -> str:
    """Return under which name *measures* have *name*: ``matches.filled`` is one of ``matches.*``."""
    family = f"{name.partition('.')[0]}.*"
    return name if name in measures else family if family in measures else ""


def _terms(when: Iterable[str]) -> set[tuple[str, str]]:
    """Return the measures that conditions name."""
    return {(found["signal"], found["measure"]) for text in when for found in TERM.finditer(text)}


# ---- rules and receivers -----------------------------------------------------------------------


def brought_along() -> Mapping[str, Mapping[str, Any]]:
    """Return the built-in rules, and those of signals that other packages bring and that were asked for."""
    foreign = (SIGNALS[kind].RULES for kind in SIGNALS if SIGNALS.brought_by(kind))
    return {**BUILTIN, **{alert: rule for rules in foreign for alert, rule in rules.items()}}


def rule_pages() -> tuple[RulePage, ...]:
    """Return all built-in rules, and those that come with signals of other packages."""
    return tuple(map(rule_page, brought_along()))


def rule_page(name: str) -> RulePage:
    """Return the rule called *name* that is built in, or comes with a signal of another package."""
    rule = brought_along()[name]
    when: Sequence[str] = rule["when"]
    asks = dict.fromkeys(
        f"{found['signal']}.{found['measure']}" for text in when for found in TERM.finditer(text)
    )
    meaning = in_a_sentence(read_runbook(name) or "")
    return RulePage(
        name,
        tuple(when),
        rule.get("for", ""),
        rule["severity"],
        rule["summary"],
        meaning,
        rule.get("runbook") or runbook_of(name),
        tuple(asks),
    )


def page_of(rule: Rule) -> RulePage:
    """Return a rule of the file as a page."""
    when = tuple(" or ".join(map(str, alternatives)) for alternatives in rule.when)
    asks = dict.fromkeys(f"{c.term.signal}.{c.term.measure}" for c in rule.conditions)
    wait = write_duration(rule.for_) if rule.for_ else ""
    meaning = in_a_sentence(read_runbook(rule.alert) or "")
    return RulePage(
        rule.alert, when, wait, str(rule.severity), rule.summary, meaning, rule.runbook, tuple(asks)
    )


def receiver_pages() -> tuple[ReceiverPage, ...]:
    """Return all kinds of receivers."""
    return tuple(map(receiver_page, NOTIFIERS))


def receiver_page(name: str) -> ReceiverPage:
    """Return the kind of receivers called *name*."""
    notifier = NOTIFIERS[name]
    return ReceiverPage(name, first_paragraph(notifier), keys_of(notifier, f"receivers.{ANY_NAME}.{name}"))


def first_paragraph(described: type) -> str:
    """Return what a class says of itself first, in one line."""
    return " ".join((described.__doc__ or "").strip().partition("\n\n")[0].split())
