"""`bench.silence` measures what it says; how good the rules are stands in docs/explanation/learned-silence.md."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from bench.silence.__main__ import HEAD, row, told
from bench.silence.kinds import BEGIN, DAY, HOUR, KINDS, MINUTE, healthy
from bench.silence.trial import LEARNT, STREAM, Trial, live
from watchdog.rhythm import Rhythm


def test_who_dies_is_told_and_who_lives_is_not() -> None:
    """Two weeks of a trade every half an hour, which the rule of the hour nearly takes for dead."""
    trial, rhythm = Trial(), Rhythm(BEGIN)
    for i in range(1, 14 * 24 * 2):
        rhythm.learn(BEGIN + i * 30 * MINUTE)
    died = rhythm.last
    assert list(trial.silence(rhythm, died, died + 40 * MINUTE)) == []
    found = {name: at - died for at, name in trial.silence(rhythm, died, died + DAY)}
    assert 60 * MINUTE < found[LEARNT] <= 62 * MINUTE
    assert 90 * MINUTE < found[STREAM] <= 92 * MINUTE


def test_the_healthy_stand_still_once_a_week_and_never_go_back() -> None:
    """For a deploy; in business hours also at night."""
    for kind in KINDS.values():
        moments = list(healthy(kind, Random(1), BEGIN + 3 * DAY))
        assert all(begin <= end for begin, end in pairwise(moments)), kind.name
    open_ = list(healthy(KINDS["every 2 min in business hours"], Random(1), BEGIN + 2 * DAY))
    assert 15 * HOUR < max(end - begin for begin, end in pairwise(open_)) < 17 * HOUR


def test_a_line_of_the_table() -> None:
    """Under its heading; what was never told says so."""
    life = live(KINDS["random, 6 h"], 1, 0.5, 1)
    assert row("x", [life]).count("|") == HEAD.splitlines()[0].count("|")
    assert (told([]), told([60.0, None, 7200.0])) == ("–", "2.0 h (never)")
