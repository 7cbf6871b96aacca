"""
The intent bridge: turns intents into plans, and keeps the position ledger from what was executed.

`INTENT_BRIDGE_SKIP_FLAT_SELL` decides about a SELL without a position. True, it is dropped here. False, the
bridge proposes to close, and proposes it again and again, because no fill ever confirms the close of a
position that is not there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from watchdog.pipeline import market, names
from watchdog.pipeline.messages import (
    Body,
    Plan,
    body,
    envelope,
    moment,
    number,
    plan_id_of,
    side_of,
    text,
)
from watchdog.pipeline.runtime import BLOCK_SECONDS, Context, Entry, Input, Service, Write, append
from watchdog.pipeline.settings import Env

PROPOSE_AGAIN_SECONDS = 0.5
HOLDS = {"HOLD": "kill_score_close_ok", "PARTIAL_25": "action_hold"}
INTENTS = Input(names.TRADE_INTENT, names.INTENT_BRIDGE_GROUP)
RESULTS = Input(names.EXECUTION_RESULT, names.EXECUTION_BRIDGE_GROUP)


@dataclass(frozen=True)
class Position:
    """What the ledger says about a symbol."""

    qty: float
    entry_price: float


Ledger = Mapping[str, Position]


@dataclass(frozen=True)
class BridgeSettings:
    """The bridge's settings."""

    skip_flat_sell: bool = True
    max_age_seconds: float = 600.0

    @classmethod
    def read(cls, env: Env) -> "BridgeSettings":
        """Return the settings that *env* makes."""
        return cls(
            skip_flat_sell=env.flag("INTENT_BRIDGE_SKIP_FLAT_SELL", cls.skip_flat_sell),
            max_age_seconds=env.number("INTENT_MAX_AGE_SEC", cls.max_age_seconds),
        )


def read_ledger(rows: Mapping[str, str]) -> dict[str, Position]:
    """Return the ledger that the hash in Redis holds."""
    return {symbol: Position(**json.loads(row)) for symbol, row in rows.items()}


def decide(said: Body, created: float, ledger: Ledger, settings: BridgeSettings, now: float) -> Plan | str:
    """Return the plan that an intent comes to, or the reason why it is dropped."""
    symbol, side = text(said, "symbol"), side_of(said)
    age = now - moment(said, "timestamp", created)
    if age > settings.max_age_seconds:
        return f"Drop old intent {side} {symbol}: {age:.0f} s"
    action = str(said.get("action", ""))
    plan = Plan(
        plan_id=plan_id_of(said.get("correlation_id") or (symbol, side, created)),
        symbol=symbol,
        decision="EXECUTE",
        action="ENTRY_PROPOSED",
        side=side,
        source="intent_bridge",
        kill_score=number(said, "kill_score", 0.0),
        r_net=number(said, "R_net", 0.0),
    )
    held = ledger[symbol].qty if symbol in ledger else 0.0
    if side == "BUY":
        size, price = number(said, "position_size_usd"), number(said, "entry_price")
        return replace(plan, qty=round(size / price, 8) if price > 0 else 0.0)
    if action == "RECONCILE_CLOSE":
        return replace(plan, decision="RECONCILE_CLOSE", action=action, qty=held)
    if side == "SELL":
        if not held and settings.skip_flat_sell and action != "FULL_CLOSE":
            return f"Skip flat SELL {symbol}: no position"
        return replace(plan, action="FULL_CLOSE_PROPOSED", qty=held)
    return replace(plan, decision="SKIP", side="", action=action, reason_codes=_why_hold(action))


def _why_hold(action: str) -> tuple[str, ...]:
    if action in HOLDS:
        return (HOLDS[action],)
    return (f"action_normalized_{action.lower()}_unknown_variant", "action_hold")


