"""What the pages look back on, and how it outlives the process: curves and events, kept tick by tick."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from watchdog.alerts import Alerts
from watchdog.happenings import Moment, happened, marked
from watchdog.model import SignalKey
from watchdog.report import Snapshot
from watchdog.state import UNREADABLE, StateFile
from watchdog.telling import Wishes
from watchdog.timeline import (
    EVERYTHING,
    KEEP_EVENTS,
    MOST_EVENTS,
    MOST_OF_ONE,
    Event,
    Timeline,
    What,
    read_event,
    write_event,
)
from watchdog.trends import Trends

KEEP_TRENDS = timedelta(minutes=10)
"""How often the curves are written; a process that is killed leaves a gap of that length at most."""
PRUNE_EVERY = 1_000
SETTLING = timedelta(minutes=1)
"""So long after its start what is unknown may only not have been looked at yet."""
LONGEST_PAUSE = timedelta(minutes=2)
"""A longer time between two ticks is one in which nobody looked; with a slow interval, four of those."""
NO_NOTICE = "the watchdog ended without a word, then or soon after"


class Chronicle:
    """
    Keeps curves and events in step with the ticks, and in the state file.

    Nothing depends on it: whatever of it cannot be read is left out, and a disk that takes nothing
    costs events only.
    """

    def __init__(
        self, state: StateFile, every: timedelta, alerts: Alerts, wishes: Wishes, now: datetime
    ) -> None:
        """Take up what an earlier process left, which knew *alerts* and *wishes*."""
        self.trends = Trends(every)
        self.timeline = Timeline(_readable(state.events()))
        self.timeline.set_back(now)
        self._state = state
        self._pause = max(LONGEST_PAUSE, 4 * every)
        self._started_at = now
        self._record: Mapping[str, Any] = state.book("trends").get("latest", {})
        self._kept_at = now
        self._noted = PRUNE_EVERY  # the first to be noted prunes: a process may not live to see so many
        ends = [end for end in (_moment(self._record), self.timeline.last) if end is not None and end <= now]
        self._left = max(ends, default=None)
        self._before = Moment(self._left or now, self._told(alerts), wishes)

    def _told(self, alerts: Alerts) -> Alerts:
        """Return *alerts* without those whose beginning was kept, and a kill came before its event was."""
        left = self._left
        if left is None:
            return alerts
        return {mark: a for mark, a in alerts.items() if a.fired_at is None or a.fired_at <= left}

    def change(self, every: timedelta) -> None:
        """Expect a tick *every* so often from now on; curves with another step begin anew."""
        self._pause = max(LONGEST_PAUSE, 4 * every)
        trends = Trends(every)
        if trends.step != self.trends.step:
            self.trends = trends

    def watch(self, keys: Iterable[SignalKey]) -> None:
        """Keep curves of *keys* as well, those that come first before the others."""
        self.trends.watch(keys)
        if self._record:
            self.trends.unpack(self._record)
            self._record = {}

    def tick(self, snapshot: Snapshot, alerts: Alerts, wishes: Wishes, fresh: Collection[SignalKey]) -> bool:
        """Take in what is known after a tick; say whether there is something to be written."""
        now, before = snapshot.at, self._before
        if now < before.at:
            self.timeline.set_back(now)
            before = replace(before, at=now)
        first = before.snapshot is None
        settled = not timedelta(0) <= now - self._started_at < SETTLING
        marks = marked(before.marks, snapshot, fresh)
        self._before = Moment(now, alerts, wishes, snapshot, fresh, settled, marks)
        events = happened(before, self._before, self.timeline.stands, self._pause)
        self._note((*self._start(), *events) if first else events, now)
        self.trends.add(snapshot)
        due = not timedelta(0) <= now - self._kept_at < KEEP_TRENDS
        if due:
            self._keep_trends(now)
        return due or first or bool(events)

    def _start(self) -> Iterable[Event]:
        """Yield that somebody looks again, and before that the end of who did so before."""
        runs = [e.what for e in self.timeline.of(EVERYTHING) if e.what in (What.STARTED, What.STOPPED)]
        if self._left is not None and runs[:1] != [What.STOPPED]:
            yield Event(self._left, EVERYTHING, What.STOPPED, NO_NOTICE)
        yield Event(self._started_at, EVERYTHING, What.STARTED, "the watchdog began to look")

    def _note(self, events: Iterable[Event], now: datetime) -> None:
        noted = tuple(events)
        self.timeline.add(noted)
        self._log(noted)
        self._noted += len(noted)
        if noted and self._noted >= PRUNE_EVERY:
            self._noted = 0
            self.timeline.prune(now)
            self._state.forget_events(now - KEEP_EVENTS, MOST_OF_ONE, MOST_EVENTS, str(What.STATUS))

    def _log(self, events: Iterable[Event]) -> None:
        for event in events:
            self._state.log_event(event.at, event.service, str(event.what), write_event(event))

    def _keep_trends(self, now: datetime) -> None:
        self._kept_at = now
        self._state.stage("trends", "latest", {"at": now.isoformat(), **self.trends.packed()})

    def keep_all(self) -> None:
        """Have all events written once more, into a new file."""
        self._state.forget_unsaved_events()
        self._log(self.timeline)

    def close(self, now: datetime) -> None:
        """Have it written that from *now* on nobody looks."""
        if self._before.snapshot is not None:
            self._note([Event(now, EVERYTHING, What.STOPPED, "the watchdog was stopped")], now)
            self._keep_trends(now)


def _readable(records: Iterable[Mapping[str, Any]]) -> Iterable[Event]:
    for record in records:
        try:
            yield read_event(record)
        except UNREADABLE:
            continue


def _moment(record: Mapping[str, Any]) -> datetime | None:
    try:
        found = datetime.fromisoformat(record["at"])
    except UNREADABLE:
        return None
    return found if found.tzinfo is not None else None
