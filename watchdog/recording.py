"""
Recordings: what a sidecar saw at each tick, as lines of JSON, and back.

A recording is a row of segments, each of which can be read without those before it: it begins with a
*head* that holds the latest reading of every signal. After that a line is a tick. A reading is written as
what differs from the one before of its signal, so that what stands still costs a number.

What is written are the readings as rules see them, and what people said meanwhile (silences and
acknowledgements). Moments are whole microseconds since the epoch; what comes back equals what went in,
but for tuples in the evidence (JSON has lists) and the `facts`, which no rule asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from watchdog.errors import RecordingError
from watchdog.model import NOTHING, AtLeast, Counted, Held, Labels, Reading, Series, SignalKey, Since
from watchdog.records import read_ack, read_silence, write_ack, write_silence
from watchdog.telling import Wishes
from watchdog.units import EPOCH

VERSION = 1
MARK = "watchdog_recording"
"""The key of a head in which its version stands."""
MICROSECOND = timedelta(microseconds=1)
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tick:
    """
    What one tick brought.

    *found* and *gone* are signals that discovery brought and forgot. *wishes* is what holds since people
    said something, None if they did not. With *anew* nothing that was seen before it counts: a process
    began, or a recording does.
    """

    at: datetime
    readings: tuple[Reading, ...] = ()
    found: tuple[SignalKey, ...] = ()
    gone: tuple[SignalKey, ...] = ()
    wishes: Wishes | None = None
    anew: bool = False


@dataclass(slots=True)
class _Known:
    """What was last written of a signal."""

    values: dict[str, Held] = field(default_factory=dict)
    present: tuple[Series, ...] = ()
    places: dict[Series, int] = field(default_factory=dict)
    named: list[Series] = field(default_factory=list)
    since: dict[Series, datetime] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    trouble: str | None = None
    down: str | None = None
    gaps: tuple[str, ...] = ()


# ---- writing -----------------------------------------------------------------------------------


class SegmentWriter:
    """Writes one segment, line by line."""

    def __init__(self) -> None:
        self._numbers: dict[SignalKey, int] = {}
        self._known: list[_Known] = []
        self._new: list[list[Any]] = []

    def head(self, at: datetime, latest: Iterable[Reading], *, program: str, follows: bool) -> str:
        """
        Return the first line: where things stand at *at*, after all the *latest* readings.

        It *follows* if nothing is missing between it and the segment before.
        """
        there = [self._reading(replace(r, counts=_nothing_yet(r.counts, at)), at) for r in latest]
        head: Line = {MARK: VERSION, "program": program, "t": _us(at), "new": self._named(), "r": there}
        return _line(head | ({"follows": True} if follows else {}))

    def tick(self, tick: Tick) -> str:
        """Return the line of *tick*."""
        line: Line = {"t": _us(tick.at), "r": [self._reading(reading, tick.at) for reading in tick.readings]}
        for name, keys in (("found", tick.found), ("gone", tick.gone)):
            if keys:
                line[name] = [self._number(key) for key in keys]
        if new := self._named():
            line["new"] = new
        if tick.wishes is not None:
            line["silences"] = [write_silence(silence) for silence in tick.wishes.silences.values()]
            line["acks"] = [write_ack(ack) for ack in tick.wishes.acks.values()]
        return _line(line | ({"anew": True} if tick.anew else {}))

    def _named(self) -> list[list[Any]]:
        new, self._new = self._new, []
        return new

    def _number(self, key: SignalKey) -> int:
        """Return the number that stands for *key*, which is named where it first occurs."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._known)
            self._known.append(_Known())
            self._new.append([key.service, key.kind, dict(key.labels)])
        return number

    def _reading(self, reading: Reading, at: datetime) -> Any:
        """Return *reading* as a number, or as a number and what is not as it was."""
        number = self._number(reading.signal)
        known = self._known[number]
        news: Line = {}
        if reading.at != at:
            news["at"] = _us(reading.at)
        news |= _new_values(known, dict(reading.values)) | _new_counts(known, reading.counts, at)
        news |= _new_evidence(known, reading.evidence)
        if reading.trouble != known.trouble:
            news["x"] = known.trouble = reading.trouble
        if reading.down != known.down:
            news["d"] = known.down = reading.down
        if reading.gaps != known.gaps:
            news["g"] = known.gaps = reading.gaps
        return [number, news] if news else number


def _new_values(known: _Known, values: dict[str, Held]) -> Line:
    """Return the values that changed, or all of them if there are others than before."""
    before, known.values = known.values, values
    if list(before) != list(values):
        return {"V": {name: _held(held) for name, held in values.items()}}
    changed = {name: _held(held) for name, held in values.items() if held != before[name]}
    return {"v": changed} if changed else {}


def _new_evidence(known: _Known, evidence: Mapping[str, object]) -> Line:
    before, known.evidence = known.evidence, dict(evidence)
    if list(before) != list(evidence):
        return {"E": dict(evidence)}
    changed = {name: found for name, found in evidence.items() if found != before[name]}
    return {"e": changed} if changed else {}


def _new_counts(known: _Known, counts: Mapping[Series, Counted], at: datetime) -> Line:
    """
    Return the counters that gained something, or all of them if there are others than before.

    A series is named once and has its place from then on; one of which nothing is new is only that.
    """
    same = list(known.present) == list(counts)
    rows: list[Any] = []
    for series, counted in counts.items():
        place = known.places.setdefault(series, len(known.places))
        new = series not in known.since
        since = None if known.since.get(series) == counted.since else _us(counted.since)
        if new or since is not None or counted.steps:
            rows.append([*series] if new else [place])
            rows[-1] += [since, *_steps(counted, at)]
        elif not same:
            rows.append(place)
        known.since[series] = counted.since
    known.present = tuple(counts)
    if same:
        return {"c": rows} if rows else {}
    return {"C": rows}


