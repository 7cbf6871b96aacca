"""The questions panels put to Prometheus, in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from watchdog.export.grafana.panels import NOTHING_KNOWN, Says
from watchdog.export.grafana.watched import Watched
from watchdog.export.promql import quoted
from watchdog.rules import Severity
from watchdog.units import write_duration

OF_SERVICE = 'service=~"$service"'
READY = "max(watchdog_ready)"
STATUSES = (
    Says(0, "ok", "green"),
    Says(1, "warning", "yellow"),
    Says(2, "unknown", "purple"),
    Says(3, "critical", "red"),
)
"""The status of a service as a number, the worst the highest."""
SEVERITIES = (Says(3, "critical", "red"), Says(2, "warning", "yellow"), Says(1, "info", "blue"))
GOOD = frozenset({"ok", "active", "success"})
RANKS = ("green", "blue", "purple", "orange", "yellow", "red")
"""The colours of words, the worst last."""
RATE = "[$__rate_interval]"
HOUR = timedelta(hours=1)


def only_if_ready(expr: str) -> str:
    """Return *expr* that has an answer only while a sidecar is well: what an ill one says is past."""
    return f"({expr}) and on () ({READY} == 1)"


def count_of(expr: str) -> str:
    """Return how many series *expr* has, 0 if none."""
    return f"count({expr}) or 0 * {READY}"


def status() -> str:
    """Return the status of each service as a number of `STATUSES`."""
    metric = "watchdog_service_status"
    words = [f'{s.number} * ({metric}{{status="{s.text}", {OF_SERVICE}}} == 1)' for s in STATUSES]
    return "max by (service) (\n  " + "\n  or ".join(words) + "\n)"


def since(metric: str, labels: Sequence[str], matchers: str) -> str:
    """
    Return since when each series of *metric* that is 1 or more has been so, to the minute.

    What began before the time range is shown as from its beginning on.
    """
    by = ", ".join(labels)

    def there(moment: str) -> str:
        return f"max by ({by}) ({metric}{{{matchers}}}{moment} > 0)"

    begun = f"max_over_time((timestamp({there('')}) unless on ({by}) {there(' offset 1m')})[$__range:1m])"
    earliest = f"min_over_time(timestamp({there('')})[$__range:1m])"
    now = f"timestamp({there('')})"  # younger than the steps of a minute
    return f"({begun} or {earliest} or {now}) and on ({by}) {there('')}"


def words(watched: Watched, kind: str, name: str, matchers: str, by: Sequence[str]) -> tuple[str, list[Says]]:
    """
    Return a word measure as numbers, and what each says.

    Words that rules ask for have the colour of the rule, and one of their own; of the others those
    with a common beginning (``activating/…``) are one. The worse the word, the higher its number.
    """
    metric, measure = watched.series(kind, name), watched.measures[kind][name]
    colours = {**dict.fromkeys(GOOD, "green"), "unknown": "purple", "catching_up": "blue"}
    asked = watched.asks(kind, name)
    for one in reversed(asked):
        if isinstance(one.condition.operand, tuple) and one.condition.op != "!=":
            colour = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
            colours |= dict.fromkeys(one.condition.operand, colour[one.rule.severity])
    groups: dict[str, list[str]] = {}
    for one_word in measure.words:
        text = one_word if one_word in colours else one_word.partition("/")[0]
        groups.setdefault(text, []).append(one_word)
    others = "orange" if asked or GOOD & {*measure.words} else "blue"
    ordered = sorted(groups, key=lambda text: RANKS.index(colours.get(text, others)))
    parts, says = [], []
    for number, text in enumerate(ordered):
        members = groups[text]
        op = "=" if len(members) == 1 else "=~"
        parts.append(f'{number} * ({metric}{{{name}{op}"{"|".join(members)}", {matchers}}} == 1)')
        says.append(Says(number, text.rpartition("/")[2].replace("_", " "), colours.get(text, others)))
    labels = ", ".join(by)
    return f"max by ({labels}) (\n  " + "\n  or ".join(parts) + "\n)", says


def or_unknown(expr: str, kind: str, by: Sequence[str], matchers: str = OF_SERVICE) -> str:
    """Return *expr*, and `NOTHING_KNOWN` for every signal of *kind* of which it has no answer."""
    labels = ", ".join(by)
    there = f'count by ({labels}) (watchdog_signal_known{{signal="{kind}", {matchers}}})'
    return f"{expr}\nor on ({labels}) (0 * {there} - {-NOTHING_KNOWN})"


def worst(metric: str, matchers: str = OF_SERVICE, by: Sequence[str] = ("service",), how: str = "max") -> str:
    """Return the largest value of *metric* for each combination of the labels *by*."""
    return f"{how} by ({', '.join(by)}) ({metric}{{{matchers}}})"


def per_second(metric: str, matchers: str = OF_SERVICE, by: Sequence[str] = ("service",)) -> str:
    """Return how fast a counter grows."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{matchers}}}{RATE}))"


