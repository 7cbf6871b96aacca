"""The life of an alert, as pictures of time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.drawn import T0, ids, minutes, rows
from watchdog.alerts import Alert, Flapping, State, evaluate
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
    history.add([Reading(KEY, T0 - minutes(1), {})])  # nothing is inferred but from a first look
    lived = []
    for minute, lag in enumerate(lags.split()):
        now = T0 + minutes(minute)
        values: Mapping[str, float] = {} if lag in "_x" else {"lag": float(lag)}
        history.add([Reading(KEY, now, values, trouble="no answer" if lag == "_" else None)])
        alerts = evaluate(watches, history, alerts, now)
        lived.append(str(alerts[watches[0].labels].state) if alerts else "-")
    assert " ".join(lived) == " ".join(states.split())


TREMBLES = """
  ticks come at, in seconds | state
  0 5.003 60.001            | pending pending firing
  0.004 5 60.001            | pending pending firing
  0.300 5 60.001            | pending pending pending
"""


@pytest.mark.parametrize(("moments", "states"), rows(TREMBLES), ids=ids(TREMBLES))
def test_a_tick_that_comes_a_little_early_is_the_one_that_was_meant(moments: str, states: str) -> None:
    """`for: 1m` does not take a tick more because the first one came some milliseconds late."""
    watches = watch("consumes.lag > 100", "1m")
    history = History(minutes(60)).add([Reading(KEY, T0 - minutes(1), {})])
    alerts: dict[Labels, Alert] = {}
    lived = []
    for moment in moments.split():
        now = T0 + timedelta(seconds=float(moment))
        history.add([Reading(KEY, now, {"lag": 200.0})])
        alerts = evaluate(watches, history, alerts, now)
        lived.append(str(alerts[watches[0].labels].state))
    assert lived == states.split()


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
    assert alert.words == ("entries not yet delivered: 4,213 (consumes.lag > 100)",)
    assert (alert.value, alert.evidence) == (4213.0, {"last_delivered": "1-0"})
    history.add([Reading(KEY, T0 + minutes(1), {"lag": 7.0})])
    ended = evaluate([watched], history, {watched.labels: alert}, T0 + minutes(1))[watched.labels]
    assert (ended.state, ended.words, ended.ended) == (State.RESOLVED, alert.words, "")
    assert ended.ended_by == "entries not yet delivered: 7 (consumes.lag > 100)"


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


# ---- what is remembered ------------------------------------------------------------------------


def live(
    lags: str,
    wait: str = "0s",
    keep: str = "0s",
    *,
    clock: Mapping[int, float] | None = None,
    owed: bool = False,
) -> list[Alert | None]:
    """Return the alert at every minute of *lags*; *clock* sets the clock by so many minutes before one of them."""
    (watched,) = watch("consumes.lag > 100", wait, keep)
    history = History(minutes(60)).add([Reading(KEY, T0 - minutes(1), {})])
    alerts: dict[Labels, Alert] = {}
    lived = []
    offset = minutes(0)
    for minute, lag in enumerate(lags.split()):
        offset += minutes((clock or {}).get(minute, 0))
        now = T0 + minutes(minute) + offset
        history.add([Reading(KEY, now, {"lag": float(lag)} if lag != "-" else {})])
        looks = [watched] if lag != "-" else []  # the rule is gone
        alerts = evaluate(looks, history, alerts, now, {watched.labels.fingerprint} if owed else ())
        lived.append(alerts.get(watched.labels))
    return lived


def test_an_alert_remembers_when_it_began_to_fire_lately() -> None:
    """Through resolved and pending; what never fired leaves no trace."""
    last = live("200 200 0 200 0 200 200", "1m")[-1]
    assert last is not None
    assert [moment - T0 for moment in last.firings] == [minutes(1), minutes(6)]
    assert (last.fired_at, last.before) == (T0 + minutes(6), None)


def test_only_the_latest_beginnings_are_remembered() -> None:
    """Ten are enough to tell whether it flaps."""
    last = live("200 0 " * 14)[-1]
    assert last is not None
    assert [moment - T0 for moment in last.firings] == [minutes(2 * i) for i in range(4, 14)]


def test_what_is_pending_anew_and_never_fires_is_what_it_was() -> None:
    """Its end can still be told, with its own times."""
    *_, ended, pending, again = live("200 200 0 200 0", "1m")
    assert pending is not None
    assert (str(pending.state), pending.before) == ("pending", ended)
    assert again == ended


REMOVALS = """
  lag, minute by minute; - is without the rule | state
  200 200 -   -                                | firing firing resolved resolved
  200 0   -   -                                | firing resolved resolved resolved
