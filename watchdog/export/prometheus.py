"""
The rules in force as Prometheus alerting rules.

Alerts have the names, labels, `for` and `keep_firing_for` of the sidecar's own. Like there, what cannot be
seen ends nothing: an alert that fires goes on until its conditions are seen to be false.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from watchdog.conditions import ANY_SIGNAL, DEFAULT_WINDOW, TERM, find_measure
from watchdog.config import Config
from watchdog.export.promql import (
    Gain,
    InexpressibleError,
    Scope,
    gains_of,
    quoted,
    selector,
    whole,
)
from watchdog.model import Kind, Measure
from watchdog.naming import KNOWN_NAME, part_label, series_name, word_label
from watchdog.prospects import prospects
from watchdog.rules import Offer, Rule, default_summary
from watchdog.signals import SIGNALS
from watchdog.units import Unit, write_duration

GROUP = "pipeline"
HELD = "signal:watchdog_signal_known:held"
"""Which signals the sidecar speaks of, remembered while it cannot be asked."""
HOLD = timedelta(hours=1)
"""So long alerts are held while the sidecar is away: by then WatchdogDown has said so."""
HELD_EXPR = (
    "max without (job, instance) (\n"
    f"  last_over_time({KNOWN_NAME}[2m])\n"
    f"  or\n  (last_over_time({KNOWN_NAME}[{write_duration(HOLD)}])"
    " unless on (job, instance) watchdog_ready == 1)\n)"
)
HUMAN = {Unit.SECONDS: "humanizeDuration", Unit.RATIO: "humanizePercentage", Unit.BYTES: "humanize1024"}
NOT_EXPORTED = "(ask the watchdog)"


@dataclass(frozen=True, slots=True)
class Variant:
    """A rule as it holds for some services; those with a number come from overrides."""

    rule: Rule
    scope: Scope
    place: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """A rule that Prometheus cannot evaluate, and why."""

    alert: str
    why: str


# ---- which rules -------------------------------------------------------------------------------


def variants(config: Config) -> list[Variant]:
    """Return every rule in force with the services it holds for, what they override included."""
    binder, known = config.binder, dict.fromkeys(config.binding.offers)
    offers = [Offer(key, measures) for key, measures in config.offered.items()]
    possible = binder.bind([*offers, *prospects(config.discover, known)], known)
    alive = {guard.rule for guards in possible.guards.values() for guard in guards}
    found: list[Variant] = []
    for rule in binder.rules:
        own = {service: other for (service, alert), other in binder.overrides.items() if alert == rule.alert}
        if rule in alive:
            only = tuple(sorted((rule.services or frozenset()) - rule.except_ - own.keys()))
            but = () if rule.services is not None else tuple(sorted(rule.except_ | own.keys()))
            found.append(Variant(rule, Scope(only, but)))
        others = dict.fromkeys(other for other in own.values() if other in alive)
        for place, other in enumerate(others, start=1):
            same = tuple(sorted(service for service, its in own.items() if its == other))
            found.append(Variant(other, Scope(same), place))
    return found


# ---- one rule ----------------------------------------------------------------------------------


def alerting_rule(variant: Variant, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return *variant* as Prometheus' file has it; *names* are the labels that signals of a kind have."""
    rule = variant.rule
    found: dict[str, Any] = {"alert": rule.alert, "expr": expression(variant)}
    if rule.for_:
        found["for"] = write_duration(rule.for_)
    if rule.keep_firing_for:
        found["keep_firing_for"] = write_duration(rule.keep_firing_for)
    found["labels"] = {"severity": str(rule.severity)}
    if variant.place:
        # An empty label is no label; it tells promtool's linter that this is no rule written twice.
        found["labels"][f"override_{variant.place}"] = ""
    found["annotations"] = {"summary": summary(rule, names), "description": description(rule)}
    if rule.runbook:
        found["annotations"]["runbook_url"] = literal(rule.runbook)
    return found


def expression(variant: Variant) -> str:
    """Return when the alert is active: while its conditions hold, and once it fires until one is false."""
    rule, scope = variant.rule, variant.scope
    told = whole(rule, scope)
    fires = selector("ALERTS", f"alertname={quoted(rule.alert)}", 'alertstate="firing"', *scope.matchers)
    held = (
        selector(HELD, *scope.matchers)
        if rule.lead == ANY_SIGNAL
        else f"max without (signal) ({selector(HELD, f'signal={quoted(rule.lead)}', *scope.matchers)})"
    )
    return (
        f"max without (job, instance) ({told.true})\n"
        "or  # it fired, and nothing that was seen since says that it is over\n"
        f"max without (alertname, alertstate, severity) ({fires})\n"
        f"  and {held}\n"
        f"  unless max without (job, instance) ({told.false})"
    )


def recorded(found: Iterable[Variant]) -> list[dict[str, str]]:
    """Return the recording rules that *found* ask for."""
    gains: set[Gain] = {gain for v in found for c in v.rule.conditions for gain in gains_of(c)}
    rules = [(HELD, HELD_EXPR), *(record for gain in sorted(gains) for record in gain.records())]
    return [{"record": name, "expr": expr} for name, expr in rules]


