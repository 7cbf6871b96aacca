"""What is sent, compared whole."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest

from tests.drawn import T0, minutes, rows
from watchdog.alerts import Alert, State
from watchdog.links import Links
from watchdog.model import Labels, SignalKey
from watchdog.muting import Ack
from watchdog.notifications import Notice, Notification, Reason, one_line
from watchdog.notifiers import NOTIFIERS
from watchdog.notifiers.alertmanager import posted
from watchdog.notifiers.base import Notifier, Sending
from watchdog.notifiers.text import TOLD_SHORT, TOLD_WHOLE, delay, facts, headline, text
from watchdog.notifiers.webhook import payload, remarks, signature
from watchdog.units import parse_duration

LINK = Links("http://127.0.0.1:9821")
ALERT = Alert(
    Labels(
        alertname="HeartbeatMissing",
        service="rl_trainer",
        severity="critical",
        key="quantum:svc:rl_trainer:heartbeat",
    ),
    SignalKey("rl_trainer", "heartbeat", Labels(key="quantum:svc:rl_trainer:heartbeat")),
    State.FIRING,
    active_since=T0,
    last_true=T0,
    summary="rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
    runbook="https://runbooks.example/#heartbeatmissing",
    value=0.0,
    figures=("heartbeat.present (0) == 0",),
    words=("the heartbeat exists: no (heartbeat.present == 0)",),
    evidence={"last_beat": "never seen"},
    fired_at=T0 + minutes(0.5),
)
ENDED = replace(
    ALERT,
    state=State.RESOLVED,
    resolved_at=T0 + minutes(10),
    ended_by="the heartbeat exists: yes (heartbeat.present == 0)",
)
AGAIN = replace(ALERT, active_since=T0 + minutes(12), fired_at=T0 + minutes(12.5))
STALE = replace(
    ALERT,
    labels=Labels(ALERT.labels, alertname="HeartbeatStale", severity="warning"),
    summary="rl_trainer has sent no heartbeat for 6m",
)
ACK = Ack(ALERT.labels.fingerprint, T0, T0 + minutes(2), "ana", "restarting the trainer")
AFFECTED = ("apply_layer", "execution")
LINE = (
    "CRITICAL: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat;"
    " needed by apply_layer, execution [HeartbeatMissing]"
)
"""What a phone shows of `ALERT`."""
PAGE = "http://127.0.0.1:9821/services/rl_trainer#alert-c6a265f33e8e0673"


def notice(alert: Alert, reason: Reason | None = Reason.FIRST, **more: object) -> Notice:
    """Return *alert* as it is told for *reason*."""
    told = Notice(alert, None, AFFECTED, reason=Reason.RESOLVED if alert.resolved_at else reason)
    return replace(told, **more)  # type: ignore[arg-type]


def notification(*about: Alert | Notice, merged: int = 1, at: datetime = T0) -> Notification:
    """Return the message about alerts, or about notices as they are."""
    notices = tuple(notice(item) if isinstance(item, Alert) else item for item in about)
    return Notification("8a4f", "hook", Labels(service="rl_trainer"), notices, at, at, merged)


def receiver(kind: str, **keys: object) -> Notifier:
    """Return a notifier as rules.yaml would make it."""
    return NOTIFIERS[kind].model_validate(keys)


async def send(
    notifier: Notifier, message: Notification, *, now: datetime = T0, thread: str | None = None
) -> str | None:
    """Send *message* at *now*, once."""
    async with httpx.AsyncClient() as client:
        return await notifier.send(message, Sending(client, LINK, now, thread))


# ---- webhook -----------------------------------------------------------------------------------

LABELS = {
    "alertname": "HeartbeatMissing",
    "key": "quantum:svc:rl_trainer:heartbeat",
    "service": "rl_trainer",
    "severity": "critical",
}
ANNOTATIONS = {
    "summary": "rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
    "description": "The heartbeat exists: no (heartbeat.present == 0). Affects apply_layer, execution.",
    "next": "watchdog explain HeartbeatMissing --service rl_trainer",
    "runbook_url": "https://runbooks.example/#heartbeatmissing",
    "status_url": PAGE,
    "affects": "apply_layer, execution",
    "evidence": '{"last_beat": "never seen"}',
}


def test_the_webhook_payload_is_alertmanagers() -> None:
    """Version 4, as Alertmanager's documentation has it."""
    assert payload(notification(ALERT), LINK) == {
        "version": "4",
        "groupKey": '{}:{service="rl_trainer"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "hook",
        "groupLabels": {"service": "rl_trainer"},
        "commonLabels": LABELS,
        "commonAnnotations": {**ANNOTATIONS, "reason": "first"},
        "externalURL": "http://127.0.0.1:9821",
        "alerts": [
            {
                "status": "firing",
                "labels": LABELS,
                "annotations": {**ANNOTATIONS, "reason": "first"},
                "startsAt": "2026-02-19T01:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": PAGE,
                "fingerprint": "c6a265f33e8e0673",
            }
        ],
    }


