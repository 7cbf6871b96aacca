"""
Traces: which orders are under way, how long each stage took, and which never came to the end.

The entries of all stages are joined by their trace; times are those of the entries' IDs. All that is kept
is bounded: so many traces, so many durations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from watchdog.entries import EntryId
from watchdog.traceparent import Traceparent
from watchdog.units import from_ms

MOST_TRACES = 10_000
"""So many traces are known at once; beyond that the oldest is dropped."""
MOST_DURATIONS = 1_000
MOST_FINISHED = 1_000
"""So many finished traces wait for whoever sends them on."""
MOST_OF_THEM = 0.95
"""What is told of many durations: the one that so large a part of them does not exceed."""


class Passage(NamedTuple):
    """The first entry of a trace in one stage."""

    id: EntryId
    span_id: str

    @property
    def at(self) -> float:
        """Return when it was written, in seconds since the epoch."""
        return self.id.ms / 1000


class Seen(NamedTuple):
    """An entry, as far as it matters here: *owes* an end, is *excused* from one, or *is_end* itself."""

    stage: int
    id: EntryId
    trace: Traceparent
    owes: bool
    excused: bool
    is_end: bool


@dataclass(slots=True)
class Flight:
    """What is known of one trace; *passed* is by stage."""

    trace_id: str
    sampled: bool
    first: Passage
    passed: dict[int, Passage] = field(default_factory=dict)
    owed: bool = False
    excused: bool = False
    completed: bool = False

    @property
    def last_stage(self) -> int:
        """Return the last stage it has passed."""
        return max(self.passed)


class Duration(NamedTuple):
    """How many *seconds* something took that ended *at*, in which trace."""

    at: float
    seconds: float
    trace_id: str


class Durations:
    """How long something took lately: within *window* before the newest, however long ago that was."""

    def __init__(self, window: timedelta) -> None:
        self._window = window.total_seconds()
        self._found: deque[Duration] = deque(maxlen=MOST_DURATIONS)

    def add(self, at: float, seconds: float, trace_id: str) -> None:
        """Take in one that ended *at*; clocks of two servers may differ, so it may seem to be negative."""
        self._found.append(Duration(at, max(0.0, seconds), trace_id))
        while self._found[0].at < at - self._window:
            self._found.popleft()

    def reached(self, part: float) -> float | None:
        """Return the shortest of them that *part* of all do not exceed; None where there is none."""
        if not self._found:
            return None
        ordered = sorted(found.seconds for found in self._found)
        return ordered[ceil(part * len(ordered)) - 1]

    def worst(self) -> Duration | None:
        """Return the longest of them."""
        return max(self._found, key=lambda found: found.seconds, default=None)


class Traces:
    """The traces that are under way through *stages*, and those that were lately."""

    def __init__(self, stages: Sequence[str], *, window: timedelta, forget: timedelta) -> None:
        self.stages = stages
        self.end_to_end = Durations(window)
        self.by_stage = {name: Durations(window) for name in stages[1:]}
        self.finished: deque[Flight] = deque(maxlen=MOST_FINISHED)
        self._forget = forget.total_seconds()
        self._known: dict[str, Flight] = {}  # in order of their first entry
        self._waiting: dict[str, Flight] = {}  # those that are owed an end
        self._steps: dict[str, list[datetime]] = {}
        self.any_seen = False

    @property
    def in_flight(self) -> int:
        """Return how many traces are owed an end and have not come to the last stage."""
        return len(self._waiting)

    def take(self, found: Iterable[Seen], now: datetime) -> None:
        """Take in what was *found* since the last time; what is older than it may be is given up."""
        for seen in sorted(found, key=lambda seen: (seen.id.ms, seen.stage)):
            self._follow(seen)
        horizon = now.timestamp() - self._forget
        while (oldest := self._oldest()) is not None and oldest.first.at < horizon:
            self._give_up(oldest, "lost", oldest.first.at + self._forget)

    def gained(self) -> Mapping[str, Sequence[datetime]]:
        """Return when each counter gained one, and begin anew."""
        gained, self._steps = self._steps, {}
        return gained

    def hand_over(self) -> Sequence[Flight]:
        """Return the traces that have finished, and begin anew."""
        finished = list(self.finished)
        self.finished.clear()
        return finished

    def unfinished(self, since: float) -> Flight | None:
        """Return the oldest trace that is owed an end; of none begun before *since* is the end known."""
        waiting = (flight for flight in self._waiting.values() if flight.first.at >= since)
        return min(waiting, key=lambda flight: flight.first.at, default=None)

    def waits_for(self, flight: Flight) -> str:
        """Return the stage that *flight* has not come to."""
        return self.stages[min(flight.last_stage + 1, len(self.stages) - 1)]

    def stage_times(self) -> Iterator[tuple[str, float]]:
        """Yield how long each stage takes, counted from the entry of the one before."""
        for name, durations in self.by_stage.items():
            seconds = durations.reached(MOST_OF_THEM)
            if seconds is not None:
                yield name, seconds

    def _follow(self, seen: Seen) -> None:
        stage, passage = seen.stage, Passage(seen.id, seen.trace.span_id)
        trace_id, last = seen.trace.trace_id, len(self.stages) - 1
        flight = self._known.get(trace_id)
        if flight is None:
            self.any_seen = True
            flight = self._known[trace_id] = Flight(trace_id, seen.trace.sampled, passage)
            if len(self._known) > MOST_TRACES:
                self._give_up(next(iter(self._known.values())), "dropped", passage.at)
        if stage not in flight.passed:
            before = [flight.passed[earlier] for earlier in flight.passed if earlier < stage]
            if before:
                latest = max(before, key=lambda other: other.at)
                self.by_stage[self.stages[stage]].add(passage.at, passage.at - latest.at, trace_id)
            flight.passed[stage] = passage
            if stage == 0:
                self._count("started", passage.at)
        flight.owed |= seen.owes
        flight.excused |= seen.excused
        if stage == last and seen.is_end and not flight.completed:
            flight.completed = True
            self._complete(flight, passage.at)
        if flight.owed and not flight.excused and last not in flight.passed:
            self._waiting[trace_id] = flight
        else:
            self._waiting.pop(trace_id, None)

    def _complete(self, flight: Flight, at: float) -> None:
        self.finished.append(flight)
        start = flight.passed.get(0)
        if start is not None:
            self.end_to_end.add(at, at - start.at, flight.trace_id)
            self._count("completed", at)

    def _give_up(self, flight: Flight, how: str, at: float) -> None:
        """Forget *flight*; one that was owed an end counts."""
        del self._known[flight.trace_id]
        if self._waiting.pop(flight.trace_id, None) is not None:
            self._count(how, at)
            self.finished.append(flight)

    def _oldest(self) -> Flight | None:
        return next(iter(self._known.values()), None)

    def _count(self, counter: str, at: float) -> None:
        self._steps.setdefault(counter, []).append(from_ms(int(at * 1000)))
