"""What is guessed of what: names, results, silences, heartbeats and switches, each as a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn import T0, ids, rows
from tests.init.drawn_server import entries, group, stream
from watchdog.config import parse
from watchdog.discovery import tellable
from watchdog.firstlook.draft import draft, scalar
from watchdog.firstlook.guesses import Guesses, Proposed, guess
from watchdog.firstlook.names import looks_like_flag
from watchdog.firstlook.outcomes import find_outcome
from watchdog.firstlook.seen import KeySeen, LogSeen, Seen, StreamSeen
from watchdog.units import parse_duration
from watchdog.yamlfile import read_yaml

PLACE = "127.0.0.1:6379"


def guessed(**seen: Any) -> Guesses:
    """Return what is guessed of what is *seen* at T0."""
    return guess(Seen(PLACE, hosts=frozenset({"web-1"}), **seen), T0)


def services(found: Guesses) -> Mapping[str, Proposed]:
    """Return the services by name."""
    return {service.name: service for service in found.services}


READERS = """
  stream                       | group                               | consumers                          | known       | service
  orders                       | billing                             | web-1-4242                         |             | billing
  orders                       | orders-worker                       | w1 w2                              |             | orders
  taskiq                       | taskiq                              | 0d9c0c2e-7f1e-4a0b-9a51-0f3c5d8a7b11 |           | taskiq
  streaq:default:queues:normal | workers                             | 1a2b3c4d 9f8e7d6c                  |             | streaq
  quantum:stream:apply.plan    | quantum:group:intent_bridge         |                                    |             | intent_bridge
  quantum:stream:apply.plan    | p33                                 | permits-web-1-77                   | permits     | permits
  quantum:stream:apply.plan    | apply_layer_entry                   | x                                  | apply_layer | apply_layer
  quantum:stream:apply.result  | quantum:group:execution:trade.intent |                                   | execution   | execution
  quantum:stream:pnl           | quantum:group:rl_feedback           |                                    | rl_feedback_v2 | rl_feedback_v2
  quantum:stream:ticks         | default                             | collector-web-1-9                  |             | collector
"""


@pytest.mark.parametrize(("key", "name", "consumers", "known", "service"), rows(READERS), ids=ids(READERS))
def test_a_reader_is_named_by_what_says_most(
    key: str, name: str, consumers: str, known: str, service: str
) -> None:
    """A name that is known already, then the group's own, then its consumers' without host and process, then the stream's."""
    beats = [KeySeen(f"quantum:svc:{known}:heartbeat", str(T0.timestamp()))] if known else []
    seen = StreamSeen(key, stream(key, entries(["a=b"])).facts, [group(name, *consumers.split())])
    found = services(guessed(streams=[seen], heartbeats=beats))
    assert [s for s, proposed in found.items() if any(g.kind == "consumes" for g in proposed.guesses)] == [
        service
    ]


WRITERS = """
  entries                    | writer
  source=billing             | billing
  source=billing-service     | billing
  producer=cron              | cron
  source=a1b2c3d4e5          | invoices
  source=x:\x1b[2J           | invoices
  number=1                   | invoices
"""


@pytest.mark.parametrize(("text", "writer"), rows(WRITERS), ids=ids(WRITERS))
def test_a_writer_is_who_its_entries_name(text: str, writer: str) -> None:
    """Else the stream stands for it, and that is said."""
    seen = [stream("orders", entries(["a=b"]), billing="w"), stream("shop:invoices", entries([text] * 5))]
    found = services(guessed(streams=seen))
    assert [s for s, p in found.items() if any(g.keys.get("key") == "shop:invoices" for g in p.guesses)] == [
        writer
    ]
    assert ("could not be seen" in found[writer].why) == (writer == "invoices")


def test_needs_follow_the_flow_and_never_go_round_in_a_circle() -> None:
    """The slower of two streams that make a circle gives way, and is named."""
    fast, slow = timedelta(seconds=1), timedelta(minutes=1)
    seen = [
        stream("quotes", entries(["source=feed"] * 9, fast), trader="a"),
        stream("fills", entries(["source=trader"] * 9, slow), feed="b"),
    ]
    found = services(guessed(streams=seen))
    assert {name: list(service.needs) for name, service in found.items()} == {"feed": [], "trader": ["feed"]}
    assert found["feed"].notes == [
        "reads fills of trader as well, but a need of that would go round in a circle"
    ]


