"""
The curves of the last hours: a point a minute of what a person wants to see as a line.

All points of one minute stand in one row of floats, in which each signal has its place; NaN is *unknown*.
A row is added once a minute, with the first look after it, so that a tick costs next to nothing.
"""

from __future__ import annotations

import base64
import math
import sys
import zlib
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from watchdog.model import AtLeast, Held, Labels, Reading, SignalKey, as_of
from watchdog.report import SignalReport, Snapshot
from watchdog.units import EPOCH

STEP = timedelta(minutes=1)
SPAN = timedelta(hours=3)
POINTS = SPAN // STEP
LATE = 0.75
"""A look that comes so much of a step after its end says nothing of it."""
MOST_LINES = 4_000
"""So many lines are kept, 3 MB; the signals of rules.yaml come before those that were discovered."""
LINES: Mapping[str, tuple[str, ...]] = {
    "executions": ("succeeded", "total", "offered", "age"),
    "stream": ("added", "length", "age"),
    "consumes": ("read", "lag", "behind", "pending", "oldest_pending"),
    "log": ("lines", "errors"),
    "heartbeat": ("age",),
    "health": ("up", "latency"),
    "unit": ("active", "restarts"),
    "settings": ("violations",),
    "flag": ("set",),
    "redis": ("up", "latency", "memory_ratio"),
}
"""Of which kind of signal which measures are kept."""
UNKNOWN = math.nan
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, zlib.error)
"""What taking back a picture raises that is not as it was packed."""


@dataclass(frozen=True, slots=True)
class Line:
    """
    What one measure was in each *step* from *start* on, the oldest first; None is *unknown*.

    Of a counter a point is what it gained in the step, of any other its value at the step's end.
    """

    start: datetime
    step: timedelta
    points: tuple[float | None, ...]


class _Place:
    """Where the points of one signal stand in each row, and what it was when they were last taken."""

    __slots__ = ("held", "key", "names", "reading", "slot", "totals")

    def __init__(self, key: SignalKey, slot: int) -> None:
        self.key = key
        self.slot = slot
        self.names = LINES[key.kind]
        self.reading: Reading | None = None
        self.held: tuple[Held, ...] = ()
        self.totals: tuple[float | None, ...] = (None,) * len(self.names)

    def take(self, report: SignalReport) -> None:
        """Note what the signal's reading holds; while that stays the same it need not be asked again."""
        if report.reading is self.reading:
            return
        reading = self.reading = report.reading
        totals = report.totals if reading.counts else {}
        values = reading.values
        self.totals = tuple(totals.get(name) for name in self.names)
        self.held = tuple(
            None if known is not None else values.get(name)
            for name, known in zip(self.names, self.totals, strict=True)
        )


