"""How long a silence usually is, learnt from when things happened."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import ids, rows
from watchdog.rhythm import (
    APART,
    DAY,
    FADE,
    GAPS,
    HOUR,
    LEAST,
    LONGEST,
    OVERDUE,
    SPAN,
    STEPS,
    WEEK,
    Rhythm,
    margin,
    step,
)

MINUTE = 60.0
MONDAY = 1771200000.0  # 2026-02-16T00:00:00Z
assert MONDAY % WEEK == 4 * DAY  # the epoch was a Thursday
LENGTHS = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}


def length(text: str) -> float:
    """Return ``90m`` in seconds."""
    return float(text[:-1]) * LENGTHS[text[-1]]


def lived(moments: Iterable[float]) -> Rhythm:
    """Return what is learnt of things that happened at *moments*."""
    first, *more = moments
    rhythm = Rhythm(first)
    for at in more:
        rhythm.learn(at)
    return rhythm


def every(gap: float, span: float, begin: float = MONDAY) -> list[float]:
    """Return moments so far apart, over so long a time."""
    return [begin + i * gap for i in range(int(span / gap) + 1)]


def on_days(*hours: float, weeks: int, days: int = 7) -> list[float]:
    """Return moments at the same *hours* of each of the first *days* of every week."""
    return [
        MONDAY + week * WEEK + day * DAY + hour * HOUR
        for week in range(weeks)
        for day in range(days)
        for hour in hours
    ]


# ---- enough ------------------------------------------------------------------------------------

ENOUGH = """
  every | for | is usual
  2m    | 6d  | -
  2m    | 8d  | 5m
  20m   | 6d  | -
  20m   | 7d  | 20m
  12h   | 9d  | -
  12h   | 10d | 16.0h
  12h   | 8w  | 12h
  7d    | 8w  | -
"""


@pytest.mark.parametrize(("gap", "span", "usual"), rows(ENOUGH), ids=ids(ENOUGH))
def test_what_is_enough(gap: str, span: str, usual: str) -> None:
    """Twenty gaps, a week, and four times the longest; what few gaps cannot tell is added, `LEAST` is the least."""
    found = lived(every(length(gap), length(span))).usual(MONDAY + length(span))
    assert found == (None if usual == "-" else pytest.approx(length(usual), rel=0.08))


def test_the_margin_shrinks_with_what_is_known() -> None:
    """Twice of what is left is, at random, passed about once in a hundred months."""
    assert [round(margin(n), 2) for n in (4, 20, 60, 150, 20_000)] == [2.3, 1.33, 1.11, 1.0, 1.0]


def test_bursts_do_not_make_it_impatient() -> None:
    """A hundred in a second, once an hour: the hour is what is usual."""
    moments = [at + i / 100 for at in every(HOUR, 8 * DAY) for i in range(100)]
    assert lived(moments).usual(moments[-1]) == pytest.approx(HOUR, rel=0.01)


# ---- what teaches nothing ----------------------------------------------------------------------


def test_an_outage_teaches_nothing() -> None:
    """Two minutes were usual, then nothing for a day: two minutes are usual."""
    moments = every(2 * MINUTE, 8 * DAY)
    rhythm = lived(moments)
    for at in every(2 * MINUTE, DAY, moments[-1] + DAY):
        rhythm.learn(at)
    assert rhythm.usual(rhythm.last) == LEAST


SCHEDULES = """
  before | then, every | times | is usual
  2m     | 1h          | 1     | 5m
  2m     | 1h          | 12    | 5m
  2m     | 1h          | 13    | 1h
  2m     | 9m          | 1     | 9m
  20m    | 1d          | 2     | 20m
  20m    | 1d          | 3     | 1d
  20m    | 60d         | 9     | 20m