def _steps(counted: Counted, at: datetime) -> Iterable[float]:
    """Yield how long before *at* each step was, and how much it was."""
    for moment, by in counted.steps:
        yield (at - moment) // MICROSECOND
        yield by


def _nothing_yet(counts: Mapping[Series, Counted], at: datetime) -> Mapping[Series, Counted]:
    return {series: Counted(max(counted.since, at)) for series, counted in counts.items()}


def _held(held: Held) -> Any:
    if isinstance(held, Since):
        return {"since": [held.moment, held.at_least, held.per]}
    return {"least": held.number} if isinstance(held, AtLeast) else held


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _line(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str) + "\n"


# ---- reading -----------------------------------------------------------------------------------


class SegmentReader:
    """Reads one segment, line by line."""

    def __init__(self) -> None:
        """Read a segment."""
        self.floor: datetime | None = None
        """Before this moment nothing is known of any counter."""
        self._keys: list[SignalKey] = []
        self._known: list[_Known] = []

    def head(self, text: str) -> tuple[Tick, bool]:
        """Return where things stand, and whether that follows from the segment before."""
        line = _parsed(text)
        version = line.get(MARK)
        if not isinstance(version, int):
            raise RecordingError("is not a recording of the watchdog (make one with `watchdog record FILE`)")
        if version > VERSION:
            what = f"is a recording of version {version}, newer than this program's {VERSION}"
            raise RecordingError(f"{what} (upgrade the program)")
        return replace(self._tick(line), anew=True), bool(line.get("follows"))

    def tick(self, text: str) -> Tick:
        """Return the tick of a line."""
        return self._tick(_parsed(text))

    def _tick(self, line: Line) -> Tick:
        try:
            for service, kind, labels in line.get("new", ()):
                self._keys.append(SignalKey(service, kind, Labels(labels)))
                self._known.append(_Known())
            at = _moment(line["t"])
            wishes = None
            if "silences" in line:
                silences = {s["id"]: read_silence(s) for s in line["silences"]}
                wishes = Wishes(silences, {a["fingerprint"]: read_ack(a) for a in line["acks"]})
            return Tick(
                at,
                tuple(self._reading(item, at) for item in line["r"]),
                tuple(self._keys[number] for number in line.get("found", ())),
                tuple(self._keys[number] for number in line.get("gone", ())),
                wishes,
                bool(line.get("anew")),
            )
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as exc:
            raise RecordingError("holds a line that no watchdog has written (is it damaged?)") from exc

    def _reading(self, item: Any, at: datetime) -> Reading:
        number: int
        news: Mapping[str, Any]
        number, news = (item, {}) if isinstance(item, int) else item
        known = self._known[number]
        if "V" in news:
            known.values = {name: _as_held(held) for name, held in news["V"].items()}
        elif "v" in news:
            known.values = known.values | {name: _as_held(held) for name, held in news["v"].items()}
        if "E" in news:
            known.evidence = news["E"]
        elif "e" in news:
            known.evidence = {**known.evidence, **news["e"]}
        known.trouble = news.get("x", known.trouble)
        known.down = news.get("d", known.down)
        known.gaps = tuple(news.get("g", known.gaps))
        return Reading(
            self._keys[number],
            _moment(news["at"]) if "at" in news else at,
            known.values,
            self._counts(known, news, at),
            known.evidence,
            known.trouble,
            known.down,
            known.gaps,
        )

    def _counts(self, known: _Known, news: Mapping[str, Any], at: datetime) -> dict[Series, Counted]:
        rows: dict[Series, list[Any]] = {}
        for row in news.get("C", news.get("c", ())):
            series, rest = self._series(known, row)
            rows[series] = rest
            if rest and rest[0] is not None:
                known.since[series] = self._later(rest[0])
        if "C" in news:
            known.present = tuple(rows)
        counts: dict[Series, Counted] = {}
        for series in known.present:
            told = rows.get(series, ())
            steps = zip(told[1::2], told[2::2], strict=True)
            gained = tuple([(at - timedelta(microseconds=before), by) for before, by in steps])
            counts[series] = Counted(known.since[series], gained)
        return counts

    @staticmethod
    def _series(known: _Known, row: Any) -> tuple[Series, list[Any]]:
        """Return which series a row is of, and what it says of it."""
        if isinstance(row, int):
            return known.named[row], []
        if isinstance(row[0], int):
            return known.named[row[0]], row[1:]
        series = row[0], row[1]
        known.named.append(series)
        return series, row[2:]

    def _later(self, since: int) -> datetime:
        moment = _moment(since)
        return moment if self.floor is None else max(moment, self.floor)


def _parsed(text: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError as exc:
        raise RecordingError("holds a line that is no JSON (is it a recording, and whole?)") from exc
    if not isinstance(line, dict):
        raise RecordingError("is not a recording of the watchdog (make one with `watchdog record FILE`)")
    return line


def _moment(microseconds: int) -> datetime:
    return EPOCH + microseconds * MICROSECOND


def _as_held(held: Any) -> Held:
    if not isinstance(held, dict):
        return held  # type: ignore[no-any-return]
    if "least" in held:
        return AtLeast(held["least"])
    moment, at_least, per = held["since"]
    return Since(moment, at_least, per)
