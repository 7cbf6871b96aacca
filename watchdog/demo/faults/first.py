"""The faults of the outage itself: W01, G01 (which is U01) and G20."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage


async def _parse_everything(stage: Stage) -> None:
    await stage.units.set_setting("execution", "EXECUTION_PARSE_EVERY_ENTRY", "true")


async def _take_execute_bit(stage: Stage) -> None:
    stage.units.scripts["rl_trainer"].chmod(0o644)
    await stage.units.kill("rl_trainer")


async def _let_flat_sells_through(stage: Stage) -> None:
    await stage.units.set_setting("intent_bridge", "INTENT_BRIDGE_SKIP_FLAT_SELL", "false")


_TRAINER_GONE = Fault(
    "G01",
    "a gate misses the trainer's heartbeat and refuses everything: its script is not executable (U01)",
    _take_execute_bit,
    expected=(
        ("UnitRestarting", "rl_trainer"),
        ("HeartbeatMissing", "rl_trainer"),
        ("OneReason", "apply_layer"),
        ("NoExecutions", "apply_layer"),
    ),
    window=timedelta(minutes=1),
    possible=(("GroupStalled", "rl_trainer"), ("HeartbeatStale", "rl_trainer")),
)
FAULTS = (
    Fault(
        "W01",
        "every SKIP entry is parsed as an order, fails, and is acknowledged",
        _parse_everything,
        expected=(
            ("LogErrors", "execution"),
            ("NewLogErrors", "execution"),
            ("NoExecutions", "execution"),
        ),
        window=timedelta(minutes=12),
    ),
    _TRAINER_GONE,
    replace(_TRAINER_GONE, id="U01", title="a script is not executable: the same break as G01"),
    Fault(
        "G20",
        "INTENT_BRIDGE_SKIP_FLAT_SELL=false floods the apply layer with SELLs on flat positions",
        _let_flat_sells_through,
        expected=(("FlatSellFlood", "apply_layer"),),
        window=timedelta(minutes=10),
    ),
)
