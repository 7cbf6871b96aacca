"""The curves: a point a minute, unknown where nobody looked, in bounded room, over restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import T0, ids, minutes, rows
from watchdog.history import History
from watchdog.model import AtLeast, Counted, Labels, Reading, SignalKey, Since
from watchdog.report import snapshot
from watchdog.trends import LINES, MOST_LINES, POINTS, SPAN, STEP, Trends

KEY = SignalKey("shop", "stream", Labels(key="orders"))
BEGAN = T0 - timedelta(hours=1)


def of(key: SignalKey, at: float, gained: float = 0, **values: Any) -> Reading:
    """Return a reading of *key*, *at* so many minutes after `T0`, with what `added` gained."""
    now = T0 + minutes(at)
    counts = {("added", ""): Counted(BEGAN, ((now, gained),) if gained else ())}
    return Reading(key, now, values, counts)


@dataclass
class Eyes:
    """Looks and takes the points, as a sidecar does; `asked` are the counters that rules ask for."""

    trends: Trends = field(default_factory=Trends)
    asked: frozenset[tuple[str, str]] | None = frozenset()
    keys: Sequence[SignalKey] = (KEY,)

    def __post_init__(self) -> None:
        self.history = History(timedelta(hours=1), asked=self.asked)
        self.trends.watch(self.keys)

    def look(self, at: float, *readings: Reading) -> None:
        """Take in *readings*, *at* so many minutes after `T0`."""
        self.history = self.history.add(readings)
        figures: dict[SignalKey, Any] = dict.fromkeys(self.keys, ())
        shot = snapshot(self.history, {}, T0 + minutes(at), figures=figures, services={}, needs={})
        self.trends.add(shot)

    def shown(self, measure: str, count: int, key: SignalKey = KEY) -> str:
        """Return the last points as they are drawn."""
        line = self.trends.line(key, measure)
        points = (None,) * count if line is None else line.points[-count:]
        return " ".join("." if point is None else f"{point:g}" for point in points)


GAINS = """
  gained, minute by minute | points
  3 0 5 2                  | 3 0 5 2
  3 _ 5 2                  | 3 . . 2
  3 _ _ _ 2 1              | 3 . . . . 1
  3 x 5 2                  | 3 . . 2
  3 = = 2                  | 3 0 0 2
  3 4 ! 2                  | 3 4 . 2
"""


@pytest.mark.parametrize(("gained", "points"), rows(GAINS), ids=ids(GAINS))
def test_a_counter_is_what_it_gained_in_each_minute(gained: str, points: str) -> None:
    """
    `_` nobody looked, `x` the look failed, `=` nothing new was said, `!` the counting began anew.

    What was gained while nobody looked belongs to no minute.
    """
    eyes = Eyes()
    eyes.look(-0.9, of(KEY, -0.9))
    eyes.look(0.05, of(KEY, 0.05))
    for number, sign in enumerate(gained.split()):
        at = number + 0.8
        if sign == "!":
            eyes.history.drop([KEY])
        if sign == "x":
            eyes.look(at, Reading(KEY, T0 + minutes(at), trouble="no answer"))
        elif sign in "!=":
            eyes.look(at, *([of(KEY, at)] if sign == "!" else []))
        elif sign != "_":
            eyes.look(at, of(KEY, at, float(sign)))
        if sign != "_":
            eyes.look(number + 1.05)
    assert points == eyes.shown("added", len(points.split()))


VALUES = """
  length, minute by minute | points
  7 8 9                    | 7 8 9
  7 = =                    | 7 7 7
  7 _ 9                    | 7 . 9
  7 x x 9                  | 7 . . 9
  7 ? 9                    | 7 . 9
  >7 9                     | 7 9
"""


@pytest.mark.parametrize(("lengths", "points"), rows(VALUES), ids=ids(VALUES))
def test_a_value_is_what_it_was_at_the_end_of_each_minute(lengths: str, points: str) -> None:
    """`_` nobody looked, `x` the look failed, `=` nothing new, `?` it is unknown, `>` a lower bound."""
    eyes = Eyes()
    eyes.look(0)
    for number, sign in enumerate(lengths.split()):
        at = number + 0.9
        if sign == "_":
            continue
        if sign == "x":
            eyes.look(at, Reading(KEY, T0 + minutes(at), trouble="no answer"))
        elif sign == "?":
            eyes.look(at, Reading(KEY, T0 + minutes(at), {"length": None}))
        elif sign != "=":
            number_ = float(sign.lstrip(">"))
            eyes.look(at, of(KEY, at, length=AtLeast(number_) if sign[0] == ">" else number_))
        eyes.look(number + 1)
    assert points == eyes.shown("length", len(points.split()))


def test_an_age_grows_while_the_signal_says_nothing() -> None:
    """A reading that holds is not a value that stands still."""
    eyes = Eyes()
    eyes.look(0, of(KEY, 0, age=Since((T0 - minutes(1)).timestamp())))
    for minute in (1, 2, 3):
        eyes.look(minute)
    assert eyes.shown("age", 4) == ". 120 180 240"


CLOCKS = """
  minute of each look    | points
  0 1 2 3                | 1 2 3
  0 1 2 5                | 2 . . 5
  0 1 2 3 1 2 3          | . 1 2 3
  0 1 2 3 2.9 3 4        | 1 2 3 4
  0 1 2 -500 -499 -498   | . -499 -498
  0 1 2 900 901          | . 900 901
