"""
What results say beside success: each row of the outage, and the same day when all is well.

Everything is judged by the built-in rules, so that what is silent here is silent for everybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from tests.signals.conftest import Bench, signal_of, steps
from tests.signals.judged import alerts, notices
from watchdog.signals.base import RedisSignal
from watchdog.signals.results import ExecutionsConfig

HOUR, DAY = 3600, 86400
SKIP = {"decision": "SKIP", "executed": "False", "error": "kill_score_close_ok"}
DONE = {"decision": "EXECUTE", "executed": "True"}
REFUSED = {"decision": "EXECUTE", "executed": "False"}
APPLY = "success: {executed: true}, reason: error, input: {stream: plans, where: {decision: EXECUTE}}"


def executions(keys: str) -> str:
    """Return a service whose executions are declared by *keys*."""
    return f"apply_layer: {{executions: {{stream: results, {keys}}}}}"


def write(bench: Bench, stream: str, entries: Iterable[tuple[float, Mapping[str, Any]]]) -> None:
    """Write *entries* in among those that are there, whichever came first."""
    there: Any = bench.client.xrange(stream)
    found = [(int(entry.partition(b"-")[0]), told) for entry, told in there]
    found += [(int(bench.id(seconds).partition("-")[0]), dict(fields)) for seconds, fields in entries]
    pipe = bench.client.pipeline(transaction=False)
    pipe.delete(stream)
    for n, (ms, told) in enumerate(sorted(found, key=lambda one: one[0])):
        pipe.xadd(stream, told, id=f"{ms}-{n}")
    pipe.execute()


def put(bench: Bench, stream: str, *at: float, fields: Mapping[str, Any]) -> None:
    """Write an entry with *fields* for each of *at*."""
    write(bench, stream, ((seconds, fields) for seconds in at))


def fill(
    bench: Bench, stream: str, start: float, every: float, *entries: Mapping[str, Any], end: float = 0
) -> None:
    """Write *entries* in turn, one each *every* seconds from *start* to *end*."""
    count = int((end - start) / every)
    write(bench, stream, ((start + n * every, entries[n % len(entries)]) for n in range(count)))


def a_normal_day(bench: Bench) -> None:
    """Two hours of 95 % SKIP and some EXECUTE, each plan with its result; something was there long before."""
    put(bench, "plans", -DAY, fields={"decision": "SKIP"})
    put(bench, "results", -DAY, fields=DONE)
    plans = [{"decision": "SKIP"}] * 19 + [{"decision": "EXECUTE"}]
    fill(bench, "plans", -2 * HOUR, 10, *plans)
    fill(bench, "results", -2 * HOUR + 1, 10, *[SKIP] * 19, DONE)


def a_quiet_night(bench: Bench) -> None:
    """The day ends ten minutes ago, and then nothing."""
    put(bench, "plans", -DAY, fields={"decision": "SKIP"})
    put(bench, "results", -DAY, fields=DONE)
    fill(bench, "plans", -2 * HOUR, 10, *[{"decision": "SKIP"}] * 9, {"decision": "EXECUTE"}, end=-600)
    fill(bench, "results", -2 * HOUR + 1, 10, *[SKIP] * 9, DONE, end=-600)


def a_quiet_market(bench: Bench) -> None:
    """Plans go on and every one of them is skipped, as it should be."""
    put(bench, "results", -DAY, fields=DONE)
    put(bench, "plans", -DAY, fields={"decision": "SKIP"})
    fill(bench, "plans", -2 * HOUR, 10, {"decision": "SKIP"}, end=-1800)
    fill(bench, "results", -2 * HOUR + 1, 10, SKIP, end=-1800)
    fill(bench, "plans", -1800, 60, {"decision": "EXECUTE"}, *[{"decision": "SKIP"}] * 28)
    fill(bench, "results", -1799, 60, DONE, *[SKIP] * 28)


def a_burst(bench: Bench) -> None:
    """Two hundred plans at once, worked through in two minutes."""
    a_normal_day(bench)
    fill(bench, "plans", -240, 0.1, {"decision": "EXECUTE"}, end=-220)
    fill(bench, "results", -239, 0.6, DONE, end=-119)


HEALTHY = [a_normal_day, a_quiet_night, a_quiet_market, a_burst]


@pytest.mark.parametrize("day", HEALTHY, ids=lambda day: day.__name__)
def test_a_healthy_day_is_silent_with_all_declared(bench: Bench, day: Callable[[Bench], None]) -> None:
    """More than 95 % SKIP, bursts, nights: nothing of it is wrong, whatever the file declares."""
    day(bench)
    everything = (
        "success: {executed: true}, reason: error, ignore: {decision: SKIP}, decision: {field: decision, of: [SKIP]},"
        " input: {stream: plans, where: {decision: EXECUTE}, all_answered: true}, never: ['unknown_*'],"
        " fields: {decision: {one_of: [SKIP, EXECUTE]}}, at_most: [300/1h, 30/1s]"
    )
    assert alerts(bench, executions(everything)) == set()


# ---- only failures (X04, G06) ------------------------------------------------------------------


def test_x04_rejections_only(bench: Bench) -> None:
    """Margin exhausted: many reasons in turn, none succeeds, and no single one stands out."""
    put(bench, "results", -DAY, fields=DONE)
    reasons = [{**REFUSED, "error": error} for error in ("margin", "min_notional", "rate_limit")]
    fill(bench, "results", -2 * HOUR, 60, *reasons, SKIP)
    skips = "success: {executed: true}, reason: error, ignore: {decision: SKIP}"
    assert alerts(bench, executions(skips)) == {"OnlyFailures"}
    assert (
        alerts(bench, executions("success: {executed: true}, reason: error")) == set()
    )  # not declared: not guessed
    put(bench, "results", -30, fields=DONE)
    assert alerts(bench, executions(skips)) == set()


def test_g06_one_reason_since_midnight(bench: Bench) -> None:
    """Too slow for ten minutes, and one reason in all of an hour; the healthy twin reset its limit."""
    put(bench, "results", -DAY, fields=DONE)
    fill(bench, "results", -5 * HOUR, 100, {**REFUSED, "error": "daily_limit_reached"})
    text = executions("success: {executed: true}, reason: error, ignore: {}")
    assert alerts(bench, text) == {"OnlyFailures"}
    fill(bench, "results", -900, 100, DONE, end=-100)
    assert alerts(bench, text) == set()


# ---- published against consumed (S02), quiet against dead (X11) ----------------------------------


def test_s02_everything_is_read_and_skipped(bench: Bench) -> None:
    """Plans flow, no result comes; half an hour ago each plan still had its result."""
    put(bench, "plans", -DAY, fields={"decision": "EXECUTE"})
    put(bench, "results", -DAY, fields=DONE)
    fill(bench, "plans", -2 * HOUR, 20, {"decision": "EXECUTE"})
    fill(bench, "results", -2 * HOUR + 1, 20, DONE, end=-1800)
    each = APPLY.replace("}}", "}, all_answered: true}")
    assert alerts(bench, executions(each)) == {"Unanswered"}
    assert alerts(bench, executions(APPLY)) == set()  # a stage that answers only some is no outage
    fill(bench, "results", -1799, 20, {**REFUSED, "error": "no_position"}, DONE)
    assert alerts(bench, executions(each)) == set()


def test_a_mere_handful_of_offers_is_not_judged(bench: Bench) -> None:
    """Fewer than twenty in a quarter of an hour may all be on their way."""
    put(bench, "plans", -DAY, fields={"decision": "EXECUTE"})
    put(bench, "results", -DAY, -1000, fields=DONE)
    fill(bench, "plans", -850, 50, {"decision": "EXECUTE"})
    assert alerts(bench, executions(APPLY.replace("}}", "}, all_answered: true}"))) == set()


def test_x11_a_quiet_market_is_no_outage(bench: Bench) -> None:
    """No input for two hours: an info at most; with input, the same silence is dead."""
    put(bench, "plans", -DAY, -2 * HOUR, fields={"decision": "EXECUTE"})
    put(bench, "results", -DAY, -2 * HOUR, fields=DONE)
    (notice,) = notices(bench, executions(APPLY))
    assert (notice.alert.labels["alertname"], notice.alert.labels["severity"]) == ("NothingOffered", "info")
    put(bench, "plans", -600, fields={"decision": "EXECUTE"})
    assert alerts(bench, executions(APPLY)) == {"NoExecutions"}


# ---- what is decided (W18), what must never occur (W19) -------------------------------------------


def test_w18_the_model_always_answers_hold(bench: Bench) -> None:
    """A hundred of a hundred; with one in twenty it is a model again."""
    keys = "success: {action: [BUY, SELL]}, decision: {field: action, of: [BUY, HOLD], varies: true}"
    fill(bench, "results", -2 * HOUR, 60, {"action": "BUY"}, {"action": "HOLD"}, end=-HOUR)
    fill(bench, "results", -HOUR, 36, {"payload": '{"action": "HOLD"}'})
    (notice,) = notices(bench, executions(keys))
    assert notice.alert.labels["alertname"] == "OneDecision"
    assert (
        notice.alert.summary
        == "apply_layer decides HOLD nearly every time: in 100% of 99 cases within an hour"
    )
    assert alerts(bench, executions(keys.replace(", varies: true", ""))) == set()
    fill(bench, "results", -1790, 600, {"action": "SELL"})
    assert alerts(bench, executions(keys)) == set()


def test_shares_of_decisions_can_be_asked_for(bench: Bench) -> None:
    """A rule of one's own: at least one in fifty has to be an EXECUTE."""
    a_normal_day(bench)
    keys = "success: {executed: true}, decision: {field: decision, of: [EXECUTE, SKIP, HALT]}"
    for rule, fires in (
        ("share.EXECUTE[1h] < 4%", False),
        ("share.EXECUTE[1h] < 6%", True),
        ("share.HALT[1h] > 0", False),
    ):
        rules = f'rules: {{Mix: {{when: "executions.{rule}"}}}}'
        text = f"apply_layer:\n  executions: {{stream: results, {keys}}}\n  {rules}"
        more = 'rules: [{alert: Mix, when: "executions.share.EXECUTE[1h] < 0", severity: warning}]'
        assert fires == ("Mix" in alerts(bench, text, more=more))


