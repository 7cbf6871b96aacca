"""
Prometheus' text format, for pages of a million lines.

All lines of a family stand together, but signals are gone through one by one: so what was found is
gathered first, in columns of eight bytes a number, and written afterwards, some lines at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from typing import Any, NamedTuple

from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LINES = 2_000
"""About so many lines are made before others on the loop get their turn: a millisecond's work or two."""
SIGNALS_AT_ONCE = 200
"""About so many signals are gone through likewise: what each holds is worked out only then."""
WRITTEN_AS = {"counter": ("_total", "counter"), "info": ("_info", "gauge")}
"""What the text format adds to a family's name, and what it calls its type, where that differs."""
WHOLE = {float(n): f"{n}.0" for n in range(1_000)}
"""Most numbers are small counts, and writing one anew takes longer than all the rest of its line."""


def escape(text: str) -> str:
    """Return *text* as a label's value is written."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def number(value: float) -> str:
    """Return *value* as prometheus_client writes it."""
    shown = WHOLE.get(value)
    if shown is None:
        value = float(value)
        shown = repr(value) if -inf < value < 1e6 else floatToGoString(value)  # type: ignore[no-untyped-call]
    return shown


def head(name: str, type_: str, help_: str) -> str:
    """Return the two lines before a family's samples."""
    told = help_.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {told}\n# TYPE {name} {type_}\n"


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """Return *pairs* as they stand between the braces."""
    return ",".join([f'{name}="{text}"' for name, text in pairs])


def written(texts: Sequence[str]) -> Sequence[str]:
    """Return *texts* as labels' values are written; most need no escape."""
    together = "".join(texts)
    if '"' in together or "\\" in together or "\n" in together:
        return [escape(text) for text in texts]
    return texts


def frame(line: str, names: Sequence[str], **fixed: str) -> Callable[..., str]:
    """
    Return what puts the values of *names* (as they are written, in that order) into a line's labels.

    In *line*, ``*`` stands for the labels; the *fixed* ones have the same value in all lines.
    """
    places = [(name, f"{{{i}}}") for i, name in enumerate(names)]
    same = [(name, text.replace("{", "{{").replace("}", "}}")) for name, text in fixed.items()]
    before, _, after = line.replace("{", "{{").replace("}", "}}").partition("*")
    return f"{before}{labels(sorted([*places, *same]))}{after}".format


def lines_of(metric: Metric) -> Iterator[str]:
    """
    Yield the lines of one family, as prometheus_client's `generate_latest` writes them.

    That one asks of every name of every sample whether it is valid, which takes most of its time;
    ours are valid by construction.
    """
    suffix, type_ = WRITTEN_AS.get(metric.type, ("", metric.type))
    yield head(metric.name + suffix, type_, metric.documentation)
    for sample in metric.samples:
        who = labels(sorted((name, escape(text)) for name, text in sample.labels.items()))
        shown = f"{sample.name}{{{who}}}" if who else sample.name
        yield f"{shown} {number(sample.value)}\n"


def in_pieces(lines: Iterable[str], length: int = LINES) -> Iterator[str]:
    """Yield *lines*, *length* at a time."""
    rest = iter(lines)
    while piece := "".join(islice(rest, length)):
        yield piece


class Column(NamedTuple):
    """
    Samples of a family, one below the other: *who* they are of, and what was *found*.

    Many columns share one *who*. NaN stands for an unknown number, None for an unknown word. *part* is
    one label more that all have, or nothing.
    """

    who: list[str]
    found: array[float] | list[object]
    part: str

    def slices(self, length: int) -> Iterator[Iterator[tuple[str, Any]]]:
        """Yield the samples, *length* at a time."""
        for start in range(0, len(self.who), length):
            some = slice(start, start + length)
            yield zip(self.who[some], self.found[some], strict=True)


class Numbers:
    """A family of numbers."""

    __slots__ = ("_head", "_lead", "columns")

    def __init__(self, name: str, type_: str, help_: str) -> None:
        self._head = head(name, type_, help_)
        self._lead = f"{name}{{"
        self.columns: list[Column] = []

    def column(self, who: list[str], part: str) -> array[float]:
        """Return a new column to be filled."""
        found = array("d")
        self.columns.append(Column(who, found, part))
        return found

    def pieces(self) -> Iterator[str]:
        """Yield the family, without what is unknown."""
        yield self._head
        lead, whole, show = self._lead, WHOLE.get, number
        for column in self.columns:
            part = column.part
            for some in column.slices(LINES):
                yield "".join(
                    [
                        f"{lead}{who}{part}}} {whole(n) or (repr(n) if 0.0 < n < 1e6 else show(n))}\n"
                        for who, n in some
                        if n == n  # noqa: PLR0124  # all but NaN
                    ]
                )


class Words:
    """
    A family of words: of each that is possible a line, 1 for the one that holds; if none is, any.

    The word's own *label* comes last, so that whatever is before it is the same in all lines of a signal.
    """

    __slots__ = ("_around", "_head", "_label", "_lead", "_possible", "columns")

    def __init__(self, name: str, help_: str, label: str, possible: tuple[str, ...]) -> None:
        self._head = head(name, "gauge", help_)
        self._lead = f"{name}{{"
        self._label = label
        self._possible = possible
        self._around: dict[str, list[str]] = {}
        self.columns: list[Column] = []

    def column(self, who: list[str], part: str) -> list[object]:
        """Return a new column to be filled."""
        found: list[object] = []
        self.columns.append(Column(who, found, part))
        return found

    def pieces(self) -> Iterator[str]:
        """Yield the family, without what is unknown."""
        yield self._head
        for column in self.columns:
            part = column.part
            for some in column.slices(LINES // (len(self._possible) or 1)):
                yield "".join([f"{who}{part},".join(self._parts(str(w))) for who, w in some if w is not None])

    def _parts(self, found: str) -> list[str]:
        """Return what stands before, between and after the labels of a signal of which *found* holds."""
        parts = self._around.get(found)
        if parts is None:
            words = self._possible or (found,)
            ends = [f'{self._label}="{escape(word)}"}} {number(word == found)}\n' for word in words]
            parts = [self._lead, *(f"{end}{self._lead}" for end in ends[:-1]), ends[-1]]
            if self._possible:
                self._around[found] = parts
        return parts
