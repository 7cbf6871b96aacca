"""What is known at one moment: the snapshot the loop publishes, and how services stand in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic describes no others before Python 3.12

from watchdog.alerts import Alert, State, failing
from watchdog.conditions import ANY_SIGNAL, DEFAULT_WINDOW, Term, look_up
from watchdog.history import History
from watchdog.model import AtLeast, Kind, Labels, Measure, Reading, SignalKey, Value
from watchdog.notifications import Notice
from watchdog.rules import Severity, Watch
from watchdog.telling import notices_of
from watchdog.topology import Needs
from watchdog.units import rfc3339


class Status(StrEnum):
    """How something stands, the worst first."""

    CRITICAL = "critical"
    UNKNOWN = "unknown"
    WARNING = "warning"
    OK = "ok"


RANK = {status: rank for rank, status in enumerate(Status)}
OF_SEVERITY = {Severity.CRITICAL: Status.CRITICAL, Severity.WARNING: Status.WARNING, Severity.INFO: Status.OK}


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of *statuses*; nothing at all is unknown."""
    return min(statuses, key=RANK.__getitem__, default=Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class SignalReport:
    """One signal as it stands: its latest reading, its figures over the windows the rules use."""

    reading: Reading
    status: Status
    at: datetime
    figures: Mapping[str, Value]
    totals: Mapping[str, float]

    @property
    def values(self) -> dict[str, Value]:
        """Return what the reading holds, as it is now."""
        return self.reading.seen(self.at)


@dataclass(frozen=True)
class Snapshot:
    """Everything the sidecar knows after one tick; never changed, only replaced."""

    at: datetime
    signals: Mapping[SignalKey, SignalReport]
    services: Mapping[str, Status]
    notices: tuple[Notice, ...]
    status: Status

    def of_service(self, service: str) -> list[SignalReport]:
        """Return the reports of *service* in the file's order."""
        return list(self._by_service.get(service, ()))

    @cached_property
    def _by_service(self) -> Mapping[str, Sequence[SignalReport]]:
        found: dict[str, list[SignalReport]] = {}
        for key, report in self.signals.items():
            found.setdefault(key.service, []).append(report)
        return found


Figures = Mapping[SignalKey, tuple[tuple[str, Term, Measure], ...]]
"""For each signal what is shown besides its values: the name without the signal's, the term, its measure."""


def figures_of(watches: Iterable[Watch], offered: Mapping[SignalKey, Mapping[str, Measure]]) -> Figures:
    """Return for every signal the windowed figures worth showing: those the rules ask for."""
    wanted: dict[SignalKey, dict[Term, Measure]] = {key: {} for key in offered}
    for watch in watches:
        for clause in watch.clauses:
            for option in clause:
                if option.measure.windowed and option.condition.term.signal != ANY_SIGNAL:
                    wanted.setdefault(option.signal, {})[option.condition.term] = option.measure
    for key, measures in offered.items():
        for name, measure in measures.items():
            if measure.kind in (Kind.RATIO, Kind.SHARE, Kind.TOP):
                wanted[key][Term(key.kind, name, DEFAULT_WINDOW)] = measure
    return {
        key: tuple((str(term).removeprefix(f"{term.signal}."), term, m) for term, m in terms.items())
        for key, terms in wanted.items()
    }


def snapshot(
    history: History,
    alerts: Mapping[Labels, Alert],
    now: datetime,
    *,
    figures: Figures,
    services: Iterable[str],
    needs: Needs,
) -> Snapshot:
    """Return what is known of *services* at *now*."""
    active = [alert for alert in alerts.values() if alert.state is not State.RESOLVED]
    by_signal: dict[SignalKey, list[Alert]] = {}
    for alert in active:
        by_signal.setdefault(alert.signal, []).append(alert)
    reports = {
        key: _report(key, terms, history, by_signal.get(key, ()), now)
        for key, terms in figures.items()
        if key in history.latest
    }
    statuses: dict[str, list[Status]] = {}
    for key in figures:
        report = reports.get(key)
        statuses.setdefault(key.service, []).append(Status.UNKNOWN if report is None else report.status)
    for alert in active:
        statuses.setdefault(alert.service, []).append(OF_SEVERITY[alert.severity])
    standing = {service: worst(statuses.get(service, ())) for service in services}
    causes = failing(alerts)
    notices = tuple(_ordered(notices_of(alerts.values(), causes, needs)))
    own = [*standing.values(), *(OF_SEVERITY[alert.severity] for alert in active)]
    return Snapshot(now, reports, standing, notices, worst(own))


def _ordered(notices: Iterable[Notice]) -> list[Notice]:
    """Return *notices* as they are best read: what fires first, the worst first, causes before symptoms."""
    order = list(Severity)
    return sorted(
        notices,
        key=lambda n: (n.resolved, order.index(n.alert.severity), n.cause is not None, n.alert.active_since),
    )


def _report(
    key: SignalKey,
    terms: Iterable[tuple[str, Term, Measure]],
    history: History,
    alerts: Iterable[Alert],
    now: datetime,
) -> SignalReport:
    reading = history.latest[key]
    raised = worst(
        [Status.OK, *(OF_SEVERITY[alert.severity] for alert in alerts if not _says_unknown(alert))]
    )
    status = worst([raised, Status.OK if reading.known else Status.UNKNOWN])
    figures = {name: look_up(term, key, measure, history, now) for name, term, measure in terms}
    return SignalReport(reading, status, now, figures, history.totals(key))


def _says_unknown(alert: Alert) -> bool:
    """Say whether the alert is the one about a signal that cannot be told: its status is *unknown*."""
    return "signal" in alert.labels


# ---- as JSON -----------------------------------------------------------------------------------


def to_json(body: object, indent: int | None = None) -> str:
    """Return *body* as JSON in ASCII; what has no form in it is text, what is no number null."""
    try:
        return json.dumps(body, indent=indent, default=str, allow_nan=False)
    except ValueError:  # somebody's health endpoint said 1e999
        return json.dumps(_finite(body), indent=indent, default=str, allow_nan=False)


def _finite(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {name: _finite(found) for name, found in body.items()}
    if isinstance(body, list | tuple):
        return [_finite(found) for found in body]
    return None if isinstance(body, float) and not math.isfinite(body) else body


@lru_cache(maxsize=4_096)
def stamp(at: datetime) -> str:
    """Return *at* as JSON has it; in a storm ten thousand alerts share a few moments."""
    return rfc3339(at)


def stamp_if(at: datetime | None) -> str | None:
    """Return *at* as JSON has it, if there is such a moment."""
    return None if at is None else stamp(at)


class SignalBody(TypedDict):
    """One signal as the audit and the API show it."""

    signal: str
    labels: dict[str, str]
    status: Status
    values: dict[str, float | str | None]
    bounds: NotRequired[dict[str, str]]
    trouble: NotRequired[str]
    evidence: NotRequired[dict[str, Any]]


class AlertBody(TypedDict):
    """One alert as the audit shows it."""

    labels: dict[str, str]
    fingerprint: str
    state: State
    since: str
    fired_at: str | None
    resolved_at: str | None
    value: float | None
    summary: str
    figures: list[str]
    evidence: dict[str, Any]
    ended: str | None
    cause: str | None
    affects: list[str]
    symptoms: list[str]
    runbook: str


class RedisBody(TypedDict):
    """The server that is looked at."""

    up: bool
    version: str | None


class ServiceBody(TypedDict):
    """One service with its signals."""

    status: Status
    signals: list[SignalBody]


class SnapshotBody(TypedDict):
    """Everything that is known (SPEC §4)."""

    status: Status
    at: str
    redis: RedisBody
    services: dict[str, ServiceBody]
    alerts: list[AlertBody]


def number(found: Value) -> float | str | None:
    """Return *found* as JSON has it; that a number is a lower bound is said beside it."""
    return found.number if isinstance(found, AtLeast) else found


def signal_json(report: SignalReport) -> SignalBody:
    """Return one signal as the audit and the API show it."""
    reading = report.reading
    shown = {**report.values, **report.figures}
    body: SignalBody = {
        "signal": reading.signal.kind,
        "labels": dict(reading.signal.labels),
        "status": report.status,
        "values": {name: number(found) for name, found in shown.items()},
    }
    if bounds := {name: "at_least" for name, found in shown.items() if isinstance(found, AtLeast)}:
        body["bounds"] = bounds
    if reading.trouble:
        body["trouble"] = reading.trouble
    if reading.evidence:
        body["evidence"] = dict(reading.evidence)
    return body


def alert_json(notice: Notice) -> AlertBody:
    """Return one alert as the audit and the API show it."""
    alert = notice.alert
    return {
        "labels": dict(alert.labels),
        "fingerprint": alert.labels.fingerprint,
        "state": alert.state,
        "since": stamp(alert.active_since),
        "fired_at": stamp_if(alert.fired_at),
        "resolved_at": stamp_if(alert.resolved_at),
        "value": alert.value,
        "summary": alert.summary,
        "figures": list(alert.figures),
        "evidence": dict(alert.evidence),
        "ended": alert.ended or None,
        "cause": notice.cause,
        "affects": list(notice.affects),
        "symptoms": list(notice.symptoms),
        "runbook": alert.runbook,
    }


def snapshot_json(found: Snapshot) -> SnapshotBody:
    """Return the whole snapshot (SPEC §4), with the alerts that ended lately."""
    servers = [report for key, report in found.signals.items() if key.kind == "redis"]
    server = servers[0] if servers else None
    version = server.reading.evidence.get("version") if server else None
    return {
        "status": found.status,
        "at": stamp(found.at),
        "redis": {
            "up": bool(server and server.values.get("up") == 1),
            "version": None if version is None else str(version),
        },
        "services": {
            service: {
                "status": status,
                "signals": [signal_json(report) for report in found.of_service(service)],
            }
            for service, status in found.services.items()
        },
        "alerts": [alert_json(notice) for notice in found.notices],
    }
