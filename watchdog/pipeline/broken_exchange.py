"""How the exchange, or what is asked of it, can be wrong: more words for `BREAK=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from watchdog.pipeline.execution import Execution, Order, rejected
from watchdog.pipeline.intents import Intents
from watchdog.pipeline.runtime import Context, Entry, Service, Write

STOP_LOSS = 96_000_000.0


class FailsOpen(Execution):
    """Has a key that the exchange does not take, logs it, and goes on as if nothing were."""

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Try, and be refused."""
        if writes := super().handle(entry, now):
            self.log.error("❌ exchange API error: APIError(code=-2015): Invalid API-key, IP, or permissions")
        return writes[:0]

    def tell(self, order: Order) -> None:
        """Have nothing to tell of *order*."""


class OnlyRejects(Execution):
    """Has no margin left: whatever it orders is rejected."""

    def _fill(self, order: Order, plan_id: str, now: float) -> dict[str, object]:  # noqa: ARG002
        return rejected(order.symbol, now) | {"error": "margin_insufficient"}


class WildStopLoss(Intents):
    """Writes a stop-loss in the wrong unit."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.cycle = [
            replace(draft, extra={**draft.extra, "stop_loss": STOP_LOSS}) if draft.side == "BUY" else draft
            for draft in self.cycle
        ]


SERVICES: Mapping[str, Callable[[Context], Service]] = {
    "fails_open": FailsOpen,
    "only_rejects": OnlyRejects,
    "wild_stop_loss": WildStopLoss,
}
