"""
The apply layer: the gate between plans and orders.

Without the heartbeats of both learning services it refuses every order, and pulls the kill switch. It looks
only at whether a heartbeat is there and will expire, never at how old it says it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchdog.pipeline import market, names
from watchdog.pipeline.intent_bridge import Ledger, read_ledger
from watchdog.pipeline.messages import Fields, Plan, body, decision_of, plan_of
from watchdog.pipeline.results import (
    close_refused,
    closed,
    decided,
    executor_placed,
    executor_refused,
    placed,
)
from watchdog.pipeline.runtime import Context, Entry, Input, Service, Write, append
from watchdog.pipeline.settings import Env

REQUIRED_HEARTBEATS = (names.heartbeat("rl_trainer"), names.heartbeat("rl_feedback_v2"))
OUR_KILL_SWITCH = "apply_layer:heartbeat_missing"
SEEN_SECONDS = 60
# Only our own switch, and only if nobody pulled theirs meanwhile.
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


@dataclass(frozen=True)
class Gate:
    """What the gate sees at one moment."""

    missing: Sequence[str] = ()  # required heartbeats that are absent, or would never expire
    kill_switch: str | None = None
    booting: bool = False
    seen: bool = False  # this plan has been answered before

    @property
    def halted(self) -> bool:
        """Say whether somebody else stopped trading."""
        return self.kill_switch not in (None, OUR_KILL_SWITCH)


@dataclass(frozen=True)
class ApplySettings:
    """The apply layer's settings."""

    mode: str = "testnet"
    kill_switch: bool = False
    block_critical: float = 0.80
    boot_grace_seconds: float = 1.0

    @classmethod
    def read(cls, env: Env) -> "ApplySettings":
        """Return the settings that *env* makes."""
        return cls(
            mode=env.word("APPLY_MODE", cls.mode, frozenset({"dry_run", "testnet", "live"})),
            kill_switch=env.flag("APPLY_KILL_SWITCH", cls.kill_switch),
            block_critical=env.number("K_BLOCK_CRITICAL", cls.block_critical),
            boot_grace_seconds=env.number("RISK_BOOT_GRACE_SEC", cls.boot_grace_seconds),
        )


def refusal(plan: Plan, gate: Gate, settings: ApplySettings, now: float) -> tuple[str, str] | None:
    """Return decision and reason of the first check that *plan* does not pass, or None."""
    notional = plan.qty * market.price(plan.symbol, now)
    entry = plan.side == "BUY"
    if gate.booting:
        return "BLOCKED", "risk_booting:startup_grace"
    if gate.missing:
        return "EXECUTE", "risk_layer0_fail:heartbeat_missing"
    if gate.halted or settings.kill_switch:
        return "HALT", "kill_switch_active"
    if plan.symbol in market.TRADING_HALTED:
        return "HALT", "symbol_trading_halted"
    if plan.symbol in market.WITHOUT_SNAPSHOT and entry:
        return "DENIED", "p33_permit_denied:no_exchange_snapshot"
    if plan.symbol in market.WITHOUT_PERMIT and entry:
        return "EXECUTE", "permit_timeout_or_missing:missing_p26"
    if entry and plan.kill_score > settings.block_critical:
        return "BLOCKED", "kill_score_warning_risk_increase"
    if entry and notional > market.MAX_POSITION_USD:
        return "REJECTED", f"position_too_large:${notional:.0f}>${market.MAX_POSITION_USD:.0f}_cap"
    if entry and notional < market.MIN_NOTIONAL_USD:
        return "ERROR", "exchange_error:APIError(code=-4164)"
    return None


