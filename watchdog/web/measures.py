"""What every signal measures, as metrics (SPEC §6): an unknown value is an absent series."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import datetime
from math import nan
from typing import NamedTuple

from watchdog.conditions import DEFAULT_WINDOW, find_measure
from watchdog.model import AtLeast, Held, Kind, Measure, Reading, SignalKey, as_of
from watchdog.report import SignalReport, Snapshot
from watchdog.rules import KNOWN
from watchdog.signals import SIGNALS
from watchdog.units import Unit, write_duration
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

KNOWN_NAME = "watchdog_signal_known"
SUFFIX = {Unit.SECONDS: "_seconds", Unit.BYTES: "_bytes"}
OWN_KIND = "watchdog"
"""The signal that is the sidecar itself; its name would stand twice in its measures' names."""
FAMILY_LABEL = {
    "matches": "pattern",
    "body": "field",
    "constant_share": "field",
    "share": "decision",
    "perf": "label",
}
"""Under which label the variable part of ``matches.<name>`` and its like is exported."""
IN_WINDOW = f"[{write_duration(DEFAULT_WINDOW)}]"
"""How the name of a ratio over the default window ends."""
SHARING = frozenset(
    kind
    for kind, signal in SIGNALS.items()
    if any(measure.kind in (Kind.RATIO, Kind.SHARE) for measure in signal.MEASURES.values())
)
"""The signals that have ratios over the default window."""


def metric_name(kind: str, measure: str, found: Measure) -> str:
    """Return the name under which *measure* of a signal is exported (SPEC §6), without ``_total``."""
    family = measure.partition(".")[0]
    if found.kind is Kind.COUNTER and family == "total":
        return f"watchdog_{kind}"  # its own name is the suffix: watchdog_executions_total
    if kind == OWN_KIND:
        kind, family = "self", family.removeprefix("self_")
    suffix = SUFFIX.get(found.unit, "")
    return f"watchdog_{kind}_{family}" + ("" if family.endswith("_ratio") else suffix)


def signal_pieces(snapshot: Snapshot) -> Iterator[str]:
    """Yield, some lines at a time, whether each signal is known, and a family for each measure."""
    gathered = _Gathered(snapshot.at)
    yield head(KNOWN_NAME, "gauge", KNOWN.help)
    yield from in_pieces(
        (gathered.take(key, report) for key, report in snapshot.signals.items()), SIGNALS_AT_ONCE
    )
    for family in gathered.families():
        yield from family.pieces()


class _Gathered:
    """All measures of all signals as of *now*, taken in signal by signal."""

    def __init__(self, now: datetime) -> None:
        self._gauges = _Families(frozenset({Kind.VALUE, Kind.WORD, Kind.RATIO, Kind.SHARE}), now)
        self._counters = _Families(frozenset({Kind.COUNTER}), now)
        self._frames: dict[tuple[str, ...], tuple[Callable[..., str], Callable[..., str]]] = {}

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
            if kind in SHARING:
                shares = {
                    n.removesuffix(IN_WINDOW): v for n, v in report.figures.items() if n.endswith(IN_WINDOW)
                }
                self._gauges.put(kind, who, shares)
        return f"{frame_of_known(*texts)}{float(_known(reading, values))}\n"

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
            family, dot, part = name.partition(".")
            told = f",{labels([(FAMILY_LABEL.get(family, 'part'), escape(part))])}" if dot else ""
            rows.columns.append(self._family(kind, name, measure).column(rows.who, told))
        return rows

    def _family(self, kind: str, name: str, measure: Measure) -> Numbers | Words:
        metric = metric_name(kind, name, measure)
        if metric not in self.found:
            self.found[metric] = (
                Words(metric, measure.help, metric.rpartition("_")[2], measure.words)
                if measure.kind is Kind.WORD
                else Numbers(f"{metric}_total", "counter", measure.help)
                if measure.kind is Kind.COUNTER
                else Numbers(metric, "gauge", measure.help)
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
