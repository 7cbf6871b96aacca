"""
What the gate asks for before it lets an order through, and what it says to one that it refuses.

Two services have to beat, nobody may have stopped trading, the policy has to be in force, and an order needs
a permit of its own and a fresh snapshot of its symbol. Whether a heartbeat is there and will expire is all
that is looked at, never how old it says it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watchdog.pipeline import market, names
from watchdog.pipeline.intent_bridge import Ledger, read_ledger
from watchdog.pipeline.messages import Plan
from watchdog.pipeline.settings import Env

REQUIRED_HEARTBEATS = (names.heartbeat("rl_trainer"), names.heartbeat("rl_feedback_v2"))
OUR_KILL_SWITCH = "apply_layer:heartbeat_missing"
DAY_SECONDS = 86_400
TOO_SMALL = "exchange_error:APIError(code=-4164)"
NOTHING_TO_REDUCE = "exchange_error:APIError(code=-2022)"
EXCHANGE_SAYS = {
    TOO_SMALL: "APIError(code=-4164): Order's notional must be no smaller than 5",
    NOTHING_TO_REDUCE: "APIError(code=-2022): ReduceOnly Order is rejected.",
}
Refusal = tuple[str, str]
"""A decision and its reason."""


@dataclass(frozen=True)
class ApplySettings:
    """The apply layer's settings."""

    mode: str = "testnet"
    kill_switch: bool = False
    block_critical: float = 0.80
    boot_grace_seconds: float = 1.0
    permit_wait_seconds: float = 0.5
    snapshot_limit_seconds: float = 10.0
    most_a_day: float = 100_000
    most_positions: float = 10

    @classmethod
    def read(cls, env: Env) -> ApplySettings:
        """Return the settings that *env* makes."""
        return cls(
            mode=env.word("APPLY_MODE", cls.mode, frozenset({"dry_run", "testnet", "live"})),
            kill_switch=env.flag("APPLY_KILL_SWITCH", cls.kill_switch),
            block_critical=env.number("K_BLOCK_CRITICAL", cls.block_critical),
            boot_grace_seconds=env.number("RISK_BOOT_GRACE_SEC", cls.boot_grace_seconds),
            permit_wait_seconds=env.number("PERMIT_WAIT_SEC", cls.permit_wait_seconds),
            snapshot_limit_seconds=env.number("P33_STALE_THRESHOLD_SEC", cls.snapshot_limit_seconds),
            most_a_day=env.number("GOV_MAX_EXEC_PER_DAY", cls.most_a_day),
            most_positions=env.number("GOV_MAX_OPEN_POSITIONS", cls.most_positions),
        )

    def in_effect(self) -> Mapping[str, object]:
        """Return the settings by the names that the log has for them."""
        return {
            "Apply mode": self.mode,
            "Kill switch": self.kill_switch,
            "K block critical": self.block_critical,
            "Boot grace": f"{self.boot_grace_seconds:g}s",
            "Permit wait": f"{self.permit_wait_seconds:g}s",
            "P33 stale threshold": f"{self.snapshot_limit_seconds:g}s",
            "Max executions per day": f"{self.most_a_day:g}",
            "Max open positions": f"{self.most_positions:g}",
        }


@dataclass(frozen=True)
class Snapshot:
    """What the exchange was last seen to hold: of which symbols, and when."""

    at: float = 0.0
    symbols: frozenset[str] = frozenset()

    def covers(self, symbol: str, limit: float, now: float) -> bool:
        """Say whether it tells of *symbol* and is not older than *limit*."""
        return symbol in self.symbols and now - self.at <= limit


@dataclass(frozen=True)
class Gate:
    """What the gate sees at one moment, for one plan."""

    missing: Sequence[str] = ()  # required heartbeats that are absent, or would never expire
    kill_switch: str | None = None
    other_switch: str | None = None  # the first of the other switches that is set
    safe_mode: bool = False
    booting: bool = False
    seen: bool = False  # this plan has been answered before
    universe: frozenset[str] = frozenset()  # what the policy in force lets trade
    snapshot: Snapshot = field(default_factory=Snapshot)
    executed_today: int = 0
    permit: bool = False
    objection: str = ""  # what the exchange would have against the order

    @property
    def halted(self) -> bool:
        """Say whether somebody else stopped trading."""
        return self.kill_switch not in (None, OUR_KILL_SWITCH) or self.other_switch is not None


