"""Years in production: what goes on for ever takes no more and no more of anything."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import structlog

from bench.soak.load import Load, running_neighbour
from bench.soak.phases import rules_text
from bench.soak.verdict import Bound, judge, settled, theil_sen
from tests.drawn import T0, ids, rows
from tests.moved import MovedClock
from watchdog.config import parse
from watchdog.demo.server import start_server
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile

TICK = timedelta(minutes=1)
FAULTY, FILLING, WATCHED, LEAKING = 60, 130, 90, 30
"""Ticks with faults and deploys, until every window and the curves are full, measured, and with a leak."""
LOOK = 10
"""So many ticks lie between two counts."""
LEAK = 0.5
"""Objects a tick: half of the smallest leak there is."""
BOUNDED_ELSEWHERE = ("tuple", "array", "ReferenceType")
"""
Outdated appointments are tuples, of which a thousand are carried along (`agenda.SLACK`); a minute of the curves
is an array, and there are three hours of them (`trends.POINTS`); sqlite3 refers to its last 200 cursors.
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Load, MovedClock, str]]:
    """Two streams with all that the soak has, on a server whose clock is moved."""
    clock = MovedClock(tmp_path)
    with (
        start_server(binary="/usr/bin/redis-server", environment=clock.environment) as server,
        redis.Redis(port=server.port) as client,
        running_neighbour() as neighbour,
    ):
        load = Load(client, tmp_path, neighbour, 2, 1.0, clock=lambda: clock.now().timestamp())
        load.prepare()
        yield load, clock, server.url


async def count_objects(
    sidecar: Sidecar, load: Load, clock: MovedClock, leak: Callable[[], object]
) -> list[tuple[int, Counter[str]]]:
    """Tick, with faults and deploys at first; return which objects there were when, by type."""
    counts: list[tuple[int, Counter[str]]] = []
    gc.collect()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.freeze()  # all that is there already need not be gone through again and again
    for turn in range(1, FILLING + WATCHED + LEAKING + 1):
        now = clock.advance(TICK)
        load.do_beats(turn)
        load.do_entries(turn)
        load.do_log(turn)
        if turn % 40 == 0:
            load.do_rotation(turn)
        if turn < FAULTY and turn % 8 == 0:
            load.do_fault(turn // 8)
            load.do_deploy(turn // 8)
        await sidecar.tick(now)
        if turn > FILLING + WATCHED:
            leak()
        if turn % LOOK == 0:
            gc.collect()
            counts.append((turn, Counter(type(found).__qualname__ for found in gc.get_objects())))
    return counts


def growing(counts: Sequence[tuple[int, Counter[str]]], first: int, last: int) -> set[str]:
    """Return the types of which there were more and more between two ticks."""
    seen = [(turn, found) for turn, found in counts if first < turn <= last]
    types = {name for _, found in seen for name in found} - {*BOUNDED_ELSEWHERE}
    return {name for name in types if theil_sen([(turn, found[name]) for turn, found in seen]) >= LEAK}


class Forgotten:
    """What a broken program would keep at each tick."""


def test_no_tick_leaves_anything_behind(world: tuple[Load, MovedClock, str], tmp_path: Path) -> None:
    """Not one object, once every window is full; and one that does is seen: it is planted in the end."""
    load, clock, url = world
    config = parse(rules_text(load, tmp_path / "state.db", url, 1, TICK.total_seconds()))
    kept: list[object] = []

    async def run() -> list[tuple[int, Counter[str]]]:
        sidecar = Sidecar(config, clock.now, StateFile(str(config.state), clock.now))
        sidecar.outbox.start()
        try:
            return await count_objects(sidecar, load, clock, lambda: kept.append(Forgotten()))
        finally:
            gc.unfreeze()
            await sidecar.stop()

    counts = asyncio.run(run())
    assert growing(counts, FILLING, FILLING + WATCHED) == set()
    assert "Forgotten" in growing(counts, FILLING + WATCHED, FILLING + WATCHED + LEAKING)
    assert sum(load.neighbour.told.values()) >= 8


# ---- the verdict of bench.soak -----------------------------------------------------------------

VERDICTS = """
  figures, one a minute        | allowed  | verdict
  5 5 5 5 5 5 5 5              | 0        | flat
  9 8 7 6 5 4 3 2              | 0        | flat
  5 5 5 90 5 5 5 5             | 0        | flat
  1 2 3 4 5 6 7 8              | 6        | grows
  1 2 3 4 5 6 7 8              | 7        | flat
  5 5 5 5 6 6 6 6              | 0        | grows
  100 101 102 103              | 2 %      | grows
  100 101 101 102              | 2 %      | flat
"""


@pytest.mark.parametrize(("figures", "allowed", "verdict"), rows(VERDICTS), ids=ids(VERDICTS))
def test_what_is_flat(figures: str, allowed: str, verdict: str) -> None:
    """The median slope, over all the time; what falls is flat, and one wild figure is nothing."""
    share = allowed.endswith("%")
    number = float(allowed.rstrip(" %"))
    bound = Bound(share=number / 100) if share else Bound(least=number)
    points = [(60.0 * i, float(figure)) for i, figure in enumerate(figures.split())]
    assert ("flat" if judge(points, bound).flat else "grows") == verdict


def test_what_came_before_it_settled_does_not_count() -> None:
    """A third of the time."""
    assert settled([(0, 9), (10, 8), (20, 7), (30, 6)], 1 / 3) == [(10, 8), (20, 7), (30, 6)]


def test_the_logs_of_the_state_file_are_bounded_by_age(tmp_path: Path) -> None:
    """A month of messages and two weeks of events, however long it runs: see test_state and test_timeline."""
    now = T0
    state = StateFile(str(tmp_path / "state.db"), lambda: now)
    for day in range(120):
        now = T0 + timedelta(days=day)
        for number in range(20):
            state.log_delivery(now, "ops", "sent", f"{day} {number}", {"n": number})
        state._logged += 500  # as if it were that many
        state.commit()
    assert {len(state.deliveries(limit=10_000))} <= set(range(20 * 30, 20 * 33))
    state.close()