class Trends:
    """The lines of all signals that are watched, `SPAN` back from the last full step."""

    def __init__(self, every: timedelta = STEP / 2) -> None:
        """Keep nothing yet; with a look only *every* so often a step has at least two of them."""
        self.step = max(STEP, 2 * every)
        self._places: dict[SignalKey, _Place] = {}
        self._width = 0
        self._free: dict[int, list[int]] = {}
        self._rows: deque[array[float]] = deque((_blank(0) for _ in range(POINTS)), POINTS)
        self._number: int | None = None  # of the step that is on its way
        self._whole: bool | None = (
            None  # whether the last row was taken right at its end; None: there is none
        )

    def __len__(self) -> int:
        """Return how many lines are kept."""
        return sum(len(place.names) for place in self._places.values())

    # ---- what is kept ----------------------------------------------------------------------------

    def watch(self, keys: Iterable[SignalKey]) -> None:
        """Keep the lines of *keys*, the first ones first, as long as there is room."""
        for key in keys:
            if key.kind in LINES and key not in self._places:
                size = len(LINES[key.kind])
                free = self._free.get(size)
                if free:
                    self._places[key] = _Place(key, free.pop())
                elif self._width + size <= MOST_LINES:
                    self._places[key] = _Place(key, self._width)
                    self._width += size

    def drop(self, keys: Iterable[SignalKey]) -> None:
        """Forget the lines of *keys*; others may have their room."""
        for key in keys:
            place = self._places.pop(key, None)
            if place is not None:
                size = len(place.names)
                self._free.setdefault(size, []).append(place.slot)
                for row in self._rows:
                    row[place.slot : place.slot + size] = _blank(len(row[place.slot : place.slot + size]))

    def line(self, key: SignalKey, measure: str) -> Line | None:
        """Return the line of *measure*, or None if no point of it is known; all lines are of one length."""
        place = self._places.get(key)
        if place is None or self._number is None or measure not in place.names:
            return None
        slot = place.slot + place.names.index(measure)
        found = [row[slot] if slot < len(row) else UNKNOWN for row in self._rows]
        points = tuple(point if math.isfinite(point) else None for point in found)
        if points.count(None) == len(points):
            return None
        return Line(self._moment(self._number - POINTS), self.step, points)

    # ---- the rows --------------------------------------------------------------------------------

    def add(self, snapshot: Snapshot) -> None:
        """Take a point of every line if a step has ended since the last snapshot."""
        number = (snapshot.at - EPOCH) // self.step
        if self._number is None:
            self._number = number
            self._fill_in(snapshot)
        elif number > self._number and snapshot.at - self._moment(number) > LATE * self.step:
            self._pass_to(number)  # nobody looked when the last step ended
            self._fill_in(snapshot)
        elif number > self._number:
            self._pass_to(number - 1)
            self._take_points(snapshot)
        elif number < self._number - 1:  # the clock was set back; by a moment only, it is waited for
            self._set_back_to(number)

    def _pass_to(self, number: int) -> None:
        """Begin step *number*; those before it that nobody looked at stay unknown."""
        assert self._number is not None
        if number > self._number and self._whole:
            self._whole = False
        for _ in range(min(number - self._number, POINTS)):
            self._rows.append(_blank(0))
        self._number = number

    def _set_back_to(self, number: int) -> None:
        """Forget the steps that now lie ahead."""
        assert self._number is not None
        for _ in range(min(self._number - number, POINTS)):
            self._rows.pop()
            self._rows.appendleft(_blank(0))
        self._number, self._whole = number, False

    def _take_points(self, snapshot: Snapshot) -> None:
        assert self._number is not None
        row = _blank(self._width)
        self._rows.append(row)
        self._number += 1
        signals, at, whole = snapshot.signals, snapshot.at, self._whole
        new: list[tuple[_Place, SignalReport]] = []
        for key, place in self._places.items():
            report = signals.get(key)
            if report is None:
                continue
            if place.reading is None or whole is None:
                new.append((place, report))
            before = place.totals
            place.take(report)
            row[place.slot : place.slot + len(place.names)] = array(
                "f", _points(place, before, at) if whole else _points(place, (None,) * len(before), at)
            )
        self._whole = True
        self._remember(new)

    def _fill_in(self, snapshot: Snapshot) -> None:
        """Take what the history knows of the steps before the first look at each signal."""
        new: list[tuple[_Place, SignalReport]] = []
        for key, place in self._places.items():
            report = snapshot.signals.get(key)
            if report is not None:
                if place.reading is None:
                    new.append((place, report))
                place.take(report)
        self._remember(new)

    def _remember(self, new: Iterable[tuple[_Place, SignalReport]]) -> None:
        """Put into the steps that are still unknown what the history knows of the counters of *new* ones."""
        assert self._number is not None
        ends = [self._moment(self._number - back).timestamp() for back in range(POINTS, -1, -1)]
        rows = list(self._rows)
        for place, report in new:
            for slot, (name, total) in enumerate(zip(place.names, place.totals, strict=True), place.slot):
                gains = report.gains(name, ends) if total is not None else []
                for row, gain in zip(rows[POINTS - len(gains) :], gains, strict=True):
                    row.extend(_blank(self._width - len(row)))
                    row[slot] = gain if math.isnan(row[slot]) else row[slot]

    def _moment(self, number: int) -> datetime:
        return EPOCH + number * self.step

    # ---- over a restart --------------------------------------------------------------------------

    def packed(self) -> dict[str, Any]:
        """Return all lines in few signs, as JSON has them."""
        points = array("f")
        for row in self._rows:
            points.extend(row)
            points.extend(_blank(self._width - len(row)))
        places = self._places.values()
        return {
            "step": self.step.total_seconds(),
            "number": self._number,
            "lines": {kind: list(names) for kind, names in LINES.items()},
            "signals": [[p.key.service, p.key.kind, dict(p.key.labels), p.slot] for p in places],
            "order": sys.byteorder,
            "points": base64.b64encode(zlib.compress(points.tobytes(), 1)).decode(),
        }

    def unpack(self, record: Mapping[str, Any]) -> bool:
        """Take back what an earlier process packed, of what is watched; say whether that could be read."""
        try:
            self._unpack(record)
        except UNREADABLE:
            return False
        return True

    def _unpack(self, record: Mapping[str, Any]) -> None:
        points = array("f")
        points.frombytes(zlib.decompress(base64.b64decode(record["points"], validate=True)))
        width, rest = divmod(len(points), POINTS)
        alike = record["order"] == sys.byteorder and record["step"] == self.step.total_seconds()
        if rest or not alike:
            raise ValueError("these lines are of another kind")
        number = None if record["number"] is None else int(record["number"])
        copied: list[tuple[_Place, int]] = []
        for service, kind, labels, slot in record["signals"]:
            place = self._places.get(SignalKey(service, kind, Labels(labels)))
            if place is not None and tuple(record["lines"][kind]) == place.names:
                copied.append((place, int(slot)))
        rows = []
        for begin in range(0, len(points), width or 1):
            row = _blank(self._width)
            for place, slot in copied:
                size = len(place.names)
                row[place.slot : place.slot + size] = points[begin + slot : begin + slot + size]
            if len(row) != self._width:
                raise ValueError("these lines are not whole")
            rows.append(row)
        self._rows.extend(rows)
        self._number = number


def _blank(size: int) -> array[float]:
    return array("f", (UNKNOWN,)) * size


def _points(place: _Place, before: Sequence[float | None], now: datetime) -> Iterable[float]:
    """Yield the points of a signal: what its counters gained since *before*, and its values *now*."""
    for held, was, total in zip(place.held, before, place.totals, strict=True):
        if total is not None:
            # A total that fell was begun anew: nobody knows how much it gained.
            yield total - was if was is not None and total >= was else UNKNOWN
        else:
            found = as_of(held, now)
            found = found.number if isinstance(found, AtLeast) else found
            yield float(found) if isinstance(found, float | int) else UNKNOWN
