"""The dashboard of what stands beside the streams: logs, units, endpoints, checks, settings, flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchdog.export.grafana import promql
from watchdog.export.grafana.board import Line, Row, dashboard, panels_of, variable
from watchdog.export.grafana.measures import (
    LABELS,
    in_threes,
    matchers,
    measure_panel,
    told,
    told_apart,
    unseen,
)
from watchdog.export.grafana.panels import (
    CRITICAL,
    NOTHING_KNOWN,
    OK,
    UNKNOWN,
    WARNING,
    Panel,
    Query,
    Says,
    curves,
    stat,
    timeline,
)
from watchdog.export.grafana.promql import OF_SERVICE, READY, only_if_ready
from watchdog.export.grafana.watched import Watched

UID = "pipeline-watchdog-logs-units"
KINDS = ("log", "unit", "health", "command", "settings", "flag")
NOT_KNOWN = Says(NOTHING_KNOWN, "unknown", UNKNOWN)
TOP: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("unit", "active", "Units", "watchdog_unit_active{%s} == 0", "1 is down", "are down"),
    ("health", "up", "Endpoints", "watchdog_health_up{%s} == 0", "1 fails", "fail"),
    (
        "command",
        "status",
        "Checks",
        'watchdog_command_status{status="critical", %s} == 1',
        "1 is critical",
        "critical",
    ),
    (
        "settings",
        "violations",
        "Settings",
        "watchdog_settings_violations{%s} > 0",
        "1 file is wrong",
        "files are wrong",
    ),
    ("flag", "set", "Flags", "watchdog_flag_set{%s} == 1", "1 is set", "are set"),
)
"""The tiles: of which signal, its heading, what is counted, how one and how many of it are called."""
SECTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Logs": {"log": ("errors", "new_errors", "matches.*", "age")},
    "Units and timers": {"unit": ("restarts", "failed_runs", "outdated", "late", "overdue", "last_trigger")},
    "Endpoints, checks, settings": {
        "health": ("latency", "certificate"),
        "command": ("took", "perf.*"),
        "settings": ("violations", "changed", "stale"),
    },
}
"""What stands under which heading, besides the tiles and the states."""


def logs(watched: Watched) -> dict[str, Any]:
    """Return the dashboard `logs-units.json`."""
    lines: list[Line] = [list(_tiles(watched))]
    states = list(_states(watched))
    lines += [states[i : i + 2] for i in range(0, len(states), 2)]
    for title, kinds in SECTIONS.items():
        first = _log_panels(watched) if "log" in kinds and watched.offers("log", "lines") else ()
        plain = [
            measure_panel(watched, kind, name)
            for kind, names in kinds.items()
            for name in names
            if watched.offers(kind, name)
        ]
        if plain:
            lines += [Row(title), *in_threes([*first, *plain])]
    rest = [measure_panel(watched, *name) for name in unseen(watched, KINDS, panels_of(lines))]
    if rest:
        lines.append(Row("What else the rules ask of them", in_threes(rest)))
    return dashboard(
        UID,
        "Pipeline Watchdog: logs, units, settings",
        "What the logs say, whether processes run and answer, and whether they are set up as they must be.",
        lines,
        variable("service", "Service", "label_values(watchdog_signal_known, service)"),
        page=watched.link,
    )


def _tiles(watched: Watched) -> Iterator[Panel]:
    """Yield a number for each kind of thing: how many of it are not as they should be."""
    tiles = [tile for tile in TOP if watched.offers(tile[0], tile[1])]
    judge = watched.judge("log", "error_ratio")
    if judge is not None:
        beyond = f"watchdog_log_error_ratio{{%s}} {judge.condition.op} {judge.limit:g}"
        tiles.insert(0, ("log", "error_ratio", "Logs", beyond, "1 is full of errors", "are full of errors"))
    for i, (kind, name, title, expr, one, many) in enumerate(tiles):
        least = 24 // len(tiles)
        known = f'watchdog_signal_known{{signal="{kind}", {OF_SERVICE}}} == 0'
        wrong = f"count({expr % OF_SERVICE})\nor 0 * count({known}) - 1\nor 0 * {READY}"
        asked = watched.asks(kind, name)
        colour = CRITICAL if any(a.rule.severity == "critical" for a in asked) else WARNING
        yield stat(
            title,
            told(
                watched,
                kind,
                name,
                "How many are not as they should be; *unknown* when one cannot be looked at.",
            ),
            Query(only_if_ready(wrong)),
            (least + (i < 24 % len(tiles)), 4),
            steps=((None, UNKNOWN), (0, OK), (1, colour)),
            says=(Says(0, "all well" if kind != "flag" else "none set", OK), NOT_KNOWN, Says(1, one, colour)),
            unit=f"suffix: {many}",
        )


def _states(watched: Watched) -> Iterator[Panel]:
    """Yield the states of units, endpoints, checks and flags over time."""
    for kind, name, title in (
        ("unit", "state", "Units over time"),
        ("health", "problem", "Endpoints over time"),
        ("command", "status", "Checks over time"),
    ):
        if watched.offers(kind, name):
            whose, by = matchers(kind), ("service", *LABELS[kind])
            expr, says = promql.words(watched, kind, name, whose, by)
            expr, legend = told_apart(promql.or_unknown(expr, kind, by, whose), kind)
            yield timeline(title, told(watched, kind, name), Query(expr, legend), (12, 6), [*says, NOT_KNOWN])
    if watched.offers("flag", "set"):
        by = ("service", *LABELS["flag"])
        whole = promql.or_unknown(promql.worst("watchdog_flag_set", OF_SERVICE, by), "flag", by)
        expr, legend = told_apart(whole, "flag")
        says = [Says(0, "not set", OK), Says(1, "set", WARNING), NOT_KNOWN]
        yield timeline("Flags over time", told(watched, "flag", "set"), Query(expr, legend), (12, 6), says)


def _log_panels(watched: Watched) -> Iterator[Panel]:
    yield measure_panel(watched, "log", "error_ratio", more="Over the last 10 minutes.")
    by = ("service", *LABELS["log"])
    expr, legend = told_apart(promql.per_second("watchdog_log_lines_total", OF_SERVICE, by), "log")
    yield curves(
        "Lines per second",
        told(watched, "log", "lines", "Silence is as telling as a flood."),
        [Query(expr, legend)],
        (8, 7),
        unit="short",
    )
