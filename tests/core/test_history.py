"""The staircases of counters, and what a window over them tells."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.drawn import T0, minutes
from watchdog.conditions import look_up, parse_term
from watchdog.history import OTHER, VARIANTS, History
from watchdog.model import AtLeast, Counted, Labels, Reading, SignalKey
from watchdog.rulebook import CATALOGUE

KEY = SignalKey("s", "executions", Labels(stream="x"))


def history_of(*steps: tuple[float, float], since: float = -60) -> History:
    """Return a history whose counter `total` gained at the given minutes."""
    counted = Counted(T0 + minutes(since), tuple((T0 + minutes(at), by) for at, by in steps))
    return History(minutes(120)).add([Reading(KEY, T0, counts={("total", ""): counted})])


def test_a_covered_window_gives_the_increase() -> None:
    """Only what happened inside counts."""
    history = history_of((-30, 5), (-9, 2), (-1, 1))
    assert history.increase(KEY, "total", minutes(10), T0) == 3


def test_an_uncovered_window_gives_a_lower_bound() -> None:
    """History that begins inside the window proves only a part."""
    history = history_of((-1, 4), since=-5)
    assert history.increase(KEY, "total", minutes(10), T0) == AtLeast(4)


def test_no_history_is_unknown_and_not_zero() -> None:
    """A counter nobody looked at has no increase."""
    assert history_of((-1, 1)).increase(KEY, "offered", minutes(10), T0) is None


def test_nothing_happening_is_a_zero_once_it_is_covered() -> None:
    """Silence is a fact when it was watched."""
    assert history_of(since=-60).increase(KEY, "total", minutes(10), T0) == 0


def test_a_gap_in_watching_uncovers_the_window_again() -> None:
    """When entries came and went unseen, the window is only a lower bound until it has passed."""
    history = history_of((-30, 5))
    late = T0 + minutes(5)
    history.add([Reading(KEY, late, counts={("total", ""): Counted(late, ((late, 1.0),))})])
    assert history.increase(KEY, "total", minutes(10), late) == AtLeast(1.0)


def test_variants_are_bounded_and_the_rest_is_counted_together() -> None:
    """A reason that carries an order number must not eat the memory."""
    counts = {("reason", f"r{i:03}"): Counted(T0 - minutes(60), ((T0, 1.0),)) for i in range(VARIANTS * 2)}
    history = History(minutes(60))
    for series, counted in counts.items():
        history.add([Reading(KEY, T0, counts={series: counted})])
    told = dict(history.variants(KEY, "reason", minutes(10), T0))
    assert len(told) == VARIANTS + 1
    assert sum(told.values()) == VARIANTS * 2
    assert told[OTHER] > 1


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), max_size=60), st.floats(1, 30))
def test_a_window_equals_counting_by_hand(steps: list[tuple[float, int]], window: float) -> None:
    """Whatever comes in order, the increase is the sum of what lies inside, to the grain of a second."""
    ordered = sorted(steps)
    history = History(minutes(200), grain=timedelta(0))
    start = T0 - minutes(100)
    counted = tuple((start + minutes(at), float(by)) for at, by in ordered)
    history.add([Reading(KEY, T0, counts={("total", ""): Counted(start, counted)})])
    edge = (T0 - minutes(window)).timestamp()
    expected = sum(by for at, by in counted if at.timestamp() > edge)
    assert history.increase(KEY, "total", minutes(window), T0) == expected


def test_variants_of_long_ago_make_room_for_new_ones() -> None:
    """A reason that appears today has its name, however many there were last week."""
    history = History(minutes(60))
    for i in range(VARIANTS * 2):
        at = T0 - minutes(300)
        history.add([Reading(KEY, at, counts={("reason", f"old{i}"): Counted(at, ((at, 1.0),))})])
    history.add([Reading(KEY, T0, counts={("reason", "new"): Counted(T0, ((T0, 1.0),))})])
    assert history.variants(KEY, "reason", minutes(10), T0) == [("new", 1.0)]


def test_what_is_counted_together_is_no_top_reason() -> None:
    """A hundred different reasons are not one."""
    history = History(minutes(60))
    names = [f"r{i:03}" for i in range(VARIANTS * 4)]
    for name in names:
        history.add([Reading(KEY, T0, counts={("reason", name): Counted(T0, ((T0, 1.0),))})])
    total = {("total", ""): Counted(T0 - minutes(60), ((T0, float(len(names))),))}
    history.add([Reading(KEY, T0, counts=total)])
    terms = {
        name: parse_term("executions", name, "10m", CATALOGUE) for name in ("top_reason", "top_reason_share")
    }
    found = {name: look_up(term, KEY, measure, history, T0) for name, (term, measure) in terms.items()}
    assert found == {"top_reason": "r000", "top_reason_share": 1 / len(names)}
