"""What the generator proposes, and what the bridge makes of it."""

from collections import Counter
from itertools import pairwise

import pytest

from watchdog.pipeline import market
from watchdog.pipeline.intent_bridge import BridgeSettings, Position, book, decide
from watchdog.pipeline.intents import FLAT_SYMBOLS, ORDERS, cycle, entry_of
from watchdog.pipeline.messages import Plan, UnreadableError, body

NOW = 1771364540.0
LEDGER = {"BTCUSDT": Position(qty=0.5, entry_price=70_000.0)}


def intent(side: str, symbol: str, **extra: object) -> dict[str, object]:
    """Return what an intent says."""
    size = {"position_size_usd": 50.0, "entry_price": 2.0}
    return {"symbol": symbol, "side": side, "correlation_id": "c", **size, **extra}


def summary(plan: Plan | str) -> str:
    """Return a plan in short, or the reason why there is none."""
    if isinstance(plan, str):
        return plan
    return " ".join(
        filter(None, (plan.decision, plan.action, plan.side, f"{plan.qty:g}", *plan.reason_codes))
    )


FLAT = BridgeSettings(skip_flat_sell=True)
SPAM = BridgeSettings(skip_flat_sell=False)
DECISIONS = {
    "buy": (intent("BUY", "XRPUSDT"), FLAT, "EXECUTE ENTRY_PROPOSED BUY 25"),
    "sell what is held": (intent("SELL", "BTCUSDT"), FLAT, "EXECUTE FULL_CLOSE_PROPOSED SELL 0.5"),
    "sell, flat": (intent("SELL", "XRPUSDT"), FLAT, "Skip flat SELL XRPUSDT: no position"),
    "sell, flat, not skipped": (intent("SELL", "XRPUSDT"), SPAM, "EXECUTE FULL_CLOSE_PROPOSED SELL 0"),
    "exit, flat": (
        intent("SELL", "XRPUSDT", action="FULL_CLOSE"),
        FLAT,
        "EXECUTE FULL_CLOSE_PROPOSED SELL 0",
    ),
    "reconcile": (
        intent("SELL", "BTCUSDT", action="RECONCILE_CLOSE"),
        FLAT,
        "RECONCILE_CLOSE RECONCILE_CLOSE SELL 0.5",
    ),
    "hold": (intent("HOLD", "BTCUSDT", action="HOLD"), FLAT, "SKIP HOLD 0 kill_score_close_ok"),
    "partial": (
        intent("HOLD", "BTCUSDT", action="PARTIAL_25"),
        FLAT,
        "SKIP PARTIAL_25 0 action_hold",
    ),
    "unknown": (
        intent("HOLD", "BTCUSDT", action="PARTIAL_33"),
        FLAT,
        "SKIP PARTIAL_33 0 action_normalized_partial_33_unknown_variant action_hold",
    ),
    "old": (
        intent("BUY", "XRPUSDT", timestamp="2026-02-17T21:32:19Z"),
        FLAT,
        "Drop old intent BUY XRPUSDT: 601 s",
    ),
}


@pytest.mark.parametrize(("said", "settings", "expected"), DECISIONS.values(), ids=DECISIONS)
def test_decisions(said: dict[str, object], settings: BridgeSettings, expected: str) -> None:
    """Each intent becomes the plan it should, or none for the reason it should."""
    assert summary(decide(said, NOW, LEDGER, settings, NOW)) == expected


def test_an_intent_without_a_time_is_as_old_as_its_entry() -> None:
    """The entry's own time counts where the payload has none."""
    assert summary(decide(intent("BUY", "XRPUSDT"), NOW - 700, {}, FLAT, NOW)).startswith("Drop old intent")


@pytest.mark.parametrize("lacking", ["symbol", "side", "position_size_usd"])
def test_an_intent_that_lacks_something_is_unreadable(lacking: str) -> None:
    """What a plan cannot be made of is said to be unreadable."""
    said = {key: value for key, value in intent("BUY", "XRPUSDT").items() if key != lacking}
    with pytest.raises(UnreadableError):
        decide(said, NOW, {}, FLAT, NOW)


def test_the_ledger_averages_and_earns() -> None:
    """Buying more averages the entry price, selling closes the position and says what it earned."""
    bought = {"symbol": "BTCUSDT", "action": "BUY", "entry_price": 50_000.0, "position_size_usd": 25_000.0}
    assert book(bought, {}) == (Position(0.5, 50_000.0), 0.0)
    assert book(bought, LEDGER) == (Position(1.0, 60_000.0), 0.0)
    assert book({**bought, "action": "SELL", "entry_price": 71_000.0}, LEDGER) == (None, 500.0)


def test_the_cycle_is_steady() -> None:
    """Three intents in ten sell what is not held, an order comes every 24 plans, the rest is mostly held."""
    drafts = cycle()
    flat = [draft for draft in drafts if draft.side == "SELL" and draft.symbol in FLAT_SYMBOLS]
    assert len(flat) / len(drafts) == pytest.approx(0.3, abs=0.01)

    plans = [draft for draft in drafts if draft not in flat or draft.source == "exit-gateway"]
    places = [place for place, draft in enumerate(plans) if draft in ORDERS]
    assert [after - before for before, after in pairwise(places)] == [24] * 7
    assert Counter(draft.side for draft in plans)["HOLD"] / len(plans) > 0.9
    assert drafts == cycle()


@pytest.mark.parametrize("serial", [0, 1, 2], ids=["flat", "data", "payload"])
def test_an_intent_says_the_same_in_every_form(serial: int) -> None:
    """The three forms of an intent lead to the same plan."""
    hold = next(draft for draft in cycle() if draft.side == "HOLD")
    plan = decide(body(entry_of(hold, "c", serial, NOW)), NOW, {}, FLAT, NOW)
    assert plan == decide(body(entry_of(hold, "c", 2, NOW)), NOW, {}, FLAT, NOW)


def test_an_intent_of_the_ai_engine() -> None:
    """A SELL has its stop above its price and its target below."""
    sell = body(entry_of(ORDERS[1], "c", 2, NOW))
    assert (
        sell["take_profit"]
        < sell["entry_price"]
        == round(market.price("BTCUSDT", NOW), 8)
        < sell["stop_loss"]
    )
