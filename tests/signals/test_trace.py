"""Orders followed through their stages: how long they take, where they are slow, which never arrive."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.drawn import T0, ids, rows
from tests.groups.wire import Wire
from tests.signals.conftest import Bench, signal_of, steps
from tests.signals.judged import notices
from watchdog.entries import EntryId
from watchdog.model import Reading
from watchdog.signals.base import RedisSignal
from watchdog.signals.trace import Trace
from watchdog.traceparent import Traceparent, parse_traceparent
from watchdog.traces import MOST_TRACES, Seen, Traces

STAGES = {"intent": "intents", "plan": "plans", "result": "results", "fill": "fills"}
KEYS: dict[str, Any] = {
    "stages": STAGES,
    "complete": {"status": "filled"},
    "where": {"decision": "EXECUTE"},
    "unless": {"executed": False},
    "at_most": "30s",
}

# ---- the field ---------------------------------------------------------------------------------

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FIELDS = f"""
  traceparent                                     | is read as
  00-{TRACE_ID}-{SPAN_ID}-01                      | sampled
  00-{TRACE_ID}-{SPAN_ID}-00                      | not sampled
  00-{TRACE_ID}-{SPAN_ID}-ff                      | sampled
  00-{TRACE_ID}-{SPAN_ID}-02                      | not sampled
  cc-{TRACE_ID}-{SPAN_ID}-01                      | sampled
  cc-{TRACE_ID}-{SPAN_ID}-01-what-the-future-is   | sampled
  cc-{TRACE_ID}-{SPAN_ID}-01.what-the-future-is   | nothing
  cc-{TRACE_ID}-{SPAN_ID}-01-                     | sampled
  00-{TRACE_ID}-{SPAN_ID}-01-                     | nothing
  00-{TRACE_ID}-{SPAN_ID}-01-what                 | nothing
  ff-{TRACE_ID}-{SPAN_ID}-01                      | nothing
  00-{"0" * 32}-{SPAN_ID}-01                      | nothing
  00-{TRACE_ID}-{"0" * 16}-01                     | nothing
  00-{TRACE_ID.upper()}-{SPAN_ID}-01              | nothing
  00-{TRACE_ID[:-1]}-{SPAN_ID}-01                 | nothing
  00-{TRACE_ID}-{SPAN_ID}0-01                     | nothing
  00-{TRACE_ID}-{SPAN_ID}-1                       | nothing
  00-{TRACE_ID}-{SPAN_ID}                         | nothing
  0x-{TRACE_ID}-{SPAN_ID}-01                      | nothing
  00-{TRACE_ID}-{SPAN_ID}-01, 00-{TRACE_ID}       | nothing
  ٠٠-{TRACE_ID}-{SPAN_ID}-01                      | nothing
  word                                            | nothing
                                                  | nothing
"""


@pytest.mark.parametrize(("text", "meaning"), rows(FIELDS), ids=[str(n) for n, _ in enumerate(rows(FIELDS))])
def test_the_field_as_the_recommendation_has_it(text: str, meaning: str) -> None:
    """Version, lengths, lower case and ids are checked; later versions are read by what we share."""
    found = parse_traceparent(text)
    expected = {
        "sampled": Traceparent(TRACE_ID, SPAN_ID),
        "not sampled": Traceparent(TRACE_ID, SPAN_ID, False),
    }
    assert found == expected.get(meaning)


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "not sampled"])
def test_what_is_written_can_be_read(sampled: bool) -> None:
    """A span of ours is read as it was written, in version 00; a line break behind it is not ours."""
    trace = Traceparent(TRACE_ID, SPAN_ID, sampled)
    assert parse_traceparent(str(trace)) == trace
    assert parse_traceparent(f"{trace}\n") is None


# ---- figures -----------------------------------------------------------------------------------

FIGURES = """
  intent    | plan        | result      | fill       | a minute after the first: what is told
  a0        | a1          | a3          | a6         | p95 6 typical 6 | plan 1 result 2 fill 3 slowest fill | 0 for nothing
  a0 b10    | a1 b11      | a2 b31      | a4 b32     | p95 22 typical 4 | plan 1 result 20 fill 2 slowest result | 0 for nothing
  a0        | a1          | a2          |            | p95 - typical - | plan 1 result 1 fill - slowest plan | 60 for fill
  a0 b10    | a1 b11      | b12         | b13        | p95 3 typical 3 | plan 1 result 1 fill 1 slowest plan | 60 for result
  a0        | a1/SKIP     | a2/SKIP     |            | p95 - typical - | plan 1 result 1 fill - slowest plan | 0 for nothing
  a0        | a1          | a2/REFUSED  |            | p95 - typical - | plan 1 result 1 fill - slowest plan | 0 for nothing
  a0        | a1          | a2          | a3/rejected | p95 - typical - | plan 1 result 1 fill 1 slowest plan | 0 for nothing
  a0        | a1          | a2          | a3/partial a9 | p95 9 typical 9 | plan 1 result 1 fill 1 slowest plan | 0 for nothing
  a0        | a1 a5       | a2 a7       | a3 a8      | p95 3 typical 3 | plan 1 result 1 fill 1 slowest plan | 0 for nothing
            | a1          | a2          | a3         | p95 - typical - | plan - result 1 fill 1 slowest result | 0 for nothing
            | a1          |             |            | p95 - typical - | plan - result - fill - slowest - | 59 for result
  a0        |             |             |            | p95 - typical - | plan - result - fill - slowest - | 0 for nothing
  a0        |             | a2          | a3         | p95 3 typical 3 | plan - result 2 fill 1 slowest result | 0 for nothing
