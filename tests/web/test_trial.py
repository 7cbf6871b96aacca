"""The message of `watchdog test-receiver`, compared whole, and understood by every notifier."""

from __future__ import annotations

from tests.drawn import T0
from watchdog.model import Labels
from watchdog.notifications import Reason
from watchdog.notifiers.pagerduty import events
from watchdog.notifiers.slack import message
from watchdog.notifiers.text import text
from watchdog.notifiers.webhook import payload
from watchdog.trial import trial

LINK = "http://127.0.0.1:9821"


def test_a_test_says_that_it_is_one() -> None:
    """In the payload of a webhook it is an alert like others."""
    sent = trial("ops", T0)
    (notice,) = sent.notices
    assert (sent.receiver, sent.group, notice.reason) == ("ops", Labels(service="watchdog"), Reason.TEST)
    (alert,) = payload(sent, LINK)["alerts"]
    assert alert == {
        "status": "firing",
        "labels": {
            "alertname": "ReceiverTest",
            "receiver": "ops",
            "service": "watchdog",
            "severity": "info",
        },
        "annotations": {"summary": "A test of receiver ops: nothing is wrong", "reason": "test"},
        "startsAt": "2026-02-19T01:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"{LINK}/api/v1/alerts?fingerprint={alert['fingerprint']}",
        "fingerprint": alert["fingerprint"],
    }


def test_two_tests_are_two_messages() -> None:
    """A receiver that drops doubles takes the second one as well."""
    later = T0.replace(minute=5)
    assert trial("ops", T0).key == trial("ops", T0).key
    assert len({trial("ops", T0).key, trial("ops", later).key, trial("boss", T0).key}) == 3


def test_people_see_at_once_that_it_is_a_test() -> None:
    """First in the line that a phone shows; an incident opens and closes again."""
    sent = trial("ops", T0)
    said = "TEST ReceiverTest: A test of receiver ops: nothing is wrong"
    assert message(sent, LINK, T0)["text"] == said
    assert text(sent, LINK, T0).splitlines()[0] == said
    assert [event["event_action"] for event in events(sent, LINK, T0)] == ["trigger", "resolve"]
