"""How gates can be broken by code of their own or of those whom they trust: more words for `BREAK=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from watchdog.pipeline import names
from watchdog.pipeline.apply_layer import ApplyLayer
from watchdog.pipeline.gates import TOO_SMALL
from watchdog.pipeline.intent_bridge import IntentBridge, Ledger
from watchdog.pipeline.intents import Intents
from watchdog.pipeline.market import MIN_NOTIONAL_USD
from watchdog.pipeline.messages import Body, Plan, iso
from watchdog.pipeline.permits import Permits
from watchdog.pipeline.runtime import BLOCK_SECONDS, Context, Ended, Entry, Loop, Service, Write

LIVES_SECONDS = 10.0
LATE_SECONDS = 2.0
LOT_STEP = 0.001
SCAN_SECONDS = (300.0, 480.0)  # five to eight minutes


class BeatsWithEvents(Loop):
    """The service says that it lives only when there was something to do."""

    worked = False

    def _answer(self, entries: Sequence[Entry]) -> None:
        super()._answer(entries)
        self.worked = self.worked or bool(entries)

    def _beat(self, now: float) -> None:
        if self.worked:
            self.worked = False
            super()._beat(now)


class BeatsForEver(Loop):
    """The heartbeat is written without an expiry."""

    def _beat(self, now: float) -> None:
        super()._beat(now)
        self.redis.persist(self.heartbeat_key)


class DiesYoung(Loop):
    """The service ends with an error some seconds after it was started."""

    def __init__(self, name: str, service: Service, context: Context) -> None:
        super().__init__(name, service, context)
        self.born = self.clock()

    def step(self, longest: float = BLOCK_SECONDS) -> int:
        """Work until it is time."""
        if self.clock() - self.born > LIVES_SECONDS:
            raise Ended(1)
        return super().step(longest)


class DedupesOnEmptyId(ApplyLayer):
    """Asks for the trace of a plan whether it knows the plan, and no plan has one."""

    def dedupe_key(self, plan: Plan) -> str:  # noqa: ARG002
        """Return the same key for all."""
        return names.seen_plan("")


class NotionalByStep(ApplyLayer):
    """Tells the value of an order by the step of its quantity, not by the price."""

    def exchange_refuses(self, plan: Plan, now: float) -> str:
        """Object to nearly everything."""
        return TOO_SMALL if plan.qty * LOT_STEP < MIN_NOTIONAL_USD else super().exchange_refuses(plan, now)


class ReduceOnly(IntentBridge):
    """Proposes all orders as ones that may only reduce a position."""

    def _propose(self, plan: Plan, now: float) -> Sequence[Write]:
        return super()._propose(replace(plan, reduce_only=True), now)


class BooksNoEntries(IntentBridge):
    """Loses what was bought on its way into the ledger."""

    def _book(self, fill: Body, ledger: Ledger, now: float) -> Sequence[Write]:
        return [write for write in super()._book(fill, ledger, now) if write.command[0] != "HSET"]


class SizeWithUnit(Intents):
    """Writes amounts with their currency."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.cycle = [
            replace(draft, extra={**draft.extra, "position_size_usd": f"{draft.size_usd} USD"})
            for draft in self.cycle
        ]


class StampedByScan(Intents):
    """Gives every signal the time at which the scan began that found it, minutes ago."""

    def _next(self, now: float) -> dict[str, str]:
        least, most = SCAN_SECONDS
        took = least + self.serial * 7 % (most - least)
        at = self.serial % len(self.cycle)
        draft = self.cycle[at]
        self.cycle[at] = replace(draft, extra={**draft.extra, "timestamp": iso(now - took)})
        return super()._next(now)


class PermitsToNobody(Permits):
    """Writes permits to a stream that nobody reads."""

    def permit(self, plan: Plan, now: float) -> Sequence[Write]:
        """Return the permit for the new stream alone."""
        told, *_ = super().permit(plan, now)
        return [Write(("XADD", f"{names.PERMIT_P26}.v2", *told.command[2:]))]


class PermitsLate(Permits):
    """Writes permits in batches, seconds after they were asked for."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.batch: list[tuple[float, Write]] = []

    def permit(self, plan: Plan, now: float) -> Sequence[Write]:
        """Put the permit aside."""
        self.batch += [(now + LATE_SECONDS, write) for write in super().permit(plan, now)]
        return ()

    def tick(self, now: float) -> Sequence[Write]:
        """Write what was put aside long enough ago."""
        due = [write for at, write in self.batch if at <= now]
        self.batch = [(at, write) for at, write in self.batch if at > now]
        return [*super().tick(now), *due]


class SnapshotStays(Permits):
    """Its connection to the exchange is stuck: it has no news, and says nothing of it."""

    def snapshot(self, now: float) -> Sequence[Write]:  # noqa: ARG002
        """Write nothing."""
        return ()


class PolicyStays(Permits):
    """Does not renew the policy."""

    def policy(self, now: float) -> Sequence[Write]:  # noqa: ARG002
        """Write nothing."""
        return ()


LOOPS: Mapping[str, type[Loop]] = {
    "beats_with_events": BeatsWithEvents,
    "beats_for_ever": BeatsForEver,
    "dies_young": DiesYoung,
}
SERVICES: Mapping[str, Callable[[Context], Service]] = {
    "dedupes_on_empty_id": DedupesOnEmptyId,
    "notional_by_step": NotionalByStep,
    "reduce_only": ReduceOnly,
    "books_no_entries": BooksNoEntries,
    "size_with_unit": SizeWithUnit,
    "stamped_by_scan": StampedByScan,
    "permits_to_nobody": PermitsToNobody,
    "permits_late": PermitsLate,
    "snapshot_stays": SnapshotStays,
    "policy_stays": PolicyStays,
}
