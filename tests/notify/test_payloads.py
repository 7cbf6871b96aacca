"""What is sent, compared whole."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.drawn import T0, minutes
from watchdog.alerts import Alert, State
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Notice, Notification
from watchdog.notifiers.slack import MAX_BLOCKS, MAX_HEADER, MAX_SECTION, message
from watchdog.notifiers.webhook import payload

LINK = "http://127.0.0.1:9821"
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
    evidence={"last_beat": "never seen"},
    fired_at=T0 + minutes(0.5),
)
ENDED = replace(ALERT, state=State.RESOLVED, resolved_at=T0 + minutes(10))


def notification(*alerts: Alert) -> Notification:
    """Return the message about *alerts*."""
    notices = tuple(Notice(alert, None, ("apply_layer", "execution")) for alert in alerts)
    return Notification("8a4f", "hook", Labels(service="rl_trainer"), notices, T0)


def test_the_webhook_payload_is_alertmanagers() -> None:
    """Version 4, as Alertmanager's documentation has it."""
    assert payload(notification(ALERT), LINK) == {
        "version": "4",
        "groupKey": '{}:{service="rl_trainer"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "hook",
        "groupLabels": {"service": "rl_trainer"},
        "commonLabels": {
            "alertname": "HeartbeatMissing",
            "key": "quantum:svc:rl_trainer:heartbeat",
            "service": "rl_trainer",
            "severity": "critical",
        },
        "commonAnnotations": {
            "summary": "rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
            "description": "heartbeat.present (0) == 0",
            "runbook_url": "https://runbooks.example/#heartbeatmissing",
            "affects": "apply_layer, execution",
            "evidence": '{"last_beat": "never seen"}',
        },
        "externalURL": LINK,
        "alerts": [
            {
                "status": "firing",
                "labels": {
                    "alertname": "HeartbeatMissing",
                    "key": "quantum:svc:rl_trainer:heartbeat",
                    "service": "rl_trainer",
                    "severity": "critical",
                },
                "annotations": {
                    "summary": "rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
                    "description": "heartbeat.present (0) == 0",
                    "runbook_url": "https://runbooks.example/#heartbeatmissing",
                    "affects": "apply_layer, execution",
                    "evidence": '{"last_beat": "never seen"}',
                },
                "startsAt": "2026-02-19T01:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://127.0.0.1:9821/api/v1/alerts?fingerprint=c6a265f33e8e0673",
                "fingerprint": "c6a265f33e8e0673",
            }
        ],
    }


def test_an_end_is_told_as_resolved_with_its_time() -> None:
    """A message is resolved only when all of it is."""
    ended = payload(notification(ENDED), LINK)
    mixed = payload(
        notification(replace(ALERT, labels=Labels(ALERT.labels, alertname="HeartbeatStale")), ENDED), LINK
    )
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


def test_a_blind_alert_says_since_when() -> None:
    """It is still firing, and nobody can see it."""
    blind = replace(ALERT, state=State.BLIND, blind_since=T0 + minutes(3))
    (told,) = payload(notification(blind), LINK)["alerts"]
    assert (told["status"], told["annotations"]["blind_since"]) == ("firing", "2026-02-19T01:03:00Z")


def test_the_slack_message_says_it_all_in_its_first_line() -> None:
    """A phone shows `text`; the blocks say the rest."""
    assert message(notification(ALERT), LINK) == {
        "text": "CRITICAL HeartbeatMissing: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
        "blocks": [
            {
                "type": "header",
                "text": {
                    "type": "plain_text",
                    "text": "CRITICAL HeartbeatMissing: rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat",
                    "emoji": False,
                },
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "*HeartbeatMissing* rl_trainer has no heartbeat at quantum:svc:rl_trainer:heartbeat\n"
                    "since 2026-02-19T01:00:00Z\n"
                    "• heartbeat.present (0) == 0\n"
                    "• last_beat: never seen\n"
                    "affects: apply_layer, execution\n"
                    "<https://runbooks.example/#heartbeatmissing|runbook>",
                },
            },
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "<http://127.0.0.1:9821|status>"}]},
        ],
    }


def test_slack_gets_no_more_than_it_takes() -> None:
    """50 blocks, 150 characters a header, 3,000 a section."""
    long = replace(ALERT, summary="x" * 5_000, evidence={f"e{i}": "y" * 2_000 for i in range(20)})
    sent = message(notification(*[long] * 80), LINK)
    sections = [block["text"]["text"] for block in sent["blocks"] if block["type"] == "section"]
    assert len(sent["blocks"]) == MAX_BLOCKS
    assert len(sent["blocks"][0]["text"]["text"]) == MAX_HEADER
    assert max(map(len, sections)) <= MAX_SECTION
    assert sent["blocks"][-1]["elements"][0]["text"] == "32 more alerts · <http://127.0.0.1:9821|status>"
    assert sent["text"].endswith("(+79 more)")


def test_untrusted_text_mentions_nobody_and_links_nowhere() -> None:
    """What comes from Redis or a log is text in Slack as well."""
    nasty = replace(
        ALERT, summary="<!channel> <https://evil.example|click> &amp;", evidence={"last_error": "<@U1>"}
    )
    sent = message(notification(nasty), LINK)
    assert sent["text"] == (
        "CRITICAL HeartbeatMissing: &lt;!channel&gt; &lt;https://evil.example|click&gt; &amp;amp;"
    )
    section = sent["blocks"][1]["text"]["text"]
    assert "<!" not in section
    assert "<@" not in section
    assert section.count("<") == 1  # the runbook's own link
    assert json.dumps(payload(notification(nasty), LINK))