"""


@pytest.mark.parametrize(("looks", "points"), rows(CLOCKS), ids=ids(CLOCKS))
def test_a_clock_that_is_set_leaves_no_point_in_the_future(looks: str, points: str) -> None:
    """A moment back is waited for; further back, what lies ahead is forgotten; what was skipped is unknown."""
    eyes = Eyes()
    for minute in map(float, looks.split()):
        eyes.look(minute, of(KEY, minute, length=minute))
    shown = eyes.shown("length", POINTS).split()
    assert points.split() == shown[-len(points.split()) :]
    line = eyes.trends.line(KEY, "length")
    assert line is not None
    end = line.start + POINTS * line.step
    assert end == T0 + minutes(float(looks.rsplit(maxsplit=1)[-1]))


def test_a_clock_corrected_by_a_moment_costs_no_point() -> None:
    """The minute it comes back to is counted already."""
    eyes = Eyes()
    for minute, gained in ((0, 0), (1, 2), (2, 3), (1.9, 0), (2.2, 0), (2.9, 4), (3, 0)):
        eyes.look(minute, of(KEY, minute, gained))
    assert eyes.shown("added", 3) == ". 3 4"


def test_all_lines_are_of_one_length_and_say_when() -> None:
    """So that the curves of a page stand beneath one another; what is not kept has none."""
    eyes = Eyes()
    eyes.look(0, of(KEY, 0, length=1.0))
    eyes.look(1.01)
    line = eyes.trends.line(KEY, "length")
    assert line is not None
    assert (line.start, line.step, len(line.points)) == (T0 + minutes(1) - SPAN, STEP, POINTS)
    assert eyes.trends.line(KEY, "retained") is None
    assert eyes.trends.line(KEY, "age") is None, "no point of it is known"
    assert eyes.trends.line(SignalKey("other", "stream", Labels()), "length") is None


def test_the_points_of_a_slow_watchdog_lie_further_apart() -> None:
    """With a look a minute every other point would be unknown by chance."""
    eyes = Eyes(Trends(every=minutes(5)))
    for look in range(7):
        eyes.look(5 * look + 0.01, of(KEY, 5 * look, 2))
    line = eyes.trends.line(KEY, "added")
    assert line is not None
    assert (line.step, line.points[-3:]) == (minutes(10), (None, 4.0, 4.0))


def test_the_first_look_brings_what_the_source_remembers() -> None:
    """A counter that rules ask for has its steps in the history; an older point than that is unknown."""
    eyes = Eyes(asked=None)
    steps = tuple((T0 - minutes(back), 1.0) for back in (4.5, 2.5, 2.4, 0.5))
    eyes.look(0.5, Reading(KEY, T0, {}, {("added", ""): Counted(T0 - minutes(5), steps)}))
    assert eyes.shown("added", 6) == ". 1 0 2 0 1"
    eyes.look(1.1, of(KEY, 0.9, 7))
    assert eyes.shown("added", 3) == "0 1 7"


def test_what_is_first_seen_later_is_filled_in_as_well() -> None:
    """A log that answers late has its curve, too."""
    eyes = Eyes(asked=None)
    eyes.look(0)
    late = Reading(KEY, T0, {}, {("added", ""): Counted(T0 - minutes(3), ((T0 - minutes(1.5), 5.0),))})
    eyes.look(0.5, late)
    eyes.look(1)
    assert eyes.shown("added", 5) == ". 0 5 0 0"


# ---- room --------------------------------------------------------------------------------------


def test_room_is_bounded_and_the_first_come_first() -> None:
    """Of 5,000 streams and groups those beyond the bound have no lines; one that goes makes room."""
    keys = [SignalKey("s", kind, Labels(n=str(n))) for n in range(5_000) for kind in ("stream", "consumes")]
    trends = Trends()
    trends.watch([KEY])
    trends.watch(keys)
    assert MOST_LINES - 5 < len(trends) <= MOST_LINES
    full = len(trends)
    trends.drop(keys[:1])
    assert len(trends) == full - len(LINES["stream"])
    trends.watch(keys)
    assert len(trends) == full
    trends.add(snapshot(History(STEP), {}, T0, figures={}, services={}, needs={}))
    trends.add(snapshot(History(STEP), {}, T0 + STEP, figures={}, services={}, needs={}))
    assert sum(len(row) for row in trends._rows) <= POINTS * MOST_LINES


def test_who_takes_the_room_of_another_does_not_have_its_past() -> None:
    """The points of a stream that is gone are gone."""
    other = SignalKey("other", "stream", Labels(key="other"))
    eyes = Eyes(keys=(KEY, other))
    eyes.look(0, of(KEY, 0, length=5.0), of(other, 0, length=8.0))
    eyes.look(1)
    eyes.trends.drop([KEY])
    new = SignalKey("new", "stream", Labels(key="new"))
    eyes.trends.watch([new])
    assert eyes.trends.line(new, "length") is None
    assert eyes.shown("length", 2, other) == ". 8"


# ---- over a restart ----------------------------------------------------------------------------


def test_a_restart_keeps_the_picture_and_shows_the_gap() -> None:
    """What was stays, what nobody saw is unknown; a signal that is no longer watched is left out."""
    gone = SignalKey("gone", "heartbeat", Labels(key="gone"))
    eyes = Eyes(keys=(gone, KEY))
    eyes.look(0, of(KEY, 0, length=1.0))
    for minute in (1, 2, 3):
        eyes.look(minute, of(KEY, minute, 10, length=minute))
    packed = eyes.trends.packed()
    again = Eyes()
    assert again.trends.unpack(packed)
    assert again.shown("length", 4) == ". 1 2 3"
    again.look(5.8, of(KEY, 5.8, length=5.0))
    again.look(6, of(KEY, 6, length=6.0))
    assert again.shown("length", 6) == "1 2 3 . . 6"
    assert again.shown("added", 6) == ". 10 10 . . ."


def test_the_sources_memory_fills_the_gap() -> None:
    """What a stream says of the time in which nobody looked is put there; what is known stays."""
    eyes = Eyes(asked=None)
    eyes.look(0, of(KEY, 0))
    for minute in (1, 2):
        eyes.look(minute, of(KEY, minute - 0.5, 10))
    again = Eyes(asked=None)
    again.trends.unpack(eyes.trends.packed())
    steps = ((T0 + minutes(1.5), 99.0), (T0 + minutes(3.5), 4.0))
    again.look(5.1, Reading(KEY, T0 + minutes(5), {}, {("added", ""): Counted(T0, steps)}))
    assert again.shown("added", 5) == "10 10 0 4 0"


DAMAGED: dict[str, Any] = {
    "nothing": {},
    "no points": {"points": None},
    "points that are no base64": {"points": "ä"},
    "points that are not packed": {"points": "AAAA"},
    "half the points": {"points": 0.5},
    "another step": {"step": 7},
    "another machine": {"order": "big or little"},
    "a number that is none": {"number": "x"},
    "signals that are none": {"signals": [["shop"]]},
    "a place outside": {"signals": [["shop", "stream", {"key": "orders"}, 10**9]]},
    "a place before": {"signals": [["shop", "stream", {"key": "orders"}, -2]]},
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_picture_that_cannot_be_read_is_left_out(change: dict[str, Any]) -> None:
    """It costs nothing but the picture: the lines begin anew."""
    eyes = Eyes()
    eyes.look(0, of(KEY, 0, length=1.0))
    eyes.look(1)
    packed = eyes.trends.packed()
    if change.get("points") == 0.5:
        change = {"points": packed["points"][: len(packed["points"]) // 2]}
    again = Eyes()
    assert not again.trends.unpack({**packed, **change} if change else {})
    again.look(5, of(KEY, 5, length=5.0))
    again.look(6)
    assert again.shown("length", 3) == ". . 5"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50)), min_size=1, max_size=40))
def test_no_more_is_shown_than_was_gained(steps: list[tuple[int, int]]) -> None:
    """Looks are so many minutes apart; where none is missed every gain has its minute."""
    eyes, at, gained = Eyes(), 0, 0
    eyes.look(0, of(KEY, 0))
    eyes.look(1)
    for passed, gain in steps:
        at += passed
        gained += gain
        eyes.look(at + 0.9, of(KEY, at + 0.9, gain))
        eyes.look(at + 1)
    line = eyes.trends.line(KEY, "added")
    shown = sum(point or 0.0 for point in line.points) if line is not None else 0.0
    if all(passed == 1 for passed, _ in steps):
        assert shown == gained
    else:
        assert shown <= gained
