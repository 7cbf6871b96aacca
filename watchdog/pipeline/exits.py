"""
The exits: the second path of orders, which takes profits from open positions.

They learn of positions from what the apply layer placed, evaluate again and again those of which nothing was
taken yet, propose to take a quarter of each on `harvest.intent`, and close what is proposed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchdog.pipeline import market, names
from watchdog.pipeline.execution import Order, order_of
from watchdog.pipeline.messages import Body, body, envelope, iso, number, text
from watchdog.pipeline.runtime import BLOCK_SECONDS, Context, Entry, Input, Service, Write, append

SCAN_SECONDS = 2.0
SHARE = 0.25
PLACED = Input(names.APPLY_RESULT, names.EXITS_GROUP)
PROPOSED = Input(names.HARVEST_INTENT, names.EXIT_EXECUTOR_GROUP)


@dataclass
class Held:
    """An open position, and whether a part of it was taken."""

    order: Order
    taken: bool = False


def proposal(order: Order, now: float) -> dict[str, str]:
    """Return the harvest.intent that takes a part of what *order* bought."""
    intent = {
        "symbol": order.symbol,
        "side": "SELL",
        "intent_type": "HARVEST_PARTIAL",
        "qty": round(order.qty * SHARE, 8),
        "reduce_only": True,
        "timestamp": iso(now),
    }
    return envelope("harvest.intent", intent, "harvest_brain", now)


def closing(symbol: str, *, qty: float, proposed_at: object, now: float) -> dict[str, str]:
    """Return the trade.closed for *qty* of *symbol*, taken as it was proposed at that time."""
    trade = {
        "symbol": symbol,
        "side": "SELL",
        "status": "closed",
        "close_qty": qty,
        "exit_price": round(market.price(symbol, now), 8),
        "proposed_at": proposed_at,
        "timestamp": iso(now),
    }
    return envelope("trade.closed", trade, "exits", now)


class Exits(Service):
    """Read `apply.result`, write `harvest.intent`; read that, write `trade.closed`."""

    inputs = (PLACED, PROPOSED)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.positions: dict[str, Held] = {}
        self.scan_at = 0.0

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return the share of a position that is taken."""
        return {"Harvest share": SHARE}

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Take note of what was placed, and close what was proposed."""
        said = body(entry.fields)
        if entry.source is PLACED:
            self._note(order_of(said), now)
            return ()
        symbol = text(said, "symbol")
        trade = self.close(said, now)
        if symbol in self.positions:
            self.positions[symbol].taken = True
        self.vitals.last_work = now
        self.log.info("Closed %g%% of %s", SHARE * 100, symbol)
        return [append(names.TRADE_CLOSED, trade)]

    def tick(self, now: float) -> Sequence[Write]:
        """Evaluate every position of which nothing was taken yet."""
        if now < self.scan_at:
            return ()
        self.scan_at = now + SCAN_SECONDS
        untouched = [held.order for held in self.positions.values() if not held.taken]
        due = [order for order in untouched if self.due(order, now)]
        self.log.info(
            "HARVEST_TICK scanned=%d evaluated=%d emitted=%d", len(self.positions), len(untouched), len(due)
        )
        return [append(names.HARVEST_INTENT, proposal(order, now)) for order in due]

    def pause(self, now: float) -> float:
        """Return the time to the next scan."""
        return min(max(self.scan_at - now, 0.01), BLOCK_SECONDS)

    def due(self, order: Order, now: float) -> bool:
        """Say whether a part of a position is worth an order of its own."""
        return order.qty * SHARE * market.price(order.symbol, now) >= market.MIN_NOTIONAL_USD

    def close(self, said: Body, now: float) -> dict[str, str]:
        """Return the report of what was closed as *said*."""
        return closing(
            text(said, "symbol"), qty=number(said, "qty"), proposed_at=said.get("timestamp"), now=now
        )

    def _note(self, order: Order | None, now: float) -> None:
        if order is None:
            return
        self.vitals.last_work = now
        if order.side == "BUY":
            self.positions[order.symbol] = Held(order)
        else:
            self.positions.pop(order.symbol, None)
