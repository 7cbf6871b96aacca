"""What is known at one moment: the snapshot the loop publishes, and how services stand in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic describes no others before Python 3.12

from watchdog.alerts import Alert, State, failing
from watchdog.conditions import ANY_SIGNAL, DEFAULT_WINDOW, TERM, Term, look_up
from watchdog.history import History
from watchdog.model import AtLeast, Kind, Labels, Measure, Reading, SignalKey, Value
from watchdog.notifications import Notice
from watchdog.rules import Binding, Guard, Offer, Severity, placeholders
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


Shown = tuple[tuple[str, Term, Measure], ...]
"""What is shown of a signal besides its values: the name without the signal's, the term, its measure."""
Figures = Mapping[SignalKey, Shown]


def figures_of(binding: Binding) -> dict[SignalKey, Shown]:
    """Return for every signal the windowed figures worth showing: those the rules ask for, all shares."""
    asked: dict[SignalKey, list[tuple[Term, Measure]]] = {}
    for lead, askers in binding.askers.items():
        options = (o for key in askers for g in binding.guards[key] for clause in g.clauses for o in clause)
        asked[lead] = [(o.condition.term, o.measure) for o in options if o.signal == lead]
    alike: dict[tuple[int, tuple[str, ...]], Shown] = {}
    figures: dict[SignalKey, Shown] = {}
    for kinds in binding.offers.values():
        for offer in (offer for offers in kinds.values() for offer in offers):
            guards = binding.guards[offer.key]
            if offer.key in asked:
                figures[offer.key] = _shown(offer, guards, asked[offer.key])
                continue
            profile = id(guards), tuple(offer.measures)
            if profile not in alike:
                alike[profile] = _shown(offer, guards)
            figures[offer.key] = alike[profile]
    return figures


def _shown(offer: Offer, guards: Iterable[Guard], more: Iterable[tuple[Term, Measure]] = ()) -> Shown:
    own = (o for guard in guards for clause in guard.clauses for o in clause if o.signal is None)
    terms = {o.condition.term: o.measure for o in own} | dict(more)
    wanted = {t: m for t, m in terms.items() if m.windowed and t.signal != ANY_SIGNAL}
    for name, measure in offer.measures.items():
        if measure.kind in (Kind.RATIO, Kind.SHARE, Kind.TOP):
            wanted[Term(offer.key.kind, name, DEFAULT_WINDOW)] = measure
    return tuple((str(term).removeprefix(f"{term.signal}."), term, m) for term, m in wanted.items())


def counters_of(figures: Figures, summaries: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Return which counters (kind, name) are asked for over a window: for *figures*, or in *summaries*."""
    alike = {id(shown): (key.kind, shown) for key, shown in figures.items()}
    asked = {
        (kind, name)
        for kind, shown in alike.values()
        for _, t, m in shown
        for name in m.parts or (t.measure,)
    }
    terms = (TERM.fullmatch(name) for text in summaries for name in placeholders(text))
    return frozenset(asked | {(term["signal"], term["measure"]) for term in terms if term})


class SignalReport:
    """One signal as it stands: its latest reading, its figures over the windows the rules use."""

    __slots__ = ("_reports", "at", "reading")

    def __init__(self, reading: Reading, at: datetime, reports: Reports) -> None:
        self.reading = reading
        self.at = at
        self._reports = reports

    @property
    def values(self) -> dict[str, Value]:
        """Return what the reading holds, as it is now."""
        return self.reading.seen(self.at)

    @property
    def status(self) -> Status:
        """Return how it stands."""
        return self._reports.status(self.reading)

    @property
    def figures(self) -> dict[str, Value]:
        """Return its figures over windows."""
        return self._reports.figures(self.reading.signal)

    @property
    def totals(self) -> dict[str, float]:
        """Return what each of its counters counted since the first look."""
        return self._reports.totals(self.reading.signal)

    def gains(self, name: str, moments: Sequence[float]) -> list[float]:
        """Return what counter *name* gained from each of *moments* to the next, of the last known ones."""
        return self._reports.gains(self.reading.signal, name, moments)


class Reports(Mapping[SignalKey, SignalReport]):
    """
    The report of every signal that was seen, made when it is asked for.

    Readings are those of *now*, whatever comes later; counters are asked as of then.
    """

    def __init__(
        self, history: History, shown: Figures, raised: Mapping[SignalKey, Status], now: datetime
    ) -> None:
        """Take the readings of *history*; *raised* says what alerts make of some of its signals."""
        self._history = history
        self._latest = dict(history.latest)
        self._shown = shown
        self._raised = raised
        self._now = now

    def __getitem__(self, key: SignalKey) -> SignalReport:
        return SignalReport(self._latest[key], self._now, self)

    def __iter__(self) -> Iterator[SignalKey]:
        return (key for key in self._shown if key in self._latest)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return key in self._latest and key in self._shown

    def status(self, reading: Reading) -> Status:
        """Return how the signal of *reading* stands: by its alerts, and by whether it is known."""
        known = Status.OK if reading.known else Status.UNKNOWN
        return worst([self._raised.get(reading.signal, Status.OK), known])

    def figures(self, key: SignalKey) -> dict[str, Value]:
        """Return the figures over windows that are shown of *key*."""
        return {name: look_up(term, key, m, self._history, self._now) for name, term, m in self._shown[key]}

    def totals(self, key: SignalKey) -> dict[str, float]:
        """Return the totals of the counters of *key*."""
        return self._history.totals(key)

    def gains(self, key: SignalKey, name: str, moments: Sequence[float]) -> list[float]:
        """Return what counter *name* of *key* gained, as `SignalReport.gains`."""
        return self._history.gains(key, name, moments)


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
        return [self.signals[key] for key in self._by_service.get(service, ())]

    @cached_property
    def _by_service(self) -> Mapping[str, list[SignalKey]]:
        found: dict[str, list[SignalKey]] = {}
        for key in self.signals:
            found.setdefault(key.service, []).append(key)
        return found


def snapshot(
    history: History,
    alerts: Mapping[Labels, Alert],
    now: datetime,
    *,
    figures: Figures,
    services: Mapping[str, bool],
    needs: Needs,
) -> Snapshot:
    """Return what is known at *now* of *services*, of which each may have signals or not."""
    active = [alert for alert in alerts.values() if alert.state is not State.RESOLVED]
    raised: dict[SignalKey, Status] = {}
    for alert in active:
        if not _says_unknown(alert):
            status = OF_SEVERITY[alert.severity]
            raised[alert.signal] = worst([status, raised.get(alert.signal, Status.OK)])
    reports = Reports(history, figures, raised, now)
    statuses: dict[str, list[Status]] = {}
    for alert in active:
        statuses.setdefault(alert.service, []).append(OF_SEVERITY[alert.severity])
    unseen = figures.keys() - history.latest.keys() if len(history.latest) < len(figures) else ()
    for key in (*history.unknown, *unseen):
        statuses.setdefault(key.service, []).append(Status.UNKNOWN)
    standing = {
        service: worst([*statuses.get(service, ()), Status.OK if watched else Status.UNKNOWN])
        for service, watched in services.items()
    }
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
