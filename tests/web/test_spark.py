"""Sparklines and state strips: what is drawn, what is left open, and the same in words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.drawn import T0, ids, minutes, rows
from watchdog.report import Status
from watchdog.trends import Line
from watchdog.units import Unit
from watchdog.web.pages.spark import COLUMNS, HEIGHT, WIDTH, Spark, spark_of
from watchdog.web.pages.strip import COLUMNS as STRIP
from watchdog.web.pages.strip import strip_of

BOTTOM, TOP = HEIGHT - 1.5, 1.5
Point = float | None


def line_of(points: str) -> Line:
    """Return the line with *points*, a minute each; ``_`` is one in which nothing is known."""
    found = tuple(None if point == "_" else float(point) for point in points.split())
    return Line(T0, minutes(1), found)


def drawn(points: str, *, counts: bool = True, threshold: float | None = None) -> Spark:
    """Return the sparkline of *points*."""
    spark = spark_of(line_of(points), Unit.NUMBER, counts=counts, threshold=threshold)
    assert spark is not None
    return spark


def heights(spark: Spark) -> list[list[float]]:
    """Return the heights of the line's stretches, as they stand in its path."""
    stretches = spark.line.replace("h.1", "").split("M")[1:]
    return [[float(point.split()[1]) for point in run.strip().split("L")] for run in stretches]


SEEN = """
  points, a minute each | stretches of the line, 0 at the bottom, 1 at the top
  0 0 0 0               | 0 0 0 0
  0 1 2 4               | 0 0.25 0.5 1
  4 4 4 4               | 1 1 1 1
  2 _ 0 4               | 0.5, 0 1
  _ 3 _ _               | 1
  _ _ _ _               | -
"""


@pytest.mark.parametrize(("points", "expected"), rows(SEEN), ids=ids(SEEN))
def test_what_is_counted_stands_on_zero(points: str, expected: str) -> None:
    """Nothing happened is a line at the bottom, unknown is no line at all: the two can be told apart."""
    spark = drawn(points)
    found = [[round((BOTTOM - y) / (BOTTOM - TOP), 2) for y in run] for run in heights(spark)]
    assert (", ".join(" ".join(f"{y:g}" for y in run) for run in found) or "-") == expected
    assert bool(spark.unknown) == ("_" in points)


def test_unknown_is_a_band_of_its_own() -> None:
    """Where minutes are missing a band says so, as long as they are, at the place where they are."""
    spark = drawn("1 _ _ 1 1 1 1 1 1 _")
    assert [(band.x, band.width) for band in spark.unknown] == [(WIDTH * 0.1, WIDTH * 0.2), (WIDTH * 0.9, 12)]


def test_one_burst_in_three_hours_is_seen() -> None:
    """180 minutes are drawn as 60 points, each the highest of its three."""
    spark = drawn(" ".join(["0"] * 100 + ["7"] + ["0"] * 79))
    [run] = heights(spark)
    assert (len(run), min(run), run.count(TOP)) == (COLUMNS, TOP, 1)


def test_one_unknown_minute_in_three_hours_is_seen() -> None:
    """A minute in which nobody could look leaves its mark although the points beside it are known."""
    spark = drawn(" ".join(["5"] * 100 + ["_"] + ["5"] * 79))
    assert len(spark.unknown) == 1
    assert len(heights(spark)) == 1


SCALES = """
  points      | threshold | lowest is drawn at | threshold is drawn
  90 95 100   | -         | bottom             | no
  99 100 100  | -         | above              | no
  90 95 100   | 120       | bottom             | yes
  90 95 100   | 2000      | bottom             | no
  90 95 100   | 50        | above              | yes
  0 0 0       | 10        | bottom             | no
"""


@pytest.mark.parametrize(("points", "threshold", "lowest", "marked"), rows(SCALES), ids=ids(SCALES))
def test_scale_of_a_value(points: str, threshold: str, lowest: str, marked: str) -> None:
    """A value fills the height, but noise is no mountain; the threshold is drawn where it is in sight."""
    spark = drawn(points, counts=False, threshold=None if threshold == "-" else float(threshold))
    assert ("bottom" if max(heights(spark)[0]) == BOTTOM else "above") == lowest
    assert ("no" if spark.mark is None else "yes") == marked


WORDS = """
  points        | counts | words
  0 42 7 0      | yes    | 0 to 42 a minute, now 0, in the last 4m
  0 0 0 0       | yes    | always 0 a minute, in the last 4m
  5 5 _ 5       | no     | always 5, in the last 4m, unknown for 1m
  1 2 _ _       | no     | 1 to 2, now unknown, in the last 4m, unknown for 2m
  _ _ _ _       | yes    | unknown throughout the last 4m
"""


@pytest.mark.parametrize(("points", "counts", "words"), rows(WORDS), ids=ids(WORDS))
def test_a_sparkline_in_words(points: str, counts: str, words: str) -> None:
    """Who cannot see it is told range, present value, time, and for how long it is unknown."""
    assert drawn(points, counts=counts == "yes").words == words


