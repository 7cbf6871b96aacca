"""What the pipeline believes about its exchange: symbols, prices, limits. All values are made up."""

import math

PRICES = {
    "BTCUSDT": 71208.9,
    "ETHUSDT": 2104.5,
    "SOLUSDT": 86.4,
    "ZECUSDT": 237.2,
    "XRPUSDT": 1.41,
    "AAAUSDT": 0.98,
    "DOGEUSDT": 0.097,
    "ADAUSDT": 0.27,
    "TRXUSDT": 0.28,
    "LINKUSDT": 8.7,
    "LUNAUSDT": 0.06,
    "SHIBUSDT": 0.0000062,
}
ALLOWLIST = frozenset(PRICES) - {"SHIBUSDT"}
TRADING_HALTED = frozenset({"LUNAUSDT"})
WITHOUT_SNAPSHOT = frozenset({"TRXUSDT"})  # the p33 permit needs one
WITHOUT_PERMIT = frozenset({"LINKUSDT"})  # the p26 permit never comes
EXECUTOR_SYMBOLS = frozenset({"ZECUSDT"})  # served by the intent executor, which answers in its own shape

MAX_POSITION_USD = 500.0
MIN_NOTIONAL_USD = 5.0
LEVERAGE = 5
FEE_RATE = 0.0004
SLIPPAGE_PCT = 0.02


def price(symbol: str, now: float) -> float:
    """Return the price of *symbol* at *now*: its usual one, half a percent up and down every minute."""
    usual = PRICES[symbol]
    phase = sum(symbol.encode())  # symbols do not move in step
    return usual * (1 + 0.005 * math.sin(now / 60 * math.tau + phase))
