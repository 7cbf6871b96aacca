"""
Rules: what is wrong when, and for which signals of which services it can be said.

A rule holds for every service that has the signals it names. The first signal of its first
condition *leads*: each such signal of a service gets a `Watch` of its own and lends the alert its
labels. Conditions on other signals meet on the service: one of its signals of that kind suffices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    def spoken(self) -> str:
        """Return what must hold in one line; alternatives stand in brackets among other conditions."""
        among = len(self.when) > 1
        told = ((" or ".join(map(str, alternatives)), len(alternatives)) for alternatives in self.when)
        return " and ".join(f"({one})" if among and count > 1 else one for one, count in told)

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
    """
    One way to satisfy a clause: a condition on one signal, and the measure it asks for.

    *signal* None means the leading one, whichever that is: so a thousand signals share one option.
    """

    condition: Condition
    signal: SignalKey | None
    measure: Measure


Clause = tuple[Option, ...]
"""What one item of `when` comes to on the signals of a service: any of its options suffices."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule as it is asked of leading signals that are alike."""

    rule: Rule
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """One rule on one leading signal: what is evaluated."""

    rule: Rule
    labels: Labels
    clauses: tuple[Clause, ...]
    lead: SignalKey
    offers: Mapping[str, Sequence[Offer]] = field(compare=False, repr=False, default_factory=dict)

    @property
    def service(self) -> str:
        """Return the service that is watched."""
        return self.lead.service


@dataclass(frozen=True, slots=True)
class Binding:
    """
    Which rules guard which signals, and for each rule that guards none the reason why it cannot.

    *offers* has every service's signals by kind. *askers* has for a signal those others of its
    service whose rules ask it as well.
    """

    guards: Mapping[SignalKey, tuple[Guard, ...]]
    offers: Mapping[str, Mapping[str, Sequence[Offer]]]
    askers: Mapping[SignalKey, Sequence[SignalKey]]
    dead: Mapping[str, str]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    overrides: Mapping[tuple[str, str], Rule] = field(default_factory=dict)

    @property
    def watches(self) -> list[Watch]:
        """Return every rule on every signal it guards."""
        return [self.watch(guard, lead) for lead, guards in self.guards.items() for guard in guards]

    def watch(self, guard: Guard, lead: SignalKey) -> Watch:
        """Return *guard* put on *lead*."""
        labels = alert_labels(guard.rule, lead)
        return Watch(guard.rule, labels, guard.clauses, lead, self.offers[lead.service])

    def find(self, labels: Labels, lead: SignalKey) -> Watch | None:
        """Return the watch on *lead* whose alert has *labels*, if there is one."""
        for guard in self.guards.get(lead, ()):
            if guard.rule.alert == labels["alertname"] and alert_labels(guard.rule, lead) == labels:
                return self.watch(guard, lead)
        return None

    def why_unwatched(self, labels: Labels, lead: SignalKey) -> str:
        """Say what became of the rule on *lead* whose alert had *labels*, and that guards it no longer."""
        service, alert = lead.service, labels["alertname"]
        if service not in self.offers:
            return "service removed"
        rule = self.overrides.get((service, alert), self.rules.get(alert))
        if rule is None:
            return "rule removed"
        if lead not in self.guards:
            return "signal removed"
        if rule.off is not None:
            return f"rule removed (off: {rule.off})"
        if rule.severity != labels["severity"]:
            return f"its severity is {rule.severity} now"
        return "rule changed, it no longer looks at this"

    def lead_of(self, labels: Labels) -> SignalKey | None:
        """Return the signal whose alert has *labels*, if it is guarded against that."""
        mine = (lead for lead in self.guards if lead.service == labels.get("service"))
        return next((lead for lead in mine if self.find(labels, lead)), None)

    def reach(self, least: timedelta) -> timedelta:
        """Return how much history the rules in force need, *least* at the least."""
        alike = {id(guards): guards for guards in self.guards.values()}
        return max([least, *(guard.rule.reach for guards in alike.values() for guard in guards)])


def bind(
    rules: Iterable[Rule],
    offers: Iterable[Offer],
    services: Iterable[str],
    overrides: Mapping[tuple[str, str], Rule],
) -> Binding:
    """
    Put every rule on every signal it can be asked of.

    *overrides* maps (service, alert) to the rule that holds there instead.
    """
    return Binder(rules, overrides).bind(offers, services)


_Profile = tuple[str, tuple[str, ...]]