def test_w19_an_unknown_action_quietly_becomes_hold(bench: Bench) -> None:
    """One such reason in the midst of a normal day, and which it was."""
    a_normal_day(bench)
    codes = {"decision": "SKIP", "reason_codes": "action_normalized_partial_25_unknown_variant,action_hold"}
    keys = "success: {executed: true}, reason: reason_codes, never: ['*_unknown_variant*']"
    assert alerts(bench, executions(keys)) == set()
    put(bench, "results", -30, fields=codes)
    (notice,) = notices(bench, executions(keys))
    assert notice.alert.labels["alertname"] == "ForbiddenResult"
    shown: Any = notice.alert.evidence["last_forbidden"]
    assert shown["id"].startswith(bench.id(-30).removesuffix("0"))
    assert shown["said"] == codes["reason_codes"]


def test_w19_a_decision_that_must_not_be(bench: Bench) -> None:
    """Not only reasons."""
    a_normal_day(bench)
    keys = "success: {executed: true}, decision: decision, never: [HALT]"
    assert alerts(bench, executions(keys)) == set()
    put(bench, "results", -30, fields={"decision": "HALT"})
    assert alerts(bench, executions(keys)) == {"ForbiddenResult"}


# ---- what results hold (W15, W17, X05) -----------------------------------------------------------

