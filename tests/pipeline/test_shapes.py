"""Every decision and every shape of entry through every stage, on a real server."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.drawn import rows
from tests.pipeline.stages import SETTINGS, STAGES, entry, in_short, make_ready
from watchdog.pipeline import names
from watchdog.pipeline.messages import body
from watchdog.pipeline.permits import Permits
from watchdog.pipeline.runtime import Loop
from watchdog.traceparent import parse_traceparent

pytestmark = pytest.mark.redis

LoopOf = Callable[..., Loop]


def answered(
    redis: Any, loop_of: LoopOf, stage: str, *entries: Mapping[Any, Any], into: str = ""
) -> tuple[str, list[dict[str, str]]]:
    """Let *stage* answer *entries*; return in short what it wrote, and all of it. Nothing stays with it."""
    service, usual, out = STAGES[stage]
    stream = into or usual
    make_ready(redis)
    for fields in entries:
        redis.xadd(stream, dict(fields))
    if stage == "apply_layer":
        loop_of("permits", Permits).step(0)
    loop = loop_of(stage, service, **SETTINGS)
    loop.step(0)
    assert loop.step(0) == 0
    own = next(source.consumer_group for source in service.inputs if source.stream == stream)
    (found,) = [one for one in redis.xinfo_groups(stream) if one["name"] == own]
    assert (found["lag"], found["pending"]) == (0, 0)
    written = [fields for _, fields in redis.xrange(out)] if out else []
    return ", ".join(in_short(body(fields)) for fields in written), written


def warned(caplog: pytest.LogCaptureFixture, stage: str) -> list[str]:
    """Return what *stage* logged as a warning or worse."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name == stage
    ]


def why(text: str) -> str:
    """Return a warning; of a dropped entry only the reason."""
    return re.sub(r"^Dropped unreadable entry [\d-]+ of [\w:.]+: ", "", text)


# ---- what each stage makes of each shape -------------------------------------------------------

