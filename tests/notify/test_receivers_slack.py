"""Slack: what is posted, within which limits, and how a thread is kept, against a local Slack."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.drawn import T0, minutes
from tests.notify.test_payloads import (
    ACK,
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
from watchdog.links import Links
from watchdog.model import Labels
from watchdog.notifications import Notice, Reason
from watchdog.notifiers.base import Notifier, encode
from watchdog.notifiers.slack import MAX_BLOCKS, MAX_HEADER, MAX_JSON, MAX_SECTION, escape, message

TOKEN = "not-a-real-token"


def test_the_message_says_it_all_in_its_first_line() -> None:
    """A phone shows `text`; the blocks say the rest."""
    assert message(notification(ALERT), LINK, T0) == {
        "text": f"🔴 {LINE}",
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": f"🔴 {LINE}", "emoji": False},
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "*since* <!date^1771462800^{date_short_pretty} {time}|01:00 UTC> · 2026-02-19 01:00:00 UTC\n"
                    "• the heartbeat exists: no (heartbeat.present == 0)\n"
                    "• last beat: `never seen`\n"
                    "*affects* apply_layer, execution\n"
                    "*next* `watchdog explain HeartbeatMissing --service rl_trainer`\n"
                    "*silence* `watchdog silence add alertname=HeartbeatMissing service=rl_trainer"
                    " --for 1h --comment WHY`\n"
                    f"<{PAGE}|status page> · <https://runbooks.example/#heartbeatmissing|runbook>",
                    "verbatim": True,
                },
            },
            {
                "type": "context",
                "elements": [
                    {"type": "mrkdwn", "text": "<http://127.0.0.1:9821|everything>", "verbatim": True}
                ],
            },
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


SIGNED = {
    "critical": (notice(ALERT), "🔴 CRITICAL: "),
    "warning": (notice(STALE), "🟠 WARNING: "),
    "info": (notice(replace(ALERT, labels=Labels(ALERT.labels, severity="info"))), "🔵 INFO: "),
    "blind": (notice(replace(ALERT, state=State.BLIND)), "🔴 CRITICAL: "),
    "ended": (notice(ENDED), "✅ RESOLVED after 10m, was: "),
    "a test": (notice(ALERT, Reason.TEST), "💬 TEST: "),
    "a report": (notice(ALERT, Reason.REPORT), "💬 REPORT: "),
}


@pytest.mark.parametrize(("told", "begins"), SIGNED.values(), ids=SIGNED)
def test_a_sign_and_a_word_say_how_bad_it_is(told: Notice, begins: str) -> None:
    """Nobody has to tell colours apart, and no colour is needed on a lock screen."""
    sent = message(notification(told), LINK, T0)
    assert sent["text"].startswith(begins)
    assert sent["blocks"][0]["text"]["text"].startswith(begins)


def test_several_alerts_are_one_message_each_with_its_own_sentence() -> None:
    """The worst one's stands above all of them, and is not said twice."""
    sent = message(notification(ALERT, STALE), Links("http://w", "http://g/d"), T0)
    header, first, second, _ = [
        (b["text"]["text"] if "text" in b else "").splitlines() for b in sent["blocks"]
    ]
    assert header == [f"🔴 {LINE.replace('CRITICAL', 'CRITICAL (+1 more)')}"]
    assert first[0].startswith("*since* ")
    assert second[0] == "🟠 *WARNING: rl_trainer has sent no heartbeat for 6m [HeartbeatStale]*"
    assert second[-1].endswith(" · <http://g/d?var-service=rl_trainer|Grafana>")


def test_what_has_no_room_in_the_header_is_said_below_it() -> None:
    """It takes 150 characters."""
    long = replace(ALERT, summary="rl_trainer " + "x" * 200)
    header, section, _ = message(notification(long), LINK, T0)["blocks"]
    assert header["text"]["text"].endswith("x…")
    assert section["text"]["text"].startswith(
        f"🔴 *CRITICAL: {long.summary}; needed by apply_layer, execution ["
    )


