"""
Very many groups over several sidecars: how evenly they are spread, and what each sidecar costs.

`python -m bench.scale --groups 100000 --shards 10` fills one Redis with all streams (three groups each, as
in bench.poll), runs a few of the shards one after the other, each in a process of its own, and works out from
them what all cost. What moves when a shard is added is counted for all services, without a server.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.notify.child import BenchError
from bench.poll.__main__ import machine
from bench.poll.measures import Cost, column, in_a_row, measured
from bench.poll.ours import Spent, running_sidecar
from bench.poll.process import forget_peak, peak_rss, rss
from bench.poll.streams import GROUPS, World, rules_text, running_world, stream_names
from watchdog.shards import Shard, owner

EVERY = (5, 15, 60)
WARM = 12


@dataclass(frozen=True, slots=True)
class Measured:
    """What one shard cost: until it saw all of its part, and at a tick while a tenth moves or none."""

    shard: Shard
    streams: int
    settled: Cost
    first_ticks: int
    moving: Cost
    quiet: Cost
    rss: int
    peak: int


# ---- without a server --------------------------------------------------------------------------


def balance(names: Sequence[str], shards: int) -> Iterator[str]:
    """Yield the lines about how services are spread, and how many move when a shard is added."""
    yield "| shards | services a shard: mean | fewest | most | one more shard moves | all to the new one |"
    yield "| ---: | ---: | ---: | ---: | ---: | --- |"
    for count in (2, 3, 5, 10, 30, 100):
        if count > shards * 10:
            return
        before = {name: owner(name, count) for name in names}
        after = {name: owner(name, count + 1) for name in names}
        each = Counter(before.values())
        moved = [name for name in names if before[name] != after[name]]
        to_new = all(after[name] == count + 1 for name in moved)
        mean = len(names) / count
        yield (
            f"| {count} | {mean:,.0f} | {min(each.values()) / mean:.1%} | {max(each.values()) / mean:.1%} |"
            f" {len(moved):,} ({len(moved) / len(names):.1%}) | {'yes' if to_new else 'no'} |"
        )


# ---- with one ----------------------------------------------------------------------------------


def measure(whole: World, shard: Shard, directory: Path, ticks: int) -> Measured:
    """Run one shard of the *whole* world until it has seen its part, then for *ticks* ticks of each kind."""
    names = [name for name in whole.names if shard.has(name)]
    part = World(whole.server, whole.client, names)
    rules = directory / f"shard-{shard.number}.yaml"
    rules.write_text(rules_text(whole.server.url, whole.names, "discover"))
    with running_sidecar(rules, len(names), f"{shard.number}/{shard.of}") as ours:
        ours.load()
        ours.build()
        first_ticks: list[int] = []

        def settle() -> Spent:
            spent = ours.settle()
            first_ticks.append(spent.ticks)
            return spent

        settled = measured(part, ours.pid, settle)
        in_a_row(part, ours, WARM, moving=True)
        forget_peak(ours.pid)
        moving = column(in_a_row(part, ours, ticks, moving=True), statistics.mean)
        quiet = column(in_a_row(part, ours, ticks, moving=False), statistics.mean)
        return Measured(
            shard, len(names), settled, first_ticks[0], moving, quiet, rss(ours.pid), peak_rss(ours.pid)
        )


def cost_table(found: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines about each shard that was run."""
    yield (
        "| shard | streams, groups | all seen after | tick, a tenth moving: wall | own CPU | Redis CPU |"
        " commands | nothing moving: own CPU | Redis CPU | RSS | peak RSS |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in found:
        yield (
            f"| {one.shard.number} of {one.shard.of} | {one.streams:,}, {one.streams * len(GROUPS):,} |"
            f" {one.settled.wall:.1f} s of looking, {one.first_ticks} ticks | {_ms(one.moving.wall)} |"
            f" {_ms(one.moving.cpu)} | {_ms(one.moving.redis_cpu)} | {one.moving.commands:,.0f} |"
            f" {_ms(one.quiet.cpu)} | {_ms(one.quiet.redis_cpu)} |"
            f" {one.rss / 1e6:.0f} MB | {one.peak / 1e6:.0f} MB |"
        )


def share_table(found: Sequence[Measured], shards: int) -> Iterator[str]:
    """Yield the lines about what share of a core all that is, by how often one looks."""
    yield "| every | a sidecar, a tenth moving | nothing | Redis for all, a tenth moving | nothing |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for every in EVERY:
        mine = [statistics.mean(cost.cpu for cost in costs) / every for costs in _both(found)]
        redis = [
            shards * statistics.mean(cost.redis_cpu or 0.0 for cost in costs) / every
            for costs in _both(found)
        ]
        yield f"| {every} s | {' | '.join(f'{share:.1%}' for share in (*mine, *redis))} |"


def _both(found: Sequence[Measured]) -> tuple[list[Cost], list[Cost]]:
    return [one.moving for one in found], [one.quiet for one in found]


def _ms(seconds: float | None) -> str:
    return f"{1000 * (seconds or 0.0):.0f} ms"


# ---- the command -------------------------------------------------------------------------------


def run(groups: int, shards: int, measured_shards: Sequence[int], ticks: int) -> Iterator[str]:
    """Measure, and yield what is to be printed."""
    names = stream_names(-(-groups // len(GROUPS)))
    yield from balance(names, shards)
    yield ""
    with (
        tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory,
        running_world(len(names)) as world,
    ):
        memory: Any = world.client.info("memory")
        found = []
        for number in measured_shards:
            print(f"shard {number} of {shards} …", file=sys.stderr, flush=True)
            found.append(measure(world, Shard(number, shards), Path(directory), ticks))
        yield from cost_table(found)
        yield ""
        yield from share_table(found, shards)
        yield ""
        used = memory["used_memory"] / 1e6
        yield f"{len(names):,} streams, {len(names) * len(GROUPS):,} groups; Redis holds {used:,.0f} MB."


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--groups", type=int, default=100_000, help="so many groups in all")
    parser.add_argument("--shards", type=int, default=10, help="so many sidecars in all")
    parser.add_argument(
        "--measured", type=int, default=3, help="so many of them are run, one after the other"
    )
    parser.add_argument("--ticks", type=int, default=20, help="so many ticks of each kind")
    args = parser.parse_args(argv)
    if not 1 <= args.measured <= args.shards:
        parser.error(f"--measured: there are {args.shards} shards")
    try:
        about = machine()
        for line in run(args.groups, args.shards, range(1, args.measured + 1), args.ticks):
            print(line, flush=True)
    except BenchError as exc:
        sys.exit(str(exc))
    print(f"\n{about}")


if __name__ == "__main__":
    main()