FIELDS = "fields: {symbol: {deny: [UNKNOWN]}, stop_loss: {range: [0.0001, 500000]}, price: {range: [0.0001, 500000]}}"


def order(**fields: Any) -> dict[str, str]:
    """Return the result of an order that was filled as it should be."""
    told = {"status": "filled", "symbol": "BTCUSDT", "price": 71208.9, "stop_loss": 70100.0} | fields
    return {"payload": json.dumps(told)}


ORDERS = [
    ("a fill", order(), False),
    ("a rejection has no price", order(status="rejected", price=0.0, stop_loss=0.0), False),
    ("W17, a fill at price 0", order(price=0.0), True),
    ("X05, a stop-loss of 96 million", order(stop_loss=96_000_000), True),
    ("W15, an envelope read as flat", order(status="rejected", symbol="UNKNOWN", price=0.0), True),
]


@pytest.mark.parametrize(("found", "bad"), [o[1:] for o in ORDERS], ids=[o[0] for o in ORDERS])
def test_what_an_order_may_hold(bench: Bench, found: Mapping[str, str], bad: bool) -> None:
    """Numbers are judged of what was carried out, words of all."""
    put(bench, "results", -DAY, -HOUR, -600, fields=order())
    put(bench, "results", -60, fields=found)
    text = executions(f"success: {{status: filled}}, {FIELDS}")
    assert ({"BadResults"} if bad else set()) == alerts(bench, text)