def test_what_waited_says_so_above_all_else() -> None:
    """Three messages have become one during an outage of Slack."""
    sent = message(notification(ALERT, ENDED, merged=3), LINK, T0 + minutes(14))
    assert sent["text"].startswith("🔴 CRITICAL (1 ended): rl_trainer has no heartbeat")
    assert sent["blocks"][1]["elements"][0]["text"] == (
        "3 messages that waited, the oldest decided at 2026-02-19 01:00:00 UTC, 14m late"
    )


def test_a_storm_is_counted() -> None:
    """What has no room is said to be more."""
    long = replace(
        ALERT,
        summary="x" * 5_000,
        words=("z" * 500,) * 6,
        evidence={str(i): "y" * 2_000 for i in range(20)},
    )
    sent = message(notification(*[long] * 80), LINK, T0)
    sections = [block["text"]["text"] for block in sent["blocks"] if block["type"] == "section"]
    assert sent["blocks"][0]["text"]["text"].startswith("🔴 CRITICAL (+79 more): rl_trainer: xxx")
    assert sent["text"].startswith("🔴 CRITICAL (+79 more): rl_trainer: xxx")
    assert "• …" in sections[0].splitlines()
    assert sections[0].endswith("|runbook>")
    left_out = 80 - len(sections)
    assert sent["blocks"][-1]["elements"][0]["text"] == f"{left_out} more alerts · <{LINK.base}|everything>"


def test_a_section_is_filled_to_its_end_and_not_beyond() -> None:
    """However long the lines are; that some are left out is said as well."""
    for length in (1, 2, 9, 40, 77, 120, 189):
        many = replace(ALERT, words=("z" * length,) * 1_500)
        section = message(notification(many), LINK, T0)["blocks"][1]["text"]["text"]
        assert MAX_SECTION - 2 * length - 20 < len(section) <= MAX_SECTION
        assert "• …" in section.splitlines()


