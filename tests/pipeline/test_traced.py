"""The reference pipeline under the trace that the repository's rules.yaml declares: healthy, and broken."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.drawn import rows
from tests.pipeline.stages import SETTINGS, STAGES, make_ready
from tests.signals.conftest import look_at, steps
from watchdog.config import load
from watchdog.demo.server import EmbeddedServer
from watchdog.model import Reading
from watchdog.pipeline.intents import ORDERS, REFUSED, Draft, Intents
from watchdog.pipeline.permits import Permits
from watchdog.pipeline.runtime import Loop
from watchdog.signals.trace import Trace

pytestmark = pytest.mark.redis

RULES = Path(__file__).parents[2] / "rules.yaml"
LoopOf = Callable[..., Loop]
HOLD = Draft("ETHUSDT", "HOLD", extra={"action": "HOLD"})
FLAT_SELL = Draft("AAAUSDT", "SELL")
INTENTS = [HOLD, *REFUSED, FLAT_SELL, ORDERS[0], HOLD, ORDERS[2], ORDERS[4]]


def seen(server: EmbeddedServer, later: float = 0.0) -> Reading:
    """Return what a first look finds, *later* than now by so many seconds."""
    (spec,) = [spec for spec in load(RULES, {}).signals if spec.key.kind == "trace"]
    assert isinstance(spec.config, Trace.Config)
    signal = Trace(spec.key, spec.config, timedelta(hours=1))
    now = datetime.now(UTC) + timedelta(seconds=later)
    (found,) = look_at(server.url, signal, now=now)
    return found


def trade(redis: Any, loop_of: LoopOf, *, without: str = "") -> None:
    """Let every service but one work off a few intents, in turn, until there is nothing left to do."""
    make_ready(redis)
    now = time.time()
    intents = loop_of("intents", Intents, RATE="1000")
    assert isinstance(intents.service, Intents)
    intents.service.cycle = INTENTS
    intents.clock = lambda: now
    intents.service.due = now - (len(INTENTS) - 0.5) * intents.service.every
    services = {name: service for name, (service, _, _) in STAGES.items()}
    stages = {"intent_bridge": services["intent_bridge"], "permits": Permits, **services}
    loops = {name: loop_of(name, service, **SETTINGS) for name, service in stages.items()}
    for loop in loops.values():
        loop.create_groups()
    intents.step(0)
    while sum([loop.step(0) for name, loop in loops.items() if name != without]):
        pass


def test_a_healthy_pipeline_is_one_trace_per_order(
    redis: Any, server: EmbeddedServer, loop_of: LoopOf
) -> None:
    """All entries belong to a trace, orders come through, refusals and holds wait for nothing."""
    trade(redis, loop_of)
    found = seen(server, 60)
    counts = [steps(found, name) for name in ("started", "completed", "untraced", "dropped")]
    assert counts == [len(INTENTS), 3, 0, 0]
    assert (found.values["overdue"], found.values["missing_stage"]) == (0.0, "nothing")
    assert {"end_to_end", "stage.plan", "stage.result", "stage.execution", "slowest"} <= set(found.values)


BROKEN = """
  stopped       | missing
  apply_layer   | result
  execution     | execution
"""


@pytest.mark.parametrize(("stopped", "missing"), rows(BROKEN))
def test_a_stage_that_stopped_is_named(
    stopped: str, missing: str, redis: Any, server: EmbeddedServer, loop_of: LoopOf
) -> None:
    """Half a minute later an order is overdue, and the stage it has not come to is the one that stopped."""
    trade(redis, loop_of, without=stopped)
    found = seen(server, 40)
    overdue = found.seen(found.at)["overdue"]
    assert isinstance(overdue, float)
    assert overdue > 1
    assert found.values["missing_stage"] == missing


def test_an_outage_that_acknowledges_everything_is_seen(
    redis: Any, server: EmbeddedServer, loop_of: LoopOf
) -> None:
    """W01: every entry is read, fails to parse and is acknowledged; no lag, nothing pending, orders overdue."""
    make_ready(redis)
    trade(redis, loop_of, without="execution")
    broken = loop_of("execution", STAGES["execution"][0], EXECUTION_PARSE_EVERY_ENTRY="true")
    while broken.step(0):
        pass
    found = seen(server, 40)
    assert found.values["missing_stage"] == "execution"
