"""Who is told what, and why: the cases in which a page is due, held back or owed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from tests.drawn import T0, ids, minutes, rows
from watchdog.alerts import Alert, State
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Decision, Receipts, Route, due, receivers_of

NEEDS: Mapping[str, tuple[str, ...]] = {
    "trainer": (),
    "apply": ("trainer", "feedback"),
    "execution": ("apply",),
    "feedback": (),
}
EVERYONE = (Route(("ops",)),)


def alert(
    name: str, service: str, state: str = "firing", severity: str = "critical", at: datetime = T0
) -> Alert:
    """Return an alert in *state*."""
    fired = None if state == "pending" else at
    return Alert(
        Labels(alertname=name, service=service, severity=severity),
        SignalKey(service, "heartbeat", Labels(key="k")),
        State(state),
        active_since=at,
        last_true=at,
        fired_at=fired,
        resolved_at=at + minutes(1) if state == "resolved" else None,
    )


def decide(*alerts: Alert, receipts: Receipts | None = None, now: datetime = T0) -> Decision:
    """Return the decision on *alerts*."""
    return due({a.labels: a for a in alerts}, receipts or {}, EVERYONE, NEEDS, now)


def told(decision: Decision) -> str:
    """Return what is sent, as ``name:status`` with messages parted by ``/``."""
    return " / ".join(
        " ".join(f"{n.alert.name}:{'resolved' if n.resolved else 'firing'}" for n in message.notices)
        for message in decision.notifications
    )


LIVES = """
  states, tick by tick                        | told
  pending firing firing                       | - A:firing -
  firing blind firing resolved                | A:firing - - A:resolved
  pending -                                   | - -
  firing resolved resolved                    | A:firing A:resolved -
"""


@pytest.mark.parametrize(("states", "messages"), rows(LIVES), ids=ids(LIVES))
def test_a_beginning_and_an_end_are_told_once(states: str, messages: str) -> None:
    """Being blind is neither; what never fired is never told."""
    receipts: Receipts = {}
    sent = []
    for tick, state in enumerate(states.split()):
        alerts = [] if state == "-" else [alert("A", "trainer", state)]
        decision = decide(*alerts, receipts=receipts, now=T0 + minutes(tick))
        receipts = decision.receipts
        sent.append(told(decision) or "-")
    assert " ".join(sent) == messages


def test_the_same_decision_twice_sends_nothing() -> None:
    """What was told is compared with what is: no tick can double a page."""
    first = decide(alert("A", "trainer"))
    assert (told(first), told(decide(alert("A", "trainer"), receipts=first.receipts))) == ("A:firing", "")


def test_firing_anew_is_told_anew() -> None:
    """A second outage is not the first one."""
    first = decide(alert("A", "trainer"))
    ended = decide(alert("A", "trainer", "resolved"), receipts=first.receipts)
    again = decide(alert("A", "trainer", at=T0 + minutes(5)), receipts=ended.receipts)
    assert told(again) == "A:firing"


CAUSES = """
  alerts                                              | told          | held
  Beat@trainer Reason@apply None@execution            | Beat          | None Reason
  Reason@apply None@execution                         | Reason        | None
  Beat@trainer:pending Reason@apply                   | -             | Reason
  Beat@trainer:resolved Reason@apply                  | Reason        | -
  Beat@trainer:blind Reason@apply                     | Beat          | Reason
  Beat@trainer Loss@feedback Reason@apply             | Beat / Loss   | Reason
  Beat@trainer:firing:warning Reason@apply            | Beat / Reason | -
"""


@pytest.mark.parametrize(("drawn", "messages", "held"), rows(CAUSES), ids=ids(CAUSES))
def test_a_symptom_is_held_while_its_cause_is_critical(drawn: str, messages: str, held: str) -> None:
    """execution needs apply, apply needs trainer and feedback."""
    alerts = []
    for item in drawn.split():
        name, _, rest = item.partition("@")
        service, state, severity = [*rest.split(":"), *["firing", "critical"][rest.count(":") :]]
        alerts.append(alert(name, service, state, severity))
    decision = decide(*alerts)
    by_print = {a.labels.fingerprint: a.name for a in alerts}
    spared = sorted(by_print[mark] for (_, mark), why in decision.reasons.items() if why == "held_by_cause")
    assert (told(decision).replace(":firing", "") or "-") == messages
    assert (" ".join(spared) or "-") == held


def test_when_the_cause_ends_and_the_symptom_stays_the_symptom_is_told() -> None:
    """Only the notification was held, never the alert."""
    beat, reason = alert("Beat", "trainer"), alert("Reason", "apply")
    first = decide(beat, reason)
    ended = replace(beat, state=State.RESOLVED, resolved_at=T0 + minutes(1))
    second = decide(ended, reason, receipts=first.receipts)
    assert (told(first), told(second)) == ("Beat:firing", "Beat:resolved / Reason:firing")


def test_what_was_told_before_its_cause_was_known_is_ended_too() -> None:
    """A resolution is owed for whatever was announced."""
    first = decide(alert("Reason", "apply"))
    second = decide(alert("Beat", "trainer"), alert("Reason", "apply", "resolved"), receipts=first.receipts)
    assert told(second) == "Beat:firing / Reason:resolved"


def test_alerts_of_one_service_are_one_message_that_repeats_what_still_fires() -> None:
    """Critical first, ends last."""
    first = decide(alert("B", "trainer", severity="warning"))
    second = decide(alert("B", "trainer", severity="warning"), alert("A", "trainer"), receipts=first.receipts)
    assert told(second) == "A:firing B:firing"


def test_a_key_names_a_message_and_not_an_attempt() -> None:
    """The same news has the same key, other news another."""
    one, same = decide(alert("A", "trainer")), decide(alert("A", "trainer"), now=T0 + minutes(9))
    other = decide(alert("A", "trainer", "resolved"), receipts=one.receipts)
    keys = [d.notifications[0].key for d in (one, same, other)]
    assert (keys[0] == keys[1], keys[0] == keys[2]) == (True, False)


ROUTES = (
    Route(("pager",), {"severity": frozenset({"critical"})}, go_on=True),
    Route(("ml",), {"service": frozenset({"trainer"})}),
    Route(
        ("ops", "pager"),
    ),
)
ROUTED = """
  severity | service   | receivers
  critical | trainer   | pager ml
  warning  | trainer   | ml
  critical | execution | pager ops
  info     | execution | ops pager
"""


@pytest.mark.parametrize(("severity", "service", "receivers"), rows(ROUTED), ids=ids(ROUTED))
def test_the_first_route_that_matches_wins_unless_it_says_continue(
    severity: str, service: str, receivers: str
) -> None:
    """Each receiver once, in the order of the routes."""
    labels = Labels(alertname="A", severity=severity, service=service)
    assert " ".join(receivers_of(labels, ROUTES)) == receivers
