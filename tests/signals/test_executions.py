"""Outcomes, in all the shapes one bus mixes: what succeeded, what did not and why, what was offered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.signals.conftest import Bench, signal_of, steps
from watchdog.conditions import look_up, parse_term
from watchdog.history import History
from watchdog.model import AtLeast, Reading, Value
from watchdog.signals import SIGNALS
from watchdog.signals.base import RedisSignal
from watchdog.signals.results import ExecutionsConfig
from watchdog.units import EPOCH

CATALOGUE = {"executions": SIGNALS["executions"].MEASURES}
FILLED = {"status": "filled", "entry_price": "> 0", "position_size_usd": "> 0"}


def executions(**keys: Any) -> RedisSignal[Any]:
    """Return the signal for `results`; what succeeds is `executed: true` if not told."""
    return signal_of("executions", **{"stream": "results", "success": {"executed": True}, **keys})


def told(history: History, signal: RedisSignal[Any], at: datetime, measure: str, window: str = "1h") -> Value:
    """Return what a rule is told of *measure* over *window*."""
    term, found = parse_term("executions", measure, window, CATALOGUE)
    return look_up(term, signal.key, found, history, at)


def counted(reading: Reading) -> tuple[float, float]:
    """Return how many results and how many successes a look counted."""
    return steps(reading, "total"), steps(reading, "succeeded")


# ---- shapes ------------------------------------------------------------------------------------

RESULTS: list[tuple[str, Mapping[str, str], bool, str]] = [
    (
        "1, skipped",
        {"decision": "SKIP", "executed": "False", "would_execute": "False", "error": "kill_score_close_ok"},
        False,
        "kill_score_close_ok",
    ),
    (
        "2, refused",
        {"decision": "EXECUTE", "executed": "False", "error": "risk_layer0_fail:heartbeat_missing"},
        False,
        "risk_layer0_fail:heartbeat_missing",
    ),
    (
        "3, no decision",
        {"action": "FULL_CLOSE_PROPOSED", "executed": "False", "error": "no_position", "close_qty": "0.0"},
        False,
        "no_position",
    ),
    (
        "4, closed",
        {"action": "FULL_CLOSE_PROPOSED", "executed": "True", "reduceOnly": "True", "order_status": "FILLED"},
        True,
        "",
    ),
    (
        "5, executed, in two places",
        {"executed": "true", "details": '{"executed":true,"side":"BUY","qty":0.632,"permit":{}}'},
        True,
        "",
    ),
    (
        "5b, blocked, reason in details",
        {
            "executed": "false",
            "details": '{"executed":false,"decision":"BLOCKED","error":"kill_score_warning_risk_increase"}',
        },
        False,
        "kill_score_warning_risk_increase",
    ),
    ("only in details", {"details": '{"executed": true}'}, True, ""),
    ("a number in data", {"data": '{"executed": 1}'}, True, ""),
    ("a word in payload", {"payload": '{"executed": "True"}'}, True, ""),
    ("1", {"executed": "1"}, True, ""),
    ("flat wins", {"executed": "false", "details": '{"executed": true}'}, False, ""),
    ("missing", {"decision": "EXECUTE"}, False, ""),
    ("null", {"details": '{"executed": null}'}, False, ""),
    ("empty", {"executed": ""}, False, ""),
]


@pytest.mark.parametrize(
    ("fields", "succeeded", "reason"), [row[1:] for row in RESULTS], ids=[row[0] for row in RESULTS]
)
def test_every_shape_with_one_success_line(
    bench: Bench, fields: Mapping[str, str], succeeded: bool, reason: str
) -> None:
    """`{executed: true}`, whichever of the five shapes it comes in, and the reason likewise."""
    bench.add("results", -10, fields={"plan_id": "c07e735d4cb0ef1e", "timestamp": "1771359991", **fields})
    found = bench.look(executions(reason="error"))
    assert counted(found) == (1, float(succeeded))
    assert found.values["age"] == (10.0 if succeeded else AtLeast(10.0))
    assert [variant for name, variant in found.counts if name == "reason"] == ([reason] if reason else [])


def test_all_shapes_on_one_stream(bench: Bench) -> None:
    """Seven of fourteen succeeded, each shape beside the others."""
    for i, (_, fields, _, _) in enumerate(RESULTS):
        bench.add("results", -100 + i, fields=fields)
    assert counted(bench.look(executions(reason="error"))) == (14, 6)


def test_a_reason_named_with_its_envelope(bench: Bench) -> None:
    """`details.error` is the same place as `error`."""
    bench.add("results", -10, executed="false", details='{"error": "no_position"}')
    assert ("reason", "no_position") in bench.look(executions(reason="details.error")).counts


def result(**fields: Any) -> dict[str, str]:
    """Return an `execution.result` in its envelope."""
    payload = {"symbol": "BTCUSDT", "status": "filled", "entry_price": 71208.9, "position_size_usd": 50.0}
    return {"event_type": "execution.result", "payload": json.dumps(payload | fields)}


FILLS: list[tuple[str, dict[str, str], bool]] = [
    ("filled", result(), True),
    ("W17, price 0", result(entry_price=0.0, position_size_usd=0.0), False),
    ("W17, quantity 0", result(position_size_usd=0), False),
    ("rejected", result(status="rejected", order_id="REJECTED", position_size_usd=0.0), False),
    ("partial", result(status="partial"), False),
    ("a price that is text", result(entry_price="71208.9"), True),
    ("no price", {"payload": '{"status": "filled", "position_size_usd": 1}'}, False),
    ("a price that is none", result(entry_price="n/a"), False),
    ("a null price", result(entry_price=None), False),
    ("a negative price", result(entry_price=-1), False),
    ("not a number", {"payload": '{"status": "filled", "entry_price": NaN, "position_size_usd": 1}'}, False),
    ("flat", {"status": "filled", "entry_price": "0.98", "position_size_usd": "50.0"}, True),
]


@pytest.mark.parametrize(("fields", "filled"), [row[1:] for row in FILLS], ids=[row[0] for row in FILLS])
def test_a_fill_needs_a_price(bench: Bench, fields: dict[str, str], filled: bool) -> None:
    """`{status: filled, entry_price: "> 0", position_size_usd: "> 0"}`: every field must match."""
    bench.add("results", -10, fields=fields)
    assert counted(bench.look(executions(success=FILLED))) == (1, float(filled))


def test_one_of_several_words(bench: Bench) -> None:
    """A list means any of them."""
    for i, status in enumerate(("filled", "partial", "rejected", "pending_fill")):
        bench.add("results", -10 + i, status=status)
    assert counted(bench.look(executions(success={"status": ["filled", "partial"]}))) == (4, 2)


# ---- why not -----------------------------------------------------------------------------------


def test_one_reason_on_practically_everything(bench: Bench) -> None:
    """The outage: one reason on 24 of 25 results, wherever it was written."""
    bench.add("results", -9000, executed="True")  # the window is covered, also where Redis counts nothing
    for i in range(24):
        flat = {"executed": "False", "error": "risk_layer0_fail:heartbeat_missing"}
        deep = {"executed": "false", "details": '{"error": "risk_layer0_fail:heartbeat_missing"}'}
        bench.add("results", -100 + i, fields=flat if i % 2 else deep)
    bench.add("results", -10, executed="False", error="no_position")
    signal = executions(reason="error")
    found = bench.look(signal)
    history = History(timedelta(hours=1)).add([found])
    measures = ("top_reason", "top_reason_share", "total", "succeeded", "success_ratio")
    assert [told(history, signal, found.at, name) for name in measures] == [
        "risk_layer0_fail:heartbeat_missing",
        0.96,
        25,
        0,
        0,
    ]
    assert found.evidence["last_failure"] == {"id": bench.id(-10), "reason": "no_position"}


def test_figures_in_a_reason_do_not_make_it_another(bench: Bench) -> None:
    """`position_too_large:$812>$500_cap` is one reason, whatever the sum."""
    for i, size in enumerate((812, 640, 1200.5)):
        bench.add("results", -10 + i, executed="False", error=f"position_too_large:${size}>$500_cap")
    found = bench.look(executions(reason="error"))
    assert steps(found, "reason", "position_too_large:$#>$#_cap") == 3


def test_what_was_never_meant_to_succeed_is_ignored(bench: Bench) -> None:
    """95 % SKIP is normal; a success counts although it says SKIP."""
    for i in range(19):
        bench.add("results", -100 + i, executed="False", decision="SKIP", error="action_hold")
    bench.add("results", -20, executed="False", decision="EXECUTE", error="no_position")
    bench.add("results", -10, executed="True", decision="SKIP")
    found = bench.look(executions(reason="error", ignore={"decision": "SKIP"}))
    assert counted(found) == (2, 1)
    assert [key for key in found.counts if key[0] == "reason"] == [("reason", "no_position")]


# ---- quiet or dead -----------------------------------------------------------------------------


def test_dead_is_offered_and_none_succeeded(bench: Bench) -> None:
    """Input moves, nothing succeeds."""
    bench.add("plans", -9000, -1800, -1200, -600)
    bench.add("results", -1800, -1200, -600, executed="False", error="no_position")
    signal = executions(input="plans")
    found = bench.look(signal)
    history = History(timedelta(hours=1)).add([found])
    assert (told(history, signal, found.at, "offered"), found.values["age"]) == (3, AtLeast(1800))


def test_quiet_is_nothing_offered(bench: Bench) -> None:
    """Neither input nor results: a zero that is known, since the stream still holds what came before."""
    bench.add("plans", -9000)
    bench.add("results", -9000, executed="True")
    signal = executions(input="plans")
    found = bench.look(signal)
    history = History(timedelta(hours=1)).add([found])
    assert (told(history, signal, found.at, "offered"), found.values["age"]) == (0, 9000)


def test_quiet_although_the_input_is_deleted_when_read(bench: Bench) -> None:
    """An emptied stream says by its last ID that nothing came since."""
    bench.add("plans", -9000)
    bench.client.xdel("plans", bench.id(-9000))
    bench.add("results", -9000, executed="True")
    signal = executions(input="plans")
    found = bench.look(signal)
    history = History(timedelta(hours=1)).add([found])
    assert told(history, signal, found.at, "offered") == 0


def test_only_some_entries_are_an_offer(bench: Bench) -> None:
    """`where` may look into envelopes too."""
    bench.add("plans", -40, -30, decision="SKIP")
    bench.add("plans", -20, decision="EXECUTE")
    bench.add("plans", -10, fields={"payload": '{"decision": "EXECUTE"}'})
    bench.add("results", -10, executed="False")
    signal = executions(input={"stream": "plans", "where": {"decision": "EXECUTE"}})
    assert steps(bench.look(signal), "offered") == 2


def test_a_missing_input_leaves_only_the_offers_unknown(bench: Bench) -> None:
    """What was executed is still told."""
    bench.add("results", -9000, -10, executed="True")
    signal = executions(input="plans")
    found = bench.look(signal)
    told_of_results = {"age": 10, "rhythm": 0, "offered_since": None}
    assert (found.gaps, found.known, found.values) == (("offered",), False, told_of_results)
    assert found.evidence["input"] == 'stream "plans" does not exist'
    history = History(timedelta(hours=1)).add([found])
    assert told(history, signal, found.at, "offered") is None
    assert told(history, signal, found.at, "succeeded") == 1
    bench.add("plans", 5)
    assert steps(bench.look(signal, 10), "offered") == 1


def test_a_missing_result_stream_is_unknown(bench: Bench) -> None:
    """No results at all are not 0 successes."""
    found = bench.look(executions())
    assert (found.trouble, found.values) == ('stream "results" does not exist', {})


# ---- history at start --------------------------------------------------------------------------


def test_a_success_in_the_window(bench: Bench) -> None:
    """It is counted at its own time, not at the time of the look."""
    bench.add("results", -9000, -3000, executed="True")
    bench.add("results", -600, executed="False")
    signal = executions()
    found = bench.look(signal)
    history = History(timedelta(hours=1)).add([found])
    assert found.values["age"] == 3000
    assert [told(history, signal, found.at, "succeeded", w) for w in ("10m", "50m", "51m")] == [0, 0, 1]


def test_a_success_long_before_the_window_is_found(bench: Bench) -> None:
    """Ten days and 2,400 refusals ago: read back as far as it takes."""
    ten_days = 10 * 86400
    bench.add("results", -ten_days, executed="True")
    pipe = bench.client.pipeline(transaction=False)
    for i in range(2400):
        pipe.xadd("results", {"executed": "False"}, id=bench.id(-ten_days + 60 + i * 359))
    pipe.execute()
    found = bench.look(executions())
    assert (found.values["age"], found.evidence["last_success"]) == (ten_days, bench.id(-ten_days))


def test_no_success_is_kept(bench: Bench) -> None:
    """The age is at least the time back to the oldest entry, and says that it is a bound."""
    bench.add("results", -4800, -10, executed="False")
    found = bench.look(executions())
    assert found.values == {"age": AtLeast(4800), "rhythm": 0}
    assert found.evidence["last_success"] == "none seen"


def test_no_success_is_kept_by_a_trimmed_stream(bench: Bench) -> None:
    """What was trimmed may have succeeded; the bound grows from there although trimming goes on."""
    bench.add("results", -9000, executed="True")
    bench.add("results", -4800, -10, executed="False")
    bench.client.xtrim("results", maxlen=2, approximate=False)
    signal = executions()
    found = bench.look(signal)
    assert found.values == {"age": AtLeast(4800), "rhythm": 0}
    assert found.counts["total", ""].since == bench.after(-4800)
    bench.client.xadd("results", {"executed": "False"}, id=bench.id(50), maxlen=1, approximate=False)
    assert bench.look(signal, 60).values == {"age": AtLeast(4860), "rhythm": 0}


def test_a_stream_never_used(bench: Bench) -> None:
    """Nothing ever came: at least as long as we watch, in the next process too."""
    bench.client.xgroup_create("results", "g", mkstream=True)
    signal = executions()
    found = bench.looks(signal, 0, 600)
    assert [reading.values["age"] for reading in found] == [AtLeast(0), AtLeast(600)]
    assert (counted(found[0]), found[0].counts["total", ""].since) == ((0, 0), EPOCH)
    later = executions()
    later.remember(signal.memory())
    assert bench.look(later, 7200).values["age"] == AtLeast(7200)


# ---- from process to process -------------------------------------------------------------------


def test_nothing_is_counted_twice_in_one_process(bench: Bench) -> None:
    """Each look brings what is new since the last."""
    signal = executions(input="plans")
    found: list[Reading] = []
    for seconds in (10, 20, 30):
        bench.add("plans", seconds - 5, seconds - 4)
        bench.add("results", seconds - 5, executed="True")
        found += bench.looks(signal, seconds, seconds + 1)
    assert [counted(reading) for reading in found] == [(1, 1), (0, 0)] * 3
    assert [steps(reading, "offered") for reading in found] == [2, 0] * 3


def test_nothing_is_missed_by_a_restart(bench: Bench) -> None:
    """What came while nobody watched is in the next process' window, once."""
    first = executions()
    bench.add("results", -50, executed="True")
    bench.look(first)
    bench.add("results", 10, 20, executed="False")
    bench.add("results", 30, executed="True")
    second = executions()
    second.remember(json.loads(json.dumps(first.memory())))
    found = bench.looks(second, 40, 45)
    assert [counted(reading) for reading in found] == [(4, 2), (0, 0)]
    assert found[0].values["age"] == 10