def gained(
    metric: str, window: timedelta, matchers: str = OF_SERVICE, by: Sequence[str] = ("service",)
) -> str:
    """Return how much a counter gained over *window*."""
    return f"sum by ({', '.join(by)}) (increase({metric}{{{matchers}}}[{write_duration(window)}]))"


def gained_as_ruled(watched: Watched, kind: str, name: str, judged: str) -> str:
    """Return the gain of a counter over the window of the rule that judges *judged*, by service."""
    judge = watched.judge(kind, judged)
    metric, alert = watched.series(kind, name), judge.rule.alert if judge else ""
    parts = []
    for (service, of), rule in sorted(watched.own.items()):
        windows = [c.term.window for c in rule.conditions if (c.term.signal, c.term.measure) == (kind, name)]
        if of == alert and windows and windows[0]:
            parts.append(gained(metric, windows[0], f"service={quoted(service)}"))
    everyone = gained(metric, watched.window(kind, name, HOUR), "")
    return "(" + " or on (service) ".join([*parts, everyone]) + ")"


def short(expr: str, label: str, to: str = "what") -> str:
    """Return *expr* with the last part of a name (``apply.plan``, ``execution.log``) as another label."""
    return f'label_replace({expr}, "{to}", "$1", "{label}", "(?:.*[/:])?([^/:]+)")'


def allowed(watched: Watched, kind: str, name: str) -> str:
    """
    Return how large a measure may become in each service before a rule holds, as the rules in force have it.

    Services for which the rule is off or not meant have no such number.
    """
    judge = watched.judge(kind, name)
    if judge is None:
        raise LookupError(f"no rule speaks of {kind}.{name}")
    own: dict[str, float | None] = {}
    for (service, alert), rule in watched.own.items():
        if alert == judge.rule.alert:
            found = [c for c in rule.conditions if (c.term.signal, c.term.measure) == (kind, name)]
            operand = found[0].operand if found and rule.off is None else None
            own[service] = operand if isinstance(operand, float) else None
    metric = watched.series(kind, name)
    everyone = f"(0 * max by (service) ({metric}) + {judge.limit:g})"
    parts = [_named(service, limit) for service, limit in sorted(own.items()) if limit is not None]
    spared = sorted(judge.rule.except_ | {service for service, limit in own.items() if limit is None})
    if judge.rule.services is not None:
        meant = sorted(judge.rule.services - judge.rule.except_ - own.keys())
        parts += [_named(service, judge.limit or 0.0) for service in meant]
    elif spared:
        parts.append(f"({everyone} unless on (service) ({_any(spared)}))")
    else:
        parts.append(everyone)
    return "(" + " or on (service) ".join(parts) + ")"


def _named(service: str, number: float) -> str:
    return f'label_replace(vector({number:g}), "service", {quoted(service)}, "", "")'


def _any(services: Iterable[str]) -> str:
    return " or ".join(_named(service, 0) for service in services)