@settings(max_examples=60, deadline=None)
@given(some.lists(some.none() | some.floats(-1e12, 1e12), min_size=1, max_size=200), some.booleans())
def test_nothing_is_drawn_outside(points: list[Point], counts: bool) -> None:
    """Whatever was measured, the line stays within its frame, and unknown alone makes bands."""
    spark = spark_of(Line(T0, minutes(1), tuple(points)), Unit.NUMBER, counts=counts)
    assert spark is not None
    assert all(0 <= y <= HEIGHT for run in heights(spark) for y in run)
    assert bool(spark.unknown) == (None in points)
    assert bool(spark.line) == any(point is not None for point in points)


def test_no_points_make_no_sparkline() -> None:
    """Where nothing is kept nothing is drawn."""
    assert spark_of(Line(T0, minutes(1), ()), Unit.NUMBER, counts=True) is None


# ---- the strip ---------------------------------------------------------------------------------

STRIPS = """
  a sign an hour: o ok, w warning, c critical, u unknown, _ nobody looked | the strip, in quarters of an hour
  oooooooooooooooooooooooo | ok 360
  ooooooooooooccoooooooooo | ok 180, critical 30, ok 150
  oooo____oooooooooooooooo | ok 60, - 60, ok 240
  oooouuuuwwwwcccc________ | ok 60, unknown 60, warning 60, critical 60, - 120
"""
SIGNS = {"o": Status.OK, "w": Status.WARNING, "c": Status.CRITICAL, "u": Status.UNKNOWN}


@pytest.mark.parametrize(("hours", "expected"), rows(STRIPS), ids=ids(STRIPS))
def test_a_day_in_a_strip(hours: str, expected: str) -> None:
    """Every state has its stretch; what nobody looked at is open, and not as it was before."""
    spans = [
        (T0 + timedelta(hours=i), T0 + timedelta(hours=i + 1), SIGNS[sign])
        for i, sign in enumerate(hours)
        if sign != "_"
    ]
    strip = strip_of(spans, T0, T0 + timedelta(hours=24))
    assert ", ".join(f"{s.status or '-'} {s.width}" for s in strip.stretches) == expected
    assert [s.x for s in strip.stretches] == [
        sum(s.width for s in strip.stretches[:i]) for i in range(len(strip.stretches))
    ]


def test_five_critical_seconds_of_a_day_are_seen() -> None:
    """However short it was, what was worst has a column of its own, and says how long it was."""
    begin = T0 + timedelta(hours=11, minutes=1)
    spans = [
        (T0, begin, Status.OK),
        (begin, begin + timedelta(seconds=5), Status.CRITICAL),
        (begin + timedelta(seconds=5), T0 + timedelta(hours=24), Status.OK),
    ]
    strip = strip_of(spans, T0, T0 + timedelta(hours=24))
    [bad] = [s for s in strip.stretches if s.status is Status.CRITICAL]
    assert (bad.width, bad.words) == (1, "critical from Thu 12:01 to Thu 12:01, for 5s")
    assert strip.words == "In the last 1d: critical for 5s, ok for 23h 59m"


def test_what_is_worst_has_every_column_it_touches() -> None:
    """Two critical minutes across the border of two columns (of four minutes each) are seen in both."""
    end = T0 + timedelta(hours=24)
    strip = strip_of([(T0 + minutes(3), T0 + minutes(5), Status.CRITICAL)], T0, end)
    assert [(s.status, s.width) for s in strip.stretches][:2] == [(Status.CRITICAL, 2), (None, STRIP - 2)]


def test_a_restart_is_no_gap_but_an_hour_is() -> None:
    """Two seconds without the sidecar leave the strip whole; an hour is open and named."""
    hour = timedelta(hours=1)
    spans = [
        (T0, T0 + hour, Status.OK),
        (T0 + hour + timedelta(seconds=2), T0 + 5 * hour, Status.OK),
        (T0 + 5 * hour, T0 + 6 * hour, None),
        (T0 + 6 * hour, T0 + 24 * hour, Status.OK),
    ]
    strip = strip_of(spans, T0, T0 + 24 * hour)
    assert [(s.status, s.width) for s in strip.stretches] == [(Status.OK, 75), (None, 15), (Status.OK, 270)]
    assert strip.stretches[1].words == "nobody looked from Thu 06:00 to Thu 07:00, for 1h"
    assert strip.words == "In the last 1d: ok for 22h 59m, nobody looked for 1h"


def test_a_service_that_flaps_makes_no_endless_page() -> None:
    """A change a second for a day is no more than a stretch a column."""
    begin = T0 + timedelta(hours=1)
    spans = [
        (
            begin + timedelta(seconds=i),
            begin + timedelta(seconds=i + 1),
            Status.CRITICAL if i % 2 else Status.OK,
        )
        for i in range(2_000)
    ]
    strip = strip_of(spans, T0, T0 + timedelta(hours=24))
    assert len(strip.stretches) <= STRIP
    [bad] = [s for s in strip.stretches if s.status is Status.CRITICAL]
    assert bad.words.endswith("for 16m 40s, 1000 times")


def test_the_hours_stand_under_the_strip() -> None:
    """A day is divided by its hours, two weeks by their days."""
    day = strip_of([], T0, T0 + timedelta(days=1))
    fortnight = strip_of([], T0, T0 + timedelta(days=14))
    assert day.marks == ("01:00", "07:00", "13:00", "19:00", "now")
    assert fortnight.marks == ("19 Feb", "22 Feb", "26 Feb", "1 Mar", "now")
    assert day.words == "In the last 1d: nobody looked for 1d"