def test_a_success_is_remembered_when_it_is_trimmed(bench: Bench) -> None:
    """The state file knows what Redis forgot."""
    first = executions()
    bench.add("results", -50, executed="True")
    assert bench.look(first).values["age"] == 50
    bench.client.xadd("results", {"executed": "False"}, id=bench.id(1), maxlen=1, approximate=False)
    assert bench.look(first, 10).values["age"] == 60
    second = executions()
    second.remember(first.memory())
    found = bench.look(second, 7200)
    assert (found.values["age"], found.evidence["last_success"]) == (7250, bench.id(-50))


SUCCESSES = {
    "the same": ({"executed": "True"}, 7250, -50),
    "another word": ({"executed": "done"}, AtLeast(7199), None),
    "one more condition": ({"executed": "True", "price": "> 0"}, AtLeast(7199), None),
    "one that is still there": ({"executed": "False"}, 7199, 1),
}


@pytest.mark.parametrize(("success", "age", "last"), SUCCESSES.values(), ids=SUCCESSES.keys())
def test_what_another_test_called_a_success_is_not_believed(
    bench: Bench, success: Mapping[str, str], age: object, last: float | None
) -> None:
    """Where the file asks for something else by now, only what the stream still holds can tell."""
    first = executions(success={"executed": "True"})
    bench.add("results", -50, executed="True")
    bench.look(first)
    bench.client.xadd("results", {"executed": "False"}, id=bench.id(1), maxlen=1, approximate=False)
    bench.look(first, 10)
    second = executions(success=success)
    second.remember(json.loads(json.dumps(first.memory())))
    found = bench.look(second, 7200)
    told = "none seen" if last is None else bench.id(last)
    assert (found.values["age"], found.evidence["last_success"]) == (age, told)