def test_an_end_is_told_as_resolved_with_its_time() -> None:
    """A message is resolved only when all of it is."""
    ended = payload(notification(ENDED), LINK)
    mixed = payload(notification(STALE, ENDED), LINK)
    assert (ended["status"], ended["alerts"][0]["status"], ended["alerts"][0]["endsAt"]) == (
        "resolved",
        "resolved",
        "2026-02-19T01:10:00Z",
    )
    assert (mixed["status"], [alert["status"] for alert in mixed["alerts"]]) == (
        "firing",
        ["firing", "resolved"],
    )
    assert "alertname" not in mixed["commonLabels"]


ADDED = {
    "blind": (
        notice(replace(ALERT, state=State.BLIND, blind_since=T0 + minutes(3))),
        {"blind_since": "2026-02-19T01:03:00Z", "reason": "first"},
    ),
    "a symptom with its cause": (
        notice(ALERT, cause="redis"),
        {
            "cause": "redis",
            "description": "The heartbeat exists: no (heartbeat.present == 0). Because of redis."
            " Affects apply_layer, execution.",
            "reason": "first",
        },
    ),
    "a cause with symptoms": (
        notice(ALERT, symptoms=("OneReason of apply_layer", "NoExecutions of execution")),
        {"also_affected": "OneReason of apply_layer, NoExecutions of execution", "reason": "first"},
    ),
    "acknowledged": (
        notice(ALERT, Reason.ACKNOWLEDGED, ack=ACK),
        {"acknowledged_by": "ana", "reason": "acknowledged"},
    ),
    "flapping": (notice(ALERT, Reason.FLAPPING), {"reason": "flapping", "flapping": "true"}),
    "ended": (
        notice(ENDED),
        {
            "ended_because": "the heartbeat exists: yes (heartbeat.present == 0)",
            "next": "",
            "reason": "resolved",
        },
    ),
    "ended for another reason": (
        notice(replace(ENDED, ended="the rule was removed", ended_by="")),
        {"ended_because": "the rule was removed", "next": "", "reason": "resolved"},
    ),
    "context": (notice(ALERT, None), {}),
}


@pytest.mark.parametrize(("told", "added"), ADDED.values(), ids=ADDED)
def test_what_else_is_known_is_an_annotation(told: Notice, added: dict[str, str]) -> None:
    """What is not so is not there."""
    (alert,) = payload(notification(told), LINK)["alerts"]
    assert alert["annotations"] == {name: text for name, text in (ANNOTATIONS | added).items() if text}


def test_grafana_is_an_annotation_where_there_is_one() -> None:
    """The service is chosen in it; names are quoted in every address."""
    odd = replace(ALERT, labels=Labels(ALERT.labels, service="a b/c#d"))
    (alert,) = payload(notification(odd), Links("https://w.example", "https://g.example/d/x?orgId=1"))[
        "alerts"
    ]
    page = f"https://w.example/services/a%20b%2Fc%23d#alert-{odd.labels.fingerprint}"
    assert (alert["annotations"]["status_url"], alert["generatorURL"]) == (page, page)
    dashboard = "https://g.example/d/x?orgId=1&var-service=a%20b%2Fc%23d"
    assert alert["annotations"]["dashboard_url"] == dashboard


def test_a_signature_covers_the_time_and_every_byte() -> None:
    """HMAC-SHA256 of the timestamp, a dot and the body."""
    expected = hmac.new(b"s3cret", b"1771462800." + b'{"a":1}', hashlib.sha256).hexdigest()
    assert signature(b'{"a":1}', "s3cret", T0) == {
        "X-Watchdog-Timestamp": "1771462800",
        "X-Watchdog-Signature": f"sha256={expected}",
    }


# ---- alertmanager ------------------------------------------------------------------------------

