"""What the API shows and takes."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any, get_args

import pytest

from tests.drawn import ids, rows
from tests.web.conftest import TOKEN, Ask, Desk, Hands, asking
from watchdog.config import parse
from watchdog.journal import OUTCOMES
from watchdog.sidecar import Sidecar
from watchdog.web.bodies import Outcome

WORKER = {"name": "service", "value": "worker"}
TWO_HOURS = {"matchers": [WORKER], "duration": "2h", "comment": "new trainer"}
NOT_KEPT = "but the state file cannot be written: a crash would lose that (see StateUnwritable)"


@pytest.fixture
async def firing(desk: Desk) -> str:
    """The fingerprint of worker's alert Quiet, which fires and holds back that of shop."""
    await desk.tick()
    return desk.fingerprint("Quiet")


async def shown(ask: Ask, query: str = "") -> list[dict[str, Any]]:
    """Return the alerts that the API shows."""
    answer = await ask("GET", f"/api/v1/alerts{query}")
    assert answer.status_code == 200, answer.text
    alerts: list[dict[str, Any]] = answer.json()["alerts"]
    return alerts


def told(alert: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return how the receivers stand to an alert, without times."""
    return [(t["receiver"], t["reason"], t["waiting"]) for t in alert["receivers"]]


# ---- reading -----------------------------------------------------------------------------------


async def test_before_the_first_look_nothing_is_known(ask: Ask) -> None:
    """What stands in the state file is, though."""
    for path in ("/api/v1/status", "/api/v1/alerts"):
        answer = await ask("GET", path)
        assert (answer.status_code, answer.json()) == (503, {"error": "the first tick is not finished"})
    assert (await ask("GET", "/api/v1/silences")).json()["silences"] == []


async def test_what_was_is_not_taken_for_what_is(desk: Desk, ask: Ask) -> None:
    """A status of which nobody knows whether it still holds says so."""
    await desk.tick()
    assert (await ask("GET", "/api/v1/status")).json()["fresh"] is True
    desk.clock.time += timedelta(hours=1)
    assert (await ask("GET", "/api/v1/status")).json()["fresh"] is False


async def test_an_alert_says_who_was_told_and_why_others_were_not(desk: Desk, ask: Ask, firing: str) -> None:
    """The decision's own word while it is new, `told` from then on; what is on its way says so."""
    (worker,) = await shown(ask, f"?fingerprint={firing}")
    assert told(worker) == [("ops", "first", True), ("boss", "first", True)]
    (shop,) = await shown(ask, "?service=shop")
    assert told(shop) == [("ops", "held_by_cause", False), ("boss", "held_by_cause", False)]
    assert (shop["cause"], shop["receivers"][0]["told_at"]) == ("worker", None)
    await desk.tick()
    (worker,) = await shown(ask, f"?fingerprint={firing}")
    at = worker["fired_at"]
    assert worker["receivers"][0] == {
        "receiver": "ops",
        "reason": "told",
        "told_at": at,
        "since": at,
        "waiting": True,
    }
    assert {name: worker[name] for name in ("acknowledged", "silenced_by", "flapping")} == {
        "acknowledged": None,
        "silenced_by": [],
        "flapping": False,
    }


FILTERS = """
  query                                   | alerts
  -                                       | Quiet/worker Loud/shop
  ?service=worker                         | Quiet/worker
  ?service=worker&service=shop            | Quiet/worker Loud/shop
  ?alertname=Loud                         | Loud/shop
  ?alertname=Loud&service=worker          | -
  ?severity=critical                      | Quiet/worker
  ?state=firing                           | Quiet/worker Loud/shop
  ?state=pending&state=resolved           | -
  ?receiver=boss                          | Quiet/worker
  ?receiver=ops&severity=warning          | Loud/shop
  ?receiver=nobody                        | -
"""


@pytest.mark.parametrize(("query", "expected"), rows(FILTERS), ids=ids(FILTERS))
async def test_filters(desk: Desk, ask: Ask, query: str, expected: str) -> None:
    """A label given twice means either; different ones mean all of them."""
    desk.log("shop", "cannot ship", "ERROR")
    await desk.tick()
    found = await shown(ask, query.removeprefix("-"))
    names = [f"{a['labels']['alertname']}/{a['labels']['service']}" for a in found]
    assert " ".join(name for name in names if "Redis" not in name) == expected.removeprefix("-")


WRONG_QUERIES = """
  asked for                            | answer
  /api/v1/alerts?sevice=worker         | sevice: is not known here (did you mean "service"?)
  /api/v1/alerts?state=broken          | state.0: should be 'pending', 'firing', 'blind' or 'resolved'
  /api/v1/alerts?fingerprint=%25       | fingerprint.0: should match pattern '^[0-9a-f]{16}$'
  /api/v1/deliveries?limit=0           | limit: should be greater than or equal to 1
  /api/v1/deliveries?limit=1001        | limit: should be less than or equal to 1000
  /api/v1/deliveries?limit=a           | limit: must be a whole number
  /api/v1/deliveries?since=yesterday   | since: this is not a time (write it like 2026-02-19T01:55:00Z)
  /api/v1/deliveries?since=0           | since: this is not a time (write it like 2026-02-19T01:55:00Z)
  /api/v1/deliveries?since=2026-02-30T00:00:00Z | since: there is no such time (the calendar goes from year 1 to 9999)
  /api/v1/deliveries?receiver=a&receiver=b | receiver: must be a text
  /api/v1/status?x=1                   | x: is not known here
"""


@pytest.mark.parametrize(("path", "error"), rows(WRONG_QUERIES), ids=ids(WRONG_QUERIES))
async def test_a_query_that_is_not_understood_is_refused(ask: Ask, path: str, error: str) -> None:
    """A filter that does not filter would show the wrong thing without a word."""
    answer = await ask("GET", path)
    assert (answer.status_code, answer.json()) == (422, {"error": error})


async def test_receivers_say_how_they_stand(desk: Desk, ask: Ask, firing: str) -> None:
    """What waits, since when; never where they are."""
    answer = await ask("GET", "/api/v1/receivers")
    (ops, boss) = answer.json()["receivers"]
    assert (ops["receiver"], ops["kind"], ops["waiting"], ops["failing_since"], ops["why"]) == (
        "ops",
        "webhook",
        1,
        None,
        None,
    )
    assert ops["outcomes"] == dict.fromkeys(OUTCOMES, 0)
    assert (ops["oldest"], boss["waiting"]) == ("2026-02-19T01:00:01Z", 1)
    assert "127.0.0.1:1" not in answer.text


def test_the_outcomes_one_may_ask_for_are_those_there_are() -> None:
    """The description names them."""
    assert get_args(Outcome) == OUTCOMES


async def test_deliveries_are_shown_latest_first(desk: Desk, ask: Ask, firing: str) -> None:
    """As far as asked for."""
    journal = desk.sidecar.outbox._journal
    (message,) = desk.sidecar.outbox.waiting("ops")
    journal.record(message, "retried", attempt=1, why="answered 500", pause=0.4)
    desk.clock.time += timedelta(seconds=30)
    journal.record(message, "sent", attempt=2, took=0.01)
    desk.sidecar.state.commit()
    found = (await ask("GET", "/api/v1/deliveries")).json()["deliveries"]
    assert found == [
        {
            "at": "2026-02-19T01:00:31Z",
            "receiver": "ops",
            "outcome": "sent",
            "key": message.key,
            "decided_at": "2026-02-19T01:00:01Z",
            "merged": 1,
            "reasons": ["first"],
            "names": ["Quiet/worker"],
            "count": 1,
            "alerts": [firing],
            "attempt": 2,
            "took": 0.01,
            "pause": None,
            "why": None,
        },
        {
            **found[0],
            "at": "2026-02-19T01:00:01Z",
            "outcome": "retried",
            "attempt": 1,
            "took": None,
            "pause": 0.4,
            "why": "answered 500",
        },
    ]
    for query, count in (
        (f"fingerprint={firing}", 2),
        ("fingerprint=0123456789abcdef", 0),
        ("outcome=retried", 1),
        ("receiver=boss", 0),
        ("since=2026-02-19T02:00:30%2B01:00", 1),
        ("limit=1", 1),
    ):
        answer = await ask("GET", f"/api/v1/deliveries?{query}")
        assert (query, len(answer.json()["deliveries"])) == (query, count)


# ---- silences ----------------------------------------------------------------------------------


async def test_the_life_of_a_silence(desk: Desk, ask: Ask, firing: str) -> None:
    """Made, seen, looked up, at work, ended; kept by the state file before the answer."""
    made = (await ask("POST", "/api/v1/silences", TWO_HOURS)).json()
    assert made == {
        "id": made["id"],
        "matchers": [{"name": "service", "value": "worker", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-02-19T01:00:01Z",
        "endsAt": "2026-02-19T03:00:01Z",
        "createdBy": "ana",
        "comment": "new trainer",
        "untilResolved": False,
        "status": {"state": "active"},
    }
    with sqlite3.connect(desk.directory / "state") as file:
        kept = file.execute("SELECT key FROM kept WHERE book = 'silences'").fetchall()
    assert kept == [(made["id"],)]
    assert (await ask("GET", "/api/v1/silences")).json()["silences"] == [made]
    for path in (f"/api/v1/silences/{made['id']}", f"/api/v1/silence/{made['id']}"):
        assert (await ask("GET", path)).json() == made
    assert (await shown(ask, f"?fingerprint={firing}"))[0]["silenced_by"] == [made["id"]]
    await desk.tick()
    assert told((await shown(ask, f"?fingerprint={firing}"))[0])[0][1] == "silenced"
    ended = (await ask("DELETE", f"/api/v1/silence/{made['id']}")).json()
    assert (ended["status"], ended["endsAt"]) == ({"state": "expired"}, "2026-02-19T01:00:02Z")
    await desk.tick(60)
    assert (await ask("DELETE", f"/api/v1/silences/{made['id']}")).json() == ended
    assert (await shown(ask, f"?fingerprint={firing}"))[0]["silenced_by"] == []


async def test_a_silence_is_changed_under_its_id(desk: Desk, ask: Ask, firing: str) -> None:
    """What was read can be posted back, changed; what goes on keeps its beginning, what had ended begins anew."""
    made = (await ask("POST", "/api/v1/silences", TWO_HOURS | {"untilResolved": True})).json()
    await desk.tick(60)
    longer = (await ask("POST", "/api/v1/silences", made | {"endsAt": "2026-02-20T02:00:00+01:00"})).json()
    assert longer == made | {"endsAt": "2026-02-20T01:00:00Z"}
    assert desk.sidecar.wishes.silences[made["id"]].matched
    await ask("DELETE", f"/api/v1/silences/{made['id']}")
    await desk.tick(60)
    again = (await ask("POST", "/api/v1/silences", TWO_HOURS | {"id": made["id"], "createdBy": "ben"})).json()
    assert (again["id"], again["startsAt"], again["createdBy"]) == (
        made["id"],
        "2026-02-19T01:02:01Z",
        "ben",
    )
    assert not desk.sidecar.wishes.silences[made["id"]].matched
    missing = await ask("POST", "/api/v1/silences", TWO_HOURS | {"id": "gone"})
    assert (missing.status_code, missing.json()) == (404, {"error": "there is no such silence"})
    assert len(desk.sidecar.wishes.silences) == 1


async def test_a_silence_may_begin_later_but_not_before_now(desk: Desk, ask: Ask) -> None:
    """Pending until then; Go's zero time, which Alertmanager's clients send, is now."""
    later = TWO_HOURS | {"startsAt": "2026-02-19T04:00:00Z"}
    made = (await ask("POST", "/api/v1/silences", later)).json()
    assert (made["status"]["state"], made["endsAt"]) == ("pending", "2026-02-19T06:00:00Z")
    ended = (await ask("DELETE", f"/api/v1/silences/{made['id']}")).json()
    assert ended["status"]["state"] == "expired"
    zero = TWO_HOURS | {"id": "", "startsAt": "0001-01-01T00:00:00Z"}
    assert (await ask("POST", "/api/v1/silences", zero)).json()["startsAt"] == "2026-02-19T01:00:00Z"


def with_(**changed: Any) -> dict[str, Any]:
    """Return a silence's body with something else in it; None takes a key out."""
    return {name: value for name, value in {**TWO_HOURS, **changed}.items() if value is not None}


def matching(value: str, **more: bool) -> list[dict[str, Any]]:
    """Return matchers for one service."""
    return [{"name": "service", "value": value, **more}]


NO_END = "a silence has an end (give either endsAt or duration)"
EVERYTHING = "matchers: these match every alert (give one that an empty value does not match)"
TOO_EARLY = "endsAt: the end must come after now and after the beginning"
NO_TIME = "endsAt: this is not a time (write it like 2026-02-19T01:55:00Z)"
REFUSED: dict[str, tuple[Any, str]] = {
    "no matcher": (with_(matchers=[]), "matchers: is empty"),
    "nothing at all": ({}, "matchers: is missing; comment: is missing"),
    "an empty value": (with_(matchers=matching("")), EVERYTHING),
    "any value": (with_(matchers=matching(".*", isRegex=True)), EVERYTHING),
    "not some value": (with_(matchers=matching("x", isEqual=False)), EVERYTHING),
    "two of those": (with_(matchers=[*matching(""), *matching("y", isEqual=False)]), EVERYTHING),
    "no end": (with_(duration=None), NO_END),
    "two ends": (with_(endsAt="2026-02-20T00:00:00Z"), NO_END),
    "no length": (with_(duration="0s"), TOO_EARLY),
    "an end in the past": (with_(duration=None, endsAt="2026-02-19T00:59:59Z"), TOO_EARLY),
    "an end before the beginning": (
        with_(duration=None, startsAt="2026-02-21T00:00:00Z", endsAt="2026-02-20T00:00:00Z"),
        TOO_EARLY,
    ),
    "an end beyond the calendar": (
        with_(duration=None, endsAt="9999-12-31T23:59:59-12:00"),
        "endsAt: there is no such time (the calendar goes from year 1 to 9999)",
    ),
    "a length beyond the calendar": (with_(duration="9999999d"), "duration: this is beyond the calendar"),
    "a length of nines": (with_(duration="9" * 40 + "w"), "duration: this is beyond the calendar"),
    "a time without a zone": (with_(duration=None, endsAt="2026-02-20T00:00:00"), NO_TIME),
    "a number for a time": (with_(duration=None, endsAt=1771459200), NO_TIME),
    "no comment": (with_(comment=None), "comment: is missing"),
    "an empty comment": (with_(comment=""), "comment: is empty"),
    "a comment of spaces": (with_(comment="  \t"), r"comment: should match pattern '\S'"),
    "a long comment": (with_(comment="x" * 1_001), "comment: has more than 1000"),
    "a typing error": (with_(coment="x"), 'coment: is not known here (did you mean "comment"?)'),
    "a number for a word": (with_(comment=5), "comment: must be a text"),
    "a word for a truth": (with_(untilResolved="yes"), "untilResolved: must be true or false"),
    "a label of signs": (
        with_(matchers=[{"name": "a b", "value": "x"}]),
        "matchers.0.name: should match pattern '^[A-Za-z_][A-Za-z0-9_]*$'",
    ),
    "a broken pattern": (
        with_(matchers=matching("(a", isRegex=True)),
        'matchers.0: pattern "service": missing ), unterminated subpattern at position 0',
    ),
    "a pattern without end": (
        with_(matchers=matching("(a+)+$", isRegex=True)),
        'matchers.0: pattern "service": a repeat of a repeat can take for ever on one long line'
        " (make the inner one possessive, as in (a++)+)",
    ),
    "a pattern too deep": (
        with_(matchers=matching("(" * 990, isRegex=True)),
        "matchers.0: this pattern is too much (make it shorter)",
    ),
    "a pattern too often": (
        with_(matchers=matching("a{99999999999}", isRegex=True)),
        "matchers.0: this pattern is too much (make it shorter)",
    ),
    "too many matchers": (with_(matchers=matching("x") * 51), "matchers: has more than 50"),
    "a list": ([TWO_HOURS], "must be a mapping (key: value)"),
    "nothing": (b"null", "must be a mapping (key: value)"),
}


@pytest.mark.parametrize(("body", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_silence_that_makes_no_sense_is_refused(desk: Desk, ask: Ask, body: Any, error: str) -> None:
    """Every mistake in one sentence each, as soon as it is made."""
    answer = await ask("POST", "/api/v1/silences", body)
    assert (answer.status_code, answer.json()) == (422, {"error": error})
    assert desk.sidecar.wishes.silences == {}


async def test_a_silence_for_everything_can_be_meant(ask: Ask) -> None:
    """One matcher that an empty value does not satisfy is enough, as in Alertmanager."""
    body = with_(matchers=[{"name": "alertname", "value": ".+", "isRegex": True}])
    assert (await ask("POST", "/api/v1/silences", body)).status_code == 200


NOT_JSON = {
    "nothing": b"{",
    "not UTF-8": b'{"comment": "\xff"}',
    "half a sign": rb'{"comment": "\ud800"}',
    "python's own": b"{'comment': 'x'}",
    "two values": b"{} {}",
    "very deep": b"[" * 60_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_json_is_a_bad_request(ask: Ask, body: bytes) -> None:
    """Said so, with the place."""
    answer = await ask("POST", "/api/v1/silences", body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is not JSON: ")


async def test_only_json_is_taken(ask: Ask) -> None:
    """No form of a web page can be posted here."""
    body = b'{"comment": "x"}'
    for sent in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await ask("POST", "/api/v1/silences", body, headers={"content-type": sent})
        assert (answer.status_code, answer.json()["error"]) == (
            415,
            "only JSON is understood (send Content-Type: application/json)",
        )
    sent = "Application/JSON; charset=utf-8"
    assert (await ask("POST", "/api/v1/silences", body, headers={"content-type": sent})).status_code == 422


# ---- acknowledging -----------------------------------------------------------------------------


async def test_an_acknowledgement_holds_until_it_is_taken_back(desk: Desk, ask: Ask, firing: str) -> None:
    """By whom, when and why; the holder of the token unless another is named."""
    path = f"/api/v1/alerts/{firing}/ack"
    seen = (await ask("POST", path, {"comment": " on it "})).json()
    assert seen["acknowledged"] == {"by": "ana", "at": "2026-02-19T01:00:01Z", "comment": "on it"}
    assert (await shown(ask, f"?fingerprint={firing}"))[0]["acknowledged"] == seen["acknowledged"]
    await desk.tick()
    assert told((await shown(ask, f"?fingerprint={firing}"))[0])[0][1] == "spared_by_ack"
    assert (await ask("POST", path, {"createdBy": "ben"})).json()["acknowledged"]["by"] == "ben"
    for _ in range(2):
        taken_back = await ask("DELETE", path)
        assert (taken_back.status_code, taken_back.json()["acknowledged"]) == (200, None)
    assert desk.sidecar.wishes.acks == {}


async def test_an_acknowledgement_needs_no_body(ask: Ask, firing: str) -> None:
    """At three in the morning a finger is enough."""
    assert (await ask("POST", f"/api/v1/alerts/{firing}/ack")).json()["acknowledged"]["comment"] == ""


async def test_only_what_fires_can_be_acknowledged(desk: Desk, ask: Ask, firing: str) -> None:
    """Neither what has ended nor what nobody knows."""
    unknown = await ask("POST", "/api/v1/alerts/0123456789abcdef/ack", {})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "there is no such alert"})
    desk.log("worker", "back again")
    await desk.tick()
    over = await ask("POST", f"/api/v1/alerts/{firing}/ack", {})
    assert (over.status_code, over.json()) == (
        409,
        {"error": "the alert is resolved: there is nothing to acknowledge"},
    )


# ---- when it cannot be kept --------------------------------------------------------------------


async def test_what_cannot_be_kept_is_not_promised(desk: Desk, ask: Ask, firing: str) -> None:
    """It holds, but the answer says that a crash would lose it."""
    made = (await ask("POST", "/api/v1/silences", TWO_HOURS)).json()["id"]
    with sqlite3.connect(desk.directory / "state") as other:
        other.execute("BEGIN EXCLUSIVE")
        silenced = await ask("POST", "/api/v1/silences", with_(id=made, duration="3h"))
        seen = await ask("POST", f"/api/v1/alerts/{firing}/ack")
        back = await ask("DELETE", f"/api/v1/alerts/{firing}/ack")
        other.execute("ROLLBACK")
    assert [(r.status_code, r.json()["error"]) for r in (silenced, seen, back)] == [
        (503, f"silence {made} is taken, {NOT_KEPT}"),
        (503, f"the alert is acknowledged, {NOT_KEPT}"),
        (503, f"the acknowledgement is taken back, {NOT_KEPT}"),
    ]
    assert desk.sidecar.wishes.silences[made].ends_at == desk.clock.time + timedelta(hours=3)


# ---- the self-test -----------------------------------------------------------------------------


async def test_a_self_test_begins_and_is_one_at_a_time(desk: Desk, ask: Ask, firing: str) -> None:
    """It says which alert to look for, and at whose."""
    began = await ask("POST", "/api/v1/self-test")
    await desk.tick()
    assert (began.status_code, began.json()) == (
        202,
        {
            "at": "2026-02-19T01:00:01Z",
            "fingerprint": desk.fingerprint("SelfTest", "watchdog"),
            "receivers": ["ops"],
        },
    )
    again = await ask("POST", "/api/v1/self-test")
    assert (again.status_code, again.json()["error"]) == (
        409,
        "a self-test is under way (wait for its end)",
    )


async def test_without_its_rule_there_is_no_self_test() -> None:
    """And the refusal says why."""
    text = f'services: {{a: {{flag: {{key: k}}}}}}\nbuiltin_rules: off\napi: {{tokens: "{TOKEN}"}}'
    async with asking(Sidecar(parse(text), Hands().now)) as ask:
        refused = await ask("POST", "/api/v1/self-test")
    assert (refused.status_code, refused.json()["error"]) == (
        409,
        "there is no rule SelfTest (builtin_rules is off in rules.yaml)",
    )
