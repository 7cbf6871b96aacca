"""The five shapes of `apply.result`, all on one stream."""

from collections.abc import Sequence

from watchdog.pipeline.messages import Body, Plan, compact, order_id_of


def decided(plan: Plan, decision: str, error: str, now: float) -> dict[str, str]:
    """Return an apply.result of shape 1 or 2: a decision that was not carried out, and why."""
    return _result(plan, decision, executed=False, steps=[], error=error, now=now)


def placed(plan: Plan, decision: str, executed: bool, now: float) -> dict[str, str]:
    """Return an apply.result of shape 2 that orders something; a dry run only would have."""
    order = {"side": plan.side, "qty": plan.qty}
    return _result(plan, decision, executed=executed, steps=[order], error="", now=now)


def close_refused(plan: Plan, error: str, now: float) -> dict[str, str]:
    """Return an apply.result of shape 3: a close that could not be, without a decision."""
    return {
        "plan_id": plan.plan_id,
        "symbol": plan.symbol,
        "action": plan.action,
        "executed": "False",
        "error": error,
        "close_qty": "0.0",
        "timestamp": str(int(now)),
    }


def closed(plan: Plan, qty: float, now: float) -> dict[str, str]:
    """Return an apply.result of shape 4: a close that has been placed, without a decision."""
    return {
        "plan_id": plan.plan_id,
        "symbol": plan.symbol,
        "action": plan.action,
        "executed": "True",
        "reduceOnly": "True",
        "close_qty": f"{qty:g}",
        "filled_qty": f"{qty:g}",
        "order_id": str(order_id_of(plan.plan_id)),
        "order_status": "FILLED",
        "side": "SELL",
        "close_pct": "100.0",
        "timestamp": str(int(now)),
    }


def executor_placed(plan: Plan, now: float) -> dict[str, str]:
    """Return an apply.result of shape 5: placed by the intent executor."""
    details = {
        "plan_id": plan.plan_id,
        "executed": True,
        "side": plan.side,
        "qty": plan.qty,
        "order_id": order_id_of(plan.plan_id),
        "filled_qty": plan.qty,
        "order_status": "FILLED",
        "permit": {},
    }
    return _executor(plan, True, details, now)


def executor_refused(plan: Plan, decision: str, error: str, now: float) -> dict[str, str]:
    """Return an apply.result of shape 5b: refused by the intent executor, decision and reason inside."""
    details = {"executed": False, "decision": decision, "would_execute": False, "error": error}
    return _executor(plan, False, details, now)


def _result(
    plan: Plan, decision: str, *, executed: bool, steps: Sequence[Body], error: str, now: float
) -> dict[str, str]:
    return {
        "plan_id": plan.plan_id,
        "symbol": plan.symbol,
        "decision": decision,
        "executed": str(executed),
        "would_execute": str(bool(steps)),
        "steps_results": compact(steps),
        "error": error,
        "timestamp": str(int(now)),
    }


def _executor(plan: Plan, executed: bool, details: Body, now: float) -> dict[str, str]:
    return {
        "event_type": "apply.result",
        "plan_id": plan.plan_id,
        "symbol": plan.symbol,
        "executed": str(executed).lower(),
        "source": "intent_executor",
        "timestamp": str(int(now)),
        "details": compact(details),
    }
