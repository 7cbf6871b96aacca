"""What there is to show: the measures that somebody offers, and the rules in force that ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from watchdog.conditions import Condition
from watchdog.config import Config
from watchdog.model import Kind, Measure
from watchdog.naming import series_name
from watchdog.prospects import prospects
from watchdog.rules import Offer, Rule, Severity
from watchdog.signals import SIGNALS

Name = tuple[str, str]
"""The kind of a signal and the name of a measure; of ``matches.trace`` it is ``matches.*``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule in force, and the comparison by which it asks for a measure."""

    rule: Rule
    condition: Condition

    @property
    def limit(self) -> float | None:
        """Return the number beyond which the comparison holds; of an equation there is none."""
        if isinstance(self.condition.operand, tuple) or self.condition.op in ("==", "!="):
            return None
        return self.condition.operand


@dataclass(frozen=True, slots=True)
class Watched:
    """What a rules file watches: the measures by kind of signal, who asks for them, where the pages are."""

    measures: Mapping[str, Mapping[str, Measure]]
    asked: Mapping[Name, tuple[Asked, ...]]
    own: Mapping[tuple[str, str], Rule]
    link: str

    def offers(self, kind: str, *names: str) -> bool:
        """Say whether some signal of *kind* offers all measures of these *names*."""
        return all(name in self.measures.get(kind, {}) for name in names)

    def asks(self, kind: str, name: str) -> tuple[Asked, ...]:
        """Return who asks for a measure, the most severe first."""
        return self.asked.get((kind, name), ())

    def judge(self, kind: str, name: str) -> Asked | None:
        """Return the comparison that says from when on a value is bad, of the most severe rule."""
        limits = (asked for asked in self.asks(kind, name) if asked.limit is not None)
        return next((asked for asked in limits if asked.rule.severity is not Severity.INFO), None)

    def window(self, kind: str, name: str, default: timedelta) -> timedelta:
        """Return the window over which the first rule asks for a counter."""
        windows = (asked.condition.term.window for asked in self.asks(kind, name))
        return next((window for window in windows if window), default)

    def exported(self) -> Iterator[Name]:
        """Yield every measure that has metrics, in the order of the table in SPEC."""
        for kind, offered in self.measures.items():
            yield from ((kind, name) for name, found in offered.items() if found.kind is not Kind.TOP)

    def series(self, kind: str, name: str) -> str:
        """Return the name of the metric of a measure."""
        return series_name(kind, name, SIGNALS[kind].MEASURES[name])


def watched(config: Config) -> Watched:
    """Return what *config* watches, what discovery may bring included."""
    named = [Offer(key, offered) for key, offered in config.offered.items()]
    offers = [*named, *prospects(config.discover, config.services)]
    measures: dict[str, dict[str, Measure]] = {}
    for kind, signal in SIGNALS.items():
        offered = {family(name) for offer in offers if offer.key.kind == kind for name in offer.measures}
        if offered:
            measures[kind] = {name: found for name, found in signal.MEASURES.items() if name in offered}
    binder = config.binder
    alive = {g.rule.alert for guards in binder.bind(offers, config.services).guards.values() for g in guards}
    asked: dict[Name, list[Asked]] = {}
    for rule in sorted(binder.effective(), key=lambda rule: list(Severity).index(rule.severity)):
        for condition in rule.conditions if rule.alert in alive and rule.off is None else ():
            name = condition.term.signal, family(condition.term.measure)
            asked.setdefault(name, []).append(Asked(rule, condition))
    by_name = {name: tuple(found) for name, found in asked.items()}
    return Watched(measures, by_name, binder.overrides, config.link)


def family(name: str) -> str:
    """Return the name of a measure as the tables of signals have it: ``matches.trace`` is ``matches.*``."""
    first, dot, _ = name.partition(".")
    return f"{first}.*" if dot else name
