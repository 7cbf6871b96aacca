"""What is read across the room: does the pipeline work, since when not, and what is wrong."""

from __future__ import annotations

from watchdog.export.grafana import promql
from watchdog.export.grafana.panels import CRITICAL, OK, UNKNOWN, WARNING, Panel, Query, Says, stat, timeline
from watchdog.export.grafana.promql import OF_SERVICE, READY, only_if_ready
from watchdog.export.grafana.tables import Column, table
from watchdog.export.grafana.watched import Watched

HALTED = ' state=~"firing|blind"'
ALERT_LABELS = ("alertname", "service", "severity", "state")


def answers() -> list[Panel]:
    """Return the line that answers: does it work, since when not, how much is wrong, who says so."""
    bad, odd, dim = (
        f'watchdog_service_status{{status="{s}", {OF_SERVICE}}} == 1'
        for s in ("critical", "warning", "unknown")
    )
    working = f"count({bad})\nor 0 * count({dim}) - 1\nor 0 * count({odd}) - 2\nor 0 * {READY}"
    for_ = promql.since("watchdog_service_status", ["service"], f'status="critical", {OF_SERVICE}')
    return [
        stat(
            "Is the pipeline working?",
            "Services whose status is critical. While the watchdog itself is not well, or cannot be reached,"
            " this says *unknown*: what was seen before is past.",
            Query(only_if_ready(working)),
            (8, 4),
            steps=((None, UNKNOWN), (0, OK), (1, CRITICAL)),
            says=(
                Says(0, "It works", OK),
                Says(-1, "Cannot tell", UNKNOWN),
                Says(-2, "Works, with warnings", WARNING),
                Says(1, "1 service does not work", CRITICAL),
            ),
            unit="suffix: services do not work",
        ),
        stat(
            "Not working for",
            "How long the first of the services that are critical now has been so, as far back as the time"
            " range reaches.",
            Query(only_if_ready(f"max(time() - ({for_}))\nor 0 * {READY} - 2"), instant=True),
            (4, 4),
            steps=((None, UNKNOWN), (0, CRITICAL)),
            says=(Says(-2, "–", OK),),
            unit="dtdurations",
        ),
        _count("Critical", "critical", CRITICAL),
        _count("Warnings", "warning", WARNING),
        stat(
            "Unknown",
            "What the watchdog could not look at, or not all of it. Unknown is never taken for healthy.",
            Query(only_if_ready(promql.count_of(f"watchdog_signal_known{{{OF_SERVICE}}} == 0"))),
            (3, 4),
            steps=((None, UNKNOWN), (0, OK), (1, UNKNOWN)),
            says=(Says(0, "none", OK),),
        ),
        stat(
            "Watchdog",
            "Whether the watchdog itself is well: its last tick is young and its messages get out."
            " *unreachable* when Prometheus cannot scrape it.",
            Query('min(watchdog_ready) or min(0 * up{job="watchdog"} - 2)'),
            (3, 4),
            steps=((None, UNKNOWN), (0, CRITICAL), (1, OK)),
            says=(
                Says(1, "well", OK),
                Says(0, "not ready", CRITICAL),
                Says(-2, "unreachable", UNKNOWN),
            ),
        ),
    ]


def _count(title: str, severity: str, colour: str) -> Panel:
    firing = f'sum(watchdog_alerts{{severity="{severity}",{HALTED}, {OF_SERVICE}}}) or 0 * {READY}'
    return stat(
        title,
        f"Alerts of severity {severity} that fire, those included that cannot be seen any more.",
        Query(only_if_ready(firing)),
        (3, 4),
        steps=((None, UNKNOWN), (0, OK), (1, colour)),
        says=(Says(0, "none", OK),),
    )


def over_time() -> Panel:
    return timeline(
        "Services over time",
        "The status of each service. The first bar that turned red is where to look: what needs that service"
        " follows it. A gap means that the watchdog did not run.",
        Query(promql.status(), "{{service}}"),
        (13, 8),
        promql.STATUSES,
    )


def alerts(watched: Watched) -> Panel:
    by = ", ".join(ALERT_LABELS)
    rank = "\n  or ".join(
        f'{s.number} * (watchdog_alerts{{severity="{s.text}", {OF_SERVICE}}} > bool 0)'
        for s in promql.SEVERITIES
    )
    none = f'label_replace(0 * {READY}, "alertname", "no alerts", "", "")'
    began = promql.since("watchdog_alerts", ALERT_LABELS, OF_SERVICE)
    return table(
        "Alerts now",
        "All alerts that are not over; *blind* fired when last seen and cannot be seen now. *For* is exact"
        " to the minute, and at most the time range. Click an alert for what to do.",
        [
            f"max by ({by}) (\n  {rank}\n)\nor ({none} unless on () watchdog_alerts{{{OF_SERVICE}}} > 0)",
            f"time() - ({began})",
        ],
        (11, 8),
        [
            Column("A", "Severity", says=(*promql.SEVERITIES, Says(0, "ok", OK)), width=72, loud=True),
            Column("alertname", "Alert", link=f"{watched.link}/runbooks/${{__value.raw}}"),
            Column("service", "Service", link=page_of(watched)),
            Column("state", "State", width=65),
            Column("B", "For", unit="s", width=85),
        ],
        sort=(("Severity", True), ("For", True)),
    )


def page_of(watched: Watched) -> str:
    """Return the link from a name in a table to the status page of that service."""
    return f"{watched.link}/services/${{__value.raw:percentencode}}"