def test_w17_a_fill_without_a_price_is_no_success(bench: Bench) -> None:
    """With a numeric success line nothing else has to be declared but the input."""
    put(bench, "plans", -DAY, fields={"n": "1"})
    put(bench, "results", -DAY, fields=order())
    fill(bench, "plans", -2 * HOUR, 300, {"n": "1"})
    fill(bench, "results", -2 * HOUR, 300, order(price=0.0))
    keys = "success: {status: filled, price: '> 0'}, input: plans"
    assert alerts(bench, executions(keys)) == {"NoExecutions"}
    put(bench, "results", -30, fields=order())
    assert alerts(bench, executions(keys)) == set()


def test_w15_one_constant_symbol(bench: Bench) -> None:
    """A rule of one's own on how constant a field is."""
    put(bench, "results", -DAY, fields=order())
    fill(bench, "results", -2 * HOUR, 60, order(symbol="UNKNOWN", status="rejected"))
    text = executions("success: {status: filled}, fields: {symbol: {}}")
    more = (
        'rules: [{alert: OneSymbol, when: "executions.constant_share.symbol[1h] > 95%", severity: warning}]'
    )
    assert alerts(bench, text, more=more) == {"OneSymbol"}
    fill(bench, "results", -1795, 60, order(), order(symbol="ETHUSDT"))
    assert alerts(bench, text, more=more) == set()


# ---- of when the work is (W16, S15) --------------------------------------------------------------


def test_w16_a_backlog_of_days_is_worked_through_as_if_live(bench: Bench) -> None:
    """IDs of now, times of 5.6 days ago; the healthy twin is a minute late."""
    keys = "success: {executed: true}, timestamp: timestamp"
    late = 5.6 * DAY
    for ago in range(3000, 0, -60):
        bench.add("results", -ago, fields={**DONE, "timestamp": f"{bench.after(-ago - 60).timestamp():.0f}"})
    assert alerts(bench, executions(keys)) == set()
    put(bench, "results", -5, fields={**DONE, "timestamp": f"{bench.after(-late).timestamp():.0f}"})
    (notice,) = notices(bench, executions(keys))
    assert notice.alert.labels["alertname"] == "OldWork"
    assert notice.alert.summary.endswith("1 results in 10 minutes, the newest 5d 14h late")


def test_s15_old_results_published_anew(bench: Bench) -> None:
    """Eight days old, in an envelope, in ISO; how much is too old is declared."""
    stated = bench.after(-8 * DAY).isoformat()
    put(bench, "results", -30, fields={"payload": json.dumps({"executed": True, "timestamp": stated})})
    keys = "success: {executed: true}, timestamp: timestamp"
    assert alerts(bench, executions(keys)) == {"OldWork"}
    assert alerts(bench, executions(f"{keys}, max_skew: 9d")) == set()


def test_a_time_that_no_result_has_is_unknown(bench: Bench) -> None:
    """A typo in the file is told, not taken for fresh work; and a single result without one is forgiven."""
    put(bench, "results", -20, fields={**DONE, "timestamp": f"{bench.after(-21).timestamp()}"})
    put(bench, "results", -10, fields=DONE)
    assert alerts(bench, executions("success: {executed: true}, timestamp: timestmap")) == {"SignalUnknown"}
    assert alerts(bench, executions("success: {executed: true}, timestamp: timestamp")) == set()


# ---- how many there may be (X06, S17, S18) --------------------------------------------------------


