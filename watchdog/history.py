"""What was seen, as far back as a rule can ask: the latest readings and the counters' steps."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta

from watchdog.model import AtLeast, Reading, Series, SignalKey, Value

VARIANTS = 64
"""How many variants (reasons, field values) one counter keeps apart; the rest count as ``(other)``."""
OTHER = "(other)"


class Steps:
    """
    A counter as a staircase: times and the total reached at each, thinned to one step a *grain*.

    Nothing is stored while nothing happens, so a quiet counter costs next to nothing.
    """

    __slots__ = ("base", "since", "times", "totals")

    def __init__(self, since: float) -> None:
        self.since = since
        self.base = 0.0  # what the first look filled in from before our time
        self.times = array("d")
        self.totals = array("d", [0.0])  # totals[0] is the total before the first time

    @property
    def total(self) -> float:
        """Return what was counted since the first look."""
        return self.totals[-1] - self.base

    def gain(self, at: float, by: float, grain: float) -> None:
        """Count *by* more at *at*; steps must come in order, a straggler counts at the last one."""
        if self.times and at - self.times[-1] < grain:
            self.totals[-1] += by
            return
        self.times.append(at)
        self.totals.append(self.totals[-1] + by)

    def reached(self, at: float) -> float:
        """Return the total as it was at *at*."""
        return self.totals[bisect_right(self.times, at)]

    def forget(self, before: float) -> None:
        """Drop the steps older than *before*; totals stay right from there on."""
        index = bisect_right(self.times, before)
        if index:
            del self.times[:index]
            del self.totals[:index]
            self.since = max(self.since, before)


class History:
    """
    Readings and counters of all signals, bounded by *keep*.

    Only `add` changes it; everything that judges merely reads.
    """

    def __init__(self, keep: timedelta, grain: timedelta = timedelta(seconds=1)) -> None:
        self.keep = keep.total_seconds()
        self.grain = grain.total_seconds()
        self.latest: dict[SignalKey, Reading] = {}
        self.first_at: dict[SignalKey, datetime] = {}
        self._steps: dict[SignalKey, dict[Series, Steps]] = {}

    def add(self, readings: Iterable[Reading]) -> History:
        """Take in *readings* and return the history, which now knows them."""
        for reading in readings:
            self.latest[reading.signal] = reading
            if reading.trouble is None:
                self.first_at.setdefault(reading.signal, reading.at)
            if reading.counts:
                self._count(reading)
        return self

    def _count(self, reading: Reading) -> None:
        series = self._steps.setdefault(reading.signal, {})
        horizon = reading.at.timestamp() - self.keep - self.grain
        for key, counted in reading.counts.items():
            name, variant = key
            crowded = variant and key not in series and self._crowded(series, name, horizon)
            kept, since = (name, OTHER) if crowded else key, counted.since.timestamp()
            known = series.get(kept)
            first = known is None
            if known is None:
                known = series[kept] = Steps(since)
            known.since = max(known.since, since)
            for at, by in counted.steps:
                known.gain(at.timestamp(), by, self.grain)
            if first:
                known.base = known.totals[-1]
            known.forget(horizon)

    @staticmethod
    def _crowded(series: dict[Series, Steps], name: str, horizon: float) -> bool:
        """Say whether *name* has no room for another variant, once those of long ago are gone."""
        if sum(n == name for n, _ in series) <= VARIANTS:
            return False
        for key in [key for key in series if key[0] == name and key[1]]:
            series[key].forget(horizon)
            if not series[key].times:
                del series[key]
        return sum(n == name for n, _ in series) > VARIANTS

    def totals(self, signal: SignalKey) -> dict[str, float]:
        """Return what each counter of *signal* counted since the first look, from 0 as counters start."""
        steps = self._steps.get(signal, {})
        return {name: found.total for (name, variant), found in steps.items() if not variant}

    def increase(self, signal: SignalKey, name: str, window: timedelta, at: datetime) -> Value:
        """
        Return how much *name* gained in the *window* that ends at *at*.

        A window reaching back beyond what was seen gives a lower bound, no history gives None.
        """
        steps = self._steps.get(signal, {}).get((name, ""))
        if steps is None:
            return None
        start = at.timestamp() - window.total_seconds()
        gained = steps.reached(at.timestamp()) - steps.reached(start)
        return gained if steps.since <= start else AtLeast(gained)

    def variants(
        self, signal: SignalKey, name: str, window: timedelta, at: datetime
    ) -> list[tuple[str, float]]:
        """Return the variants of *name* with what each gained in the window, the largest first."""
        end = at.timestamp()
        start = end - window.total_seconds()
        gained = [
            (variant, steps.reached(end) - steps.reached(start))
            for (series, variant), steps in self._steps.get(signal, {}).items()
            if series == name and variant
        ]
        return sorted(
            ((v, n) for v, n in gained if n > 0), key=lambda pair: (pair[0] == OTHER, -pair[1], pair[0])
        )
