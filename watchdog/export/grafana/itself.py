"""The dashboard of the watchdog itself: who watches must be watched."""

from __future__ import annotations

from typing import Any

from watchdog.export.grafana.board import Line, Row, dashboard, panels_of, variable
from watchdog.export.grafana.measures import in_threes, measure_panel, told, unseen
from watchdog.export.grafana.panels import (
    CRITICAL,
    NEUTRAL,
    NOTHING_KNOWN,
    OK,
    UNKNOWN,
    Panel,
    Query,
    Says,
    curves,
    fixed,
    stat,
)
from watchdog.export.grafana.tables import Column, table
from watchdog.export.grafana.watched import Watched

UID = "pipeline-watchdog-self"
KINDS = ("receiver", "watchdog")
WHAT = ("key", "stream", "group", "path", "unit", "url", "command", "receiver")


def itself(watched: Watched) -> dict[str, Any]:
    """Return the dashboard `watchdog.json`."""
    lines: list[Line] = [_now(watched), [_unseen()], _ticks(), Row("Telling"), _telling()]
    lines += [_asked_not_to(), Row("Its file, and those beside it"), _beside(), _what_runs()]
    rest = [measure_panel(watched, *name) for name in unseen(watched, KINDS, panels_of(lines))]
    lines += in_threes(rest)
    return dashboard(
        UID,
        "Pipeline Watchdog: the watchdog itself",
        "Whether it looks as often as it should, what it cannot see, and whether its messages arrive.",
        lines,
        variable("service", "Service", "label_values(watchdog_signal_known, service)"),
        page=watched.link,
    )


def _now(watched: Watched) -> list[Panel]:
    return [
        stat(
            "Watchdog",
            "Well is: the last tick is young and the outbox moves. *unreachable* when Prometheus cannot"
            " scrape it.",
            Query(f'min(watchdog_ready) or min(0 * up{{job="watchdog"}} + {NOTHING_KNOWN})'),
            (6, 4),
            steps=((None, UNKNOWN), (0, CRITICAL), (1, OK)),
            says=(
                Says(1, "well", OK),
                Says(0, "not ready", CRITICAL),
                Says(NOTHING_KNOWN, "unreachable", UNKNOWN),
            ),
        ),
        stat(
            "Last tick",
            "How long ago it last looked at everything that was due.",
            Query("max(time() - (watchdog_last_tick_timestamp_seconds > 0))"),
            (5, 4),
            steps=((None, UNKNOWN), (0, NEUTRAL), (60, CRITICAL)),
            unit="dtdurations",
            mode="value",
        ),
        stat(
            "Messages that wait",
            "Notifications that no receiver has taken yet.",
            Query("sum(watchdog_outbox_depth)"),
            (5, 4),
            steps=((None, UNKNOWN), (0, NEUTRAL), (1, "yellow")),
            says=(Says(0, "none", OK),),
            mode="value",
        ),
        stat(
            "Self-test",
            "When a self-test last reached every receiver.",
            Query("1000 * max(watchdog_self_test_last_success_timestamp_seconds)"),
            (4, 4),
            steps=((None, UNKNOWN), (0, NEUTRAL)),
            says=(Says(0, "never", NEUTRAL),),
            unit="dateTimeFromNow",
            mode="value",
        ),
        stat(
            "State file",
            told(watched, "watchdog", "set_aside", "*whole* where that never happened."),
            Query("max(watchdog_self_set_aside_seconds)\nor 0 * max(watchdog_self_test) - 1"),
            (4, 4),
            steps=((None, UNKNOWN), (0, CRITICAL), (3600, NEUTRAL)),
            says=(Says(NOTHING_KNOWN, "whole", OK),),
            unit="dtdurations",
            mode="value",
        ),
    ]


def _unseen() -> Panel:
    by = ", ".join(("service", "signal", *WHAT))
    known = f'min by ({by}) (watchdog_signal_known{{service=~"$service"}})'
    joined = f'label_join({known}, "what", " ", {", ".join(f"{chr(34)}{w}{chr(34)}" for w in WHAT)})'
    return table(
        "What it can see",
        "Every signal, those first that cannot be told, or not all of them.",
        [joined],
        (24, 8),
        [
            Column(
                "A", "Known", says=(Says(0, "unknown", UNKNOWN), Says(1, "known", OK)), width=100, loud=True
            ),
            Column("service", "Service", width=200),
            Column("signal", "Signal", width=140),
            Column("what", "What"),
        ],
        sort=(("Known", False),),
    )


