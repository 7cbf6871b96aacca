"""What every signal measures, as metrics (SPEC §6): an unknown value is an absent series."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from math import nan
from typing import NamedTuple

from watchdog.conditions import DEFAULT_WINDOW, find_measure
from watchdog.model import AtLeast, Held, Kind, Measure, Reading, SignalKey, as_of
from watchdog.naming import AWAY_NAME, KNOWN_NAME, metric_name, part_label, series_name, word_label
from watchdog.report import SignalReport, Snapshot
from watchdog.rules import KNOWN
from watchdog.signals import SIGNALS
from watchdog.units import write_duration
from watchdog.web.exposition import (
    SIGNALS_AT_ONCE,
    Numbers,
    Words,
    escape,
    frame,
    head,
    in_pieces,
    labels,
    written,
)

IN_WINDOW = f"[{write_duration(DEFAULT_WINDOW)}]"
"""How the name of a ratio over the default window ends."""
TYPES = {Kind.COUNTER: "counter"}
"""What Prometheus calls measures of a kind, where it is not a gauge."""
AWAY = "1 while the whole source is away from which the signal is read"


@cache
def is_sharing(kind: str) -> bool:
    """Say whether signals of *kind* have ratios over the default window."""
    return any(measure.kind in (Kind.RATIO, Kind.SHARE) for measure in SIGNALS[kind].MEASURES.values())


def signal_pieces(snapshot: Snapshot) -> Iterator[str]:
    """Yield, some lines at a time, whether each signal is known, and a family for each measure."""
    gathered = _Gathered(snapshot.at)
    yield head(KNOWN_NAME, "gauge", KNOWN.help)
    yield from in_pieces(
        (gathered.take(key, report) for key, report in snapshot.signals.items()), SIGNALS_AT_ONCE
    )
    yield from gathered.away_pieces()
    for family in gathered.families():
        yield from family.pieces()


class _Gathered:
    """All measures of all signals as of *now*, taken in signal by signal."""

    def __init__(self, now: datetime) -> None:
        self._gauges = _Families(frozenset({Kind.VALUE, Kind.WORD, Kind.RATIO, Kind.SHARE}), now)
        self._counters = _Families(frozenset({Kind.COUNTER}), now)
        self._frames: dict[tuple[str, ...], tuple[Callable[..., str], Callable[..., str]]] = {}
        self._away: list[str] = []

    def take(self, key: SignalKey, report: SignalReport) -> str:
        """Take in what is known of one signal, and return the line that says whether all is."""
        reading, kind = report.reading, key.kind
        told = dict(key.labels.pairs())
        shape = kind, *told
        if shape not in self._frames:
            names = (*told, "service")
            known = f"{KNOWN_NAME}{{*}} "
            self._frames[shape] = frame("*", names), frame(known, names, signal=kind)
        frame_of_all, frame_of_known = self._frames[shape]
        texts = written((*told.values(), key.service))
        who = frame_of_all(*texts)
        self._counters.put(kind, who, report.totals)
        values = dict(reading.values.items())  # once: they may be worked out when they are asked for
        if reading.trouble is None:
            self._gauges.put(kind, who, values)
            if is_sharing(kind):
                shares = {
                    n.removesuffix(IN_WINDOW): v for n, v in report.figures.items() if n.endswith(IN_WINDOW)
                }
                self._gauges.put(kind, who, shares)
        known = frame_of_known(*texts)
        if reading.down is not None:
            self._away.append(f"{AWAY_NAME}{known.removeprefix(KNOWN_NAME)}1.0\n")
        return f"{known}{float(_known(reading, values))}\n"

    def away_pieces(self) -> Iterator[str]:
        """Yield which signals are unknown only because their whole source is; most often none."""
        yield head(AWAY_NAME, "gauge", AWAY)
        yield from in_pieces(self._away)

    def families(self) -> Iterator[Numbers | Words]:
        """Yield the families of all that was taken in."""
        yield from self._gauges.found.values()
        yield from self._counters.found.values()


class _Rows(NamedTuple):
    """What signals with values of the same names have: their labels, and a column for each name or none."""

    who: list[str]
    columns: list[array[float] | list[object] | None]


class _Families:
    """The families of measures of some kinds, and the columns in which their samples stand."""

    def __init__(self, kinds: Container[Kind], now: datetime) -> None:
        self._kinds = kinds
        self._now = now
        self._rows: dict[tuple[str, ...], _Rows] = {}
        self.found: dict[str, Numbers | Words] = {}

    def put(self, kind: str, who: str, values: Mapping[str, Held]) -> None:
        """Put the *values* of a signal of *kind* away under its labels."""
        if not values:
            return
        shape = kind, *values
        rows = self._rows.get(shape)
        if rows is None:
            rows = self._rows[shape] = self._begin(kind, values)
        rows.who.append(who)
        for column, held in zip(rows.columns, values.values(), strict=True):
            if isinstance(column, list):
                column.append(held)
            elif column is not None:
                column.append(held if type(held) is float else _number(held, self._now))

    def _begin(self, kind: str, names: Iterable[str]) -> _Rows:
        """Return new rows for values of *names*, with the columns of those that are shown."""
        rows = _Rows([], [])
        for name in names:
            measure = find_measure(name, SIGNALS[kind].MEASURES)
            if measure is None or measure.kind not in self._kinds:
                rows.columns.append(None)
                continue
            part = part_label(name)
            told = f",{labels([(part[0], escape(part[1]))])}" if part else ""
            rows.columns.append(self._family(kind, name, measure).column(rows.who, told))
        return rows

    def _family(self, kind: str, name: str, measure: Measure) -> Numbers | Words:
        metric = metric_name(kind, name, measure)
        if metric not in self.found:
            self.found[metric] = (
                Words(metric, measure.help, word_label(metric), measure.words)
                if measure.kind is Kind.WORD
                else Numbers(series_name(kind, name, measure), TYPES.get(measure.kind, "gauge"), measure.help)
            )
        return self.found[metric]


def _known(reading: Reading, values: Mapping[str, Held]) -> bool:
    """Say what `Reading.known` says, of the *values* it holds."""
    whole = reading.down is None and reading.trouble is None and not reading.gaps
    return whole and not [held for held in values.values() if held is None]


def _number(held: Held, now: datetime) -> float:
    """Return what *held* is at *now*, of a lower bound the bound; what is no number is NaN."""
    found = as_of(held, now)
    if isinstance(found, AtLeast):
        return found.number
    return nan if found is None or isinstance(found, str) else found