ORDER = '"symbol":"ETHUSDT","side":"BUY","position_size_usd":50.0,"entry_price":2000.0'
INTENTS = f"""
  trade.intent                                                                      | apply.plan                          | warned
  event_type=trade.intent payload={{{ORDER}}} trace_id= correlation_id=c            | EXECUTE ENTRY_PROPOSED BUY          |
  data={{{ORDER},"correlation_id":"c"}}                                             | EXECUTE ENTRY_PROPOSED BUY          |
  details={{{ORDER}}}                                                               | EXECUTE ENTRY_PROPOSED BUY          |
  symbol=ETHUSDT side=BUY position_size_usd=50.0 entry_price=2000.0                 | EXECUTE ENTRY_PROPOSED BUY          |
  symbol=ETHUSDT action=BUY position_size_usd=50.0 entry_price=2000.0               | EXECUTE ENTRY_PROPOSED BUY          |
  symbol=ETHUSDT side=BUY reduceOnly=False position_size_usd=50 entry_price=2e3     | EXECUTE ENTRY_PROPOSED BUY          |
  symbol=ETHUSDT side=BUY reduce_only=false position_size_usd=50 entry_price=2e3    | EXECUTE ENTRY_PROPOSED BUY          |
  symbol=ETHUSDT action=SELL                                                        | EXECUTE FULL_CLOSE_PROPOSED SELL    |
  symbol=ETHUSDT side=SELL action=RECONCILE_CLOSE                                   | RECONCILE_CLOSE RECONCILE_CLOSE SELL |
  symbol=ETHUSDT side=HOLD action=HOLD                                              | SKIP HOLD                           |
  symbol=ETHUSDT side=HOLD action=PARTIAL_25                                        | SKIP PARTIAL_25                     |
  symbol=ETHUSDT side=LONG action=OPEN                                              | SKIP OPEN                           |
  symbol=ETHUSDT action=HOLD                                                        |                                     | no side
  side=BUY position_size_usd=50.0 entry_price=2000.0                                |                                     | no symbol
  symbol=ETHUSDT side=BUY position_size_usd=fifty entry_price=2000.0                |                                     | position_size_usd is no number: 'fifty'
  payload={{"symbol":"ETHUSDT","side":"BUY","position_size_usd":true}}              |                                     | position_size_usd is no number: 'True'
  payload={{"symbol":"ETHUSDT","side":"BUY","position_size_usd":1e999}}             |                                     | position_size_usd is no number: 'inf'
  symbol=ETHUSDT side=BUY timestamp=yesterday                                       |                                     | timestamp is no time: 'yesterday'
"""
A = "plan_id=p symbol=ETHUSDT side=BUY type=MARKET qty=0.02 source=intent_bridge action=ENTRY_PROPOSED leverage=10 timestamp=1770593633"
B = "plan_id=p symbol=ETHUSDT action=PARTIAL_25 kill_score=0.51 R_net=2.44 reason_codes=action_hold steps=[] close_qty=0.0 reduceOnly=true"
PLANS = f"""
  apply.plan                                    | apply.result                          | warned
  {A} decision=EXECUTE                          | EXECUTE true                          |
  {A} decision=EXECUTE reduceOnly=false         | EXECUTE true                          |
  {A} decision=EXECUTE reduce_only=False        | EXECUTE true                          |
  {A} decision=RECONCILE_CLOSE                  | RECONCILE_CLOSE true                  |
  {A} decision=SKIP                             | SKIP false action_hold                |
  {A} decision=BLOCKED                          | BLOCKED false action_hold             |
  {A} decision=ERROR                            | ERROR false action_hold               |
  {A} decision=HALT                             | HALT false action_hold                |
  {A} decision=DENIED                           | DENIED false action_hold              |
  {A} decision=REJECTED                         | REJECTED false action_hold            |
  {A} decision=PERHAPS                          | BLOCKED false unknown_decision        | Plan p of unknown decision 'PERHAPS'
  {A} decision=execute                          | BLOCKED false unknown_decision        | Plan p of unknown decision 'execute'
  {A}                                           |                                       | no decision
  {A} decision=                                 |                                       | no decision
  {B} decision=SKIP                             | SKIP false action_hold                |
  {B} decision=SKIP reduceOnly=True             | SKIP false action_hold                |
  payload={{"plan_id":"p","symbol":"ETHUSDT","decision":"SKIP"}}  | SKIP false action_hold |
  data={{"plan_id":"p","symbol":"SHIBUSDT","decision":"EXECUTE"}} | SKIP false not_in_allowlist |
  symbol=ETHUSDT decision=EXECUTE side=BUY qty=1 |                                      | no plan_id
  plan_id=p symbol=ETHUSDT decision=EXECUTE side=BUY qty=a_lot |                        | qty is no number: 'a_lot'
  plan_id=p symbol=ETHUSDT decision=EXECUTE side=BUY qty=-1 | ERROR false exchange_error:APIError(code=-4164) | ❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than 5
"""
STEP = 'steps_results=[{"side":"BUY","qty":0.02}]'
DETAILS = (
    '"plan_id":"p","side":"BUY","qty":0.02,"order_id":1,"filled_qty":0.02,"order_status":"FILLED","permit":{}'
)
RESULTS = f"""
  apply.result                                                                       | execution.result | warned
  plan_id=p symbol=ETHUSDT decision=SKIP executed=False would_execute=False steps_results=[] error=kill_score_close_ok |  |
  plan_id=p symbol=ETHUSDT decision=EXECUTE executed=False steps_results=[] error=risk_layer0_fail:heartbeat_missing |  |
  plan_id=p symbol=ETHUSDT decision=EXECUTE executed=True {STEP} error=              | BUY filled       |
  plan_id=p symbol=ETHUSDT decision=EXECUTE executed=true {STEP} error=              | BUY filled       |
  plan_id=p symbol=ETHUSDT decision=EXECUTE executed=1 {STEP} error=                 | BUY filled       |
  plan_id=p symbol=ETHUSDT decision=RECONCILE_CLOSE executed=True {STEP}             | BUY filled       |
  plan_id=p symbol=ETHUSDT action=FULL_CLOSE_PROPOSED executed=False error=no_position close_qty=0.0 |  |
  plan_id=p symbol=ETHUSDT executed=True reduceOnly=True filled_qty=1.2 side=SELL    | SELL filled      |
  plan_id=p symbol=ETHUSDT executed=1 reduce_only=true filled_qty=1.2 side=SELL      | SELL filled      |
  plan_id=p symbol=ETHUSDT executed=True filled_qty=1.2 action=SELL                  | SELL filled      |
  event_type=apply.result plan_id=p symbol=ETHUSDT executed=true details={{"executed":true,{DETAILS}}} | BUY filled |
  event_type=apply.result plan_id=p symbol=ETHUSDT executed=false details={{"executed":false,"decision":"BLOCKED","error":"kill_score"}} |  |
  plan_id=p symbol=ETHUSDT decision=BLOCKED executed=False error=kill_score          |                  |
  plan_id=p symbol=ETHUSDT decision=HALT executed=False error=kill_switch_active     |                  |
  plan_id=p symbol=ETHUSDT decision=DENIED executed=False error=p33_permit_denied    |                  |
  plan_id=p symbol=ETHUSDT decision=REJECTED executed=False error=position_too_large | BUY rejected     |
  plan_id=p symbol=ETHUSDT decision=ERROR executed=False error=exchange_error        | BUY rejected     |
  plan_id=p symbol=ETHUSDT                                                           |                  |
  plan_id=p symbol=ETHUSDT decision=PERHAPS executed=False                           |                  | Not carried out: ETHUSDT is 'PERHAPS', executed 'False'
  plan_id=p symbol=ETHUSDT decision=PERHAPS executed=True {STEP}                     |                  | Not carried out: ETHUSDT is 'PERHAPS', executed 'True'
  plan_id=p symbol=ETHUSDT decision=SKIP executed=True {STEP}                        |                  | Not carried out: ETHUSDT is 'SKIP', executed 'True'
  plan_id=p symbol=ETHUSDT decision=HALT executed=1 {STEP}                           |                  | Not carried out: ETHUSDT is 'HALT', executed '1'
  plan_id=p symbol=ETHUSDT decision=EXECUTE executed=True steps_results=[]           |                  | no step in []
  plan_id=p symbol=ETHUSDT decision=EXECUTE executed=yes {STEP}                      |                  |
  plan_id=p symbol=ETHUSDT executed=True side=SELL filled_qty=none                   |                  | qty is no number: 'none'
  plan_id=p symbol=ETHUSDT executed=True side=SELL data={{"filled_qty":1{"0" * 400}}} |                 | qty is no number: '1{"0" * 39}'
  plan_id=p symbol=NOSUCH executed=True side=SELL filled_qty=1                       |                  | cannot fill Order(symbol='NOSUCH', side='SELL', qty=1.0)
  plan_id=p executed=True side=SELL filled_qty=1                                     |                  | no symbol
"""
TABLES = {"intent_bridge": INTENTS, "apply_layer": PLANS, "execution": RESULTS}
CASES = [
    pytest.param(stage, row, id=f"{stage}-{number}")
    for stage, table in TABLES.items()
    for number, row in enumerate(rows(table), 1)
]


