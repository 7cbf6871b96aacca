"""The life of an alert, as pictures of time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.drawn import T0, ids, minutes, rows
from watchdog.alerts import Alert, State, evaluate
from watchdog.conditions import parse_condition
from watchdog.history import History
from watchdog.model import Counted, Labels, Reading, SignalKey
from watchdog.rulebook import CATALOGUE
from watchdog.rules import Offer, Rule, Severity, Watch, bind
from watchdog.units import parse_duration

KEY = SignalKey("execution", "consumes", Labels(stream="s", group="g"))
HEART = SignalKey("execution", "heartbeat", Labels(key="k"))


def watch(condition: str, wait: str = "0s", keep: str = "0s", key: SignalKey = KEY) -> list[Watch]:
    """Return the watch of one rule on one signal."""
    rule = Rule(
        "LagHigh",
        when=tuple((parse_condition(part, CATALOGUE),) for part in condition.split(" and ")),
        severity=Severity.CRITICAL,
        for_=parse_duration(wait),
        keep_firing_for=parse_duration(keep),
        summary="{service}: lag of {group} is {consumes.lag}",
    )
    offers = [Offer(key, CATALOGUE[key.kind])]
    return list(bind([rule], offers, [key.service], {}).watches)


LIVES = """
  for | keep | lag, minute by minute   | state
  2m  | 0s   | 0   0   0   0           | -       -       -       -
  2m  | 0s   | 200 200 200 200         | pending pending firing  firing
  2m  | 0s   | 200 0   200 200         | pending -       pending pending
  2m  | 0s   | 200 200 200 0   200     | pending pending firing  resolved pending
  2m  | 0s   | 200 200 _   200         | pending pending pending firing
  0s  | 0s   | 200 0   0   200         | firing  resolved resolved firing
  0s  | 0s   | 200 _   _   200         | firing  blind   blind   firing
  0s  | 0s   | 200 _   0               | firing  blind   resolved
  0s  | 0s   | _   _   200             | -       -       firing
  2m  | 0s   | _   200 _   _   _   200 | -       pending pending pending pending firing
  0s  | 2m   | 200 0   0   0           | firing  firing  resolved resolved
  0s  | 2m   | 200 0   200 0   0   0   | firing  firing  firing  firing resolved resolved
  0s  | 0s   | x   x   200             | -       -       firing
  0s  | 0s   | 200 x                   | firing  resolved
"""


@pytest.mark.parametrize(("wait", "keep", "lags", "states"), rows(LIVES), ids=ids(LIVES))
def test_life_of_an_alert(wait: str, keep: str, lags: str, states: str) -> None:
    """`lag > 100`; `_` is a minute without an answer, `x` one in which the measure does not apply."""
    watches = watch("consumes.lag > 100", wait, keep)
    history = History(minutes(60))
    alerts: dict[Labels, Alert] = {}
    history.first_at[KEY] = T0 - minutes(1)  # it was looked at before: nothing is inferred from a first look
    lived = []
    for minute, lag in enumerate(lags.split()):
        now = T0 + minutes(minute)
        values: Mapping[str, float] = {} if lag in "_x" else {"lag": float(lag)}
        history.add([Reading(KEY, now, values, trouble="no answer" if lag == "_" else None)])
        alerts = evaluate(watches, history, alerts, now)
        lived.append(str(alerts[watches[0].labels].state) if alerts else "-")
    assert " ".join(lived) == " ".join(states.split())


def test_an_alert_says_what_it_is_about() -> None:
    """Labels, sentence and figures name rule, service, signal and number."""
    (watched,) = watch("consumes.lag > 100")
    history = History(minutes(60)).add(
        [Reading(KEY, T0, {"lag": 4213.0}, evidence={"last_delivered": "1-0"})]
    )
    alert = evaluate([watched], history, {}, T0)[watched.labels]
    assert dict(alert.labels) == {
        "alertname": "LagHigh",
        "group": "g",
        "service": "execution",
        "severity": "critical",
        "stream": "s",
    }
    assert alert.summary == "execution: lag of g is 4,213"
    assert alert.figures == ("consumes.lag (4,213) > 100",)
    assert (alert.value, alert.evidence) == (4213.0, {"last_delivered": "1-0"})


def test_a_source_that_is_away_blinds_and_resolves_nothing() -> None:
    """Redis gone for an hour leaves a firing alert firing, and says that nobody can see it."""
    watches = watch("consumes.lag > 100")
    history = History(minutes(60)).add([Reading(KEY, T0, {"lag": 200.0})])
    alerts = evaluate(watches, history, {}, T0)
    for minute in range(1, 60):
        now = T0 + minutes(minute)
        history.add([Reading(KEY, now, trouble="Redis cannot be reached", down="redis")])
        alerts = evaluate(watches, history, alerts, now)
    (alert,) = alerts.values()
    assert (alert.state, alert.blind_since, alert.firing) == (State.BLIND, T0 + minutes(1), True)


FIRST_LOOKS = """
  for | age at the first look | state
  5m  | 7m                    | pending
  5m  | 10m                   | firing
  5m  | 11m                   | firing
  5m  | 5m                    | -
