"""Judging what can have changed says the same as judging everything, at every tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.drawn import T0
from watchdog.agenda import NEVER, Agenda
from watchdog.alerts import Alert, evaluate
from watchdog.conditions import parse_condition
from watchdog.history import History
from watchdog.judging import Judge, _Found, flips, questions_of
from watchdog.model import (
    AtLeast,
    Counted,
    Held,
    Labels,
    Reading,
    SignalKey,
    Since,
    counter,
    seconds,
    value,
    word,
)
from watchdog.rules import KNOWN, Binding, Offer, Rule, Severity, bind
from watchdog.units import parse_duration

MEASURES = {
    "group": {"age": seconds("age", grows=True), "lag": value("lag"), "verdict": word("verdict")},
    "stream": {"age": seconds("age", grows=True), "added": counter("added")},
}
"""Two kinds of signal with all there is to a resting one: what grows, what stands, words and counters."""
CATALOGUE = {**{kind: {**own, "known": KNOWN} for kind, own in MEASURES.items()}, "signal": {"known": KNOWN}}
GROUPS = [SignalKey("s", "group", Labels(group=name)) for name in "ab"]
STREAM = SignalKey("s", "stream", Labels(stream="x"))
KEYS = [*GROUPS, STREAM]
OPERATORS = [">", ">=", "<", "<=", "==", "!="]
COMPARISONS = st.one_of(
    st.builds("group.age {} {}s".format, st.sampled_from(OPERATORS), st.integers(0, 90)),
    st.builds("group.lag {} {}".format, st.sampled_from(OPERATORS), st.integers(0, 3)),
    st.sampled_from(["group.verdict == bad", "group.verdict != ok", "signal.known == 0", "group.known == 0"]),
    st.builds("stream.age {} {}s".format, st.sampled_from(OPERATORS), st.integers(0, 90)),
    st.builds(
        "stream.added[{}s] {} {}".format,
        st.sampled_from([20, 60]),
        st.sampled_from(OPERATORS),
        st.integers(0, 3),
    ),
)
HELD: st.SearchStrategy[dict[str, Held]] = st.fixed_dictionaries(
    {},
    optional={
        "age": st.none()
        | st.sampled_from([0.0, 10.0, 40.0])
        | st.builds(
            lambda ago, at_least: Since(T0.timestamp() - ago, at_least), st.integers(0, 90), st.booleans()
        ),
        "lag": st.none() | st.integers(0, 3).map(float) | st.integers(0, 3).map(lambda n: AtLeast(float(n))),
        "verdict": st.sampled_from(["ok", "bad"]),
    },
)


@dataclass(frozen=True)
class Tick:
    """So many seconds after the one before (the clock may be set back), with what is seen anew."""

    after: int
    seen: Mapping[int, tuple[str, Mapping[str, Held], int, int]]


SEEN = st.tuples(
    st.sampled_from(["well", "well", "well", "trouble", "down"]), HELD, st.integers(0, 2), st.integers(0, 70)
)
TICKS = st.lists(
    st.builds(
        Tick, st.sampled_from([5, 5, 5, 5, 20, 60, -30]), st.dictionaries(st.integers(0, 2), SEEN, max_size=2)
    ),
    max_size=12,
)
RULES = st.lists(
    st.tuples(
        st.lists(COMPARISONS, min_size=1, max_size=2),
        st.sampled_from(["0s", "10s"]),
        st.sampled_from(["0s", "10s"]),
    ),
    min_size=1,
    max_size=3,
)


def bound(raw: Sequence[tuple[Sequence[str], str, str]]) -> Binding:
    """Return the rules of *raw* (conditions, for, keep_firing_for) on all three signals."""
    rules = [
        Rule(
            f"R{i}",
            when=tuple((parse_condition(text, CATALOGUE),) for text in when),
            severity=Severity.WARNING,
            for_=parse_duration(wait),
            keep_firing_for=parse_duration(keep),
        )
        for i, (when, wait, keep) in enumerate(raw)
    ]
    return bind(rules, [Offer(key, MEASURES[key.kind]) for key in KEYS], ["s"], {})


def reading(key: SignalKey, now: datetime, found: tuple[str, Mapping[str, Held], int, int]) -> Reading:
    """Return what *found* says of *key*: how the look went, its values, what a counter gained and since when."""
    how, values, gained, since = found
    if how != "well":
        return Reading(key, now, trouble="no answer", down="redis" if how == "down" else None)
    counts = {}
    if key.kind == "stream":
        steps = ((now, float(gained)),) if gained else ()
        counts["added", ""] = Counted(T0 - timedelta(seconds=since), steps)
    return Reading(key, now, {name: v for name, v in values.items() if name in MEASURES[key.kind]}, counts)


def seen(index: int, gained: int = 0, **values: Held) -> Tick:
    """Return a tick, five seconds after the one before, that sees this of one signal."""
    return Tick(5, {index: ("well", values, gained, 60)})


QUIET = [Tick(5, {})] * 9
STARTED = Since((T0 + timedelta(seconds=5)).timestamp())


@settings(max_examples=400, deadline=None)
@example([(["stream.added[20s] == 0"], "0s", "0s")], [seen(2, 1), *QUIET])
@example([(["group.age > 30s"], "10s", "0s")], [seen(0, age=STARTED), *QUIET])
@example([(["group.age != 10s"], "10s", "0s")], [seen(0, age=STARTED), *QUIET])
@example([(["group.age > 30s"], "0s", "0s")], [seen(0, age=0.0), seen(1, age=STARTED), *QUIET])
@example(
    [(["group.age > 30s"], "0s", "0s")], [seen(0, age=0.0), seen(0, age=Since(STARTED.moment + 5)), *QUIET]
)
@example([(["group.age < 30s"], "0s", "0s")], [seen(0, age=Since(STARTED.moment - 40)), Tick(-30, {})])
@example(
    [(["stream.added[20s] > 1"], "0s", "0s")],
    [seen(2, 1), *QUIET[:2], Tick(-30, {2: ("well", {}, 1, 0)}), Tick(20, {})],
)
@given(RULES, TICKS)
def test_the_same_alerts(raw: Sequence[tuple[Sequence[str], str, str]], ticks: Sequence[Tick]) -> None:
    """Whatever is seen of whom and when, however the clock goes: alert for alert what `evaluate` says."""
    binding = bound(raw)
    judge, history = Judge(binding), History(timedelta(minutes=5))
    quick: dict[Labels, Alert] = {}
    whole: dict[Labels, Alert] = {}
    now = T0
    for tick in ticks:
        now += timedelta(seconds=tick.after)
        history.add([reading(KEYS[i], now, found) for i, found in tick.seen.items()])
        whole = evaluate(binding.watches, history, whole, now, remember=timedelta(seconds=20))
        quick = judge.judge(history, quick, now, remember=timedelta(seconds=20))
        assert whole == quick


FLIPS = """
  condition             | what is held         | flips after
  group.age > 30s       | since 10s ago        | 20
  group.age >= 5s       | since 10s ago        | holds
  group.age < 30s       | since 40s ago        | never
  group.age > 30s       | 10                   | never
  group.lag > 3         | 2                    | never
  group.lag > 3         | nothing              | never
