"""What the API shows of the past: events, and the curves of the last hours."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import TypedDict

from watchdog.model import SignalKey
from watchdog.report import Status, stamp, stamp_if
from watchdog.sidecar import Sidecar
from watchdog.timeline import Event
from watchdog.trends import LINES, Line
from watchdog.web.bodies import TimelineQuery, TrendsQuery
from watchdog.web.calls import Call


class EventBody(TypedDict):
    """One thing that happened to a service, or to all if that is empty."""

    at: str
    service: str
    what: str
    text: str
    status: Status | None
    was: Status | None
    alertname: str | None


class TimelineBody(TypedDict):
    """
    How a service, or the whole pipeline, stands, since when, and what happened, the latest first.

    *since* is null if it was never seen to stand otherwise.
    """

    at: str
    status: Status | None
    since: str | None
    events: list[EventBody]


class LineBody(TypedDict):
    """One measure in each *step* (seconds) from *start* on; null is unknown."""

    signal: str
    labels: dict[str, str]
    measure: str
    start: str
    step: float
    points: list[float | None]


class TrendsBody(TypedDict):
    """The curves of one service."""

    at: str
    service: str
    lines: list[LineBody]


def timeline(call: Call[TimelineQuery, None]) -> TimelineBody:
    """Return what happened to the service that is asked for, or to all."""
    query, known = call.query, call.sidecar.timeline
    service = query.service or ""
    events = known.all() if query.service is None else known.of(service)
    found = [event for event in events if query.since is None or event.at >= query.since]
    latest = call.latest
    return {
        "at": stamp(latest.at),
        "status": latest.services.get(service) if service else latest.status,
        "since": stamp_if(known.since(service)),
        "events": [_event(event) for event in found[: query.limit]],
    }


def _event(event: Event) -> EventBody:
    return {
        "at": stamp(event.at),
        "service": event.service,
        "what": str(event.what),
        "text": event.text,
        "status": event.status,
        "was": event.was,
        "alertname": event.alertname or None,
    }


def trends(call: Call[TrendsQuery, None]) -> TrendsBody:
    """Return the curves of one service."""
    service = call.query.service
    lines = [_line(key, measure, found) for key, measure, found in lines_of(call.sidecar, service)]
    return {"at": stamp(call.latest.at), "service": service, "lines": lines}


def lines_of(sidecar: Sidecar, service: str) -> Iterator[tuple[SignalKey, str, Line]]:
    """Yield the lines of *service*, signal by signal in the file's order."""
    for key in sidecar.fleet.signals:
        if key.service == service:
            for measure in LINES.get(key.kind, ()):
                line = sidecar.trends.line(key, measure)
                if line is not None:
                    yield key, measure, line


def _line(key: SignalKey, measure: str, line: Line) -> LineBody:
    return {
        "signal": key.kind,
        "labels": dict(key.labels),
        "measure": measure,
        "start": stamp(line.start),
        "step": line.step.total_seconds(),
        # They are kept with seven digits; those behind are none of theirs.
        "points": [None if point is None else float(f"{point:.7g}") for point in line.points],
    }
