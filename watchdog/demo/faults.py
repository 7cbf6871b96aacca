"""The faults the demo can bring about: how each breaks the pipeline, and which alerts must name it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from watchdog.demo.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One way to stop working.

    *expected* are the alerts that must come, as (name, service); *possible* are consequences
    that may be seen as well when one looks for longer.
    """

    id: str
    title: str
    breaks: Callable[[Supervisor], Awaitable[None]]
    expected: tuple[tuple[str, str], ...]
    possible: tuple[tuple[str, str], ...] = ()


async def _parse_everything(pipeline: Supervisor) -> None:
    await pipeline.set_setting("execution", "EXECUTION_PARSE_EVERY_ENTRY", "true")


async def _take_execute_bit(pipeline: Supervisor) -> None:
    pipeline.scripts["rl_trainer"].chmod(0o644)
    await pipeline.kill("rl_trainer")


async def _let_flat_sells_through(pipeline: Supervisor) -> None:
    await pipeline.set_setting("intent_bridge", "INTENT_BRIDGE_SKIP_FLAT_SELL", "false")


_TRAINER_GONE = Fault(
    "G01",
    "a gate misses the trainer's heartbeat and refuses everything: its script is not executable (U01)",
    _take_execute_bit,
    expected=(
        ("UnitRestarting", "rl_trainer"),
        ("HeartbeatMissing", "rl_trainer"),
        ("OneReason", "apply_layer"),
        ("NoExecutions", "apply_layer"),
        ("NoExecutions", "execution"),
    ),
    possible=(("GroupStalled", "rl_trainer"), ("HeartbeatStale", "rl_trainer")),
)
FAULTS: Mapping[str, Fault] = {
    fault.id: fault
    for fault in (
        Fault(
            "W01",
            "every SKIP entry is parsed as an order, fails, and is acknowledged",
            _parse_everything,
            expected=(
                ("NewLogErrors", "execution"),
                ("LogErrors", "execution"),
                ("NoExecutions", "execution"),
            ),
        ),
        _TRAINER_GONE,
        replace(_TRAINER_GONE, id="U01", title="a script is not executable: the same break as G01"),
        Fault(
            "G20",
            "INTENT_BRIDGE_SKIP_FLAT_SELL=false floods the apply layer with SELLs on flat positions",
            _let_flat_sells_through,
            expected=(("FlatSellFlood", "apply_layer"),),
        ),
    )
}
