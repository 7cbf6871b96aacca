"""The stages an order passes, what each needs before it can work, and what entries say in short."""

from collections.abc import Mapping
from typing import Any

from watchdog.pipeline import names
from watchdog.pipeline.apply_layer import ApplyLayer
from watchdog.pipeline.execution import Execution
from watchdog.pipeline.gates import REQUIRED_HEARTBEATS
from watchdog.pipeline.intent_bridge import IntentBridge
from watchdog.pipeline.rl_feedback import RlFeedback
from watchdog.pipeline.rl_trainer import RlTrainer
from watchdog.pipeline.runtime import Service

SETTINGS = {"RISK_BOOT_GRACE_SEC": "0.000001", "PERMIT_WAIT_SEC": "0.01"}
STAGES: Mapping[str, tuple[type[Service], str, str]] = {
    "intent_bridge": (IntentBridge, names.TRADE_INTENT, names.APPLY_PLAN),
    "apply_layer": (ApplyLayer, names.APPLY_PLAN, names.APPLY_RESULT),
    "execution": (Execution, names.APPLY_RESULT, names.EXECUTION_RESULT),
    "rl_feedback": (RlFeedback, names.EXITBRAIN_PNL, names.RL_REWARDS),
    "rl_trainer": (RlTrainer, names.RL_REWARDS, ""),
}
HELD = {"ETHUSDT": '{"qty": 1.2, "entry_price": 2000.0}'}


def make_ready(redis: Any) -> None:
    """Let the learning services beat, and a position be held."""
    for key in REQUIRED_HEARTBEATS:
        redis.set(key, "1771364540", ex=30)
    redis.hset(names.POSITIONS, mapping=HELD)


def entry(drawn: str) -> dict[str, str]:
    """Return the fields of an entry as incident/messages.md writes them."""
    return dict(pair.split("=", 1) for pair in drawn.split())


def in_short(said: Mapping[str, Any]) -> str:
    """Return what matters of an entry: `BLOCKED false kill_score`, `BUY filled`."""
    told = ("decision", "action", "side", "executed", "status", "error")
    words = [str(said[key]) for key in told if said.get(key) not in (None, "")]
    return " ".join(word.lower() if word in ("True", "False") else word for word in words)
