"""
Rules: what is wrong when, and for which signals of which services it can be said.

A rule holds for every service that has the signals it names. The first signal of its first
condition *leads*: each such signal of a service gets a `Watch` of its own and lends the alert its
labels. Conditions on other signals meet on the service: one of its signals of that kind suffices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from watchdog.conditions import ANY_SIGNAL, Condition, find_measure
from watchdog.model import Labels, Measure, SignalKey, value

ZERO = timedelta(0)
KNOWN = value("1 while the signal can be read, 0 while it cannot")
"""The measure every signal has: ``<signal>.known``."""


class Severity(StrEnum):
    """How much an alert matters, the worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Rule:
    """One named thing that can be wrong. *services* None means all; *off* says why it is switched off."""

    alert: str
    when: tuple[tuple[Condition, ...], ...]  # all of these, of each any
    severity: Severity
    for_: timedelta = ZERO
    keep_firing_for: timedelta = ZERO
    summary: str = ""
    runbook: str = ""
    services: frozenset[str] | None = None
    except_: frozenset[str] = frozenset()
    builtin: bool = False
    off: str | None = None

    @property
    def lead(self) -> str:
        """Return the signal kind that lends the alert its labels."""
        return self.when[0][0].term.signal

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return all comparisons, whatever joins them."""
        return tuple(condition for alternatives in self.when for condition in alternatives)

    @property
    def reach(self) -> timedelta:
        """Return how far back the rule looks, its `for` included."""
        windows = [c.term.window for c in self.conditions if c.term.window] or [ZERO]
        return max(windows) + self.for_


@dataclass(frozen=True, slots=True)
class Offer:
    """A configured signal and the measures it offers with this configuration."""

    key: SignalKey
    measures: Mapping[str, Measure]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to satisfy a clause: a condition on one signal, and the measure it asks for."""

    condition: Condition
    signal: SignalKey
    measure: Measure


Clause = tuple[Option, ...]
"""What one item of `when` comes to on the signals of a service: any of its options suffices."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One rule on one leading signal: what is evaluated at every tick."""

    rule: Rule
    labels: Labels
    clauses: tuple[Clause, ...]
    lead: SignalKey
    offers: Mapping[str, tuple[Offer, ...]] = field(compare=False, repr=False, default_factory=dict)

    @property
    def service(self) -> str:
        """Return the service that is watched."""
        return self.lead.service


@dataclass(frozen=True, slots=True)
class Binding:
    """All watches, and for each rule that watches nothing the reason why it cannot."""

    watches: tuple[Watch, ...]
    dead: Mapping[str, str]

    def reach(self, least: timedelta) -> timedelta:
        """Return how much history the rules in force need, *least* at the least."""
        return max([least, *(watch.rule.reach for watch in self.watches)])


def bind(
    rules: Iterable[Rule],
    offers: Sequence[Offer],
    services: Iterable[str],
    overrides: Mapping[tuple[str, str], Rule],
) -> Binding:
    """
    Put every rule on every signal it can be asked of.

    *overrides* maps (service, alert) to the rule that holds there instead.
    """
    by_service: dict[str, dict[str, list[Offer]]] = {service: {} for service in services}
    for offer in offers:
        by_service.setdefault(offer.key.service, {}).setdefault(offer.key.kind, []).append(offer)
    watches: list[Watch] = []
    dead: dict[str, str] = {}
    for rule in rules:
        found: list[Watch] = []
        reasons: list[str] = []
        for service, kinds in by_service.items():
            effective = overrides.get((service, rule.alert), rule)
            if not applies(effective, service):
                continue
            if effective.off is not None:
                reasons.append(f"{service}: off ({effective.off})")
                continue
            watched, reason = _watch(effective, kinds)
            found += watched
            reasons += [f"{service}: {reason}"] if reason else []
        watches += found
        if not found:
            dead[rule.alert] = _why_dead(rule, reasons)
    return Binding(tuple(watches), dead)


def applies(rule: Rule, service: str) -> bool:
    """Say whether *rule* is meant for *service* at all."""
    return (rule.services is None or service in rule.services) and service not in rule.except_


def _why_dead(rule: Rule, reasons: Sequence[str]) -> str:
    """Pick the most telling reason: a service that has the signal but not the measure."""
    telling = [r for r in reasons if "has no" not in r]
    if telling:
        return telling[0]
    kinds = ", ".join(dict.fromkeys(c.term.signal for c in rule.conditions))
    return f"no service it applies to has the signal {kinds}" if reasons else "it applies to no service"


def _watch(rule: Rule, kinds: Mapping[str, Sequence[Offer]]) -> tuple[list[Watch], str]:
    """Return the watches of *rule* on the signals of one service, or the reason why there are none."""
    everything = [offer for offers in kinds.values() for offer in offers]
    watches: list[Watch] = []
    reason = ""
    for lead in everything if rule.lead == ANY_SIGNAL else kinds.get(rule.lead, ()):
        clauses: list[Clause] = []
        for alternatives in rule.when:
            options, reason = _options(alternatives, rule, lead, kinds)
            if not options:
                break
            clauses.append(options)
        else:
            shown = {kind: tuple(offers) for kind, offers in kinds.items()} | {rule.lead: (lead,)}
            labels = alert_labels(rule, lead.key)
            watches.append(Watch(rule, labels, tuple(clauses), lead.key, shown))
    if not watches and not reason:
        reason = f"has no signal {rule.lead}"
    return watches, "" if watches else reason


def _options(
    alternatives: Sequence[Condition], rule: Rule, lead: Offer, kinds: Mapping[str, Sequence[Offer]]
) -> tuple[Clause, str]:
    """Return the options for one item of `when`, or the reason why there are none."""
    options: list[Option] = []
    reason = ""
    for condition in alternatives:
        kind, name = condition.term.signal, condition.term.measure
        candidates = [lead] if kind in (rule.lead, ANY_SIGNAL) else kinds.get(kind, ())
        able = [
            Option(condition, offer.key, measure)
            for offer in candidates
            if (measure := find_measure(name, {**offer.measures, "known": KNOWN}))
        ]
        options += able
        if not candidates:
            reason = f"has no signal {kind}"
        elif not able:
            reason = f"{kind} does not offer {name} as it is configured"
    return tuple(options), reason


def alert_labels(rule: Rule, signal: SignalKey) -> Labels:
    """Return the labels of the alert that *rule* raises on *signal* (SPEC §3)."""
    own = {"signal": signal.kind} if rule.lead == ANY_SIGNAL else {}
    return Labels(
        signal.labels, own, alertname=rule.alert, service=signal.service, severity=str(rule.severity)
    )


def override(rule: Rule, **changes: object) -> Rule:
    """Return *rule* with those of *changes* that are not None."""
    return replace(rule, **{name: new for name, new in changes.items() if new is not None})  # type: ignore[arg-type]


def placeholders(summary: str) -> list[str]:
    """Return what stands between braces in *summary*."""
    names = []
    rest = summary
    while "{" in rest:
        _, _, rest = rest.partition("{")
        name, brace, rest = rest.partition("}")
        if brace:
            names.append(name.strip())
    return names


def default_summary(rule: Rule) -> str:
    """Return the sentence for a rule without one: the condition itself, with its figures."""
    terms = dict.fromkeys(str(c.term) for c in rule.conditions if c.term.signal != ANY_SIGNAL)
    return "{service}: " + (", ".join(f"{term} is {{{term}}}" for term in terms) or rule.alert)
