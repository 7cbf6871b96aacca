"""What entries look like, compared with those that were found."""

import pytest

from watchdog.pipeline.messages import Plan, UnreadableError, body, decision_of, moment, number, plan_of, text
from watchdog.pipeline.results import (
    close_refused,
    closed,
    decided,
    executor_placed,
    executor_refused,
    placed,
)

NOW = 1771359991.7
PLAN = Plan("c07e735d4cb0ef1e", "ETHUSDT", "EXECUTE", "FULL_CLOSE_PROPOSED", side="BUY", qty=0.632)
ORDER_ID = "3081201474"


def line(fields: dict[str, str]) -> str:
    """Return an entry as incident/messages.md writes them."""
    return " ".join(f"{key}={value}" for key, value in fields.items())


SHAPES = {
    "1": (
        decided(PLAN, "SKIP", "kill_score_close_ok", NOW),
        "plan_id=c07e735d4cb0ef1e symbol=ETHUSDT decision=SKIP executed=False would_execute=False "
        "steps_results=[] error=kill_score_close_ok timestamp=1771359991",
        "SKIP",
    ),
    "2": (
        decided(PLAN, "EXECUTE", "risk_layer0_fail:heartbeat_missing", NOW),
        "plan_id=c07e735d4cb0ef1e symbol=ETHUSDT decision=EXECUTE executed=False would_execute=False "
        "steps_results=[] error=risk_layer0_fail:heartbeat_missing timestamp=1771359991",
        "EXECUTE",
    ),
    "2 placed": (
        placed(PLAN, "EXECUTE", True, NOW),
        "plan_id=c07e735d4cb0ef1e symbol=ETHUSDT decision=EXECUTE executed=True would_execute=True "
        'steps_results=[{"side":"BUY","qty":0.632}] error= timestamp=1771359991',
        "EXECUTE",
    ),
    "3": (
        close_refused(PLAN, "no_position", NOW),
        "plan_id=c07e735d4cb0ef1e symbol=ETHUSDT action=FULL_CLOSE_PROPOSED executed=False "
        "error=no_position close_qty=0.0 timestamp=1771359991",
        "BLOCKED",
    ),
    "4": (
        closed(PLAN, 1.2, NOW),
        "plan_id=c07e735d4cb0ef1e symbol=ETHUSDT action=FULL_CLOSE_PROPOSED executed=True reduceOnly=True "
        f"close_qty=1.2 filled_qty=1.2 order_id={ORDER_ID} order_status=FILLED side=SELL close_pct=100.0 "
        "timestamp=1771359991",
        "EXECUTE",
    ),
    "5": (
        executor_placed(PLAN, NOW),
        "event_type=apply.result plan_id=c07e735d4cb0ef1e symbol=ETHUSDT executed=true "
        "source=intent_executor timestamp=1771359991 "
        'details={"plan_id":"c07e735d4cb0ef1e","executed":true,"side":"BUY","qty":0.632,'
        f'"order_id":{ORDER_ID},"filled_qty":0.632,"order_status":"FILLED","permit":{{}}}}',
        "EXECUTE",
    ),
    "5b": (
        executor_refused(PLAN, "BLOCKED", "kill_score_warning_risk_increase", NOW),
        "event_type=apply.result plan_id=c07e735d4cb0ef1e symbol=ETHUSDT executed=false "
        "source=intent_executor timestamp=1771359991 "
        'details={"executed":false,"decision":"BLOCKED","would_execute":false,'
        '"error":"kill_score_warning_risk_increase"}',
        "BLOCKED",
    ),
}


@pytest.mark.parametrize(("fields", "expected", "decision"), SHAPES.values(), ids=SHAPES)
def test_shapes_of_apply_result(fields: dict[str, str], expected: str, decision: str) -> None:
    """Each shape is written as it was found, and its decision is understood."""
    assert line(fields) == expected
    assert decision_of(body(fields)) == decision


def test_plan_of_shape_a_survives_the_bus() -> None:
    """A plan that proposes an order is read as it was written."""
    plan = Plan("bb96", "BTCUSDT", "EXECUTE", "ENTRY_PROPOSED", "BUY", 0.0085, "intent_bridge", 0.5)
    fields = plan.order_fields(10, NOW)
    assert line(fields) == (
        "plan_id=bb96 decision=EXECUTE symbol=BTCUSDT side=BUY type=MARKET qty=0.0085 reduceOnly=false "
        "source=intent_bridge action=ENTRY_PROPOSED leverage=10 kill_score=0.5 timestamp=1771359991"
    )
    assert plan_of(fields) == plan


def test_plan_of_shape_b_survives_the_bus() -> None:
    """A plan that proposes nothing is read as it was written."""
    reasons = ("action_normalized_partial_25_unknown_variant", "action_hold")
    plan = Plan(
        *("48b3", "XRPUSDT", "SKIP", "PARTIAL_25"),
        kill_score=0.51,
        r_net=2.44,
        reason_codes=reasons,
        reduce_only=True,
    )
    fields = plan.hold_fields(NOW)
    assert line(fields) == (
        "plan_id=48b3 symbol=XRPUSDT action=PARTIAL_25 kill_score=0.51 R_net=2.44 decision=SKIP "
        "reason_codes=action_normalized_partial_25_unknown_variant,action_hold steps=[] close_qty=0.0 "
        "reduceOnly=true timestamp=1771359991"
    )
    assert plan_of(fields) == plan


@pytest.mark.parametrize("envelope", ["payload", "data", "details"])
def test_body_is_the_same_from_every_envelope(envelope: str) -> None:
    """What is inside an envelope counts as if it were flat."""
    assert body({"source": "x", envelope: '{"symbol":"AAAUSDT"}'}) == {"source": "x", "symbol": "AAAUSDT"}


@pytest.mark.parametrize("junk", ["{", "[1]", "\ufffd\ufffd", "", "null", "[" * 100_000])
def test_body_refuses_junk(junk: str) -> None:
    """An envelope without an object in it is unreadable, not a crash."""
    with pytest.raises(UnreadableError):
        body({"payload": junk})


@pytest.mark.parametrize("value", ["", "nan", "inf", "x", None, [], {}])
def test_number_refuses_what_is_none(value: object) -> None:
    """A number is finite, or it is none."""
    with pytest.raises(UnreadableError):
        number({"qty": value}, "qty")


@pytest.mark.parametrize("value", ["", None, 7])
def test_text_refuses_what_is_none(value: object) -> None:
    """A text is not empty, or it is none."""
    with pytest.raises(UnreadableError):
        text({"symbol": value}, "symbol")


TIMES = {
    "with offset": ("2026-02-17T21:42:20+00:00", 1771364540.0),
    "with Z": ("2026-02-17T21:42:20Z", 1771364540.0),
    "naive": ("2026-02-17T21:42:20", 1771364540.0),
    "absent": (None, 7.0),
}


@pytest.mark.parametrize(("written", "expected"), TIMES.values(), ids=TIMES)
def test_moment(written: str | None, expected: float) -> None:
    """All ways in which the bus writes ISO times mean the same."""
    assert moment({"timestamp": written}, "timestamp", 7.0) == expected
