"""
The execution service: carries out what the apply layer placed.

`EXECUTION_PARSE_EVERY_ENTRY` brings back the outage: every entry is taken for an order, fails to parse, is
logged and acknowledged, and nothing is executed any more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from watchdog.pipeline import market, names
from watchdog.pipeline.messages import (
    ORDERING,
    REFUSING,
    Body,
    UnreadableError,
    body,
    decision_of,
    envelope,
    iso,
    number,
    order_id_of,
    side_of,
    text,
    truth,
)
from watchdog.pipeline.runtime import Context, Entry, Input, Service, Write, append

REFUSED_BY_EXCHANGE = frozenset({"REJECTED", "ERROR"})


@dataclass(frozen=True)
class Order:
    """What is to be carried out."""

    symbol: str
    side: str
    qty: float


@dataclass
class TradeIntent:
    """An intent, as the service took every entry for one."""

    symbol: str
    action: str
    confidence: float
    position_size_usd: float = 0.0
    leverage: int = 1


INTENT_FIELDS = frozenset(declared.name for declared in fields(TradeIntent))


def order_of(said: Body) -> Order | None:
    """Return the order that an apply.result of any shape placed, or None if it placed none."""
    if decision_of(said) not in ORDERING or not truth(said.get("executed")):
        return None
    step: Mapping[str, Any] = {**said, "qty": said.get("filled_qty")}
    if said.get("steps_results"):
        step = _first_step(str(said["steps_results"]))
    return Order(text(said, "symbol"), side_of(step), number(step, "qty"))


def _first_step(steps: str) -> Mapping[str, Any]:
    try:
        step = json.loads(steps)[0]
    except (ValueError, LookupError, TypeError):
        raise UnreadableError(f"no step in {steps[:80]}") from None
    if not isinstance(step, dict):
        raise UnreadableError(f"no step in {steps[:80]}")
    return step


def filled(order: Order, plan_id: str, now: float) -> dict[str, object]:
    """Return the payload of the execution.result for a filled *order*."""
    if order.symbol not in market.PRICES or order.qty <= 0:
        raise UnreadableError(f"cannot fill {order}")
    price = market.price(order.symbol, now)
    return _payload(
        order.symbol,
        order.side,
        status="filled",
        order_id=str(order_id_of(plan_id)),
        price=price,
        size=order.qty * price,
        now=now,
    )


def rejected(symbol: str, now: float) -> dict[str, object]:
    """Return the payload of the execution.result for an order that the exchange did not take."""
    price = market.PRICES.get(symbol, 0.0)
    return _payload(symbol, "BUY", status="rejected", order_id="REJECTED", price=price, size=0.0, now=now)


def _payload(
    symbol: str, action: str, *, status: str, order_id: str, price: float, size: float, now: float
) -> dict[str, object]:
    return {
        "symbol": symbol,
        "action": action,
        "entry_price": round(price, 8),
        "position_size_usd": round(size, 6),
        "leverage": market.LEVERAGE,
        "timestamp": iso(now),
        "order_id": order_id,
        "status": status,
        "slippage_pct": market.SLIPPAGE_PCT if size else 0.0,
        "fee_usd": round(size * market.FEE_RATE, 6),
    }


class Execution(Service):
    """Read `apply.result`, write `execution.result`."""

    inputs = (Input(names.APPLY_RESULT, names.EXECUTION_GROUP),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.parse_every_entry = context.env.flag("EXECUTION_PARSE_EVERY_ENTRY", False)

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return the settings by the names that the log has for them."""
        return {"Parse every entry": self.parse_every_entry}

    def handle(self, entry: Entry, now: float) -> Sequence[Write]:
        """Carry out what an entry placed, and say what became of it."""
        said = body(entry.fields)
        symbol = text(said, "symbol")
        self.log.info(
            "[PATH1B] RX apply.result msg_id=%s decision=%s executed=%s would_execute=%s symbol=%s",
            entry.id,
            decision_of(said),
            said.get("executed"),
            said.get("would_execute"),
            symbol,
        )
        payload = self._parsed(said, now) if self.parse_every_entry else self._answered(said, now)
        if payload is None:
            return ()
        return [
            append(names.EXECUTION_RESULT, envelope("execution.result", payload, "execution-service", now))
        ]

    def _answered(self, said: Body, now: float) -> dict[str, object] | None:
        decision, symbol = decision_of(said), text(said, "symbol")
        order = order_of(said)
        if order is not None:
            return self._fill(order, str(said.get("plan_id", "")), now)
        if decision not in ORDERING and (decision not in REFUSING or truth(said.get("executed"))):
            executed = said.get("executed")
            self.log.warning("Not carried out: %s is %.40r, executed %.40r", symbol, decision, executed)
            return None
        if decision == "SKIP":
            return None
        if decision in REFUSED_BY_EXCHANGE:
            self.log.info("🚫 TERMINAL STATE: FAILED | %s | Reason: %s", symbol, said.get("error"))
            return rejected(symbol, now)
        self.log.info("[PATH1B] SKIP %s: blocked by risk (%s)", symbol, said.get("error"))
        return None

    def _parsed(self, said: Body, now: float) -> dict[str, object] | None:
        known = {key: value for key, value in said.items() if key in INTENT_FIELDS}
        try:
            intent = TradeIntent(**known)
        except TypeError as exc:
            self.log.error("❌ Failed to parse TradeIntent for %s: %s", said["symbol"], exc)
            return None
        size = number({"size": intent.position_size_usd}, "size")
        order = Order(intent.symbol, intent.action, size / market.PRICES[intent.symbol])
        return self._fill(order, str(said.get("plan_id", "")), now)

    def _fill(self, order: Order, plan_id: str, now: float) -> dict[str, object]:
        payload = filled(order, plan_id, now)
        self.vitals.last_work = now
        self.tell(order)
        return payload

    def tell(self, order: Order) -> None:
        """Log that *order* was filled."""
        self.log.info("✅ ORDER FILLED %s %s qty=%g", order.side, order.symbol, order.qty)
