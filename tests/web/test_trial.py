"""The message of `watchdog test-receiver`, compared whole, and understood by every notifier."""

from __future__ import annotations

from tests.drawn import T0
from watchdog.builtin import runbook_of
from watchdog.links import Links
from watchdog.model import Labels
from watchdog.notifications import Reason
from watchdog.notifiers.pagerduty import events
from watchdog.notifiers.slack import message
from watchdog.notifiers.text import facts, text
from watchdog.notifiers.webhook import payload
from watchdog.trial import trial

LINK = Links("http://127.0.0.1:9821")


def test_a_test_says_that_it_is_one() -> None:
    """In the payload of a webhook it is an alert like others."""
    sent = trial("ops", T0)
    (notice,) = sent.notices
    assert (sent.receiver, sent.group, notice.reason) == ("ops", Labels(service="watchdog"), Reason.TEST)
    (alert,) = payload(sent, LINK)["alerts"]
    page = f"http://127.0.0.1:9821/services/watchdog#alert-{alert['fingerprint']}"
    assert alert == {
        "status": "firing",
        "labels": {
            "alertname": "ReceiverTest",
            "receiver": "ops",
            "service": "watchdog",
            "severity": "info",
        },
        "annotations": {
            "summary": "nothing is wrong, receiver ops works",
            "description": "Figures stand here, such as: time since the last success: 2h 5m"
            " (executions.age > 1h). Affects whatever needs the service.",
            "runbook_url": runbook_of("ReceiverFailing"),
            "status_url": page,
            "affects": "whatever needs the service",
            "evidence": '{"seen": "log lines, entries and exit statuses stand here",'
            ' "last_error": "12:00:00,123 | ERROR | <b>a *made-up* line</b> & no @channel"}',
            "reason": "test",
        },
        "startsAt": "2026-02-19T01:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": page,
        "fingerprint": alert["fingerprint"],
    }


def test_two_tests_are_two_messages() -> None:
    """A receiver that drops doubles takes the second one as well."""
    later = T0.replace(minute=5)
    assert trial("ops", T0).key == trial("ops", T0).key
    assert len({trial("ops", T0).key, trial("ops", later).key, trial("boss", T0).key}) == 3


def test_people_see_at_once_that_it_is_a_test() -> None:
    """First in the line that a phone shows; below it looks like a real one. An incident opens and closes again."""
    sent = trial("ops", T0)
    (notice,) = sent.notices
    said = "TEST: nothing is wrong, receiver ops works [ReceiverTest]"
    assert message(sent, LINK, T0)["text"] == f"💬 {said}"
    assert text(sent, LINK, T0).splitlines()[0] == said
    assert [name for name, _ in facts(notice)] == ["figure", "evidence", "evidence", "affects"]
    assert [event["event_action"] for event in events(sent, LINK, T0)] == ["trigger", "resolve"]
