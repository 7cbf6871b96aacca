"""Text from outside, made to harm whoever reads it, in every place where it is shown."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import structlog

from tests.web.conftest import Ask, Desk
from watchdog.forms import FORMS, as_table
from watchdog.links import Links
from watchdog.listings import alert_story, alerts_table, deliveries_table, silences_table
from watchdog.notifications import Notice
from watchdog.notifiers.slack import message
from watchdog.notifiers.text import text
from watchdog.report import Snapshot
from watchdog.terminal import harmless, structured_logs

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f\u202egnp\u2066"
HOSTILE = (
    f"cannot <script>alert(1)</script> <!channel> <https://evil.example|click> *b* `c` | x {ESCAPES} end"
)
CONTROL = [sign for sign in dict.fromkeys(ESCAPES) if not sign.isprintable()]


@pytest.fixture
async def attacked(desk: Desk, ask: Ask) -> Desk:
    """A sidecar to which all that can be said was said in bad faith: logs, comments, names."""
    desk.log("worker", HOSTILE, "ERROR")
    desk.log("shop", HOSTILE, "ERROR")
    await desk.tick()
    silence = {
        "matchers": [{"name": "service", "value": HOSTILE}, {"name": "alertname", "value": "Loud"}],
        "duration": "1h",
        "comment": HOSTILE,
        "createdBy": HOSTILE,
    }
    assert (await ask("POST", "/api/v1/silences", silence)).status_code == 200
    ack = {"comment": HOSTILE, "createdBy": HOSTILE}
    answer = await ask("POST", f"/api/v1/alerts/{desk.fingerprint('Loud')}/ack", ack)
    assert answer.status_code == 200
    journal = desk.sidecar.outbox._journal
    journal.record(desk.sidecar.outbox.waiting("ops")[0], "refused", attempt=1, why=HOSTILE)
    desk.sidecar.state.commit()
    await desk.tick()
    latest = snapshot_of(desk)
    desk.sidecar.latest = replace(latest, notices=tuple(map(in_bad_faith, latest.notices)))
    return desk


def in_bad_faith(notice: Notice) -> Notice:
    """Return an alert whose words, which may hold the reason a stream gives, are hostile as well."""
    alert = replace(notice.alert, summary=HOSTILE, figures=(HOSTILE,), ended=HOSTILE, runbook=HOSTILE)
    return replace(notice, alert=alert, cause=HOSTILE, affects=(HOSTILE,), symptoms=(HOSTILE,))


def steers(shown: str) -> list[str]:
    """Return the signs in *shown* that a terminal would obey, but for the ends of lines."""
    return [sign for sign in shown if not sign.isprintable() and sign != "\n"]


def snapshot_of(desk: Desk) -> Snapshot:
    """Return what the sidecar knows."""
    assert desk.sidecar.latest is not None
    return desk.sidecar.latest


def loud(desk: Desk) -> Notice:
    """Return the alert whose evidence is the hostile line."""
    (notice,) = [
        n for n in snapshot_of(desk).notices if (n.alert.name, n.alert.service) == ("Loud", "worker")
    ]
    assert "<script>" in str(notice.alert.evidence["last_error"])
    return notice


async def test_no_table_steers_a_terminal(attacked: Desk, ask: Ask) -> None:
    """`watchdog alerts`, `explain`, `silence list` and `deliveries`: the words stay, the signs go."""
    alerts = (await ask("GET", "/api/v1/alerts")).json()
    silences = (await ask("GET", "/api/v1/silences")).json()
    deliveries = (await ask("GET", "/api/v1/deliveries")).json()
    story = next(
        alert_story(alert, deliveries["deliveries"], alerts["at"])
        for alert in alerts["alerts"]
        if alert["acknowledged"]
    )
    for shown in (alerts_table(alerts), story, silences_table(silences), deliveries_table(deliveries)):
        assert steers(shown) == []
        assert "script" in shown.replace("\n", "").replace(" ", "")


async def test_what_is_printed_as_json_is_ascii(attacked: Desk, ask: Ask) -> None:
    """`curl` and `--format json` print it as it comes."""
    for path in ("status", "alerts", "silences", "deliveries", "receivers"):
        answer = await ask("GET", f"/api/v1/{path}")
        assert answer.content.isascii()
        assert steers(answer.text) == []
    assert HOSTILE in {s["comment"] for s in (await ask("GET", "/api/v1/silences")).json()["silences"]}


async def test_who_wants_text_gets_text_and_no_browser_takes_it_for_another_thing(
    attacked: Desk, ask: Ask
) -> None:
    """Nor does a terminal."""
    page = await ask("GET", "/", headers={"accept": "text/plain"})
    assert (page.headers["content-type"], page.headers["x-content-type-options"]) == (
        "text/plain; charset=utf-8",
        "nosniff",
    )
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert steers(page.text) == []


async def test_metrics_hold_no_text_from_outside(attacked: Desk, ask: Ask) -> None:
    """Log lines, comments and names of people are no labels."""
    exposed = (await ask("GET", "/metrics")).text
    assert ("script" in exposed, "evil" in exposed, steers(exposed)) == (False, False, [])


@pytest.mark.parametrize("form", [*FORMS, "table"])
async def test_no_form_of_an_audit_steers_a_terminal(attacked: Desk, form: str) -> None:
    """Of what is meant for a terminal or a log; JUnit's XML stays XML."""
    latest = snapshot_of(attacked)
    shown = as_table(latest, width=120) if form == "table" else FORMS[form](latest)
    assert steers(shown) == []