"""


@pytest.mark.parametrize(("before", "then", "times", "usual"), rows(SCHEDULES), ids=ids(SCHEDULES))
def test_a_new_schedule_is_learnt(before: str, then: str, times: str, usual: str) -> None:
    """With the third overdue silence, each six hours after the one before, and all within four weeks."""
    moments = every(length(before), 8 * DAY)
    rhythm = lived([*moments, *every(length(then), length(then) * int(times), moments[-1])[1:]])
    found = max(LEAST, rhythm.longest, rhythm.before)
    assert found == pytest.approx(length(usual), rel=0.01)


def test_one_bad_night_is_no_schedule() -> None:
    """Ten silences of half an hour within five hours: an outage that comes and goes."""
    moments = every(2 * MINUTE, 8 * DAY)
    rhythm = lived([*moments, *every(30 * MINUTE, 5 * HOUR, moments[-1])[1:]])
    assert rhythm.usual(rhythm.last) == LEAST
    assert APART > 5 * HOUR


@pytest.mark.parametrize("jump", [-DAY, -FADE, 40 * DAY], ids=["a day back", "a month back", "ahead"])
def test_a_clock_that_steps_does_no_harm(jump: float) -> None:
    """Nothing is learnt of the step, and what comes after it is learnt."""
    moments = every(20 * MINUTE, 8 * DAY)
    rhythm = lived(moments)
    for at in every(20 * MINUTE, 8 * DAY, moments[-1] + jump):
        rhythm.learn(at)
    assert (rhythm.usual(rhythm.last), rhythm.longest) == (20 * MINUTE, 20 * MINUTE)


def test_what_nobody_knows_is_no_gap() -> None:
    """Of the time between, entries may have come and gone."""
    rhythm = lived(every(20 * MINUTE, 8 * DAY))
    rhythm.pass_over(rhythm.last + HOUR)
    rhythm.learn(rhythm.last + 20 * MINUTE)
    assert rhythm.longest == 20 * MINUTE


def test_what_was_long_ago_fades() -> None:
    """An hour's silence is known for four weeks at least, and for eight at most."""
    moments = [*every(HOUR, 10 * DAY), *every(20 * MINUTE, 10 * WEEK, MONDAY + 10 * DAY)[1:]]
    rhythm, known = Rhythm(MONDAY), []
    for at in moments[1:]:
        rhythm.learn(at)
        if rhythm.usual(at) == HOUR:
            known.append(at)
    assert 4 * WEEK <= known[-1] - (MONDAY + 10 * DAY) <= 8 * WEEK


# ---- by hour of week ---------------------------------------------------------------------------

BY_HOUR = """
  weeks | on            | is usual
  1     | tue 12:30     | -
  3     | tue 03:00     | 12h
  3     | tue 12:30     | 5m
  3     | sat 12:30     | 21h
  3     | tue 17:30     | 2h
  3     | tue 08:30     | 16h
"""
DAYS = {"mon": 0, "tue": 1, "wed": 2, "sat": 5}


@pytest.mark.parametrize(("weeks", "on", "usual"), rows(BY_HOUR), ids=ids(BY_HOUR))
def test_the_hour_of_week_tells(weeks: str, on: str, usual: str) -> None:
    """Every four minutes from 9 to 17 on workdays: a night is long, noon is not, an hour either way is allowed."""
    minutes = [9 + i / 15 for i in range(8 * 15)]
    rhythm = lived(on_days(*minutes, weeks=int(weeks), days=5))
    day, _, clock = on.partition(" ")
    hour, _, minute = clock.partition(":")
    at = MONDAY + int(weeks) * WEEK + DAYS[day] * DAY + int(hour) * HOUR + int(minute) * MINUTE
    found = rhythm.usual(at)
    assert found == (None if usual == "-" else pytest.approx(length(usual), rel=0.08))


def test_an_hour_later_in_winter_is_usual() -> None:
    """Clocks change: what came at nine comes at ten by ours, and is overdue neither that morning nor later."""
    minutes = [9 + i / 15 for i in range(8 * 15)]
    rhythm = lived(on_days(*minutes, weeks=4, days=5))
    monday = MONDAY + 4 * WEEK
    for morning in range(5):
        for at in (9.5, 9.99, 10.01):
            now = monday + morning * DAY + at * HOUR
            usual = rhythm.usual(now)
            assert usual is not None
            assert now - rhythm.last < OVERDUE * usual
        for hour in minutes:
            rhythm.learn(monday + morning * DAY + (hour + 1) * HOUR)


def test_who_acts_at_random_has_no_hours() -> None:
    """Once a day, each day at another time: forecasts by the hour fail, and the longest silence counts."""
    moments = [MONDAY + day * DAY + (day * day % 24) * HOUR for day in range(56)]
    rhythm = lived(moments)
    assert rhythm.week is not None
    assert rhythm.week.doubt > OVERDUE
    assert {rhythm.usual(rhythm.last + i * HOUR) for i in range(168)} == {rhythm.usual(rhythm.last)}