POSTED = {
    "labels": LABELS,
    "annotations": ANNOTATIONS,
    "startsAt": "2026-02-19T01:00:00Z",
    "endsAt": "2026-02-19T01:24:00Z",
    "generatorURL": PAGE,
}
NOW = T0 + minutes(20)
ENDS = {
    "firing outlives three lost sends": (notice(ALERT), "2026-02-19T01:24:00Z"),
    "a reminder as well": (notice(ALERT, Reason.REPEAT), "2026-02-19T01:24:00Z"),
    "resolved has its own end": (notice(ENDED), "2026-02-19T01:10:00Z"),
    "no end before the beginning": (
        notice(replace(ENDED, resolved_at=T0 - minutes(5))),
        "2026-02-19T01:00:00Z",
    ),
    "a test ends by itself": (replace(notice(ENDED), reason=Reason.TEST), "2026-02-19T01:24:00Z"),
}


@pytest.mark.parametrize(("told", "ends_at"), ENDS.values(), ids=ENDS)
def test_alertmanager_is_told_until_when_an_alert_lives(told: Notice, ends_at: str) -> None:
    """As Prometheus does: four intervals from now, or when it ended."""
    (sent,) = posted(notification(told), LINK, NOW, minutes(1))
    annotations = remarks(told, LINK)
    assert sent == POSTED | {"endsAt": ends_at, "annotations": annotations}


def test_alertmanager_is_told_the_latest_firing_only() -> None:
    """It knows one state an alert; an older end would take the younger alert for ended."""
    alerts = posted(notification(AGAIN, ENDED, STALE, merged=3), LINK, NOW, minutes(1))
    assert [(a["labels"]["alertname"], a["startsAt"], a["endsAt"]) for a in alerts] == [
        ("HeartbeatMissing", "2026-02-19T01:12:00Z", "2026-02-19T01:24:00Z"),
        ("HeartbeatStale", "2026-02-19T01:00:00Z", "2026-02-19T01:24:00Z"),
    ]
    assert posted(notification(ENDED, AGAIN), LINK, NOW, minutes(1)) == alerts[:1]


def test_alertmanager_hears_of_no_report() -> None:
    """It is not a state."""
    report = replace(notice(ENDED), reason=Reason.REPORT)
    assert posted(notification(report), LINK, NOW, minutes(1)) == []


# ---- text --------------------------------------------------------------------------------------


def test_a_text_says_all_that_one_asks() -> None:
    """What, since when, the figures, the evidence, whom it affects, what next; then what goes on and what ended."""
    cause = notice(ALERT, symptoms=("OneReason of apply_layer",), ack=ACK)
    goes_on = notice(replace(STALE, evidence={}, runbook=""), None, cause="redis")
    ended = notice(replace(ENDED, ended="the rule was removed"), unannounced=True)
    assert text(notification(cause, goes_on, ended), LINK, T0) == (
        "CRITICAL: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat;"
        " needed by apply_layer, execution (acknowledged by ana) [HeartbeatMissing]\n"
        "  since: 2026-02-19 01:00:00 UTC\n"
        "  figure: the heartbeat exists: no (heartbeat.present == 0)\n"
        "  evidence: last beat: never seen\n"
        "  affects: apply_layer, execution\n"
        "  also affected: OneReason of apply_layer\n"
        "  acknowledged: by ana at 2026-02-19 01:02:00 UTC: restarting the trainer\n"
        "  next: watchdog explain HeartbeatMissing --service rl_trainer\n"
        "  silence: watchdog silence add alertname=HeartbeatMissing service=rl_trainer --for 1h --comment WHY\n"
        f"  status page: {PAGE}\n"
        "  runbook: https://runbooks.example/#heartbeatmissing\n"
        "\n"
        "WARNING: rl_trainer has sent no heartbeat for 6m; because of redis [HeartbeatStale]\n"
        "  since: 2026-02-19 01:00:00 UTC, goes on\n"
        "  figure: the heartbeat exists: no (heartbeat.present == 0)\n"
        "  cause: redis\n"
        "  affects: apply_layer, execution\n"
        "  next: watchdog explain HeartbeatStale --service rl_trainer\n"
        "  silence: watchdog silence add alertname=HeartbeatStale service=rl_trainer --for 1h --comment WHY\n"
        f"  status page: http://127.0.0.1:9821/services/rl_trainer#alert-{STALE.labels.fingerprint}\n"
        "\n"
        "RESOLVED after 10m, was: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat"
        " (the rule was removed) [HeartbeatMissing]\n"
        "  since: 2026-02-19 01:00:00 UTC, ended 2026-02-19 01:10:00 UTC (after 10m), both told only now\n"
        "  figure: the heartbeat exists: no (heartbeat.present == 0)\n"
        "  evidence: last beat: never seen\n"
        "  affects: apply_layer, execution\n"
        f"  status page: {PAGE}\n"
        "  runbook: https://runbooks.example/#heartbeatmissing\n"
        "\n"
        "everything: http://127.0.0.1:9821\n"
    )


