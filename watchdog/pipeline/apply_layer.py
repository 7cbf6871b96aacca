"""
The apply layer: the gate between plans and orders.

Without the heartbeats of both learning services it refuses every order, and pulls the kill switch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from watchdog.pipeline import market, names
from watchdog.pipeline.gates import (
    EXCHANGE_SAYS,
    OUR_KILL_SWITCH,
    ApplySettings,
    Gate,
    exchange_refuses,
    look,
    refusal,
    until_midnight,
)
from watchdog.pipeline.intent_bridge import Ledger
from watchdog.pipeline.messages import ORDERING, REFUSING, Fields, Plan, body, plan_of, truth
from watchdog.pipeline.permits import GRANTED
from watchdog.pipeline.results import (
    close_refused,
    closed,
    decided,
    executor_placed,
    executor_refused,
    placed,
)
from watchdog.pipeline.runtime import Context, Entry, Input, Service, Write, append

UNKNOWN_DECISION = "unknown_decision"
SEEN_SECONDS = 60
# Only our own switch, and only if nobody pulled theirs meanwhile.
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


def decide(plan: Plan, gate: Gate, ledger: Ledger, settings: ApplySettings, now: float) -> dict[str, str]:
    """Return the apply.result that *plan* comes to."""
    if gate.seen:
        return decided(plan, "SKIP", "duplicate_plan", now)
    if plan.symbol not in market.ALLOWLIST:
        return decided(plan, "SKIP", "not_in_allowlist", now)
    if plan.decision in REFUSING:
        reason = plan.reason_codes[-1] if plan.reason_codes else "action_hold"
        return decided(plan, plan.decision, reason, now)
    if plan.decision not in ORDERING:
        return decided(plan, "BLOCKED", UNKNOWN_DECISION, now)

    refused = refusal(plan, gate, ledger, settings, now)
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
        return self.settings.in_effect()

    def tick(self, now: float) -> Sequence[Write]:
        """Note when the first step was: the start-up grace counts from there."""
        if self.booted_at is None:
            self.booted_at = now + self.settings.boot_grace_seconds
        return ()

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Answer a plan with a result."""
        plan = plan_of(entry.fields)
        gate, ledger = self._look(plan, now)
        result = decide(plan, gate, ledger, self.settings, now)
        if result.get("error") == UNKNOWN_DECISION:
            self.log.warning("Plan %s of unknown decision %.40r", plan.plan_id, plan.decision)
        self._report(result)
        self.vitals.last_work = now
        return [
            append(names.APPLY_RESULT, result),
            Write(("SET", self.dedupe_key(plan), entry.id, "EX", SEEN_SECONDS)),
            Write(("DEL", names.permit(plan.plan_id))),
            *self._switch(gate, result),
            *(_count_today(now) if truth(body(result)["executed"]) else ()),
        ]

    def dedupe_key(self, plan: Plan) -> str:
        """Return the key that tells whether *plan* has been answered."""
        return names.seen_plan(plan.plan_id)

    def exchange_refuses(self, plan: Plan, now: float) -> str:
        """Return what the exchange would have against the order of *plan*, or nothing."""
        return exchange_refuses(plan, now)

    def _look(self, plan: Plan, now: float) -> tuple[Gate, Ledger]:
        booting = self.booted_at is not None and now < self.booted_at
        gate, ledger = look(self.redis, self.dedupe_key(plan), booting=booting)
        if plan.decision not in ORDERING or plan.symbol not in market.ALLOWLIST or gate.seen:
            return gate, ledger
        return replace(gate, objection=self.exchange_refuses(plan, now), permit=self._permitted(plan)), ledger

    def _permitted(self, plan: Plan) -> bool:
        """
        Read the permit of *plan*; one waits a moment for it, because it comes beside the plan.

        It stays where it is until the plan is answered: a service that dies in between needs it once more.
        """
        key, wait = names.permit(plan.plan_id), self.settings.permit_wait_seconds
        return cast("str | None", self.redis.blmove(key, key, cast("int", wait))) == GRANTED

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
        if said.get("error") in EXCHANGE_SAYS:
            self.log.error("❌ exchange API error: %s", EXCHANGE_SAYS[said["error"]])
        self.log.info(
            "%s: Result published (executed=%s, error=%s)",
            said["symbol"],
            said["executed"],
            said.get("error", ""),
        )


def _count_today(now: float) -> Sequence[Write]:
    """Return what counts an execution; the count ends with the day."""
    return [
        Write(("SET", names.EXECUTED_TODAY, 0, "EX", until_midnight(now), "NX")),
        Write(("INCR", names.EXECUTED_TODAY)),
    ]
