"""The reference pipeline: who works, who needs whom and what a success is, from a URL alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.drawn import rows
from tests.incident.lockstep import REDIS, Lockstep
from tests.init.conftest import Ticking, written
from tests.moved import MovedClock
from watchdog.audit import look_once
from watchdog.config import Config
from watchdog.demo.layout import lay_out
from watchdog.demo.server import start_server
from watchdog.report import Status
from watchdog.sidecar import Sidecar
from watchdog.signals.results import ExecutionsConfig

STRIDE = timedelta(seconds=5)
NEEDS = """
  service        | needs
  apply_layer    | intent_bridge
  execution      | apply_layer
  exits          | apply_layer, harvest_brain
  intent_bridge  | ai_engine
  permits        | intent_bridge
  rl_feedback_v2 | intent_bridge
  rl_trainer     | rl_feedback_v2
"""
RESULTS = """
  stream                            | of            | success          | offered by
  quantum:stream:apply.result       | apply_layer   | executed: true   | quantum:stream:apply.plan
  quantum:stream:execution.result   | execution     | status: filled   | quantum:stream:apply.result
  quantum:stream:permit.p26         | permits       | granted: true    | quantum:stream:apply.plan
  quantum:stream:trade.closed       | exits         | status: closed   | quantum:stream:harvest.intent
  quantum:stream:trade.execution.res | intent_bridge | status: filled  | quantum:stream:execution.result
"""


@dataclass
class Pipeline:
    """The services, step by step, and the file that was made of them."""

    clock: MovedClock
    keeper: Lockstep
    text: str
    config: Config
    ticking: Ticking

    def live(self, span: timedelta, stride: timedelta = STRIDE) -> None:
        """Let *span* pass."""
        for _ in range(span // stride):
            self.clock.advance(stride)
            self.keeper.step()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory for the server's and the services' files."""
    return tmp_path


@pytest.fixture
async def pipeline(directory: Path) -> AsyncIterator[Pipeline]:
    """Ten healthy minutes, and the file that was made at their end."""
    clock = MovedClock(directory)
    extra = ["--dir", str(directory), "--jemalloc-bg-thread", "no"]
    with start_server(REDIS, environment=clock.environment, extra=extra) as server:
        keeper = Lockstep(directory, lay_out(directory, server.url, 0.5), server.url, clock)
        keeper.write_setting("intents", "CATCH_UP_SEC", "600")
        keeper.write_setting("apply_layer", "PERMIT_WAIT_SEC", "0.001")
        await keeper.start()
        for _ in range(120):
            clock.advance(STRIDE)
            keeper.step()
        text, config = await written(server.url, clock.now(), directory / "state.db")
        ticking = Ticking(Sidecar(config, clock.now))
        yield Pipeline(clock, keeper, text, config, ticking)
        await ticking.sidecar.stop()
        await keeper.stop()


def needs_of(config: Config) -> dict[str, str]:
    """Return who needs whom."""
    return {name: ", ".join(needed) for name, needed in sorted(config.policy.needs.items()) if needed}


def results_of(config: Config) -> set[tuple[str, ...]]:
    """Return each stream of results: whose it is, what a success is, and where its work is offered."""
    found = [(spec.key.service, spec.config) for spec in config.signals]
    told = [(service, results) for service, results in found if isinstance(results, ExecutionsConfig)]
    return {
        (c.stream, service, ", ".join(f"{k}: {str(v).lower()}" for k, v in c.success.items()), c.input.stream)
        for service, c in told
        if c.input is not None
    }


async def test_a_dead_worker_is_told_by_the_file_as_it_is(pipeline: Pipeline) -> None:
    """Ten minutes of health: needs and successes as they are, an audit that is ok; then the apply layer is gone."""
    config, clock = pipeline.config, pipeline.clock
    assert needs_of(config) == {row[0]: row[1] for row in rows(NEEDS)}, pipeline.text
    assert results_of(config) == set(rows(RESULTS)), pipeline.text
    assert (await look_once(config, clock.now())).status is Status.OK
    assert await pipeline.ticking.look(clock.now()) == {}

    await pipeline.keeper.stop_unit("apply_layer")
    raised: set[tuple[str, str]] = set()
    for _ in range(26):
        pipeline.live(STRIDE)
        alerts = await pipeline.ticking.look(clock.now())
        raised |= {who for who, state in alerts.items() if state == "firing"}
    assert raised == {("HeartbeatMissing", "apply_layer"), ("GroupStalled", "apply_layer")}


async def test_who_reads_and_never_succeeds_is_told_within_the_hour(pipeline: Pipeline) -> None:
    """W01: every entry is read and acknowledged, no order is executed, every other light is green."""
    pipeline.keeper.write_setting("execution", "EXECUTION_PARSE_EVERY_ENTRY", "true")
    await pipeline.keeper.stop_unit("execution")
    await pipeline.keeper.start_unit("execution")
    pipeline.keeper.generate(0.05)
    pipeline.live(timedelta(minutes=64), timedelta(minutes=2))
    found = await look_once(pipeline.config, pipeline.clock.now())
    critical = {(n.alert.name, n.alert.service) for n in found.notices if str(n.alert.severity) == "critical"}
    assert critical == {("NoExecutions", "execution")}