TEXTS = st.text(max_size=4_000) | st.text("&<>`\n ", max_size=4_000) | st.text("🔥é", max_size=4_000)
NOTICES = st.lists(
    st.builds(
        lambda summary, figures, evidence, runbook, affects: Notice(
            replace(
                ALERT,
                summary=summary,
                words=tuple(figures),
                evidence=evidence,
                runbook="https://x/" + runbook,
            ),
            affects[0] if affects else None,
            tuple(affects),
            tuple(affects),
            Reason.FIRST,
            replace(ACK, by=summary),
        ),
        TEXTS,
        st.lists(TEXTS, max_size=8),
        st.dictionaries(TEXTS, TEXTS, max_size=10),
        TEXTS,
        st.lists(TEXTS, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


OURS = re.compile(
    r"<(?:https?://[^<>|`]+\|(?:status page|runbook|Grafana)|!date\^\d+\^[^<>|]+\|\d\d:\d\d UTC)>"
)
"""What Slack is meant to take for more than text."""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NOTICES, st.integers(1, 60))
def test_slack_gets_no_more_than_it_takes(notices: list[Notice], times: int) -> None:
    """50 blocks, 150 characters a header, 3,000 a section, some 13,000 in all; the first alert is always there."""
    sent = message(notification(*notices * times), LINK, T0 + minutes(5))
    sections = [block["text"]["text"] for block in sent["blocks"] if block["type"] == "section"]
    assert sections
    assert len(sent["blocks"]) <= MAX_BLOCKS
    assert 1 <= len(sent["blocks"][0]["text"]["text"]) <= MAX_HEADER
    assert max(map(len, sections)) <= MAX_SECTION
    assert len(encode(sent["blocks"])) <= MAX_JSON
    for said in sections:
        assert set("<>") & set(OURS.sub("", said)) == set()
        assert said.count("`") % 2 == 0


ENTITY = re.compile(r"&(?:amp|lt|gt);")


@settings(deadline=None)
@given(TEXTS, st.integers(1, 200))
def test_an_entity_is_never_cut(text: str, most: int) -> None:
    """Whatever is clipped, no sign of Slack's own is left over, and what is left is how the text begins."""
    said = escape(text, most)
    assert len(said) <= most
    assert not set(ENTITY.sub("", said)) & set("&<>`\n")
    whole = html.unescape(escape(text))
    assert whole == html.unescape(said) or whole.startswith(html.unescape(said)[:-1])


def test_untrusted_text_mentions_nobody_and_links_nowhere() -> None:
    """What comes from Redis or a log is text in Slack as well."""
    nasty = replace(
        ALERT,
        summary="<!channel> @here <https://evil.example|click> &amp; *bold* _it_ ~no~",
        evidence={"last_error": "<@U1> ```\nrunbook: x *as it is*"},
        runbook="javascript:alert(1)|x>",
    )
    sent = message(notification(nasty), LINK, T0)
    said = "rl_trainer: &lt;!channel&gt; @here &lt;https://evil.example|click&gt; &amp;amp; ∗bold* ＿it_ ∼no~"
    assert sent["text"] == f"🔴 {LINE.replace(ALERT.summary, said)}"
    assert sent["blocks"][1]["text"]["text"] == (
        "*since* <!date^1771462800^{date_short_pretty} {time}|01:00 UTC> · 2026-02-19 01:00:00 UTC\n"
        "• the heartbeat exists: no (heartbeat.present == 0)\n"
        "• last error: `&lt;@U1&gt; ''' runbook: x *as it is*`\n"
        "*affects* apply_layer, execution\n"
        "*next* `watchdog explain HeartbeatMissing --service rl_trainer`\n"
        "*silence* `watchdog silence add alertname=HeartbeatMissing service=rl_trainer --for 1h --comment WHY`\n"
        f"<{PAGE}|status page> · runbook: javascript:alert(1)|x&gt;"
    )
    assert not {"link_names", "parse"} & set(sent)


# ---- sending -----------------------------------------------------------------------------------


class FakeSlack:
    """Answers chat.postMessage as told, then well, and remembers what was posted."""

    def __init__(self, server: HTTPServer, *answers: Mapping[str, Any] | Response) -> None:
        self.answers = list(answers)
        self.posted: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        server.expect_request("/api/chat.postMessage", method="POST").respond_with_handler(self)
        self.api = server.url_for("/api")

    def __call__(self, request: Request) -> Response:
        self.posted.append(json.loads(request.data))
        self.tokens.add(request.headers["Authorization"])
        moment = f"1771462800.{len(self.posted):06d}"
        answer = self.answers.pop(0) if self.answers else {"ok": True, "channel": "C1", "ts": moment}
        return answer if isinstance(answer, Response) else Response(json.dumps(answer))

    def bot(self, channel: str = "#ops") -> Notifier:
        """Return a notifier that posts here."""
        return receiver("slack", token=TOKEN, channel=channel, api=self.api)


async def test_an_outage_is_one_thread(httpserver: HTTPServer) -> None:
    """Beginning, acknowledgement, end: the latter two are replies, and only the acknowledgement stays in the thread."""
    slack = FakeSlack(httpserver)
    thread = await send(slack.bot(), notification(ALERT))
    assert thread == "#ops/1771462800.000001"
    acknowledged = notice(ALERT, Reason.ACKNOWLEDGED, ack=ACK)
    assert await send(slack.bot(), notification(acknowledged), thread=thread) == thread
    assert await send(slack.bot(), notification(STALE, acknowledged), thread=thread) == thread
    assert await send(slack.bot(), notification(ENDED), thread=thread) == thread
    assert slack.tokens == {f"Bearer {TOKEN}"}
    assert slack.posted[0] == message(notification(ALERT), LINK, T0) | {"channel": "#ops"}
    root = {"thread_ts": "1771462800.000001", "channel": "#ops"}
    assert slack.posted[1] == message(notification(acknowledged), LINK, T0) | root | {
        "reply_broadcast": False
    }
    assert slack.posted[3] == message(notification(ENDED), LINK, T0) | root | {"reply_broadcast": True}
    assert [posted.get("reply_broadcast") for posted in slack.posted] == [None, False, True, True]


@pytest.mark.parametrize("error", ["thread_not_found", "message_not_found", "invalid_thread_ts"])
async def test_a_thread_that_is_gone_is_begun_anew(httpserver: HTTPServer, error: str) -> None:
    """Somebody deleted the first message; the news is told all the same."""
    slack = FakeSlack(httpserver, {"ok": False, "error": error})
    assert await send(slack.bot(), notification(ENDED), thread="#ops/1.5") == "#ops/1771462800.000002"
    assert ["thread_ts" in posted for posted in slack.posted] == [True, False]


@pytest.mark.parametrize("thread", ["#other/1.5", "<8a4f@example.com>", "#ops/", "#ops/x", ""])
async def test_a_thread_of_another_place_is_left_alone(httpserver: HTTPServer, thread: str) -> None:
    """The channel or the kind of receiver was changed meanwhile."""
    slack = FakeSlack(httpserver)
    assert await send(slack.bot(), notification(ENDED), thread=thread) == "#ops/1771462800.000001"
    assert "thread_ts" not in slack.posted[0]


REFUSALS = {
    "too fast, as 200": (
        Response('{"ok": false, "error": "ratelimited"}', headers={"Retry-After": "30"}),
        ("answered ratelimited", False, 30.0),
    ),
    "too fast, as 429": (Response(status=429, headers={"Retry-After": "7"}), ("answered 429", False, 7.0)),
    "trouble of its own": (
        {"ok": False, "error": "internal_error"},
        ("answered internal_error", False, None),
    ),
    "not invited": (
        {"ok": False, "error": "not_in_channel"},
        ("answered not_in_channel (invite the bot to the channel)", True, None),
    ),
    "unknown": ({"ok": False, "error": "no_such_thing"}, ("answered no_such_thing", True, None)),
    "an echo of the token": ({"ok": False, "error": TOKEN}, ("answered no reason", True, None)),
    "no JSON": (Response("<html>"), ("gave an answer that is not JSON", False, None)),
    "no mapping": (Response("[]"), ("answered no reason", True, None)),
    "elsewhere": (
        Response(status=302, headers={"Location": "http://x/"}),
        ("answered 302 (give the URL to which it redirects)", True, None),
    ),
}


@pytest.mark.parametrize(("answer", "expected"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_says_why_and_whether_to_try_again(
    httpserver: HTTPServer, answer: Any, expected: tuple[str, bool, float | None]
) -> None:
    """Slack says most of it with status 200."""
    slack = FakeSlack(httpserver, answer)
    with pytest.raises(NotifyError) as caught:
        await send(slack.bot(), notification(ALERT))
    assert (str(caught.value), caught.value.permanent, caught.value.retry_after) == expected


async def test_an_incoming_webhook_keeps_no_thread(httpserver: HTTPServer) -> None:
    """It cannot say what it posted, and names its errors in plain text."""
    httpserver.expect_oneshot_request("/hook").respond_with_data("ok")
    httpserver.expect_oneshot_request("/hook").respond_with_data("no_service", status=404)
    hook = receiver("slack", url=httpserver.url_for("/hook"))
    assert await send(hook, notification(ALERT), thread="#ops/1.5") is None
    assert httpserver.log[0][0].get_json() == message(notification(ALERT), LINK, T0)
    with pytest.raises(NotifyError, match=r"^answered 404: no_service$") as caught:
        await send(hook, notification(ALERT))
    assert caught.value.permanent


def test_only_a_thread_shows_acknowledgements() -> None:
    """And Slack takes one message a second."""
    hook, bot = receiver("slack", url="https://x.example/1"), receiver("slack", token=TOKEN, channel="C1")
    assert (hook.habit.hears_acks, bot.habit.hears_acks, bot.pause.total_seconds()) == (False, True, 1.0)