def test_a_rhythm_of_other_successes_is_not_believed(bench: Bench) -> None:
    """Nor is it believed that there was none for long; a memory of before there was a mark is."""
    first = executions(success={"executed": "True"})
    bench.add("results", *range(-700_000, 0, 10_000), executed="True")
    assert bench.look(first).values["rhythm"] == 1
    bench.client.xadd("results", {"executed": "False"}, id=bench.id(1), maxlen=1, approximate=False)
    bench.look(first, 5)
    old = {name: found for name, found in first.memory().items() if name != "success"}
    found = []
    for success, memory in (("done", first.memory()), ("True", first.memory()), ("True", old)):
        second = executions(success={"executed": success})
        second.remember(memory)
        found.append(bench.look(second, 10).values["rhythm"])
    assert found == [0, 1, 1]


def test_a_bound_is_kept_only_if_nothing_went_unseen(bench: Bench) -> None:
    """Trimmed past the cursor while nobody watched: a success may have come and gone."""
    first = executions()
    bench.add("results", -50, executed="False")
    bench.look(first)
    watched, unwatched = executions(), executions()
    bench.add("results", 10, 7000, executed="False")
    watched.remember(first.memory())
    assert bench.look(watched, 7200).values["age"] == AtLeast(7250)
    bench.client.xtrim("results", maxlen=1, approximate=False)
    unwatched.remember(first.memory())
    assert bench.look(unwatched, 7200).values["age"] == AtLeast(200)