class Binder:
    """
    Puts rules on signals, as often as those change.

    Signals that are alike get the very same guards, every time: what is bound anew and has the guards
    it had is not changed by what else came and went.
    """

    def __init__(self, rules: Iterable[Rule], overrides: Mapping[tuple[str, str], Rule]) -> None:
        self.rules = tuple(rules)
        self.overrides = overrides
        self._shared: dict[tuple[int, _Profile], Guard] = {}
        self._tuples: dict[tuple[int, ...], tuple[Guard, ...]] = {}
        self._alive: set[str] = set()
        self._reasons: dict[str, list[str]] = {}

    def effective(self) -> Iterator[Rule]:
        """Yield every rule, and what services make of it."""
        yield from self.rules
        yield from self.overrides.values()

    def bind(self, offers: Iterable[Offer], services: Iterable[str]) -> Binding:
        """Put every rule on every signal of *offers* it can be asked of."""
        self._alive, self._reasons = set(), {}
        by_service: dict[str, dict[str, list[Offer]]] = {service: {} for service in services}
        for offer in offers:
            by_service.setdefault(offer.key.service, {}).setdefault(offer.key.kind, []).append(offer)
        guards: dict[SignalKey, tuple[Guard, ...]] = {}
        askers: dict[SignalKey, list[SignalKey]] = {}
        for service, kinds in by_service.items():
            guards |= self._guards(service, kinds, askers)
        dead = {
            rule.alert: _why_dead(rule, self._reasons.get(rule.alert, ()))
            for rule in self.rules
            if rule.alert not in self._alive
        }
        rules = {rule.alert: rule for rule in self.rules}
        return Binding(guards, by_service, askers, dead, rules, self.overrides)

    def _guards(
        self, service: str, kinds: Mapping[str, Sequence[Offer]], askers: dict[SignalKey, list[SignalKey]]
    ) -> dict[SignalKey, tuple[Guard, ...]]:
        """Return the guards of every signal of *service*; note who asks whom in *askers*."""
        effective = [self.overrides.get((service, rule.alert), rule) for rule in self.rules]
        effective = [rule for rule in effective if applies(rule, service)]
        for rule in effective:
            if rule.off is not None:
                self._note(rule, service, f"off ({rule.off})")
            elif rule.lead != ANY_SIGNAL and rule.lead not in kinds:
                self._note(rule, service, f"has no signal {rule.lead}")
        in_force = [rule for rule in effective if rule.off is None]
        alike: dict[_Profile, list[Offer]] = {}
        for offers in kinds.values():
            for offer in offers:
                alike.setdefault((offer.key.kind, tuple(offer.measures)), []).append(offer)
        found: dict[SignalKey, tuple[Guard, ...]] = {}
        for profile, offers in alike.items():
            guards = self._guards_of(service, profile, offers[0], in_force, kinds)
            asked = {o.signal for g in guards for clause in g.clauses for o in clause if o.signal}
            for offer in offers:
                found[offer.key] = guards
                for signal in asked - {offer.key}:
                    askers.setdefault(signal, []).append(offer.key)
        return {offer.key: found[offer.key] for offers in kinds.values() for offer in offers}

    def _guards_of(
        self,
        service: str,
        profile: _Profile,
        lead: Offer,
        rules: Iterable[Rule],
        kinds: Mapping[str, Sequence[Offer]],
    ) -> tuple[Guard, ...]:
        guards = []
        for rule in rules:
            if rule.lead not in (ANY_SIGNAL, lead.key.kind):
                continue
            guard = self._shared.get((id(rule), profile))
            if guard is None:
                guard, reason = _guard(rule, lead, kinds)
                if guard is None:
                    self._note(rule, service, reason)
                    continue
                if not any(option.signal for clause in guard.clauses for option in clause):
                    self._shared[id(rule), profile] = guard
            self._alive.add(rule.alert)
            guards.append(guard)
        if any(option.signal for guard in guards for clause in guard.clauses for option in clause):
            return tuple(guards)
        return self._tuples.setdefault(tuple(map(id, guards)), tuple(guards))

    def _note(self, rule: Rule, service: str, reason: str) -> None:
        self._reasons.setdefault(rule.alert, []).append(f"{service}: {reason}")


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


def _guard(rule: Rule, lead: Offer, kinds: Mapping[str, Sequence[Offer]]) -> tuple[Guard | None, str]:
    """Return *rule* as it is asked of signals like *lead*, or the reason why it cannot be."""
    clauses: list[Clause] = []
    for alternatives in rule.when:
        options, reason = _options(alternatives, rule, lead, kinds)
        if not options:
            return None, reason
        clauses.append(options)
    return Guard(rule, tuple(clauses)), ""


def _options(
    alternatives: Sequence[Condition], rule: Rule, lead: Offer, kinds: Mapping[str, Sequence[Offer]]
) -> tuple[Clause, str]:
    """Return the options for one item of `when`, or the reason why there are none."""
    options: list[Option] = []
    reason = ""
    for condition in alternatives:
        kind, name = condition.term.signal, condition.term.measure
        own = kind in (rule.lead, ANY_SIGNAL)
        candidates = [lead] if own else kinds.get(kind, ())
        able = [
            Option(condition, None if own else offer.key, measure)
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