def test_x06_ten_times_as_many_orders(bench: Bench) -> None:
    """Churning: 60 in an hour where 30 are allowed; skipped and refused ones cost nothing."""
    put(bench, "results", -DAY, fields=DONE)
    fill(bench, "results", -2 * HOUR, 150, DONE)
    fill(bench, "results", -2 * HOUR + 1, 15, SKIP, {**REFUSED, "error": "no_position"})
    text = executions("success: {executed: true}, at_most: 30/1h")
    assert alerts(bench, text) == set()
    fill(bench, "results", -HOUR + 7, 100, DONE)
    (notice,) = notices(bench, text)
    assert (notice.alert.labels["alertname"], notice.alert.labels["severity"]) == ("RateExceeded", "critical")
    assert notice.alert.evidence["pace"] == "58 in 1h, at most 30"


def test_s18_twenty_equal_orders_at_once(bench: Bench) -> None:
    """Few for an hour and far too many for ten seconds; a minute later it is over."""
    put(bench, "results", -DAY, fields=DONE)
    fill(bench, "results", -HOUR, 300, DONE)
    signal = signal_of("executions", stream="results", success={"executed": True}, at_most=["40/1h", "5/10s"])
    fill(bench, "results", 1, 0.1, DONE, end=3)
    assert [bench.look(signal, at).values["of_limit"] for at in (3, 60)] == [4.0, pytest.approx(31 / 40)]


def test_a_window_that_is_longer_than_all_others_is_filled_at_start(bench: Bench) -> None:
    """The rules look back an hour, the ceiling a day: it is read back, or is a lower bound."""
    put(bench, "results", -2 * DAY, fields=DONE)
    fill(bench, "results", -20 * HOUR, 120, DONE)  # more than one page
    signal = signal_of("executions", stream="results", success={"executed": True}, at_most="300/1d")
    assert bench.look(signal).values["of_limit"] == 2.0


# ---- the signal itself ---------------------------------------------------------------------------


def outcomes(**keys: Any) -> RedisSignal[Any]:
    """Return the signal for `results`."""
    return signal_of("executions", **{"stream": "results", "success": {"executed": True}, **keys})


def test_nothing_is_counted_that_nobody_declared(bench: Bench) -> None:
    """A file without these keys has the measures it had."""
    put(bench, "results", -10, fields=DONE)
    assert {name for name, _ in bench.look(outcomes()).counts} == {"total", "succeeded"}


def test_all_is_counted_once(bench: Bench) -> None:
    """At start, and as it comes."""
    signal = outcomes(
        decision="decision", never=["kill_*"], reason="error", timestamp="ts", ignore={"decision": "SKIP"}
    )
    old = {"ts": f"{bench.after(-DAY).timestamp():.0f}"}
    gained = []
    for seconds, entry in enumerate([SKIP | old, DONE | old, DONE]):
        put(bench, "results", seconds, fields=entry)
        found = bench.look(signal, seconds + 0.5)
        gained.append([steps(found, name) for name in ("total", "attempted", "decided", "forbidden", "old")])
    assert gained == [[0, 0, 1, 1, 1], [1, 1, 1, 0, 1], [1, 1, 1, 0, 0]]


def test_decisions_without_end_stay_few(bench: Bench) -> None:
    """Numbers in a decision do not make it another."""
    pipe = bench.client.pipeline(transaction=False)
    for n in range(300):
        pipe.xadd("results", {"decision": f"CLOSE {n}"}, id=bench.id(-300 + n))
    pipe.execute()
    found = bench.look(outcomes(decision="decision"))
    assert [variant for name, variant in found.counts if name == "decision"] == ["CLOSE #"]


@pytest.mark.parametrize(
    "keys",
    [
        {"decision": {"of": ["A"]}},
        {"decision": ""},
        {"never": []},
        {"at_most": "many"},
        {"at_most": ["1/1s"] * 9},
        {"max_skew": "0s"},
        {"input": {"stream": "s", "all_answered": "perhaps"}},
    ],
    ids=str,
)
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """What could never be asked is an error of the file."""
    with pytest.raises(ValidationError):
        ExecutionsConfig.model_validate({"stream": "results", "success": {"executed": True}, **keys})
