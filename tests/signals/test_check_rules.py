"""The built-in rules on health endpoints and commands, as pictures of time: X02 and its neighbours."""

from __future__ import annotations

import pytest

from tests.drawn import T0, ids, minutes, rows
from watchdog.alerts import Alert, evaluate
from watchdog.config import parse
from watchdog.history import History
from watchdog.model import Counted, Labels, Reading, SignalKey, Value

CONFIG = parse("""
services:
  execution:
    health: {url: "https://127.0.0.1:8002/health"}
    executions: {stream: r, success: {status: filled}}
    command: {run: [check_queue]}
""")
KEYS = {spec.key.kind: spec.key for spec in CONFIG.signals}


def judged(looks: list[list[Reading]], alert: str) -> str:
    """Return the state of *alert* after each of *looks*, a minute apart."""
    watches = [watch for watch in CONFIG.binding.watches if watch.rule.alert == alert]
    history, alerts, lived = History(CONFIG.keep), dict[Labels, Alert](), []
    for minute, readings in enumerate(looks):
        history.add(readings)
        alerts = evaluate(watches, history, alerts, T0 + minutes(minute))
        lived.append(str(next(iter(alerts.values())).state) if alerts else "-")
    return " ".join(lived)


def looks(health: str, successes: str) -> list[list[Reading]]:
    """Return what is seen: health *u*p or *d*own, successes in the minute or `_` for no answer."""
    key = KEYS["executions"]
    drawn = []
    for minute, (up, count) in enumerate(zip(health.split(), successes.split(), strict=True)):
        now = T0 + minutes(minute)
        values: dict[str, Value] = {"up": float(up == "u"), "problem": "ok" if up == "u" else "refused"}
        seen = [Reading(KEYS["health"], now, values)]
        if count == "_":
            seen.append(Reading(key, now, trouble="no answer"))
        else:
            counts = {
                ("succeeded", ""): Counted(T0 - minutes(60), ((now, float(count)),) if count != "0" else ())
            }
            seen.append(Reading(key, now, {"age": 0.0}, counts))
        drawn.append(seen)
    return drawn


STORIES = """
  health                    | successes                 | HealthFailing                                             | HealthDisagrees
  d d d d d d d d           | 2 2 2 2 2 2 2 2           | pending firing firing firing firing firing firing firing  | pending pending pending pending pending pending firing firing
  u u u u u u u u           | 2 2 2 2 2 2 2 2           | - - - - - - - -                                           | - - - - - - - -
  u d d d d d d d d         | 2 2 0 0 0 0 0 0 0         | - pending firing firing firing firing firing firing firing | - pending pending pending pending pending - - -
  d d d d d d d d           | 0 0 0 0 0 0 0 0           | pending firing firing firing firing firing firing firing  | - - - - - - - -
  d d d d d d d d d         | 2 2 2 _ _ _ _ _ _         | pending firing firing firing firing firing firing firing firing | pending pending pending pending pending pending pending pending pending
  d d d d d d d u           | 2 2 2 2 2 2 2 2           | pending firing firing firing firing firing firing resolved | pending pending pending pending pending pending firing resolved
"""


@pytest.mark.parametrize(("health", "successes", "failing", "disagrees"), rows(STORIES), ids=ids(STORIES))
def test_a_check_against_the_work(health: str, successes: str, failing: str, disagrees: str) -> None:
    """X02: a check that fails while work is done is suspect; one that fails as the work ends is not."""
    seen = looks(health, successes)
    assert (judged(seen, "HealthFailing"), judged(seen, "HealthDisagrees")) == (failing, disagrees)


def states(kind: str, alert: str, name: str, values: list[Value]) -> str:
    """Return what becomes of *alert* while *name* has *values*, minute by minute."""
    key: SignalKey = KEYS[kind]
    return judged([[Reading(key, T0 + minutes(i), {name: value})] for i, value in enumerate(values)], alert)


def test_a_command_that_says_so_and_one_that_cannot_tell() -> None:
    """Warning and critical each raise their own; a check that stops telling resolves nothing."""
    said: list[Value] = ["ok", "critical", "critical", None, "critical", "ok"]
    assert states("command", "CommandFailing", "status", said) == "- pending firing blind firing resolved"
    assert states("command", "CommandWarning", "status", said) == "- - - - - -"
    assert states("command", "CommandWarning", "status", ["warning"] * 2) == "pending firing"


def test_a_certificate_in_time() -> None:
    """Two weeks before it ends, and after; an endpoint that is away does not end the alert."""
    day = 86_400.0
    left: list[Value] = [15 * day, 13 * day, 13 * day, None, -day]
    assert states("health", "CertificateExpiring", "certificate", left) == "- pending firing blind firing"
