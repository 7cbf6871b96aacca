"""A sparkline: the last hours of a measure in the space of a word, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from watchdog.trends import Line
from watchdog.units import Unit, show_duration, show_number

WIDTH = 120
HEIGHT = 28
COLUMNS = 60
"""So many points are drawn at most; each is the highest of those it stands for, so that one burst is seen."""
EDGE = 1.5
"""Half a pen, and a little: so far the line stays from the edge."""
CALM = 0.05
"""What varies by less than this share is drawn as steady: noise must not look like mountains."""
NEAR = 5.0
"""A threshold so many times above all that was seen is not drawn: it would flatten everything."""

Point = float | None


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch in which something is unknown; *before* the first point that is known, nobody looked yet."""

    x: float
    width: float
    before: bool = False


@dataclass(frozen=True, slots=True)
class Spark:
    """
    A sparkline as the data of SVG paths, *words* its text alternative.

    *line* is broken where nothing is known; *unknown* are the bands in which something is not, so that
    nothing known can be taken for nothing happened. *mark* is the height of the threshold.
    """

    line: str
    area: str
    unknown: tuple[Band, ...]
    mark: float | None
    words: str
    width: int = WIDTH
    height: int = HEIGHT


@lru_cache(maxsize=512)
def spark_of(line: Line, unit: Unit, *, counts: bool, threshold: float | None = None) -> Spark | None:
    """
    Return how *line* is drawn, None if it holds no point at all.

    A measure that *counts* stands on zero; any other is drawn between its lowest and its highest. The same
    line is drawn only once: it has no new point for a minute.
    """
    if not line.points:
        return None
    chunk = -(-len(line.points) // COLUMNS)
    chunks = [line.points[i : i + chunk] for i in range(0, len(line.points), chunk)]
    tops = [max((p for p in found if p is not None), default=None) for found in chunks]
    scale = _scale([top for top in tops if top is not None], threshold, counts=counts)
    pitch = WIDTH / len(tops)
    runs = [[(round((i + 0.5) * pitch, 1), scale(y)) for i, y in run] for run in _runs(tops)]
    dim = [(round(i * pitch, 1), None in found) for i, found in enumerate(chunks)]
    return Spark(
        " ".join(map(_pen, runs)),
        " ".join(map(_under, runs)) if counts else "",
        tuple(_bands(dim, pitch)),
        None if threshold is None or not scale.holds(threshold) else scale(threshold),
        words_of(line, unit, counts=counts),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE), 1)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def _scale(seen: Sequence[float], threshold: float | None, *, counts: bool) -> _Scale:
    """Return the heights for what was *seen*: all zero is a line at the bottom, nothing else steady is."""
    high, low = max(seen, default=0.0), min(seen, default=0.0)
    if threshold is not None and low <= threshold <= high * NEAR:
        high = max(high, threshold)
    if counts or (high - low < CALM * abs(high) and low >= 0) or (threshold is not None and low > threshold):
        low = min(0.0, low)
    return _Scale(low, high if high > low else low + 1)


def _runs(tops: Sequence[Point]) -> Iterator[list[tuple[int, float]]]:
    """Yield the stretches of *tops* in which all is known, each point with its place."""
    for known, run in groupby(enumerate(tops), key=lambda point: point[1] is not None):
        if known:
            yield [(i, top) for i, top in run if top is not None]


def _pen(run: Sequence[tuple[float, float]]) -> str:
    """Return the line along *run*; one point alone is a dot."""
    (x, y), *rest = run
    return f"M{x:g} {y:g}" + ("".join(f"L{x:g} {y:g}" for x, y in rest) if rest else "h.1")


def _under(run: Sequence[tuple[float, float]]) -> str:
    """Return the area between *run* and the bottom."""
    along = "".join(f"L{x:g} {y:g}" for x, y in run)
    return f"M{run[0][0]:g} {HEIGHT}{along}V{HEIGHT}Z"


def _bands(dim: Sequence[tuple[float, bool]], pitch: float) -> Iterator[Band]:
    for unknown, run in groupby(dim, key=lambda column: column[1]):
        columns = [x for x, _ in run]
        if unknown:
            yield Band(
                columns[0], round(len(columns) * pitch, 1), before=columns[0] == 0 and len(columns) < len(dim)
            )


# ---- in words ----------------------------------------------------------------------------------


def words_of(line: Line, unit: Unit, *, counts: bool) -> str:
    """Return what *line* shows for who cannot see it: ``0 to 42 a minute, now 0, in the last 3h``."""
    span = show_duration((line.step * len(line.points)).total_seconds())
    known = [point for point in line.points if point is not None]
    if not known:
        return f"unknown throughout the last {span}"
    low, high, last = (_said(found, unit) for found in (min(known), max(known), line.points[-1]))
    pace = f" per {show_duration(line.step.total_seconds())}" if counts else ""
    pace = " a minute" if pace == " per 1m" else pace
    ranged = f"always {low}{pace}" if low == high else f"{low} to {high}{pace}, now {last}"
    text = f"{ranged}, in the last {span}"
    missing = (len(line.points) - len(known)) * line.step
    return f"{text}, unknown for {show_duration(missing.total_seconds())}" if missing else text


def _said(found: Point, unit: Unit) -> str:
    return "unknown" if found is None else show_number(found, unit)