def decide(plan: Plan, gate: Gate, ledger: Ledger, settings: ApplySettings, now: float) -> dict[str, str]:
    """Return the apply.result that *plan* comes to."""
    if gate.seen:
        return decided(plan, "SKIP", "duplicate_plan", now)
    if plan.symbol not in market.ALLOWLIST:
        return decided(plan, "SKIP", "not_in_allowlist", now)
    if plan.decision == "SKIP":
        return decided(plan, "SKIP", plan.reason_codes[-1] if plan.reason_codes else "action_hold", now)

    refused = refusal(plan, gate, settings, now)
    if refused and plan.symbol in market.EXECUTOR_SYMBOLS and not gate.missing:
        return executor_refused(plan, *refused, now)
    if refused:
        return decided(plan, *refused, now)

    executed = settings.mode != "dry_run"
    held = ledger[plan.symbol].qty if plan.symbol in ledger else 0.0
    if plan.side == "SELL" and not held:
        return close_refused(plan, "no_position", now)
    if plan.action == "FULL_CLOSE_PROPOSED" and executed:
        return closed(plan, held, now)
    if plan.symbol in market.EXECUTOR_SYMBOLS and executed:
        return executor_placed(plan, now)
    return placed(plan, plan.decision, executed, now)


class ApplyLayer(Service):
    """Read `apply.plan`, write `apply.result`."""

    inputs = (Input(names.APPLY_PLAN, names.APPLY_LAYER_GROUP),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.settings = ApplySettings.read(context.env)
        self.booted_at: float | None = None

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return the settings by the names that the log has for them."""
        return {
            "Apply mode": self.settings.mode,
            "Kill switch": self.settings.kill_switch,
            "K block critical": self.settings.block_critical,
            "Boot grace": f"{self.settings.boot_grace_seconds:g}s",
        }

    def tick(self, now: float) -> Sequence[Write]:
        """Note when the first step was: the start-up grace counts from there."""
        if self.booted_at is None:
            self.booted_at = now + self.settings.boot_grace_seconds
        return ()

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Answer a plan with a result."""
        plan = plan_of(entry.fields)
        gate, ledger = self._look(plan.plan_id, now)
        result = decide(plan, gate, ledger, self.settings, now)
        self._report(result)
        self.vitals.last_work = now
        return [
            append(names.APPLY_RESULT, result),
            Write(("SET", names.seen_plan(plan.plan_id), entry.id, "EX", SEEN_SECONDS)),
            *self._switch(gate, result),
        ]

    def _look(self, plan_id: str, now: float) -> tuple[Gate, Ledger]:
        asked: Any = self.redis.pipeline(transaction=False)
        for key in REQUIRED_HEARTBEATS:
            asked.ttl(key)
        asked.get(names.KILL_SWITCH)
        asked.exists(names.seen_plan(plan_id))
        asked.hgetall(names.POSITIONS)
        *ttls, kill_switch, seen, positions = asked.execute()
        gate = Gate(
            missing=[key for key, ttl in zip(REQUIRED_HEARTBEATS, ttls, strict=True) if ttl < 0],
            kill_switch=kill_switch,
            booting=self.booted_at is not None and now < self.booted_at,
            seen=bool(seen),
        )
        return gate, read_ledger(positions)

    def _switch(self, gate: Gate, result: Fields) -> Sequence[Write]:
        """Pull the kill switch with a refusal for want of a heartbeat; release our own once all are back."""
        if gate.missing and "heartbeat_missing" in result.get("error", "") and gate.kill_switch is None:
            self.log.warning("Kill switch set: heartbeat missing")
            return [Write(("SET", names.KILL_SWITCH, OUR_KILL_SWITCH, "NX"))]
        if gate.kill_switch == OUR_KILL_SWITCH and not gate.missing:
            self.log.warning("Kill switch released: heartbeats are back")
            return [Write(("EVAL", RELEASE, 1, names.KILL_SWITCH, OUR_KILL_SWITCH))]
        return ()

    def _report(self, result: Fields) -> None:
        said = body(result)
        if decision_of(said) == "ERROR":
            self.log.error(
                "❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than 5"
            )
        self.log.info(
            "%s: Result published (executed=%s, error=%s)",
            said["symbol"],
            said["executed"],
            said.get("error", ""),
        )