"""


@pytest.mark.parametrize(("lags", "states"), rows(REMOVALS), ids=ids(REMOVALS))
def test_what_nobody_looks_at_any_more_ends(lags: str, states: str) -> None:
    """It says why, unless it had ended before."""
    lived = live(lags)
    assert " ".join(str(alert.state) for alert in lived if alert) == states
    last = lived[-1]
    assert last is not None
    assert bool(last.ended) == (" 0 " not in lags)


def test_a_pending_alert_without_its_rule_is_gone() -> None:
    """Nobody has heard of it."""
    assert live("200 - -", "5m")[1:] == [None, None]


@pytest.mark.parametrize("owed", [False, True], ids=["told", "owed"])
def test_a_resolved_alert_is_forgotten_once_nobody_has_to_hear_of_its_end(owed: bool) -> None:
    """After a quarter of an hour, or when the end is told at last."""
    lived = live("200 " + "0 " * 18, owed=owed)
    assert [alert is None for alert in lived].count(True) == (0 if owed else 2)


def test_a_resolved_alert_can_be_remembered_for_longer() -> None:
    """As long as its beginnings count for flapping."""
    watches = watch("consumes.lag > 100")
    history = History(minutes(60)).add([Reading(KEY, T0, {"lag": 0.0})])
    alerts = evaluate(watches, History(minutes(60)).add([Reading(KEY, T0, {"lag": 200.0})]), {}, T0)
    alerts = evaluate(watches, history, alerts, T0 + minutes(1))
    later = T0 + minutes(100)
    assert not evaluate(watches, history, alerts, later)
    assert evaluate(watches, history, alerts, later, remember=minutes(120)) == alerts


FLAPS = """
  began           | ended | now | flaps
  0 5             | -     | 5   | no
  0 5 10          | -     | 10  | yes
  0 5 10          | -     | 13  | yes
  0 5 10          | -     | 14  | no
  0 5 10          | 12    | 15  | yes
  0 5 10          | 12    | 16  | no
  0 5 10          | 14    | 15  | no
  0 5 10          | 30    | 31  | no
  0 5 31          | -     | 31  | no
  0 5 30          | -     | 30  | yes
  0 20 35 40      | -     | 40  | yes
  0 5 10          | -     | 7   | yes
  0 5 10          | -     | 6   | no
  0 5 10          | 12    | -60 | no
"""


@pytest.mark.parametrize(("began", "ended", "now", "flaps"), rows(FLAPS), ids=ids(FLAPS))
def test_an_alert_flaps_until_it_is_steady(began: str, ended: str, now: str, flaps: str) -> None:
    """Three beginnings within 30 minutes, four without a change; a clock set back does not prolong it."""
    firings = tuple(T0 + minutes(float(minute)) for minute in began.split())
    alert = Alert(
        Labels(alertname="A", service="a", severity="critical"),
        KEY,
        State.FIRING if ended == "-" else State.RESOLVED,
        active_since=firings[-1],
        last_true=firings[-1],
        fired_at=firings[-1],
        resolved_at=None if ended == "-" else T0 + minutes(float(ended)),
        firings=firings,
    )
    found = Flapping(3, minutes(30), minutes(4)).holds(alert, T0 + minutes(float(now)))
    assert found is (flaps == "yes")


# ---- the clock ---------------------------------------------------------------------------------

CLOCKS = """
  for | keep | set at | by    | lag, minute by minute     | state
  3m  | 0s   | 1      | -60   | 200 200 200 200 200 200   | pending pending pending pending firing firing
  3m  | 0s   | 1      | 60    | 200 200 200               | pending firing firing
  0s  | 3m   | 1      | -60   | 200 0 0 0                 | firing resolved resolved resolved
  0s  | 3m   | 1      | -1    | 200 0 0 0 0               | firing firing firing firing resolved
  0s  | 3m   | 1      | 60    | 200 0                     | firing resolved
"""


@pytest.mark.parametrize("cells", rows(CLOCKS), ids=ids(CLOCKS))
def test_a_clock_set_wrong_prolongs_nothing(cells: tuple[str, ...]) -> None:
    """`for` begins anew when the clock is set back, `keep_firing_for` is over when it is set far."""
    wait, keep, at, by, lags, states = cells
    lived = live(lags, wait, keep, clock={int(at): float(by)})
    assert " ".join(str(alert.state) for alert in lived if alert) == states


def test_the_later_of_two_firings_has_the_later_name_whatever_the_clock_says() -> None:
    """What names a firing only grows; the beginnings that count for flapping are those the clock knows of."""
    first, _, second = live("200 0 200", clock={2: -90})
    assert first is not None
    assert second is not None
    assert first.fired_at is not None
    assert second.fired_at is not None
    assert second.fired_at > first.fired_at
    assert second.firings == (T0 + minutes(2 - 90),)
    assert second.active_since == T0 + minutes(2 - 90)