class Tags(HTMLParser):
    """Notes the tags a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.tags.append(tag)


async def test_markdown_has_no_tag_of_somebody_elses(attacked: Desk) -> None:
    """A merge request shows what was logged and runs none of it."""
    reader = Tags()
    reader.feed(FORMS["markdown"](snapshot_of(attacked)))
    assert reader.tags == []


async def test_slack_neither_calls_anybody_nor_links(attacked: Desk) -> None:
    """Nothing of what was logged can mention a channel or hide a link behind a word."""
    (sent,) = attacked.sidecar.outbox.waiting("ops")[:1]
    body = str(message(sent, Links("http://127.0.0.1:9821"), attacked.clock.time))
    assert ("<!channel>" in body, "<https://evil.example|" in body) == (False, False)
    assert ("&lt;!channel&gt;" in body, steers(body)) == (True, [])


async def test_a_mail_and_a_chat_have_no_line_of_somebody_elses(attacked: Desk) -> None:
    """One line of ours holds all of one of theirs."""
    (sent,) = attacked.sidecar.outbox.waiting("ops")[:1]
    assert steers(text(sent, Links("http://127.0.0.1:9821"), attacked.clock.time)) == []
    assert loud(attacked).resolved is False


# ---- logs --------------------------------------------------------------------------------------


COLOUR = re.compile("\x1b\\[[0-9;]*m")


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say that somebody looks."""
        return True

    def shown(self) -> str:
        """Return what was written, without our own colours."""
        return COLOUR.sub("", self.getvalue())


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """Log to a terminal."""
    before = structlog.get_config()
    with contextlib.redirect_stderr(Screen()) as found:
        try:
            structured_logs("info")
            yield found
        finally:
            structlog.configure(**before)


SAID: dict[str, Any] = {
    "a word": ESCAPES,
    "a sentence": HOSTILE,
    "a list": [HOSTILE],
    "a mapping": {HOSTILE: HOSTILE},
    "bytes": HOSTILE.encode(),
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_no_log_line_steers_a_terminal(said: Any) -> None:
    """In whatever shape it comes, with and without spaces."""
    with screen() as found:
        structlog.get_logger().info("alert", summary=said)
    shown = found.shown()
    assert "alert" in shown
    assert [sign for sign in CONTROL if sign in shown] == []


def test_no_traceback_steers_a_terminal() -> None:
    """It keeps its lines and loses the rest."""
    with screen() as found:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            structlog.get_logger().exception("tick_failed")
    shown = found.shown()
    assert "ValueError: cannot <script>" in shown
    assert shown.count("\n") > 3
    assert [sign for sign in CONTROL if sign in shown] == []


def test_what_is_no_text_is_left_as_it_is() -> None:
    """Numbers and moments are not our business."""
    event = {"event": "x", "count": 3, "why": "a\tb\x1bc"}
    assert harmless(None, "", event) == {"event": "x", "count": 3, "why": "a   b�c"}