"""


@pytest.mark.parametrize(("wait", "age", "state"), rows(FIRST_LOOKS), ids=ids(FIRST_LOOKS))
def test_an_age_tells_by_itself_how_long_a_condition_holds(wait: str, age: str, state: str) -> None:
    """`age > 5m`: at the first look, `for` counts as elapsed where the age itself shows it."""
    watches = watch("heartbeat.age > 5m", wait, key=HEART)
    history = History(minutes(60)).add([Reading(HEART, T0, {"age": parse_duration(age).total_seconds()})])
    alerts = evaluate(watches, history, {}, T0)
    assert (str(alerts[watches[0].labels].state) if alerts else "-") == state


BACKFILLED = """
  errors in the 20 minutes before | state
  ....................            | -
  EEEEEEEEEEEEEEEEEEEE            | firing
  ...................E            | -
  ..................EE            | pending
"""


@pytest.mark.parametrize(("drawn", "state"), rows(BACKFILLED), ids=ids(BACKFILLED))
def test_history_filled_in_at_start_counts_for_for(drawn: str, state: str) -> None:
    """A counter's past, as the source kept it, shows since when its condition holds."""
    key = SignalKey("execution", "log", Labels(path="/l"))
    start = T0 - minutes(len(drawn))
    steps = tuple((start + minutes(i + 0.5), 10.0) for i in range(len(drawn)))
    errors = tuple((start + minutes(i + 0.5), 10.0) for i, sign in enumerate(drawn) if sign == "E")
    since = T0 - minutes(60)
    history = History(minutes(60)).add(
        [
            Reading(
                key, T0, counts={("lines", ""): Counted(since, steps), ("errors", ""): Counted(since, errors)}
            )
        ]
    )
    watches = watch("log.error_ratio[10m] > 10% and log.lines[10m] >= 20", "2m", key=key)
    alerts: dict[Labels, Alert] = evaluate(watches, history, {}, T0)
    assert (str(alerts[watches[0].labels].state) if alerts else "-") == state


def test_an_alert_seen_first_on_the_ninth_day_says_since_when() -> None:
    """Its age tells when the condition began to hold; the work offered in the last hour does not shorten that."""
    key = SignalKey("execution", "executions", Labels(stream="s"))
    offered = {("offered", ""): Counted(T0 - minutes(120), ((T0 - minutes(30), 5.0),))}
    history = History(minutes(60)).add([Reading(key, T0, {"age": 9 * 86400.0}, offered)])
    watches = watch("executions.offered[1h] > 0 and executions.age > 1h", key=key)
    (alert,) = evaluate(watches, history, {}, T0).values()
    assert (alert.state, T0 - alert.active_since) == (State.FIRING, minutes(9 * 1440 - 60))
