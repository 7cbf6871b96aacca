"""
The permits: what an order needs besides its plan.

Each plan that proposes an order is answered on `permit.p26`, and under a key of its own, from which the apply
layer takes the answer: granted or denied, once. In between the snapshot of the exchange (p33) is kept up, and
the policy, which ends if it is not renewed.
"""

from collections.abc import Mapping, Sequence

from watchdog.pipeline import market, names
from watchdog.pipeline.messages import ORDERING, Plan, body, compact, envelope, plan_of
from watchdog.pipeline.runtime import BLOCK_SECONDS, Context, Entry, Input, Service, Write, append

GRANTED, DENIED = "granted", "denied"
PERMIT_SECONDS = 60
POLICY_SECONDS = 30
RENEW_SECONDS = 2.0


class Permits(Service):
    """Read `apply.plan`, write `permit.p26` and the keys that the apply layer asks for."""

    inputs = (Input(names.APPLY_PLAN, names.PERMITS_GROUP),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        wanted = context.env.text("P33_SYMBOLS", ",".join(market.PRICES)).split(",")
        self.covered = sorted(set(wanted) & set(market.PRICES) - market.WITHOUT_SNAPSHOT)
        self.renew_at = 0.0

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return of how many symbols there is a snapshot."""
        return {"P33 symbols": f"{len(self.covered)} of {len(market.PRICES)}"}

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Answer a plan that proposes an order with a permit, or with its denial."""
        if body(entry.fields).get("decision") not in ORDERING:
            return ()
        return self.permit(plan_of(entry.fields), now)

    def permit(self, plan: Plan, now: float) -> Sequence[Write]:
        """Return what tells everybody whether *plan* is permitted."""
        granted = plan.symbol not in market.WITHOUT_PERMIT
        self.vitals.last_work = now
        self.log.info("Permit p26 %s %s: %s", plan.plan_id, plan.symbol, GRANTED if granted else DENIED)
        told = {"plan_id": plan.plan_id, "symbol": plan.symbol, "granted": granted}
        told |= {} if granted else {"reason": "symbol_without_permit"}
        key = names.permit(plan.plan_id)
        return [
            append(names.PERMIT_P26, envelope("permit.p26", told, "permits", now)),
            Write(("RPUSH", key, GRANTED if granted else DENIED)),
            Write(("EXPIRE", key, PERMIT_SECONDS)),
        ]

    def tick(self, now: float) -> Sequence[Write]:
        """Renew the snapshot and the policy."""
        if now < self.renew_at:
            return ()
        self.renew_at = now + RENEW_SECONDS
        return [*self.snapshot(now), *self.policy(now)]

    def snapshot(self, now: float) -> Sequence[Write]:
        """Return what writes down of which symbols the exchange has told by *now*."""
        return [Write(("SET", names.P33_SNAPSHOT, compact({"ts": now, "symbols": self.covered})))]

    def policy(self, now: float) -> Sequence[Write]:
        """Return what puts the policy in force for a while."""
        policy = {"ts": now, "universe": sorted(market.PRICES)}
        return [Write(("SET", names.POLICY, compact(policy), "EX", POLICY_SECONDS))]

    def pause(self, now: float) -> float:
        """Return the time to the next renewal."""
        return min(max(self.renew_at - now, 0.01), BLOCK_SECONDS)
