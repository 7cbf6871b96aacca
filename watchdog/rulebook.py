"""Rules as values, made from rules as they are written; and the catalogue of what they can ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchdog.conditions import ANY_SIGNAL, Condition, parse_condition
from watchdog.errors import ConditionError
from watchdog.model import Measure
from watchdog.problems import Findings
from watchdog.rules import KNOWN, ZERO, Rule, override
from watchdog.schema import OverrideModel, RuleModel
from watchdog.signals import SIGNALS

CATALOGUE: Mapping[str, Mapping[str, Measure]] = {
    **{kind: {**signal.MEASURES, "known": KNOWN} for kind, signal in SIGNALS.items()},
    ANY_SIGNAL: {"known": KNOWN},
}
"""Every signal with every measure it can offer, whatever its configuration."""
OR = " or "
When = tuple[tuple[Condition, ...], ...]


def read_conditions(texts: Iterable[str], path: tuple[str | int, ...], findings: Findings) -> When:
    """Return the parsed conditions; what cannot be parsed is a finding."""
    parsed = []
    for i, text in enumerate(texts):
        alternatives = []
        for part in text.split(OR):
            try:
                alternatives.append(parse_condition(part, CATALOGUE))
            except ConditionError as exc:
                findings.add((*path, i), exc.what, exc.cure)
        parsed.append(tuple(alternatives))
    return tuple(parsed)


def builtin_rule(model: RuleModel) -> Rule:
    """Return a built-in rule; its conditions are known to be right."""
    when = tuple(tuple(parse_condition(part, CATALOGUE) for part in text.split(OR)) for text in model.when)
    return rule_of(model, when, builtin=True)


def rule_of(model: RuleModel, when: When, *, builtin: bool = False) -> Rule:
    """Return *model* as a rule with the conditions it was read to have."""
    return Rule(
        alert=model.alert,
        when=when,
        severity=model.severity,
        for_=model.for_ or ZERO,
        keep_firing_for=model.keep_firing_for or ZERO,
        summary=model.summary,
        runbook=model.runbook,
        services=None if model.services is None else frozenset(model.services),
        except_=frozenset(model.except_),
        builtin=builtin,
    )


def changed(rule: Rule, changes: OverrideModel, when: When | None) -> Rule:
    """Return *rule* as a service changes it."""
    return override(
        rule,
        when=when,
        severity=changes.severity,
        for_=changes.for_,
        keep_firing_for=changes.keep_firing_for,
        summary=changes.summary,
        runbook=changes.runbook,
        off=changes.off,
        builtin=False,
    )
