"""What happened, service by service: the events a person looks back on, and how long each stood how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from watchdog.report import Status

EVERYTHING = ""
"""The name under which the whole pipeline stands, and what is about every service."""
KEEP_EVENTS = timedelta(days=14)
MOST_EVENTS = 10_000
MOST_OF_ONE = 1_000
"""So many events of one service are kept: one that comes and goes must not crowd out the others."""
LONGEST_TEXT = 300

Span = tuple[datetime, datetime, Status | None]


class What(StrEnum):
    """What an event is of."""

    STATUS = "status"
    FIRING = "firing"
    BLIND = "blind"
    RESOLVED = "resolved"
    RESTART = "restart"
    SETTINGS = "settings"
    FLAG = "flag"
    SILENCE = "silence"
    SILENCE_END = "silence_end"
    ACK = "ack"
    STARTED = "started"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened to *service*, or to all if that is empty.

    *status* is how the service stands from then on, or how bad the alert is; *was* how it stood
    before, None if nobody knew. *text* may hold words from outside and is harmless only once shown
    `plain`.
    """

    at: datetime
    service: str
    what: What
    text: str
    status: Status | None = None
    alertname: str = ""
    was: Status | None = None


def write_event(event: Event) -> dict[str, Any]:
    """Return *event* as JSON has it; what is empty is left out."""
    record = {
        "at": event.at.isoformat(),
        "service": event.service,
        "what": str(event.what),
        "text": event.text,
        "status": event.status and str(event.status),
        "alertname": event.alertname,
        "was": event.was and str(event.was),
    }
    return {name: found for name, found in record.items() if found}


def read_event(record: Mapping[str, Any]) -> Event:
    """Return the event that `write_event` wrote."""
    return Event(
        datetime.fromisoformat(record["at"]),
        str(record.get("service", "")),
        What(record["what"]),
        str(record.get("text", "")),
        Status(record["status"]) if "status" in record else None,
        str(record.get("alertname", "")),
        Status(record["was"]) if "was" in record else None,
    )


class Timeline:
    """
    The events of the last `KEEP_EVENTS`, bounded in number, by service.

    The last change of a service's status stays, however old it is.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        """Take up *events* in the order in which they were noted."""
        self._events: list[Event] = []
        self._of: dict[str, list[Event]] = {}
        self._stands: dict[str, Event] = {}
        for event in events:
            self._take(event)

    def __len__(self) -> int:
        """Return how many events are known."""
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        """Yield all events in the order in which they were noted."""
        return iter(self._events)

    @property
    def stands(self) -> Mapping[str, Event]:
        """Return the last change of every service's status, and of the whole pipeline's."""
        return self._stands

    @property
    def last(self) -> datetime | None:
        """Return when the last thing happened that is known."""
        return max((event.at for event in self._events), default=None)

    # ---- writing -------------------------------------------------------------------------------

    def add(self, events: Iterable[Event]) -> None:
        """Note *events*."""
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        self._events.append(event)
        self._of.setdefault(event.service, []).append(event)
        if event.what is What.STATUS:
            self._stands[event.service] = event

    def prune(self, now: datetime) -> None:
        """Forget what is older than `KEEP_EVENTS`, and the oldest of what is more than may be kept."""
        last, oldest = set(map(id, self._stands.values())), now - KEEP_EVENTS
        kept: list[Event] = []
        count: dict[str, int] = {}
        for event in reversed(self._events):
            count[event.service] = count.get(event.service, 0) + 1
            within = event.at >= oldest and count[event.service] <= MOST_OF_ONE and len(kept) < MOST_EVENTS
            if within or id(event) in last:
                kept.append(event)
        self._replace(reversed(kept))

    def set_back(self, now: datetime) -> None:
        """Have nothing lie after *now*: the clock was set back, and what happened has happened."""
        self._replace([replace(e, at=now) if e.at > now else e for e in self._events])

    def _replace(self, events: Iterable[Event]) -> None:
        self._events, self._of, self._stands = [], {}, {}
        for event in events:
            self._take(event)

    # ---- reading -------------------------------------------------------------------------------

    def all(self) -> Sequence[Event]:
        """Return all events, the newest first."""
        return _newest_first(self._events)

    def of(self, service: str) -> Sequence[Event]:
        """Return the events of *service* and those that are about every one, the newest first."""
        shared = [
            e for e in self._of.get(EVERYTHING, ()) if e.what is not What.STATUS or service == EVERYTHING
        ]
        return _newest_first(shared if service == EVERYTHING else self._of.get(service, []) + shared)

    def since(self, service: str = EVERYTHING) -> datetime | None:
        """
        Return since when *service*, or the whole pipeline, has stood as it stands.

        None if it was never seen to stand otherwise: since somebody looked.
        """
        stands = self._stands.get(service)
        return None if stands is None or stands.was is None else stands.at

    def spans(self, service: str, begin: datetime, end: datetime) -> Sequence[Span]:
        """
        Return how *service* stood from *begin* to *end*, without gaps, in order of time.

        None is a time in which nobody looked, or of which nothing is known.
        """
        spans: list[Span] = []
        at, stood = begin, None
        for changed_at, status in [*self._changes(service), (end, None)]:
            moment = min(changed_at, end)
            if moment > at:
                if spans and spans[-1][2] is stood:
                    spans[-1] = (spans[-1][0], moment, stood)
                else:
                    spans.append((at, moment, stood))
                at = moment
            stood = status
        return spans

    def _changes(self, service: str) -> Iterator[tuple[datetime, Status | None]]:
        """Yield what *service* stood as from each moment on, in order of time."""
        runs = [e for e in self._of.get(EVERYTHING, ()) if e.what in (What.STARTED, What.STOPPED)]
        own = [e for e in self._of.get(service, ()) if e.what is What.STATUS]
        status = own[0].was if own else None
        looking = not runs or runs[0].what is What.STOPPED
        for event in sorted([*runs, *own], key=lambda e: e.at):
            if event.what is What.STATUS:
                status = event.status
            else:
                looking = event.what is What.STARTED
            yield event.at, status if looking else None


def _newest_first(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.at)[::-1]