RESULTS = """
  entries                                                                            | success              | reason | ignore
  status=filled · status=rejected · status=filled · status=filled · status=filled     | status: filled       | –      | –
  ok=1 · ok=1 · ok=0 error=no · ok=1 · ok=1                                            | ok: True             | error  | –
  status=done · status=sent · status=new · status=done · status=done                   | status: done, sent   | –      | –
  status=new · status=new · status=new · status=new · status=new                       |                      | –      | –
  side=HOLD ok=0 · side=HOLD ok=0 · side=BUY ok=1 · side=BUY ok=1 · side=BUY ok=0      | ok: True             | –      | side: HOLD
  side=HOLD ok=0 · side=HOLD ok=1 · side=BUY ok=1 · side=BUY ok=1 · side=BUY ok=0      | ok: True             | –      | –
  executed=False · executed=False · executed=False · executed=False · executed=False   |                      | –      | –
  payload={"status":"filled"} · payload={"status":"filled"} · payload={"status":"filled"} · a=b · payload={"status":"x"} | status: filled | – | –
"""
MESSAGES = """
decision=SKIP executed=False would_execute=False error=kill_score_close_ok
decision=EXECUTE executed=False would_execute=False error=risk_layer0_fail:heartbeat_missing
action=FULL_CLOSE_PROPOSED executed=False error=no_position close_qty=0.0
action=FULL_CLOSE_PROPOSED executed=True order_id=85440001 order_status=FILLED
event_type=apply.result executed=true details={"executed":true,"order_status":"FILLED"}
event_type=apply.result executed=false details={"executed":false,"decision":"BLOCKED","error":"kill_score_warning"}
"""


@pytest.mark.parametrize(("drawn", "success", "reason", "ignore"), rows(RESULTS), ids=ids(RESULTS))
def test_results_are_known_by_a_success_that_was_seen(
    drawn: str, success: str, reason: str, ignore: str
) -> None:
    """Flat or in an envelope, as a word or as true; a success that nobody saw is not made up."""
    found = find_outcome(entries(drawn.split(" · ")))
    said = {
        name: ", ".join(w) if isinstance(w, list) else str(w)
        for name, w in (found.success if found else {}).items()
    }
    assert ", ".join(f"{name}: {word}" for name, word in said.items()) == success
    assert ((found and found.success and found.reason) or "–") == reason
    skipped = [f"{name}: {word}" for name, word in found.ignore.items()] if found else []
    assert (skipped or ["–"]) == [ignore]


def test_the_five_shapes_of_one_stream_are_one_success() -> None:
    """incident/messages.md: whatever its shape, `executed` says it, `error` says why, and SKIP was never meant to."""
    found = find_outcome(entries(MESSAGES.strip().splitlines()))
    assert found is not None
    assert (found.success, found.reason, found.ignore) == ({"executed": True}, "error", {"decision": "SKIP"})
    assert (found.entries, found.succeeded, found.ignored) == (6, 2, 1)


def test_a_field_that_never_succeeds_is_said_and_not_guessed() -> None:
    """Nothing is invented: the user is asked."""
    found = services(guessed(streams=[stream("results", entries(["status=rejected"] * 5))]))["results"]
    assert [g.kind for g in found.guesses] == ["stream"]
    assert found.notes == [
        "results: no success among 5 entries, so nothing was guessed of results; say which `status` is one"
        " (seen: rejected): executions: {stream: …, success: {status: …}}"
    ]


SILENCES = """
  entries | every | longest | expect_every
  900     | 20m   | 20m     | 30m
  900     | 20m   | 3h      | 6h
  900     | 20m   | 2d      | –
  900     | 1m    | 1m      | –
  50      | 12h   | 12h     | –
"""


@pytest.mark.parametrize(("count", "every", "longest", "expected"), rows(SILENCES), ids=ids(SILENCES))
def test_a_silence_is_declared_only_where_a_week_was_seen(
    count: str, every: str, longest: str, expected: str
) -> None:
    """Above the longest gap, never below; else it is learnt: an hour says nothing of a night."""
    found = entries(["a=b"] * int(count), parse_duration(every))
    gap = (parse_duration(longest) - parse_duration(every)) // timedelta(milliseconds=1)
    early = [e.id._replace(ms=e.id.ms - gap) for e in found[:300]]
    moved = [type(e)(i, e.fields) for i, e in zip(early, found[:300], strict=False)] + found[300:]
    (signal,) = [g for s in guessed(streams=[stream("s", moved)]).services for g in s.guesses]
    assert signal.keys.get("expect_every", "–") == expected


