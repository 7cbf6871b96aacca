"""The timeline of a service as its page shows it: day by day, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from watchdog.report import Status
from watchdog.timeline import Event, What

SAID = {
    What.FIRING: "fires",
    What.BLIND: "cannot be seen",
    What.RESOLVED: "ended",
    What.RESTART: "restart",
    What.SETTINGS: "settings",
    What.FLAG: "flag",
    What.SILENCE: "silenced",
    What.SILENCE_END: "silence over",
    What.ACK: "acknowledged",
    What.STARTED: "watchdog started",
    What.STOPPED: "watchdog stopped",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: datetime
    what: str
    text: str
    status: Status | None
    whole: bool
    """Whether it is about every service."""


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day, in UTC."""

    name: str
    entries: tuple[Entry, ...]


def days_of(events: Sequence[Event]) -> Iterator[Day]:
    """Yield *events* day by day in UTC, the newest first."""
    for day, found in groupby(events, key=lambda event: event.at.date()):
        runs = groupby(found, key=lambda event: (event.what, event.what is What.RESTART or id(event)))
        yield Day(f"{day:%A, %-d %B %Y}", tuple(_entry(list(run)) for _, run in runs))


def _entry(run: Sequence[Event]) -> Entry:
    """Return the line of one event, or of restarts with nothing else in between: a loop has thousands."""
    event, more = run[0], len(run) - 1
    text = f"{event.alertname}: {event.text}" if event.alertname else event.text
    if more:
        text += f"; seen {more} more times since {run[-1].at:%H:%M:%S}"
    what = SAID.get(event.what) or f"{event.was or 'not looked'} → {event.status}"
    return Entry(event.at, what, text, _painted(event), not event.service)


def _painted(event: Event) -> Status | None:
    """Return the sign an event gets: its status, ok for an end, none where nothing is better or worse."""
    if event.what is What.RESOLVED:
        return Status.OK
    return event.status if event.what in (What.STATUS, What.FIRING) else None
