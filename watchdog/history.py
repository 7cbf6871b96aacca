"""What was seen, as far back as a rule can ask: the latest readings and the counters' steps."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from watchdog.model import AtLeast, Counted, Reading, Series, SignalKey, Value

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

    Only `add` and `drop` change it; everything that judges merely reads. *fresh* are the signals of which
    the last `add` brought a reading, in its order, *unknown* those of which not everything is known.
    """

    def __init__(
        self,
        keep: timedelta,
        grain: timedelta = timedelta(seconds=1),
        asked: Container[tuple[str, str]] | None = None,
    ) -> None:
        """
        Keep what rules can ask for as far back as *keep*, a step each *grain*.

        Of counters that are not *asked* for over a window (kind of signal, name) only the sum is kept.
        """
        self.keep = keep.total_seconds()
        self.grain = grain.total_seconds()
        self.asked = asked
        self.latest: dict[SignalKey, Reading] = {}
        self.fresh: dict[SignalKey, None] = {}
        self.unknown: set[SignalKey] = set()
        self.behind: Mapping[SignalKey, datetime] = {}
        """Signals that were not looked at when they were due, with the moment of their last look."""
        self._seen: set[SignalKey] = set()
        self._renewed: set[SignalKey] = set()
        self._new: set[SignalKey] = set()
        self._steps: dict[tuple[SignalKey, str], Steps] = {}
        self._sums: dict[tuple[SignalKey, str], float] = {}
        self._variants: dict[SignalKey, dict[Series, Steps]] = {}

    def add(self, readings: Iterable[Reading]) -> History:
        """Take in *readings* and return the history, which now knows them."""
        self.fresh = {}
        self._new = set()
        if self._renewed:
            readings = tuple(readings)
            first = {reading.signal for reading in readings if reading.trouble is None}
            self._forget_counts(first & self._renewed)
        for reading in readings:
            key = reading.signal
            self.latest[key] = reading
            self.fresh[key] = None
            if reading.known is True:
                self.unknown.discard(key)
            else:
                self.unknown.add(key)
            if reading.trouble is None and key not in self._seen:
                self._seen.add(key)
                self._new.add(key)
            if reading.counts:
                self._count(reading)
        return self

    def drop(self, signals: Iterable[SignalKey]) -> None:
        """Forget *signals*, which nobody looks at any more."""
        gone = frozenset(signals)
        for key in gone:
            self.latest.pop(key, None)
            self.unknown.discard(key)
        self._forget_counts(gone)

    def _forget_counts(self, gone: Collection[SignalKey]) -> None:
        self._seen -= set(gone)
        self._renewed -= set(gone)
        for key in gone:
            self._variants.pop(key, None)
        self._steps = {place: steps for place, steps in self._steps.items() if place[0] not in gone}
        self._sums = {place: total for place, total in self._sums.items() if place[0] not in gone}

    def renew(self, signals: Iterable[SignalKey]) -> None:
        """
        Take the next good reading of each of *signals* for its first: it brings its past with it.

        Until then what is known of it holds.
        """
        self._renewed.update(key for key in signals if key in self.latest)

    def ask(self, asked: Collection[tuple[str, str]], now: datetime) -> None:
        """
        Keep the steps of the counters that are *asked* for, from *now* on.

        Of one that was not asked for until now the sum alone was kept: nobody knows when it gained that.
        """
        before, self.asked = self.asked, asked
        for place in [place for place in self._steps if (place[0].kind, place[1]) not in asked]:
            self._sums[place] = self._steps.pop(place).total
        if before is None:
            return
        for kind, name in (counter for counter in asked if counter not in before):
            for key in (key for key in self._seen if key.kind == kind):
                begun = self._steps[key, name] = Steps(now.timestamp())
                begun.base = -self._sums.pop((key, name), 0.0)

    def known(self, signal: SignalKey) -> bool | None:
        """Say whether everything of *signal* is known; None when its source is away, or was never seen."""
        latest = self.latest.get(signal)
        return None if latest is None or latest.down is not None else signal not in self.unknown

    def seen_until(self, signal: SignalKey, now: datetime) -> datetime:
        """Return the moment up to which *signal* is known: *now*, unless it was not looked at by then."""
        return min(now, self.behind.get(signal, now)) if self.behind else now

    def new(self, signal: SignalKey) -> bool:
        """Say whether the last `add` brought the first good reading of *signal*."""
        return signal in self._new

    def _count(self, reading: Reading) -> None:
        """
        Note the steps of every counter.

        Of one that never made any nothing is kept: since when it is known says its latest reading.
        """
        horizon = reading.at.timestamp() - self.keep - self.grain
        for (name, variant), counted in reading.counts.items():
            place = reading.signal, name
            if variant:
                self._count_variant(reading.signal, (name, variant), counted, horizon)
            elif self.asked is not None and (reading.signal.kind, name) not in self.asked:
                if counted.steps and reading.signal not in self._new:
                    self._sums[place] = self._sums.get(place, 0.0) + sum(by for _, by in counted.steps)
            elif counted.steps or place in self._steps:
                known = self._steps.get(place)
                first = known is None and reading.signal in self._new
                if known is None:
                    known = self._steps[place] = Steps(counted.since.timestamp())
                self._take(known, counted, horizon)
                if first:
                    known.base = known.totals[-1]

    def _count_variant(self, signal: SignalKey, key: Series, counted: Counted, horizon: float) -> None:
        series = self._variants.setdefault(signal, {})
        if key not in series and self._crowded(series, key[0], horizon):
            key = key[0], OTHER
        known = series.get(key)
        if known is None:
            known = series[key] = Steps(counted.since.timestamp())
        self._take(known, counted, horizon)

    def _take(self, steps: Steps, counted: Counted, horizon: float) -> None:
        steps.since = max(steps.since, counted.since.timestamp())
        for at, by in counted.steps:
            steps.gain(at.timestamp(), by, self.grain)
        steps.forget(horizon)

    @staticmethod
    def _crowded(series: dict[Series, Steps], name: str, horizon: float) -> bool:
        """Say whether *name* has no room for another variant, once those of long ago are gone."""
        if sum(n == name for n, _ in series) < VARIANTS:
            return False
        for key in [key for key in series if key[0] == name]:
            series[key].forget(horizon)
            if not series[key].times:
                del series[key]
        return sum(n == name for n, _ in series) >= VARIANTS

    def totals(self, signal: SignalKey) -> dict[str, float]:
        """Return what each counter of *signal* counted since the first look, from 0 as counters start."""
        latest = self.latest.get(signal)
        if latest is None:
            return {}
        return {name: self._total((signal, name)) for name, variant in latest.counts if not variant}

    def _total(self, place: tuple[SignalKey, str]) -> float:
        steps = self._steps.get(place)
        return self._sums.get(place, 0.0) if steps is None else steps.total

    def last_step(self, signal: SignalKey, name: str) -> float | None:
        """Return when counter *name* last gained something, None if it did not as far back as is kept."""
        steps = self._steps.get((signal, name))
        return steps.times[-1] if steps is not None and steps.times else None

    def since(self, signal: SignalKey, name: str) -> float | None:
        """Return the moment from which on counter *name* missed nothing, None if it is not known at all."""
        steps = self._steps.get((signal, name))
        if steps is not None:
            return steps.since
        latest = self.latest.get(signal)
        counted = latest.counts.get((name, "")) if latest is not None else None
        return None if counted is None else counted.since.timestamp()

    def increase(self, signal: SignalKey, name: str, window: timedelta, at: datetime) -> Value:
        """
        Return how much *name* gained in the *window* that ends at *at*.

        A window reaching back beyond what was seen gives a lower bound, no history gives None.
        """
        since = self.since(signal, name)
        if since is None:
            return None
        start = at.timestamp() - window.total_seconds()
        steps = self._steps.get((signal, name))
        gained = steps.reached(at.timestamp()) - steps.reached(start) if steps is not None else 0.0
        return gained if since <= start else AtLeast(gained)

    def gains(self, signal: SignalKey, name: str, moments: Sequence[float]) -> list[float]:
        """
        Return what *name* gained from each of *moments* to the next, of the last ones that are covered.

        Of a counter that is not asked for over a window nothing is known.
        """
        since = self.since(signal, name)
        if since is None or (self.asked is not None and (signal.kind, name) not in self.asked):
            return []
        covered = moments[bisect_left(moments, since) :]
        steps = self._steps.get((signal, name))
        if steps is None:
            return [0.0] * (len(covered) - 1)
        # A step may stand for the time that begins with it: what lies on an edge is the later one's.
        reached = [steps.totals[bisect_left(steps.times, at)] for at in covered]
        return [end - begin for begin, end in pairwise(reached)]

    def variants(
        self, signal: SignalKey, name: str, window: timedelta, at: datetime
    ) -> list[tuple[str, float]]:
        """Return the variants of *name* with what each gained in the window, the largest first."""
        end = at.timestamp()
        start = end - window.total_seconds()
        gained = [
            (variant, steps.reached(end) - steps.reached(start))
            for (series, variant), steps in self._variants.get(signal, {}).items()
            if series == name
        ]
        return sorted(
            ((v, n) for v, n in gained if n > 0), key=lambda pair: (pair[0] == OTHER, -pair[1], pair[0])
        )