"""
SAYS: dict[str, dict[str, str]] = {
    "": {"decision": "EXECUTE", "executed": "True", "status": "filled"},
    "SKIP": {"decision": "SKIP", "executed": "False"},
    "REFUSED": {"decision": "EXECUTE", "executed": "False"},
    "rejected": {"status": "rejected"},
    "partial": {"status": "partial"},
}


def traceparent(trace: str, span: int = 1) -> str:
    """Return the field of an entry of the trace called *trace*."""
    return f"00-{ord(trace):032x}-{span:016x}-01"


def draw(bench: Bench, *stages: str) -> None:
    """Add `a3/rejected` and its like to each stage: trace a, three seconds after the test began."""
    for stream, drawn in zip(STAGES.values(), stages, strict=True):
        bench.client.xgroup_create(stream, "readers", id="0", mkstream=True)
        for one in drawn.split():
            when, _, says = one[1:].partition("/")
            said = {} if stream == "intents" else SAYS[says]
            if stream == "plans":
                said = {"decision": said["decision"]}
            bench.add(stream, float(when), fields={**said, "traceparent": traceparent(one[0])})


def figures(found: Reading, at: float, bench: Bench) -> str:
    """Return what a reading says, in short."""
    said = found.seen(bench.after(at))
    told = {name: f"{v:g}" if isinstance(v, float) else str(v) for name, v in said.items()}
    stages = " ".join(f"{name} {told.get(f'stage.{name}', '-')}" for name in list(STAGES)[1:])
    return (
        f"p95 {told.get('end_to_end', '-')} typical {told.get('typical', '-')}"
        f" | {stages} slowest {told.get('slowest', '-')}"
        f" | {told.get('unfinished', '-')} for {told.get('missing_stage', '-')}"
    )


@pytest.mark.parametrize("row", rows(FIGURES), ids=[" ; ".join(row[:4]) for row in rows(FIGURES)])
def test_figures(row: tuple[str, ...], bench: Bench) -> None:
    """Who came through, how fast, by stage; and the oldest that did not, although it was to be executed."""
    draw(bench, *row[:4])
    assert figures(bench.look(signal_of("trace", **KEYS), 60), 60, bench) == " | ".join(row[4:])


def test_the_same_figures_by_looking_in_between(bench: Bench) -> None:
    """However the entries fall into looks, the figures come out the same; and each is counted once."""
    signal = signal_of("trace", **KEYS)
    draw(bench, "", "", "", "")
    counts: dict[str, float] = {}
    for second, entry in enumerate(("intents", "plans", "results", "fills")):
        bench.add(entry, second, fields={**SAYS[""], "traceparent": traceparent("a")})
        found = bench.look(signal, second + 0.5)
        for name in ("started", "completed", "untraced", "lost"):
            counts[name] = counts.get(name, 0) + steps(found, name)
    assert figures(found, 4, bench) == (
        "p95 3 typical 3 | plan 1 result 1 fill 1 slowest plan | 0 for nothing"
    )
    assert counts == {"started": 1, "completed": 1, "untraced": 0, "lost": 0}


@pytest.mark.parametrize("question", range(4))
def test_an_order_that_passes_in_the_midst_of_a_look(question: int, bench: Bench) -> None:
    """Whichever stages were read by then, the order is seen from its beginning to its end."""
    signal = signal_of("trace", **KEYS)
    draw(bench, "", "", "", "")
    counts: Counter[str] = Counter()
    for second in (0, 4):
        with closing(Wire(bench.url)) as wire:
            look, asked = signal.look(bench.after(second)), 0
            wants = next(look)
            try:
                while True:
                    if second == 0 and asked == question:
                        for at, stream in enumerate(STAGES.values()):
                            bench.add(stream, at, fields={**SAYS[""], "traceparent": traceparent("a")})
                    wants, asked = look.send(wire.ask(wants)), asked + 1
            except StopIteration as done:
                found = done.value
        counts.update({name: int(steps(found, name)) for name in ("started", "completed")})
    assert counts == {"started": 1, "completed": 1}
    assert found.values["typical"] == 3.0


def test_nothing_is_told_before_anything_was_seen(bench: Bench) -> None:
    """Unknown is not zero: streams without a trace say nothing of how long one takes, nor that none waits."""
    draw(bench, "", "", "", "")
    found = bench.look(signal_of("trace", **KEYS), 0)
    assert (dict(found.values), steps(found, "started"), found.known) == ({}, 0, True)


def test_a_stage_that_is_not_there_leaves_all_unknown(bench: Bench) -> None:
    """What cannot be read is not taken for a trace that never arrived."""
    draw(bench, "a0", "a1", "a2", "")
    bench.client.delete("fills")
    found = bench.look(signal_of("trace", **KEYS), 60)
    assert found.trouble == 'stream "fills" does not exist'


def test_an_end_that_may_have_been_trimmed_is_not_missing(bench: Bench) -> None:
    """The last stage no longer holds what came when the order was under way: nobody can tell."""
    draw(bench, "a0 b50", "a1 b51", "a2 b52", "a3 c40 c41")
    bench.client.xtrim("fills", maxlen=1, approximate=False)
    assert figures(bench.look(signal_of("trace", **KEYS), 60), 60, bench).endswith("10 for fill")


# ---- bounds ------------------------------------------------------------------------------------


def follow(traces: Traces, trace: str, stage: int, second: float) -> None:
    """Take in one entry that owes an end, *second* after the test began."""
    seen = EntryId(int((T0.timestamp() + second) * 1000), 0)
    found = Seen(stage, seen, Traceparent(trace, SPAN_ID), owes=True, excused=False, is_end=stage == 1)
    traces.take([found], T0 + timedelta(seconds=second))


def test_only_so_many_are_known_at_once() -> None:
    """Beyond the bound the oldest is dropped, and counted if it was still on its way."""
    traces = Traces(("first", "last"), window=timedelta(minutes=10), forget=timedelta(hours=9))
    follow(traces, "done", 0, 0)
    follow(traces, "done", 1, 0.001)
    for number in range(MOST_TRACES + 4):
        follow(traces, str(number), 0, 1 + number / 1000)
    assert (len(traces.gained()["dropped"]), traces.in_flight) == (4, MOST_TRACES)
    oldest = traces.unfinished(0.0)
    assert oldest is not None
    assert oldest.trace_id == "4"


def test_what_never_arrives_is_given_up_in_the_end() -> None:
    """After `forget` a lost order is counted, handed on as finished, and no more under way."""
    traces = Traces(("first", "last"), window=timedelta(minutes=10), forget=timedelta(hours=1))
    follow(traces, "lost", 0, 0)
    follow(traces, "done", 0, 3500)
    follow(traces, "done", 1, 3599)
    assert traces.unfinished(0.0) is not None
    traces.take([], T0 + timedelta(seconds=3601))
    assert traces.gained()["lost"] == [T0 + timedelta(hours=1)]
    assert (traces.unfinished(0.0), [flight.trace_id for flight in traces.finished]) == (
        None,
        ["done", "lost"],
    )


def test_durations_leave_the_window_when_newer_come() -> None:
    """Ten quick orders push out a slow one of eleven minutes ago; a quiet night pushes out nothing."""
    traces = Traces(("first", "last"), window=timedelta(minutes=10), forget=timedelta(hours=1))
    follow(traces, "slow", 0, 0)
    follow(traces, "slow", 1, 40)
    traces.take([], T0 + timedelta(hours=9))
    assert traces.end_to_end.reached(0.95) == pytest.approx(40)
    follow(traces, "quick", 0, 700)
    follow(traces, "quick", 1, 701)
    assert traces.end_to_end.reached(0.95) == pytest.approx(1)


# ---- entries -----------------------------------------------------------------------------------

CARRIERS: dict[str, tuple[dict[str, Any], dict[str, str], int]] = {
    "in an envelope": ({}, {"payload": f'{{"traceparent": "{traceparent("a")}"}}'}, 0),
    "flat beside an envelope": ({}, {"payload": "{}", "traceparent": traceparent("a")}, 0),
    "missing": ({}, {"status": "filled"}, 1),
    "broken": ({}, {"traceparent": "00-abc"}, 1),
    "another field": ({"field": "plan_id"}, {"plan_id": "c07e735d4cb0ef1e"}, 0),
    "another field, empty": ({"field": "trace_id"}, {"trace_id": ""}, 1),
    "another field, no id": ({"field": "plan_id"}, {"plan_id": "\x1b[31m<script>"}, 1),
    "another field, a traceparent": ({"field": "trace"}, {"trace": traceparent("a")}, 0),
    "plain ids are no traceparent": ({}, {"traceparent": "c07e735d4cb0ef1e"}, 1),
}


@pytest.mark.parametrize(("keys", "fields", "untraced"), CARRIERS.values(), ids=CARRIERS)
def test_carriers(keys: dict[str, Any], fields: dict[str, str], untraced: int, bench: Bench) -> None:
    """Which entries belong to a trace, and that those which do not are counted."""
    draw(bench, "", "", "", "")
    bench.add("intents", 0, fields=fields)
    found = bench.look(signal_of("trace", stages=STAGES, **keys), 1)
    assert (steps(found, "untraced"), steps(found, "started")) == (untraced, 1 - untraced)
    assert ("last_untraced" in found.evidence) == bool(untraced)


def test_evidence_names_the_order(bench: Bench) -> None:
    """What is shown: where the oldest one was last seen, by its entries, and which was the slowest."""
    draw(bench, "a0 b10", "a1 b11", "b12", "b13")
    assert bench.look(signal_of("trace", **KEYS), 60).evidence == {
        "oldest_unfinished": {"trace": f"{ord('a'):032x}", "intent": bench.id(0), "plan": bench.id(1)},
        "slowest_completed": {"trace": f"{ord('b'):032x}", "seconds": 3.0},
    }


# ---- the rule ----------------------------------------------------------------------------------

SERVICE = """\
orders:
  trace:
    stages: {intent: intents, plan: plans, result: results, fill: fills}
    where: {decision: EXECUTE}
    unless: {executed: false}
