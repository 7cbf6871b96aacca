"""What is told though nothing is wrong: when a report is due, and what it says; all of it pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from watchdog.alerts import Alert, State
from watchdog.audience import Report
from watchdog.model import OWN_SERVICE, Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build
from watchdog.report import RANK, Snapshot, Status
from watchdog.rules import Severity
from watchdog.units import first_of

LATE = timedelta(days=1)
"""A report that was missed is still sent when it is not older than this."""
WEEK = timedelta(days=7)
NAMED = 3
"""So many services or alerts a headline names."""
MOST_LINES = 200
BEGINNINGS = frozenset({Reason.FIRST, Reason.FLAPPING, Reason.ESCALATED})
ALERTNAMES = {"all_clear": "AllClear", "audit": "Audit"}


def reports_due(
    reports: Iterable[Report], done: Mapping[str, datetime], now: datetime
) -> Iterator[tuple[Report, datetime]]:
    """
    Yield the reports whose last moment came after they were last *done*, each with that moment.

    One that was done in a far future was done by a clock that has been set right since.
    """
    for report in reports:
        moment, was = report.schedule.last(now), done.get(report.name, now)
        if moment is not None and (was < moment or was > now + LATE):
            yield report, moment


def bulletin(
    report: Report, latest: Snapshot, moment: datetime, told: Iterable[Mapping[str, Any]] = ()
) -> list[Notification]:
    """Return *report* of *moment* for each of its receivers; *told* is the past week's delivery log."""
    lines = clear_lines(latest) if report.what == "all_clear" else audit_lines(latest, told)
    left_out = len(lines) - MOST_LINES
    if left_out > 0:
        lines = [*lines[:MOST_LINES], f"… and {left_out} more lines"]
    alert = Alert(
        Labels(alertname=ALERTNAMES[report.what], service=OWN_SERVICE, severity=str(Severity.INFO)),
        SignalKey(OWN_SERVICE, "watchdog", Labels()),
        State.RESOLVED,
        active_since=moment,
        last_true=latest.at,
        summary=headline(latest),
        figures=tuple(lines),
        fired_at=moment,
        resolved_at=latest.at,
    )
    notice = Notice(alert, None, (), reason=Reason.REPORT)
    return [build(receiver, Labels(alertname=alert.name), [notice], latest.at) for receiver in report.to]


# ---- what it says ------------------------------------------------------------------------------


def headline(latest: Snapshot) -> str:
    """
    Return in one sentence how the services stand.

    Only what is known to work is said to work, and what fires is named in any case.
    """
    count = len(latest.services)
    idle = (Status.CRITICAL, Status.UNKNOWN)
    broken = [f"{service} ({status})" for service, status in _worst_first(latest) if status in idle]
    firing = [f"{n.alert.name} of {n.alert.service}" for n in latest.notices if n.alert.firing]
    everybody = "The only service works" if count == 1 else f"All {count} services work"
    said = [
        f"{len(broken)} of {count} services {'does' if len(broken) == 1 else 'do'} not work:"
        f" {first_of(broken, NAMED)}"
        if broken
        else everybody
    ]
    if firing:
        said.append(
            f"{len(firing)} alert{'s fire' if len(firing) > 1 else ' fires'}: {first_of(firing, NAMED)}"
        )
    return "; ".join(said)


def _worst_first(latest: Snapshot) -> list[tuple[str, Status]]:
    return sorted(latest.services.items(), key=lambda item: RANK[item[1]])


def clear_lines(latest: Snapshot) -> list[str]:
    """Return a line for each service, the worst first, then one for each alert that is about none of them."""
    alerts: dict[str, list[str]] = {}
    for notice in latest.notices:
        alert = notice.alert
        if alert.state is not State.RESOLVED:
            state = "" if alert.state is State.FIRING else f" ({alert.state})"
            alerts.setdefault(alert.service, []).append(f"{alert.name}{state}: {alert.summary}")
    lines = []
    for service, status in _worst_first(latest):
        why = alerts.pop(service, []) or (_unknown(service, latest) if status is Status.UNKNOWN else [])
        lines.append(f"{service}: {status}" + (f" – {'; '.join(why)}" if why else ""))
    return lines + [f"{service}: {text}" for service, texts in alerts.items() for text in texts]


def _unknown(service: str, latest: Snapshot) -> list[str]:
    """Return which signals of *service* cannot be told, and why."""
    reports = [report for report in latest.of_service(service) if report.status is Status.UNKNOWN]
    return [f"{r.reading.signal.kind}: {r.reading.trouble or 'not all of it is known'}" for r in reports]


def audit_lines(latest: Snapshot, told: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each service and each of its signals, the worst first, and the past week's alerts."""
    lines = []
    for service, status in _worst_first(latest):
        lines.append(f"{service}: {status}")
        for report in latest.of_service(service):
            trouble = f" – {report.reading.trouble}" if report.reading.trouble else ""
            lines.append(f"{report.reading.signal}: {report.status}{trouble}")
    counts = week(told)
    past = ", ".join(f"{name} {count}×" for name, count in counts.most_common()) or "none"
    return [f"alerts told in the past week: {past}", *lines]


def week(told: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """
    Return how often each alert was told to begin, by the delivery log's records *told*.

    What several receivers were told counts once: as often as the one that was told of it most.
    """
    by_receiver: Counter[tuple[str, str]] = Counter()
    for record in told:
        if BEGINNINGS.intersection(record["reasons"]):
            for name in record["names"]:
                by_receiver[record["receiver"], name.partition("/")[0]] += 1
    counts: Counter[str] = Counter()
    for (_, name), count in by_receiver.items():
        counts[name] = max(counts[name], count)
    return counts
