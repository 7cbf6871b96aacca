"""The strip of a service: how it stood, hour by hour, in one row of colours and in words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil

from watchdog.report import Status
from watchdog.units import show_duration

COLUMNS = 360
"""The strip is so many columns wide; each shows the worst of its time, so that nothing bad is too short."""
HEIGHT = 20
MARKS = 4
"""In so many parts it is divided by the moments under it."""
NOBODY = "nobody looked"

Span = tuple[datetime, datetime, Status | None]
"""From when to when a service stood how; None: the sidecar did not run."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the strip in one colour."""

    x: int
    width: int
    status: Status | None
    words: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The strip; *words* are its text alternative, *marks* the moments under it."""

    stretches: tuple[Stretch, ...]
    marks: tuple[str, ...]
    words: str
    width: int = COLUMNS
    height: int = HEIGHT


def strip_of(spans: Sequence[Span], begin: datetime, end: datetime) -> Strip:
    """
    Return how *spans*, in order of time, are drawn between *begin* and *end*.

    What none of them covers nobody looked at.
    """
    clipped = [(max(a, begin), min(b, end), status) for a, b, status in spans if b > begin and a < end]
    return Strip(
        tuple(_stretches(clipped, begin, end)), tuple(_marks(begin, end)), _words(clipped, begin, end)
    )


def _stretches(spans: Sequence[Span], begin: datetime, end: datetime) -> Iterator[Stretch]:
    column = (end - begin) / COLUMNS
    painted: list[Status | None] = [None] * COLUMNS
    for status in reversed(Status):
        for a, b in ((a, b) for a, b, how in spans if how is status):
            first, last = (a - begin) / column, (b - begin) / column
            if status is Status.OK:  # it shares a column with a gap by halves
                first, last = round(first), round(last)
            for place in range(int(first), min(COLUMNS, max(int(first) + 1, ceil(last)))):
                painted[place] = status
    begins, ends = [span[0] for span in spans], [span[1] for span in spans]
    for shown, run in groupby(range(COLUMNS), key=painted.__getitem__):
        places = list(run)
        x, width = places[0], len(places)
        left, right = begin + x * column, begin + (x + width) * column
        within = spans[bisect_right(ends, left) : bisect_left(begins, right)]
        yield Stretch(x, width, shown, _told(within, shown, left, right))


def _told(within: Sequence[Span], status: Status | None, left: datetime, right: datetime) -> str:
    """Return what a stretch from *left* to *right* shows: how it stood, when and for how long."""
    mine = [(max(a, left), min(b, right)) for a, b, how in within if how is status]
    if not mine:
        return f"{NOBODY} from {_moment(left)} to {_moment(right)}"
    name = NOBODY if status is None else str(status)
    times = f", {len(mine)} times" if len(mine) > 1 else ""
    lasted = sum(((b - a) for a, b in mine), timedelta()).total_seconds()
    return f"{name} from {_moment(mine[0][0])} to {_moment(mine[-1][1])}, for {show_duration(lasted)}{times}"


def _moment(at: datetime) -> str:
    return f"{at:%a %H:%M}"


def _marks(begin: datetime, end: datetime) -> Iterator[str]:
    """Yield what stands under the strip, at even distances: hours of a day, days of more."""
    form = "%H:%M" if end - begin <= timedelta(days=1) else "%-d %b"
    for i in range(MARKS):
        yield f"{begin + (end - begin) * i / MARKS:{form}}"
    yield "now"


def _words(spans: Sequence[Span], begin: datetime, end: datetime) -> str:
    """Return in one sentence for how long it stood how, the worst first."""
    lasted: dict[Status | None, timedelta] = {}
    for a, b, status in spans:
        lasted[status] = lasted.get(status, timedelta()) + (b - a)
    unseen = (end - begin) - sum(lasted.values(), timedelta())
    lasted[None] = lasted.get(None, timedelta()) + unseen
    parts = [
        f"{status if status else NOBODY} for {show_duration(found.total_seconds())}"
        for status in (*Status, None)
        if (found := lasted.get(status, timedelta())) >= timedelta(seconds=1)
    ]
    return f"In the last {show_duration((end - begin).total_seconds())}: {', '.join(parts)}"
