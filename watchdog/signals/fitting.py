"""Whether a class that another package brings is a signal: in a sentence what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from watchdog.conditions import ANY_SIGNAL, KNOWN, parse_condition
from watchdog.errors import ConditionError
from watchdog.kinds import NAME
from watchdog.model import Kind, Measure, value
from watchdog.rules import Severity
from watchdog.signals.base import (
    GatheredSignal,
    LocalSignal,
    RedisSignal,
    RestingSignal,
    Signal,
    SignalConfig,
)
from watchdog.units import parse_duration

TAKEN = frozenset({ANY_SIGNAL, "needs", "rules"})
"""What stands beside signals under a service, or for all of them in a condition."""
LOOKS: tuple[tuple[type[Signal[Any]], str], ...] = (
    (RestingSignal, "look_on"),
    (RedisSignal, "look"),
    (GatheredSignal, "gather"),
    (LocalSignal, "look_here"),
)
"""What each sort of signal must say for itself, the narrower sort first."""
RULE_KEYS = frozenset({"when", "for", "keep_firing_for", "severity", "summary", "runbook"})
_MEASURE = re.compile(NAME.pattern + r"(?:\.\*)?")
_ALERT = re.compile(r"[A-Z][A-Za-z0-9]*")


def why_no_signal(name: str, found: object) -> str:
    """Return in half a sentence why *found* is no signal that can be called *name*, or nothing."""
    return next(_faults(name, found), "")


def _faults(name: str, found: object) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f'"{name}" is no name for a signal: small letters, digits and _'
    if name in TAKEN:
        yield f'"{name}" has a meaning of its own in rules.yaml'
    if not (isinstance(found, type) and issubclass(found, Signal)):
        yield "it is no class made from Signal"
        return
    sort = next(((base, look) for base, look in LOOKS if issubclass(found, base)), None)
    if sort is None:
        yield f"it is none of {', '.join(base.__name__ for base, _ in LOOKS)}"
        return
    base, look = sort
    if getattr(found, look) == getattr(base, look) or _inherits(found, base, look):
        yield f"a {base.__name__} needs {look}()"
    if not (found.__doc__ or "").strip():
        yield "it has no docstring, which is what a user is told of it"
    yield from _config_faults(getattr(found, "Config", None))
    yield from _measure_faults(getattr(found, "MEASURES", None))
    yield from _rule_faults(name, getattr(found, "RULES", None), found.MEASURES)


def _inherits(found: type, base: type, method: str) -> bool:
    own = next(each for each in found.__mro__ if method in each.__dict__)
    return own is base or own in base.__mro__


def _config_faults(config: object) -> Iterator[str]:
    if not (isinstance(config, type) and issubclass(config, SignalConfig)) or config is SignalConfig:
        yield "it has no Config made from SignalConfig"
        return
    if config.model_config.get("extra") != "forbid":
        yield "its Config takes keys that it does not know, so that nobody is told of a misspelt one"
    for method in ("labels", "offered"):
        if _inherits(config, SignalConfig, method):
            yield f"its Config needs {method}()"
    for key, field in config.model_fields.items():
        if not field.description:
            yield f"its key {key} has no description"


def _measure_faults(measures: object) -> Iterator[str]:
    if not isinstance(measures, Mapping) or not measures:
        yield "it has no MEASURES"
        return
    for name, measure in measures.items():
        if not (isinstance(name, str) and _MEASURE.fullmatch(name)):
            yield f'"{name}" is no name for a measure: small letters, digits and _, or such a name and .*'
        elif name == KNOWN:
            yield f'every signal has the measure "{KNOWN}" already'
        elif not isinstance(measure, Measure):
            yield f"the measure {name} is no Measure"
        elif not measure.help.strip():
            yield f"the measure {name} has no help"
        elif measure.kind in (Kind.RATIO, Kind.SHARE, Kind.TOP) and not measure.parts:
            yield f"the measure {name} does not say of which counters it is made"


def _rule_faults(kind: str, rules: object, measures: Mapping[str, Measure]) -> Iterator[str]:
    """Yield what is wrong with the built-in rules that a signal brings along."""
    if not isinstance(rules, Mapping):
        yield "its RULES are no mapping of alerts to rules"
        return
    catalogue = {kind: {**measures, KNOWN: value("1 while the signal is known")}}
    for alert, rule in rules.items():
        said = f"its rule {alert}"
        if not (isinstance(alert, str) and _ALERT.fullmatch(alert)):
            yield f"{said} has no name like QueueFull"
            continue
        if not isinstance(rule, Mapping) or not rule.keys() <= RULE_KEYS:
            yield f"{said} has other keys than {', '.join(sorted(RULE_KEYS))}"
            continue
        if lacking := {"when", "severity", "summary", "runbook"} - rule.keys():
            yield f"{said} has no {', '.join(sorted(lacking))}"
            continue
        if rule["severity"] not in list(Severity):
            yield f'{said} has the severity "{rule["severity"]}", which is none'
        try:
            for text in rule["when"]:
                parse_condition(text, catalogue)
            for key in ("for", "keep_firing_for"):
                parse_duration(rule.get(key, "1s"))
        except (ConditionError, ValueError, TypeError) as exc:
            yield f"{said} cannot be read: {exc}"
