"""PagerDuty: which events say what, compared whole, and how they are sent to a local Events API."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.drawn import T0, minutes
from tests.notify.test_payloads import (
    ACK,
    AGAIN,
    ALERT,
    ENDED,
    LINE,
    LINK,
    PAGE,
    STALE,
    notice,
    notification,
    receiver,
    send,
)
from watchdog.alerts import State
from watchdog.errors import NotifyError
from watchdog.model import Labels
from watchdog.notifications import Notice, Reason
from watchdog.notifiers import pagerduty
from watchdog.notifiers.base import Notifier, encode
from watchdog.notifiers.pagerduty import MAX_EVENT, MAX_SUMMARY, events

MARK = "c6a265f33e8e0673"
KEY = "0123456789abcdef0123456789abcdef"
TRIGGER = {
    "event_action": "trigger",
    "dedup_key": MARK,
    "client": "Pipeline Watchdog",
    "client_url": PAGE,
    "links": [
        {"href": PAGE, "text": "status page"},
        {"href": "https://runbooks.example/#heartbeatmissing", "text": "runbook"},
    ],
    "payload": {
        "summary": LINE,
        "source": 'rl_trainer/heartbeat{key="quantum:svc:rl_trainer:heartbeat"}',
        "severity": "critical",
        "timestamp": "2026-02-19T01:00:00Z",
        "component": "rl_trainer",
        "group": "rl_trainer",
        "class": "HeartbeatMissing",
        "custom_details": {
            "figures": ["the heartbeat exists: no (heartbeat.present == 0)"],
            "evidence": {"last_beat": "never seen"},
            "affects": ["apply_layer", "execution"],
            "next": ["watchdog explain HeartbeatMissing --service rl_trainer"],
        },
    },
}
RESOLVE = {"event_action": "resolve", "dedup_key": MARK}
ACKNOWLEDGE = {"event_action": "acknowledge", "dedup_key": MARK}


def summed(told: Iterable[Notice], merged: int = 1) -> str:
    """Return the actions of the events, in order."""
    sent = events(notification(*told, merged=merged), LINK, T0)
    return " ".join(event["event_action"] for event in sent)


def test_a_beginning_triggers_and_an_end_resolves() -> None:
    """The alert's fingerprint ties them together."""
    assert events(notification(ALERT), LINK, T0) == [TRIGGER]
    assert events(notification(ENDED), LINK, T0) == [RESOLVE]
    assert events(notification(notice(ALERT, Reason.ACKNOWLEDGED, ack=ACK)), LINK, T0) == [ACKNOWLEDGE]


def test_the_details_say_what_else_is_known() -> None:
    """Cause, symptoms, blindness, and that it comes late; a runbook that is no link is none."""
    blind = replace(ALERT, state=State.BLIND, blind_since=T0 + minutes(3), runbook="see the wiki")
    (event,) = events(
        notification(notice(blind, cause="redis", symptoms=("OneReason of apply_layer",)), merged=2),
        replace(LINK, grafana="https://g.example/d/x"),
        T0 + minutes(9),
    )
    assert [link["text"] for link in event["links"]] == ["status page", "Grafana"]
    assert event["payload"]["group"] == "redis"
    assert event["payload"]["summary"].endswith(
        "; because of redis (cannot be seen at present) [HeartbeatMissing]"
    )
    assert event["payload"]["custom_details"] == {
        "figures": ["the heartbeat exists: no (heartbeat.present == 0)"],
        "evidence": {"last_beat": "never seen"},
        "cause": "redis",
        "affects": ["apply_layer", "execution"],
        "symptoms": ["OneReason of apply_layer"],
        "next": ["watchdog explain HeartbeatMissing --service rl_trainer"],
        "blind_since": "2026-02-19T01:03:00Z",
        "note": "2 messages that waited, the oldest decided at 2026-02-19 01:00:00 UTC, 9m late",
    }


acknowledged = notice(ALERT, Reason.ACKNOWLEDGED, ack=ACK)
ACTIONS = {
    "a reminder": ([notice(ALERT, Reason.REPEAT)], 1, "trigger"),
    "an escalation": ([notice(ALERT, Reason.ESCALATED)], 1, "trigger"),
    "what merely goes on": ([notice(ALERT, None), ENDED], 1, "resolve"),
    "an end whose beginning is new": ([notice(ENDED, unannounced=True)], 2, "trigger resolve"),
    "an acknowledgement": ([acknowledged], 1, "acknowledge"),
    "one merged with its beginning": ([acknowledged], 2, "trigger acknowledge"),
    "a report": ([replace(notice(ENDED), reason=Reason.REPORT)], 1, ""),
    "a test": ([replace(notice(ENDED), reason=Reason.TEST)], 1, "trigger resolve"),
    "two outages of one alert": (
        [AGAIN, notice(ENDED, unannounced=True)],
        2,
        "trigger resolve trigger",
    ),
}


@pytest.mark.parametrize(("told", "merged", "actions"), ACTIONS.values(), ids=ACTIONS)
def test_each_news_is_an_event_in_the_order_of_time(told: list[Notice], merged: int, actions: str) -> None:
    """An older end must not close the incident of a younger beginning."""
    assert summed(told, merged) == actions


