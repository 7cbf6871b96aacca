"""What the running sidecar says, as it is printed."""

from __future__ import annotations

from typing import Any

from watchdog.listings import ago, alert_story, alerts_table, deliveries_table, silences_table

NOW = "2026-02-19T03:00:00Z"
ALERT: dict[str, Any] = {
    "labels": {"alertname": "NoExecutions", "service": "shop", "severity": "critical", "stream": "out"},
    "fingerprint": "0123456789abcdef",
    "state": "firing",
    "since": "2026-02-19T01:00:00Z",
    "fired_at": "2026-02-19T01:00:00Z",
    "resolved_at": None,
    "value": 1.0,
    "summary": "shop has not succeeded for 2h",
    "figures": ["executions.age (2h) > 1h"],
    "evidence": {"last": "1-0"},
    "ended": None,
    "cause": "worker",
    "affects": ["till"],
    "symptoms": ["Quiet of till"],
    "runbook": "https://runbooks.example/#noexecutions",
    "acknowledged": {"by": "ana", "at": "2026-02-19T01:05:00Z", "comment": "on it"},
    "silenced_by": ["5fb0"],
    "flapping": True,
    "receivers": [
        {
            "receiver": "ops",
            "reason": "told",
            "told_at": "2026-02-19T02:57:00Z",
            "since": "2026-02-19T01:00:00Z",
            "waiting": True,
        },
        {"receiver": "boss", "reason": "silenced", "told_at": None, "since": None, "waiting": False},
    ],
}
DELIVERY: dict[str, Any] = {
    "at": "2026-02-19T02:59:00Z",
    "receiver": "ops",
    "outcome": "retried",
    "key": "k",
    "decided_at": "2026-02-19T01:00:00Z",
    "merged": 1,
    "reasons": ["first", "repeat"],
    "names": ["NoExecutions/shop"],
    "count": 3,
    "alerts": ["0123456789abcdef"],
    "attempt": 2,
    "took": None,
    "pause": 4.0,
    "why": "answered 500",
}
SILENCE: dict[str, Any] = {
    "id": "5fb0",
    "matchers": [
        {"name": "a", "value": "b", "isRegex": False, "isEqual": True},
        {"name": "c", "value": "d", "isRegex": False, "isEqual": False},
        {"name": "e", "value": "f.*", "isRegex": True, "isEqual": True},
        {"name": "g", "value": "h.*", "isRegex": True, "isEqual": False},
    ],
    "startsAt": "2026-02-19T01:00:00Z",
    "endsAt": "2026-02-19T04:00:00Z",
    "createdBy": "ana",
    "comment": "new trainer",
    "untilResolved": True,
    "status": {"state": "active"},
}


def test_alerts() -> None:
    """A line each: what, whose, since when, and who was told."""
    assert alerts_table({"at": NOW, "alerts": [ALERT]}).splitlines() == [
        "fingerprint       state   severity  alert         service  since  what                           told",
        "0123456789abcdef  firing  critical  NoExecutions  shop     2h     shop has not succeeded for 2h  acknowledged by ana; flapping; ops told 3m ago (on its way);",
        f"{'boss silenced':>110}",
    ]


def test_the_story_of_an_alert() -> None:
    """Everything that is known, and what became of its messages."""
    assert alert_story(ALERT, [DELIVERY], NOW).splitlines() == [
        "CRITICAL NoExecutions of shop (firing): shop has not succeeded for 2h",
        "  since: 2026-02-19T01:00:00Z (2h)",
        "  where: stream=out",
        "  figure: executions.age (2h) > 1h",
        "  evidence: last: 1-0",
        "  cause: worker",
        "  affects: till",
        "  also affected: Quiet of till",
        "  acknowledged: by ana at 2026-02-19T01:05:00Z: on it",
        "  silenced by: 5fb0",
        "  flapping: nobody is told until it is steady",
        "  told: ops told 3m ago (on its way)",
        "  told: boss silenced",
        "  delivery: ops retried 1m ago (first repeat) answered 500, again after 4s",
        "  runbook: https://runbooks.example/#noexecutions",
        "  fingerprint: 0123456789abcdef",
    ]


def test_the_story_of_one_that_has_ended() -> None:
    """What does not apply is left out."""
    over = ALERT | {
        "state": "resolved",
        "resolved_at": NOW,
        "ended": "the rule is gone",
        "evidence": {},
        "figures": [],
        "cause": None,
        "affects": [],
        "symptoms": [],
        "acknowledged": None,
        "silenced_by": [],
        "flapping": False,
        "receivers": [],
        "runbook": "",
    }
    assert alert_story(over, [], NOW).splitlines() == [
        "CRITICAL NoExecutions of shop (resolved): shop has not succeeded for 2h",
        "  since: 2026-02-19T01:00:00Z (2h)",
        "  ended: 2026-02-19T03:00:00Z the rule is gone",
        "  where: stream=out",
        "  fingerprint: 0123456789abcdef",
    ]


def test_silences() -> None:
    """Matchers as they are typed."""
    assert silences_table({"silences": [SILENCE]}).splitlines() == [
        "id    state   matchers                        ends                                   by   comment",
        '5fb0  active  a="b" c!="d" e=~"f.*" g!~"h.*"  2026-02-19T04:00:00Z or when resolved  ana  new trainer',
    ]


def test_deliveries() -> None:
    """How long it took, or why not."""
    sent = DELIVERY | {"outcome": "sent", "took": 0.021, "pause": None, "why": None, "count": 1, "attempt": 1}
    dropped = DELIVERY | {"outcome": "dropped", "pause": None, "why": "too old", "attempt": None}
    assert deliveries_table({"deliveries": [DELIVERY, sent, dropped]}).splitlines() == [
        "at                    receiver  outcome  reasons       alerts                        attempt  what",
        "2026-02-19T02:59:00Z  ops       retried  first repeat  NoExecutions/shop and 2 more  2        answered 500, again after 4s",
        "2026-02-19T02:59:00Z  ops       sent     first repeat  NoExecutions/shop             1        took 21ms",
        "2026-02-19T02:59:00Z  ops       dropped  first repeat  NoExecutions/shop and 2 more  -        too old",
    ]


def test_a_clock_that_was_set_back_makes_nothing_younger_than_now() -> None:
    """Nor does it break the table."""
    assert (ago("2026-02-19T03:00:01Z", NOW), ago(None, NOW)) == ("0s", "-")
