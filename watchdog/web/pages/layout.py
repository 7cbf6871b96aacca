"""
Who needs whom, drawn from left to right: input first, output last.

Sugiyama's way in small. Every service stands in a column right of all it needs (an input that only feeds
others is pulled up to them); long links go through free rows of the columns between; rows are ordered by
the mean of their neighbours as long as fewer links cross; then each is put as near to its neighbours as its
column allows. A layout follows from `needs` alone, so it is made once; what fails is painted over it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from watchdog.topology import Needs, inverted

WIDTH = 168
HEIGHT = 46
BETWEEN_COLUMNS = 52
BETWEEN_ROWS = 14
LINK_ROW = 10
"""How much of a column a link takes that only passes through it."""
BETWEEN_PARTS = 34
SHEET = 1_060
"""Parts that have nothing to do with one another stand side by side up to this width."""
ROUNDS = 10
"""So often the order of the rows is bettered, unless it cannot be: up and down are one each."""
PATIENCE = 3
"""After so many rounds in vain it is left as it is."""
ALIGNING = 6
MARGIN = 3
"""Room for the outline of what stands at the edge."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a service stands; *column* counts what must work before it."""

    name: str
    x: int
    y: int
    column: int


@dataclass(frozen=True, slots=True)
class Link:
    """The way from what is *needed* to who is *needing* it; *points* are its bends, two a column."""

    needed: str
    needing: str
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """All services that need each other, each with its place; *apart* are those that stand alone."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    apart: tuple[str, ...]


def layout_of(services: Iterable[str], needs: Needs) -> Layout:
    """Return where *services* are drawn, and what else they need; the same for the same arguments."""
    return _layout_of(tuple(services), tuple((name, tuple(needed)) for name, needed in needs.items()))


@lru_cache(maxsize=8)
def _layout_of(services: tuple[str, ...], needs: tuple[tuple[str, tuple[str, ...]], ...]) -> Layout:
    wanted = {name: tuple(dict.fromkeys(needed)) for name, needed in needs if needed}
    names = dict.fromkeys([*services, *wanted, *(n for needed in wanted.values() for n in needed)])
    connected = set(wanted) | {n for needed in wanted.values() for n in needed}
    parts = _parts([name for name in names if name in connected], wanted)
    drawn = [_draw(part, wanted) for part in sorted(parts, key=len, reverse=True)]
    return _sheet(drawn, tuple(name for name in names if name not in connected))


def _parts(names: Sequence[str], wanted: Needs) -> list[list[str]]:
    """Return *names* as sets of those that are connected, each in the order given."""
    needed_by = inverted(wanted)
    of: dict[str, int] = {}
    for number, name in enumerate(names):
        ahead = [] if name in of else [name]
        while ahead:
            here = ahead.pop()
            if here not in of:
                of[here] = number
                ahead += [*wanted.get(here, ()), *needed_by.get(here, ())]
    parts: dict[int, list[str]] = {}
    for name in names:
        parts.setdefault(of[name], []).append(name)
    return list(parts.values())


def columns_of(names: Sequence[str], needs: Needs) -> dict[str, int]:
    """Return for each of *names* in which column it stands: right of all it needs, near who needs it."""
    needed_by = inverted({name: needs.get(name, ()) for name in names})
    open_needs = {name: len(needs.get(name, ())) for name in names}
    order = [name for name in names if not open_needs[name]]
    column = dict.fromkeys(names, 0)
    for name in order:  # grows while we go: each follows the last of those it needs
        for needing in needed_by.get(name, ()):
            column[needing] = max(column[needing], column[name] + 1)
            open_needs[needing] -= 1
            if not open_needs[needing]:
                order.append(needing)
    for name in reversed(order):
        users = needed_by.get(name, ())
        if len(users) > len(needs.get(name, ())):
            column[name] = min(column[user] for user in users) - 1
    return column


# ---- one part ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Grid:
    """What stands in which column, in order; below *real* is a service, above a link that passes."""

    real: int
    columns: list[list[int]]
    left: dict[int, list[int]] = field(default_factory=dict)
    right: dict[int, list[int]] = field(default_factory=dict)
    passing: int = 0

    def join(self, left: int, right: int) -> None:
        """Link two neighbours."""
        self.right.setdefault(left, []).append(right)
        self.left.setdefault(right, []).append(left)

    def pass_through(self, column: int) -> int:
        """Return a new place for a link in *column*."""
        place = self.real + self.passing
        self.passing += 1
        self.columns[column].append(place)
        return place


def _draw(names: Sequence[str], wanted: Needs) -> Layout:
    """Return the layout of services that are connected."""
    column = columns_of(names, wanted)
    number = {name: i for i, name in enumerate(names)}
    grid = _Grid(len(names), [[] for _ in range(max(column.values()) + 1)])
    for name in names:
        grid.columns[column[name]].append(number[name])
    ways: dict[tuple[str, str], list[int]] = {}
    for needing in names:
        for needed in wanted.get(needing, ()):
            way = [number[needed]]
            for between in range(column[needed] + 1, column[needing]):
                way.append(grid.pass_through(between))
                grid.join(way[-2], way[-1])
            grid.join(way[-1], number[needing])
            ways[needed, needing] = [*way, number[needing]]
    grid.columns = _ordered(grid)
    ys = _aligned(grid)
    boxes = [
        Box(name, column[name] * (WIDTH + BETWEEN_COLUMNS), ys[number[name]] - HEIGHT // 2, column[name])
        for name in names
    ]
    boxes.sort(key=lambda box: (box.column, box.y))
    links = [
        Link(needed, needing, tuple(_bends(way, column[needed], ys)))
        for (needed, needing), way in ways.items()
    ]
    width = len(grid.columns) * (WIDTH + BETWEEN_COLUMNS) - BETWEEN_COLUMNS
    return Layout(width, max(ys.values()) + HEIGHT // 2, tuple(boxes), tuple(links), ())


def _bends(way: Sequence[int], column: int, ys: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield where the link leaves each column, and where it comes to the next one."""
    for i, place in enumerate(way):
        x = (column + i) * (WIDTH + BETWEEN_COLUMNS)
        if i:
            yield x, ys[place]
        if i < len(way) - 1:
            yield x + WIDTH, ys[place]