def test_the_beginning_told_with_its_end_reads_like_one() -> None:
    """An incident is not called RESOLVED."""
    trigger, _ = events(notification(notice(replace(ENDED, ended="gone"), unannounced=True)), LINK, T0)
    assert trigger == TRIGGER


def test_an_event_is_never_too_large() -> None:
    """Details are clipped, names and summary as well, so that it is taken at all."""
    vast = replace(
        ALERT,
        summary="\U0001f525" * 5_000,
        words=("\ud800" * 100_000,) * 300,
        evidence={f"{i}" * 400: "é\n" * 100_000 for i in range(1, 300)},
    )
    (event,) = events(notification(vast), LINK, T0)
    assert len(encode(event)) <= MAX_EVENT
    assert len(event["payload"]["summary"]) == MAX_SUMMARY
    assert len(event["payload"]["custom_details"]["figures"]) == 100


# ---- sending -----------------------------------------------------------------------------------


class FakeEvents:
    """Answers as told, then with 202, and remembers what came."""

    def __init__(self, server: HTTPServer, *answers: int | Response) -> None:
        self.answers = list(answers)
        self.events: list[dict[str, Any]] = []
        server.expect_request("/v2/enqueue", method="POST").respond_with_handler(self)
        self.url = server.url_for("/v2/enqueue")

    def __call__(self, request: Request) -> Response:
        self.events.append(json.loads(request.data))
        answer = self.answers.pop(0) if self.answers else 202
        return answer if isinstance(answer, Response) else Response("{}", status=answer)

    @property
    def actions(self) -> str:
        """Return what came, in short."""
        return " ".join(event["event_action"] for event in self.events)

    def notifier(self) -> Notifier:
        """Return a notifier that sends here."""
        return receiver("pagerduty", routing_key=KEY, url=self.url)


async def test_the_events_arrive_in_order_with_the_key(httpserver: HTTPServer) -> None:
    """202 is success."""
    api = FakeEvents(httpserver)
    assert await send(api.notifier(), notification(AGAIN, notice(ENDED, unannounced=True))) is None
    assert api.actions == "trigger resolve trigger"
    assert api.events[0] == {"routing_key": KEY, **TRIGGER}
    assert api.notifier().habit.hears_acks


async def test_nothing_to_say_is_said_without_a_word(httpserver: HTTPServer) -> None:
    """A report is taken and makes no event."""
    api = FakeEvents(httpserver)
    await send(api.notifier(), notification(replace(notice(ENDED), reason=Reason.REPORT)))
    assert api.events == []


async def test_after_a_failure_part_way_the_rest_is_sent(httpserver: HTTPServer) -> None:
    """What the failure keeps back is sent by the next attempt, what was taken is not sent again."""
    api = FakeEvents(httpserver, 202, Response(status=503, headers={"Retry-After": "30"}))
    notifier = api.notifier()
    with pytest.raises(NotifyError) as caught:
        await send(notifier, notification(ALERT, STALE))
    assert (str(caught.value), caught.value.permanent, caught.value.retry_after) == (
        "answered 503",
        False,
        30.0,
    )
    await send(notifier, notification(ALERT, STALE))
    marks = [event["dedup_key"] for event in api.events]
    assert marks == [MARK, STALE.labels.fingerprint, STALE.labels.fingerprint]
    await send(notifier, notification(ALERT, STALE))
    assert len(api.events) == 5
    assert notifier == api.notifier()


async def test_another_message_begins_at_its_beginning(httpserver: HTTPServer) -> None:
    """The former one was given up meanwhile."""
    api = FakeEvents(httpserver, 202, 503)
    notifier = api.notifier()
    with pytest.raises(NotifyError):
        await send(notifier, notification(ALERT, STALE))
    await send(notifier, replace(notification(ENDED, STALE), key="9b50"))
    assert api.actions == "trigger trigger resolve trigger"


async def test_many_events_get_through_though_they_are_too_many_at_once(httpserver: HTTPServer) -> None:
    """PagerDuty takes three at a time; each attempt goes on where the last one ended."""
    busy = [answer for _ in range(4) for answer in (202, 202, 202, 429)]
    api = FakeEvents(httpserver, *busy)
    notifier = api.notifier()
    others = [replace(ALERT, labels=Labels(ALERT.labels, key=str(i))) for i in range(10)]
    for _ in range(3):
        with pytest.raises(NotifyError, match=r"^answered 429$"):
            await send(notifier, notification(*others))
    await send(notifier, notification(*others))
    assert len({event["dedup_key"] for event in api.events}) == 10
    assert len(api.events) == 13


async def test_a_refused_event_keeps_no_other_back(httpserver: HTTPServer) -> None:
    """The message counts as refused, and names the likely cause, even if it took two attempts."""
    api = FakeEvents(httpserver, 400, 503)
    notifier = api.notifier()
    with pytest.raises(NotifyError, match=r"^answered 503$"):
        await send(notifier, notification(ALERT, STALE))
    with pytest.raises(NotifyError) as caught:
        await send(notifier, notification(ALERT, STALE))
    assert (str(caught.value), caught.value.permanent) == ("answered 400 (is the routing key right?)", True)
    assert len(api.events) == 3


def test_events_go_to_pagerduty_unless_told_otherwise() -> None:
    """The default is its public address."""
    assert receiver("pagerduty", routing_key=KEY).model_dump()["url"].get_secret_value() == pagerduty.ENQUEUE
