"""The gate: what passes, what does not, and why."""

from dataclasses import replace

import pytest

from watchdog.pipeline import market
from watchdog.pipeline.apply_layer import decide
from watchdog.pipeline.gates import (
    NOTHING_TO_REDUCE,
    OUR_KILL_SWITCH,
    REQUIRED_HEARTBEATS,
    TOO_SMALL,
    ApplySettings,
    Gate,
    Snapshot,
    exchange_refuses,
    until_midnight,
)
from watchdog.pipeline.intent_bridge import Position
from watchdog.pipeline.messages import Plan, body

NOW = 1771364540.0
OPEN = Gate(
    universe=frozenset(market.PRICES),
    snapshot=Snapshot(NOW - 10, frozenset(market.PRICES) - market.WITHOUT_SNAPSHOT),
    executed_today=99_999,
    permit=True,
)
TESTNET = ApplySettings()
HELD = {"ETHUSDT": Position(qty=1.2, entry_price=2_000.0)}

BUY = Plan("p", "SOLUSDT", "EXECUTE", "ENTRY_PROPOSED", side="BUY", qty=0.6)
CLOSE = Plan("p", "ETHUSDT", "EXECUTE", "FULL_CLOSE_PROPOSED", side="SELL", qty=1.2)
HOLD = Plan("p", "ETHUSDT", "SKIP", "HOLD", reason_codes=("kill_score_close_ok",))
NO_HEARTBEAT = replace(OPEN, missing=REQUIRED_HEARTBEATS[:1])
FULL = {f"OLD{number}": Position(qty=1.0, entry_price=1.0) for number in range(10)}


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
    "duplicate": (BUY, replace(OPEN, seen=True), "SKIP false duplicate_plan"),
    "unlisted": (replace(BUY, symbol="SHIBUSDT"), OPEN, "SKIP false not_in_allowlist"),
    "booting": (BUY, replace(OPEN, booting=True), "BLOCKED false risk_booting:startup_grace"),
    "no heartbeat": (BUY, NO_HEARTBEAT, "EXECUTE false risk_layer0_fail:heartbeat_missing"),
    "no heartbeat, executor": (
        replace(BUY, symbol="ZECUSDT"),
        NO_HEARTBEAT,
        "EXECUTE false risk_layer0_fail:heartbeat_missing",
    ),
    "no heartbeat, close": (CLOSE, NO_HEARTBEAT, "EXECUTE false risk_layer0_fail:heartbeat_missing"),
    "no heartbeat, hold": (HOLD, NO_HEARTBEAT, "SKIP false kill_score_close_ok"),
    "somebody's kill switch": (BUY, replace(OPEN, kill_switch="true"), "HALT false kill_switch_active"),
    "our kill switch, heartbeats back": (BUY, replace(OPEN, kill_switch=OUR_KILL_SWITCH), "EXECUTE true"),
    "trading halted": (replace(BUY, symbol="LUNAUSDT"), OPEN, "HALT false symbol_trading_halted"),
    "no snapshot": (
        replace(BUY, symbol="TRXUSDT"),
        OPEN,
        "DENIED false p33_permit_denied:no_exchange_snapshot",
    ),
    "old snapshot, close": (
        CLOSE,
        replace(OPEN, snapshot=Snapshot(NOW - 10.1, frozenset(market.PRICES))),
        "DENIED false p33_permit_denied:no_exchange_snapshot",
    ),
    "no permit": (BUY, replace(OPEN, permit=False), "EXECUTE false permit_timeout_or_missing:missing_p26"),
    "another switch": (BUY, replace(OPEN, other_switch="1"), "HALT false kill_switch_active"),
    "safe mode": (BUY, replace(OPEN, safe_mode=True), "HALT false safe_mode_active"),
    "no policy": (BUY, replace(OPEN, universe=frozenset()), "DENIED false policy_expired:universe_empty"),
    "outside the universe": (
        BUY,
        replace(OPEN, universe=frozenset({"ETHUSDT"})),
        "DENIED false not_in_universe",
    ),
    "daily limit": (CLOSE, replace(OPEN, executed_today=100_000), "BLOCKED false daily_limit_reached"),
    "the exchange objects": (BUY, replace(OPEN, objection=TOO_SMALL), f"ERROR false {TOO_SMALL}"),
    "risky": (replace(BUY, kill_score=0.81), OPEN, "BLOCKED false kill_score_warning_risk_increase"),
    "risky, executor": (
        replace(BUY, symbol="ZECUSDT", kill_score=0.81),
        OPEN,
        "BLOCKED false kill_score_warning_risk_increase",
    ),
    "too large": (replace(BUY, qty=9.4), OPEN, "REJECTED false position_too_large:$815>$500_cap"),
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


OBJECTIONS = {
    "buy": (BUY, ""),
    "too small": (replace(BUY, qty=0.01), TOO_SMALL),
    "too small to buy, but sold": (replace(CLOSE, qty=0.0), ""),
    "reduce only": (replace(BUY, reduce_only=True), NOTHING_TO_REDUCE),
    "reduce only, sold": (replace(CLOSE, reduce_only=True), ""),
}


@pytest.mark.parametrize(("plan", "expected"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_what_the_exchange_refuses(plan: Plan, expected: str) -> None:
    """An entry has to be worth something, and has nothing to reduce."""
    assert exchange_refuses(plan, NOW) == expected


def test_as_many_positions_as_there_may_be() -> None:
    """Every row of the ledger counts, for entries: it is never asked whether one still trades it."""
    assert decide(BUY, OPEN, FULL, TESTNET, NOW)["error"] == "position_limit_reached"
    assert decide(CLOSE, OPEN, FULL | HELD, TESTNET, NOW)["executed"] == "True"


def test_the_day_ends_at_midnight() -> None:
    """What is left of the day is at least a second: a count that began could not end otherwise."""
    assert [until_midnight(at) for at in (0.0, 86_399.9, 86_400.0)] == [86_400, 1, 86_400]