# ---- the order of rows -------------------------------------------------------------------------


def _ordered(grid: _Grid) -> list[list[int]]:
    """Return the columns in the best order that was found; never worse than the one given."""
    best = order = grid.columns
    fewest, in_vain = _all_crossings(order, grid), 0
    for turn in range(ROUNDS):
        if not fewest or in_vain == PATIENCE:
            break
        order = _swept(order, grid.right if turn % 2 else grid.left, backwards=bool(turn % 2))
        found = _all_crossings(order, grid)
        in_vain += 1
        if found < fewest:
            best, fewest, in_vain = order, found, 0
    return best


def _swept(columns: list[list[int]], towards: Mapping[int, list[int]], *, backwards: bool) -> list[list[int]]:
    """Return *columns* with each ordered by the mean row of its neighbours in the one before it."""
    swept: list[list[int]] = []
    row: dict[int, int] = {}
    for column in reversed(columns) if backwards else columns:
        means = {
            place: sum(row[n] for n in near) / len(near) if (near := towards.get(place)) else float(i)
            for i, place in enumerate(column)
        }
        swept.append(sorted(column, key=means.__getitem__))
        row = {place: i for i, place in enumerate(swept[-1])}
    return swept[::-1] if backwards else swept


def _all_crossings(columns: Sequence[Sequence[int]], grid: _Grid) -> int:
    return sum(_crossings(left, right, grid.right) for left, right in pairwise(columns))


def _crossings(left: Sequence[int], right: Sequence[int], links: Mapping[int, Sequence[int]]) -> int:
    """Return how many links between two columns cross: those that end above one that began above them."""
    row = {place: i for i, place in enumerate(right)}
    ends: list[int] = []
    crossed = 0
    for place in left:
        rows = sorted(row[n] for n in links.get(place, ()))
        crossed += sum(len(ends) - bisect_right(ends, end) for end in rows)
        for end in rows:
            insort(ends, end)
    return crossed


# ---- places ------------------------------------------------------------------------------------


def _aligned(grid: _Grid) -> dict[int, int]:
    """Return the middle of every row: as near to its neighbours as the order of its column allows."""
    ys: dict[int, float] = {}
    for column in grid.columns:
        ys.update(zip(column, _stacked(column, grid.real), strict=True))
    for turn in range(ALIGNING):
        backwards = bool(turn % 2)
        towards = grid.right if backwards else grid.left
        for column in reversed(grid.columns) if backwards else grid.columns:
            wished = [
                sum(ys[n] for n in near) / len(near) if (near := towards.get(place)) else ys[place]
                for place in column
            ]
            ys.update(zip(column, _spread(wished, _stacked(column, grid.real)), strict=True))
    top = min(y - (HEIGHT if place < grid.real else LINK_ROW) / 2 for place, y in ys.items())
    return {place: round(y - top) for place, y in ys.items()}


def _stacked(column: Sequence[int], real: int) -> list[float]:
    """Return the middles of the rows of *column* as close to one another as they may be."""
    middles: list[float] = []
    end = 0.0
    for place in column:
        size = HEIGHT if place < real else LINK_ROW
        middles.append(end + size / 2)
        end += size + BETWEEN_ROWS
    return middles


def _spread(wished: Sequence[float], closest: Sequence[float]) -> list[float]:
    """
    Return middles as near to *wished* as possible, and nowhere closer to one another than *closest* are.

    What is left of a wish without its place in the stack must not fall: an isotonic regression, for which
    neighbours that disagree are pooled.
    """
    pools: list[tuple[float, int]] = []
    for wish, least in zip(wished, closest, strict=True):
        total, count = wish - least, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            more, others = pools.pop()
            total, count = total + more, count + others
        pools.append((total, count))
    shifts = [total / count for total, count in pools for _ in range(count)]
    return [least + shift for least, shift in zip(closest, shifts, strict=True)]


# ---- the sheet ---------------------------------------------------------------------------------


def _sheet(parts: Sequence[Layout], apart: tuple[str, ...]) -> Layout:
    """Return *parts* on one sheet: side by side as far as they fit, then below."""
    widest = max([SHEET, *(part.width for part in parts)])
    boxes: list[Box] = []
    links: list[Link] = []
    x = y = MARGIN
    below = right = 0
    for part in parts:
        if x > MARGIN and x + part.width > widest:
            x, y = MARGIN, below + BETWEEN_PARTS
        boxes += [Box(box.name, box.x + x, box.y + y, box.column) for box in part.boxes]
        links += [
            Link(link.needed, link.needing, tuple((px + x, py + y) for px, py in link.points))
            for link in part.links
        ]
        right, below = max(right, x + part.width), max(below, y + part.height)
        x += part.width + BETWEEN_PARTS
    if not parts:
        return Layout(0, 0, (), (), apart)
    return Layout(right + MARGIN, below + MARGIN, tuple(boxes), tuple(links), apart)
