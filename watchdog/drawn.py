"""
Drawn timelines: the values of a series as `promtool test rules` writes them, and the name of the series.

``0+60x60 _ stale 'stalled'x3``: a number, a number and a step with how often it goes on, no answer, nothing
there any more, a word with how often it goes on. As in promtool ``axn`` is *a* and *n* more of it, ``_xn``
is *n* times no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from watchdog.units import Unit, parse_number

MOST_POINTS = 100_000
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+|\d+(?:\.\d+)?%")
_FIGURE = rf"(?:{_SPAN.pattern}|{_NUMBER})"
_EXPANDING = re.compile(
    rf"(?P<first>[-+]?{_FIGURE})(?:(?P<sign>[-+])(?P<step>{_FIGURE}))?(?:x(?P<more>\d+))?"
)
_BLANK = re.compile(r"_(?:x(\d+))?")
_WORD = re.compile(r"""(?P<quote>['"])(?P<word>.*?)(?P=quote)(?:x(?P<more>\d+))?""")
_TOKEN = re.compile(r"""(?:'[^']*'|"[^"]*")\S*|\S+""")
_PLAIN = re.compile(r"[A-Za-z][\w.-]*")
_SERIES = re.compile(r"\s*(?P<name>[^{}]+?)\s*(?:\{(?P<labels>.*)\})?\s*", re.DOTALL)
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')


class Mark(Enum):
    """What can be drawn in the place of a value."""

    NO_ANSWER = "_"
    STALE = "stale"


Point = float | str | Mark


def parse_values(text: str) -> list[Point]:
    """Return what is drawn; raise ValueError with the cure if it cannot be read."""
    points: list[Point] = []
    for token in _TOKEN.findall(text):
        points += _points(token, MOST_POINTS - len(points))
    return points


def _points(token: str, room: int) -> list[Point]:
    if token == Mark.STALE.value:
        return [Mark.STALE]
    if (blank := _BLANK.fullmatch(token)) is not None:
        return [Mark.NO_ANSWER] * _bounded(int(blank[1] or 1), token, room)
    if (word := _WORD.fullmatch(token)) is not None:
        return [word["word"]] * _bounded(int(word["more"] or 0) + 1, token, room)
    if (drawn := _EXPANDING.fullmatch(token)) is not None:
        count = _bounded(int(drawn["more"] or 0) + 1, token, room)
        first, step = _number(drawn["first"]), _number(drawn["step"] or "0")
        step = -step if drawn["sign"] == "-" else step
        return [first + i * step for i in range(count)]
    if _PLAIN.fullmatch(token):
        return [token]
    raise ValueError(
        f"\"{token}\" cannot be drawn (write 5, 0+60x10, _, _x3, stale, or a word such as 'ok'x3)"
    )


def _number(text: str) -> float:
    sign = -1.0 if text.startswith("-") else 1.0
    bare = text.lstrip("+-")
    return sign * parse_number(bare, Unit.ANY)


def _bounded(count: int, token: str, room: int) -> int:
    if count > room:
        raise ValueError(f'"{token}" draws more than {MOST_POINTS:,} values (draw fewer)')
    return count


@dataclass(frozen=True, slots=True)
class SeriesName:
    """A series as it is written: ``execution.executions.age`` or ``executions.age{service="execution"}``."""

    service: str | None
    kind: str
    measure: str
    labels: Mapping[str, str]


def parse_series(text: str, kinds: Mapping[str, object], services: Mapping[str, object]) -> SeriesName:
    """Return the series that *text* names; raise ValueError with the cure if it names none."""
    found = _SERIES.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no series (write executions.age{{service="execution"}})')
    labels = dict(_labels(found["labels"] or "", text))
    service, name = labels.pop("service", None), found["name"]
    kind, _, measure = name.partition(".")
    if kind not in kinds or not measure:
        inner = [s for s in services if name.startswith(f"{s}.") and service in (None, s)]
        service = max(inner, key=len, default=service)
        if inner:
            kind, _, measure = name[len(service or "") + 1 :].partition(".")
    if not measure:
        raise ValueError(f'"{text}" names no measure (write executions.age{{service="execution"}})')
    return SeriesName(service, kind, measure, labels)


def _labels(text: str, whole: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        label = _LABEL.match(text, at)
        if label is None:
            raise ValueError(f'the labels of "{whole}" cannot be read (write {{service="execution"}})')
        yield label[1], re.sub(r"\\(.)", r"\1", label[2])
        at = label.end()
