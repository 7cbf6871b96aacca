"""What the execution service takes for an order, and what becomes of it."""

import logging
from collections.abc import Callable, Mapping

import pytest

from watchdog.pipeline import market
from watchdog.pipeline.execution import Execution, Order, filled, order_of, rejected
from watchdog.pipeline.messages import Plan, UnreadableError, body
from watchdog.pipeline.results import (
    close_refused,
    closed,
    decided,
    executor_placed,
    executor_refused,
    placed,
)
from watchdog.pipeline.runtime import Context, Entry

NOW = 1771364540.0
PLAN = Plan("p", "ETHUSDT", "EXECUTE", "ENTRY_PROPOSED", side="BUY", qty=0.6)
ContextOf = Callable[[str, Mapping[str, str]], Context]

ORDERS = {
    "skip": (decided(PLAN, "SKIP", "action_hold", NOW), None),
    "refused": (decided(PLAN, "EXECUTE", "risk_layer0_fail:heartbeat_missing", NOW), None),
    "placed": (placed(PLAN, "EXECUTE", True, NOW), Order("ETHUSDT", "BUY", 0.6)),
    "reconciled": (placed(PLAN, "RECONCILE_CLOSE", True, NOW), Order("ETHUSDT", "BUY", 0.6)),
    "dry run": (placed(PLAN, "EXECUTE", False, NOW), None),
    "no position": (close_refused(PLAN, "no_position", NOW), None),
    "closed": (closed(PLAN, 1.2, NOW), Order("ETHUSDT", "SELL", 1.2)),
    "executor placed": (executor_placed(PLAN, NOW), Order("ETHUSDT", "BUY", 0.6)),
    "executor refused": (executor_refused(PLAN, "BLOCKED", "kill_score", NOW), None),
}


@pytest.mark.parametrize(("fields", "expected"), ORDERS.values(), ids=ORDERS)
def test_orders(fields: dict[str, str], expected: Order | None) -> None:
    """An order is found in every shape that places one, and in no other."""
    assert order_of(body(fields)) == expected


@pytest.mark.parametrize("steps", ["[]", "{}", "[1]", "x", "[{}]", '[{"side":"BUY","qty":"nan"}]'])
def test_a_placed_order_without_a_step_is_unreadable(steps: str) -> None:
    """What says that it was executed but not what is said to be unreadable."""
    with pytest.raises(UnreadableError):
        order_of({"symbol": "ETHUSDT", "decision": "EXECUTE", "executed": "True", "steps_results": steps})


def test_a_fill_has_a_price_and_a_size() -> None:
    """A filled order says what was paid for how much."""
    price = market.price("ETHUSDT", NOW)
    assert filled(Order("ETHUSDT", "SELL", 0.5), "p", NOW) == {
        "symbol": "ETHUSDT",
        "action": "SELL",
        "entry_price": round(price, 8),
        "position_size_usd": round(price / 2, 6),
        "leverage": 5,
        "timestamp": "2026-02-17T21:42:20.000000Z",
        "order_id": "344844741",
        "status": "filled",
        "slippage_pct": 0.02,
        "fee_usd": round(price / 2 * 0.0004, 6),
    }


@pytest.mark.parametrize("order", [Order("NOSUCH", "BUY", 1.0), Order("ETHUSDT", "SELL", 0.0)], ids=str)
def test_what_cannot_be_filled_is_not(order: Order) -> None:
    """No price or no quantity makes no fill."""
    with pytest.raises(UnreadableError):
        filled(order, "p", NOW)


def test_a_rejection_is_none() -> None:
    """A rejected order has no size."""
    payload = rejected("BTCUSDT", NOW)
    assert (payload["status"], payload["order_id"], payload["position_size_usd"]) == (
        "rejected",
        "REJECTED",
        0.0,
    )


PARSE_ERRORS = {
    "skip": (
        decided(PLAN, "SKIP", "action_hold", NOW),
        "2 required positional arguments: 'action' and 'confidence'",
    ),
    "closed": (closed(PLAN, 1.2, NOW), "1 required positional argument: 'confidence'"),
}


@pytest.mark.parametrize(("fields", "expected"), PARSE_ERRORS.values(), ids=PARSE_ERRORS)
@pytest.mark.redis
def test_every_entry_fails_as_an_intent(
    fields: dict[str, str], expected: str, context: ContextOf, caplog: pytest.LogCaptureFixture
) -> None:
    """W01: one line for the entry, one for the failure, and nothing to write."""
    service = Execution(context("execution", {"EXECUTION_PARSE_EVERY_ENTRY": "true"}))
    with caplog.at_level(logging.INFO):
        assert service.handle(Entry(service.inputs[0], "1-0", fields), NOW) == ()
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert caplog.messages[1] == (
        f"❌ Failed to parse TradeIntent for ETHUSDT: TradeIntent.__init__() missing {expected}"
    )


@pytest.mark.redis
def test_a_real_intent_would_still_be_executed(context: ContextOf) -> None:
    """W01 breaks what is no intent; what is one gets filled."""
    service = Execution(context("execution", {"EXECUTION_PARSE_EVERY_ENTRY": "true"}))
    fields = {"symbol": "ETHUSDT", "action": "BUY", "confidence": "0.7", "position_size_usd": "50"}
    (write,) = service.handle(Entry(service.inputs[0], "1-0", fields), NOW)
    assert '"status":"filled"' in str(write)