# ---- what it says ------------------------------------------------------------------------------


def literal(text: str) -> str:
    """Return *text* as a template that says just that."""
    return text.replace("{{", '{{ "{{" }}')


def description(rule: Rule) -> str:
    """Return the rule's conditions in its author's words."""
    told = ", ".join(" or ".join(map(str, clause)) for clause in rule.when)
    return literal(f"Holds when {told}" + (f" for {write_duration(rule.for_)}" if rule.for_ else ""))


def summary(rule: Rule, names: Mapping[str, Sequence[str]]) -> str:
    """Return the rule's summary as a template, its figures asked for when it is rendered."""
    text, parts = rule.summary or default_summary(rule), []
    while True:
        before, brace, text = text.partition("{")
        parts.append(literal(before))
        if not brace:
            return "".join(parts)
        name, brace, text = text.partition("}")
        parts.append(_fill(name.strip(), rule, names) if brace else literal(name))


def _fill(name: str, rule: Rule, names: Mapping[str, Sequence[str]]) -> str:
    term = TERM.fullmatch(name)
    if term is None:
        return f"{{{{ $labels.{name} }}}}"
    kind, wanted = term["signal"], term["measure"]
    measure = find_measure(wanted, SIGNALS[kind].MEASURES) if kind in SIGNALS else None
    asked = None if measure is None else _asked(kind, wanted, measure, term["window"])
    if measure is None or asked is None:
        return NOT_EXPORTED
    series, *more = asked
    labels = ["service", *(names.get(kind, ()) if kind == rule.lead else ())]
    matchers = ",".join([*(f"{label}=%q" for label in labels), *more])
    query = (series if "{}" in series else series + "{}").replace("{}", f"{{{matchers}}}")
    query += " == 1" if measure.kind is Kind.WORD else ""
    values = " ".join(f"$labels.{label}" for label in labels)
    shown = (
        f"label {quoted(word_label(series))}"
        if measure.kind is Kind.WORD
        else f"value | {HUMAN.get(measure.unit, 'humanize')}"
    )
    return (
        f"{{{{ with printf `{query}` {values} | query }}}}{{{{ . | first | {shown} }}}}"
        "{{ else }}unknown{{ end }}"
    )


def _asked(kind: str, name: str, measure: Measure, window: str | None) -> tuple[str, ...] | None:
    """Return the series that tells a measure, and what else tells it from others; None if none does."""
    part = part_label(name)
    told = () if part is None else (f"{part[0]}={quoted(part[1])}",)
    series = series_name(kind, name, measure)
    if measure.kind is Kind.COUNTER:
        return (f"round(increase({series}{{}}[{window}]))", *told)
    usual = window is None or window == write_duration(DEFAULT_WINDOW)
    return None if measure.kind is Kind.TOP or (measure.windowed and not usual) else (series, *told)


# ---- the file ----------------------------------------------------------------------------------


def label_names(config: Config) -> dict[str, list[str]]:
    """Return which labels signals of each kind have."""
    found: dict[str, dict[str, None]] = {}
    plans = prospects(config.discover, ())
    for key in (*config.offered, *(offer.key for offer in plans)):
        used = key.labels if key in config.offered else _DISCOVERED[key.kind]
        found.setdefault(key.kind, {}).update(dict.fromkeys(used))
    return {kind: sorted(names) for kind, names in found.items()}


_DISCOVERED = {"stream": ("stream",), "consumes": ("stream", "group"), "heartbeat": ("key",)}


def expressible(config: Config) -> tuple[list[Variant], list[Left]]:
    """Return the rules that Prometheus can evaluate, and those that it cannot."""
    able: list[Variant] = []
    left: list[Left] = []
    for variant in variants(config):
        try:
            whole(variant.rule, variant.scope)
        except InexpressibleError as exc:
            left.append(Left(variant.rule.alert, str(exc)))
        else:
            able.append(variant)
    return able, left


def rules_file(config: Config) -> str:
    """Return the whole file."""
    able, left = expressible(config)
    names = label_names(config)
    rules: list[dict[str, Any]] = [*recorded(able), *(alerting_rule(variant, names) for variant in able)]
    body = yaml.dump(
        {"groups": [{"name": GROUP, "rules": rules}]},
        Dumper=_Blocks,
        sort_keys=False,
        allow_unicode=True,
        width=1_000,
    )
    return "\n".join([*_heading(config, left), "", body])


def _heading(config: Config, left: Iterable[Left]) -> Iterator[str]:
    yield f"# The rules in force of {config.path.rpartition('/')[2]}, for Prometheus. Made by:"
    yield "#   watchdog export prometheus"
    yield "# Do not edit it: change the rules there and make it anew."
    yield "# What it means: docs/how-to/prometheus.md."
    for one in left:
        yield f"# Not here: {one.alert}, because {one.why}. The watchdog itself evaluates it."


class _Blocks(yaml.SafeDumper):
    """YAML in which a text of several lines is written as one."""

    def represent_text(self, text: str) -> yaml.Node:
        """Return *text* as a block if it has several lines."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _Blocks.represent_text)