def test_an_end_says_how_long_it_was_and_what_ended_it() -> None:
    """Whoever heard of the beginning does not hear its figures again."""
    assert text(notification(ENDED), LINK, T0).splitlines()[:4] == [
        "RESOLVED after 10m, was: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat"
        " [HeartbeatMissing]",
        "  since: 2026-02-19 01:00:00 UTC, ended 2026-02-19 01:10:00 UTC (after 10m)",
        "  ended by: the heartbeat exists: yes (heartbeat.present == 0)",
        "  affects: apply_layer, execution",
    ]


FIRST_WORDS = """
  told for     | how long | what it says        | how the line begins
  first        | 30s      | a has no heartbeat  | CRITICAL: a has no heartbeat
  first        | 12m      | a has no heartbeat  | CRITICAL for 12m: a has no heartbeat
  first        | 2h       | a is dead for 3h    | CRITICAL: a is dead for 3h
  repeat       | 3h 5m    | a has no heartbeat  | STILL CRITICAL for 3h 5m: a has no heartbeat
  escalated    | 30m      | nobody answers      | ESCALATED CRITICAL for 30m: a: nobody answers
  acknowledged | 5m       | an apple is red     | ACKNOWLEDGED CRITICAL for 5m: a: an apple is red
  resolved     | 2h 5m    | a has no heartbeat  | RESOLVED after 2h 5m, was: a has no heartbeat
  resolved     | 0s       | A is away           | RESOLVED after 0s, was: A is away
  test         | 5m       | nothing is wrong    | TEST: nothing is wrong
"""


@pytest.mark.parametrize(("reason", "time", "summary", "begins"), rows(FIRST_WORDS))
def test_the_first_words_say_how_bad_how_long_and_whose(
    reason: str, time: str, summary: str, begins: str
) -> None:
    """A time that the sentence tells is not told twice, and a service that it names is not named twice."""
    lasted = parse_duration(time.replace(" ", ""))
    alert = replace(ALERT, labels=Labels(ALERT.labels, service="a"), summary=summary, last_true=T0 + lasted)
    if reason == "resolved":
        alert = replace(alert, state=State.RESOLVED, resolved_at=T0 + lasted)
    assert one_line(Notice(alert, None, (), reason=Reason(reason))) == f"{begins} [HeartbeatMissing]"


BESIDE = {
    "alone": ((ALERT,), "CRITICAL: rl_trainer"),
    "two fire": ((ALERT, STALE), "CRITICAL (+1 more): rl_trainer"),
    "one ended": ((ALERT, ENDED), "CRITICAL (1 ended): rl_trainer"),
    "both": ((ALERT, STALE, STALE, ENDED), "CRITICAL (+2 more, 1 ended): rl_trainer"),
    "all ended": ((ENDED, ENDED), "RESOLVED (+1 more) after 10m, was: rl_trainer"),
}


@pytest.mark.parametrize(("alerts", "begins"), BESIDE.values(), ids=BESIDE)
def test_the_headline_counts_what_is_beside_the_worst(alerts: tuple[Alert, ...], begins: str) -> None:
    """Before a lock screen cuts it off."""
    assert headline(notification(*alerts), 40).startswith(begins[:39])


def test_no_more_than_three_who_need_it_stand_in_the_line() -> None:
    """They are named whole further down; a warning keeps nobody from working, and an end frees all."""
    many = replace(notice(ALERT), affects=("a", "b", "c", "d", "e"))
    assert one_line(many).endswith("; needed by a, b, c and 2 more [HeartbeatMissing]")
    assert "needed by" not in one_line(notice(STALE)) + one_line(notice(ENDED))


COMMANDS = {
    "two": ("redis-cli XINFO GROUPS s; redis-cli XPENDING s g; redis-cli x", ["GROUPS s", "XPENDING s g"]),
    "quoted": ("redis-cli XINFO GROUPS 'x; rm -rf ~'", ["XINFO GROUPS 'x; rm -rf ~'"]),
    "quoted twice": ("redis-cli GET 'a'\"'\"'; rm b'", ["redis-cli GET 'a'\"'\"'; rm b'"]),
    "none": ("", []),
}


