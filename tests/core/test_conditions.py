"""Conditions: read in their author's words, answered true, false or unknown."""

from __future__ import annotations

import pytest

from tests.drawn import ids, rows
from watchdog.conditions import (
    Truth,
    all_of,
    any_of,
    compare,
    explain,
    find_measure,
    in_words,
    parse_condition,
)
from watchdog.errors import ConditionError
from watchdog.model import AtLeast, Value
from watchdog.rulebook import CATALOGUE

READ = """
  written                                        | read as
  heartbeat.age > 5m                             | heartbeat.age > 5m
  executions.offered[1h]>0                       | executions.offered[1h] > 0
  log.error_ratio[10m] > 10%                     | log.error_ratio[10m] > 10%
  log.error_ratio > 0.1                          | log.error_ratio[10m] > 10%
  consumes.verdict in [stalled, stuck]           | consumes.verdict in [stalled, stuck]
  consumes.verdict == losing_soon                | consumes.verdict == losing_soon
  redis.memory_ratio > 90%                       | redis.memory_ratio > 90%
  signal.known == 0                              | signal.known == 0
  stream.constant_share.symbol[1h] > 99%         | stream.constant_share.symbol[1h] > 99%
  executions.top_reason[1m] == no_position       | executions.top_reason[1m] == no_position
"""


@pytest.mark.parametrize(("written", "read"), rows(READ), ids=ids(READ))
def test_conditions_are_read(written: str, read: str) -> None:
    """What is read is shown again in one spelling."""
    assert str(parse_condition(written, CATALOGUE)) == read


REFUSED = """
  written                            | what is said
  heartbeat.age                      | "heartbeat.age" is not a condition (write it like heartbeat.age > 5m or log.error_ratio[10m] > 10%)
  heartbeet.age > 5m                 | unknown signal "heartbeet" (did you mean "heartbeat"?)
  heartbeat.agee > 5m                | signal heartbeat has no measure "agee" (did you mean "age"?)
  executions.offered > 0             | executions.offered is a counter and needs a window (write executions.offered[10m])
  heartbeat.age[5m] > 5m             | heartbeat.age is a value now and takes no window (write heartbeat.age)
  executions.total[5 minutes] > 0    | window of executions.total: "5 minutes" is not a duration (write it like 90s, 5m, 1h30m or 2d)
  executions.total[0s] > 0           | window of executions.total is 0s (choose one above 0s and at most 31d)
  heartbeat.age > 10%                | heartbeat.age: "10%" is not a duration (write it like 90s, 5m, 1h30m or 2d)
  consumes.verdict == stallled       | consumes.verdict is never "stallled" (did you mean "stalled"?)
  consumes.verdict > 5               | consumes.verdict is a word and cannot be compared with ">" (use ==, != or in [a, b])
  heartbeat.age in [1, 2]            | heartbeat.age is a number, and "in" compares words (write heartbeat.age > 5)
  consumes.verdict in []             | consumes.verdict is compared with nothing (name at least one word)
"""


@pytest.mark.parametrize(("written", "said"), rows(REFUSED), ids=[row[0] for row in rows(REFUSED)])
def test_what_cannot_be_read_says_why_and_what_to_write(written: str, said: str) -> None:
    """Culprit and cure, in one sentence."""
    with pytest.raises(ConditionError) as caught:
        parse_condition(written, CATALOGUE)
    assert str(caught.value) == said


ANSWERS = """
  condition                          | found   | answer
  heartbeat.age > 5m                 | 301     | true
  heartbeat.age > 5m                 | 300     | false
  heartbeat.age > 5m                 | _       | unknown
  executions.age > 1h                | >=3601  | true
  executions.age > 1h                | >=60    | unknown
  executions.age < 1h                | >=3600  | false
  executions.age < 1h                | >=60    | unknown
  executions.age <= 1h               | >=3600  | unknown
  executions.offered[1h] == 0        | >=1     | false
  executions.offered[1h] == 0        | >=0     | unknown
  executions.offered[1h] != 0        | >=1     | true
  executions.offered[1h] > 0         | >=1     | true
  consumes.verdict in [lost, stuck]  | stuck   | true
  consumes.verdict in [lost, stuck]  | ok      | false
  consumes.verdict != ok             | ok      | false
  consumes.verdict != ok             | lost    | true
  consumes.verdict != ok             | _       | unknown
"""


@pytest.mark.parametrize(("condition", "found", "answer"), rows(ANSWERS), ids=ids(ANSWERS))
def test_a_lower_bound_decides_what_it_can(condition: str, found: str, answer: str) -> None:
    """`_` is no answer, `>=n` a number of which only that much is known."""
    value: Value = None if found == "_" else found
    if found.startswith(">="):
        value = AtLeast(float(found[2:]))
    elif found.isdigit():
        value = float(found)
    assert compare(parse_condition(condition, CATALOGUE), value) is Truth(answer)


def test_conjunction_and_disjunction_are_kleenes() -> None:
    """One false part decides a conjunction, one true part a disjunction, whatever is unknown."""
    true, false, unknown = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
    assert [all_of(p) for p in ([true, unknown], [false, unknown], [true, true])] == [unknown, false, true]
    assert [any_of(p) for p in ([true, unknown], [false, unknown], [false, false])] == [true, unknown, false]


def test_a_condition_explains_itself_with_its_figure() -> None:
    """The figure stands beside the name, in its own unit."""
    told = [
        explain(parse_condition("executions.age > 1h", CATALOGUE), AtLeast(7500)),
        explain(parse_condition("log.error_ratio[10m] > 10%", CATALOGUE), 0.5),
        explain(parse_condition("consumes.verdict == stuck", CATALOGUE), "stuck"),
    ]
    assert told == [
        "executions.age (at least 2h 5m) > 1h",
        "log.error_ratio[10m] (50%) > 10%",
        "consumes.verdict (stuck) == stuck",
    ]


IN_WORDS = """
  condition                           | found | said
  executions.age > 1h                 | 7500  | time since the last success: 2h 5m (executions.age > 1h)
  executions.offered[1h] > 0          | 7412  | entries that offered work in 1h: 7,412 (executions.offered[1h] > 0)
  log.error_ratio > 10%               | 0.5   | share of lines logged as error or worse in 10m: 50% (log.error_ratio[10m] > 10%)
  heartbeat.present == 0              | 0     | the heartbeat exists: no (heartbeat.present == 0)
  heartbeat.synthetic == 1            | 1     | an emergency heartbeat stands in for the service's own: yes (heartbeat.synthetic == 1)
  unit.wanted == 1                    | 1     | it is to be active now: yes (unit.wanted == 1)
  unit.scheduled == 0                 | 0     | 1 while a next trigger is set, 0 if it will never trigger as it is: 0 (unit.scheduled == 0)
  redis.up == 0                       | 0     | Redis answers: no (redis.up == 0)
  consumes.verdict == stuck           | stuck | what is wrong with the group, in one word: stuck (consumes.verdict == stuck)
"""


@pytest.mark.parametrize(
    ("condition", "found", "said"), rows(IN_WORDS), ids=[c for c, _, _ in rows(IN_WORDS)]
)
def test_a_figure_in_words_is_named_by_what_it_measures(condition: str, found: str, said: str) -> None:
    """What is 1 or 0 is yes or no, unless its help says what both mean."""
    parsed = parse_condition(condition, CATALOGUE)
    measure = find_measure(parsed.term.measure, CATALOGUE[parsed.term.signal])
    assert measure is not None
    value: Value = found if found.isalpha() else float(found)
    assert in_words(parsed, value, measure.help) == said