# ---- whatever happens --------------------------------------------------------------------------

GAP = st.one_of(
    st.floats(0.001, 60),
    st.floats(60, HOUR),
    st.floats(HOUR, 3 * DAY),
    st.sampled_from([2 * MINUTE, 16 * HOUR, 64 * HOUR, 30 * DAY]),
)
LIVES = st.lists(st.tuples(GAP, st.integers(1, 6)), min_size=1, max_size=8)


def moments_of(life: list[tuple[float, int]], begin: float = MONDAY) -> list[float]:
    """Return what happens every half a day for ten days, and then with each of the gaps of *life* so many times."""
    gaps = [12 * HOUR] * GAPS + [gap for gap, times in life for _ in range(times)]
    return list(accumulate(gaps, initial=begin))


@settings(deadline=None, max_examples=40)
@given(life=LIVES)
def test_no_silence_of_lately_is_called_overdue(life: list[tuple[float, int]]) -> None:
    """Unless it was set aside: never is less usual than the longest of the last four weeks at that hour."""
    rhythm, learnt = Rhythm(MONDAY), list[tuple[float, float]]()
    for begin, end in pairwise(moments_of(life)):
        aside = rhythm.aside, rhythm.aside_at
        overdue = rhythm._overdue(begin, end)
        rhythm.learn(end)
        if not overdue or (aside[0] and not rhythm.aside):
            learnt.append((begin, end))
    for begin, end in learnt:
        if end < rhythm.last - FADE:
            continue
        for at in (end, (begin + end) / 2):
            # Asked the same hour of the week again, now.
            again = at + ((rhythm.last - at) // WEEK + 1) * WEEK
            usual = rhythm.usual(again)
            assert usual is None or usual >= (at - begin) * 0.999


@settings(deadline=None, max_examples=25)
@given(life=LIVES, more=LIVES)
def test_what_is_kept_goes_on_the_same(life: list[tuple[float, int]], more: list[tuple[float, int]]) -> None:
    """A process that takes over learns and tells what the one before would have."""
    rhythm = lived(moments_of(life))
    other = Rhythm.of(rhythm.state())
    assert other.state() == rhythm.state()
    for at in moments_of(more, rhythm.last)[1:]:
        for one in (rhythm, other):
            one.learn(at)
    mine, its = rhythm.usual(rhythm.last), other.usual(other.last)
    assert mine == its or mine == pytest.approx(its, rel=0.09)  # a millisecond may be another step


@settings(deadline=None, max_examples=25)
@given(life=LIVES)
def test_it_stays_small(life: list[tuple[float, int]]) -> None:
    """However much happened: some numbers, and two bytes for each hour of the week where it was ever silent."""
    rhythm = lived(moments_of(life))
    parts = [getattr(rhythm, name) for name in Rhythm.__slots__ if name != "week"]
    size = sys.getsizeof(rhythm) + sum(map(sys.getsizeof, parts))
    assert size < 450
    assert len(rhythm.state()) < (1_000 if rhythm.week else 200)
    if rhythm.week is not None:
        assert len(rhythm.week.seen) == len(rhythm.week.before) == 168


def test_a_byte_is_never_less_than_what_it_stands_for() -> None:
    """And at most 8 % more."""
    for seconds in (0.0001, 0.1, 0.1001, 5, 59.99, HOUR, 64 * HOUR, 300 * DAY):
        assert seconds <= STEPS[step(seconds)] <= max(0.11, seconds * 1.0801)


BROKEN = ["", "[]", "{}", '{"numbers":[1]}', '{"numbers":[0,0,0,0,0,0,0,0,"x"]}', '{"numbers":[NaN,0,0,0,0,0,0,0,0]}',
          '{"numbers":[0,0,0,0,0,0,0,0,0],"week":{"numbers":[0,0,0,0],"hours":["AA==","AA=="]}}']  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_memory_is_refused(text: str) -> None:
    """The keeper says so and goes on without it."""
    with pytest.raises((LookupError, TypeError, ValueError)):
        Rhythm.of(text)


def test_the_constants_are_those_of_the_page() -> None:
    """docs/explanation/learned-silence.md names them."""
    assert (GAPS, SPAN, LONGEST, OVERDUE) == (20, WEEK, 4, 2)
