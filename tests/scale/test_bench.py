"""`bench.scale` counts what moves and works out what all shards cost; how fast anything was is no test's business."""

from __future__ import annotations

from bench.poll.measures import Cost
from bench.scale import Measured, balance, cost_table, share_table
from watchdog.shards import Shard

MEASURED = Measured(
    shard=Shard(1, 10),
    streams=100,
    settled=Cost(2.0, 1.5),
    first_ticks=3,
    moving=Cost(0.1, 0.05, redis_cpu=0.01, commands=300),
    quiet=Cost(0.05, 0.025, redis_cpu=0.005, commands=250),
    rss=80_000_000,
    peak=90_000_000,
)


def test_what_moves_goes_to_the_new_shard() -> None:
    """As the page says, and no larger numbers of shards than make sense."""
    lines = [line.split(" | ") for line in balance([f"s{i}" for i in range(500)], 1)][2:]
    assert [cells[0] for cells in lines] == ["| 2", "| 3", "| 5", "| 10"]
    assert {cells[-1] for cells in lines} == {"yes |"}


def test_the_tables_say_what_was_measured() -> None:
    """A row a shard; and the share of a core, a sidecar's own and Redis' for all ten."""
    assert [*cost_table([MEASURED])][2] == (
        "| 1 of 10 | 100, 300 | 2.0 s of looking, 3 ticks | 100 ms | 50 ms | 10 ms | 300 |"
        " 25 ms | 5 ms | 80 MB | 90 MB |"
    )
    assert [*share_table([MEASURED], 10)][2:] == [
        "| 5 s | 1.0% | 0.5% | 2.0% | 1.0% |",
        "| 15 s | 0.3% | 0.2% | 0.7% | 0.3% |",
        "| 60 s | 0.1% | 0.0% | 0.2% | 0.1% |",
    ]
