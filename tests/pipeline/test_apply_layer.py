"""The gate: what passes, what does not, and why."""

from dataclasses import replace

import pytest

from watchdog.pipeline.apply_layer import OUR_KILL_SWITCH, REQUIRED_HEARTBEATS, ApplySettings, Gate, decide
from watchdog.pipeline.intent_bridge import Position
from watchdog.pipeline.messages import Plan, body

NOW = 1771364540.0
OPEN = Gate()
TESTNET = ApplySettings()
HELD = {"ETHUSDT": Position(qty=1.2, entry_price=2_000.0)}

BUY = Plan("p", "SOLUSDT", "EXECUTE", "ENTRY_PROPOSED", side="BUY", qty=0.6)
CLOSE = Plan("p", "ETHUSDT", "EXECUTE", "FULL_CLOSE_PROPOSED", side="SELL", qty=1.2)
HOLD = Plan("p", "ETHUSDT", "SKIP", "HOLD", reason_codes=("kill_score_close_ok",))
NO_HEARTBEAT = Gate(missing=REQUIRED_HEARTBEATS[:1])


def said(plan: Plan, gate: Gate = OPEN, settings: ApplySettings = TESTNET) -> str:
    """Return a result in short: decision (- if it has none), executed, reason."""
    result = body(decide(plan, gate, HELD, settings, NOW))
    words = (result.get("decision", "-"), str(result["executed"]).lower(), result.get("error", ""))
    return " ".join(words).strip()


DECISIONS = {
    "buy": (BUY, OPEN, "EXECUTE true"),
    "buy through the executor": (replace(BUY, symbol="ZECUSDT"), OPEN, "- true"),
    "close": (CLOSE, OPEN, "- true"),
    "close, flat": (replace(CLOSE, symbol="XRPUSDT"), OPEN, "- false no_position"),
    "reconcile": (
        replace(CLOSE, decision="RECONCILE_CLOSE", action="RECONCILE_CLOSE"),
        OPEN,
        "RECONCILE_CLOSE true",
    ),
    "hold": (HOLD, OPEN, "SKIP false kill_score_close_ok"),
    "hold without a reason": (replace(HOLD, reason_codes=()), OPEN, "SKIP false action_hold"),
    "duplicate": (BUY, Gate(seen=True), "SKIP false duplicate_plan"),
    "unlisted": (replace(BUY, symbol="SHIBUSDT"), OPEN, "SKIP false not_in_allowlist"),
    "booting": (BUY, Gate(booting=True), "BLOCKED false risk_booting:startup_grace"),
    "no heartbeat": (BUY, NO_HEARTBEAT, "EXECUTE false risk_layer0_fail:heartbeat_missing"),
    "no heartbeat, executor": (
        replace(BUY, symbol="ZECUSDT"),
        NO_HEARTBEAT,
        "EXECUTE false risk_layer0_fail:heartbeat_missing",
    ),
    "no heartbeat, close": (CLOSE, NO_HEARTBEAT, "EXECUTE false risk_layer0_fail:heartbeat_missing"),
    "no heartbeat, hold": (HOLD, NO_HEARTBEAT, "SKIP false kill_score_close_ok"),
    "somebody's kill switch": (BUY, Gate(kill_switch="true"), "HALT false kill_switch_active"),
    "our kill switch, heartbeats back": (BUY, Gate(kill_switch=OUR_KILL_SWITCH), "EXECUTE true"),
    "trading halted": (replace(BUY, symbol="LUNAUSDT"), OPEN, "HALT false symbol_trading_halted"),
    "no snapshot": (
        replace(BUY, symbol="TRXUSDT"),
        OPEN,
        "DENIED false p33_permit_denied:no_exchange_snapshot",
    ),
    "no permit": (
        replace(BUY, symbol="LINKUSDT"),
        OPEN,
        "EXECUTE false permit_timeout_or_missing:missing_p26",
    ),
    "risky": (replace(BUY, kill_score=0.81), OPEN, "BLOCKED false kill_score_warning_risk_increase"),
    "risky, executor": (
        replace(BUY, symbol="ZECUSDT", kill_score=0.81),
        OPEN,
        "BLOCKED false kill_score_warning_risk_increase",
    ),
    "too large": (replace(BUY, qty=9.4), OPEN, "REJECTED false position_too_large:$815>$500_cap"),
    "too small": (replace(BUY, qty=0.01), OPEN, "ERROR false exchange_error:APIError(code=-4164)"),
}


@pytest.mark.parametrize(("plan", "gate", "expected"), DECISIONS.values(), ids=DECISIONS)
def test_decisions(plan: Plan, gate: Gate, expected: str) -> None:
    """Each plan comes to the decision, and the reason, that it should."""
    assert said(plan, gate) == expected


def test_a_refusal_for_want_of_a_heartbeat_looks_like_an_order() -> None:
    """The decision stays EXECUTE: only `executed` and the reason give the refusal away."""
    assert decide(BUY, NO_HEARTBEAT, HELD, TESTNET, NOW) == {
        "plan_id": "p",
        "symbol": "SOLUSDT",
        "decision": "EXECUTE",
        "executed": "False",
        "would_execute": "False",
        "steps_results": "[]",
        "error": "risk_layer0_fail:heartbeat_missing",
        "timestamp": "1771364540",
    }


@pytest.mark.parametrize("plan", [BUY, CLOSE, replace(BUY, symbol="ZECUSDT")], ids=lambda plan: plan.symbol)
def test_a_dry_run_executes_nothing(plan: Plan) -> None:
    """In a dry run an order would be executed, and is not."""
    result = decide(plan, OPEN, HELD, ApplySettings(mode="dry_run"), NOW)
    assert (result["executed"], result["would_execute"]) == ("False", "True")


def test_the_kill_switch_setting_halts() -> None:
    """`APPLY_KILL_SWITCH` stops orders without a key in Redis."""
    assert said(BUY, OPEN, ApplySettings(kill_switch=True)) == "HALT false kill_switch_active"