def test_nothing_to_remember() -> None:
    """Before the first look there is no memory, and none is taken back from it."""
    signal = executions()
    assert signal.memory() == {}
    signal.remember({})


def test_a_look_cut_short_loses_nothing() -> None:
    """Redis goes away between the results and the input: what was read counts with the next look."""
    entry = [b"1000-0", [b"executed", b"1"]]
    info = [b"length", 1, b"entries-added", 1, b"last-generated-id", b"1000-0", b"first-entry", entry]
    info += [b"groups", 0, b"radix-tree-keys", 1, b"radix-tree-nodes", 2]
    at = EPOCH + timedelta(seconds=10)
    signal = executions(input="plans")
    cut_short = signal.look(at)
    next(cut_short)
    assert cut_short.send([info, [entry]])[0] == ("XINFO", "STREAM", "plans")
    again = signal.look(at)
    next(again)
    again.send([info, []])
    with pytest.raises(StopIteration) as done:
        again.send([info, [entry]])
    assert counted(done.value.value) == (1, 1)


def test_an_id_from_the_future_still_ages(bench: Bench) -> None:
    """A success whose ID lies ahead is as old as the look that found it, also after a restart."""
    bench.client.xadd("results", {"executed": "1"}, id="1771359991000000-0")
    first = executions()
    assert [found.values["age"] for found in bench.looks(first, 0, 600)] == [0, 600]
    second = executions()
    second.remember(first.memory())
    assert bench.look(second, 7200).values["age"] == 7200
    bench.client.xadd("results", {"executed": "1"})
    assert bench.look(second, 7300).values["age"] == 0