BEATS = """
  key                    | value         | left | guessed
  svc:orders:heartbeat   | T0-4          | 26s  | orders: ttl 30s
  svc:orders:heartbeat   | T0-4          | –    | orders:
  svc:orders:heartbeat   | {"ts": T0-1}  | 9s   | orders: ttl 10s
  svc:orders:heartbeat   | alive         | 55s  | orders: ttl 60s
  svc:orders:heartbeat   | alive         | –    | –
  svc:orders:heartbeat   | T0-172800     | –    | # orders:
  orders:alive           | T0-1          | –    | orders:
  heartbeat:1a2b3c4d     | T0-1          | 30s  | –
  config:heartbeat_every | 30            | –    | –
"""


@pytest.mark.parametrize(("key", "value", "left", "expected"), rows(BEATS), ids=ids(BEATS))
def test_a_heartbeat_holds_a_time_or_expires(key: str, value: str, left: str, expected: str) -> None:
    """Its life is what is gone and what is left; one that is long dead is a comment, one of a process is left out."""
    for ago in ("4", "172800", "1"):
        value = value.replace(f"T0-{ago}", str(T0.timestamp() - int(ago)))
    seen = KeySeen(key, value, None if left == "–" else parse_duration(left))
    found = guessed(heartbeats=[seen])
    beats = [(s.name, g) for s in found.services for g in s.guesses]
    said = [
        f"{'' if g.sure else '# '}{s}:" + (f" ttl {g.keys['ttl']}" if "ttl" in g.keys else "")
        for s, g in beats
    ]
    assert (said or ["–"]) == [expected.replace("60s", "1m")]
    assert beats or key in found.left_out[0]


def test_a_heartbeat_that_lives_for_an_hour_is_not_stale_after_five_minutes() -> None:
    """The built-in rule would call it stale between two beats."""
    seen = KeySeen("svc:nightly:heartbeat", str(T0.timestamp() - 2400), timedelta(minutes=20))
    found = services(guessed(heartbeats=[seen]))["nightly"]
    assert found.rules == {"HeartbeatStale": ({"when": "heartbeat.age > 1h"}, "it lives for 1h")}


FLAGS = """
  key                    | holds             | guessed
  app:kill_switch        | 0                 | not set at the moment
  app:kill_switch        | true              | set at the moment
  app:trading:halted     | {"active": false} | not set at the moment
  app:safe_mode          | manual            | set at the moment
  app:halted             | 1771364540        | –
  app:stopwatch          | 1                 | –
"""


@pytest.mark.parametrize(("key", "held", "expected"), rows(FLAGS), ids=ids(FLAGS))
def test_a_switch_is_known_by_its_name_and_by_what_it_holds(key: str, held: str, expected: str) -> None:
    """A number or a time under such a name is no switch."""
    flags = [KeySeen(key, held)] if looks_like_flag(key) else []
    found = [g.why for s in guessed(flags=flags).services for g in s.guesses]
    assert (found or ["–"]) == [expected]


def test_logs_and_units_join_the_services_that_are_there() -> None:
    """By their names without what all of them begin with."""
    seen = {
        "streams": [stream("orders", entries(["a=b"]), billing="w")],
        "units": ["shop-billing.service", "shop-web-front.service"],
        "logs": [LogSeen("/var/log/shop/billing.log", "json", 10, 1)],
    }
    found = services(guessed(**seen))
    assert [g.kind for g in found["billing"].guesses] == ["consumes", "unit", "log"]
    assert list(found) == ["orders", "web_front", "billing"]


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(NAMES)
def test_whatever_is_written_is_read_back_as_it_was(name: str) -> None:
    """Quotes, braces, `${…}`, YAML's signs and words: text stays text."""
    document = read_yaml(f"a: {{b: {scalar(name)}, c: [{scalar(name)}]}}", {})
    assert (document.value, document.problems) == ({"a": {"b": name, "c": [name]}}, [])


@settings(max_examples=30, deadline=None)
@given(NAMES.filter(tellable), NAMES.filter(tellable), NAMES)
def test_whatever_a_server_holds_makes_a_file_that_is_right(key: str, name: str, value: str) -> None:
    """Names and values are anybody's; the file has the stream and its group, and nothing that was not there."""
    told = entries(["a=b"] * 5)
    held = [type(entry)(entry.id, {"status": "ok", "error": value, "source": value}) for entry in told]
    seen = Seen(PLACE, streams=[stream(key, held, **{name: "w"})], lists=[name], remarks=[value])
    text = draft(guess(seen, T0), seen, "redis://127.0.0.1:6379/0", None, T0)
    config = parse(text, environment={})
    assert {str(s.key.labels.get("group")) for s in config.signals if s.key.kind == "consumes"} == {name}
    assert {s.key.labels["stream"] for s in config.signals if "stream" in s.key.labels} == {key}