@pytest.mark.parametrize(("stage", "row"), CASES)
def test_shapes(
    stage: str, row: tuple[str, str, str], redis: Any, loop_of: LoopOf, caplog: pytest.LogCaptureFixture
) -> None:
    """What is known is answered; what is not is warned of once, acknowledged, and no work."""
    drawn, written, said = row
    found, _ = answered(redis, loop_of, stage, entry(drawn))
    assert (found, ", ".join(map(why, warned(caplog, stage)))) == (written, said)


FILLS = """
  execution.result                                                                            | booked
  payload={"symbol":"AAAUSDT","action":"BUY","status":"filled","entry_price":2,"position_size_usd":50} | 25.0
  payload={"symbol":"AAAUSDT","side":"BUY","status":"filled","entry_price":2,"position_size_usd":50}   | 25.0
  data={"symbol":"AAAUSDT","action":"BUY","status":"filled","entry_price":2,"position_size_usd":50}    | 25.0
  symbol=AAAUSDT action=BUY status=filled entry_price=2 position_size_usd=50                  | 25.0
  payload={"symbol":"AAAUSDT","action":"BUY","status":"partial","entry_price":2,"position_size_usd":50} | none
  payload={"symbol":"AAAUSDT","action":"BUY","status":"rejected","entry_price":2,"position_size_usd":0} | none
  payload={"symbol":"AAAUSDT","action":"BUY","status":"pending_fill"}                         | none
  payload={"symbol":"AAAUSDT","action":"BUY","status":"perhaps","entry_price":2}              | none
  payload={"symbol":"AAAUSDT","action":"BUY","status":"filled","entry_price":0.0,"position_size_usd":0.0} | none
  payload={"symbol":"AAAUSDT","action":"BUY"}                                                 | none
"""


@pytest.mark.parametrize(("drawn", "booked"), rows(FILLS), ids=[str(n) for n, _ in enumerate(rows(FILLS), 1)])
def test_fills(drawn: str, booked: str, redis: Any, loop_of: LoopOf) -> None:
    """The ledger takes what was filled at a price, in whatever shape it comes, and nothing else."""
    answered(redis, loop_of, "intent_bridge", entry(drawn), into=names.EXECUTION_RESULT)
    row = redis.hget(names.POSITIONS, "AAAUSDT")
    assert (f'"qty": {booked}' in row) if booked != "none" else row is None


# ---- poison ------------------------------------------------------------------------------------