# ---- junk --------------------------------------------------------------------------------------

JUNK: list[tuple[str, Mapping[Any, Any]]] = [
    ("bytes that are no text", {b"\xff\xfe": b"\x00", b"executed": b"\xff\xff"}),
    ("a megabyte", {"executed": "x" * 1_000_000}),
    ("a megabyte of payload", {"payload": '{"executed": "' + "x" * 1_000_000 + '"}'}),
    ("a JSON bomb", {"payload": '{"executed": ' + "[" * 200_000}),
    ("an object bomb", {"details": '{"error":' * 100_000}),
    ("a number of 5,000 digits", {"payload": '{"executed": ' + "1" * 5000 + "}"}),
    ("a list", {"payload": "[1, 2, 3]"}),
    ("a number", {"payload": "1"}),
    ("null", {"payload": "null"}),
    ("a word", {"payload": "executed"}),
    ("half an object", {"payload": '{"executed": tr'}),
    ("empty", {"payload": "", "data": "", "details": ""}),
    ("an object as a value", {"payload": '{"executed": {"a": [1]}, "error": ["x"]}'}),
    ("a lone surrogate", {"payload": '{"executed": "\\ud800", "error": "\\ud800"}'}),
    ("control signs", {"executed": "\x1b[31m", "error": "\x1b[31mred\x00\n"}),
]


