"""The dashboard of streams and consumer groups: what waits, what is stuck, what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from watchdog.export.grafana import promql
from watchdog.export.grafana.board import Line, Row, dashboard, panels_of, variable
from watchdog.export.grafana.measures import in_threes, matchers, measure_panel, told, told_apart, unseen
from watchdog.export.grafana.panels import (
    CRITICAL,
    NEUTRAL,
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
from watchdog.export.grafana.promql import READY, only_if_ready
from watchdog.export.grafana.tables import Column, table
from watchdog.export.grafana.watched import Watched

UID = "pipeline-watchdog-streams"
KINDS = ("stream", "consumes", "redis", "discovery")
GROUP = ("service", "stream", "group")
OF_GROUP, OF_STREAM = matchers("consumes"), matchers("stream")


def streams(watched: Watched) -> dict[str, Any]:
    """Return the dashboard `streams.json`."""
    lines: list[Line] = []
    if watched.offers("consumes", "verdict"):
        lines += _groups(watched)
    if watched.offers("stream", "added"):
        lines += _streams(watched)
    lines += _redis(watched)
    rest = [measure_panel(watched, *name) for name in unseen(watched, KINDS, panels_of(lines))]
    if rest:
        lines.append(Row("What else the rules ask of streams, groups and Redis", in_threes(rest)))
    chosen = 'watchdog_signal_known{service=~"$service"'
    return dashboard(
        UID,
        "Pipeline Watchdog: streams",
        "What waits undelivered, what was delivered and not acknowledged, what was lost or soon will be.",
        lines,
        variable("service", "Service", "label_values(watchdog_signal_known, service)"),
        variable("stream", "Stream", f'label_values({chosen}, stream!=""}}, stream)'),
        variable("group", "Group", f'label_values({chosen}, stream=~"$stream", group!=""}}, group)'),
        page=watched.link,
    )


# ---- groups ------------------------------------------------------------------------------------


def _groups(watched: Watched) -> Iterator[Line]:
    verdict, says = promql.words(watched, "consumes", "verdict", OF_GROUP, GROUP)
    verdict = promql.or_unknown(verdict, "consumes", GROUP, OF_GROUP)
    says = [*says, Says(NOTHING_KNOWN, "unknown", UNKNOWN)]
    yield [
        _wrong(says),
        _number(
            "Undelivered",
            "Entries that no group has taken yet, all groups together.",
            f"sum(watchdog_consumes_lag{{{OF_GROUP}}})",
            4,
        ),
        _number(
            "Oldest undelivered",
            "How long the entry that waits longest for its delivery has done so.",
            f"max(watchdog_consumes_behind_seconds{{{OF_GROUP}}})",
            5,
            unit="dtdurations",
        ),
        _number(
            "Pending",
            "Entries that were delivered and not acknowledged, all groups together.",
            f"sum(watchdog_consumes_pending{{{OF_GROUP}}})",
            3,
        ),
        _number(
            "Oldest pending",
            "How long the entry that waits longest for its acknowledgement has done so.",
            f"max(watchdog_consumes_oldest_pending_seconds{{{OF_GROUP}}})",
            4,
            unit="dtdurations",
        ),
        stat(
            "Lost",
            "Entries trimmed before they were delivered, in the time range shown.",
            Query(
                only_if_ready(f"round(sum(increase(watchdog_consumes_lost_total{{{OF_GROUP}}}[$__range])))")
            ),
            (4, 4),
            steps=((None, UNKNOWN), (0, OK), (1, CRITICAL)),
            says=(Says(0, "none", OK),),
        ),
    ]
    expr, legend = told_apart(verdict, "consumes")
    yield [
        timeline(
            "Groups over time",
            told(watched, "consumes", "verdict"),
            Query(expr, legend),
            (24, 8),
            says,
        )
    ]
    yield [_table(verdict, says)]
    yield Row("Not delivered yet: nobody took it")
    yield [
        measure_panel(watched, "consumes", "lag", (12, 8)),
        measure_panel(watched, "consumes", "behind", (12, 8), more="A ramp is a group that stands still."),
    ]
    yield Row("Delivered and not acknowledged: somebody took it and has not said that it is done")
    yield [
        measure_panel(watched, "consumes", "pending", (12, 8)),
        measure_panel(
            watched, "consumes", "oldest_pending", (12, 8), more="A ramp is an entry nobody finishes."
        ),
    ]
    yield Row("Loss")
    yield [_margin(watched), measure_panel(watched, "consumes", "lost"), _to_loss(watched)]


def _wrong(says: list[Says]) -> Panel:
    bad = "|".join(s.text.replace(" ", "_") for s in says if s.colour == CRITICAL)
    verdict = f'watchdog_consumes_verdict{{verdict=~"{bad}", {OF_GROUP}}} == 1'
    lost = f'watchdog_signal_known{{signal="consumes", {OF_GROUP}}} == 0'
    return stat(
        "Groups",
        "Groups with a verdict that a critical rule asks for. *unknown* when one cannot be looked at.",
        Query(only_if_ready(f"count({verdict})\nor 0 * count({lost}) - 1\nor 0 * {READY}")),
        (4, 4),
        steps=((None, UNKNOWN), (0, OK), (1, CRITICAL)),
        says=(
            Says(0, "All read", OK),
            Says(-1, "Cannot tell", UNKNOWN),
            Says(1, "1 group does not", CRITICAL),
        ),
        unit="suffix: groups do not",
    )


def _number(title: str, description: str, expr: str, width: int, unit: str = "short") -> Panel:
    """Return a number that is neither good nor bad by itself."""
    steps = ((None, UNKNOWN), (0, NEUTRAL))
    return stat(
        title, description, Query(only_if_ready(expr)), (width, 4), steps=steps, unit=unit, mode="value"
    )


def _table(verdict: str, says: list[Says]) -> Panel:
    def now(name: str, how: str = "max") -> str:
        return promql.worst(f"watchdog_consumes_{name}", OF_GROUP, GROUP, how)

    lost = f"round({promql.gained('watchdog_consumes_lost_total', promql.HOUR, OF_GROUP, GROUP)})"
    steps = ((None, NEUTRAL), (1, CRITICAL))
    return table(
        "Groups now",
        "Both ladders of each group, the worst first: what was not delivered and since when, what was"
        " delivered and not acknowledged and since when; who reads; what was lost.",
        [
            promql.short(promql.short(verdict, "stream"), "group", "who"),
            now("lag"),
            now("behind_seconds"),
            now("pending"),
            now("oldest_pending_seconds"),
            now("consumers"),
            now("ghosts"),
            now("deliveries"),
            lost,
        ],
        (24, 8),
        [
            Column("A", "Verdict", says=says, width=110, loud=True),
            Column("service", "Service", width=110),
            Column("what", "Stream"),
            Column("who", "Group"),
            Column("B", "Undelivered", unit="short", width=95),
            Column("C", "for", unit="s", width=80),
            Column("D", "Pending", unit="short", width=75),
            Column("E", "for ", unit="s", width=80),
            Column("F", "Consumers", says=(Says(0, "none", CRITICAL),), width=90),
            Column("G", "Ghosts", steps=((None, NEUTRAL), (1, WARNING)), width=65),
            Column("H", "Deliveries", steps=((None, NEUTRAL), (5, WARNING)), width=85),
            Column("I", "Lost 1h", steps=steps, width=75),
        ],
        sort=(("Verdict", True), ("for", True)),
    )


def _margin(watched: Watched) -> Panel:
    behind = promql.worst("watchdog_consumes_behind_seconds", OF_GROUP, GROUP)
    kept = promql.worst("watchdog_stream_retained_seconds", 'stream=~"$stream"', ("stream",))
    share = f"{behind} / on (stream) group_left () ({kept} > 0)"
    both = share if watched.offers("stream", "retained") else behind
    expr, legend = told_apart(both, "consumes")
    return curves(
        "How near the loss",
        "Age of the oldest undelivered entry by the age of the oldest entry that the stream still keeps:"
        " at 100 % the next trim takes what nobody has read.",
        [Query(expr, legend)],
        (8, 7),
        unit="percentunit",
        steps=((None, "transparent"), (1, CRITICAL)),
    )


def _to_loss(watched: Watched) -> Panel:
    """Return the time to the first loss; where nothing is going to be lost there is no such time."""
    left = promql.worst("watchdog_consumes_time_to_loss_seconds", OF_GROUP, GROUP, "min")
    known = f'watchdog_signal_known{{signal="consumes", {OF_GROUP}}} == 1'
    safe = f"0 * count by (service, stream, group) ({known}) + 86400"
    expr, legend = told_apart(
        f"clamp_max({left}, 86400)\nor on (service, stream, group) ({safe})", "consumes"
    )
    return curves(
        "Time until entries are lost",
        told(
            watched,
            "consumes",
            "time_to_loss",
            "A day, where it is longer or nothing will be lost at this pace.",
        ),
        [Query(expr, legend)],
        (8, 7),
        unit="s",
        highest=86400,
    )


# ---- streams -----------------------------------------------------------------------------------


def _streams(watched: Watched) -> Iterator[Line]:
    yield Row("Streams")
    added, added_legend = told_apart(
        promql.per_second("watchdog_stream_added_total", OF_STREAM, ("service", "stream")), "stream"
    )
    line = [
        curves(
            "Added per second",
            told(watched, "stream", "added"),
            [Query(added, added_legend)],
            (8, 8),
            unit="short",
        )
    ]
    if watched.offers("consumes", "read"):
        read, legend = told_apart(
            promql.per_second("watchdog_consumes_read_total", OF_GROUP, GROUP), "consumes"
        )
        line.append(
            curves(
                "Read per second",
                told(watched, "consumes", "read", "Below what is added the backlog grows."),
                [Query(read, legend)],
                (8, 8),
                unit="short",
            )
        )
    yield [*line, measure_panel(watched, "stream", "age", (8, 8), title="Time since the newest entry")]
    yield [
        measure_panel(watched, "stream", name, (8, 7))
        for name in ("length", "retained", "overdue")
        if watched.offers("stream", name)
    ]


# ---- Redis -------------------------------------------------------------------------------------


def _redis(watched: Watched) -> Iterator[Line]:
    yield Row("Redis")
    yield [
        stat(
            "Redis",
            told(watched, "redis", "up"),
            Query(only_if_ready("min(watchdog_redis_up)")),
            (4, 7),
            steps=((None, UNKNOWN), (0, CRITICAL), (1, OK)),
            says=(Says(1, "answers", OK), Says(0, "does not answer", CRITICAL)),
        ),
        measure_panel(watched, "redis", "latency", (7, 7)),
        measure_panel(watched, "redis", "memory_ratio", (7, 7)),
        measure_panel(watched, "redis", "clients", (6, 7)),
    ]