POISON: Mapping[str, Mapping[Any, Any]] = {
    "not JSON": {"payload": "{symbol: ETHUSDT}"},
    "no object": {"payload": '["symbol", "ETHUSDT"]'},
    "a number for an object": {"data": "7"},
    "null": {"details": "null"},
    "NUL bytes": {"symbol": b"ETH\x00USDT", b"\x00": b"\x00", "payload": b'{"side":"\x00"}'},
    "not UTF-8": {"symbol": b"\xc3\x28", "payload": b'{"symbol": "\xff", "executed": true}'},
    "1 MB": {"payload": '{"symbol": "' + "x" * 1_000_000},
    "1 MB of a name": {"plan_id": "p", "symbol": "x" * 1_000_000, "decision": ""},
    "nested for ever": {"payload": '{"a":' * 50_000},
    "nested to the end": {"payload": '{"symbol":' * 900 + "1" + "}" * 900},
    "a number without end": {"payload": '{"symbol":"ETHUSDT","reward":1' + "0" * 5_000 + "}"},
    "a number too large": {
        "payload": '{"symbol":"ETHUSDT","pnl_usd":1' + "0" * 400 + ',"side":"BUY","executed":true}'
    },
    "half a character": {"payload": '{"symbol":"\\ud800","plan_id":"\\ud800"}'},
    "wrong types": {"payload": '{"symbol":7,"side":{},"plan_id":[],"decision":null,"executed":[]}'},
    "nothing known": {"hello": "world"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_poison(stage: str, redis: Any, loop_of: LoopOf, caplog: pytest.LogCaptureFixture) -> None:
    """Each is warned of once in a short line, none is answered, and what comes after them is."""
    written, _ = answered(redis, loop_of, stage, *POISON.values())
    said = warned(caplog, stage)
    assert written == ""
    assert [text.partition(" entry ")[0] for text in said] == ["Dropped unreadable"] * len(POISON)
    assert max(map(len, said)) < 300


# ---- one trace per order -----------------------------------------------------------------------

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CARRIED = f"""
  traceparent                              | what the next entry carries
  00-{TRACE}-00f067aa0ba902b7-01           | same trace, sampled
  00-{TRACE}-00f067aa0ba902b7-00           | same trace, not sampled
  cc-{TRACE}-00f067aa0ba902b7-01-future    | same trace, sampled
  00-{"0" * 32}-00f067aa0ba902b7-01        | new trace, sampled
  00-{TRACE}                               | new trace, sampled
  ff-{TRACE}-00f067aa0ba902b7-01           | new trace, sampled
                                           | new trace, sampled
"""
GOOD = {
    "intent_bridge": f"payload={{{ORDER}}} trace_id=",
    "apply_layer": f"{A} decision=EXECUTE",
    "execution": f"plan_id=p symbol=ETHUSDT decision=EXECUTE executed=True {STEP}",
    "rl_feedback": 'payload={"symbol":"ETHUSDT","pnl_usd":1.0,"position_size_usd":50.0}',
}


@pytest.mark.parametrize("stage", GOOD)
@pytest.mark.parametrize(
    ("carried", "expected"), rows(CARRIED), ids=[str(n) for n, _ in enumerate(rows(CARRIED), 1)]
)
def test_traces_are_handed_on(stage: str, carried: str, expected: str, redis: Any, loop_of: LoopOf) -> None:
    """What a stage writes is in the trace of what it read, under a span of its own, flat."""
    fields = entry(GOOD[stage]) | ({"traceparent": carried} if carried else {})
    _, (written,) = answered(redis, loop_of, stage, fields)
    found = parse_traceparent(written["traceparent"])
    assert found is not None
    kept = "same trace" if found.trace_id == TRACE else "new trace"
    assert f"{kept}, {'sampled' if found.sampled else 'not sampled'}" == expected
    assert found.span_id not in carried


def test_an_order_is_one_trace(redis: Any, loop_of: LoopOf) -> None:
    """From the generator's first order to the ledger: one trace, each stage a span of its own."""
    answered(redis, loop_of, "intent_bridge", entry(GOOD["intent_bridge"]))
    for stage in ("apply_layer", "execution", "intent_bridge"):
        answered(redis, loop_of, stage)
    streams = (names.APPLY_PLAN, names.APPLY_RESULT, names.EXECUTION_RESULT, names.TRADE_EXECUTION_RES)
    carried = [redis.xrange(stream)[0][1]["traceparent"].split("-") for stream in streams]
    assert len({trace for _, trace, _, _ in carried}) == 1
    assert len({span for _, _, span, _ in carried}) == len(streams)
    assert "traceparent" not in redis.xrange(names.TRADE_EXECUTION_RES)[0][1]["payload"]