"""


@pytest.mark.parametrize(
    ("condition", "held", "after"),
    [[cell.strip() for cell in line.split("|")] for line in FLIPS.strip().splitlines()[1:]],
)
def test_when_time_alone_makes_it_true(condition: str, held: str, after: str) -> None:
    """What is looked at again, and when; what nothing but a new reading can make true is left alone."""
    binding = bound([([condition], "0s", "0s")])
    words = held.split()
    since = Since(T0.timestamp() - 10) if "10s" in held else Since(T0.timestamp() - 40)
    known: dict[str, Held] = (
        {} if held == "nothing" else {"age": since if words[0] == "since" else float(held)}
    )
    if "lag" in condition and held != "nothing":
        known = {"lag": float(held)}
    history = History(timedelta(minutes=5)).add([Reading(GROUPS[0], T0, known)])
    ((_, clauses),) = questions_of(binding.guards[GROUPS[0]]).guards
    found = flips(clauses, _Found(GROUPS[0], history, T0))
    expected = {"holds": None, "never": NEVER}.get(
        after, T0.timestamp() + float(after if after.isdigit() else 0)
    )
    assert expected == found


def test_what_rests_is_not_judged() -> None:
    """Of a thousand ticks in which nothing is seen none asks a rule anything."""
    binding = bound([(["group.lag > 3"], "0s", "0s"), (["group.age > 1h"], "0s", "0s")])
    history = History(timedelta(minutes=5)).add(
        [Reading(key, T0, {"lag": 1.0, "age": Since(T0.timestamp())}) for key in GROUPS]
    )
    judge = Judge(binding)
    judge.judge(history, {}, T0)
    asked: list[SignalKey] = []
    counted = _Counting(history, asked)
    for second in range(1, 1_000):
        judge.judge(counted.quiet(), {}, T0 + timedelta(seconds=second))
    assert asked == []
    assert len(judge.judge(counted.quiet(), {}, T0 + timedelta(hours=2))) == 2
    assert asked


class _Counting:
    """A history that notes which readings are asked for."""

    def __init__(self, history: History, asked: list[SignalKey]) -> None:
        self._history = history
        self._asked = asked

    def quiet(self) -> History:
        """Return the history after an `add` that brought nothing."""
        self._history.add([])
        found = History(timedelta(minutes=5))
        found.latest = _Asked(self._history.latest, self._asked)
        return found


class _Asked(dict[SignalKey, Reading]):
    def __init__(self, latest: Mapping[SignalKey, Reading], asked: list[SignalKey]) -> None:
        super().__init__(latest)
        self._asked = asked

    def get(self, key: SignalKey, default: object = None) -> Reading | None:  # type: ignore[override]
        self._asked.append(key)
        return super().get(key)


def test_appointments() -> None:
    """One for each signal: a later word replaces the earlier, and what is taken off comes no more."""
    agenda = Agenda()
    a, b = GROUPS
    agenda.put(a, 10.0)
    agenda.put(b, 20.0)
    agenda.put(a, 30.0)
    assert agenda.due(25.0) == [b]
    agenda.put(b, 40.0)
    agenda.put(b, NEVER)
    assert agenda.due(100.0) == [a]
    assert agenda.due(1e12) == []
    for moment in range(5_000):
        agenda.put(a, float(moment))
    assert len(agenda._heap) < 2_000
    assert agenda.due(5_000.0) == [a]


def test_one_kind_of_signal_is_asked_whether_it_is_known() -> None:
    """`group.known == 0` holds for a group that cannot be read, and for no stream."""
    rule = Rule("Blind", ((parse_condition("group.known == 0", CATALOGUE),),), Severity.WARNING)
    binding = bind([rule], [Offer(key, MEASURES[key.kind]) for key in KEYS], ["s"], {})
    history = History(timedelta(minutes=5)).add(reading(key, T0, ("trouble", {}, 0, 0)) for key in KEYS)
    found = evaluate(binding.watches, history, {}, T0)
    assert {alert.signal for alert in found.values()} == set(GROUPS)
