"""A panel for any measure, made from what is known of it: its unit, its help, the rules that ask for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from watchdog.export.grafana import promql
from watchdog.export.grafana.panels import Panel, Query, Steps, curves, timeline
from watchdog.export.grafana.watched import Watched
from watchdog.model import Kind
from watchdog.naming import FAMILY_LABEL
from watchdog.rules import Severity
from watchdog.units import Unit, write_duration

UNITS = {Unit.SECONDS: "s", Unit.RATIO: "percentunit", Unit.BYTES: "bytes"}
COLOURS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
LABELS: Mapping[str, tuple[str, ...]] = {
    "heartbeat": ("key",),
    "stream": ("stream",),
    "consumes": ("stream", "group"),
    "executions": ("stream",),
    "trace": ("stream", "end"),
    "log": ("path", "unit"),
    "unit": ("unit",),
    "health": ("url", "socket"),
    "command": ("command",),
    "settings": ("path",),
    "flag": ("key",),
    "redis": ("redis",),
    "discovery": ("discover",),
    "receiver": ("receiver",),
    "watchdog": (),
}
"""By which labels, besides the service, the signals of a kind are told apart."""
LEGENDS: Mapping[str, str] = {
    **dict.fromkeys(("heartbeat", "executions", "trace"), "{{service}}"),
    **dict.fromkeys(("stream", "log", "unit", "settings", "receiver"), "{{what}}"),
}
"""What the legend calls a signal, if not by its service and its own name."""
TITLES: Mapping[tuple[str, str], str] = {
    ("heartbeat", "age"): "Age of the last beat",
    ("heartbeat", "ttl"): "Time until the heartbeat expires",
    ("heartbeat", "ahead"): "How far heartbeats lie in the future",
    ("heartbeat", "unchanged"): "Same heartbeat rewritten for",
    ("heartbeat", "synthetic"): "Emergency heartbeats",
    ("heartbeat", "overdue"): "Time without success, of the longest usual",
    ("executions", "attempted"): "Attempts",
    ("executions", "answered_ratio"): "Results by offers",
    ("executions", "forbidden"): "Results that must never occur",
    ("executions", "bad_values"): "Results with impossible values",
    ("executions", "old"): "Old work taken for new",
    ("executions", "of_limit"): "Successes, of the most there may be",
    ("trace", "end_to_end"): "Orders, from first stage to end",
    ("trace", "stage.*"): "Orders, from the stage before",
    ("trace", "unfinished"): "Oldest order under way for",
    ("trace", "overdue"): "Oldest order under way, of the time it may take",
    ("trace", "completed"): "Orders that came to the end",
    ("trace", "untraced"): "Entries that belong to no trace",
    ("stream", "age"): "Time since the newest entry",
    ("stream", "overdue"): "Silence, of the longest usual gap",
    ("stream", "skew"): "Time of IDs less time in payloads",
    ("stream", "capped"): "Trimmed (1) or growing without end (0)",
    ("stream", "resets"): "Streams deleted or made anew",
    ("stream", "unread"): "Streams nobody reads (1)",
    ("stream", "bad_values"): "Entries with impossible values",
    ("consumes", "lag"): "Entries not yet delivered",
    ("consumes", "bodies_gone"): "Pending entries without a body",
    ("consumes", "lost"): "Entries lost",
    ("log", "error_ratio"): "Share of errors",
    ("log", "errors"): "Errors",
    ("log", "new_errors"): "Errors never seen before",
    ("log", "matches.*"): "Lines with a pattern",
    ("log", "overdue"): "Silence, of the longest usual gap",
    ("log", "late"): "How late the log is read",
    ("unit", "outdated"): "Older than its files for",
    ("unit", "failed_runs"): "Failed runs in a row",
    ("unit", "wanted"): "Wanted to run (1)",
    ("unit", "late"): "Time since the last trigger, of the usual",
    ("unit", "overdue"): "Trigger overdue for",
    ("unit", "scheduled"): "Next trigger set (1)",
    ("health", "latency"): "Time to answer",
    ("health", "certificate"): "Certificate is good for",
    ("command", "took"): "Checks took",
    ("command", "perf.*"): "What checks measure",
    ("settings", "violations"): "Settings not as required",
    ("settings", "warnings"): "Settings hardly meant so",
    ("settings", "changed"): "Settings not as accepted",
    ("settings", "stale"): "Change not taken up for",
    ("flag", "overdue"): "Flags set, of the time they may be",
    ("redis", "latency"): "Latency",
    ("redis", "memory_ratio"): "Memory, of the limit",
    ("redis", "clients"): "Clients",
    ("discovery", "found"): "Keys discovered",
    ("discovery", "left_out"): "Left out for the limit",
    ("discovery", "age"): "Since all keys were gone over",
    ("receiver", "failing"): "Receivers failing for",
    ("receiver", "refused"): "Messages refused for good",
    ("watchdog", "unsaved"): "State not saved for",
    ("watchdog", "set_aside"): "Since the state was set aside",
    ("watchdog", "self_test"): "Self-test on its way (1)",
}
"""Headings that are shorter than what the measures say of themselves."""
USUAL: Mapping[tuple[str, str], float] = {
    **dict.fromkeys((("consumes", "lag"), ("consumes", "pending")), 20),
    **dict.fromkeys(
        (("consumes", "behind"), ("consumes", "oldest_pending"), ("stream", "age"), ("log", "age")), 60
    ),
}
"""How far an axis reaches at least, so that what is small looks small."""
ZERO_WHILE: Mapping[tuple[str, str], str] = {("flag", "overdue"): "watchdog_flag_set{{{}}} == 0"}
"""Measures that do not apply while all is well, and what says so; then they are shown as 0."""
MATCHERS: Mapping[str, str] = {
    "stream": f'{promql.OF_SERVICE}, stream=~"$stream"',
    "consumes": f'{promql.OF_SERVICE}, stream=~"$stream", group=~"$group"',
    **dict.fromkeys(("redis", "discovery", "receiver", "watchdog"), 'service!=""'),
}
"""What chooses the signals of a kind, where it is not only the service."""
DEFAULT_WINDOW = timedelta(minutes=10)
METRIC = re.compile(r"\bwatchdog_\w+")


def matchers(kind: str) -> str:
    """Return what chooses the signals of *kind*, as the variables say."""
    return MATCHERS.get(kind, promql.OF_SERVICE)


def steps_of(watched: Watched, kind: str, name: str) -> Steps:
    """Return where the rules in force draw a line, each in the colour of its severity; hints draw none."""
    bad = (one for one in reversed(watched.asks(kind, name)) if one.rule.severity is not Severity.INFO)
    lines = {one.limit: COLOURS[one.rule.severity] for one in bad if one.limit is not None}
    return ((None, "transparent"), *sorted(lines.items()))


def told(watched: Watched, kind: str, name: str, more: str = "") -> str:
    """Return what a measure means and which rules ask for it, in words."""
    help_ = watched.measures[kind][name].help
    asked = {
        f"{one.rule.alert} ({one.rule.severity}): {one.rule.spoken}": None for one in watched.asks(kind, name)
    }
    return "\n\n".join([f"{help_}.", *([more] if more else []), *(f"`{rule}`" for rule in asked)])


def told_apart(expr: str, kind: str) -> tuple[str, str]:
    """Return *expr* with the short names of its signals, and the legend made of them."""
    labels = LABELS[kind]
    for label in labels:
        expr = promql.short(expr, label, "what" if len(labels) == 1 or label != "group" else "who")
    if not labels:
        return expr, kind
    return expr, LEGENDS.get(kind, "{{service}} {{what}}")


def measure_panel(
    watched: Watched, kind: str, name: str, size: tuple[int, int] = (8, 7), **how: Any
) -> Panel:
    """Return the panel of a measure: a curve for each signal, or a bar for each if it is a word."""
    measure = watched.measures[kind][name]
    metric, whose = watched.series(kind, name), matchers(kind)
    part = FAMILY_LABEL.get(name.removesuffix(".*"), "part") if name.endswith(".*") else ""
    by = ("service", *LABELS[kind], *((part,) if part else ()))
    title = how.pop("title", "") or TITLES.get((kind, name)) or measure.help.partition(",")[0]
    text = told(watched, kind, name, how.pop("more", ""))
    if measure.kind is Kind.WORD:
        expr, says = promql.words(watched, kind, name, whose, by)
        expr, legend = told_apart(expr, kind)
        return timeline(title, text, Query(expr, legend), size, says)
    steps = steps_of(watched, kind, name)
    if measure.kind is Kind.COUNTER:
        window = watched.window(kind, name, DEFAULT_WINDOW)
        expr, title = promql.gained(metric, window, whose, by), f"{title}, in {write_duration(window)}"
    else:
        expr = promql.worst(metric, whose, by)
        if (kind, name) in ZERO_WHILE:
            calm = f"max by ({', '.join(by)}) ({ZERO_WHILE[kind, name].format(whose)})"
            expr = f"{expr}\nor on ({', '.join(by)}) 0 * {calm}"
    expr, legend = told_apart(expr, kind)
    legend += f" {{{{{part}}}}}" if part else ""
    below = any(a.condition.op in ("<", "<=") or (a.limit or 0) < 0 for a in watched.asks(kind, name))
    unit = UNITS.get(measure.unit, "short")
    return curves(
        title,
        text,
        [Query(expr, legend)],
        size,
        unit=unit,
        steps=steps,
        highest=USUAL.get((kind, name), 1 if unit in ("short", "percentunit") else None),
        least=None if below else 0,
        **how,
    )


def unseen(watched: Watched, kinds: Iterable[str], panels: Iterable[Panel]) -> list[tuple[str, str]]:
    """Return the measures of *kinds* that the rules ask for and none of *panels* shows."""
    shown = metrics_of(panels)
    return [
        (kind, name)
        for kind, name in watched.exported()
        if kind in kinds and watched.asks(kind, name) and watched.series(kind, name) not in shown
    ]


def metrics_of(panels: Iterable[Panel]) -> set[str]:
    """Return the metrics that *panels* ask for."""
    return {metric for expr in exprs_of(panels) for metric in METRIC.findall(expr)}


def exprs_of(panels: Iterable[Panel]) -> Iterator[str]:
    """Yield the queries of *panels*, those of folded rows included."""
    for one in panels:
        yield from (target["expr"] for target in one.get("targets", ()))
        yield from exprs_of(one.get("panels", ()))


def in_threes(panels: Sequence[Panel]) -> list[Sequence[Panel]]:
    """Return *panels* in lines of three; those of a line that has fewer are the wider for it."""
    lines = [panels[i : i + 3] for i in range(0, len(panels), 3)]
    return [[_wide(one, 24 // len(line)) for one in line] for line in lines]


def _wide(one: Panel, width: int) -> Panel:
    return {**one, "gridPos": {**one["gridPos"], "w": width}}
