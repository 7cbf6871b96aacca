"""Rules as values, made from rules as they are written; and the catalogue of what they can ask for."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from watchdog.builtin import raw_rules
from watchdog.conditions import ANY_SIGNAL, TERM, Condition, parse_condition, parse_term, suggest
from watchdog.errors import ConditionError
from watchdog.model import Measure
from watchdog.problems import Findings
from watchdog.rules import KNOWN, ZERO, Binding, Rule, alert_labels, override, placeholders
from watchdog.schema import OverrideModel, RuleModel
from watchdog.signals import SIGNALS


class Catalogue(Mapping[str, Mapping[str, Measure]]):
    """Every signal with every measure it can offer, whatever its configuration."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, Measure]] = {ANY_SIGNAL: {"known": KNOWN}}

    def __getitem__(self, kind: str) -> Mapping[str, Measure]:
        if kind not in self._known:
            self._known[kind] = {**SIGNALS[kind].MEASURES, "known": KNOWN}
        return self._known[kind]

    def __contains__(self, kind: object) -> bool:
        return kind == ANY_SIGNAL or kind in SIGNALS

    def __iter__(self) -> Iterator[str]:
        return iter((*SIGNALS, ANY_SIGNAL))

    def __len__(self) -> int:
        return len(SIGNALS) + 1


CATALOGUE = Catalogue()
OR = " or "
When = tuple[tuple[Condition, ...], ...]
Path = tuple[str | int, ...]
"""A place in the file."""


def read_conditions(texts: Iterable[str], path: Path, findings: Findings) -> When:
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


class Rulebook:
    """What the file says of rules: which are in force, what services change of them, which are dead."""

    def __init__(
        self,
        model: Any,
        findings: Findings,
        broken: frozenset[Path],
        *,
        names: Container[str],
        runbooks: str,
        check_service: Callable[[str, Path], None],
    ) -> None:
        """
        Take *model*; what is *broken* in the file is not judged again.

        *names* are those of all rules of the file, broken ones included; *runbooks* is the address
        below which the built-in ones have their pages, or nothing; *check_service* finds fault with
        the name of a service at a place.
        """
        self._model = model
        self._findings = findings
        self._broken = broken
        self._names = names
        self._runbooks = runbooks
        self._check_service = check_service

    def rules(self) -> dict[str, Rule]:
        """Return the rules in force by name: the built-in ones, replaced by the file's own."""
        rules: dict[str, Rule] = {}
        if self._model.builtin_rules not in ("off", False):
            for raw in raw_rules(self._runbooks):
                builtin = RuleModel.model_validate(raw)
                rules[builtin.alert] = builtin_rule(builtin)
            self._add_brought(rules)
        own: set[str] = set()
        for i, rule in enumerate(self._model.rules):
            path = ("rules", i)
            if path in self._broken:
                continue
            if rule.alert in own:
                self._findings.add(
                    (*path, "alert"), f'there are two rules "{rule.alert}"', "rename one of them"
                )
            own.add(rule.alert)
            when = read_conditions(rule.when, (*path, "when"), self._findings)
            if all(when):
                rules[rule.alert] = self._linked(rule_of(rule, when), rules)
                self._check_summary(rule.summary, (*path, "summary"))
            for key, names in (("services", rule.services or ()), ("except", rule.except_)):
                for name in names:
                    self._check_service(name, (*path, key))
        return rules

    def _add_brought(self, rules: dict[str, Rule]) -> None:
        """Add the built-in rules of the signals of other packages that the file has."""
        bodies = self._model.services.items()
        used = {kind: service for service, body in bodies for kind in body.model_fields_set}
        for kind, service in used.items():
            for alert, raw in (SIGNALS[kind].RULES if SIGNALS.brought_by(kind) else {}).items():
                if alert in rules:
                    what = f"the package {SIGNALS.brought_by(kind)} brings a rule {alert}, which there is"
                    cure = "uninstall it, or have the rule renamed"
                    self._findings.add(("services", service, kind), what, cure, key=True)
                else:
                    rules[alert] = builtin_rule(RuleModel.model_validate({"alert": alert, **raw}))

    def _linked(self, rule: Rule, before: Mapping[str, Rule]) -> Rule:
        """Return *rule* with the runbook of the one it takes the place of, unless it names its own."""
        replaced = before.get(rule.alert)
        return rule if rule.runbook or replaced is None else override(rule, runbook=replaced.runbook)

    def overrides(self, rules: Mapping[str, Rule]) -> dict[tuple[str, str], Rule]:
        found: dict[tuple[str, str], Rule] = {}
        for service, body in self._model.services.items():
            for alert, changes in body.rules.items():
                path = ("services", service, "rules", alert)
                if alert not in rules and alert in self._names:
                    continue
                if alert not in rules:
                    self._findings.add(path, f'there is no rule "{alert}"', suggest(alert, rules), key=True)
                    continue
                when = (
                    read_conditions(changes.when, (*path, "when"), self._findings) if changes.when else None
                )
                if when is None or all(when):
                    found[service, alert] = changed(rules[alert], changes, when)
                    self._check_summary(changes.summary or "", (*path, "summary"))
        return found

    def _check_summary(self, summary: str, path: Path) -> None:
        for name in placeholders(summary):
            match = TERM.fullmatch(name)
            if match is None:
                if not name.isidentifier():
                    self._findings.add(path, f'"{{{name}}}" cannot be filled in', "name a label or a measure")
                continue
            try:
                parse_term(match["signal"], match["measure"], match["window"], CATALOGUE)
            except ConditionError as exc:
                self._findings.add(path, f"in {{{name}}}: {exc.what}", exc.cure)

    def check_labels(self, binding: Binding) -> None:
        """Find what a summary asks for and no alert of its rule has: it would leave a hole."""
        known: dict[tuple[str, str], set[str]] = {}
        for lead, guards in binding.guards.items():
            for rule in (guard.rule for guard in guards if not guard.rule.builtin and guard.rule.summary):
                known.setdefault((rule.alert, rule.summary), set()).update(alert_labels(rule, lead))
        written: list[tuple[Path, str, str]] = [
            (("rules", i), rule.alert, rule.summary) for i, rule in enumerate(self._model.rules)
        ]
        for service, body in self._model.services.items():
            for alert, changes in body.rules.items():
                written.append((("services", service, "rules", alert), alert, changes.summary or ""))
        for path, alert, summary in written:
            labels = known.get((alert, summary), set())
            for name in placeholders(summary) if labels else ():
                if name.isidentifier() and name not in labels:
                    what = f'"{{{name}}}" cannot be filled in: {alert} has no such label'
                    self._findings.add((*path, "summary"), what, suggest(name, labels))

    def report_dead(self, rules: Mapping[str, Rule], binding: Binding) -> None:
        """A rule of the file that watches nothing is an error; built-in ones just do not apply."""
        places = {rule.alert: i for i, rule in enumerate(self._model.rules)}
        for alert, reason in binding.dead.items():
            if alert in places:
                cure = "give a service that signal, or remove the rule"
                self._findings.add(("rules", places[alert]), f"can never fire: {reason}", cure)
        watched = {(lead.service, g.rule.alert) for lead, guards in binding.guards.items() for g in guards}
        for service, body in self._model.services.items():
            for alert, changes in body.rules.items():
                dead = alert in rules and changes.off is None and (service, alert) not in watched
                if dead and not self._findings.problems:
                    cure = "give the service the signal, or remove the override"
                    path = ("services", service, "rules", alert)
                    self._findings.add(path, "can never fire for this service", cure, key=True)