def _ticks() -> list[Panel]:
    return [
        curves(
            "Duration of ticks",
            "How long a look at everything takes, and how often one is due.",
            [
                Query("max(watchdog_tick_duration_seconds)", "took"),
                Query(
                    "max(rate(watchdog_tick_seconds_total[5m]) / (rate(watchdog_ticks_total[5m]) > 0))",
                    "on average, in 5m",
                ),
                Query("max(watchdog_tick_duration_max_seconds)", "the longest"),
                Query("max(watchdog_tick_interval_seconds)", "due every"),
            ],
            (8, 7),
            unit="s",
            overrides=(
                fixed("due every", NEUTRAL, lineStyle={"fill": "dash", "dash": [6, 6]}, fillOpacity=0),
            ),
        ),
        curves(
            "Looks without an answer, in 5m",
            "Why: the source gave none, or is away as a whole.",
            [
                Query(
                    "sum by (signal, reason) (increase(watchdog_collect_failures_total[5m]))",
                    "{{signal}} {{reason}}",
                ),
            ],
            (8, 7),
            unit="short",
        ),
        curves(
            "Failures inside, in 5m",
            "Ticks that failed, state that could not be written, errors while sending: there should be none.",
            [
                Query("sum(increase(watchdog_ticks_failed_total[5m]))", "ticks"),
                Query("sum(increase(watchdog_state_failures_total[5m]))", "state file"),
                Query("sum(increase(watchdog_courier_failures_total[5m]))", "sending"),
            ],
            (8, 7),
            unit="short",
        ),
    ]


def _telling() -> list[Panel]:
    return [
        curves(
            "Notifications, in 5m",
            "What became of them, receiver by receiver.",
            [
                Query(
                    "sum by (receiver, outcome) (increase(watchdog_notifications_total[5m]))",
                    "{{receiver}} {{outcome}}",
                )
            ],
            (8, 7),
            unit="short",
        ),
        curves(
            "Decisions, in 5m",
            "Why somebody was told, or spared, or is to wait; docs/reference/telling.md has the reasons.",
            [Query("sum by (reason) (increase(watchdog_decisions_total[5m]))", "{{reason}}")],
            (8, 7),
            unit="short",
        ),
        curves(
            "Oldest message that waits",
            "How long a receiver has kept a message waiting.",
            [Query("max by (receiver) (watchdog_outbox_oldest_seconds)", "{{receiver}}")],
            (8, 7),
            unit="s",
        ),
    ]


def _or_none(query: str) -> str:
    """Return *query*, or zero where the sidecar does none of it: not every one has a partner."""
    return f"{query} or 0 * max(watchdog_ready)"


def _asked_not_to() -> list[Panel]:
    return [
        curves(
            "Silences and acknowledgements",
            "What somebody asked not to be told of.",
            [
                Query("sum by (state) (watchdog_silences)", "silences {{state}}"),
                Query("sum(watchdog_acknowledged_alerts)", "alerts acknowledged"),
            ],
            (12, 7),
            unit="short",
        ),
        curves(
            "Signs of life, in 5m",
            "Signs to those who watch the watchdog, and what became of them.",
            [
                Query(
                    _or_none("sum by (kind, outcome) (increase(watchdog_signs_of_life_total[5m]))"),
                    "signs {{kind}} {{outcome}}",
                )
            ],
            (12, 7),
            unit="short",
        ),
    ]


def _beside() -> list[Panel]:
    return [
        curves(
            "Role in a pair",
            "What it is to its partner; 0 where there is none.",
            [Query(_or_none("max by (role) (watchdog_pair_role)"), "role {{role}}")],
            (8, 7),
            unit="short",
        ),
        curves(
            "Shards",
            "How many share the work, by which one says so; 0 where there is one.",
            [Query(_or_none("max by (shard) (watchdog_shards)"), "shard {{shard}}")],
            (8, 7),
            unit="short",
        ),
        curves(
            "Traces exported, in 5m",
            "What became of finished traces; 0 without `traces`.",
            [
                Query(
                    _or_none("sum by (outcome) (increase(watchdog_traces_exported_total[5m]))"),
                    "traces {{outcome}}",
                )
            ],
            (8, 7),
            unit="short",
        ),
    ]


def _what_runs() -> list[Panel]:
    return [
        stat(
            "Rules file",
            "Whether it was taken when it was last read; one that is refused changes nothing.",
            Query("min(watchdog_config_last_reload_successful)"),
            (8, 4),
            steps=((None, UNKNOWN), (0, CRITICAL), (1, OK)),
            says=(Says(1, "in force", OK), Says(0, "refused", CRITICAL)),
        ),
        stat(
            "Rules in force since",
            "When the rules file that is in force was read.",
            Query("1000 * max(watchdog_config_last_reload_success_timestamp_seconds)"),
            (8, 4),
            steps=((None, UNKNOWN), (0, NEUTRAL)),
            unit="dateTimeFromNow",
            mode="value",
        ),
        stat(
            "Versions that run",
            "How many there are: more than one while an upgrade is under way.",
            Query("count(count by (version) (watchdog_build_info))"),
            (8, 4),
            steps=((None, UNKNOWN), (0, NEUTRAL), (2, "yellow")),
            mode="value",
        ),
    ]