def look(redis: Any, dedupe_key: str, *, booting: bool) -> tuple[Gate, Ledger]:
    """Return all that the gate asks Redis in one round trip, but for the permit, and the ledger."""
    asked: Any = redis.pipeline(transaction=False)
    for key in REQUIRED_HEARTBEATS:
        asked.ttl(key)
    asked.mget(names.KILL_SWITCH, *names.OTHER_SWITCHES)
    asked.exists(names.SAFE_MODE)
    asked.exists(dedupe_key)
    asked.mget(names.POLICY, names.P33_SNAPSHOT, names.EXECUTED_TODAY)
    asked.hgetall(names.POSITIONS)
    *ttls, switches, safe_mode, seen, (policy, snapshot, executed), positions = asked.execute()
    universe = json.loads(policy or '{"universe": []}')["universe"]
    held = json.loads(snapshot or '{"ts": 0, "symbols": []}')
    gate = Gate(
        missing=[key for key, ttl in zip(REQUIRED_HEARTBEATS, ttls, strict=True) if ttl < 0],
        kill_switch=switches[0],
        other_switch=next(filter(None, switches[1:]), None),
        safe_mode=bool(safe_mode),
        booting=booting,
        seen=bool(seen),
        universe=frozenset(universe),
        snapshot=Snapshot(held["ts"], frozenset(held["symbols"])),
        executed_today=int(executed or 0),
    )
    return gate, read_ledger(positions)


def refusal(plan: Plan, gate: Gate, ledger: Ledger, settings: ApplySettings, now: float) -> Refusal | None:
    """Return decision and reason of the first check that *plan* does not pass, or None."""
    if gate.booting:
        return "BLOCKED", "risk_booting:startup_grace"
    if gate.missing:
        return "EXECUTE", "risk_layer0_fail:heartbeat_missing"
    if gate.halted or settings.kill_switch:
        return "HALT", "kill_switch_active"
    if gate.safe_mode:
        return "HALT", "safe_mode_active"
    if plan.symbol not in gate.universe:
        return "DENIED", "policy_expired:universe_empty" if not gate.universe else "not_in_universe"
    if gate.executed_today >= settings.most_a_day:
        return "BLOCKED", "daily_limit_reached"
    if gate.objection:
        return "ERROR", gate.objection
    if not gate.snapshot.covers(plan.symbol, settings.snapshot_limit_seconds, now):
        return "DENIED", "p33_permit_denied:no_exchange_snapshot"
    if not gate.permit:
        return "EXECUTE", "permit_timeout_or_missing:missing_p26"
    if plan.symbol in market.TRADING_HALTED:
        return "HALT", "symbol_trading_halted"
    return _entry_refused(plan, ledger, settings, now) if plan.side == "BUY" else None


def _entry_refused(plan: Plan, ledger: Ledger, settings: ApplySettings, now: float) -> Refusal | None:
    notional = plan.qty * market.price(plan.symbol, now)
    if len(ledger) >= settings.most_positions:
        return "BLOCKED", "position_limit_reached"
    if plan.kill_score > settings.block_critical:
        return "BLOCKED", "kill_score_warning_risk_increase"
    if notional > market.MAX_POSITION_USD:
        return "REJECTED", f"position_too_large:${notional:.0f}>${market.MAX_POSITION_USD:.0f}_cap"
    return None


def exchange_refuses(plan: Plan, now: float) -> str:
    """Return what the exchange has against the order of *plan*, or nothing."""
    if plan.side != "BUY":
        return ""
    if plan.reduce_only:
        return NOTHING_TO_REDUCE
    notional = plan.qty * market.price(plan.symbol, now)
    return "" if notional >= market.MIN_NOTIONAL_USD else TOO_SMALL


def until_midnight(now: float) -> int:
    """Return the seconds left of the day, which is UTC's."""
    return DAY_SECONDS - int(now) % DAY_SECONDS
