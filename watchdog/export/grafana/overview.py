"""The dashboard that is looked at first: does the pipeline work, since when not, what is it, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from watchdog.export.grafana import promql
from watchdog.export.grafana.board import Line, Row, constant, dashboard, panels_of, variable
from watchdog.export.grafana.glance import alerts, answers, over_time, page_of
from watchdog.export.grafana.measures import in_threes, measure_panel, told, unseen
from watchdog.export.grafana.panels import (
    CRITICAL,
    NEUTRAL,
    NOTHING_KNOWN,
    OK,
    QUIET,
    UNKNOWN,
    WARNING,
    Panel,
    Query,
    Says,
    bars,
    curves,
    fixed,
)
from watchdog.export.grafana.promql import HOUR, OF_SERVICE
from watchdog.export.grafana.tables import Column, table
from watchdog.export.grafana.watched import Watched

UID = "pipeline-watchdog"
KINDS = ("executions", "heartbeat", "trace")
NOT_KNOWN = Says(NOTHING_KNOWN, "unknown", UNKNOWN)


def overview(watched: Watched) -> dict[str, Any]:
    """Return the dashboard `overview.json`."""
    lines: list[Line] = [answers(), [over_time(), alerts(watched)], [_services(watched)]]
    if watched.offers("executions", "age"):
        lines += _work(watched)
    if watched.offers("trace", "end_to_end"):
        lines.append(Row("Orders, from stage to stage", _orders(watched)))
    if watched.offers("heartbeat", "age"):
        lines += _heartbeats(watched)
    rest = [measure_panel(watched, *name) for name in unseen(watched, KINDS, panels_of(lines))]
    if rest:
        lines.append(Row("What else the rules ask of results, orders and heartbeats", in_threes(rest)))
    service = variable("service", "Service", "label_values(watchdog_signal_known, service)")
    worker = f"label_values(watchdog_executions_total{{{OF_SERVICE}}}, service)"
    return dashboard(
        UID,
        "Pipeline Watchdog",
        "Does the pipeline work, since when not, and what is wrong.",
        lines,
        service,
        variable("worker", "Services with results", worker, hidden=True),
        *(constant(name, expr) for name, expr in _by_the_rules(watched).items()),
        page=watched.link,
    )


def _by_the_rules(watched: Watched) -> dict[str, str]:
    """
    Return what the rules say of single services: how old a success and a beat may become, what was offered.

    These are variables, so that no panel names a service.
    """
    found = {}
    for name, (kind, measure) in {"work": ("executions", "age"), "beat": ("heartbeat", "age")}.items():
        if watched.offers(kind, measure) and watched.judge(kind, measure):
            found[f"{name}_allowed"] = promql.allowed(watched, kind, measure)
    if watched.offers("executions", "offered"):
        found["work_offered"] = promql.gained_as_ruled(watched, "executions", "offered", "age")
    return found


# ---- service by service


def _services(watched: Watched) -> Panel:
    """Return the table with a line for each service: everything that is asked first of it."""
    queries, columns = (
        [promql.status()],
        [
            Column("service", "Service", link=page_of(watched)),
            Column("A", "Status", says=promql.STATUSES, width=90, loud=True),
        ],
    )

    def add(kind: str, name: str, expr: str, **how: Any) -> None:
        if watched.offers(kind, name):
            queries.append(promql.or_unknown(expr, kind, ["service"]))
            said = (*how.pop("says", ()), NOT_KNOWN)
            columns.append(
                Column(chr(ord("A") + len(queries) - 1), says=said, width=how.pop("width", 90), **how)
            )

    def share(kind: str, name: str, title: str, how: str = "max") -> None:
        judge = watched.judge(kind, name)
        line = (
            ()
            if judge is None
            else ((judge.limit, CRITICAL if judge.rule.severity == "critical" else WARNING),)
        )
        expr = promql.worst(watched.series(kind, name), how=how)
        add(kind, name, expr, title=title, unit="percentunit", steps=((None, NEUTRAL), *line))

    if watched.judge("executions", "age"):
        left = _left(watched)
        steps = ((None, NEUTRAL), (0, CRITICAL), (600, WARNING), (1200, OK))
        said = (Says(-2, "nothing offered", QUIET), Says(0, "over", CRITICAL))
        age = promql.worst("watchdog_executions_age_seconds")
        add("executions", "age", age, title="Last success", unit="s", width=100)
        add("executions", "age", left, title="Time left", unit="s", steps=steps, says=said, width=115)
    for name, title in (("offered", "Offered/h"), ("succeeded", "Done/h")):
        if watched.offers("executions", name):
            add(
                "executions",
                name,
                f"round({promql.gained(watched.series('executions', name), HOUR)})",
                title=title,
            )
    share("executions", "top_reason_share", "One reason")
    if watched.judge("heartbeat", "age"):
        add(
            "heartbeat",
            "present",
            _beats(),
            title="Heartbeat",
            unit="percentunit",
            steps=((None, NEUTRAL), (0.5, WARNING), (1, CRITICAL)),
            says=(Says(-3, "missing", CRITICAL),),
        )
    add("consumes", "lag", promql.worst("watchdog_consumes_lag", how="sum"), title="Lag")
    add("consumes", "pending", promql.worst("watchdog_consumes_pending", how="sum"), title="Pending")
    share("log", "error_ratio", "Log errors")
    return table(
        "Services now",
        "Each service in one line, the worst first: when it last succeeded and how long it may go on"
        " without, what it was offered and what became of it in the last hour, its heartbeat as a share of"
        " the age at which it is stale.",
        queries,
        (24, 8),
        columns,
        sort=(("Status", True),),
    )


# ---- work --------------------------------------------------------------------------------------


def _left(watched: Watched) -> str:
    """Return the time until each service is said not to succeed; -2 while nothing is offered to it."""
    age = promql.worst("watchdog_executions_age_seconds")
    left = f"clamp_min(${{work_allowed:raw}} - on (service) {age}, 0)"
    if not watched.offers("executions", "offered"):
        return left
    return f"((0 * (${{work_offered:raw}} == 0) - 2) and on (service) {age})\nor on (service) {left}"


def _work(watched: Watched) -> Iterator[Any]:
    yield Row("Work done")
    judge = watched.judge("executions", "age")
    if judge is not None:
        alert = judge.rule.alert
        age = promql.worst("watchdog_executions_age_seconds")
        yield [
            curves(
                "Time since the last success, of the time allowed",
                told(watched, "executions", "age", "100 % is what the rules allow each service."),
                [Query(f"{age} / on (service) ${{work_allowed:raw}}", "{{service}}")],
                (14, 8),
                unit="percentunit",
                steps=((None, "transparent"), (1, CRITICAL)),
            ),
            bars(
                f"Time left until {alert}",
                f"How long each service may still go without a success until {alert} fires, as the rules have"
                " it for that service. Where nothing is offered there is nothing to succeed in.",
                Query(promql.or_unknown(_left(watched), "executions", ["service"]), "{{service}}"),
                (10, 8),
                unit="s",
                steps=((None, CRITICAL), (600, WARNING), (1200, OK)),
                says=(Says(-2, "nothing offered", QUIET), NOT_KNOWN, Says(0, "over", CRITICAL)),
            ),
        ]
    succeeded = Query(
        '60 * sum(rate(watchdog_executions_succeeded_total{service="$worker"}[$__rate_interval]))',
        "succeeded",
    )
    offered = Query(
        '60 * sum(rate(watchdog_executions_offered_total{service="$worker"}[$__rate_interval]))', "offered"
    )
    yield [
        curves(
            "Offered and succeeded per minute: $worker",
            "What was offered to the service and what it brought to success. Offers without successes are an"
            " outage; neither is a quiet market.",
            [offered, succeeded] if watched.offers("executions", "offered") else [succeeded],
            (12, 8),
            unit="short",
            overrides=(fixed("succeeded", OK, fillOpacity=25), fixed("offered", QUIET)),
            repeat="worker",
            repeatDirection="h",
            maxPerRow=3,
        )
    ]


# ---- orders ------------------------------------------------------------------------------------


def _orders(watched: Watched) -> list[Sequence[Panel]]:
    """Return how long orders take, by stage, and whether all come to the end."""
    names = ("end_to_end", "stage.*", "unfinished", "overdue", "completed", "untraced")
    offered = [name for name in names if watched.offers("trace", name)]
    return in_threes([measure_panel(watched, "trace", name) for name in offered])


# ---- heartbeats --------------------------------------------------------------------------------


def _beats() -> str:
    """Return each service's heartbeat by the age at which it is stale; -3 where there is none."""
    missing = promql.worst("watchdog_heartbeat_present", how="min")
    age = promql.worst("watchdog_heartbeat_age_seconds")
    return f"(0 * ({missing} == 0) - 3)\nor on (service) ({age} / on (service) ${{beat_allowed:raw}})"


def _heartbeats(watched: Watched) -> Iterator[Any]:
    yield Row("Heartbeats")
    line = []
    if watched.judge("heartbeat", "age"):
        line.append(
            bars(
                "Heartbeats, of the age at which they are stale",
                told(watched, "heartbeat", "age", "The oldest of each service; at 100 % it is stale."),
                Query(promql.or_unknown(_beats(), "heartbeat", ["service"]), "{{service}}"),
                (10, 8),
                unit="percentunit",
                steps=((None, OK), (0.5, WARNING), (1, CRITICAL)),
                says=(Says(-3, "missing", CRITICAL), NOT_KNOWN),
                highest=1,
            )
        )
    line.append(
        measure_panel(
            watched,
            "heartbeat",
            "age",
            (14 if line else 24, 8),
            more="A saw is a heart that beats; a ramp has stopped.",
        )
    )
    yield line