"""
RULE = """
  fill         | declared     | says
  -100         | at_most: 30s | -
  none         | at_most: 30s | orders: an order has been under way for 1m 50s and has not come to fill
  none         | at_most: 2m  | -
  none         | every: 5s    | -
"""


@pytest.mark.parametrize(("fill", "declared", "says"), rows(RULE), ids=ids(RULE))
def test_slow_orders(fill: str, declared: str, says: str, bench: Bench) -> None:
    """`SlowOrders` speaks where `at_most` is declared and an order is on its way for longer."""
    draw(bench, "a-110", "a-108", "a-105", "" if fill == "none" else f"a{fill}")
    told = notices(bench, f"{SERVICE}    {declared}")
    assert [n.alert.summary for n in told if n.alert.labels["alertname"] == "SlowOrders"] == (
        [] if says == "-" else [says]
    )


# ---- keys --------------------------------------------------------------------------------------


def test_measures_are_those_that_were_declared() -> None:
    """A stage's own latency for every stage but the first, and `overdue` only with `at_most`."""
    bare: RedisSignal[Any] = signal_of("trace", stages={"in": "a", "out": "b"})
    assert isinstance(bare, Trace)
    offered = bare.config.offered()
    assert {"stage.out", "end_to_end"} <= set(offered)
    assert not {"overdue", "stage.*", "stage.in"} & set(offered)
    assert offered["missing_stage"].words == ("nothing", "out")


WRONG: dict[str, dict[str, Any]] = {
    "one stage": {"stages": {"only": "s"}},
    "a name that is none": {"stages": {"a.b": "s", "c": "t"}},
    "no stream": {"stages": {"a": "", "c": "t"}},
    "no time": {"stages": STAGES, "at_most": "0s"},
    "no field": {"stages": STAGES, "field": ""},
}


@pytest.mark.parametrize("keys", WRONG.values(), ids=WRONG)
def test_wrong_keys(keys: dict[str, Any]) -> None:
    """What cannot be meant is refused at load."""
    with pytest.raises(ValidationError):
        signal_of("trace", **keys)
