"""The intent generator: a small stand-in for the AI engine, which proposes the same mix again and again."""

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watchdog.pipeline import market, names
from watchdog.pipeline.messages import envelope, iso
from watchdog.pipeline.runtime import BLOCK_SECONDS, Context, Service, Write, append

PLANS_PER_CYCLE = 192
FLAT_SELLS_PER_CYCLE = 82  # three intents in ten
TICK_SECONDS = 0.05
CATCH_UP_SECONDS = 1.0  # what was missed for longer is not made up for
FORM_EVERY = 16  # so often a hold comes flat, and as often inside `data`


@dataclass(frozen=True)
class Draft:
    """An intent before it gets its price, its id and its time."""

    symbol: str
    side: str
    size_usd: float = 50.0
    source: str = "ai-engine"
    extra: Mapping[str, object] = field(default_factory=dict)
    repeats_last: bool = False  # sent again under the id of the intent before


# Eight orders, one every 24 plans: at eight plans a second an order every three seconds.
ORDERS = (
    Draft("BTCUSDT", "BUY"),
    Draft("BTCUSDT", "SELL"),
    Draft("ZECUSDT", "BUY", 150.0),
    Draft("ZECUSDT", "SELL"),
    Draft("SOLUSDT", "BUY"),
    Draft("SOLUSDT", "SELL", source="reconcile-engine", extra={"action": "RECONCILE_CLOSE"}),
    Draft("ETHUSDT", "BUY", 75.0),
    Draft("ETHUSDT", "SELL"),
)
# What a healthy pipeline refuses now and then, each for its own reason.
REFUSED = (
    Draft("ZECUSDT", "BUY", extra={"kill_score": 0.86}),
    Draft("ETHUSDT", "BUY", 3.0),
    Draft("LUNAUSDT", "BUY"),
    Draft("TRXUSDT", "BUY"),
    Draft("BTCUSDT", "BUY", 812.0),
    Draft("LINKUSDT", "BUY"),
    Draft("XRPUSDT", "SELL", source="exit-gateway", extra={"action": "FULL_CLOSE"}),
)
MARKETS = frozenset({"moving", "flat"})  # in a flat one there is nothing to trade
FLAT_SYMBOLS = ("AAAUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT")
HELD_SYMBOLS = ("XRPUSDT", "BTCUSDT", "ETHUSDT", "AAAUSDT", "SOLUSDT")


def cycle(seed: int = 1) -> list[Draft]:
    """
    Return the intents of one cycle, in order.

    Orders are evenly spaced, refusals lie halfway between two of them, and what is skipped or dropped
    fills the rest: the same seed gives the same cycle.
    """
    chosen = random.Random(seed)
    plans = [_hold(chosen) for _ in range(PLANS_PER_CYCLE)]
    spacing = PLANS_PER_CYCLE // len(ORDERS)
    for position, refused in enumerate(REFUSED):
        plans[position * spacing] = refused
    for position, order in enumerate(ORDERS):
        plans[position * spacing + spacing // 2] = order  # the first one after the start-up grace
    plans[5] = Draft("SHIBUSDT", "HOLD", extra=plans[5].extra)
    plans[7] = Draft(plans[6].symbol, "HOLD", extra=plans[6].extra, repeats_last=True)

    drafts: list[Draft] = []
    total = PLANS_PER_CYCLE + FLAT_SELLS_PER_CYCLE
    remaining = iter(plans)
    for position in range(total):
        # A flat SELL wherever their even share makes a step, so that the rates are steady.
        step = (position + 1) * FLAT_SELLS_PER_CYCLE // total - position * FLAT_SELLS_PER_CYCLE // total
        drafts.append(Draft(chosen.choice(FLAT_SYMBOLS), "SELL") if step else next(remaining))
    return drafts


def _hold(chosen: random.Random) -> Draft:
    action = chosen.choice(("HOLD", "HOLD", "PARTIAL_25"))
    extra = {
        "action": action,
        "kill_score": round(chosen.uniform(0.1, 0.6), 2),
        "R_net": round(chosen.uniform(-0.5, 2.5), 2),
    }
    return Draft(chosen.choice(HELD_SYMBOLS), "HOLD", extra=extra)


def entry_of(draft: Draft, correlation_id: str, serial: int, now: float) -> dict[str, str]:
    """Return the entry for *draft*; most come in the envelope, some in one of the other two forms."""
    price = market.price(draft.symbol, now)
    away = -1 if draft.side == "SELL" else 1
    payload = {
        "symbol": draft.symbol,
        "side": draft.side,
        "position_size_usd": draft.size_usd,
        "leverage": market.LEVERAGE,
        "entry_price": round(price, 8),
        "stop_loss": round(price * (1 - away * 0.01), 8),
        "take_profit": round(price * (1 + away * 0.02), 8),
        "confidence": 0.68,
        "timestamp": iso(now),
        **draft.extra,
    }
    enveloped = envelope("trade.intent", payload, draft.source, now)
    enveloped |= {"trace_id": "", "correlation_id": correlation_id}
    if draft.side != "HOLD" or serial % FORM_EVERY > 1:
        return enveloped
    common = {"correlation_id": correlation_id, "source": draft.source}
    if serial % FORM_EVERY:
        return {"data": json.dumps(payload | common)}
    return {key: str(value) for key, value in (payload | common).items()}


def is_order(draft: Draft) -> bool:
    """Say whether *draft* would be traded, or would have been if nobody refused it."""
    return draft in ORDERS or draft in REFUSED


class Intents(Service):
    """Write intents to `trade.intent` at a steady rate."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.catch_up = context.env.number("CATCH_UP_SEC", CATCH_UP_SECONDS)
        self.cycle = cycle()
        self.pace(context.env.number("RATE", 8.0))
        if context.env.word("MARKET", "moving", MARKETS) == "flat":
            self.cycle = [draft for draft in self.cycle if not is_order(draft)]
        self.serial = 0
        self.due = 0.0
        self.correlation_id = ""

    def pace(self, rate: float) -> None:
        """Propose *rate* plans a second from now on."""
        self.rate = rate
        self.every = (1 - FLAT_SELLS_PER_CYCLE / (PLANS_PER_CYCLE + FLAT_SELLS_PER_CYCLE)) / rate

    def settings_in_effect(self) -> Mapping[str, object]:
        """Return the rate."""
        return {"Plans per second": self.rate, "Intents per second": round(1 / self.every, 2)}

    def tick(self, now: float) -> Sequence[Write]:
        """Return the intents that are due; after a long halt only one, not all that were missed."""
        if now - self.due > self.catch_up:
            self.due = now
        writes = []
        while self.due <= now:
            writes.append(append(names.TRADE_INTENT, self._next(now)))
            self.due += self.every
        if writes:
            self.vitals.last_work = now
        return writes

    def pause(self, now: float) -> float:
        """Return the time to the next intent."""
        return min(max(self.due - now, TICK_SECONDS), BLOCK_SECONDS)

    def _next(self, now: float) -> dict[str, str]:
        draft = self.cycle[self.serial % len(self.cycle)]
        if not draft.repeats_last:
            self.correlation_id = str(uuid.uuid4())
        self.serial += 1
        self.log.info("Intent %s %s %s", draft.side, draft.symbol, self.correlation_id)
        return entry_of(draft, self.correlation_id, self.serial, now)