def book(fill: Body, ledger: Ledger) -> tuple[Position | None, float]:
    """Return the position after *fill*, and what a close earned."""
    symbol, price = text(fill, "symbol"), number(fill, "entry_price")
    before = ledger.get(symbol)
    if side_of(fill) != "BUY":
        return None, (price - before.entry_price) * before.qty if before else 0.0
    bought = number(fill, "position_size_usd") / price
    if before is None:
        return Position(bought, price), 0.0
    qty = before.qty + bought
    return Position(qty, (before.qty * before.entry_price + bought * price) / qty), 0.0


class IntentBridge(Service):
    """Read `trade.intent`, write `apply.plan`; read `execution.result`, keep the ledger."""

    inputs = (RESULTS, INTENTS)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.settings = BridgeSettings.read(context.env)
        self.unconfirmed: dict[str, Plan] = {}
        self.proposals = 0
        self.propose_again_at = 0.0

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return the settings by the names that the log has for them."""
        return {
            "Skip flat SELL": self.settings.skip_flat_sell,
            "Intent max age": f"{self.settings.max_age_seconds:g}s",
        }

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Answer an intent with a plan, and a fill with an entry in the ledger."""
        said = body(entry.fields)
        ledger = read_ledger(cast("Mapping[str, str]", self.redis.hgetall(names.POSITIONS)))
        if entry.source is RESULTS:
            return self._book(said, ledger, now)
        plan = decide(said, int(entry.id.partition("-")[0]) / 1000, ledger, self.settings, now)
        if isinstance(plan, str):
            self.log.info(plan)
            return ()
        if plan.action == "FULL_CLOSE_PROPOSED" and not plan.qty and not self.settings.skip_flat_sell:
            self.unconfirmed[plan.symbol] = plan
        return self._propose(plan, now)

    def tick(self, now: float) -> Sequence[Write]:
        """Propose once more every close that no fill has confirmed."""
        if now < self.propose_again_at:
            return ()
        self.propose_again_at = now + PROPOSE_AGAIN_SECONDS
        self.proposals += 1
        again = [
            replace(plan, plan_id=plan_id_of(plan.plan_id, self.proposals))
            for plan in self.unconfirmed.values()
        ]
        return [write for plan in again for write in self._propose(plan, now)]

    def pause(self, now: float) -> float:
        """Return the time to the next repetition."""
        return min(max(self.propose_again_at - now, 0.01), BLOCK_SECONDS)

    def _propose(self, plan: Plan, now: float) -> Sequence[Write]:
        self.vitals.last_work = now
        self.log.info("Plan %s %s %s %s", plan.plan_id, plan.decision, plan.action, plan.symbol)
        held = plan.decision == "SKIP"
        fields = plan.hold_fields(now) if held else plan.order_fields(market.LEVERAGE, now)
        return [append(names.APPLY_PLAN, fields)]

    def _book(self, fill: Body, ledger: Ledger, now: float) -> Sequence[Write]:
        symbol = text(fill, "symbol")
        published = [append(names.TRADE_EXECUTION_RES, envelope("trade.execution.res", fill, "bridge", now))]
        status = fill.get("status")
        if status != "filled" or number(fill, "entry_price") <= 0:
            self.log.info("Execution of %s: %s, nothing to book", symbol, status)
            return published
        self.unconfirmed.pop(symbol, None)
        position, earned = book(fill, ledger)
        if position is not None:
            self.log.info("Ledger: %s holds %g", symbol, position.qty)
            row = json.dumps({"qty": position.qty, "entry_price": position.entry_price})
            return [*published, Write(("HSET", names.POSITIONS, symbol, row))]
        self.log.info("Ledger: %s closed, earned %.4f USD", symbol, earned)
        pnl = {
            "symbol": symbol,
            "pnl_usd": round(earned, 6),
            "position_size_usd": number(fill, "position_size_usd"),
            "timestamp": fill.get("timestamp"),
        }
        learning = append(names.EXITBRAIN_PNL, envelope("exitbrain.pnl", pnl, "bridge", now))
        return [*published, Write(("HDEL", names.POSITIONS, symbol)), learning]
