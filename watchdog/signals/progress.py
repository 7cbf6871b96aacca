"""What a heartbeat tells of its service's work beside the time: `watchdog.client` writes it, others may."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from watchdog.entries import Entry
from watchdog.model import NOTHING, AtLeast, Counted, Series, Value
from watchdog.timestamps import parse_timestamp
from watchdog.units import rfc3339

COUNTERS = ("done", "failed")
SUCCESS, IDLE, STARTED = "last_success", "idle", "started"


class Told(NamedTuple):
    """What one beat says of the work: measures, what the counters gained, what to show, what is missing."""

    values: Mapping[str, Value]
    counts: Mapping[Series, Counted]
    evidence: Mapping[str, object] = NOTHING
    gaps: tuple[str, ...] = ()


class Progress:
    """Follows what beats tell of the work; a count that goes back is that of a service begun anew."""

    def __init__(self, expected: timedelta) -> None:
        """Expect a success, or the word that there is nothing to do, in every *expected*."""
        self._expected = expected
        self._since: datetime | None = None
        self._counted: dict[str, float] = {}

    def told(self, beat: Entry, now: datetime) -> Told:
        """
        Return what *beat* says.

        A service that never succeeded has not done so for at least as long as it runs. For `overdue` being
        idle is as good as a success, so that a quiet market is no outage; `success_age` is about work only.
        """
        times = {name: self._time(beat, name) for name in (SUCCESS, IDLE, STARTED)}
        known = [at for at in times.values() if at is not None]
        succeeded, started = times[SUCCESS], times[STARTED]
        age: Value = None
        if succeeded is not None:
            age = _since(succeeded, now)
        elif started is not None:
            age = AtLeast(_since(started, now))
        overdue = _since(max(known), now) / self._expected.total_seconds() if known else None
        counts, gaps = self._count(beat, now)
        evidence = {"last_success": "none told" if succeeded is None else rfc3339(succeeded)}
        return Told({"success_age": age, "overdue": overdue}, counts, evidence, gaps)

    def _time(self, beat: Entry, name: str) -> datetime | None:
        return parse_timestamp(beat.find(name) or "")

    def _count(self, beat: Entry, now: datetime) -> tuple[dict[Series, Counted], tuple[str, ...]]:
        self._since = self._since or now
        counts: dict[Series, Counted] = {}
        gaps = []
        for name in COUNTERS:
            stands = _number(beat.find(name))
            if stands is None:
                gaps.append(name)
                continue
            before = self._counted.get(name)
            gained = 0.0 if before is None else stands - before if stands >= before else stands
            self._counted[name] = stands
            counts[name, ""] = Counted(self._since, ((now, gained),) if gained else ())
        return counts, tuple(gaps)


def _since(at: datetime, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