@pytest.mark.parametrize(("look", "shown"), COMMANDS.values(), ids=COMMANDS)
def test_what_to_look_at_is_typed_as_it_stands(look: str, shown: list[str]) -> None:
    """No name from outside becomes a command of its own."""
    told = notice(replace(ALERT, evidence={"look": look, "format": "pipe"}))
    first, *others = [fact.text for fact in facts(told) if fact.name == "next"]
    assert first == "watchdog explain HeartbeatMissing --service rl_trainer"
    assert len(others) == len(shown)
    assert all(command.endswith(end) for command, end in zip(others, shown, strict=True))
    assert "evidence" not in {fact.name for fact in facts(told)}


def test_what_names_the_cause_comes_first_of_the_evidence() -> None:
    """An entry's ID also tells its time; how it was seen is left to `watchdog explain`."""
    evidence = {
        "format": "pipe",
        "last_success": "1771462800000-0",
        "last_failure": {"id": "1771462801000-3", "reason": "no_position"},
    }
    told = notice(replace(ALERT, evidence=evidence))
    assert [fact.text for fact in facts(told) if fact.name == "evidence"] == [
        "last failure: id=1771462801000-3 (2026-02-19 01:00:01 UTC), reason=no_position",
        "last success: 1771462800000-0 (2026-02-19 01:00:00 UTC)",
    ]


def test_a_report_is_its_lines() -> None:
    """It has no since, and nobody is affected."""
    report = replace(
        ENDED, summary="all is well", figures=("execution: ok", "rl_trainer: ok"), words=(), runbook=""
    )
    told = replace(notice(report), reason=Reason.REPORT, affects=())
    assert text(notification(told), LINK, T0) == (
        "REPORT: all is well [HeartbeatMissing]\n"
        "  figure: execution: ok\n"
        "  figure: rl_trainer: ok\n"
        "  evidence: last beat: never seen\n"
        "\n"
        "everything: http://127.0.0.1:9821\n"
    )


def test_a_blind_alert_says_since_when_in_the_text() -> None:
    """It is still firing, and nobody can see it."""
    blind = replace(ALERT, state=State.BLIND, blind_since=T0 + minutes(3))
    lines = text(notification(blind), LINK, T0).splitlines()
    assert lines[0].endswith("execution (cannot be seen at present) [HeartbeatMissing]")
    assert lines[1] == "  since: 2026-02-19 01:00:00 UTC, cannot be seen since 2026-02-19 01:03:00 UTC"


DELAYS = {
    "at once": (1, 0, 59, ""),
    "late": (1, 0, 14 * 60, "decided at 2026-02-19 01:00:00 UTC, 14m late"),
    "waited for its group": (1, 14 * 60, 14 * 60, "decided at 2026-02-19 01:00:00 UTC"),
    "merged": (
        3,
        0,
        14 * 60,
        "3 messages that waited, the oldest decided at 2026-02-19 01:00:00 UTC, 14m late",
    ),
    "merged for its group": (
        2,
        60,
        60,
        "2 messages that waited, the oldest decided at 2026-02-19 01:00:00 UTC",
    ),
}


@pytest.mark.parametrize(("merged", "waits", "passed", "said"), DELAYS.values(), ids=DELAYS)
def test_a_message_that_waited_says_so(merged: int, waits: int, passed: int, said: str) -> None:
    """It is late only by what it waited beyond the pace of its group."""
    message = replace(notification(ALERT, merged=merged), due=T0 + timedelta(seconds=waits))
    now = T0 + timedelta(seconds=passed)
    assert delay(message, now) == said
    assert text(message, LINK, now).startswith(f"{said}\n\n" if said else "CRITICAL")


def test_a_storm_is_a_text_of_bounded_length() -> None:
    """All of the worst, a line for the next, then a number."""
    said = text(notification(*[ALERT] * 1_000), LINK, T0)
    assert said.count("  since: ") == TOLD_WHOLE
    assert said.count("CRITICAL: rl_trainer ") == TOLD_WHOLE + TOLD_SHORT
    assert f"\n… and {1_000 - TOLD_WHOLE - TOLD_SHORT} more\n\neverything: " in said


def test_nothing_from_outside_poses_as_a_line_of_ours() -> None:
    """Line ends, tabs and control signs are neither."""
    nasty = replace(
        ALERT, summary="x\r\nRESOLVED \x1b[31m\u2028y", evidence={"log": "a\n\nstatus: http://evil\x07"}
    )
    said = text(notification(nasty), LINK, T0)
    assert said.splitlines()[0] == LINE.replace(ALERT.summary, "rl_trainer: x  RESOLVED �[31m y")
    assert "  evidence: log: a  status: http://evil�" in said.splitlines()
    assert len(said.splitlines()) == len(text(notification(ALERT), LINK, T0).splitlines())
