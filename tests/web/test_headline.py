"""The one sentence: which of all that is wrong is told first, and what nobody mistakes for health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.drawn import T0, ids, rows
from watchdog.alerts import Alert, State
from watchdog.model import AtLeast, Held, Labels, Reading, SignalKey, Since
from watchdog.notifications import Notice
from watchdog.report import Snapshot, Status, worst
from watchdog.web.pages.headline import headline_of, listed

NEEDS = {"execution": ["apply"], "apply": ["bridge", "trainer"], "bridge": [], "trainer": []}
BLOCKED = {"trainer": ("apply", "execution"), "bridge": ("apply", "execution"), "apply": ("execution",)}
LATER = T0 + timedelta(hours=2)


@dataclass(frozen=True)
class Seen:
    """What a report has of use here."""

    reading: Reading
    values: Mapping[str, object] = field(default_factory=dict)


def notice(text: str, began: int) -> Notice:
    """Read ``critical executions of execution <- trainer``; *began* is in which minute."""
    what, _, cause = text.partition("<-")
    severity, kind, _, service = what.split()
    labels = Labels(alertname=kind.title(), service=service, severity=severity)
    since = T0 + timedelta(minutes=began)
    state = State.PENDING if kind.endswith("?") else State.FIRING
    key = SignalKey(service, kind.rstrip("?"), Labels())
    alert = Alert(labels, key, state, since, since, summary=f"{service}: {kind.rstrip('?')} is wrong")
    return Notice(alert, cause.strip() or None, BLOCKED.get(service, ()))


def seen(standing: Mapping[str, Status], alerts: list[Notice], age: Held = None) -> Snapshot:
    """Return what was seen: how services stand, the alerts, and the time since execution last succeeded."""
    reading = Reading(SignalKey("execution", "executions", Labels()), LATER, {"age": age})
    signals = {reading.signal: Seen(reading)}
    return Snapshot(LATER, signals, standing, tuple(alerts), worst(standing.values()))  # type: ignore[arg-type]


CAUSES = """
  alerts, from the first on                                                            | told                          | cause   | reason
  critical heartbeat of trainer                                                        | trainer: heartbeat is wrong   | trainer |
  critical heartbeat of trainer; critical executions of execution <- trainer           | execution: executions is wrong | trainer | heartbeat is wrong
  critical executions of apply <- trainer; critical executions of execution <- trainer; critical heartbeat of trainer | execution: executions is wrong | trainer | heartbeat is wrong
  critical unit of trainer; critical heartbeat of trainer; critical executions of execution <- trainer | execution: executions is wrong | trainer | unit is wrong
  critical consumes of apply; critical heartbeat of trainer                            | trainer: heartbeat is wrong   | trainer |
  critical executions of execution                                                     | execution: executions is wrong | execution |
  warning log of bridge; critical consumes of apply                                    | apply: consumes is wrong      | apply   |
  critical executions? of execution; critical heartbeat of bridge                      | bridge: heartbeat is wrong    | bridge  |
"""


@pytest.mark.parametrize(("alerts", "told", "cause", "reason"), rows(CAUSES), ids=ids(CAUSES))
def test_the_work_that_is_not_done_is_told_with_its_cause(
    alerts: str, told: str, cause: str, reason: str
) -> None:
    """Not the first alert, and not the loudest; since when is when the first of them began."""
    notices = [notice(text.strip(), n) for n, text in enumerate(alerts.split(";"))]
    standing = {"execution": Status.CRITICAL, "trainer": Status.CRITICAL}
    found = headline_of(seen(standing, notices), NEEDS, T0 + timedelta(minutes=30), T0, [])
    assert (found.sentence, found.cause, found.reason) == (told, cause, reason)
    first = next(n for n in notices if n.alert.severity == "critical")
    assert (found.verdict, found.since) == ("Not working", first.alert.active_since)
    assert found.title == f"Not working: {cause}"


STANDINGS = """
  services stand   | alert                            | verdict                | sentence
  ok ok            | -                                | Working                | all 2 services are as they should be
  ok               | -                                | Working                | the service is as it should be
  ok ok            | info executions of execution     | Quiet, not broken      | execution: executions is wrong
  ok ok            | info log of bridge               | Working                | all 2 services are as they should be
  ok warning       | warning log of bridge            | Working, with warnings | bridge: log is wrong
  ok unknown       | -                                | Cannot tell            | nothing certain is known of s1: no route to it
  unknown unknown  | warning log of bridge            | Cannot tell            | nothing certain is known of s0 and s1: no route to it
"""


@pytest.mark.parametrize(("standing", "alert", "verdict", "sentence"), rows(STANDINGS), ids=ids(STANDINGS))
def test_nothing_unknown_is_told_as_work(standing: str, alert: str, verdict: str, sentence: str) -> None:
    """And nothing that is merely quiet as broken."""
    services = {f"s{n}": Status(word) for n, word in enumerate(standing.split())}
    alerts = [] if alert == "-" else [notice(alert, 0)]
    found = headline_of(seen(services, alerts), NEEDS, None, T0, ["no route to it"])
    assert (found.verdict, found.sentence) == (verdict, sentence)
    assert (found.since, found.looking) == (T0, True)


SUCCESSES = {
    "known": (Since(LATER.timestamp() - 60), 60, False),
    "a bound": (Since(LATER.timestamp() - 60, at_least=True), 60, True),
    "a number": (90.0, 90, False),
    "a bound of a number": (AtLeast(90.0), 90, True),
    "never": (None, None, False),
}


@pytest.mark.parametrize(("age", "seconds", "bound"), SUCCESSES.values(), ids=SUCCESSES)
def test_the_last_success_is_told(age: Held, seconds: int | None, bound: bool) -> None:
    """Of the end of the pipeline; that nobody knows of one is said, too."""
    found = headline_of(seen({"execution": Status.OK}, [], age), NEEDS, None, T0, [])
    (success,) = found.successes
    since = None if seconds is None else LATER - timedelta(seconds=seconds)
    assert (success.service, success.since, success.at_least) == ("execution", since, bound)


LISTS = {
    "a": ["a"],
    "a and b": ["a", "b"],
    "a, b and c": ["a", "b", "c"],
    "a, b, c, d and 2 more": list("abcdef"),
}


@pytest.mark.parametrize(("said", "names"), LISTS.items(), ids=LISTS)
def test_names_are_listed_as_in_a_sentence(said: str, names: list[str]) -> None:
    """The first few of them if they are many."""
    assert listed(names) == said