@pytest.mark.parametrize("fields", [row[1] for row in JUNK], ids=[row[0] for row in JUNK])
def test_junk_is_a_result_without_success(bench: Bench, fields: Mapping[Any, Any]) -> None:
    """It counts, it is no success, and what comes after it is read as ever."""
    bench.client.xadd("results", dict(fields), id=bench.id(-20))
    bench.add("results", -10, executed="True")
    found = bench.look(executions(reason="error"))
    assert (found.trouble, counted(found), found.values["age"]) == (None, (2, 1), 10)
    assert all(len(variant) <= 120 and variant.isprintable() for _, variant in found.counts)


def test_nesting_of_every_depth_is_survived(bench: Bench) -> None:
    """Somewhere lies the depth that can be read and not be written again."""
    for depth in range(100, 1100, 20):
        deep = "[" * depth + "]" * depth
        bench.client.xadd("results", {"payload": f'{{"executed": {deep}, "error": {deep}}}'}, id=f"{depth}-0")
    found = bench.look(executions(reason="error"))
    assert (found.trouble, counted(found)) == (None, (50, 0))


REFUSED = [
    {"stream": "s"},
    {"stream": "s", "success": {}},
    {"stream": "", "success": {"a": 1}},
    {"stream": "s", "success": {"a": 1}, "input": {"where": {"a": 1}}},
    {"stream": "s", "success": {"a": 1}, "reson": "error"},
]


@pytest.mark.parametrize("keys", REFUSED, ids=str)
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """An execution that can never succeed is an error of the file."""
    with pytest.raises(ValidationError):
        ExecutionsConfig.model_validate(keys)


def test_offered_measures() -> None:
    """Without an input nothing is offered, without a reason none is the most frequent; what is declared is not learnt."""
    plain = {"total", "succeeded", "age", "success_ratio", "rhythm", "overdue"}
    assert set(executions().config.offered()) == plain | {"usual"}
    assert set(executions(expect_every="1h").config.offered()) == plain | {"expected"}
    full = executions(reason="error", input="plans").config.offered()
    offers = {"offered", "offered_since", "answered"}
    assert set(full) == plain | offers | {"usual", "top_reason", "top_reason_share"}
